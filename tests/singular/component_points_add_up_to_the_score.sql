-- To the last digit, on every level (D7).
with

component_sums as (

    select
        enrichment_id,
        account_id,
        aggregation_level,
        aggregation_starts_on,
        sum(points_earned) as points
    from {{ ref('account_score_components') }}
    where score_version = '{{ var("score_version") }}'
    group by enrichment_id, account_id, aggregation_level, aggregation_starts_on

)

select
    account_engagement.primary_key,
    account_engagement.engagement_score,
    component_sums.points
from {{ ref('account_engagement') }} as account_engagement
left join component_sums
    on
        account_engagement.enrichment_id = component_sums.enrichment_id
        and account_engagement.account_id = component_sums.account_id
        and account_engagement.aggregation_level = component_sums.aggregation_level
        and account_engagement.aggregation_starts_on = component_sums.aggregation_starts_on
where
    account_engagement.engagement_score is null
    or component_sums.points is null
    or account_engagement.engagement_score != component_sums.points
