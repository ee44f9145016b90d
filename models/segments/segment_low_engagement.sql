with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    coalesce(engagement_score < {{ var('low_engagement_below_score') }}, true) as is_member,
    case
        when engagement_score is null then 'no contact within the year'
        else 'score ' || {{ number_said('engagement_score') }}
    end as reason
from attributes
