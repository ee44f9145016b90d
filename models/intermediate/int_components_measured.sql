with

score_rows as (

    select distinct
        enrichment_id,
        account_id,
        scored_on,
        known_by_on,
        cast(scored_on - interval 364 day as date) as window_starts_on
    from {{ ref('int_score_rows') }}

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
        max(case when component = 'email_inbound' then half_life_days end) as email_inbound_days,
        max(case when component = 'email_outbound' then half_life_days end) as email_outbound_days,
        max(case when component = 'meeting_volume' then half_life_days end) as meeting_volume_days
    from {{ ref('score_components') }}
    group by score_version

),

-- Forward decay: each day's weight grows from a fixed landmark and is scaled back at the row's end, so that a sum
-- over old days never has to be made again (Cormode et al., ICDE 2009).
volumes as (

    select
        half_lives.score_version,
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        max(case
            when account_days.emails_from_account_count + account_days.meetings_count > 0
                then account_days.happened_on
        end) as last_two_way_on,
        sum(account_days.emails_from_account_count) as emails_from_account_count,
        sum(account_days.emails_to_account_count) as emails_to_account_count,
        count(distinct date_trunc('week', account_days.happened_on)) as active_weeks_count,
        sum(account_days.emails_from_account_count * {{ forward_weight('account_days.happened_on', 'half_lives.email_inbound_days') }})
        / max({{ forward_weight('score_rows.scored_on', 'half_lives.email_inbound_days') }}) as emails_inbound_decayed,
        sum(account_days.emails_to_account_count * {{ forward_weight('account_days.happened_on', 'half_lives.email_outbound_days') }})
        / max({{ forward_weight('score_rows.scored_on', 'half_lives.email_outbound_days') }}) as emails_outbound_decayed,
        sum(account_days.meetings_count * {{ forward_weight('account_days.happened_on', 'half_lives.meeting_volume_days') }})
        / max({{ forward_weight('score_rows.scored_on', 'half_lives.meeting_volume_days') }}) as meetings_decayed
    from score_rows
    inner join account_days
        on
            score_rows.enrichment_id = account_days.enrichment_id
            and score_rows.account_id = account_days.account_id
            and account_days.happened_on between score_rows.window_starts_on and score_rows.scored_on
            and account_days.known_on <= score_rows.known_by_on
    cross join half_lives
    group by
        half_lives.score_version,
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on

),

balances as (

    select
        *,
        cast(2 * least(emails_from_account_count, emails_to_account_count) as double)
        / nullif(emails_from_account_count + emails_to_account_count, 0) as reciprocity_ratio
    from volumes

),

-- Ten messages' worth of the mean: two messages in balance prove less than two hundred.
balances_shrunk as (

    select
        *,
        (
            (emails_from_account_count + emails_to_account_count) * reciprocity_ratio
            + 10 * avg(reciprocity_ratio) over (partition by score_version, enrichment_id, scored_on, known_by_on)
        ) / (emails_from_account_count + emails_to_account_count + 10) as reciprocity_shrunk_ratio
    from balances

),

breadths as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        count(distinct case when people_involved.side = 'own' then people_involved.person_key end) as own_people_count,
        count(distinct case when people_involved.side = 'account' then people_involved.person_key end)
            as account_people_count
    from score_rows
    inner join people_involved
        on
            score_rows.enrichment_id = people_involved.enrichment_id
            and score_rows.account_id = people_involved.account_id
            and people_involved.happened_on between score_rows.window_starts_on and score_rows.scored_on
            and people_involved.known_on <= score_rows.known_by_on
    group by score_rows.enrichment_id, score_rows.account_id, score_rows.scored_on, score_rows.known_by_on

),

reply_times as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        cast(median(replies.reply_milliseconds) as double) / 3600000 as reply_median_hours
    from score_rows
    inner join replies
        on
            score_rows.enrichment_id = replies.enrichment_id
            and score_rows.account_id = replies.account_id
            and replies.happened_on between score_rows.window_starts_on and score_rows.scored_on
            and replies.known_on <= score_rows.known_by_on
    group by score_rows.enrichment_id, score_rows.account_id, score_rows.scored_on, score_rows.known_by_on

),

features as (

    select
        balances_shrunk.*,
        sqrt(breadths.own_people_count * breadths.account_people_count) as people_geometric_mean,
        reply_times.reply_median_hours
    from balances_shrunk
    left join breadths
        on
            balances_shrunk.enrichment_id = breadths.enrichment_id
            and balances_shrunk.account_id = breadths.account_id
            and balances_shrunk.scored_on = breadths.scored_on
            and balances_shrunk.known_by_on = breadths.known_by_on
    left join reply_times
        on
            balances_shrunk.enrichment_id = reply_times.enrichment_id
            and balances_shrunk.account_id = reply_times.account_id
            and balances_shrunk.scored_on = reply_times.scored_on
            and balances_shrunk.known_by_on = reply_times.known_by_on

),

components as (

    select
        score_version,
        component
    from {{ ref('score_components') }}

)

select
    features.score_version,
    features.enrichment_id,
    features.account_id,
    components.component,
    -- Rounded, so that equal histories stay equal whatever the order in which doubles were added.
    round(
        case components.component
            when 'two_way_recency'
                then cast(coalesce({{ days_between('features.last_two_way_on', 'features.scored_on') }}, 365) as double)
            when 'email_inbound' then features.emails_inbound_decayed
            when 'email_outbound' then features.emails_outbound_decayed
            when 'meeting_volume' then features.meetings_decayed
            when 'reciprocity' then features.reciprocity_shrunk_ratio
            when 'breadth' then features.people_geometric_mean
            when 'responsiveness' then features.reply_median_hours
            when 'regularity' then cast(features.active_weeks_count as double)
        end,
        9
    ) as raw_value,
    features.scored_on,
    features.known_by_on
from features
inner join components on features.score_version = components.score_version
