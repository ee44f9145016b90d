{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

messages as (

    select messages_read.*
    from {{ ref('int_messages_read') }} as messages_read
    {{ only_touched('messages_read', 'int_messages_touched', ['message_key']) }}
    where messages_read.sender_relation in ('monitored', 'colleague')

),

recipients as (

    select recipients.*
    from {{ ref('int_message_recipients_countable') }} as recipients
    where {{ received_when_touched('recipients') }}

),

addresses as (

    select * from {{ ref('int_addresses_classified') }}
    where relation = 'outsider'

)

select distinct
    messages.enrichment_id,
    messages.message_key,
    addresses.address_key,
    messages.sender_relation,
    messages.happened_on
from recipients
inner join addresses
    on
        recipients.enrichment_id = addresses.enrichment_id
        and recipients.address_key = addresses.address_key
inner join messages
    on
        recipients.enrichment_id = messages.enrichment_id
        and recipients.message_key = messages.message_key
-- Most recipients are ours, and most mail is not: asked by one number first, it takes a third of the time.
where
    recipients.address_key in (select asked.address_key from addresses as asked)
    and recipients.message_key in (select asked.message_key from messages as asked)
