with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    coalesce(engagement_score < {{ var('low_engagement_below_score') }}, true) as is_member,
    coalesce('score ' || cast(engagement_score as string), 'no contact within the year') as reason
from attributes
