{#- Every answer is JSON that is read once here, and many models read the result. -#}
{{ config(materialized='table') }}

{#- Departments as the columns name them, and as Leadspace does. -#}
{%- set departments = {
    'hr': 'hr',
    'sales': 'sales',
    'management': 'mgmt',
    'product_management': 'product_mgmt',
    'it': 'it',
    'administration': 'administration',
    'marketing': 'marketing',
    'operations': 'operations',
    'research_and_development': 'rnd',
    'business_development': 'business_dev',
    'finance': 'finance',
} -%}
{#- What else is given as a number. -#}
{%- set numbers = [
    'employees', 'annual_revenue', 'funding_rounds', 'last_funding_investors', 'last_funding_amount', 'fortune_500',
    'fortune_1000', 'global_2000',
] -%}
{#- Beyond these nothing is a measurement: nobody employs ten million people or turns over ten trillion dollars. -#}
{%- set most_people = 10000000 -%}
{%- set most_dollars = 10000000000000 -%}

with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

),

-- v4 calls it employees and revenue_dollar, v3 size and revenue; v4 has an id of its own beside v3's.
fields as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        run_id,
        outcome,
        cast(received_at as timestamp) as received_at,
        {{ json_text('response', 'data.company.ug_company_id') }} as universal_company_id,
        {{ json_text('response', 'data.company.ls_id') }} as ls_id,
        lower({{ json_text('response', 'data.enrichment_status') }}) as enrichment_status,
        {{ json_text('response', 'data.company.matching_confidence.level') }} as confidence_level,
        {{ json_text('response', 'data.company.name') }} as company_name,
        {{ json_text('response', 'data.company.original_name') }} as company_name_sent,
        {{ json_text('response', 'data.company.website') }} as company_website,
        {{ json_text('response', 'data.company.phone') }} as company_phone,
        {{ json_text('response', 'data.company.linkedin_profile') }} as company_linkedin_url,
        {{ json_text('response', 'data.company.description') }} as company_description,
        {{ json_text('response', 'data.company.address.country') }} as company_country,
        {{ json_text('response', 'data.company.address.region') }} as company_region,
        {{ json_text('response', 'data.company.address.state') }} as company_state,
        {{ json_text('response', 'data.company.address.city') }} as company_city,
        {{ json_text('response', 'data.company.address.address') }} as company_street,
        {{ json_text('response', 'data.company.address.zipcode') }} as company_postal_code,
        {{ json_text('response', 'data.company.primary_location') }} as primary_location,
        {{ json_text('response', 'data.company.industry') }} as industry,
        {{ json_text('response', 'data.company.sub_industry') }} as sub_industry,
        {{ json_text('response', 'data.company.sic') }} as sic_code,
        {{ json_text('response', 'data.company.sicDescription') }} as sic_description,
        {{ json_text('response', 'data.company.naics') }} as naics_code,
        {{ json_text('response', 'data.company.naicsDescription') }} as naics_description,
        {{ json_text('response', 'data.company.ownership') }} as ownership_type,
        coalesce(
            {{ json_text('response', 'data.company.employees.exact') }},
            {{ json_text('response', 'data.company.size.exact') }}
        ) as employees,
        coalesce(
            {{ json_text('response', 'data.company.employees.range') }},
            {{ json_text('response', 'data.company.size.range') }}
        ) as employees_range,
        coalesce(
            {{ json_text('response', 'data.company.revenue_dollar.exact') }},
            {{ json_text('response', 'data.company.revenue.exact') }}
        ) as annual_revenue,
        coalesce(
            {{ json_text('response', 'data.company.revenue_dollar.range') }},
            {{ json_text('response', 'data.company.revenue.range') }}
        ) as annual_revenue_range,
        {{ json_text('response', 'data.company.latitude') }} as latitude,
        {{ json_text('response', 'data.company.longitude') }} as longitude,
        {%- for department, name in departments.items() %}
            {{ json_text('response', 'data.company.department_size.' ~ name) }} as {{ department }}_employees,
        {%- endfor %}
        {{ json_text('response', 'data.company.funding.total_rounds_count') }} as funding_rounds,
        {{ json_text('response', 'data.company.funding.last_round_investor_count') }} as last_funding_investors,
        {{ json_text('response', 'data.company.funding.last_round_date') }} as last_funding_date,
        {{ json_text('response', 'data.company.funding.last_round_type') }} as last_funding_type,
        {{ json_text('response', 'data.company.funding.last_round_money_raised') }} as last_funding_amount,
        coalesce(
            {{ json_text('response', 'data.company.funding.cb_url') }},
            {{ json_text('response', 'data.company.investors.cb_url') }}
        ) as crunchbase_url,
        {{ json_text('response', 'data.company.investors.last_investor_name') }} as last_investor_name,
        {{ json_text('response', 'data.company.investors.company_investors') }} as investors,
        {{ json_text('response', 'data.company.signals.fortune_500_rank') }} as fortune_500,
        {{ json_text('response', 'data.company.signals.fortune_1000_rank') }} as fortune_1000,
        {{ json_text('response', 'data.company.signals.g2k_rank') }} as global_2000,
        {{ json_text('response', 'data.company.domain_intent') }} as intent_topics
    from responses

),

ranges_tidied as (

    select
        *,
        {{ range_tidied('employees_range') }} as employees_tidied,
        {{ range_tidied('annual_revenue_range') }} as annual_revenue_tidied
    from fields

),

values_read as (

    select
        *,
        {%- for field in numbers %}
            {{ number_read(field) }} as {{ field }}_number,
        {%- endfor %}
        {%- for department in departments %}
            {{ number_read(department ~ '_employees') }} as {{ department }}_number,
        {%- endfor %}
        {{ plain_number_read('latitude') }} as latitude_number,
        {{ plain_number_read('longitude') }} as longitude_number,
        {{ range_from('employees_tidied') }} as employees_from,
        {{ range_to('employees_tidied') }} as employees_to,
        {{ range_from('annual_revenue_tidied') }} as annual_revenue_from,
        {{ range_to('annual_revenue_tidied') }} as annual_revenue_to
    from ranges_tidied

)

select
    ---------- ids
    enrichment_id,
    fingerprint,
    batch_id,
    run_id,
    coalesce(universal_company_id, ls_id) as company_id,
    -- The id by which family trees name a company.
    coalesce(ls_id, universal_company_id) as company_tree_id,

    ---------- strings
    outcome,
    enrichment_status,
    {{ word_read('confidence_level') }} as match_confidence,
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

    ---------- numbers
    {{ whole_within('employees_number', 0, most_people) }} as employees_count,
    -- Bounds that are the wrong way round, or beyond all measure, say nothing.
    {{ bound_kept('employees_from', 'employees_from', 'employees_to', most_people, 'bigint') }} as employees_from_count,
    {{ bound_kept('employees_to', 'employees_from', 'employees_to', most_people, 'bigint') }} as employees_to_count,
    {%- for department in departments %}
        {{ whole_within(department ~ '_number', 0, most_people) }} as {{ department }}_employees_count,
    {%- endfor %}
    {{ within('annual_revenue_number', 0, most_dollars) }} as annual_revenue_usd,
    {{ bound_kept('annual_revenue_from', 'annual_revenue_from', 'annual_revenue_to', most_dollars, 'double') }}
        as annual_revenue_from_usd,
    {{ bound_kept('annual_revenue_to', 'annual_revenue_from', 'annual_revenue_to', most_dollars, 'double') }}
        as annual_revenue_to_usd,
    {{ whole_within('funding_rounds_number', 0, 10000) }} as funding_rounds_count,
    {{ whole_within('last_funding_investors_number', 0, 10000) }} as last_funding_investors_count,
    {{ within('last_funding_amount_number', 0, most_dollars) }} as last_funding_usd,
    {{ whole_within('fortune_500_number', 1, 500) }} as fortune_500_rank,
    {{ whole_within('fortune_1000_number', 1, 1000) }} as fortune_1000_rank,
    {{ whole_within('global_2000_number', 1, 2000) }} as global_2000_rank,
    {{ within('latitude_number', -90, 90) }} as latitude_degrees,
    {{ within('longitude_number', -180, 180) }} as longitude_degrees,

    ---------- booleans
    outcome = 'result'
    and coalesce(
        enrichment_status in ('company enriched', 'person & company enriched'),
        -- Without a word about what was enriched, a name tells that a company was.
        company_name is not null
    ) as is_enriched,

    ---------- days and instants
    {{ day_read('last_funding_date') }} as last_funding_on,
    received_at
from values_read
