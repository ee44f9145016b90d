{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_messages_touched', ['message_key']) }}",
) }}

with

messages as (

    select counted.*
    from {{ ref('int_messages_counted') }} as counted
    {{ only_touched('counted', 'int_messages_touched', ['message_key']) }}

),

messages_deduplicated as (

    select deduplicated.*
    from {{ ref('int_messages_deduplicated') }} as deduplicated
    {{ only_touched('deduplicated', 'int_messages_touched', ['message_key']) }}

),

messages_matched as (

    select matches.*
    from {{ ref('int_messages_matched') }} as matches
    {{ only_touched('matches', 'int_messages_touched', ['message_key']) }}

),

copies as (

    select copies.*
    from {{ ref('int_message_copies_countable') }} as copies
    where {{ received_when_touched('copies') }}

),

recipients as (

    select recipients.*
    from {{ ref('int_message_recipients_countable') }} as recipients
    where {{ received_when_touched('recipients') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

messages_counted_once as (

    select distinct
        enrichment_id,
        message_key
    from messages

),

holders_of_counted_messages as (

    select
        copies.enrichment_id,
        copies.message_key,
        copies.mailbox_id as person_key,
        copies.received_at as known_at
    from copies
    inner join messages_counted_once
        on
            copies.enrichment_id = messages_counted_once.enrichment_id
            and copies.message_key = messages_counted_once.message_key
    -- Most mail is not counted: asked by one number first, it takes a third of the time.
    where copies.message_key in (select asked.message_key from messages_counted_once as asked)

),

-- Who of ours a message reached, and since when that was known.
recipients_of_counted_messages as (

    select
        recipients.enrichment_id,
        recipients.message_key,
        addresses_monitored.mailbox_id as person_key,
        recipients.received_at as known_at
    from recipients
    inner join addresses_monitored
        on
            recipients.enrichment_id = addresses_monitored.enrichment_id
            and recipients.address_key = addresses_monitored.address_key
    inner join messages_counted_once
        on
            recipients.enrichment_id = messages_counted_once.enrichment_id
            and recipients.message_key = messages_counted_once.message_key
    where
        recipients.received_at < addresses_monitored.monitored_to_at
        and recipients.message_key in (select asked.message_key from messages_counted_once as asked)

),

-- A delegate is involved only if he receives or holds the message, so `sender` is not asked (D6.2).
own_people as (

    select
        enrichment_id,
        message_key,
        from_mailbox_id as person_key,
        happened_at as known_at
    from messages_deduplicated
    where from_mailbox_id is not null

    union all

    select * from holders_of_counted_messages

    union all

    select * from recipients_of_counted_messages

),

own_people_per_account as (

    select
        messages.enrichment_id,
        messages.account_id,
        messages.message_key,
        'own' as side,
        own_people.person_key,
        messages.happened_on,
        greatest(
            messages.known_on, {{ local_day('min(own_people.known_at)', 'max(reporting.time_zone)') }}
        ) as known_on
    from messages
    inner join own_people
        on
            messages.enrichment_id = own_people.enrichment_id
            and messages.message_key = own_people.message_key
    cross join reporting
    group by
        messages.enrichment_id,
        messages.account_id,
        messages.message_key,
        own_people.person_key,
        messages.happened_on,
        messages.known_on

),

account_people_per_account as (

    select
        messages.enrichment_id,
        messages.account_id,
        messages.message_key,
        'account' as side,
        messages_matched.contact_key as person_key,
        messages.happened_on,
        greatest(messages.known_on, min(messages_matched.known_on)) as known_on
    from messages
    inner join messages_matched
        on
            messages.enrichment_id = messages_matched.enrichment_id
            and messages.message_key = messages_matched.message_key
            and messages.account_id = messages_matched.account_id
    group by
        messages.enrichment_id,
        messages.account_id,
        messages.message_key,
        messages_matched.contact_key,
        messages.happened_on,
        messages.known_on

)

select * from own_people_per_account
union all
select * from account_people_per_account
