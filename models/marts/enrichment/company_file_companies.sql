with

company_values as (

    select * from {{ ref('company_values') }}
    where source = 'company_file'

)

select
    enrichment_id,
    account_id as {{ adapter.quote('CustomerId') }},
    max(case when attribute = 'company_name' then value_text end) as company_name,
    max(case when attribute = 'company_website' then value_text end) as company_website,
    max(case when attribute = 'company_phone' then value_text end) as company_phone,
    max(case when attribute = 'company_linkedin_url' then value_text end) as company_linkedin_url,
    max(case when attribute = 'company_description' then value_text end) as company_description,
    max(case when attribute = 'company_country' then value_text end) as company_country,
    max(case when attribute = 'company_region' then value_text end) as company_region,
    max(case when attribute = 'company_state' then value_text end) as company_state,
    max(case when attribute = 'company_city' then value_text end) as company_city,
    max(case when attribute = 'company_street' then value_text end) as company_street,
    max(case when attribute = 'company_postal_code' then value_text end) as company_postal_code,
    max(case when attribute = 'industry' then value_text end) as industry,
    max(case when attribute = 'sub_industry' then value_text end) as sub_industry,
    max(case when attribute = 'sic_code' then value_text end) as sic_code,
    max(case when attribute = 'naics_code' then value_text end) as naics_code,
    max(case when attribute = 'ownership_type' then value_text end) as ownership_type,
    try_cast(try_cast(max(case when attribute = 'employees_count' then value_text end) as double) as bigint) as employees_count,
    max(case when attribute = 'employees_range' then value_text end) as employees_range,
    try_cast(max(case when attribute = 'annual_revenue_usd' then value_text end) as double) as annual_revenue_usd,
    max(case when attribute = 'annual_revenue_range' then value_text end) as annual_revenue_range
from company_values
group by enrichment_id, account_id
