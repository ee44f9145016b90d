with

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

members as (

    select
        states.segment_id,
        states.enrichment_id,
        states.account_id
    from {{ ref('int_segment_states') }} as states
    inner join segment_dates on states.judged_on = segment_dates.judged_on
    where states.is_member

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}
    where in_differentiators

),

values_counted as (

    select * from {{ ref('int_attribute_values_counted') }}

),

member_values as (

    select
        members.segment_id,
        members.enrichment_id,
        attribute_values.attribute,
        attribute_values.value_text,
        attribute_values.value_number,
        count(*) as members_count
    from members
    inner join {{ ref('int_attribute_values') }} as attribute_values
        on
            members.enrichment_id = attribute_values.enrichment_id
            and members.account_id = attribute_values.account_id
    inner join attributes on attribute_values.attribute = attributes.attribute
    group by
        members.segment_id,
        members.enrichment_id,
        attribute_values.attribute,
        attribute_values.value_text,
        attribute_values.value_number

)

select
    member_values.segment_id,
    member_values.enrichment_id,
    member_values.attribute,
    values_counted.value_position,
    values_counted.bucket_position,
    member_values.value_text,
    member_values.value_number,
    member_values.members_count,
    values_counted.accounts_count,
    values_counted.up_to_count
from member_values
inner join values_counted
    on
        member_values.enrichment_id = values_counted.enrichment_id
        and member_values.attribute = values_counted.attribute
        and coalesce(member_values.value_text, '') = coalesce(values_counted.value_text, '')
        and coalesce(member_values.value_number, 0) = coalesce(values_counted.value_number, 0)
