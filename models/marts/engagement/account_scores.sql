{%- set medium_from = var('medium_confidence_from') -%}
{%- set high_from = var('high_confidence_from') -%}
{{ config(
    materialized=refreshed(),
    incremental_strategy='delete+insert' if target.type == 'duckdb' else none,
    unique_key=['enrichment_id', 'account_id', 'aggregation_level', 'aggregation_starts_on', 'score_version'],
    on_schema_change='fail',
    post_hook="{{ without_gone('int_scores_summed', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id', 'aggregation_level': 'score_series',
        'aggregation_starts_on': 'period_starts_on', 'score_version': 'score_version',
    }) }}",
) }}

with

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series in ('year', 'month', 'week')

),

features as (

    select * from {{ ref('int_score_features_measured') }}

),

score_bands as (

    select * from {{ ref('score_bands') }}

),

scores_ranked as (

    select
        scores.*,
        features.interactions_count,
        rank() over (
            partition by
                scores.score_version, scores.enrichment_id, scores.score_series, scores.period_starts_on
            order by scores.engagement_score desc nulls last
        ) as score_rank
    from scores
    inner join features
        on
            scores.score_version = features.score_version
            and scores.enrichment_id = features.enrichment_id
            and scores.account_id = features.account_id
            and scores.scored_on = features.scored_on
            and scores.known_by_on = features.known_by_on

)

select
    scores_ranked.enrichment_id,
    scores_ranked.account_id,
    scores_ranked.score_series as aggregation_level,
    scores_ranked.score_version,
    scores_ranked.engagement_score,
    score_bands.score_band,
    cast(scores_ranked.score_rank as bigint) as score_rank,
    scores_ranked.accounts_count,
    scores_ranked.interactions_count,
    -- Few others make a coarse place, few contacts a chance one.
    case
        when least(scores_ranked.accounts_count, scores_ranked.interactions_count) < {{ medium_from }} then 'low'
        when least(scores_ranked.accounts_count, scores_ranked.interactions_count) < {{ high_from }} then 'medium'
        else 'high'
    end as score_confidence,
    scores_ranked.anchored_score,
    scores_ranked.period_starts_on as aggregation_starts_on,
    scores_ranked.scored_on
from scores_ranked
left join score_bands
    on
        scores_ranked.engagement_score >= score_bands.from_score
        and (
            scores_ranked.engagement_score < score_bands.to_score
            or (score_bands.to_score = 100 and scores_ranked.engagement_score = 100)
        )
{{ unless_it_stands() }}
