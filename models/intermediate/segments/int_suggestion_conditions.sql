with

measures as (

    select attribute_family from {{ ref('int_attributes_compared') }}
    where attribute = '{{ var("suggestion_measure") }}'

),

-- What is made of the measure, or what the measure is made of, explains nothing.
conditions as (

    select
        conditions_counted.*,
        least(conditions_counted.accounts_count, conditions_counted.judged_count - conditions_counted.accounts_count)
            as smaller_side_count
    from {{ ref('int_conditions_counted') }} as conditions_counted
    inner join measures on conditions_counted.attribute_family != measures.attribute_family
    where conditions_counted.in_suggestions

),

-- At most 100, those first that divide the accounts most evenly.
conditions_ranked as (

    select
        *,
        row_number() over (
            partition by enrichment_id
            order by
                smaller_side_count desc nulls last,
                attribute asc nulls last,
                value_text asc nulls last,
                value_number asc nulls last
        ) as candidate_rank
    from conditions
    where smaller_side_count >= {{ var('suggestion_least_accounts') }}

)

-- In the order in which ties are broken.
select
    enrichment_id,
    row_number() over (
        partition by enrichment_id
        order by
            attribute nulls last,
            value_text nulls last,
            value_number nulls last
    ) as candidate_position,
    count(*) over (partition by enrichment_id) as candidates_count,
    attribute,
    value_text,
    value_number,
    condition_met,
    condition_not_met,
    case when has_missing then attribute || ' is null' end as condition_missing
from conditions_ranked
where candidate_rank <= 100
