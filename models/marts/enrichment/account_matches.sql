with

lookups as (

    select * from {{ ref('int_lookups_resolved') }}
    where match_verdict is not null

),

matches_compared as (

    select * from {{ ref('int_matches_compared') }}

),

matches_judged as (

    select * from {{ ref('int_matches_judged') }}

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

)

select
    lookups.enrichment_id,
    lookups.account_id,
    {{ addresses_masked('responses.company_id') }} as company_id,
    {{ addresses_masked('lookups.sent_name') }} as sent_name,
    {{ addresses_masked('responses.company_name') }} as answered_name,
    matches_judged.match_verdict,
    {{ addresses_masked('matches_judged.match_reason') }} as match_reason,
    matches_judged.match_rule_position,
    {{ addresses_masked('matches_compared.match_confidence') }} as match_confidence,
    matches_compared.name_agreement,
    matches_compared.website_agreement,
    matches_compared.country_agreement,
    matches_compared.name_similarity_ratio,
    matches_judged.is_decided_by_person,
    lookups.is_enriched,
    lookups.answered_at
from lookups
inner join matches_judged
    on
        lookups.enrichment_id = matches_judged.enrichment_id
        and lookups.account_id = matches_judged.account_id
        and lookups.fingerprint = matches_judged.fingerprint
        and lookups.batch_id = matches_judged.batch_id
inner join matches_compared
    on
        lookups.fingerprint = matches_compared.fingerprint
        and lookups.batch_id = matches_compared.batch_id
inner join responses
    on
        lookups.fingerprint = responses.fingerprint
        and lookups.batch_id = responses.batch_id
