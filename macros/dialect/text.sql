{#- Text of company data with everything that looks like an e-mail address replaced; null stays null. -#}
{% macro addresses_masked(text_column) -%}
    {{ return(adapter.dispatch('addresses_masked', 'customer_engagement')(text_column)) }}
{%- endmacro %}

{% macro duckdb__addresses_masked(text_column) -%}
    {{ return("regexp_replace(" ~ text_column ~ ", '[^[:space:]@<>]+@[^[:space:]@<>]+', '[address]', 'g')") }}
{%- endmacro %}

{% macro spark__addresses_masked(text_column) -%}
    {{ return("regexp_replace(" ~ text_column ~ ", '[^ @<>]+@[^ @<>]+', '[address]')") }}
{%- endmacro %}
