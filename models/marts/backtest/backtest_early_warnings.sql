with

account_days as (

    select
        *,
        emails_from_account_count + emails_to_account_count + meetings_count as contacts_count
    from {{ ref('int_account_days_aggregated') }}

),

dates_judged as (

    select
        scored_on,
        -- the newest Sunday to the date
        cast(date_trunc('week', scored_on + interval 1 day) - interval 1 day as date) as week_ends_on
    from {{ ref('int_backtest_dates_judged') }}
    where is_judged

),

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_series = 'history'

),

weeks_scored as (

    select distinct
        score_version,
        enrichment_id,
        scored_on as week_ends_on
    from scores

),

weeks_compared as (

    {% for weeks in [4, 8] -%}
        select
            cast({{ weeks }} as bigint) as weeks_count,
            scored_on,
            week_ends_on,
            cast(week_ends_on - interval {{ 7 * weeks }} day as date) as earlier_week_ends_on
        from dates_judged
        {%- if not loop.last %}

            union all

        {% endif -%}
    {% endfor %}

),

-- Where no account has a score yet, nothing can warn: such a date is not judged.
weeks_judged as (

    select
        weeks_scored.score_version,
        weeks_scored.enrichment_id,
        weeks_compared.weeks_count,
        weeks_compared.scored_on,
        weeks_compared.week_ends_on,
        weeks_compared.earlier_week_ends_on
    from weeks_compared
    inner join weeks_scored on weeks_compared.week_ends_on = weeks_scored.week_ends_on
    inner join weeks_scored as earlier
        on
            weeks_scored.score_version = earlier.score_version
            and weeks_scored.enrichment_id = earlier.enrichment_id
            and weeks_compared.earlier_week_ends_on = earlier.week_ends_on

),

accounts_in_contact as (

    select
        account_days.enrichment_id,
        account_days.account_id,
        sum(case
            when account_days.happened_on > dates_judged.scored_on then account_days.contacts_count
            else 0
        end) = 0 as is_silent,
        dates_judged.scored_on
    from account_days
    inner join dates_judged
        on
            account_days.happened_on > cast(dates_judged.scored_on - interval {{ var('chance_days') }} day as date)
            and account_days.happened_on
            <= cast(dates_judged.scored_on + interval {{ var('chance_days') }} day as date)
    group by account_days.enrichment_id, account_days.account_id, dates_judged.scored_on
    having
        sum(case
            when account_days.happened_on <= dates_judged.scored_on and account_days.known_on <= dates_judged.scored_on
                then account_days.contacts_count
            else 0
        end) > 0

),

accounts_warned as (

    select
        weeks_judged.score_version,
        weeks_judged.enrichment_id,
        weeks_judged.weeks_count,
        weeks_judged.scored_on,
        in_contact.is_silent,
        -- An account without a score then has lost nothing, and nobody was warned.
        case
            when earlier_scores.engagement_score - scores.engagement_score >= {{ var('early_warning_points') }} then 1
            else 0
        end as warned_number
    from weeks_judged
    inner join accounts_in_contact as in_contact
        on
            weeks_judged.enrichment_id = in_contact.enrichment_id
            and weeks_judged.scored_on = in_contact.scored_on
    left join scores
        on
            weeks_judged.score_version = scores.score_version
            and weeks_judged.enrichment_id = scores.enrichment_id
            and weeks_judged.week_ends_on = scores.scored_on
            and in_contact.account_id = scores.account_id
    left join scores as earlier_scores
        on
            weeks_judged.score_version = earlier_scores.score_version
            and weeks_judged.enrichment_id = earlier_scores.enrichment_id
            and weeks_judged.earlier_week_ends_on = earlier_scores.scored_on
            and in_contact.account_id = earlier_scores.account_id

)

select
    enrichment_id,
    score_version,
    weeks_count,
    cast(sum(case when is_silent then 1 else 0 end) as bigint) as silent_count,
    cast(sum(case when is_silent then warned_number else 0 end) as bigint) as silent_warned_count,
    round(avg(case when is_silent then warned_number end), 9) as warned_ratio,
    cast(sum(case when is_silent then 0 else 1 end) as bigint) as stayed_count,
    cast(sum(case when is_silent then 0 else warned_number end) as bigint) as stayed_warned_count,
    round(avg(case when not is_silent then warned_number end), 9) as false_alarm_ratio,
    count(distinct scored_on) as dates_count
from accounts_warned
group by enrichment_id, score_version, weeks_count
