with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where is_active and not is_waiting_for_consent

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

-- A day that was asked for by name is as old as it is.
enrichment_runs as (

    select * from {{ ref('stg_runs__enrichment_runs') }}
    where {{ 'true' if var('as_of_date') is none else 'false' }}

),

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where monitored_to_at is null and mailbox_state in ('readable', 'incomplete', 'throttled')

),

mailbox_days_read as (

    select * from {{ ref('int_mailbox_days_read') }}

),

lookups as (

    select * from {{ ref('int_lookups_resolved') }}

),

listings as (

    select
        enrichment_id,
        max(listed_at) as listed_at
    from {{ ref('stg_leadspace__listings') }}
    group by enrichment_id

),

newest_run as (

    select max(started_at) as started_at from enrichment_runs

),

last_updates as (

    select
        enrichment_id,
        max(case when enrichment_run_state in ('successful', 'completed_with_warnings') then started_at end)
            as updated_at,
        max(started_at) as tried_at,
        max(read_to_at) as read_to_at
    from enrichment_runs
    group by enrichment_id

),

-- An export has one moment however often it is read.
first_reads as (

    select
        enrichment_runs.enrichment_id,
        last_updates.read_to_at,
        last_updates.tried_at,
        min(enrichment_runs.started_at) as first_read_at
    from enrichment_runs
    inner join last_updates
        on
            enrichment_runs.enrichment_id = last_updates.enrichment_id
            and enrichment_runs.read_to_at = last_updates.read_to_at
    group by enrichment_runs.enrichment_id, last_updates.read_to_at, last_updates.tried_at

),

office_ages as (

    select
        enrichments.enrichment_id,
        as_of.as_of_date,
        -- By the service's clock. The day of reading is not over, so the day before is the newest there can be.
        {{ days_between('as_of.as_of_date', local_day('last_updates.read_to_at', 'reporting.time_zone')) }} - 1
            as days_behind
    from enrichments
    cross join as_of
    cross join reporting
    inner join last_updates on enrichments.enrichment_id = last_updates.enrichment_id
    where enrichments.enrichment_type = 'office'

),

mailboxes_counted as (

    select
        enrichment_id,
        count(*) as mailboxes_count
    from mailboxes
    group by enrichment_id

),

days_counted as (

    select
        enrichment_id,
        day_on,
        count(*) as mailboxes_read_count
    from mailbox_days_read
    group by enrichment_id, day_on

),

-- As in the mart office_days: a day is covered when every mailbox that can be read was read for it.
covered as (

    select
        days_counted.enrichment_id,
        max(as_of.as_of_date) as as_of_date,
        max(days_counted.day_on) as newest_covered_on,
        {{ days_between('max(days_counted.day_on)', 'max(as_of.as_of_date)') }} as days_behind
    from days_counted
    cross join as_of
    inner join enrichments on days_counted.enrichment_id = enrichments.enrichment_id
    inner join mailboxes_counted
        on
            days_counted.enrichment_id = mailboxes_counted.enrichment_id
            and days_counted.mailboxes_read_count = mailboxes_counted.mailboxes_count
    group by days_counted.enrichment_id

),

answers_counted as (

    select
        lookups.enrichment_id,
        max(enrichments.max_age_days) as max_age_days,
        max(listings.listed_at) as listed_at,
        count(*) as answered_count,
        sum(
            case
                when
                    {{ days_between('cast(lookups.answered_at as date)', 'cast(listings.listed_at as date)') }}
                    > enrichments.max_age_days
                    then 1
                else 0
            end
        ) as old_count
    from lookups
    inner join enrichments on lookups.enrichment_id = enrichments.enrichment_id
    inner join listings on lookups.enrichment_id = listings.enrichment_id
    where lookups.answered_at is not null and lookups.is_in_dataset
    group by lookups.enrichment_id

)

select
    office_ages.enrichment_id,
    'freshness' as check_name,
    'newest_day' as subject,
    'warning' as severity,
    cast(office_ages.days_behind as double) as observed,
    cast(0 as double) as expected_low,
    limits.freshness_days as expected_high,
    'days' as unit,
    office_ages.as_of_date as day_on,
    cast(office_ages.as_of_date + interval 1 day as date) as since_on,
    'The newest day that counts is ' || cast(office_ages.as_of_date as string) || ', '
    || cast(office_ages.days_behind as string)
    || ' days before the newest that the last run could have; see in marts.office_gaps what is missing, and run again.'
        as finding
from office_ages
cross join limits
where office_ages.days_behind > limits.freshness_days

union all

select
    covered.enrichment_id,
    'freshness' as check_name,
    'newest_day_of_all_mailboxes' as subject,
    'warning' as severity,
    cast(covered.days_behind as double) as observed,
    cast(0 as double) as expected_low,
    limits.freshness_days as expected_high,
    'days' as unit,
    covered.as_of_date as day_on,
    cast(covered.newest_covered_on + interval 1 day as date) as since_on,
    'The newest day for which every mailbox has been read is ' || cast(covered.newest_covered_on as string) || ', '
    || cast(covered.days_behind as string)
    || ' days before ' || cast(covered.as_of_date as string)
    || '; run again, and see `engagement doctor` where it stays so.' as finding
from covered
cross join limits
where covered.days_behind > limits.freshness_days

union all

select
    enrichments.enrichment_id,
    'freshness' as check_name,
    'same_source' as subject,
    'warning' as severity,
    floor({{ milliseconds_between('first_reads.first_read_at', 'first_reads.tried_at') }} / 86400000) as observed,
    cast(0 as double) as expected_low,
    coalesce(enrichments.refresh_hours, 0) / 24 + limits.freshness_days as expected_high,
    'days' as unit,
    cast(null as date) as day_on,
    cast(first_reads.first_read_at as date) as since_on,
    'Mail and calendars of the run on ' || cast(cast(first_reads.tried_at as date) as string)
    || ' are those that the run on ' || cast(cast(first_reads.first_read_at as date) as string)
    || ' had; get a newer export.' as finding
from enrichments
cross join limits
inner join first_reads on enrichments.enrichment_id = first_reads.enrichment_id
where
    {{ milliseconds_between('first_reads.first_read_at', 'first_reads.tried_at') }}
    > (coalesce(enrichments.refresh_hours, 0) + 24 * limits.freshness_days) * 3600000

union all

select
    enrichments.enrichment_id,
    'freshness' as check_name,
    'last_update' as subject,
    'warning' as severity,
    floor({{ milliseconds_between('last_updates.updated_at', 'newest_run.started_at') }} / 86400000) as observed,
    cast(0 as double) as expected_low,
    enrichments.refresh_hours / 24 + limits.freshness_days as expected_high,
    'days' as unit,
    cast(null as date) as day_on,
    cast(last_updates.updated_at as date) as since_on,
    'Last refreshed on ' || cast(cast(last_updates.updated_at as date) as string) || ', though it is to be '
    || enrichments.refresh_frequency || ' and the newest run was on '
    || cast(cast(newest_run.started_at as date) as string)
    || '; see its status in `engagement status` for what stops it.' as finding
from enrichments
cross join limits
cross join newest_run
inner join last_updates on enrichments.enrichment_id = last_updates.enrichment_id
where
    enrichments.refresh_hours is not null
    and {{ milliseconds_between('last_updates.updated_at', 'newest_run.started_at') }}
    > (enrichments.refresh_hours + 24 * limits.freshness_days) * 3600000

union all

select
    answers_counted.enrichment_id,
    'freshness' as check_name,
    'old_answers' as subject,
    'warning' as severity,
    cast(answers_counted.old_count as double) as observed,
    cast(0 as double) as expected_low,
    floor(limits.old_answers_ratio * answers_counted.answered_count) as expected_high,
    'customers' as unit,
    cast(null as date) as day_on,
    cast(null as date) as since_on,
    cast(answers_counted.old_count as string) || ' of ' || cast(answers_counted.answered_count as string)
    || ' customers have an answer of Leadspace older than ' || cast(answers_counted.max_age_days as string)
    || ' days; run again, and raise `max_lookups` where it is set.' as finding
from answers_counted
cross join limits
where answers_counted.old_count > limits.old_answers_ratio * answers_counted.answered_count
