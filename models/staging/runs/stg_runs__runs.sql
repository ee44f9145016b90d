with

runs as (

    select * from {{ source('runs', 'runs') }}

)

select
    run_id,
    command,
    state,
    mailboxes_selected as mailboxes_selected_count,
    mailboxes_read as mailboxes_read_count,
    cast(started_at as timestamp) as started_at,
    cast(finished_at as timestamp) as finished_at
from runs
