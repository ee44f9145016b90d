with

scores_judged as (

    select * from {{ ref('int_backtest_scores_judged') }}
    where inbound_chance_ratio is not null

),

draws as (

    select * from {{ ref('int_backtest_draws') }}

),

dates_counted as (

    select
        score_version,
        enrichment_id,
        count(distinct scored_on) as dates_count
    from scores_judged
    group by score_version, enrichment_id

),

bands as (

    select
        scores_judged.score_version,
        scores_judged.enrichment_id,
        scores_judged.chance_band,
        draws.replicate,
        sum(draws.draw_weight) as accounts_weight,
        sum(case when scores_judged.is_active then draws.draw_weight else 0 end) as active_weight,
        sum(draws.draw_weight * scores_judged.inbound_chance_ratio) as predicted_weight
    from scores_judged
    inner join draws
        on
            scores_judged.enrichment_id = draws.enrichment_id
            and scores_judged.account_id = draws.account_id
    group by
        scores_judged.score_version, scores_judged.enrichment_id, scores_judged.chance_band, draws.replicate

)

-- The distance of what was foretold from what came, band by band, each band by its share of the accounts.
select
    bands.score_version,
    bands.enrichment_id,
    bands.replicate,
    round(
        sum(abs(bands.predicted_weight - bands.active_weight)) / nullif(cast(sum(bands.accounts_weight) as double), 0),
        12
    ) as calibration_error,
    cast(sum(bands.accounts_weight) as bigint) as accounts_count,
    cast(sum(bands.active_weight) as bigint) as active_count,
    max(dates_counted.dates_count) as dates_count
from bands
inner join dates_counted
    on
        bands.score_version = dates_counted.score_version
        and bands.enrichment_id = dates_counted.enrichment_id
group by bands.score_version, bands.enrichment_id, bands.replicate
