{{ config(
    materialized=refreshed(),
    incremental_strategy='delete+insert' if target.type == 'duckdb' else none,
    unique_key=['enrichment_id', 'account_id', 'aggregation_level', 'aggregation_starts_on'],
    on_schema_change='fail',
    post_hook="{{ without_gone('int_account_periods_aggregated', {
        'enrichment_id': 'enrichment_id', 'account_id': 'account_id',
        'aggregation_level': 'aggregation_level', 'aggregation_starts_on': 'period_starts_on',
    }) }}",
) }}

with

account_periods as (

    select * from {{ ref('int_account_periods_aggregated') }}

),

people_totals as (

    select * from {{ ref('int_people_totals_protected') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

contact_dates as (

    select * from {{ ref('int_contact_dates_aggregated') }}

),

scores as (

    select * from {{ ref('int_scores_summed') }}
    where score_version = '{{ var("score_version") }}'

)

select
    account_periods.enrichment_id,
    account_periods.account_id,
    account_periods.aggregation_level,
    account_periods.account_id
    || '|' || account_periods.aggregation_level
    || '|' || cast(account_periods.period_starts_on as string) as primary_key,
    cast(scores.engagement_score as decimal(9, 4)) as engagement_score,
    account_periods.emails_to_account_count,
    account_periods.emails_from_account_count,
    account_periods.meetings_count,
    account_periods.meetings_to_account_count,
    account_periods.meetings_from_account_count,
    {{ people_shown(
        'account_periods.own_people_in_emails_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_own_people_in_emails_shown",
    ) }} as own_people_in_emails_count,
    {{ people_band(
        'account_periods.own_people_in_emails_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_own_people_in_emails_shown",
    ) }} as own_people_in_emails_band,
    {{ people_shown(
        'account_periods.account_people_in_emails_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_account_people_in_emails_shown",
    ) }} as account_people_in_emails_count,
    {{ people_band(
        'account_periods.account_people_in_emails_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_account_people_in_emails_shown",
    ) }} as account_people_in_emails_band,
    {{ people_shown(
        'account_periods.own_people_in_meetings_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_own_people_in_meetings_shown",
    ) }} as own_people_in_meetings_count,
    {{ people_band(
        'account_periods.own_people_in_meetings_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_own_people_in_meetings_shown",
    ) }} as own_people_in_meetings_band,
    {{ people_shown(
        'account_periods.account_people_in_meetings_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_account_people_in_meetings_shown",
    ) }} as account_people_in_meetings_count,
    {{ people_band(
        'account_periods.account_people_in_meetings_count',
        "account_periods.aggregation_level = 'year' and people_totals.is_account_people_in_meetings_shown",
    ) }} as account_people_in_meetings_band,
    account_periods.replies_count,
    {{ days_between('contact_dates.last_email_on', 'account_periods.counts_to_on') }} as days_since_last_email,
    {{ days_between('contact_dates.last_meeting_on', 'account_periods.counts_to_on') }} as days_since_last_meeting,
    cast(account_periods.duration_milliseconds as double)
    / nullif(account_periods.timed_meetings_count, 0) / 60000 as meeting_duration_mean_minutes,
    -- One slow answer moves a mean, so that two files would tell it (D8); it does not move a median.
    case
        when not reporting.is_banded
            then
                cast(account_periods.reply_milliseconds as double)
                / nullif(account_periods.replies_count, 0) / 3600000
    end as reply_time_mean_hours,
    case
        when account_periods.aggregation_level = 'year' or not reporting.is_banded
            then {{ reply_time_shown(
                'account_periods.reply_median_milliseconds / 3600000',
                'account_periods.replies_count',
                'account_periods.repliers_count',
            ) }}
    end as reply_time_median_hours,
    account_periods.is_cut as is_cut_period,
    contact_dates.engagement_started_on,
    account_periods.period_starts_on as aggregation_starts_on,
    account_periods.counts_to_on as aggregation_ends_on
from account_periods
inner join contact_dates
    on
        account_periods.enrichment_id = contact_dates.enrichment_id
        and account_periods.account_id = contact_dates.account_id
        and account_periods.counts_to_on = contact_dates.counts_to_on
cross join reporting
left join people_totals
    on
        account_periods.enrichment_id = people_totals.enrichment_id
        and account_periods.account_id = people_totals.account_id
left join scores
    on
        account_periods.enrichment_id = scores.enrichment_id
        and account_periods.account_id = scores.account_id
        and account_periods.aggregation_level = scores.score_series
        and account_periods.period_starts_on = scores.period_starts_on
{{ unless_it_stands() }}
