with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

as_of as (

    select * from {{ ref('as_of') }}

),

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where monitored_to_at is null and mailbox_state in ('readable', 'incomplete', 'throttled')

),

mailbox_days_read as (

    select * from {{ ref('int_mailbox_days_read') }}

),

mailboxes_counted as (

    select
        enrichment_id,
        count(*) as mailboxes_count
    from mailboxes
    group by enrichment_id

),

days as (

    select {{ exploded_days('year_starts_on', 'as_of_date') }} as day_on
    from as_of

),

days_read as (

    select
        enrichment_id,
        day_on,
        count(*) as mailboxes_read_count
    from mailbox_days_read
    group by enrichment_id, day_on

)

-- A day counts as covered when every mailbox that can be read was read for it, mail and calendar.
select
    enrichments.enrichment_id,
    coalesce(mailboxes_counted.mailboxes_count, 0) as mailboxes_count,
    coalesce(days_read.mailboxes_read_count, 0) as mailboxes_read_count,
    coalesce(days_read.mailboxes_read_count = mailboxes_counted.mailboxes_count, false) as is_covered,
    days.day_on
from enrichments
cross join days
left join mailboxes_counted on enrichments.enrichment_id = mailboxes_counted.enrichment_id
left join days_read
    on
        enrichments.enrichment_id = days_read.enrichment_id
        and days.day_on = days_read.day_on
