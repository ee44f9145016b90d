{#- The sources' YAML is the raw schema: `engagement extract` makes its tables from the same columns. -#}
{% macro create_raw_tables() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'test', 'seed', 'snapshot', 'show', 'compile', 'docs', 'generate'] -%}
        {%- do run_query('create schema if not exists raw') -%}
        {%- for source in graph.sources.values() if source.schema == 'raw' -%}
            {%- set columns = [] -%}
            {%- for column in source.columns.values() -%}
                {%- do columns.append(column.name ~ ' ' ~ raw_type(column.data_type)) -%}
            {%- endfor -%}
            {%- do run_query('create table if not exists raw.' ~ source.identifier ~ ' (' ~ columns | join(', ') ~ ')') -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
