with

contact_answers as (

    select * from {{ source('leadspace', 'leadspace_contact_answers') }}

)

select
    enrichment_id,
    contact_id,
    account_id,
    batch_id,
    outcome,
    title,
    department,
    level,
    email_verification,
    employment_verification,
    cast(received_at as timestamp) as received_at
from contact_answers
