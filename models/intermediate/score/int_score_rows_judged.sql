with

score_rows as (

    select * from {{ ref('int_score_rows') }}

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}

)

select distinct
    score_rows.enrichment_id,
    score_rows.account_id,
    score_rows.scored_on,
    score_rows.known_by_on
from score_rows
left join segment_dates
    on
        score_rows.scored_on = segment_dates.judged_on
        and score_rows.known_by_on = segment_dates.known_by_on
where
    score_rows.score_series in ('year', 'backtest')
    or (score_rows.score_series = 'history' and segment_dates.judged_on is not null)
