with

answers as (

    select * from {{ ref('int_answers_dated') }}

),

answers_changed as (

    select * from {{ ref('int_answers_changed') }}
    where values_changed_count > 0 or is_enriched_changed

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

-- An answer that says the same again begins no new row.
spans as (

    select
        enrichment_id,
        account_id,
        is_enriched,
        known_from_at,
        lead(known_from_at) over (
            partition by enrichment_id, account_id
            order by known_from_at nulls last
        ) as known_to_at
    from answers_changed

)

select
    spans.enrichment_id,
    spans.account_id,
    answers.match_verdict,
    {{ addresses_masked('responses.company_id') }} as company_id,
    {{ addresses_masked('responses.company_name') }} as company_name,
    {{ addresses_masked('responses.company_website') }} as company_website,
    {{ addresses_masked('responses.company_phone') }} as company_phone,
    {{ addresses_masked('responses.company_country') }} as company_country,
    {{ addresses_masked('responses.company_region') }} as company_region,
    {{ addresses_masked('responses.company_state') }} as company_state,
    {{ addresses_masked('responses.company_city') }} as company_city,
    {{ addresses_masked('responses.company_street') }} as company_street,
    {{ addresses_masked('responses.company_postal_code') }} as company_postal_code,
    {{ addresses_masked('responses.industry') }} as industry,
    {{ addresses_masked('responses.sub_industry') }} as sub_industry,
    {{ addresses_masked('responses.sic_code') }} as sic_code,
    {{ addresses_masked('responses.naics_code') }} as naics_code,
    {{ addresses_masked('responses.ownership_type') }} as ownership_type,
    {{ addresses_masked('responses.employees_range') }} as employees_range,
    {{ addresses_masked('responses.annual_revenue_range') }} as annual_revenue_range,
    responses.employees_count,
    responses.annual_revenue_usd,
    spans.is_enriched,
    spans.known_from_at,
    spans.known_to_at
from spans
inner join answers
    on
        spans.enrichment_id = answers.enrichment_id
        and spans.account_id = answers.account_id
        and spans.known_from_at = answers.known_from_at
left join responses
    on
        answers.fingerprint = responses.fingerprint
        and answers.batch_id = responses.batch_id
        and answers.is_enriched
