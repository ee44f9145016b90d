with

contacts as (

    select distinct
        account_id,
        contact_id,
        address_key
    from {{ ref('stg_customers__contacts') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'office'

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

contacts_keyed as (

    select
        contacts.account_id,
        contacts.contact_id,
        contacts.address_key,
        -- One person with two addresses is one person; a whole number joins and counts faster than the file's id.
        cast(
            dense_rank() over (order by contacts.account_id nulls last, contacts.contact_id nulls last) as bigint
        ) as contact_key
    from contacts
    inner join accounts on contacts.account_id = accounts.account_id

)

-- Who is monitored and a contact is monitored only (D6.7).
select distinct
    enrichments.enrichment_id,
    contacts_keyed.account_id,
    contacts_keyed.contact_key,
    contacts_keyed.address_key,
    'contact_address' as matched_by
from contacts_keyed
cross join enrichments
left join addresses_monitored
    on
        enrichments.enrichment_id = addresses_monitored.enrichment_id
        and contacts_keyed.address_key = addresses_monitored.address_key
where addresses_monitored.address_key is null
