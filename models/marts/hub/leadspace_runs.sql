with

listings as (

    select * from {{ ref('stg_leadspace__listings') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'leadspace'

),

accounts as (

    select * from {{ ref('stg_leadspace__accounts') }}

),

answers as (

    select * from {{ ref('int_answers_changed') }}

),

batches as (

    select * from {{ ref('stg_leadspace__batches') }}
    where batch_state != 'refused'

),

requests as (

    select * from {{ ref('stg_leadspace__requests') }}

),

-- Of several answers that a run received for an account the last one tells what the run did.
answers_ranked as (

    select
        enrichment_id,
        account_id,
        run_id,
        case
            when is_enriched and (values_changed_count > 0 or is_enriched_changed) then 'processed_changed'
            when is_enriched then 'processed_unchanged'
            else 'not_matched'
        end as processing,
        row_number() over (
            partition by enrichment_id, account_id, run_id
            order by known_from_at desc nulls last
        ) as place_from_newest
    from answers

),

members as (

    select distinct
        listings.enrichment_id,
        listings.run_id,
        listings.listed_at,
        accounts.account_id
    from listings
    inner join enrichments on listings.enrichment_id = enrichments.enrichment_id
    inner join accounts
        on
            listings.enrichment_id = accounts.enrichment_id
            and listings.listed_at >= accounts.listed_from_at
            and (accounts.listed_to_at is null or listings.listed_at < accounts.listed_to_at)

),

members_counted as (

    select
        members.enrichment_id,
        members.run_id,
        max(members.listed_at) as listed_at,
        count(*) as accounts_count,
        sum(case when answers_ranked.processing = 'processed_changed' then 1 else 0 end) as processed_changed_count,
        sum(case when answers_ranked.processing = 'processed_unchanged' then 1 else 0 end)
            as processed_unchanged_count,
        sum(case when answers_ranked.processing = 'not_matched' then 1 else 0 end) as not_matched_count,
        sum(case when answers_ranked.processing is null then 1 else 0 end) as not_processed_count
    from members
    left join answers_ranked
        on
            members.enrichment_id = answers_ranked.enrichment_id
            and members.account_id = answers_ranked.account_id
            and members.run_id = answers_ranked.run_id
            and answers_ranked.place_from_newest = 1
    group by members.enrichment_id, members.run_id

),

lookups_counted as (

    select
        batches.enrichment_id,
        batches.run_id,
        count(*) as lookups_count
    from batches
    inner join requests on batches.batch_id = requests.batch_id
    group by batches.enrichment_id, batches.run_id

)

select
    members_counted.enrichment_id,
    members_counted.run_id,
    members_counted.accounts_count,
    cast(members_counted.processed_changed_count as bigint) as processed_changed_count,
    cast(members_counted.processed_unchanged_count as bigint) as processed_unchanged_count,
    cast(members_counted.not_matched_count as bigint) as not_matched_count,
    cast(members_counted.not_processed_count as bigint) as not_processed_count,
    coalesce(lookups_counted.lookups_count, 0) as lookups_count,
    members_counted.listed_at
from members_counted
left join lookups_counted
    on
        members_counted.enrichment_id = lookups_counted.enrichment_id
        and members_counted.run_id = lookups_counted.run_id
