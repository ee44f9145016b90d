with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

)

select
    lookups.enrichment_id,
    lookups.account_id,
    {{ addresses_masked('accounts.account_name') }} as account_name,
    {{ addresses_masked('accounts.website') }} as website,
    {{ addresses_masked('accounts.country') }} as country,
    lookups.lookup_status,
    lookups.not_sent_reason,
    lookups.match_verdict,
    leadspace_companies.match_confidence,
    leadspace_companies.company_name,
    leadspace_companies.company_website,
    leadspace_companies.company_country,
    lookups.is_in_dataset,
    lookups.is_refreshed,
    lookups.answered_at
from lookups
inner join accounts on lookups.account_id = accounts.account_id
left join leadspace_companies
    on
        lookups.enrichment_id = leadspace_companies.enrichment_id
        and lookups.account_id = leadspace_companies.account_id
