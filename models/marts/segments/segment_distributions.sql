with

segments_counted as (

    select * from {{ ref('int_members_counted') }}

),

attributes as (

    select * from {{ ref('int_attributes_compared') }}
    where in_differentiators

),

values_counted as (

    select
        counted.*,
        attributes.kind
    from {{ ref('int_attribute_values_counted') }} as counted
    inner join attributes on counted.attribute = attributes.attribute

),

buckets as (

    select
        enrichment_id,
        attribute,
        kind,
        bucket_position,
        min(value_text) as value_text,
        min(value_number) as from_number,
        max(value_number) as to_number,
        count(*) as values_count,
        cast(sum(accounts_count) as bigint) as accounts_count
    from values_counted
    group by enrichment_id, attribute, kind, bucket_position

),

-- A bucket ends where the next begins.
buckets_bounded as (

    select
        *,
        min(bucket_position) over (partition by enrichment_id, attribute) = bucket_position as is_first,
        lead(from_number) over (
            partition by enrichment_id, attribute
            order by bucket_position nulls last
        ) as below_number
    from buckets

),

buckets_said as (

    select
        enrichment_id,
        attribute,
        bucket_position,
        case
            when kind != 'number' and bucket_position = {{ var('distribution_values') }} + 2
                then cast(values_count as string) || ' other values'
            when kind != 'number' then value_text
            when from_number = to_number then {{ number_exactly_said('from_number') }}
            when is_first then 'below ' || {{ number_exactly_said('below_number') }}
            when below_number is null then 'at least ' || {{ number_exactly_said('from_number') }}
            else {{ number_exactly_said('from_number') }} || ' to below ' || {{ number_exactly_said('below_number') }}
        end as bucket,
        accounts_count
    from buckets_bounded

    union all

    select distinct
        enrichment_id,
        attribute,
        1 as bucket_position,
        'unknown' as bucket,
        judged_count - known_count as accounts_count
    from values_counted
    where judged_count > known_count

),

member_buckets as (

    select
        segment_id,
        enrichment_id,
        attribute,
        bucket_position,
        sum(members_count) as members_count
    from {{ ref('int_member_values_counted') }}
    group by segment_id, enrichment_id, attribute, bucket_position

),

members_known as (

    select
        segment_id,
        enrichment_id,
        attribute,
        sum(members_count) as known_count
    from member_buckets
    group by segment_id, enrichment_id, attribute

),

buckets_compared as (

    select
        segments_counted.segment_id,
        segments_counted.enrichment_id,
        segments_counted.members_count,
        segments_counted.others_count,
        segments_counted.judged_on,
        buckets_said.attribute,
        buckets_said.bucket_position,
        buckets_said.bucket,
        buckets_said.accounts_count,
        cast(case
            when buckets_said.bucket_position = 1
                then segments_counted.members_count - coalesce(members_known.known_count, 0)
            else coalesce(member_buckets.members_count, 0)
        end as bigint) as members_with_count
    from segments_counted
    inner join buckets_said on segments_counted.enrichment_id = buckets_said.enrichment_id
    left join member_buckets
        on
            segments_counted.segment_id = member_buckets.segment_id
            and segments_counted.enrichment_id = member_buckets.enrichment_id
            and buckets_said.attribute = member_buckets.attribute
            and buckets_said.bucket_position = member_buckets.bucket_position
    left join members_known
        on
            segments_counted.segment_id = members_known.segment_id
            and segments_counted.enrichment_id = members_known.enrichment_id
            and buckets_said.attribute = members_known.attribute

)

select
    segment_id,
    enrichment_id,
    attribute,
    bucket_position,
    {{ addresses_masked('bucket') }} as bucket,
    members_with_count,
    accounts_count - members_with_count as others_with_count,
    cast(members_with_count as double) / nullif(members_count, 0) as members_ratio,
    cast(accounts_count - members_with_count as double) / nullif(others_count, 0) as others_ratio,
    judged_on as as_of_date
from buckets_compared
