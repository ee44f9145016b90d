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

-- The first day that counts in one of these rows: a refresh in part asks for few, and nothing before.
first_windows as (

    select min(window_starts_on) as window_starts_on from score_rows

),

account_days as (

    select account_days.*
    from {{ ref('int_account_days_aggregated') }} as account_days
    cross join first_windows
    where account_days.happened_on >= first_windows.window_starts_on

),

people as (

    select * from {{ ref('int_score_people_counted') }}

),

replies as (

    select * from {{ ref('int_score_replies_counted') }}

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

-- Forward decay: a day's weight grows from a fixed landmark and is scaled back at the row's end, so that a day is
-- weighed once, however many windows it is in (Cormode et al., ICDE 2009).
days_weighed as (

    select
        settings.score_version,
        account_days.enrichment_id,
        account_days.account_id,
        account_days.happened_on,
        account_days.known_on,
        cast(date_trunc('week', account_days.happened_on) as date) as week_starts_on,
        account_days.emails_from_account_count as inbound_count,
        account_days.emails_to_account_count as outbound_count,
        account_days.meetings_count,
        account_days.emails_from_account_count
        * {{ forward_weight('account_days.happened_on', 'settings.email_inbound_half_life_days') }}
            as inbound_weighed_count,
        account_days.emails_to_account_count
        * {{ forward_weight('account_days.happened_on', 'settings.email_outbound_half_life_days') }}
            as outbound_weighed_count,
        account_days.meetings_count
        * {{ forward_weight('account_days.happened_on', 'settings.meeting_volume_half_life_days') }}
            as meetings_weighed_count
    from account_days
    cross join settings

),

days_in_windows as (

    select
        days_weighed.*,
        score_rows.scored_on,
        score_rows.known_by_on,
        {{ days_between('days_weighed.happened_on', 'score_rows.scored_on') }} as age_days
    from days_weighed
    inner join score_rows
        on
            days_weighed.enrichment_id = score_rows.enrichment_id
            and days_weighed.account_id = score_rows.account_id
            and days_weighed.happened_on >= score_rows.window_starts_on
            and days_weighed.happened_on <= score_rows.scored_on
            and days_weighed.known_on <= score_rows.known_by_on

),

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
            when windows.age_days < settings.regularity_window_days then windows.week_starts_on
        end) as active_weeks_count,
        sum(case
            when windows.age_days < settings.email_inbound_window_days then windows.inbound_weighed_count else 0
        end)
        / {{ forward_weight('windows.scored_on', 'max(settings.email_inbound_half_life_days)') }}
            as inbound_decayed_count,
        sum(case
            when windows.age_days < settings.email_outbound_window_days then windows.outbound_weighed_count else 0
        end)
        / {{ forward_weight('windows.scored_on', 'max(settings.email_outbound_half_life_days)') }}
            as outbound_decayed_count,
        sum(case
            when windows.age_days < settings.meeting_volume_window_days then windows.meetings_weighed_count else 0
        end)
        / {{ forward_weight('windows.scored_on', 'max(settings.meeting_volume_half_life_days)') }}
            as meetings_decayed_count
    from days_in_windows as windows
    inner join settings on windows.score_version = settings.score_version
    group by
        settings.score_version,
        windows.enrichment_id,
        windows.account_id,
        windows.scored_on,
        windows.known_by_on

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
    coalesce(people.own_people_count, 0) as own_people_count,
    coalesce(people.account_people_count, 0) as account_people_count,
    coalesce(replies.replies_count, 0) as replies_count,
    coalesce(replies.repliers_count, 0) as repliers_count,
    volumes.last_contact_on,
    volumes.last_two_way_on,
    volumes.scored_on,
    volumes.known_by_on
from volumes
left join people
    on
        volumes.enrichment_id = people.enrichment_id
        and volumes.account_id = people.account_id
        and volumes.scored_on = people.scored_on
        and volumes.known_by_on = people.known_by_on
        and volumes.breadth_window_days = people.window_days
left join replies
    on
        volumes.enrichment_id = replies.enrichment_id
        and volumes.account_id = replies.account_id
        and volumes.scored_on = replies.scored_on
        and volumes.known_by_on = replies.known_by_on
        and volumes.responsiveness_window_days = replies.window_days
