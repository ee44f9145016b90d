{%- if refreshes_in_part() %}

with

messages_before as (

    select * from {{ before('int_messages_counted') }}

),

messages_touched as (

    select * from {{ ref('int_messages_touched') }}

),

counted_meetings_before as (

    select * from {{ before('int_meetings_counted') }}

),

meetings_before as (

    select * from {{ ref('int_meetings_before') }}

)

select
    messages_before.enrichment_id,
    messages_before.account_id,
    messages_before.thread_key,
    messages_before.happened_on
from messages_before
inner join messages_touched on messages_before.message_key = messages_touched.message_key

union distinct

select
    counted_meetings_before.enrichment_id,
    counted_meetings_before.account_id,
    cast(null as bigint) as thread_key,
    counted_meetings_before.happened_on
from counted_meetings_before
inner join meetings_before
    on
        counted_meetings_before.enrichment_id = meetings_before.enrichment_id
        and counted_meetings_before.meeting_key = meetings_before.meeting_key

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'account_id': 'string', 'thread_key': 'bigint', 'happened_on': 'date'}) }}

{% endif -%}
