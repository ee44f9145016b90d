with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

)

select
    lookups.enrichment_id,
    lookups.account_id,
    {{ addresses_masked('responses.company_id') }} as company_id,
    {{ addresses_masked('responses.match_confidence') }} as match_confidence,
    {{ addresses_masked('responses.company_name') }} as company_name,
    {{ addresses_masked('responses.company_website') }} as company_website,
    {{ addresses_masked('responses.company_phone') }} as company_phone,
    {{ addresses_masked('responses.company_linkedin_url') }} as company_linkedin_url,
    {{ addresses_masked('responses.company_description') }} as company_description,
    {{ addresses_masked('responses.company_country') }} as company_country,
    {{ addresses_masked('responses.company_region') }} as company_region,
    {{ addresses_masked('responses.company_state') }} as company_state,
    {{ addresses_masked('responses.company_city') }} as company_city,
    {{ addresses_masked('responses.company_street') }} as company_street,
    {{ addresses_masked('responses.company_postal_code') }} as company_postal_code,
    {{ addresses_masked('responses.industry') }} as industry,
    {{ addresses_masked('responses.sub_industry') }} as sub_industry,
    {{ addresses_masked('responses.sic_code') }} as sic_code,
    {{ addresses_masked('responses.sic_description') }} as sic_description,
    {{ addresses_masked('responses.naics_code') }} as naics_code,
    {{ addresses_masked('responses.naics_description') }} as naics_description,
    {{ addresses_masked('responses.ownership_type') }} as ownership_type,
    {{ addresses_masked('responses.employees_range') }} as employees_range,
    {{ addresses_masked('responses.annual_revenue_range') }} as annual_revenue_range,
    responses.employees_count,
    responses.annual_revenue_usd,
    responses.received_at as answered_at
from lookups
inner join responses
    on
        lookups.fingerprint = responses.fingerprint
        and lookups.batch_id = responses.batch_id
