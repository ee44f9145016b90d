with

attributes as (

    select * from {{ ref('int_attributes_compared') }}

),

values_counted as (

    select
        counted.enrichment_id,
        counted.attribute,
        attributes.attribute_label,
        attributes.kind,
        attributes.attribute_family,
        attributes.in_quick_segments,
        attributes.in_suggestions,
        counted.value_text,
        counted.value_number,
        counted.percentile,
        counted.judged_count,
        counted.known_count < counted.judged_count as has_missing,
        row_number() over (
            partition by counted.enrichment_id, counted.attribute
            order by counted.value_position nulls last
        ) as condition_position,
        case
            when counted.value_number is null then counted.accounts_count
            else counted.known_count - counted.up_to_count + counted.accounts_count
        end as accounts_count
    from {{ ref('int_attribute_values_counted') }} as counted
    inner join attributes on counted.attribute = attributes.attribute
    where
        (counted.value_number is null and counted.value_position <= 10)
        or counted.percentile is not null

)

-- What every account fulfils chooses nobody.
select
    *,
    {{ condition_met('attribute', 'value_text', 'value_number') }} as condition_met,
    {{ condition_not_met('attribute', 'value_text', 'value_number') }} as condition_not_met
from values_counted
where accounts_count < judged_count
