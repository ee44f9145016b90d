{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

components_scaled as (

    select scaled.*
    from {{ ref('int_components_scaled') }} as scaled
    {{ only_touched('scaled', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

score_components as (

    select * from {{ ref('score_components') }}

),

components_with_weight as (

    select
        components_scaled.*,
        score_components.unit,
        score_components.weight,
        sum(case when components_scaled.place_ratio is not null then score_components.weight end) over (
            partition by
                components_scaled.score_version,
                components_scaled.enrichment_id,
                components_scaled.account_id,
                components_scaled.score_series,
                components_scaled.period_starts_on
        ) as measured_weight
    from components_scaled
    inner join score_components
        on
            components_scaled.score_version = score_components.score_version
            and components_scaled.component = score_components.component

),

components_with_points as (

    select
        *,
        -- What could not be measured is not zero: its weight goes to the rest.
        case
            when place_ratio is not null then 100 * weight / nullif(measured_weight, 0)
        end as points_possible
    from components_with_weight

)

select
    score_version,
    enrichment_id,
    account_id,
    score_series,
    component,
    unit,
    raw_value,
    place_ratio,
    weight,
    points_possible,
    {{ points('points_possible', 'place_ratio') }} as points_earned,
    {{ points('points_possible', 'anchored_ratio') }} as anchored_points,
    measured_count,
    period_starts_on,
    scored_on,
    known_by_on
from components_with_points
