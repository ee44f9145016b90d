with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    rhythm_state = 'going_silent' as is_member,
    'last wrote or met ' || {{ ago('silence_days') }} || ', usual gap ' || {{ days_said('usual_gap_days') }}
    || ': ' || replace(rhythm_state, '_', ' ') as reason
from attributes
