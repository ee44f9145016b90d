with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    coalesce(own_score_change_points >= {{ var('rising_from_points') }}, false) as is_member,
    'score moved by ' || {{ number_said('own_score_change_points') }} || ' points within four weeks by its own doing'
        as reason
from attributes
