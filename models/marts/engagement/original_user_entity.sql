with

mailboxes as (

    select * from {{ ref('stg_office__mailboxes') }}
    where entra_id is not null and monitored_to_at is null

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

)

select
    mailboxes.enrichment_id,
    mailboxes.entra_id as {{ adapter.quote('ActiveDirectoryId') }}
from mailboxes
inner join reporting on reporting.has_user_table
