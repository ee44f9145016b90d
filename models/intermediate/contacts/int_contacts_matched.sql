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

addresses as (

    select * from {{ ref('stg_office__addresses') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

website_domains as (

    select * from {{ ref('int_website_domains_classified') }}
    where domain_class = 'one_account'

),

contacts_keyed as (

    select
        contacts.account_id,
        contacts.address_key,
        -- One person with two addresses, or in two accounts, is one person.
        {{ text_key('contacts.contact_id') }} as contact_key
    from contacts
    inner join accounts on contacts.account_id = accounts.account_id

),

addresses_of_contacts as (

    select distinct address_key from contacts_keyed

),

-- The contact file goes first: who stands in it belongs to its account only, whatever the domain. Of anyone else
-- the address is all that is known, so it is the person; below zero, where no contact's key can be.
addresses_in_website_domains as (

    select
        website_domains.account_id,
        addresses.address_key,
        -{{ text_key('cast(addresses.address_key as string)') }} - 1 as contact_key
    from addresses
    inner join website_domains on addresses.domain = website_domains.website_domain
    left join addresses_of_contacts on addresses.address_key = addresses_of_contacts.address_key
    where addresses_of_contacts.address_key is null

),

both_rules as (

    select distinct
        enrichments.enrichment_id,
        contacts_keyed.account_id,
        contacts_keyed.contact_key,
        contacts_keyed.address_key,
        'contact_address' as matched_by
    from contacts_keyed
    cross join enrichments

    union all

    select
        enrichments.enrichment_id,
        addresses_in_website_domains.account_id,
        addresses_in_website_domains.contact_key,
        addresses_in_website_domains.address_key,
        'website_domain' as matched_by
    from addresses_in_website_domains
    cross join enrichments
    where enrichments.matches_domains

)

-- Who is monitored and a contact is monitored only (D6.7).
select both_rules.*
from both_rules
left join addresses_monitored
    on
        both_rules.enrichment_id = addresses_monitored.enrichment_id
        and both_rules.address_key = addresses_monitored.address_key
where addresses_monitored.address_key is null
