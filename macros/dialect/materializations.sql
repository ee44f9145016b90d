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


{#- Materialization of a mart that says what another does under other names. -#}
{% macro renaming() -%}
    {{ return(adapter.dispatch('renaming', 'customer_engagement')()) }}
{%- endmacro %}

{% macro duckdb__renaming() -%}
    {{ return('view') }}
{%- endmacro %}

{#- What is made there is read as files, and a view has none. -#}
{% macro spark__renaming() -%}
    {{ return('table') }}
{%- endmacro %}
