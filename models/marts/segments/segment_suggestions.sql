{%- set significance = var('segment_significance_ratio') -%}

with

groups_tested as (

    select * from {{ ref('int_suggestion_groups') }}

),

conditions as (

    select * from {{ ref('int_suggestion_conditions') }}

),

segment_dates as (

    select * from {{ ref('int_segment_dates') }}
    where is_current

),

-- Of a second condition there were as many to choose from as of the first, for each of them.
groups_described as (

    select
        groups_tested.*,
        first_conditions.candidates_count,
        cast(case when groups_tested.second_position is null then 1 else 2 end as bigint) as conditions_count,
        least(
            1e0,
            groups_tested.chance_ratio * first_conditions.candidates_count
            * case when groups_tested.second_position is null then 1 else first_conditions.candidates_count end
        ) as corrected_chance_ratio,
        case
            when groups_tested.is_first_met then first_conditions.condition_met else first_conditions.condition_not_met
        end as first_condition,
        case when not groups_tested.is_first_met then first_conditions.condition_missing end as first_missing,
        case
            when groups_tested.is_second_met then second_conditions.condition_met
            else second_conditions.condition_not_met
        end as second_condition,
        case when not groups_tested.is_second_met then second_conditions.condition_missing end as second_missing
    from groups_tested
    inner join conditions as first_conditions
        on
            groups_tested.enrichment_id = first_conditions.enrichment_id
            and groups_tested.first_position = first_conditions.candidate_position
    left join conditions as second_conditions
        on
            groups_tested.enrichment_id = second_conditions.enrichment_id
            and groups_tested.second_position = second_conditions.candidate_position

),

groups_suggested as (

    select
        *,
        row_number() over (
            partition by enrichment_id
            order by
                corrected_chance_ratio asc nulls last,
                abs(measure_mean - others_measure_mean) desc nulls last,
                group_position asc nulls last
        ) as suggestion_rank
    from groups_described
    where
        accounts_count >= {{ var('suggestion_least_accounts') }}
        and corrected_chance_ratio < {{ significance }}

)

select
    groups_suggested.enrichment_id,
    cast(groups_suggested.suggestion_rank as bigint) as suggestion_rank,
    '{{ var("suggestion_measure") }}' as measure,
    {{ addresses_masked(conditions_joined(
        'groups_suggested.first_condition', 'groups_suggested.first_missing', 'groups_suggested.second_condition',
        'groups_suggested.second_missing'
    )) }} as rule_in_words,
    {{ condition_option(
        'groups_suggested.first_condition', 'groups_suggested.first_missing', 'groups_suggested.second_condition',
        'groups_suggested.second_missing'
    ) }} as rule_options,
    groups_suggested.conditions_count,
    groups_suggested.accounts_count,
    groups_suggested.others_count,
    groups_suggested.measure_mean,
    groups_suggested.others_measure_mean,
    groups_suggested.measure_mean - groups_suggested.others_measure_mean as measure_difference,
    groups_suggested.t_value,
    groups_suggested.corrected_chance_ratio,
    groups_suggested.candidates_count,
    segment_dates.judged_on as as_of_date
from groups_suggested
cross join segment_dates
