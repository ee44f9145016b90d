with

accounts as (

    select * from {{ source('leadspace', 'leadspace_accounts') }}

)

select
    enrichment_id,
    account_id,
    fingerprint,
    not_sent_reason
from accounts
