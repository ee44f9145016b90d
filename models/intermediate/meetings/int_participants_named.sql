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

addresses as (

    select * from {{ ref('int_addresses_classified') }}

),

copies_of_meetings as (

    select
        meetings.enrichment_id,
        meetings.meeting_key,
        copies.mailbox_id,
        copies.item_key,
        copies.organizer_key,
        meetings.happened_on,
        meetings.begins_at
    from meetings
    inner join copies
        on
            meetings.ical_key = copies.ical_key
            and meetings.start_at = copies.start_at
    where {{ is_copy_that_speaks('copies', 'meetings', 'mailboxes') }}

),

addresses_named as (

    select
        copies.enrichment_id,
        copies.meeting_key,
        attendees.address_key,
        copies.happened_on,
        copies.begins_at
    from copies_of_meetings as copies
    inner join attendees
        on
            copies.mailbox_id = attendees.mailbox_id
            and copies.item_key = attendees.item_key
    where
        attendees.address_key is not null
        and (attendees.attendee_type != 'resource' or attendees.attendee_type is null)

    union distinct

    select
        enrichment_id,
        meeting_key,
        organizer_key as address_key,
        happened_on,
        begins_at
    from copies_of_meetings
    where organizer_key is not null

),

participants as (

    -- Whose calendar holds it takes part (D6.3).
    select
        enrichment_id,
        meeting_key,
        mailbox_id as participant_key,
        'monitored' as relation,
        happened_on
    from copies_of_meetings

    union all

    select
        named.enrichment_id,
        named.meeting_key,
        coalesce(addresses_monitored.mailbox_id, named.address_key) as participant_key,
        case
            when addresses_monitored.mailbox_id is not null then 'monitored'
            -- Someone who has left the list is a colleague from then on (D6.10).
            when addresses.relation = 'monitored' then 'colleague'
            else coalesce(addresses.relation, 'unresolved')
        end as relation,
        named.happened_on
    from addresses_named as named
    left join addresses_monitored
        on
            named.enrichment_id = addresses_monitored.enrichment_id
            and named.address_key = addresses_monitored.address_key
            and named.begins_at < addresses_monitored.monitored_to_at
    left join addresses
        on
            named.enrichment_id = addresses.enrichment_id
            and named.address_key = addresses.address_key

)

select distinct
    enrichment_id,
    meeting_key,
    participant_key,
    relation,
    happened_on
from participants
