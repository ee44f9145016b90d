with

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where mailbox_state in ('readable', 'incomplete', 'throttled') and monitored_to_at is null

),

units as (

    select * from {{ ref('stg_office__units') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

days as (

    select
        {{ exploded_days('as_of.year_starts_on', 'as_of.as_of_date') }} as day_on,
        reporting.time_zone
    from as_of
    cross join reporting

),

-- Slices are days of UTC: a local day begins in one of them and may end in the next.
days_in_utc as (

    select
        day_on,
        cast({{ local_midnight('day_on', 'time_zone') }} as date) as utc_day_on
    from days

    union distinct

    select
        day_on,
        cast(
            {{ local_midnight('day_on + interval 1 day', 'time_zone') }} - interval 1 microsecond as date
        ) as utc_day_on
    from days

),

utc_days_needed as (

    select
        day_on,
        count(*) as utc_day_count
    from days_in_utc
    group by day_on

),

utc_days_read as (

    select distinct
        mailboxes.enrichment_id,
        mailboxes.mailbox_id,
        days_in_utc.day_on,
        days_in_utc.utc_day_on,
        units.kind
    from mailboxes
    inner join units on mailboxes.mailbox_id = units.mailbox_id
    inner join days_in_utc
        on
            cast(units.slice_start_at as date) <= days_in_utc.utc_day_on
            and cast(units.read_to_at - interval 1 microsecond as date) >= days_in_utc.utc_day_on

),

utc_days_read_counted as (

    select
        enrichment_id,
        mailbox_id,
        day_on,
        count(*) as kind_and_utc_day_count
    from utc_days_read
    group by enrichment_id, mailbox_id, day_on

)

select
    utc_days_read_counted.enrichment_id,
    utc_days_read_counted.mailbox_id,
    utc_days_read_counted.day_on
from utc_days_read_counted
inner join utc_days_needed on utc_days_read_counted.day_on = utc_days_needed.day_on
-- Both mail and calendar.
where utc_days_read_counted.kind_and_utc_day_count = 2 * utc_days_needed.utc_day_count
