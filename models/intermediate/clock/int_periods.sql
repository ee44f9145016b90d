with

as_of as (

    select * from {{ ref('as_of') }}

),

days as (

    select
        {{ exploded_days('as_of.year_starts_on', 'as_of.as_of_date') }} as day_on,
        as_of.year_starts_on,
        as_of.as_of_date
    from as_of

),

calendar_periods as (

    select distinct
        'month' as aggregation_level,
        cast(date_trunc('month', day_on) as date) as period_starts_on,
        cast(date_trunc('month', day_on) + interval 1 month - interval 1 day as date) as period_ends_on,
        year_starts_on,
        as_of_date
    from days

    union all

    select distinct
        'week' as aggregation_level,
        cast(date_trunc('week', day_on) as date) as period_starts_on,
        cast(date_trunc('week', day_on) + interval 6 day as date) as period_ends_on,
        year_starts_on,
        as_of_date
    from days

    union all

    select
        'year' as aggregation_level,
        year_starts_on as period_starts_on,
        as_of_date as period_ends_on,
        year_starts_on,
        as_of_date
    from as_of

)

-- Months and weeks are those that touch the year, counting only its days, so that they add up to it (D6.5).
select
    aggregation_level,
    period_starts_on,
    greatest(period_starts_on, year_starts_on) as counts_from_on,
    least(period_ends_on, as_of_date) as counts_to_on,
    period_starts_on < year_starts_on or period_ends_on > as_of_date as is_cut
from calendar_periods
