{{ config(materialized='view') }}

with

recipients as (

    select * from {{ ref('stg_office__message_recipients') }}

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

)

select
    mailboxes.enrichment_id,
    recipients.mailbox_id,
    recipients.item_key,
    recipients.message_key,
    recipients.address_key,
    recipients.received_at
from recipients
inner join mailboxes
    on
        recipients.mailbox_id = mailboxes.mailbox_id
        and recipients.received_at < mailboxes.read_before_at
where {{ is_countable_copy('recipients') }}
