with

accounts as (

    select * from {{ source('customers', 'accounts') }}

)

select
    account_id,
    name as account_name,
    website,
    website_domain,
    country,
    parent_account_id,
    attributes as attributes_json,
    company as company_json
from accounts
