with

refreshed_mailboxes as (

    select * from {{ source('runs', 'refreshed_mailboxes') }}

)

select
    enrichment_id,
    mailbox_id,
    cast(monitored_to_at as timestamp) as monitored_to_at
from refreshed_mailboxes
