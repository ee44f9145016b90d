{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}",
) }}

with

messages as (

    select counted.*
    from {{ ref('int_messages_counted') }} as counted
    {{ only_touched('counted', 'int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}

),

meetings as (

    select counted.*
    from {{ ref('int_meetings_counted') }} as counted
    {{ only_touched('counted', 'int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}

),

interactions as (

    select
        enrichment_id,
        account_id,
        happened_on,
        known_on,
        case direction when 'to_account' then 1 else 0 end as emails_to_account,
        case direction when 'from_account' then 1 else 0 end as emails_from_account,
        0 as meetings,
        0 as meetings_to_account,
        0 as meetings_from_account,
        0 as timed_meetings,
        0 as duration_milliseconds
    from messages

    union all

    select
        enrichment_id,
        account_id,
        happened_on,
        known_on,
        0 as emails_to_account,
        0 as emails_from_account,
        1 as meetings,
        case initiated_by when 'own' then 1 else 0 end as meetings_to_account,
        case initiated_by when 'account' then 1 else 0 end as meetings_from_account,
        case when duration_milliseconds is null then 0 else 1 end as timed_meetings,
        coalesce(duration_milliseconds, 0) as duration_milliseconds
    from meetings

)

select
    enrichment_id,
    account_id,
    happened_on,
    known_on,
    cast(sum(emails_to_account) as bigint) as emails_to_account_count,
    cast(sum(emails_from_account) as bigint) as emails_from_account_count,
    cast(sum(meetings) as bigint) as meetings_count,
    cast(sum(meetings_to_account) as bigint) as meetings_to_account_count,
    cast(sum(meetings_from_account) as bigint) as meetings_from_account_count,
    cast(sum(timed_meetings) as bigint) as timed_meetings_count,
    cast(sum(duration_milliseconds) as bigint) as duration_milliseconds
from interactions
group by enrichment_id, account_id, happened_on, known_on
