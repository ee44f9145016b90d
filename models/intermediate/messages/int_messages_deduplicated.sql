{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

messages_matched as (

    select distinct
        matches.enrichment_id,
        matches.message_key
    from {{ ref('int_messages_matched') }} as matches
    {{ only_touched('matches', 'int_messages_touched', ['message_key']) }}

),

copies as (

    select copies.*
    from {{ ref('int_message_copies_countable') }} as copies
    inner join messages_matched
        on
            copies.enrichment_id = messages_matched.enrichment_id
            and copies.message_key = messages_matched.message_key
    where
        {{ received_when_touched('copies') }}
        and copies.message_key in (select asked.message_key from messages_matched as asked)

),

addresses as (

    select * from {{ ref('stg_office__addresses') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

-- A message happens at the earliest reception of its copies; in our Sent folder that is its sending (D6.1).
messages_grouped as (

    select
        enrichment_id,
        message_key,
        min(thread_key) as lowest_thread_key,
        max(thread_key) as highest_thread_key,
        min(from_key) as lowest_from_key,
        max(from_key) as highest_from_key,
        min(case when from_key is not null then received_at end) as from_seen_at,
        min(received_at) as happened_at
    from copies
    group by enrichment_id, message_key

),

-- Nearly all copies of a message agree; only those of the others are put in an order.
copies_disputed as (

    select
        copies.*,
        addresses_monitored.mailbox_id as from_mailbox_id
    from copies
    inner join messages_grouped
        on
            copies.enrichment_id = messages_grouped.enrichment_id
            and copies.message_key = messages_grouped.message_key
            and (
                messages_grouped.lowest_thread_key != messages_grouped.highest_thread_key
                or messages_grouped.lowest_from_key != messages_grouped.highest_from_key
            )
    left join addresses_monitored
        on
            copies.enrichment_id = addresses_monitored.enrichment_id
            and copies.from_key = addresses_monitored.address_key
            and copies.received_at < addresses_monitored.monitored_to_at

),

-- Where copies disagree about the sender, one of ours goes first, then any address at all.
copies_ranked as (

    select
        enrichment_id,
        message_key,
        from_key,
        received_at,
        row_number() over (
            partition by enrichment_id, message_key
            order by
                case
                    when from_mailbox_id is not null then 0
                    when from_key is not null then 1
                    else 2
                end nulls last,
                received_at nulls last,
                mailbox_id nulls last,
                item_key nulls last
        ) as sender_number
    from copies_disputed

),

thread_forms as (

    select
        enrichment_id,
        message_key,
        thread_key,
        count(*) as copy_count
    from copies_disputed
    group by enrichment_id, message_key, thread_key

),

thread_forms_ranked as (

    select
        enrichment_id,
        message_key,
        thread_key,
        row_number() over (
            partition by enrichment_id, message_key
            order by copy_count desc nulls last, thread_key asc nulls last
        ) as form_number
    from thread_forms

),

messages as (

    select
        messages_grouped.enrichment_id,
        messages_grouped.message_key,
        coalesce(thread_forms_ranked.thread_key, messages_grouped.lowest_thread_key) as thread_key,
        coalesce(sender_copies.from_key, messages_grouped.lowest_from_key) as from_key,
        coalesce(sender_copies.received_at, messages_grouped.from_seen_at) as from_seen_at,
        messages_grouped.happened_at
    from messages_grouped
    left join copies_ranked as sender_copies
        on
            messages_grouped.enrichment_id = sender_copies.enrichment_id
            and messages_grouped.message_key = sender_copies.message_key
            and sender_copies.sender_number = 1
    left join thread_forms_ranked
        on
            messages_grouped.enrichment_id = thread_forms_ranked.enrichment_id
            and messages_grouped.message_key = thread_forms_ranked.message_key
            and thread_forms_ranked.form_number = 1

)

select
    messages.enrichment_id,
    messages.message_key,
    messages.thread_key,
    messages.from_key,
    addresses_monitored.mailbox_id as from_mailbox_id,
    coalesce(addresses.local_part_class, 'person') = 'automated' as is_automated,
    {{ local_day('messages.happened_at', 'reporting.time_zone') }} as happened_on,
    messages.happened_at
from messages
cross join reporting
left join addresses_monitored
    on
        messages.enrichment_id = addresses_monitored.enrichment_id
        and messages.from_key = addresses_monitored.address_key
        and messages.from_seen_at < addresses_monitored.monitored_to_at
left join addresses on messages.from_key = addresses.address_key
