{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

score_rows as (

    select * from {{ ref('int_score_rows') }}

),

components_measured as (

    select measured.*
    from {{ ref('int_components_measured') }} as measured
    {{ only_touched('measured', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

score_components as (

    select * from {{ ref('score_components') }}

),

components_per_row as (

    select
        components_measured.score_version,
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.score_series,
        components_measured.component,
        components_measured.raw_value,
        case score_components.better
            when 'lower' then -components_measured.raw_value
            else components_measured.raw_value
        end as oriented_value,
        -- Against a fixed point instead of the others: half of the points there, never all of them.
        case
            when score_components.half_points_at is null then components_measured.raw_value
            when score_components.better = 'lower'
                then
                    score_components.half_points_at
                    / nullif(score_components.half_points_at + components_measured.raw_value, 0)
            else
                components_measured.raw_value
                / nullif(score_components.half_points_at + components_measured.raw_value, 0)
        end as anchored_ratio,
        score_rows.period_starts_on,
        score_rows.scored_on,
        score_rows.known_by_on
    from score_rows
    inner join components_measured
        on
            score_rows.enrichment_id = components_measured.enrichment_id
            and score_rows.account_id = components_measured.account_id
            and score_rows.scored_on = components_measured.scored_on
            and score_rows.known_by_on = components_measured.known_by_on
    inner join score_components
        on
            components_measured.score_version = score_components.score_version
            and components_measured.component = score_components.component

),

components_ranked as (

    select
        *,
        rank() over (
            partition by score_version, enrichment_id, score_series, period_starts_on, component
            order by oriented_value nulls last
        ) as place_from_below,
        count(*) over (
            partition by score_version, enrichment_id, score_series, period_starts_on, component, oriented_value
        ) as tied_count,
        count(oriented_value) over (
            partition by score_version, enrichment_id, score_series, period_starts_on, component
        ) as measured_count
    from components_per_row

)

-- Mid-rank: accounts that tie share the middle of their places; alone, an account stands in the middle.
select
    score_version,
    enrichment_id,
    account_id,
    score_series,
    component,
    raw_value,
    case
        when raw_value is null then null
        when measured_count = 1 then cast(0.5 as double)
        else (place_from_below - 1 + (tied_count - 1) / cast(2 as double)) / nullif(measured_count - 1, 0)
    end as place_ratio,
    measured_count,
    anchored_ratio,
    period_starts_on,
    scored_on,
    known_by_on
from components_ranked
