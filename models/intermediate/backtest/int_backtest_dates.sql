{%- set dates_asked_for = var('backtest_dates') -%}
with

as_of as (

    select * from {{ ref('as_of') }}

),

days as (

    select
        {{ exploded_days('cast(as_of.kept_from_on + interval 364 day as date)', 'as_of.as_of_date') }} as day_on,
        cast(as_of.as_of_date - interval {{ var('chance_days') }} day as date) as last_judged_on
    from as_of
    where cast(as_of.kept_from_on + interval 364 day as date) <= as_of.as_of_date

)

-- A past date can be judged where the whole year before it is kept and the days after it have passed.
select day_on as scored_on
from days
where
    day_on <= last_judged_on
    {%- if dates_asked_for %}
        and day_on in (date '{{ dates_asked_for | join("', date '") }}')
    {%- else %}
        -- the ends of the quarters
        and day_on = cast(date_trunc('quarter', day_on) + interval 3 month - interval 1 day as date)
    {%- endif %}
