with

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'leadspace'

),

lookups_counted as (

    select
        enrichment_id,
        count(*) as accounts_count,
        sum(case when is_enriched then 1 else 0 end) as accounts_enriched_count,
        -- An account that was enriched and is now, say, held keeps what was known.
        sum(case when not is_enriched and lookup_status = 'not_enriched' then 1 else 0 end)
            as accounts_not_enriched_count,
        sum(case when not is_enriched and lookup_status = 'rejected' then 1 else 0 end) as accounts_rejected_count,
        sum(case when not is_enriched and lookup_status in ('not_sent', 'invalid') then 1 else 0 end)
            as accounts_not_sent_count,
        sum(
            case when not is_enriched and lookup_status in ('waiting', 'held', 'not_answered') then 1 else 0 end
        ) as accounts_not_answered_count,
        sum(case when is_enriched and not is_refreshed then 1 else 0 end) as accounts_not_refreshed_count,
        sum(case when match_verdict = 'review' then 1 else 0 end) as matches_in_review_count,
        sum(case when match_confidence = 'high' then 1 else 0 end) as confidence_high_count,
        sum(case when match_confidence = 'medium' then 1 else 0 end) as confidence_medium_count,
        sum(case when match_confidence = 'low' then 1 else 0 end) as confidence_low_count,
        sum(case when match_confidence = 'very_low' then 1 else 0 end) as confidence_very_low_count,
        max(answered_at) as last_answered_at
    from {{ ref('int_lookups_resolved') }}
    group by enrichment_id

),

-- What was sent and not refused, and so may have been charged, whatever became of its answer.
requests_counted as (

    select
        batches.enrichment_id,
        count(*) as lookups_count
    from {{ ref('stg_leadspace__requests') }} as requests
    inner join {{ ref('stg_leadspace__batches') }} as batches
        on
            requests.enrichment_id = batches.enrichment_id
            and requests.batch_id = batches.batch_id
    where batches.batch_state != 'refused'
    group by batches.enrichment_id

)

select
    enrichments.enrichment_id,
    {{ addresses_masked('enrichments.enrichment_name') }} as enrichment_name,
    enrichments.output_table,
    coalesce(lookups_counted.accounts_count, 0) as accounts_count,
    cast(coalesce(lookups_counted.accounts_enriched_count, 0) as bigint) as accounts_enriched_count,
    cast(coalesce(lookups_counted.accounts_not_enriched_count, 0) as bigint) as accounts_not_enriched_count,
    cast(coalesce(lookups_counted.accounts_rejected_count, 0) as bigint) as accounts_rejected_count,
    cast(coalesce(lookups_counted.accounts_not_sent_count, 0) as bigint) as accounts_not_sent_count,
    cast(coalesce(lookups_counted.accounts_not_answered_count, 0) as bigint) as accounts_not_answered_count,
    cast(coalesce(lookups_counted.accounts_not_refreshed_count, 0) as bigint) as accounts_not_refreshed_count,
    cast(coalesce(lookups_counted.matches_in_review_count, 0) as bigint) as matches_in_review_count,
    cast(coalesce(lookups_counted.confidence_high_count, 0) as bigint) as confidence_high_count,
    cast(coalesce(lookups_counted.confidence_medium_count, 0) as bigint) as confidence_medium_count,
    cast(coalesce(lookups_counted.confidence_low_count, 0) as bigint) as confidence_low_count,
    cast(coalesce(lookups_counted.confidence_very_low_count, 0) as bigint) as confidence_very_low_count,
    coalesce(requests_counted.lookups_count, 0) as lookups_count,
    lookups_counted.last_answered_at
from enrichments
left join lookups_counted on enrichments.enrichment_id = lookups_counted.enrichment_id
left join requests_counted on enrichments.enrichment_id = requests_counted.enrichment_id
