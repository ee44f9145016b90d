{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_account_periods_touched', ['enrichment_id', 'account_id', 'aggregation_level', 'period_starts_on']) }}",
) }}
{%- set touched_columns = [
    'enrichment_id', 'account_id', 'periods.aggregation_level', 'periods.period_starts_on'
] %}

with

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

people_involved as (

    select * from {{ ref('int_people_involved') }}

),

replies as (

    select * from {{ ref('int_replies_measured') }}

),

periods as (

    select * from {{ ref('int_periods') }}

),

volumes as (

    select
        account_days.enrichment_id,
        account_days.account_id,
        periods.aggregation_level,
        periods.period_starts_on,
        periods.counts_from_on,
        periods.counts_to_on,
        periods.is_cut,
        cast(sum(account_days.emails_to_account_count) as bigint) as emails_to_account_count,
        cast(sum(account_days.emails_from_account_count) as bigint) as emails_from_account_count,
        cast(sum(account_days.meetings_count) as bigint) as meetings_count,
        cast(sum(account_days.meetings_to_account_count) as bigint) as meetings_to_account_count,
        cast(sum(account_days.meetings_from_account_count) as bigint) as meetings_from_account_count,
        cast(sum(account_days.timed_meetings_count) as bigint) as timed_meetings_count,
        cast(sum(account_days.duration_milliseconds) as bigint) as duration_milliseconds
    from account_days
    inner join periods on account_days.happened_on between periods.counts_from_on and periods.counts_to_on
    {{ only_touched('account_days', 'int_account_periods_touched', touched_columns) }}
    group by
        account_days.enrichment_id,
        account_days.account_id,
        periods.aggregation_level,
        periods.period_starts_on,
        periods.counts_from_on,
        periods.counts_to_on,
        periods.is_cut

),

people_counts as (

    select
        people.enrichment_id,
        people.account_id,
        periods.aggregation_level,
        periods.period_starts_on,
        count(distinct case
            when people.channel = 'email' and people.side = 'own' then people.person_key
        end) as own_people_in_emails_count,
        count(distinct case
            when people.channel = 'email' and people.side = 'account' then people.person_key
        end) as account_people_in_emails_count,
        count(distinct case
            when people.channel = 'meeting' and people.side = 'own' then people.person_key
        end) as own_people_in_meetings_count,
        count(distinct case
            when people.channel = 'meeting' and people.side = 'account' then people.person_key
        end) as account_people_in_meetings_count
    from people_involved as people
    inner join periods on people.happened_on between periods.counts_from_on and periods.counts_to_on
    {{ only_touched('people', 'int_account_periods_touched', touched_columns) }}
    group by
        people.enrichment_id,
        people.account_id,
        periods.aggregation_level,
        periods.period_starts_on

),

reply_times as (

    select
        replies.enrichment_id,
        replies.account_id,
        periods.aggregation_level,
        periods.period_starts_on,
        count(*) as replies_count,
        count(distinct replies.replier_key) as repliers_count,
        cast(sum(replies.reply_milliseconds) as bigint) as reply_milliseconds,
        cast(median(replies.reply_milliseconds) as double) as reply_median_milliseconds
    from replies
    inner join periods on replies.happened_on between periods.counts_from_on and periods.counts_to_on
    {{ only_touched('replies', 'int_account_periods_touched', touched_columns) }}
    group by
        replies.enrichment_id,
        replies.account_id,
        periods.aggregation_level,
        periods.period_starts_on

)

select
    volumes.enrichment_id,
    volumes.account_id,
    volumes.aggregation_level,
    volumes.emails_to_account_count,
    volumes.emails_from_account_count,
    volumes.meetings_count,
    volumes.meetings_to_account_count,
    volumes.meetings_from_account_count,
    volumes.timed_meetings_count,
    volumes.duration_milliseconds,
    coalesce(people_counts.own_people_in_emails_count, 0) as own_people_in_emails_count,
    coalesce(people_counts.account_people_in_emails_count, 0) as account_people_in_emails_count,
    coalesce(people_counts.own_people_in_meetings_count, 0) as own_people_in_meetings_count,
    coalesce(people_counts.account_people_in_meetings_count, 0) as account_people_in_meetings_count,
    coalesce(reply_times.replies_count, 0) as replies_count,
    coalesce(reply_times.repliers_count, 0) as repliers_count,
    reply_times.reply_milliseconds,
    reply_times.reply_median_milliseconds,
    volumes.is_cut,
    volumes.period_starts_on,
    volumes.counts_from_on,
    volumes.counts_to_on
from volumes
left join people_counts
    on
        volumes.enrichment_id = people_counts.enrichment_id
        and volumes.account_id = people_counts.account_id
        and volumes.aggregation_level = people_counts.aggregation_level
        and volumes.period_starts_on = people_counts.period_starts_on
left join reply_times
    on
        volumes.enrichment_id = reply_times.enrichment_id
        and volumes.account_id = reply_times.account_id
        and volumes.aggregation_level = reply_times.aggregation_level
        and volumes.period_starts_on = reply_times.period_starts_on
