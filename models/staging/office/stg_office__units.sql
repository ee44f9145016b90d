with

units as (

    select * from {{ source('office', 'office_units') }}

)

select
    mailbox_id,
    kind,
    row_count as item_count,
    cast(slice_start as timestamp) as slice_start_at,
    cast(slice_end as timestamp) as slice_end_at,
    cast(read_to as timestamp) as read_to_at,
    cast(read_at as timestamp) as read_at,
    coalesce(landing_id, 0) as landing_id
from units
