{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

copies as (

    select copies.*
    from {{ ref('int_message_copies_read') }} as copies
    {{ only_touched('copies', 'int_messages_touched', ['message_key']) }}
    where {{ received_when_touched('copies') }}

),

countable_copies as (

    select copies.*
    from {{ ref('int_message_copies_countable') }} as copies
    where {{ received_when_touched('copies') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

addresses as (

    select * from {{ ref('int_addresses_classified') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

-- One pass over all copies; a message has one sender nearly always, and then needs no second one.
messages_grouped as (

    select
        enrichment_id,
        message_key,
        min(case when is_countable then from_key end) as lowest_from_key,
        max(case when is_countable then from_key end) as highest_from_key,
        min(case when is_countable and from_key is not null then received_at end) as from_seen_at,
        count(*) as copies_count,
        sum(case when is_countable then 1 else 0 end) as countable_copies_count,
        max(case when is_countable then recipients_count else 0 end) as recipients_count,
        max(case when is_draft then 1 else 0 end) as is_draft,
        max(case when is_meeting_mail then 1 else 0 end) as is_meeting_mail,
        max(case when is_search_folder_copy then 1 else 0 end) as is_search_folder_copy,
        coalesce(min(case when is_countable then received_at end), min(received_at)) as happened_at
    from copies
    group by enrichment_id, message_key

),

-- Where copies disagree about the sender, one of ours goes first, then any address at all, then the earliest, as in
-- int_messages_deduplicated.
disputed_senders_ranked as (

    select
        copies.enrichment_id,
        copies.message_key,
        copies.from_key,
        copies.received_at,
        row_number() over (
            partition by copies.enrichment_id, copies.message_key
            order by
                case when addresses_monitored.address_key is not null then 0 else 1 end nulls last,
                copies.received_at nulls last,
                copies.mailbox_id nulls last,
                copies.item_key nulls last
        ) as sender_number
    from countable_copies as copies
    inner join messages_grouped
        on
            copies.enrichment_id = messages_grouped.enrichment_id
            and copies.message_key = messages_grouped.message_key
            and messages_grouped.lowest_from_key != messages_grouped.highest_from_key
    left join addresses_monitored
        on
            copies.enrichment_id = addresses_monitored.enrichment_id
            and copies.from_key = addresses_monitored.address_key
            and copies.received_at < addresses_monitored.monitored_to_at
    where copies.from_key is not null

),

disputed_senders as (

    select * from disputed_senders_ranked
    where sender_number = 1

),

messages_with_sender as (

    select
        messages_grouped.*,
        coalesce(disputed_senders.from_key, messages_grouped.lowest_from_key) as from_key,
        coalesce(disputed_senders.received_at, messages_grouped.from_seen_at) as sender_seen_at
    from messages_grouped
    left join disputed_senders
        on
            messages_grouped.enrichment_id = disputed_senders.enrichment_id
            and messages_grouped.message_key = disputed_senders.message_key

)

select
    messages.enrichment_id,
    messages.message_key,
    messages.from_key,
    case
        when messages.from_key is null then 'missing'
        when addresses_monitored.address_key is not null then 'monitored'
        -- Someone who has left the list is a colleague from then on (D6.10).
        when addresses.relation = 'monitored' then 'colleague'
        else coalesce(addresses.relation, 'unresolved')
    end as sender_relation,
    messages.copies_count,
    cast(messages.countable_copies_count as bigint) as countable_copies_count,
    messages.recipients_count,
    coalesce(addresses.is_automated, false) as is_automated,
    messages.is_draft = 1 as is_draft,
    messages.is_meeting_mail = 1 as is_meeting_mail,
    messages.is_search_folder_copy = 1 as is_search_folder_copy,
    {{ local_day('messages.happened_at', 'reporting.time_zone') }} as happened_on
from messages_with_sender as messages
cross join reporting
left join addresses_monitored
    on
        messages.enrichment_id = addresses_monitored.enrichment_id
        and messages.from_key = addresses_monitored.address_key
        and messages.sender_seen_at < addresses_monitored.monitored_to_at
left join addresses
    on
        messages.enrichment_id = addresses.enrichment_id
        and messages.from_key = addresses.address_key
