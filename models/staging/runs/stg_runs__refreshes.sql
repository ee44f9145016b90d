with

refreshes as (

    select * from {{ source('runs', 'refreshes') }}

)

select
    is_in_part,
    landing_id,
    as_of_date,
    cast(ends_before_at as timestamp) as ends_before_at
from refreshes
