with

mailboxes as (

    select * from {{ source('office', 'office_mailboxes') }}

)

select
    enrichment_id,
    mailbox_id,
    {{ exploded('address_keys') }} as address_key
from mailboxes
