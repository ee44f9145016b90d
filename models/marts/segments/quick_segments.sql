with

conditions_counted as (

    select * from {{ ref('int_conditions_counted') }}
    where in_quick_segments

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

)

select
    conditions_counted.enrichment_id,
    conditions_counted.attribute,
    cast(conditions_counted.condition_position as bigint) as condition_position,
    conditions_counted.attribute_label
    || coalesce(
        ': ' || {{ addresses_masked('conditions_counted.value_text') }},
        ': at least ' || {{ number_exactly_said('conditions_counted.value_number') }}
    ) as condition_in_words,
    conditions_counted.percentile,
    conditions_counted.accounts_count,
    cast(conditions_counted.accounts_count as double) / nullif(conditions_counted.judged_count, 0) as accounts_ratio,
    {{ condition_option("conditions_counted.condition_met") }} as rule_options,
    segment_dates.judged_on as as_of_date
from conditions_counted
cross join segment_dates
