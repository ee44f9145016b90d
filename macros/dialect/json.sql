{#- Text at a dotted path of JSON; null where it is absent, null or empty: services mean the same by the three. -#}
{% macro json_text(json_column, path) -%}
    {{ return(adapter.dispatch('json_text', 'customer_engagement')(json_column, path)) }}
{%- endmacro %}

{% macro duckdb__json_text(json_column, path) -%}
    {{ return("nullif(trim(json_extract_string(" ~ json_column ~ ", '$." ~ path ~ "')), '')") }}
{%- endmacro %}

{% macro spark__json_text(json_column, path) -%}
    {{ return("nullif(trim(get_json_object(" ~ json_column ~ ", '$." ~ path ~ "')), '')") }}
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
