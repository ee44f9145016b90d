with

copies as (

    select * from {{ ref('int_message_copies_countable') }}

),

mailbox_days_read as (

    select * from {{ ref('int_mailbox_days_read') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

days as (

    select distinct mailbox_days_read.day_on
    from mailbox_days_read
    cross join as_of
    cross join limits
    where
        {{ days_between('mailbox_days_read.day_on', 'as_of.as_of_date') }}
        < greatest(limits.quiet_history_days, limits.days_judged + 7 * limits.history_weeks)

),

first_instant as (

    select {{ local_midnight('min(days.day_on)', 'max(reporting.time_zone)') }} as starts_at
    from days
    cross join reporting

),

-- The only pass over the copies, and over the recent ones alone.
copies_counted as (

    select
        copies.enrichment_id,
        copies.mailbox_id,
        {{ local_day('copies.received_at', 'reporting.time_zone') }} as day_on,
        count(*) as copies_count
    from copies
    cross join reporting
    inner join first_instant on copies.received_at >= first_instant.starts_at
    group by
        copies.enrichment_id,
        copies.mailbox_id,
        {{ local_day('copies.received_at', 'reporting.time_zone') }}

)

-- A day that was read and has no message is there with 0; a day that was not read is not there.
select
    mailbox_days_read.enrichment_id,
    mailbox_days_read.mailbox_id,
    coalesce(copies_counted.copies_count, 0) as copies_count,
    mailbox_days_read.day_on
from mailbox_days_read
inner join days on mailbox_days_read.day_on = days.day_on
left join copies_counted
    on
        mailbox_days_read.enrichment_id = copies_counted.enrichment_id
        and mailbox_days_read.mailbox_id = copies_counted.mailbox_id
        and mailbox_days_read.day_on = copies_counted.day_on
