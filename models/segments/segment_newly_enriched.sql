with

attributes as (

    select * from {{ ref('int_account_attributes_dated') }}

)

select
    enrichment_id,
    account_id,
    judged_on,
    coalesce(days_since_enriched <= {{ var('newly_enriched_days') }}, false) as is_member,
    'company data first known ' || {{ ago('days_since_enriched') }} as reason
from attributes
