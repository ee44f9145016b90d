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


{#- Whole number of 60 bits for a text, the same on every engine: joins and counts faster than the text. -#}
{% macro text_key(text) -%}
    {{ return(adapter.dispatch('text_key', 'customer_engagement')(text)) }}
{%- endmacro %}

{% macro duckdb__text_key(text) -%}
    {{ return("cast('0x' || substr(md5(" ~ text ~ "), 1, 15) as bigint)") }}
{%- endmacro %}

{% macro spark__text_key(text) -%}
    {{ return("cast(conv(substr(md5(" ~ text ~ "), 1, 15), 16, 10) as bigint)") }}
{%- endmacro %}


{#- Query for one text that is another where a file's content is, of all files that a pattern names. -#}
{% macro files_fingerprint(pattern) -%}
    {{ return(adapter.dispatch('files_fingerprint', 'customer_engagement')(pattern)) }}
{%- endmacro %}

{% macro duckdb__files_fingerprint(pattern) -%}
    {{ return("select md5(string_agg(content, '' order by filename)) from read_text('" ~ pattern ~ "')") }}
{%- endmacro %}

{#- There every refresh is whole, so that nobody has to know. -#}
{% macro spark__files_fingerprint(pattern) -%}
    {{ return("select ''") }}
{%- endmacro %}


{#- Text with everything that a regular expression finds replaced. -#}
{% macro text_replaced(text, pattern, by) -%}
    {{ return(adapter.dispatch('text_replaced', 'customer_engagement')(text, pattern, by)) }}
{%- endmacro %}

{% macro duckdb__text_replaced(text, pattern, by) -%}
    {{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '" ~ by ~ "', 'g')") }}
{%- endmacro %}

{% macro spark__text_replaced(text, pattern, by) -%}
    {{ return("regexp_replace(" ~ text ~ ", '" ~ pattern ~ "', '" ~ by ~ "')") }}
{%- endmacro %}


{#- Aggregate: the different texts of a group in their order, with a separator between them; null where there are none. -#}
{% macro joined_texts(text, separator) -%}
    {{ return(adapter.dispatch('joined_texts', 'customer_engagement')(text, separator)) }}
{%- endmacro %}

{% macro duckdb__joined_texts(text, separator) -%}
    {{ return("array_to_string(list_sort(array_agg(distinct " ~ text ~ ")), '" ~ separator ~ "')") }}
{%- endmacro %}

{% macro spark__joined_texts(text, separator) -%}
    {{ return("nullif(array_join(array_sort(collect_set(" ~ text ~ ")), '" ~ separator ~ "'), '')") }}
{%- endmacro %}
