{#- One row per element; rows whose array is empty or null disappear. -#}
{% macro exploded(array_column) -%}
    {{ return(adapter.dispatch('exploded', 'customer_engagement')(array_column)) }}
{%- endmacro %}

{% macro duckdb__exploded(array_column) -%}
    {{ return('unnest(' ~ array_column ~ ')') }}
{%- endmacro %}

{% macro spark__exploded(array_column) -%}
    {{ return('explode(' ~ array_column ~ ')') }}
{%- endmacro %}


{#- Several arrays of one length side by side, one row per position. `columns` maps each array to its element's name. -#}
{% macro exploded_together(columns) -%}
    {{ return(adapter.dispatch('exploded_together', 'customer_engagement')(columns)) }}
{%- endmacro %}

{% macro duckdb__exploded_together(columns) -%}
    {%- set parts = [] -%}
    {%- for array_column, element in columns.items() -%}
        {%- do parts.append('unnest(' ~ array_column ~ ') as ' ~ element) -%}
    {%- endfor -%}
    {{ return(parts | join(', ')) }}
{%- endmacro %}

{% macro spark__exploded_together(columns) -%}
    {{ return('inline(arrays_zip(' ~ columns.keys() | join(', ') ~ ')) as (' ~ columns.values() | join(', ') ~ ')') }}
{%- endmacro %}


{#- Columns of one row as rows: one row per column, its name as `name` and its value as `value`, in the order given. -#}
{% macro stacked(columns, name, value) -%}
    {{ return(adapter.dispatch('stacked', 'customer_engagement')(columns, name, value)) }}
{%- endmacro %}

{% macro duckdb__stacked(columns, name, value) -%}
    {{ return(
        "unnest(['" ~ columns | join("', '") ~ "']) as " ~ name
        ~ ', unnest([' ~ columns | join(', ') ~ ']) as ' ~ value
    ) }}
{%- endmacro %}

{% macro spark__stacked(columns, name, value) -%}
    {%- set pairs = [] -%}
    {%- for column in columns -%}
        {%- do pairs.append("'" ~ column ~ "', " ~ column) -%}
    {%- endfor -%}
    {{ return('stack(' ~ columns | length ~ ', ' ~ pairs | join(', ') ~ ') as (' ~ name ~ ', ' ~ value ~ ')') }}
{%- endmacro %}


{#- Number of elements; 0 where the array is null. -#}
{% macro element_count(array_column) -%}
    {{ return(adapter.dispatch('element_count', 'customer_engagement')(array_column)) }}
{%- endmacro %}

{% macro duckdb__element_count(array_column) -%}
    {{ return('coalesce(len(' ~ array_column ~ '), 0)') }}
{%- endmacro %}

{% macro spark__element_count(array_column) -%}
    {{ return('coalesce(array_size(' ~ array_column ~ '), 0)') }}
{%- endmacro %}


{#- An array with each of its elements once. -#}
{% macro distinct_elements(array_column) -%}
    {{ return(adapter.dispatch('distinct_elements', 'customer_engagement')(array_column)) }}
{%- endmacro %}

{% macro duckdb__distinct_elements(array_column) -%}
    {{ return('list_distinct(' ~ array_column ~ ')') }}
{%- endmacro %}

{% macro spark__distinct_elements(array_column) -%}
    {{ return('array_distinct(' ~ array_column ~ ')') }}
{%- endmacro %}
