with

segments_counted as (

    select * from {{ ref('int_members_counted') }}

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}
    where in_differentiators and kind != 'number'

),

-- Not to know a value is a value too.
values_counted as (

    select
        counted.enrichment_id,
        counted.attribute,
        counted.value_position,
        counted.value_text,
        counted.accounts_count,
        false as is_missing
    from {{ ref('int_attribute_values_counted') }} as counted
    inner join attributes on counted.attribute = attributes.attribute

    union all

    select distinct
        counted.enrichment_id,
        counted.attribute,
        cast(null as bigint) as value_position,
        cast(null as string) as value_text,
        counted.judged_count - counted.known_count as accounts_count,
        true as is_missing
    from {{ ref('int_attribute_values_counted') }} as counted
    inner join attributes on counted.attribute = attributes.attribute

),

member_values as (

    select
        segment_id,
        enrichment_id,
        attribute,
        value_position,
        members_count
    from {{ ref('int_member_values_counted') }}

),

members_known as (

    select
        segment_id,
        enrichment_id,
        attribute,
        sum(members_count) as known_count
    from member_values
    group by segment_id, enrichment_id, attribute

),

values_compared as (

    select
        segments_counted.segment_id,
        segments_counted.enrichment_id,
        values_counted.attribute,
        values_counted.value_text,
        values_counted.is_missing,
        values_counted.accounts_count,
        segments_counted.members_count,
        segments_counted.others_count,
        cast(case
            when values_counted.is_missing then segments_counted.members_count - coalesce(members_known.known_count, 0)
            else coalesce(member_values.members_count, 0)
        end as bigint) as members_with_count
    from segments_counted
    inner join values_counted on segments_counted.enrichment_id = values_counted.enrichment_id
    left join member_values
        on
            segments_counted.segment_id = member_values.segment_id
            and segments_counted.enrichment_id = member_values.enrichment_id
            and values_counted.attribute = member_values.attribute
            and values_counted.value_position = member_values.value_position
    left join members_known
        on
            segments_counted.segment_id = members_known.segment_id
            and segments_counted.enrichment_id = members_known.enrichment_id
            and values_counted.attribute = members_known.attribute

),

-- Whole numbers, so that the same distribution is a difference of 0, and none in common one of 1, to the last digit.
gaps_measured as (

    select
        *,
        accounts_count - members_with_count as others_with_count,
        members_with_count * others_count - (accounts_count - members_with_count) * members_count as gap_count
    from values_compared

),

gaps_ranked as (

    select
        *,
        row_number() over (
            partition by segment_id, enrichment_id, attribute
            order by
                abs(gap_count) desc nulls last,
                gap_count desc nulls last,
                is_missing asc nulls last,
                value_text asc nulls last
        ) as gap_place
    from gaps_measured

)

select
    segment_id,
    enrichment_id,
    attribute,
    cast(sum(abs(gap_count)) as double) / nullif(2 * cast(max(members_count) as double) * max(others_count), 0)
        as difference_ratio,
    -- What two samples of one distribution exceed by chance at most that often: what is expected (Jensen), and what
    -- it may be more (McDiarmid).
    sum(
        sqrt(
            cast(accounts_count as double) * (members_count + others_count - accounts_count)
            / nullif(cast(members_count + others_count as double) * (members_count + others_count), 0)
            * (1e0 / nullif(members_count, 0) + 1e0 / nullif(others_count, 0))
        )
    ) / 2
    + max(
        sqrt(
            ln(1 / {{ var('segment_significance_ratio') }}) / 2
            * (1e0 / nullif(members_count, 0) + 1e0 / nullif(others_count, 0))
        )
    ) as chance_ratio,
    max(case when gap_place = 1 then coalesce(value_text, 'unknown') end) as widest_at,
    max(case when gap_place = 1 then members_with_count end) as members_with_count,
    max(case when gap_place = 1 then others_with_count end) as others_with_count
from gaps_ranked
group by segment_id, enrichment_id, attribute
