{%- set enriching_verdicts = "'" ~ var('enriching_verdicts') | join("', '") ~ "'" -%}

with

answers as (

    select * from {{ ref('int_answers_paired') }}

),

matches as (

    select * from {{ ref('int_matches_judged') }}

)

-- The newest result decides until the next one. A rejected match enriches nothing.
select
    answers.enrichment_id,
    answers.account_id,
    answers.fingerprint,
    answers.batch_id,
    answers.run_id,
    answers.sent_name,
    answers.sent_website,
    answers.sent_country,
    matches.match_verdict,
    coalesce(matches.match_verdict in ({{ enriching_verdicts }}), false) as is_enriched,
    answers.received_at,
    answers.known_from_at,
    lead(answers.known_from_at) over (
        partition by answers.enrichment_id, answers.account_id
        order by answers.known_from_at nulls last
    ) as known_to_at
from answers
left join matches
    on
        answers.enrichment_id = matches.enrichment_id
        and answers.account_id = matches.account_id
        and answers.fingerprint = matches.fingerprint
        and answers.batch_id = matches.batch_id
