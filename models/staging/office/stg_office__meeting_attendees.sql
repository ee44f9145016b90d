with

meetings as (

    select * from {{ source('office', 'office_meetings') }}

)

select
    mailbox_id,
    item_key,
    {{ exploded_together({
        'attendee_keys': 'address_key',
        'attendee_types': 'attendee_type',
        'attendee_responses': 'response',
    }) }}
from meetings
