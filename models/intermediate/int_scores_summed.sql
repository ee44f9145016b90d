with

components_weighted as (

    select * from {{ ref('int_components_weighted') }}

)

select
    score_version,
    enrichment_id,
    account_id,
    score_series,
    cast(sum(points_earned) as decimal(9, 4)) as engagement_score,
    period_starts_on,
    scored_on
from components_weighted
group by score_version, enrichment_id, account_id, score_series, period_starts_on, scored_on
