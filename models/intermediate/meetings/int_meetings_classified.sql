{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_meetings_before', ['enrichment_id', 'meeting_key']) }}",
) }}

with

meetings as (

    -- What had not begun by the end of the as-of date does not exist yet, like mail that had not been received (D6.10).
    select meetings_read.*
    from {{ ref('int_meetings_read') }} as meetings_read
    {{ only_touched('meetings_read', 'int_meetings_touched', ['ical_key', 'occurrence_at']) }}
    where meetings_read.meeting_state != 'in_the_future'

),

meetings_counted as (

    select distinct
        enrichment_id,
        meeting_key
    from {{ ref('int_meetings_counted') }}

),

meetings_with_own_people as (

    select distinct
        enrichment_id,
        meeting_key
    from {{ ref('int_people_in_meetings') }}
    where side = 'own'

),

participants_grouped as (

    select
        enrichment_id,
        meeting_key,
        count(*) as participants_count,
        sum(case when relation = 'contact' then 1 else 0 end) as contacts_count,
        sum(case when relation = 'outsider' then 1 else 0 end) as outsiders_count
    from {{ ref('int_participants_named') }}
    group by enrichment_id, meeting_key

)

-- The first that holds. There is no bucket for the rest: a meeting that no line names is null, and fails a test.
select
    meetings.enrichment_id,
    meetings.meeting_key,
    case
        when meetings.meeting_state != 'took_place' then meetings.meeting_state
        when meetings_counted.meeting_key is not null then 'counted'
        when participants.contacts_count > 0 and meetings_with_own_people.meeting_key is null then 'declined_by_ours'
        when participants.contacts_count > 0 then 'declined_by_contacts'
        when participants.outsiders_count > 0 then 'with_unknown'
        when participants.participants_count = 1 then 'appointment'
        when participants.participants_count > 1 then 'internal'
    end as bucket,
    meetings.copies_count,
    meetings.happened_on
from meetings
left join meetings_counted
    on
        meetings.enrichment_id = meetings_counted.enrichment_id
        and meetings.meeting_key = meetings_counted.meeting_key
left join meetings_with_own_people
    on
        meetings.enrichment_id = meetings_with_own_people.enrichment_id
        and meetings.meeting_key = meetings_with_own_people.meeting_key
left join participants_grouped as participants
    on
        meetings.enrichment_id = participants.enrichment_id
        and meetings.meeting_key = participants.meeting_key
