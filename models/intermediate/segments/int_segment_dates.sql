with

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

runs as (

    select * from {{ ref('stg_runs__runs') }}

),

-- Without mailboxes there is no as-of date: accounts are judged by what was known on the day of the newest run.
current_days as (

    select
        as_of_date as judged_on,
        kept_from_on
    from as_of

    union all

    select
        max({{ local_day('runs.started_at', 'reporting.time_zone') }}) as judged_on,
        cast(null as date) as kept_from_on
    from runs
    cross join reporting
    where not exists (select as_of.as_of_date from as_of)
    having max(runs.started_at) is not null

),

past_days as (

    select
        {{ exploded_days(
            'cast(judged_on - interval ' ~ var('segment_history_weeks') ~ ' week + interval 1 day as date)', 'judged_on'
        ) }} as day_on,
        kept_from_on
    from current_days
    where kept_from_on is not null

)

select
    judged_on,
    date '9999-12-31' as known_by_on,
    true as is_current,
    true as is_judged
from current_days

union all

-- As the score's history: the end of each ISO week whose whole year is kept, as it was known then.
select
    past_days.day_on as judged_on,
    past_days.day_on as known_by_on,
    false as is_current,
    -- Where the as-of date ends a week, what is known of it today stands for it.
    past_days.day_on < current_days.judged_on as is_judged
from past_days
cross join current_days
where
    past_days.day_on = cast(date_trunc('week', past_days.day_on) + interval 6 day as date)
    and past_days.day_on >= cast(past_days.kept_from_on + interval 364 day as date)
