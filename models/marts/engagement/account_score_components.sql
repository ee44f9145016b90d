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
    where weighted.score_series in ('year', 'month', 'week')

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

)

select
    components_weighted.enrichment_id,
    components_weighted.account_id,
    components_weighted.score_series as aggregation_level,
    components_weighted.score_version,
    components_weighted.component,
    components_weighted.unit,
    -- Below the smallest group a raw value is a small number of people like any other.
    case
        when
            not reporting.is_banded
            or components_weighted.unit != 'people'
            or components_weighted.raw_value >= reporting.smallest_group
            then components_weighted.raw_value
    end as raw_value,
    components_weighted.place_ratio,
    components_weighted.weight as weight_points,
    components_weighted.points_possible,
    components_weighted.points_earned,
    components_weighted.period_starts_on as aggregation_starts_on,
    components_weighted.scored_on
from components_weighted
cross join reporting
