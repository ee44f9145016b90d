with

segments as (

    select * from {{ ref('int_segments_described') }}

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

-- An account is counted once, in however many office enrichments it is a member.
members_counted as (

    select
        segment_id,
        count(distinct account_id) as members_count
    from {{ ref('segment_members') }}
    group by segment_id

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

accounts_counted as (

    select count(*) as accounts_count from {{ ref('stg_customers__accounts') }}

)

select
    segments.segment_id,
    segments.segment_name,
    segments.description,
    segments.owner,
    segments.audience,
    segments.membership,
    segments.tags,
    segments.is_active,
    case when segments.is_active then coalesce(members_counted.members_count, 0) end as members_count,
    accounts_counted.accounts_count,
    case
        when not segments.is_active then 'not active'
        when segments.audience = 'contacts' and reporting.is_banded
            then 'contacts are not published where small numbers are banded'
        when segment_dates.judged_on is null then 'nothing to judge yet'
        when coalesce(members_counted.members_count, 0) = 0 then 'selects nobody'
        when members_counted.members_count = accounts_counted.accounts_count then 'selects every account'
    end as finding,
    segment_dates.judged_on as as_of_date
from segments
cross join accounts_counted
cross join reporting
left join segment_dates on segment_dates.is_current
left join members_counted on segments.segment_id = members_counted.segment_id
