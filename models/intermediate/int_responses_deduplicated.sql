with

responses as (

    -- What the service failed on says nothing about the company.
    select * from {{ ref('stg_leadspace__responses') }}
    where outcome != 'failed'

),

-- A refusal tells nothing new about a company that an answer had told of.
responses_ranked as (

    select
        fingerprint,
        batch_id,
        outcome,
        match_confidence,
        is_enriched,
        received_at,
        row_number() over (
            partition by fingerprint
            order by
                case outcome when 'result' then 0 else 1 end nulls last,
                received_at desc nulls last,
                batch_id desc nulls last
        ) as place_from_newest
    from responses

)

select
    fingerprint,
    batch_id,
    outcome,
    match_confidence,
    is_enriched,
    received_at
from responses_ranked
where place_from_newest = 1
