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

copies_with_sender as (

    select
        copies.*,
        addresses_monitored.mailbox_id as from_mailbox_id
    from copies
    left join addresses_monitored
        on
            copies.enrichment_id = addresses_monitored.enrichment_id
            and copies.from_key = addresses_monitored.address_key
            and copies.received_at < addresses_monitored.monitored_to_at

),

-- Where copies disagree about the sender (an address in one, Exchange's own form or nothing in another), one of ours
-- goes first, then any address at all.
copies_ranked as (

    select
        enrichment_id,
        message_key,
        from_key,
        from_mailbox_id,
        received_at,
        row_number() over (
            partition by enrichment_id, message_key
            order by received_at nulls last, mailbox_id nulls last, item_key nulls last
        ) as copy_number,
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
    from copies_with_sender

),

thread_forms as (

    select
        enrichment_id,
        message_key,
        thread_key,
        count(*) as copy_count
    from copies
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

)

-- A message happens at the earliest reception of its copies; in our Sent folder that is its sending (D6.1).
select
    earliest_copies.enrichment_id,
    earliest_copies.message_key,
    thread_forms_ranked.thread_key,
    sender_copies.from_key,
    sender_copies.from_mailbox_id,
    coalesce(addresses.local_part_class, 'person') = 'automated' as is_automated,
    {{ local_day('earliest_copies.received_at', 'reporting.time_zone') }} as happened_on,
    earliest_copies.received_at as happened_at
from copies_ranked as earliest_copies
inner join copies_ranked as sender_copies
    on
        earliest_copies.enrichment_id = sender_copies.enrichment_id
        and earliest_copies.message_key = sender_copies.message_key
        and sender_copies.sender_number = 1
inner join thread_forms_ranked
    on
        earliest_copies.enrichment_id = thread_forms_ranked.enrichment_id
        and earliest_copies.message_key = thread_forms_ranked.message_key
        and thread_forms_ranked.form_number = 1
cross join reporting
left join addresses on sender_copies.from_key = addresses.address_key
where earliest_copies.copy_number = 1
