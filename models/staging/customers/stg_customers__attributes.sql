with

attributes as (

    select * from {{ source('customers', 'account_attributes') }}

)

select
    attribute,
    data_type,
    position as attribute_position
from attributes
