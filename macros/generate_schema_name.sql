{#- dbt's own rule would put the target's schema in front (main_marts). Readers of the published file see these names. -#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
