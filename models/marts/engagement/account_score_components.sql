with

components_weighted as (

    select * from {{ ref('int_components_weighted') }}
    where score_series != 'history'

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
