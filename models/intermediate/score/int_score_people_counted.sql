{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

score_rows as (

    select distinct
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        -- What is known today, or what was known by the end of the day itself (int_score_rows).
        case when score_rows.known_by_on = score_rows.scored_on then 1 else 0 end as is_as_known
    from {{ ref('int_score_rows') }} as score_rows
    {{ only_touched('score_rows', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

people_involved as (

    select * from {{ ref('int_people_involved') }}

),

-- Versions with one window share what is measured in it.
breadth_windows as (

    select distinct window_days from {{ ref('score_components') }}
    where
        component = 'breadth'
        and window_days is not null

),

{{ stretches_in_windows(
    'people', 'people_involved', ['enrichment_id', 'account_id', 'side', 'person_key'], 'breadth_windows', 'score_rows',
) }}

select
    score_rows.enrichment_id,
    score_rows.account_id,
    cast(sum(case people.side when 'own' then 1 else 0 end) as bigint) as own_people_count,
    cast(sum(case people.side when 'account' then 1 else 0 end) as bigint) as account_people_count,
    people.window_days,
    score_rows.scored_on,
    score_rows.known_by_on
from score_rows
inner join people_joined as people
    on
        score_rows.enrichment_id = people.enrichment_id
        and score_rows.account_id = people.account_id
        and score_rows.is_as_known = coalesce(people.is_as_known, score_rows.is_as_known)
        and score_rows.scored_on >= people.starts_on
        and score_rows.scored_on < people.ends_before_on
group by
    score_rows.enrichment_id,
    score_rows.account_id,
    people.window_days,
    score_rows.scored_on,
    score_rows.known_by_on
