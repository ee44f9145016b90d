with

company_values as (

    select * from {{ ref('int_company_values_dated') }}

)

select
    enrichment_id,
    account_id,
    attribute,
    {{ addresses_masked('value_before_text') }} as value_before,
    {{ addresses_masked('value_text') }} as value_after,
    case
        when value_before_text is null then 'learned'
        when value_text is null then 'lost'
        else 'changed'
    end as change_kind,
    known_from_at as changed_at
from company_values
where coalesce(value_text, '') != coalesce(value_before_text, '')
