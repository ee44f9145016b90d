with

segments as (

    select * from {{ ref('int_segments_described') }}
    where is_active

),

-- Every account is judged on every day.
accounts_judged as (

    select
        enrichment_id,
        judged_on,
        count(*) as accounts_count
    from {{ ref('int_account_attributes_dated') }}
    group by enrichment_id, judged_on

),

states_counted as (

    select
        segment_id,
        enrichment_id,
        judged_on,
        sum(case when is_member then 1 else 0 end) as members_count,
        sum(case when is_member and not was_member then 1 else 0 end) as entered_count,
        sum(case when not is_member then 1 else 0 end) as left_count
    from {{ ref('int_segment_states') }}
    group by segment_id, enrichment_id, judged_on

)

select
    segments.segment_id,
    segments.segment_name,
    accounts_judged.enrichment_id,
    accounts_judged.judged_on as counted_on,
    cast(coalesce(states_counted.members_count, 0) as bigint) as members_count,
    cast(coalesce(states_counted.entered_count, 0) as bigint) as entered_count,
    cast(coalesce(states_counted.left_count, 0) as bigint) as left_count,
    accounts_judged.accounts_count
from segments
cross join accounts_judged
left join states_counted
    on
        segments.segment_id = states_counted.segment_id
        and accounts_judged.enrichment_id = states_counted.enrichment_id
        and accounts_judged.judged_on = states_counted.judged_on
