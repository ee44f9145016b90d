{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_judged_days_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
    post_hook="{{ without_gone('int_score_rows_judged', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id', 'scored_on': 'scored_on', 'known_by_on': 'known_by_on',
    }) }}",
) }}

with

rows_judged as (

    select judged.*
    from {{ ref('int_score_rows_judged') }} as judged
    {{ only_touched('judged', 'int_judged_days_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

people_involved as (

    select * from {{ ref('int_people_involved') }}

),

shares as (

    select
        rows_judged.enrichment_id,
        rows_judged.account_id,
        rows_judged.scored_on,
        rows_judged.known_by_on,
        people_involved.side,
        people_involved.person_key,
        cast(sum(people_involved.interactions_count) as bigint) as interactions_count
    from people_involved
    inner join rows_judged
        on
            people_involved.enrichment_id = rows_judged.enrichment_id
            and people_involved.account_id = rows_judged.account_id
            and people_involved.happened_on <= rows_judged.scored_on
            and people_involved.happened_on >= cast(rows_judged.scored_on - interval 364 day as date)
            and people_involved.known_on <= rows_judged.known_by_on
    group by
        rows_judged.enrichment_id,
        rows_judged.account_id,
        rows_judged.scored_on,
        rows_judged.known_by_on,
        people_involved.side,
        people_involved.person_key

)

-- Whoever carries most stays a number: no key of a person leaves this step.
select
    enrichment_id,
    account_id,
    max(case side when 'account' then interactions_count end) as top_contact_count,
    max(case side when 'own' then interactions_count end) as top_own_person_count,
    scored_on,
    known_by_on
from shares
group by enrichment_id, account_id, scored_on, known_by_on
