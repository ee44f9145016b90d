{{ config(materialized='view') }}

with

meetings as (

    select * from {{ ref('int_meetings_read') }}

)

select
    enrichment_id,
    meeting_key,
    ical_key,
    organizer_key,
    duration_milliseconds,
    is_all_day,
    happened_on,
    known_on,
    start_at,
    occurrence_at,
    begins_at
from meetings
where meeting_state = 'took_place'
