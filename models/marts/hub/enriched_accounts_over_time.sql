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

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

lookups as (

    select * from {{ ref('int_lookups_resolved') }}

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

-- The as-of date that a run had, unless it lies after the one that is built for.
office_runs as (

    select
        enrichment_runs.run_id,
        enrichment_runs.enrichment_id,
        enrichment_runs.finished_at,
        cast({{ local_day('enrichment_runs.read_to_at', 'reporting.time_zone') }} - interval 1 day as date)
            as as_of_date
    from enrichment_runs
    inner join enrichments
        on
            enrichment_runs.enrichment_id = enrichments.enrichment_id
            and enrichments.enrichment_type = 'office'
    cross join reporting

),

office_points as (

    select
        office_runs.run_id,
        office_runs.enrichment_id,
        office_runs.finished_at,
        office_runs.as_of_date,
        count(distinct account_days.account_id) as accounts_enriched_count
    from office_runs
    inner join as_of on office_runs.as_of_date <= as_of.as_of_date
    left join account_days
        on
            office_runs.enrichment_id = account_days.enrichment_id
            and office_runs.as_of_date >= account_days.happened_on
            and cast(office_runs.as_of_date - interval 364 day as date) <= account_days.happened_on
            and office_runs.as_of_date >= account_days.known_on
    group by
        office_runs.run_id,
        office_runs.enrichment_id,
        office_runs.finished_at,
        office_runs.as_of_date

),

leadspace_runs as (

    select
        enrichment_runs.run_id,
        enrichment_runs.enrichment_id,
        enrichment_runs.finished_at
    from enrichment_runs
    inner join enrichments
        on
            enrichment_runs.enrichment_id = enrichments.enrichment_id
            and enrichments.enrichment_type = 'leadspace'

),

-- The newest answer that a run could know decides; the customers are today's (D6.10).
answers_known as (

    select
        leadspace_runs.run_id,
        leadspace_runs.enrichment_id,
        leadspace_runs.finished_at,
        lookups.account_id,
        responses.is_enriched,
        row_number() over (
            partition by leadspace_runs.run_id, leadspace_runs.enrichment_id, lookups.account_id
            order by responses.received_at desc nulls last, responses.batch_id desc nulls last
        ) as place_from_newest
    from leadspace_runs
    left join lookups on leadspace_runs.enrichment_id = lookups.enrichment_id
    left join responses
        on
            lookups.enrichment_id = responses.enrichment_id
            and lookups.fingerprint = responses.fingerprint
            and leadspace_runs.finished_at >= responses.received_at
            and responses.outcome != 'failed'

),

leadspace_points as (

    select
        run_id,
        enrichment_id,
        finished_at,
        cast(null as date) as as_of_date,
        sum(case when is_enriched then 1 else 0 end) as accounts_enriched_count
    from answers_known
    where place_from_newest = 1
    group by run_id, enrichment_id, finished_at

),

points as (

    select * from office_points
    union all
    select * from leadspace_points

)

select
    enrichment_id,
    run_id,
    cast(accounts_enriched_count as bigint) as accounts_enriched_count,
    as_of_date,
    finished_at as refreshed_at
from points
