with

mailboxes as (

    select * from {{ source('office', 'office_mailboxes') }}

)

select
    enrichment_id,
    mailbox_id,
    entra_id,
    via_group as via_group_entra_id,
    state as mailbox_state,
    cast(monitored_from as timestamp) as monitored_from_at,
    cast(monitored_to as timestamp) as monitored_to_at
from mailboxes
