{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

messages as (

    select messages_read.*
    from {{ ref('int_messages_read') }} as messages_read
    {{ only_touched('messages_read', 'int_messages_touched', ['message_key']) }}

),

messages_counted as (

    select distinct
        counted.enrichment_id,
        counted.message_key,
        counted.direction
    from {{ ref('int_messages_counted') }} as counted
    {{ only_touched('counted', 'int_messages_touched', ['message_key']) }}

),

messages_to_contacts as (

    select distinct
        matches.enrichment_id,
        matches.message_key
    from {{ ref('int_messages_matched') }} as matches
    {{ only_touched('matches', 'int_messages_touched', ['message_key']) }}
    where matches.contact_role = 'recipient'

),

messages_to_outsiders as (

    select distinct
        recipients.enrichment_id,
        recipients.message_key
    from {{ ref('int_recipients_unmatched') }} as recipients
    {{ only_touched('recipients', 'int_messages_touched', ['message_key']) }}

)

-- The first that holds. There is no bucket for the rest: a message that no line names is null, and fails a test.
select
    messages.enrichment_id,
    messages.message_key,
    case
        when messages.countable_copies_count = 0 and messages.is_meeting_mail then 'meeting_mail'
        when messages.countable_copies_count = 0 and messages.is_draft then 'draft'
        when messages.countable_copies_count = 0 and messages.is_search_folder_copy then 'search_folder_copy'
        when messages.countable_copies_count = 0 and messages.happened_on is null then 'unreadable_date'
        when messages_counted.direction = 'to_account' then 'counted_to_account'
        when messages_counted.direction = 'from_account' then 'counted_from_account'
        when messages.sender_relation = 'missing' then 'sender_missing'
        when messages.sender_relation = 'unresolved' then 'sender_unresolved'
        when messages.is_automated then 'automated_sender'
        when messages.sender_relation = 'outsider' and messages_to_contacts.message_key is not null
            then 'third_party_sender'
        when messages.sender_relation = 'outsider' then 'from_unknown'
        when messages.sender_relation = 'colleague' and messages_to_contacts.message_key is not null
            then 'colleague_not_monitored'
        when messages.sender_relation = 'colleague' and messages_to_outsiders.message_key is not null
            then 'colleague_to_unknown'
        when messages.sender_relation = 'monitored' and messages_to_outsiders.message_key is not null
            then 'own_to_unknown'
        when messages.sender_relation in ('monitored', 'colleague') and messages.recipients_count = 0
            then 'without_recipients'
        when messages.sender_relation in ('monitored', 'colleague') then 'internal'
    end as bucket,
    messages.copies_count,
    messages.happened_on
from messages
left join messages_counted
    on
        messages.enrichment_id = messages_counted.enrichment_id
        and messages.message_key = messages_counted.message_key
left join messages_to_contacts
    on
        messages.enrichment_id = messages_to_contacts.enrichment_id
        and messages.message_key = messages_to_contacts.message_key
left join messages_to_outsiders
    on
        messages.enrichment_id = messages_to_outsiders.enrichment_id
        and messages.message_key = messages_to_outsiders.message_key
