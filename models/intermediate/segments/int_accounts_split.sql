with

conditions as (

    select * from {{ ref('int_suggestion_conditions') }}

),

attribute_values as (

    select * from {{ ref('int_attribute_values') }}

),

measured as (

    select
        enrichment_id,
        account_id,
        value_number as measure_value,
        cast(value_number as decimal(28, 6)) as measure_exact
    from attribute_values
    where
        attribute = '{{ var("suggestion_measure") }}'
        and value_number between -1e21 and 1e21

),

accounts_matched as (

    select
        conditions.enrichment_id,
        conditions.candidate_position,
        measured.account_id,
        measured.measure_exact
    from conditions
    inner join attribute_values
        on
            conditions.enrichment_id = attribute_values.enrichment_id
            and conditions.attribute = attribute_values.attribute
    inner join measured
        on
            attribute_values.enrichment_id = measured.enrichment_id
            and attribute_values.account_id = measured.account_id
    where
        attribute_values.value_text = conditions.value_text
        or attribute_values.value_number >= conditions.value_number

),

totals as (

    select
        enrichment_id,
        count(*) as all_count,
        sum(measure_exact) as all_sum
    from measured
    group by enrichment_id

),

conditions_summed as (

    select
        enrichment_id,
        candidate_position,
        count(*) as met_count,
        sum(measure_exact) as met_sum
    from accounts_matched
    group by enrichment_id, candidate_position

),

first_gains as (

    select
        conditions_summed.enrichment_id,
        conditions_summed.candidate_position,
        {{ variance_between(
            'conditions_summed.met_count', 'conditions_summed.met_sum', 'totals.all_count', 'totals.all_sum'
        ) }} as gain
    from conditions_summed
    inner join totals on conditions_summed.enrichment_id = totals.enrichment_id

),

first_splits as (

    select
        enrichment_id,
        candidate_position,
        row_number() over (
            partition by enrichment_id
            order by
                gain desc nulls last,
                candidate_position asc nulls last
        ) as split_place
    from first_gains
    where gain > 0

),

accounts_in_sides as (

    select
        measured.enrichment_id,
        measured.account_id,
        measured.measure_value,
        measured.measure_exact,
        first_splits.candidate_position as first_position,
        accounts_matched.account_id is not null as is_first_met
    from measured
    inner join first_splits on measured.enrichment_id = first_splits.enrichment_id and first_splits.split_place = 1
    left join accounts_matched
        on
            measured.enrichment_id = accounts_matched.enrichment_id
            and measured.account_id = accounts_matched.account_id
            and first_splits.candidate_position = accounts_matched.candidate_position

),

side_totals as (

    select
        enrichment_id,
        is_first_met,
        count(*) as all_count,
        sum(measure_exact) as all_sum
    from accounts_in_sides
    group by enrichment_id, is_first_met

),

side_conditions_summed as (

    select
        accounts_in_sides.enrichment_id,
        accounts_in_sides.is_first_met,
        accounts_matched.candidate_position,
        count(*) as met_count,
        sum(accounts_matched.measure_exact) as met_sum
    from accounts_in_sides
    inner join accounts_matched
        on
            accounts_in_sides.enrichment_id = accounts_matched.enrichment_id
            and accounts_in_sides.account_id = accounts_matched.account_id
    group by accounts_in_sides.enrichment_id, accounts_in_sides.is_first_met, accounts_matched.candidate_position

),

second_gains as (

    select
        summed.enrichment_id,
        summed.is_first_met,
        summed.candidate_position,
        {{ variance_between(
            'summed.met_count', 'summed.met_sum', 'side_totals.all_count', 'side_totals.all_sum'
        ) }} as gain
    from side_conditions_summed as summed
    inner join side_totals
        on summed.enrichment_id = side_totals.enrichment_id and summed.is_first_met = side_totals.is_first_met

),

second_splits as (

    select
        enrichment_id,
        is_first_met,
        candidate_position,
        row_number() over (
            partition by enrichment_id, is_first_met
            order by
                gain desc nulls last,
                candidate_position asc nulls last
        ) as split_place
    from second_gains
    where gain > 0

)

select
    accounts_in_sides.enrichment_id,
    accounts_in_sides.account_id,
    accounts_in_sides.measure_value,
    accounts_in_sides.first_position,
    accounts_in_sides.is_first_met,
    second_splits.candidate_position as second_position,
    case
        when second_splits.candidate_position is not null then accounts_matched.account_id is not null
    end as is_second_met
from accounts_in_sides
left join second_splits
    on
        accounts_in_sides.enrichment_id = second_splits.enrichment_id
        and accounts_in_sides.is_first_met = second_splits.is_first_met
        and second_splits.split_place = 1
left join accounts_matched
    on
        accounts_in_sides.enrichment_id = accounts_matched.enrichment_id
        and accounts_in_sides.account_id = accounts_matched.account_id
        and second_splits.candidate_position = accounts_matched.candidate_position
