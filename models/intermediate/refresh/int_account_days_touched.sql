{%- if refreshes_in_part() %}

with

interactions_before as (

    select * from {{ ref('int_interactions_before') }}

),

replies_before as (

    select * from {{ ref('int_replies_before') }}

),

messages as (

    select * from {{ ref('int_messages_counted') }}

),

messages_touched as (

    select * from {{ ref('int_messages_touched') }}

),

counted_meetings as (

    select * from {{ ref('int_meetings_counted') }}

),

meetings as (

    select * from {{ ref('int_meetings_read') }}

),

meetings_touched as (

    select * from {{ ref('int_meetings_touched') }}

),

replies as (

    select replies_measured.*
    from {{ ref('int_replies_measured') }} as replies_measured
    inner join {{ ref('int_threads_touched') }} as threads_touched
        on
            replies_measured.enrichment_id = threads_touched.enrichment_id
            and replies_measured.account_id = threads_touched.account_id
            and replies_measured.thread_key = threads_touched.thread_key

),

-- A thread that goes on is measured anew, but what it had measured before mostly stays.
replies_changed as (

    select
        replies.enrichment_id,
        replies.account_id,
        replies.happened_on
    from replies
    left join replies_before
        on
            replies.enrichment_id = replies_before.enrichment_id
            and replies.account_id = replies_before.account_id
            and replies.message_key = replies_before.message_key
            and replies.happened_on = replies_before.happened_on
            and replies.reply_milliseconds = replies_before.reply_milliseconds
            and replies.known_on = replies_before.known_on
    where replies_before.message_key is null

    union all

    select
        replies_before.enrichment_id,
        replies_before.account_id,
        replies_before.happened_on
    from replies_before
    left join replies
        on
            replies_before.enrichment_id = replies.enrichment_id
            and replies_before.account_id = replies.account_id
            and replies_before.message_key = replies.message_key
            and replies_before.happened_on = replies.happened_on
    where replies.message_key is null

),

-- The days of an account on which anything was counted and is no more, or is now, or is counted otherwise.
account_days_touched as (

    select
        enrichment_id,
        account_id,
        happened_on
    from interactions_before

    union all

    select
        messages.enrichment_id,
        messages.account_id,
        messages.happened_on
    from messages
    inner join messages_touched on messages.message_key = messages_touched.message_key

    union all

    select
        counted_meetings.enrichment_id,
        counted_meetings.account_id,
        counted_meetings.happened_on
    from counted_meetings
    inner join meetings
        on
            counted_meetings.enrichment_id = meetings.enrichment_id
            and counted_meetings.meeting_key = meetings.meeting_key
    inner join meetings_touched
        on
            meetings.ical_key = meetings_touched.ical_key
            and meetings.occurrence_at = meetings_touched.occurrence_at

    union all

    select
        enrichment_id,
        account_id,
        happened_on
    from replies_changed

)

select distinct
    enrichment_id,
    account_id,
    happened_on
from account_days_touched

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'account_id': 'string', 'happened_on': 'date'}) }}

{% endif -%}
