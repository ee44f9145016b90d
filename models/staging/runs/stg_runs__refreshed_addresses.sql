with

refreshed_addresses as (

    select * from {{ source('runs', 'refreshed_addresses') }}

)

select
    enrichment_id,
    address_key,
    relation,
    is_automated,
    mailbox_id,
    cast(monitored_to_at as timestamp) as monitored_to_at,
    contacts_key
from refreshed_addresses
