with

messages as (

    select * from {{ source('office', 'office_messages') }}

)

-- What is asked of the copy stands beside its recipients: joining them to it again costs more than all other work on
-- them.
select
    mailbox_id,
    item_key,
    message_key,
    is_draft,
    is_meeting_mail,
    is_search_folder_copy,
    cast(received_at as timestamp) as received_at,
    {{ exploded('recipient_keys') }} as address_key
from messages
