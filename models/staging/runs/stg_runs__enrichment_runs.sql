with

enrichment_runs as (

    select * from {{ source('runs', 'enrichment_runs') }}

)

select
    run_id,
    enrichment_id,
    state as enrichment_run_state,
    detail,
    selected as selected_count,
    processed as processed_count,
    requested as requested_count,
    cast(started_at as timestamp) as started_at,
    cast(finished_at as timestamp) as finished_at,
    cast(read_to_at as timestamp) as read_to_at
from enrichment_runs
