{#- The columns of a contract, as dbt's own, with what the YAML says of each as its comment. dbt-spark comments columns of
    Delta, Hudi and Iceberg only; Parquet tables take comments along from a view, in one statement instead of one a
    column. Only a table with a contract has all its columns in the YAML, in its order. -#}
{% macro spark__get_select_subquery(sql) -%}
    {%- set columns = [] -%}
    {%- for column in model.columns.values() -%}
        {%- set comment = column.description | replace('\\', '\\\\') | replace("'", "\\'") -%}
        {%- do columns.append(adapter.quote(column.name) ~ " comment '" ~ comment ~ "'") -%}
    {%- endfor -%}
    {%- set view = model.alias ~ '__with_comments' -%}
    {%- do run_query(
        'create or replace temporary view ' ~ view ~ ' (' ~ columns | join(', ') ~ ') as '
        ~ default__get_select_subquery(sql)
    ) -%}
    select * from {{ view }}
{%- endmacro %}
