{{ config(
    materialized=refreshed(),
    incremental_strategy='delete+insert' if target.type == 'duckdb' else none,
    unique_key=['enrichment_id', 'account_id', 'score_version', 'week_ends_on'],
    on_schema_change='fail',
    post_hook="{{ without_gone('int_scores_summed', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id', 'score_version': 'score_version',
        'week_ends_on': 'known_by_on',
    }) }}",
) }}

with

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series = 'history'

),

changes as (

    select
        score_version,
        enrichment_id,
        account_id,
        scored_on,
        sum(own_change_points) as own_change_points,
        sum(others_change_points) as others_change_points
    from {{ ref('int_score_changes_explained') }}
    group by score_version, enrichment_id, account_id, scored_on

)

-- Previous is seven days earlier; an account that had no contact in the year before has none (D7).
select
    scores.enrichment_id,
    scores.account_id,
    scores.score_version,
    scores.engagement_score,
    previous_scores.engagement_score as previous_engagement_score,
    cast(scores.engagement_score - previous_scores.engagement_score as decimal(9, 4)) as change_points,
    cast(changes.own_change_points as decimal(9, 4)) as own_change_points,
    cast(changes.others_change_points as decimal(9, 4)) as others_change_points,
    scores.anchored_score,
    scores.scored_on as week_ends_on
from scores
left join scores as previous_scores
    on
        scores.enrichment_id = previous_scores.enrichment_id
        and scores.account_id = previous_scores.account_id
        and scores.score_version = previous_scores.score_version
        and scores.scored_on = cast(previous_scores.scored_on + interval 7 day as date)
left join changes
    on
        scores.enrichment_id = changes.enrichment_id
        and scores.account_id = changes.account_id
        and scores.score_version = changes.score_version
        and scores.scored_on = changes.scored_on
{{ unless_it_stands() }}
