{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}",
) }}
{%- set prior_messages = var('reciprocity_prior_messages') -%}
{%- set peers = 'over (partition by score_version, enrichment_id, scored_on, known_by_on)' -%}

with

features as (

    select measured.*
    from {{ ref('int_score_features_measured') }} as measured
    {{ only_touched('measured', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

components as (

    select
        score_version,
        component,
        window_days
    from {{ ref('score_components') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

features_scored as (

    select
        features.*,
        -- The score knows no more of people and replies than what is shown of them.
        sqrt(
            cast(
                ({{ people_scored('features.own_people_count') }})
                * ({{ people_scored('features.account_people_count') }}) as double
            )
        ) as people_geometric_mean,
        {{ replies_scored('features.replies_count', 'features.repliers_count') }} as replies_scored_count,
        {{ days_between('features.last_contact_on', 'features.scored_on') }} as days_since_contact,
        {{ days_between('features.last_two_way_on', 'features.scored_on') }} as days_since_two_way
    from features
    cross join reporting

),

-- What comes back of our effort, one for one at most. A message more from the account raises these or leaves them;
-- a balance of both directions would hold it against the account that it wrote more than we did.
ratios as (

    select
        *,
        cast(least(balance_inbound_count, balance_outbound_count) as double)
        / nullif(balance_outbound_count, 0) as reciprocity_ratio,
        case
            when replies_scored_count is not null
                then cast(least(replies_scored_count, answerable_count) as double) / nullif(answerable_count, 0)
        end as replies_ratio
    from features_scored

),

-- Some messages' worth of the mean are mixed in: two messages answered out of two prove less than two hundred.
features_balanced as (

    select
        *,
        (
            balance_outbound_count * coalesce(reciprocity_ratio, 0)
            + {{ prior_messages }} * avg(reciprocity_ratio) {{ peers }}
        ) / nullif(balance_outbound_count + {{ prior_messages }}, 0) as reciprocity_shrunk_ratio,
        case
            when replies_ratio is not null
                then
                    (answerable_count * replies_ratio + {{ prior_messages }} * avg(replies_ratio) {{ peers }})
                    / nullif(answerable_count + {{ prior_messages }}, 0)
        end as replies_shrunk_ratio
    from ratios

)

select
    features_balanced.score_version,
    features_balanced.enrichment_id,
    features_balanced.account_id,
    components.component,
    -- Rounded, so that equal histories stay equal whatever the order in which doubles were added.
    round(
        case components.component
            -- Nothing within the window: at least as long ago as the window is.
            when 'contact_recency'
                then cast(coalesce(features_balanced.days_since_contact, components.window_days) as double)
            when 'two_way_recency'
                then cast(coalesce(features_balanced.days_since_two_way, components.window_days) as double)
            when 'email_inbound' then features_balanced.inbound_decayed_count
            when 'email_outbound' then features_balanced.outbound_decayed_count
            when 'meeting_volume' then features_balanced.meetings_decayed_count
            when 'reciprocity' then features_balanced.reciprocity_shrunk_ratio
            when 'breadth' then features_balanced.people_geometric_mean
            when 'responsiveness' then features_balanced.replies_shrunk_ratio
            when 'regularity' then cast(features_balanced.active_weeks_count as double)
        end,
        9
    ) as raw_value,
    features_balanced.scored_on,
    features_balanced.known_by_on
from features_balanced
inner join components on features_balanced.score_version = components.score_version
