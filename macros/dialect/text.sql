{#- Text of company data with everything that looks like an e-mail address, or like Exchange's own form of one, replaced;
    null stays null. The gate refuses what these patterns would have found. -#}
{% macro addresses_masked(text_column) -%}
    {{ return(adapter.dispatch('addresses_masked', 'customer_engagement')(text_column)) }}
{%- endmacro %}

{% macro duckdb__addresses_masked(text_column) -%}
    {{ return(
        "regexp_replace(regexp_replace(" ~ text_column ~ ", '[^[:space:]@<>]+@[^[:space:]@<>]+', '[address]', 'g'), "
        ~ "'/o=[^/]+/(ou|cn)=[^[:space:]]*', '[address]', 'gi')"
    ) }}
{%- endmacro %}

{% macro spark__addresses_masked(text_column) -%}
    {{ return(
        "regexp_replace(regexp_replace(" ~ text_column ~ ", '[^ @<>]+@[^ @<>]+', '[address]'), "
        ~ "'(?i)/o=[^/]+/(ou|cn)=[^ ]*', '[address]')"
    ) }}
{%- endmacro %}
