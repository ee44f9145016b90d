with

messages as (

    select * from {{ ref('int_messages_classified') }}

),

meetings as (

    select * from {{ ref('int_meetings_classified') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

items as (

    select
        enrichment_id,
        'message' as kind,
        bucket,
        copies_count,
        happened_on
    from messages

    union all

    select
        enrichment_id,
        'meeting' as kind,
        bucket,
        copies_count,
        happened_on
    from meetings

)

select
    items.enrichment_id,
    items.kind,
    items.bucket,
    count(*) as items_count,
    -- Copies of few messages would count the people who hold them.
    cast(
        sum(case when not reporting.is_banded then items.copies_count end) as bigint
    ) as copies_count,
    cast(
        sum(
            case when items.happened_on between as_of.year_starts_on and as_of.as_of_date then 1 else 0 end
        ) as bigint
    ) as items_in_year_count,
    items.bucket in ('counted_to_account', 'counted_from_account', 'counted') as is_counted,
    min(items.happened_on) as first_on,
    max(items.happened_on) as last_on
from items
cross join as_of
cross join reporting
group by items.enrichment_id, items.kind, items.bucket
