with

responses as (

    -- What the service failed on says nothing about the company.
    select * from {{ ref('stg_leadspace__responses') }}
    where outcome != 'failed'

),

responses_ranked as (

    select
        enrichment_id,
        fingerprint,
        batch_id,
        outcome,
        match_confidence,
        is_enriched,
        received_at,
        row_number() over (
            partition by enrichment_id, fingerprint
            order by received_at desc nulls last, batch_id desc nulls last
        ) as place_from_newest
    from responses

)

select
    enrichment_id,
    fingerprint,
    batch_id,
    outcome,
    match_confidence,
    is_enriched,
    received_at
from responses_ranked
where place_from_newest = 1
