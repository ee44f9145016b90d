with

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

),

fields_counted as (

    select
        enrichment_id,
        count(*) as accounts_enriched_count,
        count(company_id) as company_id,
        count(match_confidence) as match_confidence,
        count(company_name) as company_name,
        count(company_website) as company_website,
        count(company_phone) as company_phone,
        count(company_linkedin_url) as company_linkedin_url,
        count(company_description) as company_description,
        count(company_country) as company_country,
        count(company_region) as company_region,
        count(company_state) as company_state,
        count(company_city) as company_city,
        count(company_street) as company_street,
        count(company_postal_code) as company_postal_code,
        count(industry) as industry,
        count(sub_industry) as sub_industry,
        count(sic_code) as sic_code,
        count(sic_description) as sic_description,
        count(naics_code) as naics_code,
        count(naics_description) as naics_description,
        count(ownership_type) as ownership_type,
        count(employees_range) as employees_range,
        count(annual_revenue_range) as annual_revenue_range,
        count(employees_count) as employees_count,
        count(annual_revenue_usd) as annual_revenue_usd
    from leadspace_companies
    group by enrichment_id

),

fields_stacked as (

    select
        enrichment_id,
        accounts_enriched_count,
        {{ stacked(
            [
                'company_id', 'match_confidence', 'company_name', 'company_website', 'company_phone',
                'company_linkedin_url', 'company_description', 'company_country', 'company_region',
                'company_state', 'company_city', 'company_street', 'company_postal_code', 'industry',
                'sub_industry', 'sic_code', 'sic_description', 'naics_code', 'naics_description', 'ownership_type',
                'employees_range', 'annual_revenue_range', 'employees_count', 'annual_revenue_usd',
            ],
            'field',
            'accounts_with_value_count',
        ) }}
    from fields_counted

)

select
    enrichment_id,
    field,
    accounts_with_value_count,
    accounts_enriched_count,
    cast(accounts_with_value_count as double) / nullif(accounts_enriched_count, 0) as coverage_ratio
from fields_stacked
