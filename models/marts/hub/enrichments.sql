with

enrichments as (

    select * from {{ ref('stg_runs__enrichments_configured') }}

),

enrichment_runs as (

    select * from {{ ref('stg_runs__enrichment_runs') }}

),

enrichment_runs_ranked as (

    select
        enrichment_id,
        enrichment_run_state,
        detail,
        selected_count,
        processed_count,
        row_number() over (
            partition by enrichment_id
            order by started_at desc nulls last, run_id desc nulls last
        ) as place_from_newest
    from enrichment_runs

),

newest_enrichment_runs as (

    select * from enrichment_runs_ranked
    where place_from_newest = 1

),

last_updates as (

    select
        enrichment_id,
        max(started_at) as last_update_began_at,
        max(finished_at) as last_updated_at
    from enrichment_runs
    where enrichment_run_state in ('successful', 'completed_with_warnings')
    group by enrichment_id

),

office_counts as (

    select
        enrichment_id,
        accounts_count,
        accounts_enriched_count
    from {{ ref('office_overview') }}

),

leadspace_counts as (

    select
        enrichment_id,
        accounts_count,
        accounts_enriched_count
    from {{ ref('leadspace_overview') }}

),

customers_counted as (

    select count(*) as accounts_count from {{ ref('stg_customers__accounts') }}

),

-- Of all customers, those that the file knows.
file_counts as (

    select
        enrichment_id,
        count(*) as accounts_enriched_count
    from {{ ref('company_file_companies') }}
    group by enrichment_id

),

enrichments_counted as (

    select
        enrichments.enrichment_id,
        enrichments.enrichment_type,
        enrichments.enrichment_name,
        enrichments.output_table,
        enrichments.refresh_frequency,
        enrichments.refresh_hours,
        enrichments.is_active,
        enrichments.consent_state,
        enrichments.is_waiting_for_consent,
        enrichments.has_outputs,
        coalesce(
            office_counts.accounts_count,
            leadspace_counts.accounts_count,
            case when enrichments.enrichment_type = 'company_file' then customers_counted.accounts_count end,
            0
        ) as accounts_count,
        coalesce(
            office_counts.accounts_enriched_count,
            leadspace_counts.accounts_enriched_count,
            file_counts.accounts_enriched_count,
            0
        ) as accounts_enriched_count
    from enrichments
    cross join customers_counted
    left join office_counts on enrichments.enrichment_id = office_counts.enrichment_id
    left join leadspace_counts on enrichments.enrichment_id = leadspace_counts.enrichment_id
    left join file_counts on enrichments.enrichment_id = file_counts.enrichment_id

)

select
    enrichments.enrichment_id,
    enrichments.enrichment_type,
    {{ addresses_masked('enrichments.enrichment_name') }} as enrichment_name,
    enrichments.output_table,
    case when enrichments.is_active then 'active' else 'inactive' end as enrichment_state,
    case
        when enrichments.consent_state = 'withdrawn' then 'withdrawn'
        when enrichments.is_active and enrichments.is_waiting_for_consent then enrichments.consent_state
        else coalesce(newest_enrichment_runs.enrichment_run_state, 'never_run')
    end as enrichment_status,
    case when enrichments.has_outputs then {{ addresses_masked('newest_enrichment_runs.detail') }} end as status_detail,
    enrichments.refresh_frequency,
    enrichments.accounts_enriched_count,
    enrichments.accounts_count,
    cast(enrichments.accounts_enriched_count as double) / nullif(enrichments.accounts_count, 0)
        as accounts_enriched_ratio,
    case when enrichments.has_outputs then newest_enrichment_runs.selected_count end as selected_count,
    case when enrichments.has_outputs then newest_enrichment_runs.processed_count end as processed_count,
    case when enrichments.has_outputs then last_updates.last_updated_at end as last_updated_at,
    case
        when enrichments.is_active and not enrichments.is_waiting_for_consent
            then {{ hours_after('last_updates.last_update_began_at', 'enrichments.refresh_hours') }}
    end as next_due_at
from enrichments_counted as enrichments
left join newest_enrichment_runs on enrichments.enrichment_id = newest_enrichment_runs.enrichment_id
left join last_updates on enrichments.enrichment_id = last_updates.enrichment_id
