with

addresses as (

    select * from {{ ref('int_addresses_classified') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

contacts as (

    select
        enrichment_id,
        address_key,
        bit_xor({{ text_key("account_id || '|' || cast(contact_key as string) || '|' || matched_by") }}) as contacts_key
    from {{ ref('int_contacts_matched') }}
    group by enrichment_id, address_key

)

select
    addresses.enrichment_id,
    addresses.address_key,
    addresses.relation,
    addresses.is_automated,
    addresses_monitored.mailbox_id,
    addresses_monitored.monitored_to_at,
    contacts.contacts_key
from addresses
left join addresses_monitored
    on
        addresses.enrichment_id = addresses_monitored.enrichment_id
        and addresses.address_key = addresses_monitored.address_key
left join contacts
    on
        addresses.enrichment_id = contacts.enrichment_id
        and addresses.address_key = contacts.address_key
