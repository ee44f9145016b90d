with

accounts_judged as (

    select
        enrichment_id,
        count(*) as judged_count
    from {{ ref('int_account_attributes_dated') }}
    where is_current
    group by enrichment_id

),

values_counted as (

    select
        enrichment_id,
        attribute,
        value_text,
        value_number,
        count(*) as accounts_count
    from {{ ref('int_attribute_values') }}
    group by enrichment_id, attribute, value_text, value_number

),

-- Numbers from the smallest, categories from the most frequent.
values_placed as (

    select
        *,
        row_number() over (
            partition by enrichment_id, attribute
            order by
                value_number asc nulls last,
                accounts_count desc nulls last,
                value_text asc nulls last
        ) as value_position,
        cast(sum(accounts_count) over (
            partition by enrichment_id, attribute
            order by
                value_number asc nulls last,
                accounts_count desc nulls last,
                value_text asc nulls last
            rows between unbounded preceding and current row
        ) as bigint) as up_to_count,
        cast(sum(accounts_count) over (partition by enrichment_id, attribute) as bigint) as known_count
    from values_counted

),

-- A percentile is the smallest value that so many percent of the known ones do not exceed.
percentiles_marked as (

    select
        *,
        {{ percentile_reached('value_number', 'up_to_count', 'accounts_count', 'known_count') }} as percentile
    from values_placed

)

select
    percentiles_marked.enrichment_id,
    percentiles_marked.attribute,
    percentiles_marked.value_text,
    percentiles_marked.value_number,
    percentiles_marked.value_position,
    percentiles_marked.accounts_count,
    percentiles_marked.up_to_count,
    percentiles_marked.known_count,
    accounts_judged.judged_count,
    percentiles_marked.percentile,
    -- 1 is for accounts without a value.
    case
        when percentiles_marked.value_number is null
            then 1 + least(percentiles_marked.value_position, {{ var('distribution_values') }} + 1)
        else
            2 + count(percentiles_marked.percentile) over (
                partition by percentiles_marked.enrichment_id, percentiles_marked.attribute
                order by percentiles_marked.value_number nulls last
                rows between unbounded preceding and current row
            )
    end as bucket_position
from percentiles_marked
inner join accounts_judged on percentiles_marked.enrichment_id = accounts_judged.enrichment_id
