with

records as (

    select
        enrichment_id,
        account_id,
        read_at,
        {{ company_attributes_of_json('record_json') }}
    from {{ ref('stg_company_file__records') }}

),

values_stacked as (

    select
        enrichment_id,
        account_id,
        {{ stacked(var('company_attributes'), 'attribute', 'value_text') }},
        read_at as known_from_at
    from records

)

select
    enrichment_id,
    account_id,
    attribute,
    value_text,
    known_from_at
from values_stacked
where value_text is not null
