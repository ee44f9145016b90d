{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_judged_days_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
    post_hook="{{ without_gone('int_score_rows_judged', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id', 'scored_on': 'scored_on', 'known_by_on': 'known_by_on',
    }) }}",
) }}

with

scores as (

    select judged.*
    from {{ ref('int_score_rows_judged') }} as judged
    {{ only_touched('judged', 'int_judged_days_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

-- Days on which the account did something: wrote, or met. That we go on writing is no sign of life of theirs.
days_of_contact as (

    select distinct
        scores.enrichment_id,
        scores.account_id,
        scores.scored_on,
        scores.known_by_on,
        account_days.happened_on
    from {{ ref('int_account_days_aggregated') }} as account_days
    inner join scores
        on
            account_days.enrichment_id = scores.enrichment_id
            and account_days.account_id = scores.account_id
            and account_days.happened_on <= scores.scored_on
            and account_days.happened_on >= cast(scores.scored_on - interval 364 day as date)
            and account_days.known_on <= scores.known_by_on
    where account_days.emails_from_account_count + account_days.meetings_count > 0

),

gaps as (

    select
        *,
        lag(happened_on) over (
            partition by enrichment_id, account_id, scored_on, known_by_on
            order by happened_on nulls last
        ) as previous_on
    from days_of_contact

),

rhythms as (

    select
        enrichment_id,
        account_id,
        scored_on,
        known_by_on,
        count(*) as active_days_count,
        max(happened_on) as last_two_way_on,
        cast(median({{ days_between('previous_on', 'happened_on') }}) as double) as usual_gap_days
    from gaps
    group by enrichment_id, account_id, scored_on, known_by_on

),

silences as (

    select
        scores.enrichment_id,
        scores.account_id,
        coalesce(rhythms.active_days_count, 0) as active_days_count,
        rhythms.usual_gap_days,
        {{ days_between('rhythms.last_two_way_on', 'scores.scored_on') }} as silence_days,
        -- An account that writes daily is not silent after a weekend.
        {{ days_between('rhythms.last_two_way_on', 'scores.scored_on') }}
        / nullif(greatest(rhythms.usual_gap_days, 7), 0) as silence_gaps_ratio,
        scores.scored_on,
        scores.known_by_on
    from scores
    left join rhythms
        on
            scores.enrichment_id = rhythms.enrichment_id
            and scores.account_id = rhythms.account_id
            and scores.scored_on = rhythms.scored_on
            and scores.known_by_on = rhythms.known_by_on

)

-- Silence longer than eight of a tie's usual intervals mostly means that it is over (Navarro et al., EPJ Data Science
-- 2017).
select
    enrichment_id,
    account_id,
    case
        when active_days_count = 0 then 'never_active'
        when active_days_count < {{ var('rhythm_least_days') }} then 'no_rhythm_yet'
        when silence_gaps_ratio > {{ var('silent_after_gaps') }} then 'silent'
        when silence_gaps_ratio > {{ var('going_silent_after_gaps') }} then 'going_silent'
        else 'in_rhythm'
    end as rhythm_state,
    active_days_count,
    usual_gap_days,
    silence_days,
    silence_gaps_ratio,
    scored_on,
    known_by_on
from silences
