with

replicates as (

    select * from {{ ref('int_backtest_replicates') }}
    where judged_over = 'judged dates'

),

-- Each replicate draws the same accounts for both, so that what they share falls out of the difference.
differences as (

    select
        scores.enrichment_id,
        scores.score_version,
        compared.predictor_kind as compared_kind,
        compared.predictor as compared_predictor,
        compared.component,
        scores.measure,
        scores.replicate,
        scores.measure_value,
        compared.measure_value as compared_value,
        scores.measure_value - compared.measure_value as difference
    from replicates as scores
    inner join replicates as compared
        on
            scores.enrichment_id = compared.enrichment_id
            and scores.measure = compared.measure
            and scores.replicate = compared.replicate
    where
        scores.predictor_kind = 'score'
        and (
            compared.predictor_kind = 'baseline'
            or (compared.predictor_kind = 'score' and scores.score_version != compared.score_version)
            or (compared.predictor_kind = 'ablation' and scores.score_version = compared.score_version)
        )

),

comparisons as (

    select
        enrichment_id,
        score_version,
        compared_kind,
        compared_predictor,
        component,
        measure,
        round(max(case when replicate = 0 then measure_value end), 9) as measure_value,
        round(max(case when replicate = 0 then compared_value end), 9) as compared_value,
        round(max(case when replicate = 0 then difference end), 9) as difference,
        round({{ quantile('case when replicate > 0 then difference end', 0.025) }}, 9) as lowest_difference,
        round({{ quantile('case when replicate > 0 then difference end', 0.975) }}, 9) as highest_difference
    from differences
    group by enrichment_id, score_version, compared_kind, compared_predictor, component, measure

),

comparisons_ranked as (

    select
        *,
        row_number() over (
            partition by enrichment_id, score_version, measure, compared_kind
            order by compared_value desc nulls last, compared_predictor asc nulls last
        ) as place_in_kind
    from comparisons

)

select
    enrichment_id,
    score_version,
    compared_kind,
    compared_predictor,
    component,
    measure,
    measure_value,
    compared_value,
    difference,
    lowest_difference,
    highest_difference,
    compared_kind = 'baseline' and compared_value is not null and place_in_kind = 1 as is_best_baseline
from comparisons_ranked
