{{ built_after('int_interactions_before') }}
{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

messages as (

    select deduplicated.*
    from {{ ref('int_messages_deduplicated') }} as deduplicated
    {{ only_touched('deduplicated', 'int_messages_touched', ['message_key']) }}
    -- Automated senders neither count nor answer nor end a wait (D6.9).
    where not deduplicated.is_automated

),

messages_matched as (

    select matches.*
    from {{ ref('int_messages_matched') }} as matches
    {{ only_touched('matches', 'int_messages_touched', ['message_key']) }}

)

-- To the account: one of ours wrote it and a contact receives it. From the account: a contact wrote it and one of
-- ours holds it. Anything else is not counted (D6.2). Contacts are never monitored, so no message is both.
select
    messages_matched.enrichment_id,
    messages_matched.account_id,
    messages_matched.message_key,
    messages.thread_key,
    case messages_matched.contact_role when 'from' then 'from_account' else 'to_account' end as direction,
    max(case messages_matched.contact_role when 'from' then messages_matched.contact_key end) as from_contact_key,
    messages.happened_on,
    min(messages_matched.known_on) as known_on,
    messages.happened_at
from messages_matched
inner join messages
    on
        messages_matched.enrichment_id = messages.enrichment_id
        and messages_matched.message_key = messages.message_key
where
    (messages_matched.contact_role = 'from' and messages.from_mailbox_id is null)
    or (messages_matched.contact_role = 'recipient' and messages.from_mailbox_id is not null)
group by
    messages_matched.enrichment_id,
    messages_matched.account_id,
    messages_matched.message_key,
    messages.thread_key,
    messages_matched.contact_role,
    messages.happened_on,
    messages.happened_at
