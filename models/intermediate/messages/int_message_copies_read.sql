{{ config(materialized='view') }}

with

messages as (

    select * from {{ ref('stg_office__messages') }}

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

)

-- Without a readable date nobody can say when it came: such a copy is read, and counts nowhere.
select
    mailboxes.enrichment_id,
    messages.mailbox_id,
    messages.item_key,
    messages.message_key,
    messages.thread_key,
    messages.from_key,
    messages.recipients_count,
    messages.is_draft,
    messages.is_meeting_mail,
    messages.is_search_folder_copy,
    {{ is_countable_copy('messages') }} as is_countable,
    messages.received_at
from messages
inner join mailboxes
    on
        messages.mailbox_id = mailboxes.mailbox_id
        and coalesce(messages.received_at, timestamp '1900-01-01 00:00:00') < mailboxes.read_before_at
