{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}

with

features as (

    select measured.*
    from {{ ref('int_score_features_measured') }} as measured
    {{ only_touched('measured', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

components as (

    select
        score_version,
        component
    from {{ ref('score_components') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

balances as (

    select
        features.*,
        features.inbound_count + features.outbound_count as emails_count,
        -- The score knows no more of people and reply times than what is shown of them.
        sqrt(
            cast(
                ({{ people_scored('features.own_people_count') }})
                * ({{ people_scored('features.account_people_count') }}) as double
            )
        ) as people_geometric_mean,
        {{ reply_time_shown(
            'features.reply_time_median_hours', 'features.replies_count', 'features.repliers_count'
        ) }} as reply_time_scored_hours,
        {{ days_between('features.last_two_way_on', 'features.scored_on') }} as days_since_two_way,
        cast(2 * least(features.inbound_count, features.outbound_count) as double)
        / nullif(features.inbound_count + features.outbound_count, 0) as reciprocity_ratio
    from features
    cross join reporting

),

-- Some messages' worth of the mean are mixed in: two messages in balance prove less than two hundred.
features_balanced as (

    select
        *,
        (
            emails_count * reciprocity_ratio
            + {{ var('reciprocity_prior_messages') }}
            * avg(reciprocity_ratio) over (partition by score_version, enrichment_id, scored_on, known_by_on)
        ) / nullif(emails_count + {{ var('reciprocity_prior_messages') }}, 0) as reciprocity_shrunk_ratio
    from balances

)

select
    features_balanced.score_version,
    features_balanced.enrichment_id,
    features_balanced.account_id,
    components.component,
    -- Rounded, so that equal histories stay equal whatever the order in which doubles were added.
    round(
        case components.component
            -- Nothing from the account within the window: at least as long ago as the window is.
            when 'two_way_recency'
                then cast(coalesce(features_balanced.days_since_two_way, 365) as double)
            when 'email_inbound' then features_balanced.inbound_decayed_count
            when 'email_outbound' then features_balanced.outbound_decayed_count
            when 'meeting_volume' then features_balanced.meetings_decayed_count
            when 'reciprocity' then features_balanced.reciprocity_shrunk_ratio
            when 'breadth' then features_balanced.people_geometric_mean
            when 'responsiveness' then features_balanced.reply_time_scored_hours
            when 'regularity' then cast(features_balanced.active_weeks_count as double)
        end,
        9
    ) as raw_value,
    features_balanced.scored_on,
    features_balanced.known_by_on
from features_balanced
inner join components on features_balanced.score_version = components.score_version
