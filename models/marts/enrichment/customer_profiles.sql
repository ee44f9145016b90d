with

profiles as (

    select * from {{ ref('int_profiles_spread') }}

)

select
    account_id,
    {{ addresses_masked('company_name') }} as company_name,
    company_name_source,
    {{ addresses_masked('company_website') }} as company_website,
    company_website_source,
    {{ addresses_masked('company_phone') }} as company_phone,
    company_phone_source,
    {{ addresses_masked('company_linkedin_url') }} as company_linkedin_url,
    company_linkedin_url_source,
    {{ addresses_masked('company_description') }} as company_description,
    company_description_source,
    {{ addresses_masked('company_country') }} as company_country,
    company_country_source,
    {{ addresses_masked('company_region') }} as company_region,
    company_region_source,
    {{ addresses_masked('company_state') }} as company_state,
    company_state_source,
    {{ addresses_masked('company_city') }} as company_city,
    company_city_source,
    {{ addresses_masked('company_street') }} as company_street,
    company_street_source,
    {{ addresses_masked('company_postal_code') }} as company_postal_code,
    company_postal_code_source,
    {{ addresses_masked('industry') }} as industry,
    industry_source,
    {{ addresses_masked('sub_industry') }} as sub_industry,
    sub_industry_source,
    {{ addresses_masked('sic_code') }} as sic_code,
    sic_code_source,
    {{ addresses_masked('naics_code') }} as naics_code,
    naics_code_source,
    {{ addresses_masked('ownership_type') }} as ownership_type,
    ownership_type_source,
    employees_count,
    employees_count_source,
    {{ addresses_masked('employees_range') }} as employees_range,
    employees_range_source,
    annual_revenue_usd,
    annual_revenue_usd_source,
    {{ addresses_masked('annual_revenue_range') }} as annual_revenue_range,
    annual_revenue_range_source
from profiles
