with

audit_events as (

    select * from {{ source('runs', 'audit_events') }}

)

select
    event_id,
    action,
    enrichment_id,
    detail,
    cast(happened_at as timestamp) as happened_at
from audit_events
