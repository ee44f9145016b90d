with

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

office_enrichments as (

    select
        enrichment_id,
        tolerated_failures_ratio,
        is_active and is_waiting_for_consent is not true as is_read,
        sum(case when is_active and is_waiting_for_consent is not true then 1 else 0 end) over () as read_count
    from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

-- Nobody waits for what is deactivated or has no consent; where that is all of them, what was last read stays.
enrichments as (

    select
        enrichment_id,
        tolerated_failures_ratio
    from office_enrichments
    where is_read or read_count = 0

),

-- Who is denied, gone or on premises cannot be waited for.
mailboxes_that_can_be_read as (

    select distinct mailboxes.mailbox_id
    from {{ ref('stg_office__mailboxes') }} as mailboxes
    inner join enrichments on mailboxes.enrichment_id = enrichments.enrichment_id
    where
        mailboxes.mailbox_state in ('readable', 'incomplete', 'throttled')
        and mailboxes.monitored_to_at is null

),

units as (

    select
        mailbox_id,
        kind,
        min(slice_start_at) as kept_from_at,
        -- A calendar slice of the future is known only up to the moment of reading.
        max(least(read_to_at, read_at)) as read_to_at
    from {{ ref('stg_office__units') }}
    group by mailbox_id, kind

),

mailboxes_read_to as (

    select
        mailboxes.mailbox_id,
        -- A kind that was never read counts as read to nowhere.
        case when count(units.kind) = 2 then min(units.read_to_at) end as read_to_at,
        case when count(units.kind) = 2 then max(units.kept_from_at) end as kept_from_at
    from mailboxes_that_can_be_read as mailboxes
    left join units on mailboxes.mailbox_id = units.mailbox_id
    group by mailboxes.mailbox_id

),

mailboxes_ranked as (

    select
        mailbox_id,
        read_to_at,
        kept_from_at,
        row_number() over (order by read_to_at nulls first, mailbox_id nulls last) as place_from_behind,
        count(*) over () as mailbox_count
    from mailboxes_read_to

),

tolerance as (

    select min(tolerated_failures_ratio) as tolerated_failures_ratio from enrichments

),

newest_complete as (

    select
        count(*) as mailbox_count,
        count(mailboxes.read_to_at) as read_mailbox_count,
        min(mailboxes.read_to_at) as read_to_at,
        max(mailboxes.kept_from_at) as kept_from_at
    from mailboxes_ranked as mailboxes
    cross join tolerance
    -- A hair more, because 100 x 0.29 is 28.999... to a computer.
    where
        mailboxes.place_from_behind
        > floor(mailboxes.mailbox_count * tolerance.tolerated_failures_ratio + 0.000001)

),

days as (

    select
        {% if var('as_of_date') is not none %}
            cast('{{ var("as_of_date") }}' as date) as as_of_date,
        {% else %}
            cast(
                {{ local_day('newest_complete.read_to_at', 'reporting.time_zone') }}
                - interval 1 day as date
            ) as as_of_date,
        {% endif %}
        -- Slices begin at midnight UTC: a local day that they cut is not kept whole, the next one is.
        {{ local_day("newest_complete.kept_from_at + interval 1 day - interval 1 microsecond", 'reporting.time_zone') }}
            as kept_from_on
    from newest_complete
    cross join reporting
    {% if var('as_of_date') is none %}
        where newest_complete.mailbox_count = newest_complete.read_mailbox_count
    {% endif %}

)

select
    days.as_of_date,
    -- A year is the 365 days up to and including the as-of date (D6.5).
    cast(days.as_of_date - interval 364 day as date) as year_starts_on,
    days.kept_from_on,
    {{ local_midnight('days.as_of_date + interval 1 day', 'reporting.time_zone') }} as ends_before_at
from days
cross join reporting
where days.as_of_date is not null
