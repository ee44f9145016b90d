with

attributes as (

    select * from {{ ref('int_attributes_compared') }}

)

select
    attribute,
    attribute_label,
    kind as attribute_kind,
    attribute_family,
    is_own,
    in_differentiators,
    in_quick_segments,
    in_suggestions,
    attribute = '{{ var("suggestion_measure") }}' as is_suggestion_measure,
    published_in,
    published_as
from attributes
