with

messages as (

    select * from {{ source('office', 'office_messages') }}

)

select
    mailbox_id,
    item_key,
    {{ exploded('recipient_keys') }} as address_key
from messages
