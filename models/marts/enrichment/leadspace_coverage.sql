with

leadspace_companies as (

    select * from {{ ref('leadspace_companies') }}

),

-- What has several values for an account, as one row for each account with any.
accounts_with_technologies as (

    select
        enrichment_id,
        account_id,
        max(case when technology_kind = 'installed_base' then 1 end) as installed_base_technologies,
        max(case when technology_kind = 'web_site' then 1 end) as web_site_technologies,
        max(case when technology_kind = 'category' then 1 end) as technology_categories,
        max(case when technology_kind = 'custom_category' then 1 end) as custom_technology_categories
    from {{ ref('leadspace_technologies') }}
    group by enrichment_id, account_id

),

accounts_with_specialties as (

    select
        enrichment_id,
        account_id,
        1 as specialties
    from {{ ref('leadspace_specialties') }}
    group by enrichment_id, account_id

),

accounts_with_relatives as (

    select
        enrichment_id,
        account_id,
        1 as relatives
    from {{ ref('leadspace_relatives') }}
    group by enrichment_id, account_id

),

accounts_with_intent as (

    select
        enrichment_id,
        account_id,
        1 as intent
    from {{ ref('leadspace_intent') }}
    group by enrichment_id, account_id

),

fields_counted as (

    select
        companies.enrichment_id,
        count(*) as accounts_enriched_count,
        count(companies.company_id) as company_id,
        count(companies.match_confidence) as match_confidence,
        count(companies.company_name) as company_name,
        count(companies.company_name_sent) as company_name_sent,
        count(companies.company_website) as company_website,
        count(companies.company_phone) as company_phone,
        count(companies.company_linkedin_url) as company_linkedin_url,
        count(companies.company_description) as company_description,
        count(companies.company_country) as company_country,
        count(companies.company_region) as company_region,
        count(companies.company_state) as company_state,
        count(companies.company_city) as company_city,
        count(companies.company_street) as company_street,
        count(companies.company_postal_code) as company_postal_code,
        count(companies.primary_location) as primary_location,
        count(companies.industry) as industry,
        count(companies.sub_industry) as sub_industry,
        count(companies.sic_code) as sic_code,
        count(companies.sic_description) as sic_description,
        count(companies.naics_code) as naics_code,
        count(companies.naics_description) as naics_description,
        count(companies.ownership_type) as ownership_type,
        count(companies.employees_range) as employees_range,
        count(companies.annual_revenue_range) as annual_revenue_range,
        count(companies.last_funding_type) as last_funding_type,
        count(companies.last_funding_amount) as last_funding_amount,
        count(companies.crunchbase_url) as crunchbase_url,
        count(companies.last_investor_name) as last_investor_name,
        count(companies.investors) as investors,
        count(companies.intent_topics) as intent_topics,
        count(companies.employees_count) as employees_count,
        count(companies.employees_from_count) as employees_from_count,
        count(companies.employees_to_count) as employees_to_count,
        count(companies.hr_employees_count) as hr_employees_count,
        count(companies.sales_employees_count) as sales_employees_count,
        count(companies.management_employees_count) as management_employees_count,
        count(companies.product_management_employees_count) as product_management_employees_count,
        count(companies.it_employees_count) as it_employees_count,
        count(companies.administration_employees_count) as administration_employees_count,
        count(companies.marketing_employees_count) as marketing_employees_count,
        count(companies.operations_employees_count) as operations_employees_count,
        count(companies.research_and_development_employees_count) as research_and_development_employees_count,
        count(companies.business_development_employees_count) as business_development_employees_count,
        count(companies.finance_employees_count) as finance_employees_count,
        count(companies.annual_revenue_usd) as annual_revenue_usd,
        count(companies.annual_revenue_from_usd) as annual_revenue_from_usd,
        count(companies.annual_revenue_to_usd) as annual_revenue_to_usd,
        count(companies.funding_rounds_count) as funding_rounds_count,
        count(companies.last_funding_investors_count) as last_funding_investors_count,
        count(companies.last_funding_usd) as last_funding_usd,
        count(companies.fortune_500_rank) as fortune_500_rank,
        count(companies.fortune_1000_rank) as fortune_1000_rank,
        count(companies.global_2000_rank) as global_2000_rank,
        count(companies.latitude_degrees) as latitude_degrees,
        count(companies.longitude_degrees) as longitude_degrees,
        count(companies.last_funding_on) as last_funding_on,
        count(technologies.installed_base_technologies) as installed_base_technologies,
        count(technologies.web_site_technologies) as web_site_technologies,
        count(technologies.technology_categories) as technology_categories,
        count(technologies.custom_technology_categories) as custom_technology_categories,
        count(specialties.specialties) as specialties,
        count(relatives.relatives) as relatives,
        count(intent.intent) as intent
    from leadspace_companies as companies
    left join accounts_with_technologies as technologies
        on
            companies.enrichment_id = technologies.enrichment_id
            and companies.account_id = technologies.account_id
    left join accounts_with_specialties as specialties
        on
            companies.enrichment_id = specialties.enrichment_id
            and companies.account_id = specialties.account_id
    left join accounts_with_relatives as relatives
        on
            companies.enrichment_id = relatives.enrichment_id
            and companies.account_id = relatives.account_id
    left join accounts_with_intent as intent
        on
            companies.enrichment_id = intent.enrichment_id
            and companies.account_id = intent.account_id
    group by companies.enrichment_id

),

fields_stacked as (

    select
        enrichment_id,
        accounts_enriched_count,
        {{ stacked(
            [
                'company_id', 'match_confidence', 'company_name', 'company_name_sent', 'company_website',
                'company_phone', 'company_linkedin_url', 'company_description', 'company_country',
                'company_region', 'company_state', 'company_city', 'company_street', 'company_postal_code',
                'primary_location', 'industry', 'sub_industry', 'sic_code', 'sic_description', 'naics_code',
                'naics_description', 'ownership_type', 'employees_range', 'annual_revenue_range',
                'last_funding_type', 'last_funding_amount', 'crunchbase_url', 'last_investor_name',
                'investors', 'intent_topics', 'employees_count', 'employees_from_count', 'employees_to_count',
                'hr_employees_count', 'sales_employees_count', 'management_employees_count',
                'product_management_employees_count', 'it_employees_count', 'administration_employees_count',
                'marketing_employees_count', 'operations_employees_count',
                'research_and_development_employees_count', 'business_development_employees_count',
                'finance_employees_count', 'annual_revenue_usd', 'annual_revenue_from_usd',
                'annual_revenue_to_usd', 'funding_rounds_count', 'last_funding_investors_count',
                'last_funding_usd', 'fortune_500_rank', 'fortune_1000_rank', 'global_2000_rank',
                'latitude_degrees', 'longitude_degrees', 'last_funding_on', 'installed_base_technologies',
                'web_site_technologies', 'technology_categories', 'custom_technology_categories',
                'specialties', 'relatives', 'intent',
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
