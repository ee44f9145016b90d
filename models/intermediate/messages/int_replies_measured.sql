{{ built_after('int_replies_before') }}
{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_threads_touched', ['enrichment_id', 'account_id', 'thread_key']) }}",
) }}

with

messages as (

    select counted.*
    from {{ ref('int_messages_counted') }} as counted
    {{ only_touched('counted', 'int_threads_touched', ['enrichment_id', 'account_id', 'thread_key']) }}

),

-- Everything between two messages of the account, with the later of them at its end, is one wait.
-- At one and the same instant ours come first (D6.4).
messages_in_waits as (

    select
        enrichment_id,
        account_id,
        thread_key,
        message_key,
        direction,
        from_contact_key,
        happened_on,
        known_on,
        happened_at,
        coalesce(
            sum(case direction when 'from_account' then 1 else 0 end) over (
                partition by enrichment_id, account_id, thread_key
                order by happened_at asc nulls last, direction desc nulls last, message_key asc nulls last
                rows between unbounded preceding and 1 preceding
            ),
            0
        ) as wait_number
    from messages

),

waits as (

    select
        enrichment_id,
        account_id,
        thread_key,
        wait_number,
        max(case direction when 'from_account' then message_key end) as message_key,
        max(case direction when 'from_account' then from_contact_key end) as replier_key,
        max(case direction when 'from_account' then happened_on end) as happened_on,
        max(known_on) as known_on,
        max(case direction when 'from_account' then happened_at end) as answered_at,
        min(case direction when 'to_account' then happened_at end) as waiting_since_at
    from messages_in_waits
    group by enrichment_id, account_id, thread_key, wait_number

),

replies as (

    select
        enrichment_id,
        account_id,
        thread_key,
        message_key,
        replier_key,
        happened_on,
        known_on,
        {{ milliseconds_between('waiting_since_at', 'answered_at') }} as reply_milliseconds
    from waits
    where answered_at is not null and waiting_since_at is not null

)

-- A later answer ends the wait without being a reply (D6.4: 720 hours, that hour included).
select *
from replies
where reply_milliseconds <= {{ var('reply_limit_hours') }} * cast(3600000 as bigint)
