with

messages as (

    select * from {{ ref('int_messages_read') }}
    where sender_relation in ('monitored', 'colleague')

),

copies as (

    select * from {{ ref('int_message_copies_countable') }}

),

recipients as (

    select * from {{ ref('stg_office__message_recipients') }}

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
inner join addresses on recipients.address_key = addresses.address_key
inner join copies
    on
        addresses.enrichment_id = copies.enrichment_id
        and recipients.mailbox_id = copies.mailbox_id
        and recipients.item_key = copies.item_key
inner join messages
    on
        copies.enrichment_id = messages.enrichment_id
        and copies.message_key = messages.message_key
