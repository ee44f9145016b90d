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

backtest_dates as (

    select * from {{ ref('int_backtest_dates') }}

),

days as (

    select
        {{ exploded_days('cast(as_of.kept_from_on + interval 364 day as date)', 'as_of.as_of_date') }} as day_on
    from as_of
    -- A past week is scored only where its whole year is kept (D6.10).
    where cast(as_of.kept_from_on + interval 364 day as date) <= as_of.as_of_date

),

past_days as (

    select
        'history' as score_series,
        day_on as scored_on
    from days
    where day_on = cast(date_trunc('week', day_on) + interval 6 day as date)

    union all

    select
        'backtest' as score_series,
        scored_on
    from backtest_dates

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

-- The year as it was known at each week's end, and at each date that the score is judged by.
select distinct
    account_days.enrichment_id,
    account_days.account_id,
    past_days.score_series,
    cast(past_days.scored_on - interval 364 day as date) as period_starts_on,
    past_days.scored_on,
    past_days.scored_on as known_by_on
from account_days
inner join past_days
    on
        account_days.happened_on <= past_days.scored_on
        and account_days.happened_on >= cast(past_days.scored_on - interval 364 day as date)
        and account_days.known_on <= past_days.scored_on
