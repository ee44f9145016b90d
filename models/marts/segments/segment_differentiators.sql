with

segments_counted as (

    select * from {{ ref('int_members_counted') }}

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}

),

differences as (

    select * from {{ ref('int_category_differences') }}

    union all

    select * from {{ ref('int_number_differences') }}

),

differences_judged as (

    select
        *,
        not coalesce(difference_ratio > chance_ratio, false) as is_uncertain
    from differences

)

select
    differences_judged.segment_id,
    segments_counted.segment_name,
    differences_judged.enrichment_id,
    differences_judged.attribute,
    attributes.kind as attribute_kind,
    cast(
        row_number() over (
            partition by differences_judged.segment_id, differences_judged.enrichment_id
            order by
                differences_judged.is_uncertain asc nulls last,
                differences_judged.difference_ratio desc nulls last,
                differences_judged.attribute asc nulls last
        ) as bigint
    ) as difference_rank,
    differences_judged.difference_ratio,
    differences_judged.chance_ratio,
    differences_judged.is_uncertain,
    case
        when segments_counted.members_count = 0 then attributes.attribute_label || ': nobody is in the segment'
        when segments_counted.others_count = 0 then attributes.attribute_label || ': every account is in the segment'
        when differences_judged.difference_ratio = 0 then attributes.attribute_label || ': no difference'
        else
            attributes.attribute_label || ': ' || {{ addresses_masked('differences_judged.widest_at') }} || ' '
            || {{ percent_said(
                'differences_judged.members_with_count / cast(segments_counted.members_count as double)'
            ) }}
            || ' of the members, '
            || {{ percent_said(
                'differences_judged.others_with_count / cast(segments_counted.others_count as double)'
            ) }}
            || ' of the others'
    end as difference_in_words,
    segments_counted.members_count,
    segments_counted.others_count,
    segments_counted.judged_on as as_of_date
from differences_judged
inner join segments_counted
    on
        differences_judged.segment_id = segments_counted.segment_id
        and differences_judged.enrichment_id = segments_counted.enrichment_id
inner join attributes on differences_judged.attribute = attributes.attribute
