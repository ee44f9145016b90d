with

messages as (

    select * from {{ source('office', 'office_messages') }}

)

select
    mailbox_id,
    item_key,
    message_key,
    thread_key,
    from_key,
    cast({{ element_count('recipient_keys') }} as bigint) as recipients_count,
    is_draft,
    is_meeting_mail,
    is_search_folder_copy,
    cast(received_at as timestamp) as received_at,
    coalesce(landing_id, 0) as landing_id
from messages
