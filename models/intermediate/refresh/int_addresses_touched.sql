with

addresses as (

    select * from {{ ref('int_addresses_described') }}

),

addresses_before as (

    select * from {{ ref('stg_runs__refreshed_addresses') }}

),

addresses_known_before as (

    select distinct address_key from addresses_before

),

changed as (

    select addresses.address_key
    from addresses
    left join addresses_before
        on
            addresses.enrichment_id = addresses_before.enrichment_id
            and addresses.address_key = addresses_before.address_key
    where
        addresses_before.address_key is null
        or addresses.relation != addresses_before.relation
        or addresses.is_automated != addresses_before.is_automated
        or coalesce(addresses.mailbox_id, 0) != coalesce(addresses_before.mailbox_id, 0)
        or coalesce(addresses.monitored_to_at, timestamp '1900-01-01 00:00:00')
        != coalesce(addresses_before.monitored_to_at, timestamp '1900-01-01 00:00:00')
        or coalesce(addresses.contacts_key, 0) != coalesce(addresses_before.contacts_key, 0)

    union all

    select addresses_before.address_key
    from addresses_before
    left join addresses
        on
            addresses_before.enrichment_id = addresses.enrichment_id
            and addresses_before.address_key = addresses.address_key
    where addresses.address_key is null

)

-- An address that nobody had seen before stands in nothing but what is new anyway.
select distinct changed.address_key
from changed
inner join addresses_known_before on changed.address_key = addresses_known_before.address_key
