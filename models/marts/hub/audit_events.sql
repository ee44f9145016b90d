with

audit_events as (

    select * from {{ ref('stg_runs__audit_events') }}

)

select
    event_id,
    action,
    enrichment_id,
    {{ addresses_masked('detail') }} as detail,
    happened_at
from audit_events
