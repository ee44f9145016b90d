with

segments_counted as (

    select * from {{ ref('int_members_counted') }}

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}
    where in_differentiators and kind = 'number'

),

values_counted as (

    select counted.*
    from {{ ref('int_attribute_values_counted') }} as counted
    inner join attributes on counted.attribute = attributes.attribute

),

values_known as (

    select distinct
        enrichment_id,
        attribute,
        known_count,
        judged_count
    from values_counted

),

-- Between two values of members the share of the members stands still, so that the largest difference is at one of
-- them, or just before one.
member_values as (

    select
        *,
        sum(members_count) over (
            partition by segment_id, enrichment_id, attribute
            order by value_number nulls last
            rows between unbounded preceding and current row
        ) as members_up_to_count
    from {{ ref('int_member_values_counted') }}
    where value_number is not null

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

segments_known as (

    select
        segments_counted.segment_id,
        segments_counted.enrichment_id,
        segments_counted.members_count,
        segments_counted.others_count,
        values_known.attribute,
        values_known.known_count,
        values_known.judged_count,
        cast(coalesce(members_known.known_count, 0) as bigint) as members_known_count
    from segments_counted
    inner join values_known on segments_counted.enrichment_id = values_known.enrichment_id
    left join members_known
        on
            segments_counted.segment_id = members_known.segment_id
            and segments_counted.enrichment_id = members_known.enrichment_id
            and values_known.attribute = members_known.attribute

),

-- Whether a value is known at all; no more, where it is known of nobody in the segment.
states_compared as (

    select
        segment_id,
        enrichment_id,
        attribute,
        cast(null as double) as value_number,
        members_count,
        others_count,
        members_known_count as members_up_to_count,
        members_known_count as members_below_count,
        known_count - members_known_count as others_up_to_count,
        known_count - members_known_count as others_below_count,
        members_count - members_known_count as members_missing_count,
        others_count - (known_count - members_known_count) as others_missing_count
    from segments_known

    union all

    select
        segments_known.segment_id,
        segments_known.enrichment_id,
        segments_known.attribute,
        member_values.value_number,
        segments_known.members_count,
        segments_known.others_count,
        cast(member_values.members_up_to_count as bigint) as members_up_to_count,
        cast(member_values.members_up_to_count - member_values.members_count as bigint) as members_below_count,
        cast(member_values.up_to_count - member_values.members_up_to_count as bigint) as others_up_to_count,
        cast(
            member_values.up_to_count - member_values.accounts_count
            - (member_values.members_up_to_count - member_values.members_count) as bigint
        ) as others_below_count,
        segments_known.members_count - segments_known.members_known_count as members_missing_count,
        segments_known.others_count - (segments_known.known_count - segments_known.members_known_count)
            as others_missing_count
    from member_values
    inner join segments_known
        on
            member_values.segment_id = segments_known.segment_id
            and member_values.enrichment_id = segments_known.enrichment_id
            and member_values.attribute = segments_known.attribute

),

-- Whole numbers, so that the same distribution is a difference of 0, and none in common one of 1, to the last digit.
-- Accounts without a value stand once after all numbers (at most, below), and once before them (above, at least).
gaps_measured as (

    select
        *,
        members_up_to_count * others_count - others_up_to_count * members_count as at_most_gap,
        members_below_count * others_count - others_below_count * members_count as below_gap,
        (members_count - members_missing_count - members_up_to_count) * others_count
        - (others_count - others_missing_count - others_up_to_count) * members_count as above_gap,
        (members_count - members_missing_count - members_below_count) * others_count
        - (others_count - others_missing_count - others_below_count) * members_count as at_least_gap,
        members_missing_count * others_count - others_missing_count * members_count as missing_gap
    from states_compared

),

-- What more members than others are is said first.
gaps_compared as (

    select
        *,
        case
            when value_number is null then abs(missing_gap)
            else greatest(abs(at_most_gap), abs(below_gap), abs(above_gap), abs(at_least_gap))
        end as largest_gap
    from gaps_measured

),

statements_chosen as (

    select
        *,
        case
            when value_number is null then case when missing_gap > 0 then 'missing' else 'known' end
            when at_least_gap = largest_gap then 'at_least'
            when at_most_gap = largest_gap then 'at_most'
            when above_gap = largest_gap then 'above'
            when below_gap = largest_gap then 'below'
            when at_least_gap = -largest_gap then 'at_least'
            when at_most_gap = -largest_gap then 'at_most'
            when above_gap = -largest_gap then 'above'
            else 'below'
        end as statement_kind,
        row_number() over (
            partition by segment_id, enrichment_id, attribute
            order by
                largest_gap desc nulls last,
                value_number asc nulls first
        ) as gap_place
    from gaps_compared

),

statements_counted as (

    select
        *,
        case statement_kind
            when 'missing' then members_missing_count
            when 'known' then members_count - members_missing_count
            when 'at_least' then members_count - members_missing_count - members_below_count
            when 'above' then members_count - members_missing_count - members_up_to_count
            when 'at_most' then members_up_to_count
            else members_below_count
        end as members_with_count,
        case statement_kind
            when 'missing' then others_missing_count
            when 'known' then others_count - others_missing_count
            when 'at_least' then others_count - others_missing_count - others_below_count
            when 'above' then others_count - others_missing_count - others_up_to_count
            when 'at_most' then others_up_to_count
            else others_below_count
        end as others_with_count
    from statements_chosen
    where gap_place = 1

)

select
    segment_id,
    enrichment_id,
    attribute,
    cast(largest_gap as double) / nullif(cast(members_count as double) * others_count, 0) as difference_ratio,
    -- The critical value of Kolmogorov and Smirnov; of two orders (see above) each has half of the chance.
    sqrt(
        ln(
            2 / {{ var('segment_significance_ratio') }}
            * case when members_missing_count + others_missing_count = 0 then 1 else 2 end
        ) / 2
        * (1e0 / nullif(members_count, 0) + 1e0 / nullif(others_count, 0))
    ) as chance_ratio,
    case statement_kind
        when 'missing' then 'unknown'
        when 'known' then 'known'
        else replace(statement_kind, '_', ' ') || ' ' || {{ number_exactly_said('value_number') }}
    end as widest_at,
    members_with_count,
    others_with_count
from statements_counted
