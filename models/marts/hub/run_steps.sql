with

run_steps as (

    select * from {{ ref('stg_runs__run_steps') }}

)

select
    run_id,
    step_position,
    step,
    step_state,
    duration_seconds
from run_steps
