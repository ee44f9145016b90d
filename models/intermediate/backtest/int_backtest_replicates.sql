with

predictions as (

    select * from {{ ref('int_backtest_predictions') }}

),

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

draws as (

    select * from {{ ref('int_backtest_draws') }}

),

dates_judged as (

    select * from {{ ref('int_backtest_dates_judged') }}

),

-- Numbers instead of names: the rows below are many.
outcomes_numbered as (

    select
        enrichment_id,
        account_id,
        scored_on,
        cast(dense_rank() over (order by enrichment_id nulls last, scored_on nulls last) as integer) as sample_key,
        row_number() over (
            order by enrichment_id nulls last, scored_on nulls last, account_id nulls last
        ) as outcome_key,
        messages_count,
        case when is_active then 1 else 0 end as active_number
    from outcomes

),

places as (

    select
        outcomes_numbered.outcome_key,
        predictions.enrichment_id,
        predictions.predictor_kind,
        predictions.predictor,
        predictions.score_version,
        predictions.component,
        predictions.scored_on,
        outcomes_numbered.sample_key,
        cast(dense_rank() over (
            order by
                predictions.enrichment_id nulls last,
                predictions.predictor_kind nulls last,
                predictions.predictor nulls last,
                predictions.scored_on nulls last
        ) as integer) as series_key,
        cast(dense_rank() over (
            partition by
                predictions.enrichment_id,
                predictions.predictor_kind,
                predictions.predictor,
                predictions.scored_on
            order by predictions.predicted_value nulls last
        ) as integer) as place
    from predictions
    inner join outcomes_numbered
        on
            predictions.enrichment_id = outcomes_numbered.enrichment_id
            and predictions.account_id = outcomes_numbered.account_id
            and predictions.scored_on = outcomes_numbered.scored_on

),

series as (

    select distinct
        series_key,
        sample_key,
        enrichment_id,
        predictor_kind,
        predictor,
        score_version,
        component,
        scored_on
    from places

),

-- All sums below are of whole numbers, kept as doubles: exact, so the order of rows changes nothing, and never too big.
outcomes_drawn as (

    select
        outcomes_numbered.outcome_key,
        outcomes_numbered.sample_key,
        outcomes_numbered.messages_count,
        cast(draws.replicate as integer) as replicate,
        cast(draws.draw_weight as double) as draw_weight,
        cast(draws.draw_weight * outcomes_numbered.active_number as double) as active_weight
    from outcomes_numbered
    inner join draws
        on
            outcomes_numbered.enrichment_id = draws.enrichment_id
            and outcomes_numbered.account_id = draws.account_id

),

outcomes_summed as (

    select
        *,
        sum(draw_weight) over (
            partition by sample_key, replicate order by messages_count nulls last
        ) as weight_to_here,
        sum(draw_weight) over (partition by sample_key, replicate, messages_count) as tied_weight,
        sum(draw_weight) over (partition by sample_key, replicate) as accounts_weight
    from outcomes_drawn

),

-- Twice the shared place among the numbers of messages, less its mean: an account that is drawn twice is two accounts
-- that tie.
outcomes_ranked as (

    select
        outcome_key,
        sample_key,
        replicate,
        draw_weight,
        active_weight,
        2 * weight_to_here - tied_weight - accounts_weight as outcome_place
    from outcomes_summed

),

samples as (

    select
        sample_key,
        replicate,
        sum(draw_weight) as accounts_weight,
        sum(active_weight) as active_weight,
        sum(draw_weight * outcome_place * outcome_place) as outcome_variance
    from outcomes_ranked
    group by sample_key, replicate

),

-- Accounts that tie, together.
ties as (

    select
        places.series_key,
        places.place,
        outcomes_ranked.sample_key,
        outcomes_ranked.replicate,
        sum(outcomes_ranked.draw_weight) as tied_weight,
        sum(outcomes_ranked.active_weight) as tied_active_weight,
        sum(outcomes_ranked.draw_weight * outcomes_ranked.outcome_place) as tied_outcome_places
    from places
    inner join outcomes_ranked on places.outcome_key = outcomes_ranked.outcome_key
    group by places.series_key, places.place, outcomes_ranked.sample_key, outcomes_ranked.replicate

),

ties_from_below as (

    select
        *,
        sum(tied_weight) over (
            partition by series_key, replicate order by place nulls last
            rows between unbounded preceding and current row
        ) as weight_to_here,
        sum(tied_active_weight) over (
            partition by series_key, replicate order by place nulls last
            rows between unbounded preceding and current row
        ) as active_weight_to_here
    from ties

),

ties_placed as (

    select
        tied.series_key,
        tied.replicate,
        samples.accounts_weight,
        samples.active_weight,
        samples.outcome_variance,
        tied.tied_weight,
        tied.tied_active_weight,
        tied.tied_outcome_places,
        2 * tied.weight_to_here - tied.tied_weight - samples.accounts_weight as place,
        -- of an active account with each other one: two where it stands above, one where they tie
        2 * (tied.weight_to_here - tied.active_weight_to_here)
        - (tied.tied_weight - tied.tied_active_weight) as pairs_won,
        -- of the best tenth, ten times: the rest of it that the accounts above leave, at most all
        least(
            greatest(samples.accounts_weight - 10 * (samples.accounts_weight - tied.weight_to_here), 0),
            10 * tied.tied_weight
        ) as top_weight
    from ties_from_below as tied
    inner join samples
        on
            tied.sample_key = samples.sample_key
            and tied.replicate = samples.replicate

),

sums as (

    select
        series_key,
        replicate,
        max(accounts_weight) as accounts_weight,
        max(active_weight) as active_weight,
        max(outcome_variance) as outcome_variance,
        sum(tied_active_weight * pairs_won) as pairs_won,
        sum(tied_weight * place * place) as place_variance,
        sum(tied_outcome_places * place) as place_covariance,
        -- tied accounts stand for each other: of a group that the tenth's end cuts, its share
        sum(tied_active_weight * top_weight / nullif(tied_weight, 0)) as top_active_weight
    from ties_placed
    group by series_key, replicate

),

-- Null where there is nothing to tell apart.
measures as (

    select
        series.enrichment_id,
        series.predictor_kind,
        series.predictor,
        series.score_version,
        series.component,
        sums.replicate,
        sums.accounts_weight,
        sums.active_weight,
        sums.pairs_won
        / nullif(2 * sums.active_weight * (sums.accounts_weight - sums.active_weight), 0) as auc,
        sums.place_covariance
        / nullif(sqrt(sums.place_variance) * sqrt(sums.outcome_variance), 0) as spearman,
        case
            when sums.active_weight < sums.accounts_weight
                then sums.top_active_weight / nullif(sums.active_weight, 0)
        end as lift,
        series.scored_on
    from sums
    inner join series on sums.series_key = series.series_key

),

measures_stacked as (

    select
        enrichment_id,
        predictor_kind,
        predictor,
        score_version,
        component,
        replicate,
        accounts_weight,
        active_weight,
        scored_on,
        {{ stacked(['auc', 'spearman', 'lift'], 'measure', 'measure_value') }}
    from measures

)

select
    enrichment_id,
    predictor_kind,
    predictor,
    score_version,
    component,
    measure,
    cast(scored_on as string) as judged_over,
    cast(replicate as bigint) as replicate,
    round(measure_value, 12) as measure_value,
    cast(accounts_weight as bigint) as accounts_count,
    cast(active_weight as bigint) as active_count,
    cast(case when measure_value is null then 0 else 1 end as bigint) as dates_count,
    scored_on
from measures_stacked

union all

-- A date at which a measure cannot be told does not count to its mean.
select
    measures_stacked.enrichment_id,
    measures_stacked.predictor_kind,
    measures_stacked.predictor,
    measures_stacked.score_version,
    measures_stacked.component,
    measures_stacked.measure,
    'judged dates' as judged_over,
    cast(measures_stacked.replicate as bigint) as replicate,
    round(avg(measures_stacked.measure_value), 12) as measure_value,
    cast(sum(measures_stacked.accounts_weight) as bigint) as accounts_count,
    cast(sum(measures_stacked.active_weight) as bigint) as active_count,
    count(measures_stacked.measure_value) as dates_count,
    cast(null as date) as scored_on
from measures_stacked
inner join dates_judged
    on
        measures_stacked.scored_on = dates_judged.scored_on
        and dates_judged.is_judged
group by
    measures_stacked.enrichment_id,
    measures_stacked.predictor_kind,
    measures_stacked.predictor,
    measures_stacked.score_version,
    measures_stacked.component,
    measures_stacked.measure,
    measures_stacked.replicate
