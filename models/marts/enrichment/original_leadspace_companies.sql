{{ config(materialized=renaming()) }}

with

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

)

-- Microsoft never published the columns; its table is related to the profile by the customer's id.
select
    enrichment_id,
    account_id as {{ adapter.quote('CustomerId') }},
    company_id,
    match_verdict,
    match_confidence,
    company_name,
    company_name_sent,
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
    primary_location,
    industry,
    sub_industry,
    sic_code,
    sic_description,
    naics_code,
    naics_description,
    ownership_type,
    employees_range,
    annual_revenue_range,
    last_funding_type,
    last_funding_amount,
    crunchbase_url,
    last_investor_name,
    investors,
    intent_topics,
    employees_count,
    employees_from_count,
    employees_to_count,
    hr_employees_count,
    sales_employees_count,
    management_employees_count,
    product_management_employees_count,
    it_employees_count,
    administration_employees_count,
    marketing_employees_count,
    operations_employees_count,
    research_and_development_employees_count,
    business_development_employees_count,
    finance_employees_count,
    annual_revenue_usd,
    annual_revenue_from_usd,
    annual_revenue_to_usd,
    funding_rounds_count,
    last_funding_investors_count,
    last_funding_usd,
    fortune_500_rank,
    fortune_1000_rank,
    global_2000_rank,
    latitude_degrees,
    longitude_degrees,
    is_refreshed,
    last_funding_on,
    answered_at
from leadspace_companies
