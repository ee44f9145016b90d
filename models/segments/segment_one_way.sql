with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    interactions_count >= {{ var('one_way_from') }} and (inbound_count = 0 or outbound_count = 0) as is_member,
    {{ number_said('outbound_count') }} || ' e-mails and meetings initiated by us, '
    || {{ number_said('inbound_count') }} || ' by the account' as reason
from attributes
