with

units as (

    select coalesce(max(landing_id), 0) as landing_id from {{ ref('stg_office__units') }}

),

refreshes as (

    select * from {{ ref('stg_runs__refreshes') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

-- Exactly one row each, also before anything has been read or refreshed.
previous_refresh as (

    select
        coalesce(max(landing_id), 0) as landing_id,
        coalesce(max(as_of_date), date '1900-01-01') as as_of_date,
        coalesce(max(ends_before_at), timestamp '1900-01-01 00:00:00') as ends_before_at
    from refreshes

),

current_as_of as (

    select
        max(as_of_date) as as_of_date,
        max(ends_before_at) as ends_before_at,
        coalesce(max(ends_before_at), timestamp '1900-01-01 00:00:00') as known_before_at
    from as_of

)

select
    units.landing_id,
    current_as_of.as_of_date,
    current_as_of.ends_before_at,
    previous_refresh.landing_id as previous_landing_id,
    previous_refresh.as_of_date as previous_as_of_date,
    -- What lies between the two ends has come to be known, or is known no more: the as-of date may go back.
    least(previous_refresh.ends_before_at, current_as_of.known_before_at) as changed_from_at,
    greatest(previous_refresh.ends_before_at, current_as_of.known_before_at) as changed_before_at
from units
cross join previous_refresh
cross join current_as_of
