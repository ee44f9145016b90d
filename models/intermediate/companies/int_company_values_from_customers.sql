with

-- Three columns every customer file has; which others it has is said in enrichments.yml (customers.accounts.company).
accounts as (

    select
        account_id,
        {{ company_attributes_of_json(
            'company_json',
            {'company_name': 'account_name', 'company_website': 'website', 'company_country': 'country'},
        ) }}
    from {{ ref('stg_customers__accounts') }}

),

values_stacked as (

    select
        account_id,
        {{ stacked(var('company_attributes'), 'attribute', 'value_text') }}
    from accounts

)

select
    'customer-file' as enrichment_id,
    account_id,
    attribute,
    value_text,
    cast(null as timestamp) as known_from_at
from values_stacked
where value_text is not null
