{%- set chance_days = var('chance_days') -%}
{%- set half_life_days = var('chance_half_life_days') -%}
with

scores as (

    select
        score_version,
        enrichment_id,
        account_id,
        score_series,
        cast(least(floor(engagement_score / 10), 9) as bigint) as score_tenth,
        scored_on,
        known_by_on
    from {{ ref('int_scores_summed') }}
    where engagement_score is not null

),

inbound_days as (

    select * from {{ ref('int_account_days_aggregated') }}
    where emails_from_account_count > 0

),

scores_to_judge as (

    select * from scores
    where score_series in ('year', 'backtest')

),

days_to_judge as (

    select distinct
        score_version,
        enrichment_id,
        scored_on,
        known_by_on
    from scores_to_judge

),

-- The accounts as they were scored at the ends of the weeks of the last year, each followed for the days ahead or up to
-- the day that is judged. Older weeks weigh less, since the mail of a whole company swells and ebbs.
cohorts as (

    select
        days_to_judge.score_version,
        days_to_judge.enrichment_id,
        days_to_judge.scored_on,
        days_to_judge.known_by_on,
        scores.account_id,
        scores.score_tenth,
        scores.scored_on as week_ends_on,
        power(
            2, -{{ days_between('scores.scored_on', 'days_to_judge.scored_on') }} / cast({{ half_life_days }} as double)
        ) as week_weight,
        least(
            {{ days_between('scores.scored_on', 'days_to_judge.scored_on') }}, cast({{ chance_days }} as bigint)
        ) as followed_days
    from days_to_judge
    inner join scores
        on
            days_to_judge.score_version = scores.score_version
            and days_to_judge.enrichment_id = scores.enrichment_id
            and days_to_judge.scored_on > scores.scored_on
            and cast(days_to_judge.scored_on - interval 364 day as date) <= scores.scored_on
    where scores.score_series = 'history'

),

followed as (

    select
        cohorts.score_version,
        cohorts.enrichment_id,
        cohorts.scored_on,
        cohorts.known_by_on,
        cohorts.score_tenth,
        cohorts.account_id,
        cohorts.week_ends_on,
        cohorts.week_weight,
        cohorts.followed_days,
        min({{ days_between('cohorts.week_ends_on', 'inbound_days.happened_on') }}) as inbound_after_days
    from cohorts
    left join inbound_days
        on
            cohorts.enrichment_id = inbound_days.enrichment_id
            and cohorts.account_id = inbound_days.account_id
            and cohorts.week_ends_on < inbound_days.happened_on
            and cast(cohorts.week_ends_on + interval {{ chance_days }} day as date) >= inbound_days.happened_on
            and cohorts.scored_on >= inbound_days.happened_on
            and cohorts.known_by_on >= inbound_days.known_on
    group by
        cohorts.score_version,
        cohorts.enrichment_id,
        cohorts.scored_on,
        cohorts.known_by_on,
        cohorts.score_tenth,
        cohorts.account_id,
        cohorts.week_ends_on,
        cohorts.week_weight,
        cohorts.followed_days

),

-- Each tenth of the scores, and all together (tenth -1).
followed_in_groups as (

    select * from followed

    union all

    select
        score_version,
        enrichment_id,
        scored_on,
        known_by_on,
        cast(-1 as bigint) as score_tenth,
        account_id,
        week_ends_on,
        week_weight,
        followed_days,
        inbound_after_days
    from followed

),

days_survived as (

    select
        score_version,
        enrichment_id,
        scored_on,
        known_by_on,
        score_tenth,
        coalesce(inbound_after_days, followed_days) as days_count,
        count(*) as left_count,
        count(inbound_after_days) as inbound_count,
        sum(week_weight) as left_weight,
        sum(case when inbound_after_days is not null then week_weight else 0 end) as inbound_weight
    from followed_in_groups
    group by
        score_version,
        enrichment_id,
        scored_on,
        known_by_on,
        score_tenth,
        coalesce(inbound_after_days, followed_days)

),

days_at_risk as (

    select
        *,
        sum(left_weight) over (
            partition by score_version, enrichment_id, scored_on, known_by_on, score_tenth
            order by days_count desc nulls last
            rows between unbounded preceding and current row
        ) as at_risk_weight
    from days_survived

),

-- Kaplan and Meier, 1958: the chance of no message is the product, over the days, of the shares of those still waiting
-- who got none that day. So what happened last week counts today, and not only in three months.
chances as (

    select
        score_version,
        enrichment_id,
        scored_on,
        known_by_on,
        score_tenth,
        cast(sum(left_count) as bigint) as evidence_count,
        cast(sum(inbound_count) as bigint) as evidence_inbound_count,
        sum(left_weight) as evidence_weight,
        -- A hair less than all is all: the weights are added in any order.
        case
            when max(inbound_weight / nullif(at_risk_weight, 0)) > 0.999999999 then cast(1 as double)
            else
                1 - exp(sum(case
                    when inbound_weight < at_risk_weight then ln(1 - inbound_weight / nullif(at_risk_weight, 0))
                end))
        end as inbound_ratio
    from days_at_risk
    group by score_version, enrichment_id, scored_on, known_by_on, score_tenth

)

-- Some of the chance of all is mixed in, so that a few accounts are no certainty.
select
    scores_to_judge.score_version,
    scores_to_judge.enrichment_id,
    scores_to_judge.account_id,
    scores_to_judge.score_series,
    coalesce(chances.evidence_count, 0) as evidence_count,
    coalesce(chances.evidence_inbound_count, 0) as evidence_inbound_count,
    case
        when all_chances.evidence_count >= {{ var('chance_evidence_least') }}
            then round(
                (
                    coalesce(chances.evidence_weight * chances.inbound_ratio, 0)
                    + {{ var('chance_prior_weeks') }} * all_chances.inbound_ratio
                ) / nullif(coalesce(chances.evidence_weight, 0) + {{ var('chance_prior_weeks') }}, 0),
                9
            )
    end as inbound_chance_ratio,
    scores_to_judge.scored_on,
    scores_to_judge.known_by_on
from scores_to_judge
left join chances as all_chances
    on
        scores_to_judge.score_version = all_chances.score_version
        and scores_to_judge.enrichment_id = all_chances.enrichment_id
        and scores_to_judge.scored_on = all_chances.scored_on
        and scores_to_judge.known_by_on = all_chances.known_by_on
        and all_chances.score_tenth = -1
left join chances
    on
        scores_to_judge.score_version = chances.score_version
        and scores_to_judge.enrichment_id = chances.enrichment_id
        and scores_to_judge.scored_on = chances.scored_on
        and scores_to_judge.known_by_on = chances.known_by_on
        and scores_to_judge.score_tenth = chances.score_tenth
