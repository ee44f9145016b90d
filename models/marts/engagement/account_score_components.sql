{{ config(
    materialized=refreshed(),
    on_schema_change='fail',
    pre_hook="{{ without_touched(
        'int_scores_touched', ['enrichment_id', 'scored_on'], where=\"known_by_on = date '9999-12-31'\"
    ) }}",
) }}

with

components_weighted as (

    select weighted.*
    from {{ ref('int_components_weighted') }} as weighted
    {{ only_touched('weighted', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}
    where weighted.score_series != 'history'

)

select
    enrichment_id,
    account_id,
    score_series as aggregation_level,
    score_version,
    component,
    unit,
    raw_value,
    place_ratio,
    weight as weight_points,
    points_possible,
    points_earned,
    period_starts_on as aggregation_starts_on,
    scored_on
from components_weighted
