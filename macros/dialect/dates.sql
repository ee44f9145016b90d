{#- Calendar day of an instant (UTC) in a time zone given by an expression, e.g. reporting.time_zone. -#}
{% macro local_day(instant, time_zone) -%}
    {{ return(adapter.dispatch('local_day', 'customer_engagement')(instant, time_zone)) }}
{%- endmacro %}

{% macro duckdb__local_day(instant, time_zone) -%}
    {{ return('cast(timezone(' ~ time_zone ~ ", timezone('UTC', " ~ instant ~ ')) as date)') }}
{%- endmacro %}

{% macro spark__local_day(instant, time_zone) -%}
    {{ return('cast(from_utc_timestamp(' ~ instant ~ ', ' ~ time_zone ~ ') as date)') }}
{%- endmacro %}


{#- Whole days from one date to another; negative where `later` lies before `earlier`. -#}
{% macro days_between(earlier, later) -%}
    {{ return(adapter.dispatch('days_between', 'customer_engagement')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__days_between(earlier, later) -%}
    {{ return("cast(date_diff('day', " ~ earlier ~ ', ' ~ later ~ ') as bigint)') }}
{%- endmacro %}

{% macro spark__days_between(earlier, later) -%}
    {{ return('cast(datediff(' ~ later ~ ', ' ~ earlier ~ ') as bigint)') }}
{%- endmacro %}


{#- Whole milliseconds from one instant to another, begun ones left out: sums of them are exact in any order, and the
    engines agree (to milliseconds each instant would be rounded by one and cut by the other). -#}
{% macro milliseconds_between(earlier, later) -%}
    {{ return(adapter.dispatch('milliseconds_between', 'customer_engagement')(earlier, later)) }}
{%- endmacro %}

{% macro duckdb__milliseconds_between(earlier, later) -%}
    {{ return('((epoch_us(' ~ later ~ ') - epoch_us(' ~ earlier ~ ')) // 1000)') }}
{%- endmacro %}

{% macro spark__milliseconds_between(earlier, later) -%}
    {{ return('((unix_micros(' ~ later ~ ') - unix_micros(' ~ earlier ~ ')) div 1000)') }}
{%- endmacro %}


{#- One row per calendar day from `first_day` to `last_day`, both included. -#}
{% macro exploded_days(first_day, last_day) -%}
    {{ return(adapter.dispatch('exploded_days', 'customer_engagement')(first_day, last_day)) }}
{%- endmacro %}

{% macro duckdb__exploded_days(first_day, last_day) -%}
    {{ return('cast(unnest(generate_series(' ~ first_day ~ ', ' ~ last_day ~ ', interval 1 day)) as date)') }}
{%- endmacro %}

{#- There a sequence to an earlier day is an error. -#}
{% macro spark__exploded_days(first_day, last_day) -%}
    {{ return(
        'explode(case when ' ~ last_day ~ ' >= ' ~ first_day ~ ' then sequence(' ~ first_day ~ ', ' ~ last_day
        ~ ', interval 1 day) end)'
    ) }}
{%- endmacro %}


{#- Instant (UTC) at which a calendar day begins in a time zone given by an expression. -#}
{% macro local_midnight(day, time_zone) -%}
    {{ return(adapter.dispatch('local_midnight', 'customer_engagement')(day, time_zone)) }}
{%- endmacro %}

{% macro duckdb__local_midnight(day, time_zone) -%}
    {{ return("timezone('UTC', timezone(" ~ time_zone ~ ', cast(' ~ day ~ ' as timestamp)))') }}
{%- endmacro %}

{% macro spark__local_midnight(day, time_zone) -%}
    {{ return('to_utc_timestamp(cast(' ~ day ~ ' as timestamp), ' ~ time_zone ~ ')') }}
{%- endmacro %}


{#- An instant so many whole hours later. -#}
{% macro hours_after(instant, hours) -%}
    {{ return(adapter.dispatch('hours_after', 'customer_engagement')(instant, hours)) }}
{%- endmacro %}

{% macro duckdb__hours_after(instant, hours) -%}
    {{ return('(' ~ instant ~ ' + to_hours(' ~ hours ~ '))') }}
{%- endmacro %}

{% macro spark__hours_after(instant, hours) -%}
    {{ return('timestampadd(hour, ' ~ hours ~ ', ' ~ instant ~ ')') }}
{%- endmacro %}


{#- Calendar day (UTC) of whole seconds since 1970. -#}
{% macro day_of_seconds(seconds) -%}
    {{ return(adapter.dispatch('day_of_seconds', 'customer_engagement')(seconds)) }}
{%- endmacro %}

{% macro duckdb__day_of_seconds(seconds) -%}
    {{ return("(date '1970-01-01' + cast(floor(" ~ seconds ~ " / 86400) as integer))") }}
{%- endmacro %}

{% macro spark__day_of_seconds(seconds) -%}
    {{ return("date_add(date '1970-01-01', cast(floor(" ~ seconds ~ " / 86400) as int))") }}
{%- endmacro %}


{#- A calendar day so many whole days later. -#}
{% macro days_after(day, days) -%}
    {{ return(adapter.dispatch('days_after', 'customer_engagement')(day, days)) }}
{%- endmacro %}

{% macro duckdb__days_after(day, days) -%}
    {{ return('(' ~ day ~ ' + cast(' ~ days ~ ' as integer))') }}
{%- endmacro %}

{% macro spark__days_after(day, days) -%}
    {{ return('date_add(' ~ day ~ ', cast(' ~ days ~ ' as int))') }}
{%- endmacro %}
