with

contacts as (

    select * from {{ source('customers', 'contacts') }}

)

select
    contact_id,
    account_id,
    domain,
    address_key
from contacts
