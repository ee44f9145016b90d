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
    -- A version before this column kept nobody's beginning: then it is before everything.
    coalesce(cast(listed_from_at as timestamp), timestamp '1900-01-01 00:00:00') as listed_from_at,
    cast(listed_to_at as timestamp) as listed_to_at
from accounts
