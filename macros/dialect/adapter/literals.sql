{#- What dbt puts between quotes of itself, such as the rows of a unit test: in Spark's literals a backslash escapes too, which
    dbt-spark leaves out. -#}
{% macro spark__escape_single_quotes(expression) -%}
    {{ expression | replace('\\', '\\\\') | replace("'", "\\'") }}
{%- endmacro %}
