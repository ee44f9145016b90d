{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_meetings_before', ['enrichment_id', 'meeting_key']) }}",
) }}

with

meetings as (

    select deduplicated.*
    from {{ ref('int_meetings_deduplicated') }} as deduplicated
    {{ only_touched('deduplicated', 'int_meetings_touched', ['ical_key', 'occurrence_at']) }}

),

copies as (

    select * from {{ ref('stg_office__meetings') }}

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

attendees as (

    select * from {{ ref('stg_office__meeting_attendees') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

contacts as (

    select * from {{ ref('int_contacts_matched') }}

),

copies_of_meetings as (

    select
        meetings.enrichment_id,
        meetings.meeting_key,
        copies.mailbox_id,
        copies.item_key,
        copies.organizer_key,
        copies.own_response,
        copies.is_organizer,
        meetings.begins_at,
        copies.read_at
    from meetings
    inner join copies
        on
            meetings.ical_key = copies.ical_key
            and meetings.start_at = copies.start_at
    where {{ is_copy_that_speaks('copies', 'meetings', 'mailboxes') }}

),

-- Whose calendar holds it takes part, since people are invited through lists too (D6.3).
answers_of_owners as (

    select
        enrichment_id,
        meeting_key,
        mailbox_id,
        own_response as response,
        row_number() over (
            partition by enrichment_id, meeting_key, mailbox_id
            order by read_at desc nulls last, item_key asc nulls last
        ) as answer_number
    from copies_of_meetings

),

mentions as (

    select
        copies.enrichment_id,
        copies.meeting_key,
        attendees.address_key,
        attendees.response,
        copies.is_organizer,
        copies.mailbox_id,
        copies.begins_at,
        copies.read_at
    from copies_of_meetings as copies
    inner join attendees
        on
            copies.mailbox_id = attendees.mailbox_id
            and copies.item_key = attendees.item_key
    where attendees.attendee_type != 'resource' or attendees.attendee_type is null

    union all

    select
        enrichment_id,
        meeting_key,
        organizer_key as address_key,
        'organizer' as response,
        is_organizer,
        mailbox_id,
        begins_at,
        read_at
    from copies_of_meetings
    where organizer_key is not null

),

mentions_of_own_people as (

    select
        mentions.enrichment_id,
        mentions.meeting_key,
        addresses_monitored.mailbox_id as person_key,
        mentions.response,
        mentions.is_organizer,
        mentions.mailbox_id,
        mentions.read_at
    from mentions
    inner join addresses_monitored
        on
            mentions.enrichment_id = addresses_monitored.enrichment_id
            and mentions.address_key = addresses_monitored.address_key
            and mentions.begins_at < addresses_monitored.monitored_to_at

),

-- The own copy's answer, else what the organiser's copy says, else the newest read that mentions the person.
-- Who organises has answered, whatever an attendee's line about him says.
own_answers_ranked as (

    select
        mentions.enrichment_id,
        mentions.meeting_key,
        mentions.person_key,
        mentions.response,
        row_number() over (
            partition by mentions.enrichment_id, mentions.meeting_key, mentions.person_key
            order by
                mentions.is_organizer desc nulls last,
                mentions.read_at desc nulls last,
                mentions.mailbox_id asc nulls last,
                case mentions.response when 'organizer' then 0 else 1 end asc nulls last,
                mentions.response asc nulls last
        ) as answer_number
    from mentions_of_own_people as mentions
    left join answers_of_owners as owners
        on
            mentions.enrichment_id = owners.enrichment_id
            and mentions.meeting_key = owners.meeting_key
            and mentions.person_key = owners.mailbox_id
    where owners.mailbox_id is null

),

account_answers_ranked as (

    select
        mentions.enrichment_id,
        mentions.meeting_key,
        contacts.account_id,
        contacts.contact_key as person_key,
        mentions.response,
        row_number() over (
            partition by mentions.enrichment_id, mentions.meeting_key, contacts.account_id, contacts.contact_key
            order by
                mentions.is_organizer desc nulls last,
                mentions.read_at desc nulls last,
                mentions.mailbox_id asc nulls last,
                case mentions.response when 'organizer' then 0 else 1 end asc nulls last,
                mentions.response asc nulls last
        ) as answer_number
    from mentions
    inner join contacts
        on
            mentions.enrichment_id = contacts.enrichment_id
            and mentions.address_key = contacts.address_key

),

answers as (

    select
        enrichment_id,
        meeting_key,
        cast(null as string) as account_id,
        'own' as side,
        mailbox_id as person_key,
        response
    from answers_of_owners
    where answer_number = 1

    union all

    select
        enrichment_id,
        meeting_key,
        cast(null as string) as account_id,
        'own' as side,
        person_key,
        response
    from own_answers_ranked
    where answer_number = 1

    union all

    select
        enrichment_id,
        meeting_key,
        account_id,
        'account' as side,
        person_key,
        response
    from account_answers_ranked
    where answer_number = 1

)

select
    enrichment_id,
    meeting_key,
    account_id,
    side,
    person_key
from answers
-- No answer is no refusal.
where coalesce(response, 'none') != 'declined'
