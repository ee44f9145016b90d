with

segments as (

    select * from {{ ref('int_segments_described') }}

),

-- Entering and leaving alone: a member on the first day judged was perhaps one before.
moves as (

    select
        *,
        lead(judged_on) over (
            partition by segment_id, enrichment_id, account_id
            order by judged_on nulls last
        ) as next_moved_on,
        lead(reason) over (
            partition by segment_id, enrichment_id, account_id
            order by judged_on nulls last
        ) as next_reason
    from {{ ref('int_segment_states') }}
    where was_member is null or is_member != was_member

)

select
    moves.segment_id,
    segments.segment_name,
    moves.enrichment_id,
    moves.account_id,
    moves.judged_on as entered_on,
    moves.was_member is not null as is_entry_seen,
    {{ addresses_masked('moves.reason') }} as entered_reason,
    moves.next_moved_on as left_on,
    {{ addresses_masked('moves.next_reason') }} as left_reason
from moves
inner join segments on moves.segment_id = segments.segment_id
where moves.is_member
