{#- Statement that creates a seed's table from its file where it is missing, with the types of its column_types. -#}
{% macro create_seed_from_csv(seed) -%}
    {{ return(adapter.dispatch('create_seed_from_csv', 'customer_engagement')(seed)) }}
{%- endmacro %}

{% macro duckdb__create_seed_from_csv(seed) -%}
    {%- set columns = [] -%}
    {%- for name, data_type in seed.config.column_types.items() -%}
        {%- do columns.append("'" ~ name ~ "': '" ~ data_type ~ "'") -%}
    {%- endfor -%}
    {{ return(
        'create table if not exists ' ~ seed.schema ~ '.' ~ seed.alias
        ~ " as select * from read_csv('" ~ seed.root_path ~ '/' ~ seed.original_file_path
        ~ "', header = true, columns = {" ~ columns | join(', ') ~ '})'
    ) }}
{%- endmacro %}

{% macro spark__create_seed_from_csv(seed) -%}
    {%- set columns = [] -%}
    {%- for name, data_type in seed.config.column_types.items() -%}
        {%- do columns.append(name ~ ' ' ~ data_type) -%}
    {%- endfor -%}
    {{ return(
        'create table if not exists ' ~ seed.schema ~ '.' ~ seed.alias ~ ' (' ~ columns | join(', ')
        ~ ") using csv options (header 'true') location '" ~ seed.root_path ~ '/' ~ seed.original_file_path ~ "'"
    ) }}
{%- endmacro %}
