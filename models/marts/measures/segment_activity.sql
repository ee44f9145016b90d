{{ config(materialized='view') }}

with

account_activity as (

    select * from {{ ref('account_activity') }}

),

-- As segment_memberships has them; what is published as a view calls no macro.
segments as (

    select
        enrichment_id,
        'stale_accounts' as segment_id,
        account_id
    from {{ ref('stale_accounts') }}

)

select
    account_activity.enrichment_id,
    segments.segment_id,
    account_activity.account_id,
    account_activity.emails_count,
    account_activity.meetings_count,
    account_activity.replies_count,
    account_activity.reply_time_hours,
    account_activity.starts_on
from segments
inner join account_activity
    on
        segments.enrichment_id = account_activity.enrichment_id
        and segments.account_id = account_activity.account_id
