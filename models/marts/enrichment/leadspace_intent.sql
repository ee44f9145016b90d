with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where is_enriched

),

intent as (

    select * from {{ ref('stg_leadspace__intent') }}

),

intent_masked as (

    select
        lookups.enrichment_id,
        lookups.account_id,
        intent.intent_version,
        {{ addresses_masked('intent.intent_name') }} as intent_name,
        {{ addresses_masked('intent.intent_level') }} as intent_level,
        intent.intent_score,
        intent.is_new_high,
        {{ addresses_masked('intent.intent_source') }} as intent_source,
        {{ addresses_masked('intent.intent_cadence') }} as intent_cadence,
        intent.intent_part,
        {{ addresses_masked('intent.part_name') }} as part_name
    from lookups
    inner join intent
        on
            lookups.fingerprint = intent.fingerprint
            and lookups.batch_id = intent.batch_id

),

-- What an answer says twice, also in both versions' shapes, is there once: v4 goes before the older shape, then the
-- higher score, then the alphabet.
intent_ranked as (

    select
        *,
        row_number() over (
            partition by
                enrichment_id, account_id, {{ lowered('intent_name') }}, intent_part, {{ lowered('part_name') }}
            order by
                intent_version desc nulls last,
                intent_score desc nulls last,
                intent_name asc nulls last,
                part_name asc nulls last,
                intent_level asc nulls last,
                is_new_high desc nulls last,
                intent_source asc nulls last,
                intent_cadence asc nulls last
        ) as place_in_answer
    from intent_masked

)

select
    enrichment_id,
    account_id,
    intent_name,
    intent_part,
    part_name,
    intent_level,
    intent_score,
    is_new_high,
    intent_source,
    intent_cadence,
    intent_version
from intent_ranked
where place_in_answer = 1
