{#- Whole number drawn from the Poisson distribution with mean 1, always the same for the same text: the first eight
    digits of the text's MD5 beside the distribution's cumulated shares times 16^8, as texts, on every engine alike. -#}
{% macro poisson_draw(text) -%}
    {%- set shares = [
        '5e2d58d9', 'bc5ab1b1', 'eb715e1e', 'fb239797', 'ff1025f6', 'ffd90f3c', 'fffa8b72', 'ffff540c', 'ffffed1f',
        'fffffe21',
    ] -%}
    {%- set cases = [] -%}
    {%- for share in shares -%}
        {%- do cases.append('when substr(md5(' ~ text ~ "), 1, 8) < '" ~ share ~ "' then " ~ loop.index0) -%}
    {%- endfor -%}
    {{ return('case ' ~ cases | join(' ') ~ ' else ' ~ shares | length ~ ' end') }}
{%- endmacro %}
