with

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

)

select
    mailboxes.enrichment_id,
    mailboxes.mailbox_id,
    mailboxes.mailbox_state,
    -- Someone who left the list is monitored up to that instant (D6.10).
    coalesce(mailboxes.monitored_to_at, cast('9999-12-31' as timestamp)) as monitored_to_at
from mailboxes
inner join enrichments on mailboxes.enrichment_id = enrichments.enrichment_id
where enrichments.enrichment_type = 'office'
