with

account_periods as (

    select * from {{ ref('int_account_periods_aggregated') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

engagement_years as (

    select * from {{ ref('account_engagement') }}
    where aggregation_level = 'year'

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

messages as (

    select * from {{ ref('int_messages_counted') }}

),

people as (

    select * from {{ ref('int_people_shares_aggregated') }}

),

domain_matches as (

    select * from {{ ref('int_domain_matches_aggregated') }}

),

account_years as (

    select
        *,
        emails_to_account_count + emails_from_account_count + meetings_count as interactions_count
    from account_periods
    where aggregation_level = 'year'

),

active_weeks as (

    select
        enrichment_id,
        account_id,
        count(*) as active_weeks_count
    from account_periods
    where aggregation_level = 'week'
    group by enrichment_id, account_id

),

threads as (

    select
        messages.enrichment_id,
        messages.account_id,
        count(distinct messages.thread_key) as threads_count
    from messages
    inner join as_of on messages.happened_on between as_of.year_starts_on and as_of.as_of_date
    group by messages.enrichment_id, messages.account_id

),

-- Whoever carries most stays a number here: no key of a person leaves this step.
busiest_people as (

    select
        enrichment_id,
        account_id,
        sum(case side when 'account' then 1 else 0 end) as contacts_count,
        sum(case side when 'own' then 1 else 0 end) as own_people_count,
        max(case side when 'account' then interactions_count end) as top_contact_count,
        max(case side when 'own' then interactions_count end) as top_own_person_count
    from people
    group by enrichment_id, account_id

),

account_years_measured as (

    select
        account_years.enrichment_id,
        account_years.account_id,
        account_years.interactions_count,
        account_years.replies_count,
        account_years.emails_from_account_count + account_years.meetings_from_account_count as inbound_count,
        account_years.emails_to_account_count + account_years.meetings_to_account_count as outbound_count,
        active_weeks.active_weeks_count,
        engagement_years.reply_time_median_hours,
        cast(busiest_people.contacts_count as bigint) as contacts_count,
        cast(busiest_people.own_people_count as bigint) as own_people_count,
        -- Both channels together tell of one of them what the other leaves open.
        engagement_years.account_people_in_emails_count is not null
        and engagement_years.account_people_in_meetings_count is not null as is_contacts_count_shown,
        engagement_years.own_people_in_emails_count is not null
        and engagement_years.own_people_in_meetings_count is not null as is_own_people_count_shown,
        cast(busiest_people.top_contact_count as double)
        / nullif(account_years.interactions_count, 0) as top_contact_share_ratio,
        cast(busiest_people.top_own_person_count as double)
        / nullif(account_years.interactions_count, 0) as top_own_person_share_ratio,
        account_years.period_starts_on,
        account_years.counts_to_on
    from account_years
    inner join engagement_years
        on
            account_years.enrichment_id = engagement_years.enrichment_id
            and account_years.account_id = engagement_years.account_id
    inner join active_weeks
        on
            account_years.enrichment_id = active_weeks.enrichment_id
            and account_years.account_id = active_weeks.account_id
    inner join busiest_people
        on
            account_years.enrichment_id = busiest_people.enrichment_id
            and account_years.account_id = busiest_people.account_id

)

select
    account_years_measured.enrichment_id,
    account_years_measured.account_id,
    account_years_measured.interactions_count,
    coalesce(domain_matches.emails_matched_by_domain_count, 0) as emails_matched_by_domain_count,
    coalesce(domain_matches.meetings_matched_by_domain_count, 0) as meetings_matched_by_domain_count,
    coalesce(threads.threads_count, 0) as threads_count,
    account_years_measured.active_weeks_count,
    account_years_measured.replies_count,
    account_years_measured.reply_time_median_hours,
    {{ people_shown(
        'account_years_measured.contacts_count', 'account_years_measured.is_contacts_count_shown'
    ) }} as contacts_count,
    {{ people_band(
        'account_years_measured.contacts_count', 'account_years_measured.is_contacts_count_shown'
    ) }} as contacts_band,
    {{ people_shown(
        'account_years_measured.own_people_count', 'account_years_measured.is_own_people_count_shown'
    ) }} as own_people_count,
    {{ people_band(
        'account_years_measured.own_people_count', 'account_years_measured.is_own_people_count_shown'
    ) }} as own_people_band,
    -- These are about one person.
    case when not reporting.is_banded then account_years_measured.top_contact_share_ratio end
        as top_contact_share_ratio,
    case when not reporting.is_banded then account_years_measured.top_own_person_share_ratio end
        as top_own_person_share_ratio,
    account_years_measured.inbound_count > 0 and account_years_measured.outbound_count > 0 as is_two_way,
    case
        when not reporting.is_banded
            then account_years_measured.top_contact_share_ratio > {{ var('single_thread_ratio') }}
    end as is_single_threaded,
    case
        when not reporting.is_banded
            then account_years_measured.top_own_person_share_ratio > {{ var('single_thread_ratio') }}
    end as is_single_threaded_on_our_side,
    account_years_measured.period_starts_on as aggregation_starts_on,
    account_years_measured.counts_to_on as aggregation_ends_on
from account_years_measured
cross join reporting
left join threads
    on
        account_years_measured.enrichment_id = threads.enrichment_id
        and account_years_measured.account_id = threads.account_id
left join domain_matches
    on
        account_years_measured.enrichment_id = domain_matches.enrichment_id
        and account_years_measured.account_id = domain_matches.account_id
