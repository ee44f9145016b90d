{%- if refreshes_in_part() %}

with

refresh as (

    select * from {{ ref('int_refresh') }}

),

meetings as (

    select * from {{ ref('stg_office__meetings') }}

),

attendees as (

    select * from {{ ref('stg_office__meeting_attendees') }}

),

replaced as (

    select * from {{ ref('stg_office__replaced') }}
    where kind = 'meetings'

),

addresses_touched as (

    select * from {{ ref('int_addresses_touched') }}

),

mailboxes_touched as (

    select * from {{ ref('int_mailboxes_touched') }}

),

attendees_touched as (

    select
        attendees.mailbox_id,
        attendees.item_key
    from attendees
    inner join addresses_touched on attendees.address_key = addresses_touched.address_key

),

meetings_touched as (

    -- landed since
    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join refresh on meetings.landing_id > refresh.previous_landing_id

    union all

    select
        replaced.replaced_key as ical_key,
        replaced.occurrence_at
    from replaced
    inner join refresh on replaced.landing_id > refresh.previous_landing_id

    union all

    -- The as-of date has moved over its start or its end; all-day ones float by up to a day.
    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join refresh
        on
            refresh.changed_from_at < refresh.changed_before_at
            and meetings.start_at >= refresh.changed_from_at - interval 1 day
            and meetings.start_at < refresh.changed_before_at + interval 1 day

    union all

    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join refresh
        on
            refresh.changed_from_at < refresh.changed_before_at
            and meetings.end_at >= refresh.changed_from_at - interval 1 day
            and meetings.end_at <= refresh.changed_before_at + interval 1 day

    union all

    -- somebody in it is another than before
    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join addresses_touched on meetings.organizer_key = addresses_touched.address_key

    union all

    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join attendees_touched
        on
            meetings.mailbox_id = attendees_touched.mailbox_id
            and meetings.item_key = attendees_touched.item_key

    union all

    select
        meetings.ical_key,
        meetings.occurrence_at
    from meetings
    inner join mailboxes_touched on meetings.mailbox_id = mailboxes_touched.mailbox_id

)

select distinct
    ical_key,
    occurrence_at
from meetings_touched

{% else %}

    {{ no_rows({'ical_key': 'bigint', 'occurrence_at': 'timestamp'}) }}

{% endif -%}
