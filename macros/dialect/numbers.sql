{#- One row per whole number from `first` to `last`, both included; none where `last` is smaller. -#}
{% macro exploded_numbers(first, last) -%}
    {{ return(adapter.dispatch('exploded_numbers', 'customer_engagement')(first, last)) }}
{%- endmacro %}

{% macro duckdb__exploded_numbers(first, last) -%}
    {{ return('unnest(generate_series(' ~ first ~ ', ' ~ last ~ '))') }}
{%- endmacro %}

{#- There a sequence to a smaller number counts down. -#}
{% macro spark__exploded_numbers(first, last) -%}
    {{ return('explode(case when ' ~ last ~ ' >= ' ~ first ~ ' then sequence(' ~ first ~ ', ' ~ last ~ ') end)') }}
{%- endmacro %}


{#- Aggregate: the value below which a share (0..1) of the values lies, between two values in proportion; nulls are left
    out. -#}
{% macro quantile(value, share) -%}
    {{ return(adapter.dispatch('quantile', 'customer_engagement')(value, share)) }}
{%- endmacro %}

{% macro duckdb__quantile(value, share) -%}
    {{ return('quantile_cont(' ~ value ~ ', ' ~ share ~ ')') }}
{%- endmacro %}

{% macro spark__quantile(value, share) -%}
    {{ return('percentile(' ~ value ~ ', ' ~ share ~ ')') }}
{%- endmacro %}


{#- Text of a number with separators: 1,234.5; at most one digit behind the point, none where it is whole. -#}
{% macro number_with_separators(number) -%}
    {{ return(adapter.dispatch('number_with_separators', 'customer_engagement')(number)) }}
{%- endmacro %}

{% macro duckdb__number_with_separators(number) -%}
    {{ return("regexp_replace(format('{:,.1f}', cast(" ~ number ~ " as double)), '[.]0$', '')") }}
{%- endmacro %}

{% macro spark__number_with_separators(number) -%}
    {{ return("regexp_replace(format_number(cast(" ~ number ~ " as double), 1), '[.]0$', '')") }}
{%- endmacro %}


{#- Text of a value of any type; of a double its shortest digits, with an exponent from 1e16 on and below 0.0001. -#}
{% macro as_text(value) -%}
    {{ return(adapter.dispatch('as_text', 'customer_engagement')(value)) }}
{%- endmacro %}

{% macro duckdb__as_text(value) -%}
    {{ return('cast(' ~ value ~ ' as string)') }}
{%- endmacro %}

{#- There doubles have an exponent from ten millions on; 6.536E7 is 65360000.0. -#}
{% macro spark__as_text(value) -%}
    {{ return(
        "case when typeof(" ~ value ~ ") = 'double' then "
        ~ double_as_text(
            'try_cast(' ~ value ~ ' as double)', '1e-4', '1e16',
            "case when {0} < 0 then '-' else '+' end || lpad(cast(abs({0}) as string), case when abs({0}) < 100 then 2 else 3 end, '0')"
        )
        ~ ' else cast(' ~ value ~ ' as string) end'
    ) }}
{%- endmacro %}

{#- Spark's text of a double, with an exponent (written as `exponent` has it, a form with {0} for the number) below
    `smallest` and from `largest` on only. A double has at most 17 digits, so that the decimals hold all of them. -#}
{% macro double_as_text(value, smallest, largest, exponent) -%}
    {%- set text = 'cast(' ~ value ~ ' as string)' -%}
    {%- set power = 'cast(substring_index(' ~ text ~ ", 'E', -1) as int)" -%}
    {{ return(
        'case when ' ~ text ~ " in ('NaN', 'Infinity', '-Infinity') then replace(lower(" ~ text ~ "), 'inity', '')"
        ~ ' when instr(' ~ text ~ ", 'E') = 0 then " ~ text
        ~ ' when abs(' ~ value ~ ') < ' ~ smallest ~ ' or abs(' ~ value ~ ') >= ' ~ largest
        ~ ' then regexp_replace(substring_index(' ~ text ~ ", 'E', 1), '[.]0$', '') || 'e' || " ~ exponent.format(power)
        ~ ' when abs(' ~ value ~ ") >= 1 then regexp_replace(cast(try_cast(" ~ text
        ~ " as decimal(38, 16)) as string), '([.][0-9]+?)0+$', '$1')"
        ~ ' else regexp_replace(cast(try_cast(' ~ text ~ " as decimal(38, 24)) as string), '([.][0-9]+?)0+$', '$1') end"
    ) }}
{%- endmacro %}


{#- Number of a text; null where it is none. -#}
{% macro text_as_number(text) -%}
    {{ return(adapter.dispatch('text_as_number', 'customer_engagement')(text)) }}
{%- endmacro %}

{% macro duckdb__text_as_number(text) -%}
    {{ return('try_cast(' ~ text ~ ' as double)') }}
{%- endmacro %}

{#- There 1d and 1f would be numbers too, as in Java, and 1_000 would be none. -#}
{% macro spark__text_as_number(text) -%}
    {%- set number = '[+-]?([0-9_]+[.]?[0-9_]*|[.][0-9_]+)(e[+-]?[0-9]+)?|[+-]?inf(inity)?|nan' -%}
    {{ return(
        'case when regexp_like(lower(' ~ text ~ "), '^ *(" ~ number ~ ") *$') then try_cast(replace(" ~ text
        ~ ", '_', '') as double) end"
    ) }}
{%- endmacro %}


{#- Whole number nearest to a double, of two the even one; null where it is too large for one. -#}
{% macro nearest_whole(number) -%}
    {{ return(adapter.dispatch('nearest_whole', 'customer_engagement')(number)) }}
{%- endmacro %}

{% macro duckdb__nearest_whole(number) -%}
    {{ return('try_cast(' ~ number ~ ' as bigint)') }}
{%- endmacro %}

{#- There a cast cuts off what is behind the point. -#}
{% macro spark__nearest_whole(number) -%}
    {{ return('try_cast(rint(' ~ number ~ ') as bigint)') }}
{%- endmacro %}
