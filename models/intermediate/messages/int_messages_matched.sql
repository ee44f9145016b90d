{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

copies as (

    select copies.*
    from {{ ref('int_message_copies_countable') }} as copies
    {{ only_touched('copies', 'int_messages_touched', ['message_key']) }}
    where {{ received_when_touched('copies') }}

),

recipients as (

    select recipients.*
    from {{ ref('int_message_recipients_countable') }} as recipients
    {{ only_touched('recipients', 'int_messages_touched', ['message_key']) }}
    where {{ received_when_touched('recipients') }}

),

contacts as (

    select * from {{ ref('int_contacts_matched') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

-- Matching comes before deduplicating: most mail matches nobody, and grouping all of it costs five times more.
senders_matched as (

    select
        copies.enrichment_id,
        copies.message_key,
        contacts.account_id,
        contacts.contact_key,
        'from' as contact_role,
        copies.received_at
    from copies
    inner join contacts
        on
            copies.enrichment_id = contacts.enrichment_id
            and copies.from_key = contacts.address_key

),

recipients_matched as (

    select
        recipients.enrichment_id,
        recipients.message_key,
        contacts.account_id,
        contacts.contact_key,
        'recipient' as contact_role,
        recipients.received_at
    from recipients
    inner join contacts
        on
            recipients.enrichment_id = contacts.enrichment_id
            and recipients.address_key = contacts.address_key

),

both_roles as (

    select * from senders_matched
    union all
    select * from recipients_matched

),

evidence as (

    select
        enrichment_id,
        message_key,
        account_id,
        contact_key,
        contact_role,
        -- The first copy that shows it: a Bcc is known only once the sender's copy has been received.
        min(received_at) as known_at
    from both_roles
    group by enrichment_id, message_key, account_id, contact_key, contact_role

)

select
    evidence.enrichment_id,
    evidence.message_key,
    evidence.account_id,
    evidence.contact_key,
    evidence.contact_role,
    {{ local_day('evidence.known_at', 'reporting.time_zone') }} as known_on
from evidence
cross join reporting
