with

segments_counted as (

    select * from {{ ref('int_members_counted') }}

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

members as (

    select
        states.segment_id,
        states.enrichment_id,
        states.account_id
    from {{ ref('int_segment_states') }} as states
    inner join segment_dates on states.judged_on = segment_dates.judged_on
    where states.is_member

),

pairs_counted as (

    select
        members.enrichment_id,
        members.segment_id,
        other_members.segment_id as other_segment_id,
        count(*) as both_count
    from members
    inner join members as other_members
        on
            members.enrichment_id = other_members.enrichment_id
            and members.account_id = other_members.account_id
            and members.segment_id < other_members.segment_id
    group by members.enrichment_id, members.segment_id, other_members.segment_id

),

pairs as (

    select
        segments_counted.enrichment_id,
        segments_counted.segment_id,
        segments_counted.segment_name,
        other_segments.segment_id as other_segment_id,
        other_segments.segment_name as other_segment_name,
        segments_counted.members_count,
        other_segments.members_count as other_members_count,
        coalesce(pairs_counted.both_count, 0) as both_count,
        segments_counted.judged_on
    from segments_counted
    inner join segments_counted as other_segments
        on
            segments_counted.enrichment_id = other_segments.enrichment_id
            and segments_counted.segment_id < other_segments.segment_id
    left join pairs_counted
        on
            segments_counted.enrichment_id = pairs_counted.enrichment_id
            and segments_counted.segment_id = pairs_counted.segment_id
            and other_segments.segment_id = pairs_counted.other_segment_id

)

select
    enrichment_id,
    segment_id,
    segment_name,
    other_segment_id,
    other_segment_name,
    members_count,
    other_members_count,
    both_count,
    members_count + other_members_count - both_count as either_count,
    cast(both_count as double) / nullif(members_count, 0) as both_of_members_ratio,
    cast(both_count as double) / nullif(other_members_count, 0) as both_of_other_members_ratio,
    cast(both_count as double) / nullif(members_count + other_members_count - both_count, 0) as jaccard_ratio,
    judged_on as as_of_date
from pairs
