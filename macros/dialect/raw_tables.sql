{#- Makes the raw tables that are not there, or says where they lie; `version` is that of this release. -#}
{% macro make_raw_tables(sources, version) -%}
    {{ return(adapter.dispatch('make_raw_tables', 'customer_engagement')(sources, version)) }}
{%- endmacro %}

{% macro duckdb__make_raw_tables(sources, version) -%}
    {%- set existing = {} -%}
    {#- run_query begins no transaction of its own, which would take the statements below back at its end -#}
    {%- for row in run_query(
        "select table_name, column_name from information_schema.columns where table_catalog = current_database()"
        ~ " and table_schema = 'raw' order by table_name, ordinal_position"
    ).rows -%}
        {%- do existing.setdefault(row[0], []).append(row[1]) -%}
    {%- endfor -%}
    {%- do require_private_file_version(sources, existing, version) -%}
    {%- do run_query('create schema if not exists raw') -%}
    {%- for source in sources if not existing.get(source.identifier) -%}
        {%- do run_query('create table if not exists raw.' ~ source.identifier ~ ' (' ~ raw_columns(source) ~ ')') -%}
    {%- endfor -%}
    {%- do run_query(
        "insert into raw.settings select '', 'private_file.version', '" ~ version ~ "' where not exists"
        ~ " (select 1 from raw.settings where enrichment_id = '' and key = 'private_file.version')"
    ) -%}
{%- endmacro %}

{#- There they are files that stand where `engagement raw-to-parquet` has put them, and a table without any is empty. They
    are named anew by every dbt, since the folder may be another one than before; nothing of theirs is read for that. -#}
{% macro spark__make_raw_tables(sources, version) -%}
    {%- set folder = env_var('ENGAGEMENT_RAW_PARQUET', '') -%}
    {%- if not folder -%}
        {{ exceptions.raise_compiler_error(
            'ENGAGEMENT_RAW_PARQUET is not set: set it to the folder that `engagement raw-to-parquet` has written, as an'
            ~ ' absolute path or an address that Spark can read (docs/spark.md)'
        ) }}
    {%- endif -%}
    {%- do run_query('create schema if not exists raw') -%}
    {%- for source in sources -%}
        {%- do run_query('drop table if exists raw.' ~ source.identifier) -%}
        {%- do run_query(
            'create table raw.' ~ source.identifier ~ ' (' ~ raw_columns(source) ~ ") using parquet location '"
            ~ folder ~ '/' ~ source.identifier ~ "'"
        ) -%}
    {%- endfor -%}
    {%- do require_private_file_version([], {'settings': []}, version) -%}
{%- endmacro %}

{#- Columns of a raw table with their types. -#}
{% macro raw_columns(source) -%}
    {%- set columns = [] -%}
    {%- for column in source.columns.values() -%}
        {%- do columns.append(column.name ~ ' ' ~ raw_type(column.data_type)) -%}
    {%- endfor -%}
    {{ return(columns | join(', ')) }}
{%- endmacro %}


{#- DuckDB's and Spark's names of a type of the sources' YAML. -#}
{% macro raw_type(data_type) -%}
    {{ return(adapter.dispatch('raw_type', 'customer_engagement')(data_type)) }}
{%- endmacro %}

{% macro duckdb__raw_type(data_type) -%}
    {{ return(data_type | replace('array<', '') | replace('>', '[]')) }}
{%- endmacro %}

{% macro spark__raw_type(data_type) -%}
    {{ return(data_type) }}
{%- endmacro %}
