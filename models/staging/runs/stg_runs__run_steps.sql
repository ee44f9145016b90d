with

run_steps as (

    select * from {{ source('runs', 'run_steps') }}

)

select
    run_id,
    step,
    state as step_state,
    position as step_position,
    seconds as duration_seconds
from run_steps
