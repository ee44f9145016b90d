{#- Text of a scalar at a dotted path of JSON; null where it is absent, null or empty (services mean the same by the three),
    and where an object or a list stands in its place. -#}
{% macro json_text(json_column, path) -%}
    {{ return(adapter.dispatch('json_text', 'customer_engagement')(json_column, path)) }}
{%- endmacro %}

{% macro duckdb__json_text(json_column, path) -%}
    {{ return("nullif(trim(json_extract_string(json_value(" ~ json_column ~ ", '$." ~ path ~ "'), '$')), '')") }}
{%- endmacro %}

{#- There a text that is itself JSON of an object or a list cannot be told from one, and is null. -#}
{% macro spark__json_text(json_column, path) -%}
    {{ return(scalar_only("get_json_object(" ~ json_column ~ ", '$." ~ path ~ "')")) }}
{%- endmacro %}

{% macro scalar_only(text) -%}
    {{ return(
        'nullif('
        ~ trimmed('case when json_object_keys(' ~ text ~ ') is null and json_array_length(' ~ text ~ ') is null then ' ~ text ~ ' end')
        ~ ", '')"
    ) }}
{%- endmacro %}


{#- Text of JSON that is a scalar itself, such as an element of a list; null as with json_text. -#}
{% macro json_scalar(json_column) -%}
    {{ return(adapter.dispatch('json_scalar', 'customer_engagement')(json_column)) }}
{%- endmacro %}

{% macro duckdb__json_scalar(json_column) -%}
    {{ return("nullif(trim(json_extract_string(json_value(" ~ json_column ~ ", '$'), '$')), '')") }}
{%- endmacro %}

{% macro spark__json_scalar(json_column) -%}
    {{ return(scalar_only(json_column)) }}
{%- endmacro %}


{#- JSON at a dotted path if it is an object, and null otherwise. -#}
{% macro json_object(json_column, path) -%}
    {{ return(adapter.dispatch('json_object', 'customer_engagement')(json_column, path)) }}
{%- endmacro %}

{% macro duckdb__json_object(json_column, path) -%}
    {%- set place = json_column ~ ", '$." ~ path ~ "'" -%}
    {{ return("case when json_type(" ~ place ~ ") = 'OBJECT' then json_extract(" ~ place ~ ") end") }}
{%- endmacro %}

{% macro spark__json_object(json_column, path) -%}
    {%- set found = "get_json_object(" ~ json_column ~ ", '$." ~ path ~ "')" -%}
    {{ return("case when json_object_keys(" ~ found ~ ") is not null then " ~ found ~ " end") }}
{%- endmacro %}


{#- One row per element, as JSON, of an array at a dotted path; none where it is absent, null, empty or no array. -#}
{% macro exploded_json(json_column, path) -%}
    {{ return(adapter.dispatch('exploded_json', 'customer_engagement')(json_column, path)) }}
{%- endmacro %}

{% macro duckdb__exploded_json(json_column, path) -%}
    {{ return("unnest(json_extract(" ~ json_column ~ ", '$." ~ path ~ "[*]'))") }}
{%- endmacro %}

{% macro spark__exploded_json(json_column, path) -%}
    {{ return("explode(from_json(get_json_object(" ~ json_column ~ ", '$." ~ path ~ "'), 'array<string>'))") }}
{%- endmacro %}


{#- The same of a list of texts, which may also be one text with semicolons between its parts; json_scalar reads them. -#}
{% macro exploded_json_list(json_column, path) -%}
    {{ return(adapter.dispatch('exploded_json_list', 'customer_engagement')(json_column, path)) }}
{%- endmacro %}

{% macro duckdb__exploded_json_list(json_column, path) -%}
    {%- set place = json_column ~ ", '$." ~ path ~ "'" -%}
    {{ return(
        "unnest(json_extract(case json_type(" ~ place ~ ") when 'VARCHAR' then to_json(string_split(json_extract_string("
        ~ place ~ "), ';')) else json_extract(" ~ place ~ ") end, '$[*]'))"
    ) }}
{%- endmacro %}

{% macro spark__exploded_json_list(json_column, path) -%}
    {%- set found = "get_json_object(" ~ json_column ~ ", '$." ~ path ~ "')" -%}
    {{ return(
        "explode(case when json_array_length(" ~ found ~ ") is not null then from_json(" ~ found
        ~ ", 'array<string>') when json_object_keys(" ~ found ~ ") is null then split(" ~ found ~ ", ';') end)"
    ) }}
{%- endmacro %}


{#- One row per name of the members of JSON that is an object; none where it is null or something else. -#}
{% macro exploded_json_names(json_column) -%}
    {{ return(adapter.dispatch('exploded_json_names', 'customer_engagement')(json_column)) }}
{%- endmacro %}

{% macro duckdb__exploded_json_names(json_column) -%}
    {{ return('unnest(json_keys(' ~ json_column ~ '))') }}
{%- endmacro %}

{% macro spark__exploded_json_names(json_column) -%}
    {{ return('explode(json_object_keys(' ~ json_column ~ '))') }}
{%- endmacro %}


{#- JSON of the member of an object that a column names. -#}
{% macro json_member(json_column, name) -%}
    {{ return(adapter.dispatch('json_member', 'customer_engagement')(json_column, name)) }}
{%- endmacro %}

{#- A pointer takes every name, whatever stands in it. -#}
{% macro duckdb__json_member(json_column, name) -%}
    {{ return(
        'json_extract(' ~ json_column ~ ", '/' || replace(replace(" ~ name ~ ", '~', '~0'), '/', '~1'))"
    ) }}
{%- endmacro %}

{% macro spark__json_member(json_column, name) -%}
    {{ return('get_json_object(' ~ json_column ~ ", concat('$[\\'', " ~ name ~ ", '\\']'))") }}
{%- endmacro %}


{#- What JSON is: object, list, value (a text, a number, true or false); null where it is null or a text without anything. -#}
{% macro json_shape(json_column) -%}
    {{ return(adapter.dispatch('json_shape', 'customer_engagement')(json_column)) }}
{%- endmacro %}

{% macro duckdb__json_shape(json_column) -%}
    {{ return(
        'case json_type(' ~ json_column ~ ") when 'OBJECT' then 'object' when 'ARRAY' then 'list' when 'NULL' then null"
        ~ " when 'VARCHAR' " ~ "then case when trim(json_extract_string(" ~ json_column ~ ", '$')) != '' then 'value' end"
        ~ ' else case when ' ~ json_column ~ " is not null then 'value' end end"
    ) }}
{%- endmacro %}

{% macro spark__json_shape(json_column) -%}
    {{ return(
        'case when json_object_keys(' ~ json_column ~ ") is not null then 'object' when json_array_length(" ~ json_column
        ~ ") is not null then 'list' when " ~ trimmed(json_column) ~ " != '' then 'value' end"
    ) }}
{%- endmacro %}


{#- Text of a JSON list of one row's columns, each {"name": ..., "value": ...}, in the order given; a null value is null.
    `columns` maps each name to its expression: text, a whole number, a double or a truth. -#}
{% macro json_named_values(columns) -%}
    {{ return(adapter.dispatch('json_named_values', 'customer_engagement')(columns)) }}
{%- endmacro %}

{% macro duckdb__json_named_values(columns) -%}
    {%- set parts = [] -%}
    {%- for name, expression in columns.items() -%}
        {%- do parts.append("json_object('name', '" ~ name ~ "', 'value', " ~ expression ~ ")") -%}
    {%- endfor -%}
    {{ return('cast(json_array(' ~ parts | join(', ') ~ ') as string)') }}
{%- endmacro %}

{% macro spark__json_named_values(columns) -%}
    {%- set parts = [] -%}
    {%- for name, expression in columns.items() -%}
        {%- set number = 'try_cast(' ~ expression ~ ' as double)' -%}
        {%- do parts.append(
            'case when typeof(' ~ expression ~ ") = 'double' then '{\"name\":\"" ~ name ~ "\",\"value\":' || coalesce("
            ~ double_as_text(number, '1e-6', '1e21', 'cast({0} as string)') ~ ", 'null') || '}' else "
            ~ "to_json(named_struct('name', '" ~ name ~ "', 'value', " ~ expression ~ "), map('ignoreNullFields', 'false')) end"
        ) -%}
    {%- endfor -%}
    {{ return("concat('[', concat_ws(',', " ~ parts | join(', ') ~ "), ']')") }}
{%- endmacro %}


{#- Text of a JSON list of a text's parts, which a separator stands between; [] where the text is null. -#}
{% macro json_list(text, separator) -%}
    {{ return(adapter.dispatch('json_list', 'customer_engagement')(text, separator)) }}
{%- endmacro %}

{% macro duckdb__json_list(text, separator) -%}
    {{ return("coalesce(cast(to_json(string_split(" ~ text ~ ", '" ~ separator ~ "')) as string), '[]')") }}
{%- endmacro %}

{% macro spark__json_list(text, separator) -%}
    {{ return("coalesce(to_json(split(" ~ text ~ ", '" ~ separator ~ "')), '[]')") }}
{%- endmacro %}
