with

accounts as (

    select * from {{ source('leadspace', 'leadspace_accounts') }}

)

select
    enrichment_id,
    account_id,
    fingerprint,
    not_sent_reason,
    company_name as sent_name,
    website as sent_website,
    country as sent_country,
    listed_to_at is null as is_in_dataset,
    cast(listed_from_at as timestamp) as listed_from_at,
    cast(listed_to_at as timestamp) as listed_to_at
from accounts
