with

scores_judged as (

    select * from {{ ref('int_backtest_scores_judged') }}

),

banded as (

    select
        enrichment_id,
        score_version,
        'score' as band_kind,
        score_band as band_position,
        cast((score_band - 1) * 20 as double) as band_from,
        cast(score_band * 20 as double) as band_to,
        inbound_chance_ratio,
        case when is_active then 1 else 0 end as active_number
    from scores_judged

    union all

    select
        enrichment_id,
        score_version,
        'chance' as band_kind,
        chance_band as band_position,
        round(cast(chance_band - 1 as double) / 10, 9) as band_from,
        round(cast(chance_band as double) / 10, 9) as band_to,
        inbound_chance_ratio,
        case when is_active then 1 else 0 end as active_number
    from scores_judged
    where inbound_chance_ratio is not null

)

select
    enrichment_id,
    score_version,
    band_kind,
    band_position,
    band_from,
    band_to,
    count(*) as accounts_count,
    count(inbound_chance_ratio) as foretold_count,
    round(avg(inbound_chance_ratio), 9) as predicted_ratio,
    round(avg(active_number), 9) as active_ratio,
    -- Both of the accounts that have a chance: others would make a difference that is none.
    round(
        avg(inbound_chance_ratio) - avg(case when inbound_chance_ratio is not null then active_number end), 9
    ) as difference_ratio
from banded
group by enrichment_id, score_version, band_kind, band_position, band_from, band_to
