with

account_recency as (

    select * from {{ ref('account_recency') }}
    where is_stale

)

select
    enrichment_id,
    account_id,
    account_name,
    days_since_last_email,
    days_since_last_meeting,
    is_stale_strict,
    last_contact_on,
    as_of_date
from account_recency
