with

scores_judged as (

    select * from {{ ref('int_backtest_scores_judged') }}
    where inbound_chance_ratio is not null

),

draws as (

    select * from {{ ref('int_backtest_draws') }}

),

-- Of the bands of the score, and of those of the chance itself.
accounts_banded as (

    select
        *,
        'score' as band_kind,
        score_band as band_position
    from scores_judged

    union all

    select
        *,
        'chance' as band_kind,
        chance_band as band_position
    from scores_judged

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
        accounts_banded.score_version,
        accounts_banded.enrichment_id,
        accounts_banded.band_kind,
        accounts_banded.band_position,
        draws.replicate,
        sum(draws.draw_weight) as accounts_weight,
        sum(case when accounts_banded.is_active then draws.draw_weight else 0 end) as active_weight,
        sum(draws.draw_weight * accounts_banded.inbound_chance_ratio) as predicted_weight
    from accounts_banded
    inner join draws
        on
            accounts_banded.enrichment_id = draws.enrichment_id
            and accounts_banded.account_id = draws.account_id
    group by
        accounts_banded.score_version,
        accounts_banded.enrichment_id,
        accounts_banded.band_kind,
        accounts_banded.band_position,
        draws.replicate

)

-- The distance of what was foretold from what came, band by band, each band by its share of the accounts.
select
    bands.score_version,
    bands.enrichment_id,
    bands.band_kind,
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
group by bands.score_version, bands.enrichment_id, bands.band_kind, bands.replicate
