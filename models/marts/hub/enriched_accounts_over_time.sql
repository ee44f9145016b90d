with

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

enrichment_runs as (

    select * from {{ ref('stg_runs__enrichment_runs') }}
    where enrichment_run_state in ('successful', 'completed_with_warnings')

),

changes as (

    select * from {{ ref('int_enrichment_changes_measured') }}

),

-- What a run could know: an office one its as-of date, a Leadspace one the moment at which it ended.
runs_dated as (

    select
        enrichment_runs.run_id,
        enrichment_runs.enrichment_id,
        enrichment_runs.finished_at,
        case
            when enrichments.enrichment_type = 'office'
                then cast(
                    {{ local_day('enrichment_runs.read_to_at', 'reporting.time_zone') }} - interval 1 day as date
                )
        end as as_of_date
    from enrichment_runs
    inner join enrichments on enrichment_runs.enrichment_id = enrichments.enrichment_id
    cross join reporting

),

-- The as-of date that is built for hides the runs after it.
runs_in_time as (

    select
        runs_dated.run_id,
        runs_dated.enrichment_id,
        runs_dated.finished_at,
        runs_dated.as_of_date,
        coalesce(cast(runs_dated.as_of_date as timestamp), runs_dated.finished_at) as counted_at
    from runs_dated
    left join as_of on runs_dated.as_of_date <= as_of.as_of_date
    where runs_dated.as_of_date is null or as_of.as_of_date is not null

),

timeline as (

    select
        enrichment_id,
        cast(null as string) as run_id,
        accounts_change_count,
        cast(null as date) as as_of_date,
        cast(null as timestamp) as finished_at,
        changed_at as counted_at,
        0 as is_run
    from changes

    union all

    select
        enrichment_id,
        run_id,
        0 as accounts_change_count,
        as_of_date,
        finished_at,
        counted_at,
        1 as is_run
    from runs_in_time

),

counted as (

    select
        enrichment_id,
        run_id,
        as_of_date,
        finished_at,
        is_run,
        sum(accounts_change_count) over (
            partition by enrichment_id
            order by counted_at nulls last, is_run nulls last, run_id nulls last
            rows between unbounded preceding and current row
        ) as accounts_enriched_count
    from timeline

)

select
    enrichment_id,
    run_id,
    cast(accounts_enriched_count as bigint) as accounts_enriched_count,
    as_of_date,
    finished_at as refreshed_at
from counted
where is_run = 1
