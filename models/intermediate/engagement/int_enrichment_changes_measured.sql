with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}

),

account_days as (

    select * from {{ ref('int_account_days_aggregated') }}

),

answers as (

    select * from {{ ref('int_answers_dated') }}

),

-- A counted day keeps its account enriched from when it was known until it leaves the year window.
office_spans as (

    select
        enrichment_id,
        account_id,
        greatest(happened_on, known_on) as begins_on,
        max(cast(happened_on + interval 365 day as date)) as ends_on
    from account_days
    group by enrichment_id, account_id, greatest(happened_on, known_on)

),

office_spans_ordered as (

    select
        enrichment_id,
        account_id,
        begins_on,
        ends_on,
        max(ends_on) over (
            partition by enrichment_id, account_id
            order by begins_on nulls last
            rows between unbounded preceding and 1 preceding
        ) as ended_before_on
    from office_spans
    -- Known only after it has left the window, it never counts.
    where begins_on < ends_on

),

office_islands as (

    select
        enrichment_id,
        account_id,
        begins_on,
        ends_on,
        sum(case when ended_before_on >= begins_on then 0 else 1 end) over (
            partition by enrichment_id, account_id
            order by begins_on nulls last
            rows between unbounded preceding and current row
        ) as island_number
    from office_spans_ordered

),

office_terms as (

    select
        enrichment_id,
        min(begins_on) as begins_on,
        max(ends_on) as ends_on
    from office_islands
    group by enrichment_id, account_id, island_number

),

answers_ordered as (

    select
        enrichment_id,
        case when is_enriched then 1 else 0 end as enriched_after,
        coalesce(
            lag(case when is_enriched then 1 else 0 end) over (
                partition by enrichment_id, account_id
                order by known_from_at nulls last
            ),
            0
        ) as enriched_before,
        known_from_at
    from answers

),

changes as (

    select
        enrichment_id,
        1 as accounts_change,
        cast(begins_on as timestamp) as changed_at
    from office_terms

    union all

    select
        enrichment_id,
        -1 as accounts_change,
        cast(ends_on as timestamp) as changed_at
    from office_terms

    union all

    select
        enrichment_id,
        enriched_after - enriched_before as accounts_change,
        known_from_at as changed_at
    from answers_ordered
    where enriched_after != enriched_before

)

select
    changes.enrichment_id,
    cast(sum(changes.accounts_change) as bigint) as accounts_change_count,
    changes.changed_at
from changes
inner join enrichments on changes.enrichment_id = enrichments.enrichment_id
group by changes.enrichment_id, changes.changed_at
