{%- set baselines = [
    'days_since_last_contact', 'rule_60_days', 'emails_365_days', 'emails_90_days', 'emails_decayed_30_days',
    'inbound_decayed_30_days', 'four_equal_ranks',
] -%}
with

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

baselines_measured as (

    select * from {{ ref('int_backtest_baselines_measured') }}

),

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series = 'backtest'

),

components_weighted as (

    select * from {{ ref('int_components_weighted') }}
    where score_series = 'backtest'

),

components_left_out as (

    select distinct
        score_version,
        component
    from components_weighted

),

-- The score without one component: its weight goes to the rest, as with a component that could not be measured.
ablations as (

    select
        components_weighted.score_version,
        components_weighted.enrichment_id,
        components_weighted.account_id,
        components_left_out.component,
        100 * sum(components_weighted.weight * components_weighted.place_ratio)
        / nullif(
            sum(case when components_weighted.place_ratio is not null then components_weighted.weight end), 0
        ) as score_left,
        components_weighted.scored_on
    from components_weighted
    inner join components_left_out
        on
            components_weighted.score_version = components_left_out.score_version
            and components_weighted.component != components_left_out.component
    group by
        components_weighted.score_version,
        components_weighted.enrichment_id,
        components_weighted.account_id,
        components_left_out.component,
        components_weighted.scored_on

),

baselines as (

    select
        enrichment_id,
        account_id,
        scored_on,
        {{ stacked(baselines, 'predictor', 'predicted_value') }}
    from baselines_measured

),

predictions as (

    select
        enrichment_id,
        account_id,
        'score' as predictor_kind,
        score_version as predictor,
        score_version,
        cast(null as string) as component,
        cast(engagement_score as double) as predicted_value,
        scored_on
    from scores

    union all

    select
        enrichment_id,
        account_id,
        'ablation' as predictor_kind,
        concat(score_version, ' without ', component) as predictor,
        score_version,
        component,
        -- Where nothing else was measured, nothing is earned.
        coalesce(score_left, 0) as predicted_value,
        scored_on
    from ablations

    union all

    select
        enrichment_id,
        account_id,
        'baseline' as predictor_kind,
        predictor,
        cast(null as string) as score_version,
        cast(null as string) as component,
        predicted_value,
        scored_on
    from baselines

)

-- Every predictor for the same accounts.
select
    predictions.enrichment_id,
    predictions.account_id,
    predictions.predictor_kind,
    predictions.predictor,
    predictions.score_version,
    predictions.component,
    round(predictions.predicted_value, 9) as predicted_value,
    predictions.scored_on
from predictions
inner join outcomes
    on
        predictions.enrichment_id = outcomes.enrichment_id
        and predictions.account_id = outcomes.account_id
        and predictions.scored_on = outcomes.scored_on
