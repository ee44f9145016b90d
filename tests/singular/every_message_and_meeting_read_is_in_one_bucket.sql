-- Counted from what was landed, without the models between: nothing read is lost, and nothing stands in two buckets.
-- A build in part tells apart the messages that it made again; all others were told apart when they were made.
{%- set touched, read_before = ref('int_messages_touched'), ref('int_messages_read') %}
{%- set in_part = execute and refreshes_in_part() %}

with

mailboxes as (

    select
        mailboxes.enrichment_id,
        mailboxes.mailbox_id,
        coalesce(mailboxes.monitored_to_at, cast('9999-12-31' as timestamp)) as monitored_to_at
    from {{ ref('stg_office__mailboxes') }} as mailboxes
    inner join {{ ref('stg_runs__enrichments') }} as enrichments
        on
            mailboxes.enrichment_id = enrichments.enrichment_id
            and enrichments.enrichment_type = 'office'

),

message_copies as (

    select
        mailboxes.enrichment_id,
        messages.message_key
    from {{ ref('stg_office__messages') }} as messages
    inner join mailboxes on messages.mailbox_id = mailboxes.mailbox_id
    cross join {{ ref('as_of') }} as as_of
    where
        messages.received_at is null
        or (messages.received_at < as_of.ends_before_at and messages.received_at < mailboxes.monitored_to_at)

),

message_items as (

    select
        message_copies.enrichment_id,
        count(distinct {{ 'touched' if in_part else 'message_copies' }}.message_key) as items_count,
        count(*) as copies_count
    from message_copies
    {% if in_part -%}
    left join {{ touched }} as touched on message_copies.message_key = touched.message_key
    {% endif -%}
    group by message_copies.enrichment_id

    {% if in_part -%}
    union all

    select
        enrichment_id,
        count(*) as items_count,
        0 as copies_count
    from {{ read_before }}
    where message_key not in (select message_key from {{ touched }})
    group by enrichment_id
    {%- endif %}

),

messages_read as (

    select
        enrichment_id,
        'message' as kind,
        sum(items_count) as items_count,
        sum(copies_count) as copies_count
    from message_items
    group by enrichment_id

),

meetings as (

    select
        meetings.mailbox_id,
        meetings.ical_key,
        meetings.start_at,
        case
            when meetings.is_all_day then {{ local_midnight('cast(meetings.start_at as date)', 'reporting.time_zone') }}
            else meetings.start_at
        end as begins_at
    from {{ ref('stg_office__meetings') }} as meetings
    cross join {{ ref('stg_runs__reporting') }} as reporting

),

meeting_copies as (

    select
        mailboxes.enrichment_id,
        meetings.ical_key,
        meetings.start_at,
        count(*) as copies_count
    from meetings
    inner join mailboxes on meetings.mailbox_id = mailboxes.mailbox_id
    cross join {{ ref('as_of') }} as as_of
    where
        meetings.begins_at is null
        or (meetings.begins_at < as_of.ends_before_at and meetings.begins_at < mailboxes.monitored_to_at)
    group by mailboxes.enrichment_id, meetings.ical_key, meetings.start_at

),

meetings_read as (

    select
        enrichment_id,
        'meeting' as kind,
        count(*) as items_count,
        sum(copies_count) as copies_count
    from meeting_copies
    group by enrichment_id

),

everything_read as (

    select * from messages_read
    union all
    select * from meetings_read

),

buckets_summed as (

    select
        enrichment_id,
        kind,
        sum(items_count) as items_count,
        sum(copies_count) as copies_count
    from {{ ref('office_coverage') }}
    group by enrichment_id, kind

)

select
    coalesce(everything_read.enrichment_id, buckets_summed.enrichment_id) as enrichment_id,
    coalesce(everything_read.kind, buckets_summed.kind) as kind,
    everything_read.items_count,
    buckets_summed.items_count as items_in_buckets_count
from everything_read
full outer join buckets_summed
    on
        everything_read.enrichment_id = buckets_summed.enrichment_id
        and everything_read.kind = buckets_summed.kind
cross join {{ ref('stg_runs__reporting') }} as reporting
where
    coalesce(everything_read.items_count, 0) != coalesce(buckets_summed.items_count, 0)
    -- the copies are not shown where small numbers are banded
    or (
        not reporting.is_banded
        and coalesce(everything_read.copies_count, 0) != coalesce(buckets_summed.copies_count, 0)
    )
