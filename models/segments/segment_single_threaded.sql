with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    interactions_count >= {{ var('single_thread_from') }}
    and coalesce(top_contact_share_ratio > {{ var('single_thread_ratio') }}, false) as is_member,
    'one contact takes part in ' || {{ percent_said('top_contact_share_ratio') }} || ' of '
    || {{ number_said('interactions_count') }} || ' e-mails and meetings' as reason
from attributes
