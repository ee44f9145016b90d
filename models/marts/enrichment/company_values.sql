with

company_values as (

    select * from {{ ref('int_company_values_ranked') }}

)

select
    account_id,
    attribute,
    source_name,
    enrichment_id,
    {{ addresses_masked('value_text') }} as value_text,
    place_in_attribute = 1 as is_chosen,
    {{ addresses_masked('why') }} as why,
    known_from_at
from company_values
