with

accounts_split as (

    select * from {{ ref('int_accounts_split') }}

),

-- The two sides of the first condition, and of the second within each.
groups_found as (

    select distinct
        enrichment_id,
        first_position,
        is_first_met,
        cast(null as bigint) as second_position,
        cast(null as boolean) as is_second_met
    from accounts_split

    union all

    select distinct
        enrichment_id,
        first_position,
        is_first_met,
        second_position,
        is_second_met
    from accounts_split
    where second_position is not null

),

accounts_in_or_out as (

    select
        groups_found.enrichment_id,
        groups_found.first_position,
        groups_found.is_first_met,
        groups_found.second_position,
        groups_found.is_second_met,
        accounts_split.measure_value,
        groups_found.is_first_met = accounts_split.is_first_met
        and (groups_found.is_second_met is null or groups_found.is_second_met = accounts_split.is_second_met) as is_in
    from groups_found
    inner join accounts_split on groups_found.enrichment_id = accounts_split.enrichment_id

),

groups_measured as (

    select
        enrichment_id,
        first_position,
        is_first_met,
        second_position,
        is_second_met,
        sum(case when is_in then 1 else 0 end) as accounts_count,
        sum(case when is_in then 0 else 1 end) as others_count,
        avg(case when is_in then measure_value end) as measure_mean,
        avg(case when not is_in then measure_value end) as others_measure_mean,
        var_samp(case when is_in then measure_value end) as measure_variance,
        var_samp(case when not is_in then measure_value end) as others_measure_variance
    from accounts_in_or_out
    group by enrichment_id, first_position, is_first_met, second_position, is_second_met

),

groups_spread as (

    select
        *,
        measure_variance / nullif(accounts_count, 0) as mean_variance,
        others_measure_variance / nullif(others_count, 0) as others_mean_variance
    from groups_measured

),

-- Welch: the two variances need not be the same.
groups_tested as (

    select
        *,
        (measure_mean - others_measure_mean) / nullif(sqrt(mean_variance + others_mean_variance), 0) as t_value,
        power(mean_variance + others_mean_variance, 2)
        / nullif(
            power(mean_variance, 2) / nullif(accounts_count - 1, 0)
            + power(others_mean_variance, 2) / nullif(others_count - 1, 0),
            0
        ) as degrees_of_freedom
    from groups_spread

),

groups_squared as (

    select
        *,
        (degrees_of_freedom - 0.5) * ln(1 + t_value * t_value / nullif(degrees_of_freedom, 0)) as normal_square
    from groups_tested

),

groups_as_normal as (

    select
        *,
        {{ t_as_normal('normal_square', 'degrees_of_freedom') }} as normal_deviate
    from groups_squared

)

select
    enrichment_id,
    row_number() over (
        partition by enrichment_id
        order by
            is_first_met desc nulls last,
            is_second_met desc nulls first
    ) as group_position,
    first_position,
    is_first_met,
    second_position,
    is_second_met,
    cast(accounts_count as bigint) as accounts_count,
    cast(others_count as bigint) as others_count,
    measure_mean,
    others_measure_mean,
    t_value,
    -- Without any spread on either side two different means are no chance.
    case
        when t_value is null then case when measure_mean = others_measure_mean then 1e0 else 0e0 end
        else {{ normal_chance('normal_deviate') }}
    end as chance_ratio
from groups_as_normal
