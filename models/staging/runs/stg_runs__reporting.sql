with

settings as (

    select * from {{ source('runs', 'settings') }}
    where enrichment_id = ''

)

-- One row also when nothing has been set yet: an aggregate over no rows is one row.
select
    coalesce(max(case when key = 'reporting.time_zone' then value end), 'UTC') as time_zone,
    coalesce(max(case when key = 'reporting.small_numbers' then value end), 'show') as small_numbers,
    coalesce(max(case when key = 'reporting.small_numbers' then value end), 'show') = 'band' as is_banded,
    cast(coalesce(max(case when key = 'reporting.k' then value end), '5') as bigint) as smallest_group,
    coalesce(max(case when key = 'reporting.user_table' then value end), 'true') = 'true' as has_user_table
from settings
