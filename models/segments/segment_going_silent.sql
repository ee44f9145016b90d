with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    rhythm_state = 'going_silent' as is_member,
    'last wrote or met ' || {{ ago('silence_days') }} || ', usually every ' || {{ number_said('usual_gap_days') }}
    || ' days: ' || replace(rhythm_state, '_', ' ') as reason
from attributes
