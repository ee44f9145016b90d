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
