{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_meetings_before', ['enrichment_id', 'meeting_key']) }}",
) }}

with

meetings as (

    select entries.*
    from {{ ref('stg_office__meetings') }} as entries
    {{ only_touched('entries', 'int_meetings_touched', ['ical_key', 'occurrence_at']) }}

),

mailboxes as (

    select * from {{ ref('int_mailboxes_monitored') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

meetings_with_begin as (

    select
        meetings.*,
        reporting.time_zone,
        -- All-day dates float: the same day everywhere, so they begin at midnight where the report is read.
        case
            when meetings.is_all_day
                then {{ local_midnight('cast(meetings.start_at as date)', 'reporting.time_zone') }}
            else meetings.start_at
        end as begins_at
    from meetings
    cross join reporting

),

copies as (

    select
        mailboxes.enrichment_id,
        meetings.mailbox_id,
        meetings.item_key,
        meetings.ical_key,
        meetings.organizer_key,
        meetings.own_response,
        meetings.is_all_day,
        meetings.is_cancelled,
        meetings.is_organizer,
        -- Deleted later it still took place; vanished before it began it did not (D2).
        coalesce(meetings.gone_at < meetings.begins_at, false) as has_vanished,
        {{ local_day('meetings.begins_at', 'meetings.time_zone') }} as happened_on,
        -- The day on whose last midnight the meeting has ended: an end at D+1 00:00 still belongs to D.
        case
            when meetings.is_all_day then cast(meetings.end_at - interval 1 microsecond as date)
            else {{ local_day('meetings.end_at - interval 1 microsecond', 'meetings.time_zone') }}
        end as ended_on,
        meetings.start_at,
        meetings.end_at,
        meetings.occurrence_at,
        meetings.begins_at,
        meetings.read_at
    from meetings_with_begin as meetings
    inner join mailboxes
        on
            meetings.mailbox_id = mailboxes.mailbox_id
            and (meetings.begins_at < mailboxes.monitored_to_at or meetings.begins_at is null)

),

-- The organiser's copy speaks for the meeting; where none is read, the newest does. A vanished one speaks last.
copies_ranked as (

    select
        *,
        row_number() over (
            partition by enrichment_id, ical_key, start_at
            order by
                is_organizer desc nulls last,
                has_vanished asc nulls last,
                read_at desc nulls last,
                mailbox_id asc nulls last,
                item_key asc nulls last
        ) as copy_number,
        max(case when is_organizer then 1 else 0 end) over (
            partition by enrichment_id, ical_key, start_at
        ) as has_organizer_copy,
        max(case when is_cancelled then 1 else 0 end) over (
            partition by enrichment_id, ical_key, start_at
        ) as is_cancelled_in_any_copy,
        count(*) over (partition by enrichment_id, ical_key, start_at) as copies_count
    from copies

)

select
    copies_ranked.enrichment_id,
    -- One number for (iCalUId, start): the item that speaks for the meeting.
    copies_ranked.item_key as meeting_key,
    copies_ranked.ical_key,
    copies_ranked.organizer_key,
    case
        when copies_ranked.begins_at is null then 'unreadable_date'
        when copies_ranked.happened_on > as_of.as_of_date then 'in_the_future'
        when copies_ranked.end_at is null then 'unreadable_date'
        when copies_ranked.ended_on > as_of.as_of_date then 'not_ended_yet'
        -- If the organiser's copy vanished, or every copy did, nobody met.
        when copies_ranked.has_vanished then 'vanished'
        when copies_ranked.has_organizer_copy = 1 and copies_ranked.is_cancelled then 'cancelled'
        when copies_ranked.has_organizer_copy = 0 and copies_ranked.is_cancelled_in_any_copy = 1 then 'cancelled'
        else 'took_place'
    end as meeting_state,
    copies_ranked.copies_count,
    -- An end before the start says nothing of how long it took.
    case
        when not copies_ranked.is_all_day and copies_ranked.end_at >= copies_ranked.start_at
            then {{ milliseconds_between('copies_ranked.start_at', 'copies_ranked.end_at') }}
    end as duration_milliseconds,
    copies_ranked.is_all_day,
    copies_ranked.happened_on,
    greatest(copies_ranked.happened_on, copies_ranked.ended_on) as known_on,
    copies_ranked.start_at,
    copies_ranked.occurrence_at,
    copies_ranked.begins_at
from copies_ranked
cross join as_of
where copies_ranked.copy_number = 1
