with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

company_values as (

    select * from {{ ref('int_company_values_ranked') }}
    where place_in_attribute = 1

),

values_spread as (

    select
        account_id,
        {{ company_values_spread('value_text') }},
        {{ company_values_spread('enrichment_id', '_source') }}
    from company_values
    group by account_id

)

select
    accounts.account_id,
    values_spread.company_name,
    values_spread.company_name_source,
    values_spread.company_website,
    values_spread.company_website_source,
    values_spread.company_phone,
    values_spread.company_phone_source,
    values_spread.company_linkedin_url,
    values_spread.company_linkedin_url_source,
    values_spread.company_description,
    values_spread.company_description_source,
    values_spread.company_country,
    values_spread.company_country_source,
    values_spread.company_region,
    values_spread.company_region_source,
    values_spread.company_state,
    values_spread.company_state_source,
    values_spread.company_city,
    values_spread.company_city_source,
    values_spread.company_street,
    values_spread.company_street_source,
    values_spread.company_postal_code,
    values_spread.company_postal_code_source,
    values_spread.industry,
    values_spread.industry_source,
    values_spread.sub_industry,
    values_spread.sub_industry_source,
    values_spread.sic_code,
    values_spread.sic_code_source,
    values_spread.naics_code,
    values_spread.naics_code_source,
    values_spread.ownership_type,
    values_spread.ownership_type_source,
    {{ nearest_whole(text_as_number('values_spread.employees_count')) }} as employees_count,
    values_spread.employees_count_source,
    values_spread.employees_range,
    values_spread.employees_range_source,
    {{ text_as_number('values_spread.annual_revenue_usd') }} as annual_revenue_usd,
    values_spread.annual_revenue_usd_source,
    values_spread.annual_revenue_range,
    values_spread.annual_revenue_range_source
from accounts
left join values_spread on accounts.account_id = values_spread.account_id
