with

replaced as (

    select * from {{ source('office', 'office_replaced') }}

)

select
    kind,
    key as replaced_key,
    coalesce(cast(start_at as timestamp), timestamp '1900-01-01 00:00:00') as occurrence_at,
    max(landing_id) as landing_id
from replaced
group by kind, key, coalesce(cast(start_at as timestamp), timestamp '1900-01-01 00:00:00')
