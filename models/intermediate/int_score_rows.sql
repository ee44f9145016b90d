with

account_periods as (

    select * from {{ ref('int_account_periods_aggregated') }}

),

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

days as (

    select
        {{ exploded_days('cast(as_of.kept_from_on + interval 364 day as date)', 'as_of.as_of_date') }} as day_on
    from as_of
    -- A past week is scored only where its whole year is kept (D6.10).
    where cast(as_of.kept_from_on + interval 364 day as date) <= as_of.as_of_date

),

week_ends as (

    select day_on as week_ends_on
    from days
    where day_on = cast(date_trunc('week', day_on) + interval 6 day as date)

)

select
    account_periods.enrichment_id,
    account_periods.account_id,
    account_periods.aggregation_level as score_series,
    account_periods.period_starts_on,
    account_periods.counts_to_on as scored_on,
    -- what is known today, whenever it came to be known
    date '9999-12-31' as known_by_on
from account_periods

union all

-- The year as it was known at each week's end.
select distinct
    account_days.enrichment_id,
    account_days.account_id,
    'history' as score_series,
    cast(week_ends.week_ends_on - interval 364 day as date) as period_starts_on,
    week_ends.week_ends_on as scored_on,
    week_ends.week_ends_on as known_by_on
from account_days
inner join week_ends
    on
        account_days.happened_on <= week_ends.week_ends_on
        and account_days.happened_on >= cast(week_ends.week_ends_on - interval 364 day as date)
        and account_days.known_on <= week_ends.week_ends_on
