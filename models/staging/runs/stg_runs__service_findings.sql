with

service_findings as (

    select * from {{ source('runs', 'service_findings') }}

)

select
    run_id,
    service,
    kind,
    property,
    items_count,
    cast(found_at as timestamp) as found_at
from service_findings
