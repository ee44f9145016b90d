{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}
{%- set decaying_components = ['email_inbound', 'email_outbound', 'meeting_volume'] -%}
{%- set components_of_days = ['contact_recency', 'two_way_recency', 'reciprocity', 'responsiveness', 'regularity'] -%}

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

-- What the seed says of each component, side by side for each version.
settings as (

    select
        score_version,
        {%- for component in decaying_components %}
            max(case component when '{{ component }}' then half_life_days end) as {{ component }}_half_life_days,
        {%- endfor %}
        {%- for component in decaying_components + components_of_days %}
            max(case component when '{{ component }}' then window_days end) as {{ component }}_window_days,
        {%- endfor %}
        max(case component when 'breadth' then window_days end) as breadth_window_days
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
        {{ days_between('account_days.happened_on', 'score_rows.scored_on') }} as age_days,
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
        settings.score_version,
        windows.enrichment_id,
        windows.account_id,
        windows.scored_on,
        windows.known_by_on,
        max(settings.breadth_window_days) as breadth_window_days,
        max(settings.responsiveness_window_days) as responsiveness_window_days,
        max(case
            when windows.age_days < settings.contact_recency_window_days then windows.happened_on
        end) as last_contact_on,
        max(case
            when
                windows.inbound_count + windows.meetings_count > 0
                and windows.age_days < settings.two_way_recency_window_days
                then windows.happened_on
        end) as last_two_way_on,
        cast(
            sum(windows.inbound_count + windows.outbound_count + windows.meetings_count) as bigint
        ) as interactions_count,
        cast(sum(case
            when windows.age_days < settings.reciprocity_window_days then windows.inbound_count else 0
        end) as bigint) as balance_inbound_count,
        cast(sum(case
            when windows.age_days < settings.reciprocity_window_days then windows.outbound_count else 0
        end) as bigint) as balance_outbound_count,
        cast(sum(case
            when windows.age_days < settings.responsiveness_window_days then windows.outbound_count else 0
        end) as bigint) as answerable_count,
        count(distinct case
            when windows.age_days < settings.regularity_window_days then date_trunc('week', windows.happened_on)
        end) as active_weeks_count,
        sum(
            case when windows.age_days < settings.email_inbound_window_days then windows.inbound_count else 0 end
            * {{ forward_weight('windows.happened_on', 'settings.email_inbound_half_life_days') }}
        )
        / {{ forward_weight('windows.scored_on', 'max(settings.email_inbound_half_life_days)') }}
            as inbound_decayed_count,
        sum(
            case when windows.age_days < settings.email_outbound_window_days then windows.outbound_count else 0 end
            * {{ forward_weight('windows.happened_on', 'settings.email_outbound_half_life_days') }}
        )
        / {{ forward_weight('windows.scored_on', 'max(settings.email_outbound_half_life_days)') }}
            as outbound_decayed_count,
        sum(
            case when windows.age_days < settings.meeting_volume_window_days then windows.meetings_count else 0 end
            * {{ forward_weight('windows.happened_on', 'settings.meeting_volume_half_life_days') }}
        )
        / {{ forward_weight('windows.scored_on', 'max(settings.meeting_volume_half_life_days)') }}
            as meetings_decayed_count
    from account_days_in_windows as windows
    cross join settings
    group by
        settings.score_version,
        windows.enrichment_id,
        windows.account_id,
        windows.scored_on,
        windows.known_by_on

),

-- Versions with one window share what is measured in it.
breadth_windows as (

    select distinct breadth_window_days from settings
    where breadth_window_days is not null

),

breadths as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        breadth_windows.breadth_window_days,
        count(distinct case when people.side = 'own' then people.person_key end) as own_people_count,
        count(distinct case when people.side = 'account' then people.person_key end) as account_people_count
    from score_rows
    cross join breadth_windows
    inner join people_involved as people
        on
            score_rows.enrichment_id = people.enrichment_id
            and score_rows.account_id = people.account_id
            and breadth_windows.breadth_window_days
            > {{ days_between('people.happened_on', 'score_rows.scored_on') }}
            and score_rows.scored_on >= people.happened_on
            and score_rows.known_by_on >= people.known_on
    group by
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        breadth_windows.breadth_window_days

),

reply_windows as (

    select distinct responsiveness_window_days from settings
    where responsiveness_window_days is not null

),

reply_counts as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        reply_windows.responsiveness_window_days,
        count(*) as replies_count,
        count(distinct replies.replier_key) as repliers_count
    from score_rows
    cross join reply_windows
    inner join replies
        on
            score_rows.enrichment_id = replies.enrichment_id
            and score_rows.account_id = replies.account_id
            and reply_windows.responsiveness_window_days
            > {{ days_between('replies.happened_on', 'score_rows.scored_on') }}
            and score_rows.scored_on >= replies.happened_on
            and score_rows.known_by_on >= replies.known_on
    group by
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        reply_windows.responsiveness_window_days

)

select
    volumes.score_version,
    volumes.enrichment_id,
    volumes.account_id,
    volumes.interactions_count,
    volumes.balance_inbound_count,
    volumes.balance_outbound_count,
    volumes.answerable_count,
    volumes.active_weeks_count,
    volumes.inbound_decayed_count,
    volumes.outbound_decayed_count,
    volumes.meetings_decayed_count,
    coalesce(breadths.own_people_count, 0) as own_people_count,
    coalesce(breadths.account_people_count, 0) as account_people_count,
    coalesce(reply_counts.replies_count, 0) as replies_count,
    coalesce(reply_counts.repliers_count, 0) as repliers_count,
    volumes.last_contact_on,
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
        and volumes.breadth_window_days = breadths.breadth_window_days
left join reply_counts
    on
        volumes.enrichment_id = reply_counts.enrichment_id
        and volumes.account_id = reply_counts.account_id
        and volumes.scored_on = reply_counts.scored_on
        and volumes.known_by_on = reply_counts.known_by_on
        and volumes.responsiveness_window_days = reply_counts.responsiveness_window_days
