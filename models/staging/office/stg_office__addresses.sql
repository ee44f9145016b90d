with

addresses as (

    select * from {{ source('office', 'office_addresses') }}

)

select
    address_key,
    domain,
    local_part_class
from addresses
