with

requests as (

    select * from {{ source('leadspace', 'leadspace_requests') }}

)

select
    enrichment_id,
    batch_id,
    fingerprint
from requests
