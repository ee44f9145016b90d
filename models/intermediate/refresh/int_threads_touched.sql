{%- if refreshes_in_part() %}

with

interactions_before as (

    select * from {{ ref('int_interactions_before') }}
    where thread_key is not null

),

messages as (

    select * from {{ ref('int_messages_counted') }}

),

messages_touched as (

    select * from {{ ref('int_messages_touched') }}

),

-- The threads in which a touched message was counted, and those in which it is now.
threads_touched as (

    select
        enrichment_id,
        account_id,
        thread_key
    from interactions_before

    union all

    select
        messages.enrichment_id,
        messages.account_id,
        messages.thread_key
    from messages
    inner join messages_touched on messages.message_key = messages_touched.message_key

)

select distinct
    enrichment_id,
    account_id,
    thread_key
from threads_touched

{% else %}

    {{ no_rows({'enrichment_id': 'string', 'account_id': 'string', 'thread_key': 'bigint'}) }}

{% endif -%}
