with

replicates as (

    select
        enrichment_id,
        predictor_kind,
        predictor,
        score_version,
        component,
        measure,
        judged_over,
        replicate,
        measure_value,
        accounts_count,
        active_count,
        dates_count,
        scored_on
    from {{ ref('int_backtest_replicates') }}

    union all

    select
        enrichment_id,
        'score' as predictor_kind,
        score_version as predictor,
        score_version,
        cast(null as string) as component,
        case band_kind when 'score' then 'calibration_error' else 'calibration_error_by_chance' end as measure,
        'judged dates' as judged_over,
        replicate,
        calibration_error as measure_value,
        accounts_count,
        active_count,
        dates_count,
        cast(null as date) as scored_on
    from {{ ref('int_backtest_calibrations') }}

)

-- Replicate 0 is the accounts as they are; the others are draws of them.
select
    enrichment_id,
    predictor_kind,
    predictor,
    score_version,
    component,
    measure,
    judged_over,
    round(max(case when replicate = 0 then measure_value end), 9) as measure_value,
    round({{ quantile('case when replicate > 0 then measure_value end', 0.025) }}, 9) as lowest_value,
    round({{ quantile('case when replicate > 0 then measure_value end', 0.975) }}, 9) as highest_value,
    max(case when replicate = 0 then accounts_count end) as accounts_count,
    max(case when replicate = 0 then active_count end) as active_count,
    max(case when replicate = 0 then dates_count end) as dates_count,
    scored_on
from replicates
group by
    enrichment_id, predictor_kind, predictor, score_version, component, measure, judged_over, scored_on
