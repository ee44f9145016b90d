{{ config(materialized='view') }}

with

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

)

-- Microsoft never published the columns; its table is related to the profile by the customer's id.
select
    enrichment_id,
    account_id as {{ adapter.quote('CustomerId') }},
    company_id,
    match_confidence,
    company_name,
    company_website,
    company_phone,
    company_linkedin_url,
    company_description,
    company_country,
    company_region,
    company_state,
    company_city,
    company_street,
    company_postal_code,
    industry,
    sub_industry,
    sic_code,
    sic_description,
    naics_code,
    naics_description,
    ownership_type,
    employees_range,
    annual_revenue_range,
    employees_count,
    annual_revenue_usd,
    answered_at
from leadspace_companies
