with

meetings as (

    select * from {{ source('office', 'office_meetings') }}

)

select
    mailbox_id,
    item_key,
    ical_key,
    organizer_key,
    own_response,
    is_all_day,
    is_cancelled,
    is_organizer,
    cast(start_at as timestamp) as start_at,
    cast(end_at as timestamp) as end_at,
    cast(read_at as timestamp) as read_at,
    cast(gone_at as timestamp) as gone_at,
    -- The start as a key: 1900-01-01 where it cannot be read.
    coalesce(cast(start_at as timestamp), timestamp '1900-01-01 00:00:00') as occurrence_at,
    coalesce(landing_id, 0) as landing_id
from meetings
