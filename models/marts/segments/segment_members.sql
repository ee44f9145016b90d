with

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

states as (

    select * from {{ ref('int_segment_states') }}

),

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

-- Who has not left is in it.
history as (

    select * from {{ ref('segment_history') }}
    where left_on is null

)

select
    states.segment_id,
    history.segment_name,
    states.enrichment_id,
    states.account_id,
    {{ addresses_masked('accounts.account_name') }} as account_name,
    history.entered_on,
    history.is_entry_seen,
    {{ addresses_masked('states.reason') }} as reason,
    states.judged_on as as_of_date
from states
inner join segment_dates on states.judged_on = segment_dates.judged_on
inner join accounts on states.account_id = accounts.account_id
inner join history
    on
        states.segment_id = history.segment_id
        and states.enrichment_id = history.enrichment_id
        and states.account_id = history.account_id
