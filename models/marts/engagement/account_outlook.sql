with

score_rows as (

    select * from {{ ref('int_score_rows') }}
    where score_series = 'year'

),

rhythms as (

    select * from {{ ref('int_rhythms_measured') }}

),

chances as (

    select * from {{ ref('int_chances_measured') }}
    where score_series = 'year' and score_version = '{{ var("score_version") }}'

)

select
    score_rows.enrichment_id,
    score_rows.account_id,
    rhythms.rhythm_state,
    rhythms.rhythm_state = 'going_silent' as is_going_silent,
    rhythms.active_days_count,
    rhythms.usual_gap_days,
    rhythms.silence_days,
    rhythms.silence_gaps_ratio,
    chances.inbound_chance_ratio,
    chances.evidence_count,
    chances.evidence_inbound_count,
    score_rows.scored_on as as_of_date
from score_rows
inner join rhythms
    on
        score_rows.enrichment_id = rhythms.enrichment_id
        and score_rows.account_id = rhythms.account_id
        and score_rows.scored_on = rhythms.scored_on
        and score_rows.known_by_on = rhythms.known_by_on
left join chances
    on
        score_rows.enrichment_id = chances.enrichment_id
        and score_rows.account_id = chances.account_id
