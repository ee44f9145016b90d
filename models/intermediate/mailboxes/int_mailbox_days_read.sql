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

-- Slices are of UTC and of any length: a local day may begin in one and end in another.
local_days as (

    select
        day_on,
        {{ local_midnight('day_on', 'time_zone') }} as starts_at,
        {{ local_midnight('day_on + interval 1 day', 'time_zone') }} as ends_at
    from days

),

-- The slices of the ledger never overlap, so what they cover of a day adds up.
days_covered as (

    select
        mailboxes.enrichment_id,
        mailboxes.mailbox_id,
        local_days.day_on,
        units.kind,
        sum(
            {{
                milliseconds_between(
                    'greatest(units.slice_start_at, local_days.starts_at)',
                    'least(units.read_to_at, local_days.ends_at)',
                )
            }}
        ) as covered_milliseconds,
        max({{ milliseconds_between('local_days.starts_at', 'local_days.ends_at') }}) as day_milliseconds
    from mailboxes
    inner join units on mailboxes.mailbox_id = units.mailbox_id
    inner join local_days
        on units.slice_start_at < local_days.ends_at and units.read_to_at > local_days.starts_at
    group by mailboxes.enrichment_id, mailboxes.mailbox_id, local_days.day_on, units.kind

)

select
    enrichment_id,
    mailbox_id,
    day_on
from days_covered
where covered_milliseconds >= day_milliseconds
group by enrichment_id, mailbox_id, day_on
-- Both mail and calendar.
having count(*) = 2
