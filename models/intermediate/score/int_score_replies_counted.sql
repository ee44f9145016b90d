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
        -- What is known today, or what was known by the end of the day itself (int_score_rows).
        case when score_rows.known_by_on = score_rows.scored_on then 1 else 0 end as is_as_known
    from {{ ref('int_score_rows') }} as score_rows
    {{ only_touched('score_rows', 'int_scores_touched', ['enrichment_id', 'scored_on', 'known_by_on']) }}

),

replies as (

    select * from {{ ref('int_replies_measured') }}

),

-- Versions with one window share what is measured in it.
reply_windows as (

    select distinct window_days from {{ ref('score_components') }}
    where
        component = 'responsiveness'
        and window_days is not null

),

replies_per_day as (

    select
        enrichment_id,
        account_id,
        happened_on,
        known_on,
        count(*) as replies_count
    from replies
    group by enrichment_id, account_id, happened_on, known_on

),

reply_counts as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        reply_windows.window_days,
        cast(sum(replies.replies_count) as bigint) as replies_count
    from score_rows
    cross join reply_windows
    inner join replies_per_day as replies
        on
            score_rows.enrichment_id = replies.enrichment_id
            and score_rows.account_id = replies.account_id
            and reply_windows.window_days
            > {{ days_between('replies.happened_on', 'score_rows.scored_on') }}
            and score_rows.scored_on >= replies.happened_on
            and score_rows.known_by_on >= replies.known_on
    group by
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        reply_windows.window_days

),

{{ stretches_in_windows(
    'repliers', 'replies', ['enrichment_id', 'account_id', 'replier_key'], 'reply_windows', 'score_rows',
) }},

replier_counts as (

    select
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        repliers.window_days,
        count(*) as repliers_count
    from score_rows
    inner join repliers_joined as repliers
        on
            score_rows.enrichment_id = repliers.enrichment_id
            and score_rows.account_id = repliers.account_id
            and score_rows.is_as_known = coalesce(repliers.is_as_known, score_rows.is_as_known)
            and score_rows.scored_on >= repliers.starts_on
            and score_rows.scored_on < repliers.ends_before_on
    group by
        score_rows.enrichment_id,
        score_rows.account_id,
        score_rows.scored_on,
        score_rows.known_by_on,
        repliers.window_days

)

select
    reply_counts.enrichment_id,
    reply_counts.account_id,
    reply_counts.replies_count,
    coalesce(replier_counts.repliers_count, 0) as repliers_count,
    reply_counts.window_days,
    reply_counts.scored_on,
    reply_counts.known_by_on
from reply_counts
left join replier_counts
    on
        reply_counts.enrichment_id = replier_counts.enrichment_id
        and reply_counts.account_id = replier_counts.account_id
        and reply_counts.window_days = replier_counts.window_days
        and reply_counts.scored_on = replier_counts.scored_on
        and reply_counts.known_by_on = replier_counts.known_by_on
