with

as_of as (

    select
        as_of_date,
        year_starts_on,
        least(kept_from_on, year_starts_on) as first_on
    from {{ ref('as_of') }}

),

-- Months and ISO weeks have rows under their first day, also where what is kept begins within them.
days as (

    select
        as_of.year_starts_on,
        {{ exploded_days(
            "least(cast(date_trunc('month', as_of.first_on) as date), cast(date_trunc('week', as_of.first_on) as date))",
            'as_of.as_of_date',
        ) }} as day_on
    from as_of

)

select
    day_on,
    cast(date_trunc('week', day_on) as date) as week_starts_on,
    cast(date_trunc('month', day_on) as date) as month_starts_on,
    day_on >= year_starts_on as is_in_year
from days
