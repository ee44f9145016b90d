with

matches as (

    select * from {{ ref('int_matches_compared') }}

),

match_rules as (

    select * from {{ ref('match_rules') }}

),

answers as (

    select * from {{ ref('int_answers_paired') }}

),

match_decisions as (

    select * from {{ ref('match_decisions') }}

),

-- The first rule that fits decides; the last one of the seed fits everything.
rules_ranked as (

    select
        matches.fingerprint,
        matches.batch_id,
        match_rules.rule_position,
        match_rules.verdict,
        match_rules.why,
        row_number() over (
            partition by matches.fingerprint, matches.batch_id
            order by match_rules.rule_position nulls last
        ) as place_of_rule
    from matches
    inner join match_rules
        on
            match_rules.name_agreement in ('any', matches.name_agreement)
            and match_rules.website_agreement in ('any', matches.website_agreement)
            and match_rules.country_agreement in ('any', matches.country_agreement)
            and match_rules.match_confidence in ('any', matches.match_confidence)

),

rules_applied as (

    select * from rules_ranked
    where place_of_rule = 1

)

select
    answers.enrichment_id,
    answers.account_id,
    answers.fingerprint,
    answers.batch_id,
    rules_applied.rule_position as match_rule_position,
    coalesce(match_decisions.verdict, rules_applied.verdict, 'review') as match_verdict,
    coalesce(match_decisions.why, rules_applied.why, 'No rule of match_rules fits') as match_reason,
    match_decisions.account_id is not null as is_decided_by_person
from answers
inner join matches
    on
        answers.fingerprint = matches.fingerprint
        and answers.batch_id = matches.batch_id
left join rules_applied
    on
        answers.fingerprint = rules_applied.fingerprint
        and answers.batch_id = rules_applied.batch_id
-- Who looked at it decided about this company for this account, and not about another that may be answered later.
left join match_decisions
    on
        answers.account_id = match_decisions.account_id
        and matches.company_id = match_decisions.company_id
