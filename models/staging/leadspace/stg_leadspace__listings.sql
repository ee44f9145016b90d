with

listings as (

    select * from {{ source('leadspace', 'leadspace_listings') }}

)

select
    enrichment_id,
    run_id,
    cast(listed_at as timestamp) as listed_at
from listings
