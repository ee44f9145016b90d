-- A message or meeting that counts for several accounts stands once in its bucket.
with

counted as (

    select
        enrichment_id,
        case direction when 'to_account' then 'counted_to_account' else 'counted_from_account' end as bucket,
        count(distinct message_key) as items_count
    from {{ ref('int_messages_counted') }}
    group by enrichment_id, direction

    union all

    select
        enrichment_id,
        'counted' as bucket,
        count(distinct meeting_key) as items_count
    from {{ ref('int_meetings_counted') }}
    group by enrichment_id

),

coverage as (

    select
        enrichment_id,
        bucket,
        items_count
    from {{ ref('office_coverage') }}
    where is_counted

)

select
    coalesce(counted.enrichment_id, coverage.enrichment_id) as enrichment_id,
    coalesce(counted.bucket, coverage.bucket) as bucket,
    counted.items_count,
    coverage.items_count as items_in_bucket_count
from counted
full outer join coverage
    on
        counted.enrichment_id = coverage.enrichment_id
        and counted.bucket = coverage.bucket
where coalesce(counted.items_count, 0) != coalesce(coverage.items_count, 0)
