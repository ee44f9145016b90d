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
        "regexp_replace(regexp_replace(" ~ text_column ~ ", '[^\\\\s@<>]+@[^\\\\s@<>]+', '[address]'), "
        ~ "'(?i)/o=[^/]+/(ou|cn)=[^\\\\s]*', '[address]')"
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


{#- Text without the spaces, of every width, at its ends; tabs and ends of lines stay. -#}
{% macro trimmed(text) -%}
    {{ return(adapter.dispatch('trimmed', 'customer_engagement')(text)) }}
{%- endmacro %}

{% macro duckdb__trimmed(text) -%}
    {{ return('trim(' ~ text ~ ')') }}
{%- endmacro %}

{#- There trim alone takes the narrow space only; these are Unicode's separators (Zs). -#}
{% macro spark__trimmed(text) -%}
    {%- set spaces = [' '] -%}
    {%- for code in ['00a0', '1680', '2000', '2001', '2002', '2003', '2004', '2005', '2006', '2007', '2008', '2009', '200a',
        '202f', '205f', '3000'] -%}
        {%- do spaces.append('\\u' ~ code) -%}
    {%- endfor -%}
    {{ return("trim(both '" ~ spaces | join ~ "' from " ~ text ~ ')') }}
{%- endmacro %}


{#- Text in lower case, each character by itself. -#}
{% macro lowered(text) -%}
    {{ return(adapter.dispatch('lowered', 'customer_engagement')(text)) }}
{%- endmacro %}

{% macro duckdb__lowered(text) -%}
    {{ return('lower(' ~ text ~ ')') }}
{%- endmacro %}

{#- There two letters would become something else than their own small one: a dotted I, and a sigma at a word's end. -#}
{% macro spark__lowered(text) -%}
    {{ return('lower(translate(' ~ text ~ ", 'İΣ', 'iσ'))") }}
{%- endmacro %}


{#- Day that a text begins with, as yyyy-mm-dd; null where it is none. -#}
{% macro text_as_day(text) -%}
    {{ return(adapter.dispatch('text_as_day', 'customer_engagement')(text)) }}
{%- endmacro %}

{% macro duckdb__text_as_day(text) -%}
    {{ return('try_cast(substr(' ~ text ~ ', 1, 10) as date)') }}
{%- endmacro %}

{#- There 2024 and 2024-05 would be days too. -#}
{% macro spark__text_as_day(text) -%}
    {%- set day = 'substr(' ~ text ~ ', 1, 10)' -%}
    {{ return('case when regexp_like(' ~ day ~ ", '^[0-9]+-[0-9]+-[0-9]+$') then try_cast(" ~ day ~ ' as date) end') }}
{%- endmacro %}
