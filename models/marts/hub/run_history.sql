with

runs as (

    select * from {{ ref('stg_runs__runs') }}

)

select
    run_id,
    command,
    run_state,
    {{ addresses_masked('error_text') }} as error_text,
    cast({{ milliseconds_between('started_at', 'finished_at') }} as double) / 1000 as duration_seconds,
    started_at,
    finished_at,
    published_at
from runs
