with

match_weeks as (

    select
        *,
        cast(counted_count as double) / nullif(messages_count, 0) as counted_ratio
    from {{ ref('int_match_weeks_counted') }}

),

limits as (

    select * from {{ ref('int_watch_limits') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

-- Every answer that a run received, about every account that it stands for.
runs_counted as (

    select
        enrichment_id,
        run_id,
        count(*) as answered_count,
        sum(case when is_enriched then 1 else 0 end) as matched_count,
        max(known_from_at) as answered_at
    from {{ ref('int_answers_changed') }}
    group by enrichment_id, run_id

),

runs_ranked as (

    select
        *,
        cast(matched_count as double) / nullif(answered_count, 0) as matched_ratio,
        row_number() over (
            partition by enrichment_id
            order by answered_at desc nulls last, run_id desc nulls last
        ) as place_from_newest
    from runs_counted

),

usual_weeks as (

    select
        enrichment_id,
        count(*) as weeks_count,
        {{ quantile('counted_ratio', 0.5) }} as usual_ratio
    from match_weeks
    where weeks_before > 0
    group by enrichment_id

),

newest_runs as (

    select
        newest.enrichment_id,
        newest.answered_at,
        newest.answered_count,
        newest.matched_ratio,
        earlier.answered_count as earlier_answered_count,
        earlier.matched_ratio as earlier_matched_ratio
    from runs_ranked as newest
    inner join runs_ranked as earlier
        on
            newest.enrichment_id = earlier.enrichment_id
            and earlier.place_from_newest = 2
    where newest.place_from_newest = 1

),

customer_files as (

    select
        property,
        found_at as read_at,
        items_count,
        lag(items_count) over (partition by property order by found_at nulls last, run_id nulls last)
            as earlier_items_count,
        row_number() over (partition by property order by found_at desc nulls last, run_id desc nulls last)
            as place_from_newest
    from {{ ref('stg_runs__service_findings') }}
    where service = 'customer_files' and kind = 'rows'

)

-- Contacts apply to all dates as they are now, so the weeks before are counted with today's, and what was lost from the
-- file itself shows in the number of its rows alone.
select
    match_weeks.enrichment_id,
    'matches' as check_name,
    'messages' as subject,
    'warning' as severity,
    match_weeks.counted_ratio as observed,
    limits.matches_loss_ratio * usual_weeks.usual_ratio as expected_low,
    cast(null as double) as expected_high,
    'ratio' as unit,
    as_of.as_of_date as day_on,
    cast(as_of.as_of_date - interval 6 day as date) as since_on,
    'In the week up to ' || cast(as_of.as_of_date as string) || ' only '
    || cast(cast(round(100 * match_weeks.counted_ratio, 0) as bigint) as string)
    || ' % of the mail with outsiders counted for an account, where '
    || cast(cast(round(100 * usual_weeks.usual_ratio, 0) as bigint) as string)
    || ' % is usual; look at marts.unmatched_domains for who writes now, and at the contact file.' as finding
from match_weeks
cross join limits
cross join as_of
inner join usual_weeks on match_weeks.enrichment_id = usual_weeks.enrichment_id
where
    match_weeks.weeks_before = 0
    and usual_weeks.weeks_count >= limits.history_least_days
    and usual_weeks.usual_ratio * match_weeks.messages_count >= limits.matches_least_messages
    and match_weeks.counted_ratio < limits.matches_loss_ratio * usual_weeks.usual_ratio

union all

select
    newest_runs.enrichment_id,
    'matches' as check_name,
    'customers' as subject,
    'warning' as severity,
    newest_runs.matched_ratio as observed,
    limits.customers_loss_ratio * newest_runs.earlier_matched_ratio as expected_low,
    cast(null as double) as expected_high,
    'ratio' as unit,
    cast(null as date) as day_on,
    cast(newest_runs.answered_at as date) as since_on,
    'Leadspace knew ' || cast(cast(round(100 * newest_runs.matched_ratio, 0) as bigint) as string)
    || ' % of the customers that the newest run asked about, and '
    || cast(cast(round(100 * newest_runs.earlier_matched_ratio, 0) as bigint) as string)
    || ' % in the run before; look at the mapped columns of the customer file (name, website, country).' as finding
from newest_runs
cross join limits
where
    newest_runs.answered_count >= limits.customers_least
    and newest_runs.earlier_answered_count >= limits.customers_least
    and newest_runs.matched_ratio < limits.customers_loss_ratio * newest_runs.earlier_matched_ratio

union all

select
    cast(null as string) as enrichment_id,
    'matches' as check_name,
    customer_files.property as subject,
    'warning' as severity,
    case
        when customer_files.property = 'contacts'
            then cast({{ people_shown('customer_files.items_count') }} as double)
        else cast(customer_files.items_count as double)
    end as observed,
    case
        when customer_files.property != 'contacts' or not reporting.is_banded
            then limits.customers_loss_ratio * customer_files.earlier_items_count
    end as expected_low,
    cast(null as double) as expected_high,
    customer_files.property as unit,
    cast(null as date) as day_on,
    cast(customer_files.read_at as date) as since_on,
    case
        when customer_files.property != 'contacts' or not reporting.is_banded
            then
                'The customer files have ' || cast(customer_files.items_count as string) || ' '
                || customer_files.property || ', and had ' || cast(customer_files.earlier_items_count as string)
        else
            'The customer files have ' || {{ people_band('customer_files.items_count') }} || ' contacts, and had '
            || {{ people_band('customer_files.earlier_items_count') }}
    end
    || ' in the run before; look whether the file was cut off or filtered.' as finding
from customer_files
cross join limits
cross join reporting
where
    customer_files.place_from_newest = 1
    and customer_files.earlier_items_count >= limits.customers_least
    and customer_files.items_count < limits.customers_loss_ratio * customer_files.earlier_items_count
