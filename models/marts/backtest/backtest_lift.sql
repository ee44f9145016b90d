with

predictions as (

    select * from {{ ref('int_backtest_predictions') }}

),

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

dates_judged as (

    select * from {{ ref('int_backtest_dates_judged') }}
    where is_judged

),

tenths as (

    select {{ exploded_numbers(1, 10) }} as tenth

),

ties as (

    select
        predictions.enrichment_id,
        predictions.predictor_kind,
        predictions.predictor,
        predictions.score_version,
        predictions.component,
        predictions.scored_on,
        predictions.predicted_value,
        count(*) as tied_count,
        sum(case when outcomes.is_active then 1 else 0 end) as tied_active_count
    from predictions
    inner join dates_judged on predictions.scored_on = dates_judged.scored_on
    inner join outcomes
        on
            predictions.enrichment_id = outcomes.enrichment_id
            and predictions.account_id = outcomes.account_id
            and predictions.scored_on = outcomes.scored_on
    group by
        predictions.enrichment_id,
        predictions.predictor_kind,
        predictions.predictor,
        predictions.score_version,
        predictions.component,
        predictions.scored_on,
        predictions.predicted_value

),

ties_from_above as (

    select
        *,
        sum(tied_count) over (
            partition by enrichment_id, predictor_kind, predictor, scored_on
            order by predicted_value desc nulls last
            rows between unbounded preceding and current row
        ) as count_to_here,
        sum(tied_count) over (partition by enrichment_id, predictor_kind, predictor, scored_on) as accounts_count
    from ties

),

-- Tied accounts stand for each other: a tenth takes of a group the share that lies in it. Ten times the accounts, so
-- that the ends of the tenths are whole numbers.
tenths_of_ties as (

    select
        tied.enrichment_id,
        tied.predictor_kind,
        tied.predictor,
        tied.score_version,
        tied.component,
        tied.scored_on,
        tenths.tenth,
        least(10 * tied.count_to_here, tenths.tenth * tied.accounts_count)
        - greatest(10 * (tied.count_to_here - tied.tied_count), (tenths.tenth - 1) * tied.accounts_count) as taken,
        tied.tied_count,
        tied.tied_active_count
    from ties_from_above as tied
    cross join tenths

),

tenths_summed as (

    select
        enrichment_id,
        predictor_kind,
        predictor,
        score_version,
        component,
        tenth,
        sum(cast(taken as double)) / 10 as accounts_weight,
        sum(taken * tied_active_count / nullif(cast(tied_count as double), 0)) / 10 as active_weight,
        count(distinct scored_on) as dates_count
    from tenths_of_ties
    where taken > 0
    group by enrichment_id, predictor_kind, predictor, score_version, component, tenth

),

tenths_from_above as (

    select
        *,
        sum(active_weight) over (
            partition by enrichment_id, predictor_kind, predictor order by tenth nulls last
            rows between unbounded preceding and current row
        ) as active_weight_to_here,
        sum(active_weight) over (partition by enrichment_id, predictor_kind, predictor) as active_weight_of_all,
        sum(accounts_weight) over (partition by enrichment_id, predictor_kind, predictor) as accounts_weight_of_all
    from tenths_summed

)

select
    enrichment_id,
    predictor_kind,
    predictor,
    score_version,
    component,
    cast(tenth as bigint) as tenth,
    round(active_weight / nullif(accounts_weight, 0), 9) as active_ratio,
    round(active_weight_to_here / nullif(active_weight_of_all, 0), 9) as found_ratio,
    cast(round(accounts_weight_of_all, 0) as bigint) as accounts_count,
    dates_count
from tenths_from_above
