{#- In the place of dbt-spark's own, which in a session puts texts between quotes without escaping those in them, and on
    every method takes whole numbers for doubles, which are not exact beyond 2^53. -#}
{% macro spark__load_csv_rows(model, agate_table) -%}
    {%- set column_types = model['config'].get('column_types', {}) -%}
    {%- set statements = [] -%}
    {%- for chunk in agate_table.rows | batch(get_batch_size()) -%}
        {%- set rows = [] -%}
        {%- for row in chunk -%}
            {%- set cells = [] -%}
            {%- for name in agate_table.column_names -%}
                {%- set data_type = column_types.get(name, adapter.convert_type(agate_table, loop.index0)) -%}
                {%- set cell = row[name] -%}
                {%- set literal = 'null' if cell is none
                    else "'" ~ cell | string | replace('\\', '\\\\') | replace("'", "\\'") ~ "'" -%}
                {%- do cells.append('cast(' ~ literal ~ ' as ' ~ data_type ~ ')') -%}
            {%- endfor -%}
            {%- do rows.append('(' ~ cells | join(', ') ~ ')') -%}
        {%- endfor -%}
        {%- set sql = 'insert into ' ~ this.render() ~ ' values ' ~ rows | join(', ') -%}
        {%- do adapter.add_query(sql, abridge_sql_log=True) -%}
        {%- do statements.append(sql) -%}
    {%- endfor -%}
    {{ return(statements[0] if statements else '') }}
{%- endmacro %}
