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
    lookups.match_verdict,
    {{ addresses_masked('responses.match_confidence') }} as match_confidence,
    {{ addresses_masked('responses.company_name') }} as company_name,
    {{ addresses_masked('responses.company_name_sent') }} as company_name_sent,
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
    {{ addresses_masked('responses.primary_location') }} as primary_location,
    {{ addresses_masked('responses.industry') }} as industry,
    {{ addresses_masked('responses.sub_industry') }} as sub_industry,
    {{ addresses_masked('responses.sic_code') }} as sic_code,
    {{ addresses_masked('responses.sic_description') }} as sic_description,
    {{ addresses_masked('responses.naics_code') }} as naics_code,
    {{ addresses_masked('responses.naics_description') }} as naics_description,
    {{ addresses_masked('responses.ownership_type') }} as ownership_type,
    {{ addresses_masked('responses.employees_range') }} as employees_range,
    {{ addresses_masked('responses.annual_revenue_range') }} as annual_revenue_range,
    {{ addresses_masked('responses.last_funding_type') }} as last_funding_type,
    {{ addresses_masked('responses.last_funding_amount') }} as last_funding_amount,
    {{ addresses_masked('responses.crunchbase_url') }} as crunchbase_url,
    {{ addresses_masked('responses.last_investor_name') }} as last_investor_name,
    {{ addresses_masked('responses.investors') }} as investors,
    {{ addresses_masked('responses.intent_topics') }} as intent_topics,
    responses.employees_count,
    responses.employees_from_count,
    responses.employees_to_count,
    responses.hr_employees_count,
    responses.sales_employees_count,
    responses.management_employees_count,
    responses.product_management_employees_count,
    responses.it_employees_count,
    responses.administration_employees_count,
    responses.marketing_employees_count,
    responses.operations_employees_count,
    responses.research_and_development_employees_count,
    responses.business_development_employees_count,
    responses.finance_employees_count,
    responses.annual_revenue_usd,
    responses.annual_revenue_from_usd,
    responses.annual_revenue_to_usd,
    responses.funding_rounds_count,
    responses.last_funding_investors_count,
    responses.last_funding_usd,
    responses.fortune_500_rank,
    responses.fortune_1000_rank,
    responses.global_2000_rank,
    responses.latitude_degrees,
    responses.longitude_degrees,
    lookups.is_refreshed,
    responses.last_funding_on,
    responses.received_at as answered_at
from lookups
inner join responses
    on
        lookups.fingerprint = responses.fingerprint
        and lookups.batch_id = responses.batch_id
