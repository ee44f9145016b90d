with

segments as (

    select * from {{ ref('int_segments_described') }}
    where is_active

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

accounts_judged as (

    select
        enrichment_id,
        count(*) as judged_count
    from {{ ref('int_account_attributes_dated') }}
    where is_current
    group by enrichment_id

),

members_counted as (

    select
        states.segment_id,
        states.enrichment_id,
        count(*) as members_count
    from {{ ref('int_segment_states') }} as states
    inner join segment_dates on states.judged_on = segment_dates.judged_on
    where states.is_member
    group by states.segment_id, states.enrichment_id

)

select
    segments.segment_id,
    segments.segment_name,
    segments.segment_position,
    accounts_judged.enrichment_id,
    coalesce(members_counted.members_count, 0) as members_count,
    accounts_judged.judged_count - coalesce(members_counted.members_count, 0) as others_count,
    segment_dates.judged_on
from segments
cross join accounts_judged
cross join segment_dates
left join members_counted
    on
        segments.segment_id = members_counted.segment_id
        and accounts_judged.enrichment_id = members_counted.enrichment_id
