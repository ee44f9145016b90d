with

accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

own_attributes as (

    select
        attribute,
        case
            when data_type = 'string' then 'category'
            when data_type = 'boolean' then 'boolean'
            else 'number'
        end as kind
    from {{ ref('stg_customers__attributes') }}
    where data_type in ('string', 'boolean', 'bigint', 'double') or data_type like 'decimal%'

),

own_values as (

    select
        accounts.account_id,
        own_attributes.attribute,
        own_attributes.kind,
        {{ json_scalar(json_member('accounts.attributes_json', 'own_attributes.attribute')) }} as value_text
    from accounts
    cross join own_attributes

),

own_values_typed as (

    select
        account_id,
        attribute,
        kind,
        case when kind != 'number' then value_text end as value_text,
        case when kind = 'number' then {{ text_as_number('value_text') }} end as value_number
    from own_values

)

select
    account_id,
    attribute,
    kind,
    value_text,
    {{ comparable_number('value_number') }} as value_number
from own_values_typed
where value_text is not null or {{ comparable_number('value_number') }} is not null
