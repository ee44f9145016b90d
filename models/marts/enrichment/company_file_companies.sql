with

company_values as (

    select * from {{ ref('company_values') }}
    where source_name = 'company_file'

),

values_spread as (

    select
        enrichment_id,
        account_id,
        {{ company_values_spread('value_text') }}
    from company_values
    group by enrichment_id, account_id

)

select
    enrichment_id,
    account_id as {{ adapter.quote('CustomerId') }},
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
    naics_code,
    ownership_type,
    {{ nearest_whole(text_as_number('employees_count')) }} as employees_count,
    employees_range,
    {{ text_as_number('annual_revenue_usd') }} as annual_revenue_usd,
    annual_revenue_range
from values_spread
