with

dates_judged as (

    select * from {{ ref('int_backtest_dates_judged') }}
    where is_judged

),

replicates as (

    select replicates.*
    from {{ ref('int_backtest_replicates') }} as replicates
    inner join dates_judged on replicates.scored_on = dates_judged.scored_on
    where replicates.measure_value is not null

),

-- Date by date where both can be told, and each replicate draws the same accounts for both: what they share falls out
-- of the difference.
pairs as (

    select
        scores.enrichment_id,
        scores.score_version,
        compared.predictor_kind as compared_kind,
        compared.predictor as compared_predictor,
        compared.component,
        scores.measure,
        scores.replicate,
        count(*) as dates_count,
        avg(scores.measure_value) as measure_value,
        avg(compared.measure_value) as compared_value,
        avg(scores.measure_value - compared.measure_value) as difference
    from replicates as scores
    inner join replicates as compared
        on
            scores.enrichment_id = compared.enrichment_id
            and scores.measure = compared.measure
            and scores.replicate = compared.replicate
            and scores.scored_on = compared.scored_on
    where
        scores.predictor_kind = 'score'
        and (
            compared.predictor_kind = 'baseline'
            or (compared.predictor_kind = 'score' and scores.score_version != compared.score_version)
            or (compared.predictor_kind = 'ablation' and scores.score_version = compared.score_version)
        )
    group by
        scores.enrichment_id,
        scores.score_version,
        compared.predictor_kind,
        compared.predictor,
        compared.component,
        scores.measure,
        scores.replicate

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
        round({{ quantile('case when replicate > 0 then difference end', 0.975) }}, 9) as highest_difference,
        max(case when replicate = 0 then dates_count end) as dates_count
    from pairs
    group by enrichment_id, score_version, compared_kind, compared_predictor, component, measure

),

comparisons_ranked as (

    select
        *,
        row_number() over (
            partition by enrichment_id, score_version, measure, compared_kind
            order by difference nulls last, compared_predictor nulls last
        ) as place_in_kind
    from comparisons
    -- A draw may tell apart what the accounts as they are do not.
    where dates_count > 0

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
    compared_kind = 'baseline' and place_in_kind = 1 as is_best_baseline,
    dates_count
from comparisons_ranked
