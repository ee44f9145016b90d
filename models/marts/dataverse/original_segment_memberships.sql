with

members as (

    select * from {{ ref('segment_members') }}

),

segments_listed as (

    select
        account_id,
        account_id || '|account-engagement|Account' as identifier,
        {{ joined_texts('segment_id', ',') }} as segment_ids
    from members
    group by account_id

)

select
    account_id as {{ adapter.quote('CustomerId') }},
    'account-engagement' as {{ adapter.quote('SegmentProvider') }},
    'Account' as {{ adapter.quote('SegmentMembershipType') }},
    {{ json_list('segment_ids', ',') }} as {{ adapter.quote('Segments') }},
    identifier as {{ adapter.quote('Identifier') }},
    {{ guid_of('identifier') }} as {{ adapter.quote('SegmentMembershipId') }}
from segments_listed
