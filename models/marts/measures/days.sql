with

as_of as (

    select * from {{ ref('as_of') }}

),

days as (

    select {{ exploded_days('as_of.year_starts_on', 'as_of.as_of_date') }} as day_on
    from as_of

)

select
    day_on,
    cast(date_trunc('week', day_on) as date) as week_starts_on,
    cast(date_trunc('month', day_on) as date) as month_starts_on
from days
