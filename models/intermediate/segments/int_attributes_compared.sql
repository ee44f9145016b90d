{%- set value_attribute = var('value_attribute') or '' -%}

with

seed_attributes as (

    select * from {{ ref('segment_attributes') }}

),

known_attributes as (
    {{ known_segment_attribute_rows() }}
),

own_attributes as (

    select
        attribute,
        kind
    from {{ ref('int_own_attribute_values') }}
    group by attribute, kind
    having kind != 'category' or count(distinct value_text) <= {{ var('own_category_values') }}

)

select
    seed_attributes.attribute,
    seed_attributes.attribute_label,
    seed_attributes.kind,
    seed_attributes.attribute_family,
    false as is_own,
    seed_attributes.in_differentiators,
    seed_attributes.in_quick_segments,
    seed_attributes.in_suggestions,
    known_attributes.published_in,
    known_attributes.published_as
from seed_attributes
inner join known_attributes on seed_attributes.attribute = known_attributes.attribute

union all

-- The customer's own columns; one that is called like a column of the project is not told apart from it, and left out.
select
    own_attributes.attribute,
    replace(own_attributes.attribute, '_', ' ') as attribute_label,
    own_attributes.kind,
    case
        when own_attributes.attribute = '{{ value_attribute }}' then 'value'
        else 'own ' || own_attributes.attribute
    end as attribute_family,
    true as is_own,
    true as in_differentiators,
    true as in_quick_segments,
    true as in_suggestions,
    'enriched_customers' as published_in,
    own_attributes.attribute as published_as
from own_attributes
left join known_attributes on own_attributes.attribute = known_attributes.attribute
where known_attributes.attribute is null
