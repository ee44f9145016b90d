{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

components_weighted as (

    select weighted.*
    from {{ ref('int_components_weighted') }} as weighted
    {{ only_touched('weighted', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

)

select
    score_version,
    enrichment_id,
    account_id,
    score_series,
    cast(sum(points_earned) as decimal(9, 4)) as engagement_score,
    cast(sum(anchored_points) as decimal(9, 4)) as anchored_score,
    max(measured_count) as accounts_count,
    period_starts_on,
    scored_on,
    known_by_on
from components_weighted
group by score_version, enrichment_id, account_id, score_series, period_starts_on, scored_on, known_by_on
