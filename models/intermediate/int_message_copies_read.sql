{{ config(materialized='view') }}

with

messages as (

    select * from {{ ref('stg_office__messages') }}

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

as_of as (

    select * from {{ ref('as_of') }}

)

-- What had not been received by the end of the as-of date does not exist yet (D6.10). Without a readable date nobody
-- can say when it came: such a copy is read, and counts nowhere.
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
    not messages.is_draft
    and not messages.is_meeting_mail
    and not messages.is_search_folder_copy
    and messages.received_at is not null as is_countable,
    messages.received_at
from messages
inner join mailboxes
    on
        messages.mailbox_id = mailboxes.mailbox_id
        and (messages.received_at < mailboxes.monitored_to_at or messages.received_at is null)
inner join as_of on messages.received_at < as_of.ends_before_at or messages.received_at is null
