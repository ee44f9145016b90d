{{ config(materialized='view') }}

with

messages as (

    select * from {{ ref('stg_office__messages') }}
    where not is_draft and not is_meeting_mail and not is_search_folder_copy

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

as_of as (

    select * from {{ ref('as_of') }}

)

-- What had not been received by the end of the as-of date does not exist yet (D6.10).
select
    mailboxes.enrichment_id,
    messages.mailbox_id,
    messages.item_key,
    messages.message_key,
    messages.thread_key,
    messages.from_key,
    messages.received_at
from messages
inner join mailboxes
    on
        messages.mailbox_id = mailboxes.mailbox_id
        and messages.received_at < mailboxes.monitored_to_at
inner join as_of on messages.received_at < as_of.ends_before_at
