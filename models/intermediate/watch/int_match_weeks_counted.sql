with

messages as (

    select * from {{ ref('int_messages_classified') }}
    where
        bucket in (
            'counted_to_account', 'counted_from_account', 'third_party_sender', 'from_unknown', 'own_to_unknown'
        )

),

as_of as (

    select * from {{ ref('as_of') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

-- Weeks end with the as-of date, so that the newest is never a part of one.
messages_dated as (

    select
        messages.enrichment_id,
        messages.bucket in ('counted_to_account', 'counted_from_account') as is_counted,
        cast(
            floor({{ days_between('messages.happened_on', 'as_of.as_of_date') }} / 7) as bigint
        ) as weeks_before
    from messages
    cross join limits
    inner join as_of on messages.happened_on <= as_of.as_of_date
    where {{ days_between('messages.happened_on', 'as_of.as_of_date') }} < 7 * (limits.history_weeks + 1)

)

select
    enrichment_id,
    weeks_before,
    count(*) as messages_count,
    cast(sum(case when is_counted then 1 else 0 end) as bigint) as counted_count
from messages_dated
group by enrichment_id, weeks_before
