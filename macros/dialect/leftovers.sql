{#- Query for kind (table, view), schema and name of the relations that a killed dbt has left; empty where the adapter
    leaves none. -#}
{% macro leftovers() -%}
    {{ return(adapter.dispatch('leftovers', 'customer_engagement')()) }}
{%- endmacro %}

{% macro duckdb__leftovers() -%}
    {{ return(
        "select case table_type when 'VIEW' then 'view' else 'table' end, table_schema, table_name"
        ~ " from information_schema.tables where table_catalog = current_database()"
        ~ " and regexp_matches(table_name, '__dbt_(tmp|backup)')"
    ) }}
{%- endmacro %}

{% macro spark__leftovers() -%}
    {{ return('') }}
{%- endmacro %}
