with

messages_matched as (

    select distinct
        enrichment_id,
        message_key
    from {{ ref('int_messages_matched') }}

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

copies_ranked as (

    select
        enrichment_id,
        message_key,
        from_key,
        received_at,
        row_number() over (
            partition by enrichment_id, message_key
            order by received_at nulls last, mailbox_id nulls last, item_key nulls last
        ) as copy_number
    from copies

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
    copies_ranked.enrichment_id,
    copies_ranked.message_key,
    thread_forms_ranked.thread_key,
    copies_ranked.from_key,
    addresses_monitored.mailbox_id as from_mailbox_id,
    coalesce(addresses.local_part_class, 'person') = 'automated' as is_automated,
    {{ local_day('copies_ranked.received_at', 'reporting.time_zone') }} as happened_on,
    copies_ranked.received_at as happened_at
from copies_ranked
inner join thread_forms_ranked
    on
        copies_ranked.enrichment_id = thread_forms_ranked.enrichment_id
        and copies_ranked.message_key = thread_forms_ranked.message_key
        and thread_forms_ranked.form_number = 1
cross join reporting
left join addresses on copies_ranked.from_key = addresses.address_key
left join addresses_monitored
    on
        copies_ranked.enrichment_id = addresses_monitored.enrichment_id
        and copies_ranked.from_key = addresses_monitored.address_key
        and copies_ranked.received_at < addresses_monitored.monitored_to_at
where copies_ranked.copy_number = 1
