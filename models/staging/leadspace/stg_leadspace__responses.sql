with

responses as (

    select * from {{ source('leadspace', 'leadspace_responses') }}

)

-- v4 calls it employees and revenue_dollar, v3 size and revenue; v4 has an id of its own beside v3's.
select
    ---------- ids
    enrichment_id,
    fingerprint,
    batch_id,
    run_id,
    coalesce(
        {{ json_text('response', 'data.company.ug_company_id') }},
        {{ json_text('response', 'data.company.ls_id') }}
    ) as company_id,
    -- The id by which family trees name a company.
    coalesce(
        {{ json_text('response', 'data.company.ls_id') }},
        {{ json_text('response', 'data.company.ug_company_id') }}
    ) as company_tree_id,

    ---------- strings
    outcome,
    lower({{ json_text('response', 'data.enrichment_status') }}) as enrichment_status,
    lower(replace({{ json_text('response', 'data.company.matching_confidence.level') }}, ' ', '_'))
        as match_confidence,
    {{ json_text('response', 'data.company.name') }} as company_name,
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
    {{ json_text('response', 'data.company.industry') }} as industry,
    {{ json_text('response', 'data.company.sub_industry') }} as sub_industry,
    {{ json_text('response', 'data.company.sic') }} as sic_code,
    {{ json_text('response', 'data.company.sicDescription') }} as sic_description,
    {{ json_text('response', 'data.company.naics') }} as naics_code,
    {{ json_text('response', 'data.company.naicsDescription') }} as naics_description,
    {{ json_text('response', 'data.company.ownership') }} as ownership_type,
    coalesce(
        {{ json_text('response', 'data.company.employees.range') }},
        {{ json_text('response', 'data.company.size.range') }}
    ) as employees_range,
    coalesce(
        {{ json_text('response', 'data.company.revenue_dollar.range') }},
        {{ json_text('response', 'data.company.revenue.range') }}
    ) as annual_revenue_range,

    ---------- numbers
    try_cast(try_cast(coalesce(
        {{ json_text('response', 'data.company.employees.exact') }},
        {{ json_text('response', 'data.company.size.exact') }}
    ) as double) as bigint) as employees_count,
    -- Beyond every revenue there is, or written as infinity: not known.
    cast(try_cast(try_cast(coalesce(
        {{ json_text('response', 'data.company.revenue_dollar.exact') }},
        {{ json_text('response', 'data.company.revenue.exact') }}
    ) as double) as decimal(18, 2)) as double) as annual_revenue_usd,

    ---------- booleans
    outcome = 'result'
    and coalesce(
        lower({{ json_text('response', 'data.enrichment_status') }})
        in ('company enriched', 'person & company enriched'),
        -- Without a word about what was enriched, a name tells that a company was.
        {{ json_text('response', 'data.company.name') }} is not null
    ) as is_enriched,

    ---------- instants
    cast(received_at as timestamp) as received_at
from responses
