{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

score_rows as (

    select distinct
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        cast(score_rows.scored_on - interval 364 day as date) as window_starts_on
    from {{ ref('int_score_rows') }} as score_rows
    {{ only_touched('score_rows', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

people_involved as (

    select * from {{ ref('int_people_involved') }}

),

replies as (

    select * from {{ ref('int_replies_measured') }}

),

half_lives as (

    select
        score_version,
        max(case when component = 'email_inbound' then half_life_days end) as inbound_days,
        max(case when component = 'email_outbound' then half_life_days end) as outbound_days,
        max(case when component = 'meeting_volume' then half_life_days end) as meeting_days
    from {{ ref('score_components') }}
    group by score_version

),

account_days_in_windows as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        account_days.happened_on,
        account_days.emails_from_account_count as inbound_count,
        account_days.emails_to_account_count as outbound_count,
        account_days.meetings_count
    from score_rows
    inner join account_days
        on
            score_rows.enrichment_id = account_days.enrichment_id
            and score_rows.account_id = account_days.account_id
            and score_rows.window_starts_on <= account_days.happened_on
            and score_rows.scored_on >= account_days.happened_on
            and score_rows.known_by_on >= account_days.known_on

),

-- Forward decay: a day's weight grows from a fixed landmark and is scaled back at the row's end, so that a sum over
-- old days never has to be made again (Cormode et al., ICDE 2009).
volumes as (

    select
        half_lives.score_version,
        windows.enrichment_id,
        windows.account_id,
        windows.scored_on,
        windows.known_by_on,
        max(case
            when windows.inbound_count + windows.meetings_count > 0 then windows.happened_on
        end) as last_two_way_on,
        cast(sum(windows.inbound_count) as bigint) as inbound_count,
        cast(sum(windows.outbound_count) as bigint) as outbound_count,
        count(distinct date_trunc('week', windows.happened_on)) as active_weeks_count,
        sum(windows.inbound_count * {{ forward_weight('windows.happened_on', 'half_lives.inbound_days') }})
        / {{ forward_weight('windows.scored_on', 'max(half_lives.inbound_days)') }} as inbound_decayed_count,
        sum(windows.outbound_count * {{ forward_weight('windows.happened_on', 'half_lives.outbound_days') }})
        / {{ forward_weight('windows.scored_on', 'max(half_lives.outbound_days)') }} as outbound_decayed_count,
        sum(windows.meetings_count * {{ forward_weight('windows.happened_on', 'half_lives.meeting_days') }})
        / {{ forward_weight('windows.scored_on', 'max(half_lives.meeting_days)') }} as meetings_decayed_count
    from account_days_in_windows as windows
    cross join half_lives
    group by
        half_lives.score_version,
        windows.enrichment_id,
        windows.account_id,
        windows.scored_on,
        windows.known_by_on

),

breadths as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        count(distinct case when people.side = 'own' then people.person_key end) as own_people_count,
        count(distinct case when people.side = 'account' then people.person_key end) as account_people_count
    from score_rows
    inner join people_involved as people
        on
            score_rows.enrichment_id = people.enrichment_id
            and score_rows.account_id = people.account_id
            and score_rows.window_starts_on <= people.happened_on
            and score_rows.scored_on >= people.happened_on
            and score_rows.known_by_on >= people.known_on
    group by score_rows.enrichment_id, score_rows.account_id, score_rows.scored_on, score_rows.known_by_on

),

reply_times as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        count(*) as replies_count,
        count(distinct replies.replier_key) as repliers_count,
        cast(median(replies.reply_milliseconds) as double) / 3600000 as reply_time_median_hours
    from score_rows
    inner join replies
        on
            score_rows.enrichment_id = replies.enrichment_id
            and score_rows.account_id = replies.account_id
            and score_rows.window_starts_on <= replies.happened_on
            and score_rows.scored_on >= replies.happened_on
            and score_rows.known_by_on >= replies.known_on
    group by score_rows.enrichment_id, score_rows.account_id, score_rows.scored_on, score_rows.known_by_on

)

select
    volumes.score_version,
    volumes.enrichment_id,
    volumes.account_id,
    volumes.inbound_count,
    volumes.outbound_count,
    volumes.active_weeks_count,
    volumes.inbound_decayed_count,
    volumes.outbound_decayed_count,
    volumes.meetings_decayed_count,
    coalesce(breadths.own_people_count, 0) as own_people_count,
    coalesce(breadths.account_people_count, 0) as account_people_count,
    coalesce(reply_times.replies_count, 0) as replies_count,
    coalesce(reply_times.repliers_count, 0) as repliers_count,
    reply_times.reply_time_median_hours,
    volumes.last_two_way_on,
    volumes.scored_on,
    volumes.known_by_on
from volumes
left join breadths
    on
        volumes.enrichment_id = breadths.enrichment_id
        and volumes.account_id = breadths.account_id
        and volumes.scored_on = breadths.scored_on
        and volumes.known_by_on = breadths.known_by_on
left join reply_times
    on
        volumes.enrichment_id = reply_times.enrichment_id
        and volumes.account_id = reply_times.account_id
        and volumes.scored_on = reply_times.scored_on
        and volumes.known_by_on = reply_times.known_by_on
