with

accounts_judged as (

    select * from {{ ref('int_account_attributes_dated') }}
    where is_current

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}

),

own_values as (

    select * from {{ ref('int_own_attribute_values') }}

),

categories_cast as (

    select
        enrichment_id,
        account_id,
        {{ segment_attributes_cast(['category', 'boolean'], 'string') }}
    from accounts_judged

),

categories_stacked as (

    select
        enrichment_id,
        account_id,
        {{ segment_attributes_stacked(['category', 'boolean'], 'value_text') }}
    from categories_cast

),

numbers_cast as (

    select
        enrichment_id,
        account_id,
        {{ segment_attributes_cast(['number'], 'double') }}
    from accounts_judged

),

numbers_stacked as (

    select
        enrichment_id,
        account_id,
        {{ segment_attributes_stacked(['number'], 'value_number') }}
    from numbers_cast

),

values_stacked as (

    select
        enrichment_id,
        account_id,
        attribute,
        false as is_own,
        nullif({{ trimmed('value_text') }}, '') as value_text,
        cast(null as double) as value_number
    from categories_stacked

    union all

    select
        enrichment_id,
        account_id,
        attribute,
        false as is_own,
        cast(null as string) as value_text,
        {{ comparable_number('value_number') }} as value_number
    from numbers_stacked

    union all

    select
        accounts_judged.enrichment_id,
        own_values.account_id,
        own_values.attribute,
        true as is_own,
        own_values.value_text,
        own_values.value_number
    from own_values
    inner join accounts_judged on own_values.account_id = accounts_judged.account_id

)

-- What is not known of an account needs no row.
select
    values_stacked.enrichment_id,
    values_stacked.account_id,
    values_stacked.attribute,
    values_stacked.value_text,
    values_stacked.value_number
from values_stacked
inner join attributes
    on values_stacked.attribute = attributes.attribute and values_stacked.is_own = attributes.is_own
where values_stacked.value_text is not null or values_stacked.value_number is not null
