with

addresses as (

    select * from {{ ref('stg_office__addresses') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

contact_addresses as (

    select distinct
        enrichment_id,
        address_key
    from {{ ref('int_contacts_matched') }}

),

domains_owned as (

    select * from {{ ref('int_domains_owned') }}

)

select
    enrichments.enrichment_id,
    addresses.address_key,
    addresses.domain,
    case
        when addresses_monitored.address_key is not null then 'monitored'
        -- A contact in our own domain is a contact (D6.7).
        when contact_addresses.address_key is not null then 'contact'
        when addresses.domain is null then 'unresolved'
        when domains_owned.domain is not null then 'colleague'
        else 'outsider'
    end as relation,
    coalesce(addresses.local_part_class = 'automated', false) as is_automated
from addresses
cross join enrichments
left join addresses_monitored
    on
        enrichments.enrichment_id = addresses_monitored.enrichment_id
        and addresses.address_key = addresses_monitored.address_key
left join contact_addresses
    on
        enrichments.enrichment_id = contact_addresses.enrichment_id
        and addresses.address_key = contact_addresses.address_key
left join domains_owned
    on
        enrichments.enrichment_id = domains_owned.enrichment_id
        and addresses.domain = domains_owned.domain
