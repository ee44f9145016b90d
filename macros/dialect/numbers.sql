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
