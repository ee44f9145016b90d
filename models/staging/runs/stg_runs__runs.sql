with

runs as (

    select * from {{ source('runs', 'runs') }}

)

select
    run_id,
    command,
    state as run_state,
    error as error_text,
    cast(started_at as timestamp) as started_at,
    cast(finished_at as timestamp) as finished_at,
    cast(published_at as timestamp) as published_at
from runs
