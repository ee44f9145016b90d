with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    {{ is_never_engaged('days_since_last_email', 'days_since_last_meeting') }} as is_member,
    'last e-mail ' || {{ ago('days_since_last_email') }} || ', last meeting ' || {{ ago('days_since_last_meeting') }}
        as reason
from attributes
