{#- The sources' YAML is the raw schema: `engagement extract` makes its tables from the same columns. A file of an earlier
    version gets the columns that it lacks. -#}
{% macro create_raw_tables() -%}
    {%- if execute and flags.WHICH in ['build', 'run', 'test', 'seed', 'snapshot', 'show', 'compile', 'docs', 'generate'] -%}
        {%- do run_query('create schema if not exists raw') -%}
        {%- for source in graph.sources.values() if source.schema == 'raw' -%}
            {%- set columns = [] -%}
            {%- for column in source.columns.values() -%}
                {%- do columns.append(column.name ~ ' ' ~ raw_type(column.data_type)) -%}
            {%- endfor -%}
            {%- do run_query('create table if not exists raw.' ~ source.identifier ~ ' (' ~ columns | join(', ') ~ ')') -%}
            {#- run_query begins no transaction of its own, which would take these statements back at its end -#}
            {%- set existing = run_query(raw_columns(source.identifier)).columns[0].values() | list -%}
            {%- for column in source.columns.values() if column.name not in existing -%}
                {%- do run_query(
                    'alter table raw.' ~ source.identifier ~ ' add column ' ~ column.name ~ ' ' ~ raw_type(column.data_type)
                ) -%}
            {%- endfor -%}
        {%- endfor -%}
    {%- endif -%}
{%- endmacro %}
