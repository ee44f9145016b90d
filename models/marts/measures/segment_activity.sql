{{ config(materialized=renaming()) }}

with

account_activity as (

    select * from {{ ref('account_activity') }}

),

members as (

    select * from {{ ref('segment_members') }}

)

select
    account_activity.enrichment_id,
    members.segment_id,
    account_activity.account_id,
    account_activity.emails_count,
    account_activity.meetings_count,
    account_activity.replies_count,
    account_activity.reply_time_hours,
    account_activity.starts_on
from members
inner join account_activity
    on
        members.enrichment_id = account_activity.enrichment_id
        and members.account_id = account_activity.account_id
