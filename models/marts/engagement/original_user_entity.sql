with

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where entra_id is not null and monitored_to_at is null

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

)

select
    mailboxes.enrichment_id,
    mailboxes.entra_id as {{ adapter.quote('ActiveDirectoryId') }}
from mailboxes
-- What is configured or consented to no more publishes nobody.
inner join enrichments on mailboxes.enrichment_id = enrichments.enrichment_id
inner join reporting on reporting.has_user_table
