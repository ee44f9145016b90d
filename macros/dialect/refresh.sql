{#- Whether what the refresh before this one saw is remembered, so that a refresh may be in part. -#}
{% macro refreshes_are_remembered() -%}
    {{ return(adapter.dispatch('refreshes_are_remembered', 'customer_engagement')()) }}
{%- endmacro %}

{% macro duckdb__refreshes_are_remembered() -%}
    {{ return(true) }}
{%- endmacro %}

{#- Its Parquet tables take no update and no delete, so that every build is whole there. -#}
{% macro spark__refreshes_are_remembered() -%}
    {{ return(false) }}
{%- endmacro %}
