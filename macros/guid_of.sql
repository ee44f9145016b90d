{#- GUID of a text, the same on every engine and in every run: its MD5 in the usual 8-4-4-4-12. -#}
{% macro guid_of(text) -%}
    {%- set hash = 'md5(' ~ text ~ ')' -%}
    {{ return(
        'substr(' ~ hash ~ ", 1, 8) || '-' || substr(" ~ hash ~ ", 9, 4) || '-' || substr(" ~ hash ~ ", 13, 4) || '-' || substr("
        ~ hash ~ ", 17, 4) || '-' || substr(" ~ hash ~ ', 21, 12)'
    ) }}
{%- endmacro %}
