with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    coalesce(value_place_ratio >= {{ var('high_value_from_ratio') }}, false) as is_member,
    'value ' || {{ number_said('value_amount') }} || ', above that of ' || {{ percent_said('value_place_ratio') }}
    || ' of the accounts'
        as reason
from attributes
