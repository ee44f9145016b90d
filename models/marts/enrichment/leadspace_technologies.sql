with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

technologies as (

    select * from {{ ref('stg_leadspace__technologies') }}

),

-- Masked first: what differs only in what is masked is one.
technologies_masked as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        technologies.technology_kind,
        {{ addresses_masked('technologies.technology') }} as technology
    from lookups
    inner join technologies
        on
            lookups.fingerprint = technologies.fingerprint
            and lookups.batch_id = technologies.batch_id

)

-- Of several spellings in one answer the first of the alphabet stands for all.
select
    enrichment_id,
    account_id,
    technology_kind,
    min(technology) as technology
from technologies_masked
group by enrichment_id, account_id, technology_kind, {{ lowered('technology') }}
