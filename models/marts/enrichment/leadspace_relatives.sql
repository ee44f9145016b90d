with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

relatives as (

    select * from {{ ref('stg_leadspace__family_trees') }}

),

relatives_masked as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        relatives.relative_company_id as tree_id,
        relatives.relative_universal_company_id as universal_id,
        coalesce({{ addresses_masked('relatives.relative_type') }}, 'UNKNOWN') as relative_type,
        {{ addresses_masked('relatives.relative_company_id') }} as relative_company_id,
        {{ addresses_masked('relatives.relative_name') }} as relative_name,
        {{ addresses_masked('relatives.relative_website') }} as relative_website,
        {{ addresses_masked('relatives.relative_phone') }} as relative_phone,
        {{ addresses_masked('relatives.sic_code') }} as sic_code,
        {{ addresses_masked('relatives.naics_code') }} as naics_code,
        {{ addresses_masked('relatives.relative_country') }} as relative_country,
        {{ addresses_masked('relatives.relative_region') }} as relative_region,
        {{ addresses_masked('relatives.relative_state') }} as relative_state,
        {{ addresses_masked('relatives.relative_city') }} as relative_city,
        {{ addresses_masked('relatives.relative_street') }} as relative_street,
        {{ addresses_masked('relatives.relative_postal_code') }} as relative_postal_code,
        {{ addresses_masked('relatives.employees_range') }} as employees_range,
        {{ addresses_masked('relatives.annual_revenue_range') }} as annual_revenue_range,
        relatives.employees_count,
        relatives.annual_revenue_usd
    from lookups
    inner join relatives
        on
            lookups.fingerprint = relatives.fingerprint
            and lookups.batch_id = relatives.batch_id
    -- An entry with neither is no company that one could name.
    where coalesce(relatives.relative_company_id, relatives.relative_name) is not null

),

relatives_identified as (

    select
        *,
        coalesce(relative_company_id, {{ lowered('relative_name') }}) as relative_id
    from relatives_masked

),

-- A company that stands twice in one place of a tree is there once; the choice must only be the same every time.
relatives_ranked as (

    select
        *,
        row_number() over (
            partition by enrichment_id, account_id, relative_type, relative_id
            order by
                relative_name nulls last,
                relative_website nulls last,
                relative_country nulls last,
                relative_city nulls last,
                relative_street nulls last,
                relative_postal_code nulls last,
                relative_phone nulls last,
                sic_code nulls last,
                naics_code nulls last,
                employees_count nulls last,
                annual_revenue_usd nulls last,
                employees_range nulls last,
                annual_revenue_range nulls last,
                universal_id nulls last
        ) as place_in_relation
    from relatives_identified

),

-- A tree may name a company by either of its ids.
relative_ids as (

    select
        enrichment_id,
        account_id,
        relative_type,
        relative_id,
        tree_id as company_id
    from relatives_ranked
    where place_in_relation = 1

    union

    select
        enrichment_id,
        account_id,
        relative_type,
        relative_id,
        universal_id as company_id
    from relatives_ranked
    where place_in_relation = 1

),

company_accounts as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        responses.company_tree_id as company_id
    from lookups
    inner join responses
        on
            lookups.fingerprint = responses.fingerprint
            and lookups.batch_id = responses.batch_id

    union

    select
        lookups.enrichment_id,
        lookups.account_id,
        responses.company_id
    from lookups
    inner join responses
        on
            lookups.fingerprint = responses.fingerprint
            and lookups.batch_id = responses.batch_id

),

-- Several accounts may be one company: the account itself goes first, and then the first of the alphabet.
relatives_found as (

    select
        relative_ids.enrichment_id,
        relative_ids.account_id,
        relative_ids.relative_type,
        relative_ids.relative_id,
        max(case when company_accounts.account_id = relative_ids.account_id then company_accounts.account_id end)
            as own_account_id,
        min(company_accounts.account_id) as first_account_id
    from relative_ids
    inner join company_accounts
        on
            relative_ids.enrichment_id = company_accounts.enrichment_id
            and relative_ids.company_id = company_accounts.company_id
    group by
        relative_ids.enrichment_id,
        relative_ids.account_id,
        relative_ids.relative_type,
        relative_ids.relative_id

)

select
    relatives_ranked.enrichment_id,
    relatives_ranked.account_id,
    relatives_ranked.relative_type,
    relatives_ranked.relative_id,
    relatives_ranked.relative_company_id,
    coalesce(relatives_found.own_account_id, relatives_found.first_account_id) as relative_account_id,
    relatives_ranked.relative_name,
    relatives_ranked.relative_website,
    relatives_ranked.relative_phone,
    relatives_ranked.sic_code,
    relatives_ranked.naics_code,
    relatives_ranked.relative_country,
    relatives_ranked.relative_region,
    relatives_ranked.relative_state,
    relatives_ranked.relative_city,
    relatives_ranked.relative_street,
    relatives_ranked.relative_postal_code,
    relatives_ranked.employees_range,
    relatives_ranked.annual_revenue_range,
    relatives_ranked.employees_count,
    relatives_ranked.annual_revenue_usd
from relatives_ranked
left join relatives_found
    on
        relatives_ranked.enrichment_id = relatives_found.enrichment_id
        and relatives_ranked.account_id = relatives_found.account_id
        and relatives_ranked.relative_type = relatives_found.relative_type
        and relatives_ranked.relative_id = relatives_found.relative_id
where relatives_ranked.place_in_relation = 1
