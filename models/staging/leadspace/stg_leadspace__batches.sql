with

batches as (

    select * from {{ source('leadspace', 'leadspace_batches') }}

)

select
    enrichment_id,
    batch_id,
    run_id,
    endpoint,
    coalesce(record_type, 'company') as record_type,
    state as batch_state,
    cast(sent_at as timestamp) as sent_at,
    cast(settled_at as timestamp) as settled_at
from batches
