with

outcomes as (

    select * from {{ ref('int_backtest_outcomes') }}

),

dates_judged as (

    select * from {{ ref('int_backtest_dates_judged') }}

),

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series = 'backtest'

),

chances as (

    select * from {{ ref('int_chances_measured') }}
    where score_series = 'backtest'

)

select
    scores.score_version,
    scores.enrichment_id,
    scores.account_id,
    scores.engagement_score,
    chances.inbound_chance_ratio,
    -- The highest band holds its upper end too.
    cast(least(floor(scores.engagement_score / 20), 4) + 1 as bigint) as score_band,
    -- Rounded first: seven tenths in doubles may lie below seven tenths. And least() passes over a null.
    case
        when chances.inbound_chance_ratio is not null
            then cast(least(floor(round(chances.inbound_chance_ratio * 10, 9)), 9) + 1 as bigint)
    end as chance_band,
    outcomes.is_active,
    scores.scored_on
from scores
inner join outcomes
    on
        scores.enrichment_id = outcomes.enrichment_id
        and scores.account_id = outcomes.account_id
        and scores.scored_on = outcomes.scored_on
inner join dates_judged
    on
        scores.scored_on = dates_judged.scored_on
        and dates_judged.is_judged
left join chances
    on
        scores.score_version = chances.score_version
        and scores.enrichment_id = chances.enrichment_id
        and scores.account_id = chances.account_id
        and scores.scored_on = chances.scored_on
