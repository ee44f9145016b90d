with

accounts as (

    select * from {{ ref('stg_leadspace__accounts') }}

),

-- What is no longer configured publishes nothing.
enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'leadspace'

),

customer_accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

responses as (

    select * from {{ ref('int_responses_deduplicated') }}

),

batches as (

    select * from {{ ref('stg_leadspace__batches') }}

),

requests as (

    select * from {{ ref('stg_leadspace__requests') }}

),

requests_ranked as (

    select
        requests.fingerprint,
        batches.batch_state,
        row_number() over (
            partition by requests.fingerprint
            order by batches.sent_at desc nulls last, requests.batch_id desc nulls last
        ) as place_from_newest
    from requests
    inner join batches on requests.batch_id = batches.batch_id

),

newest_requests as (

    select * from requests_ranked
    where place_from_newest = 1

)

select
    accounts.enrichment_id,
    accounts.account_id,
    case
        when accounts.not_sent_reason is not null then 'not_sent'
        when responses.outcome = 'invalid' then 'invalid'
        when responses.is_enriched then 'enriched'
        when responses.outcome = 'result' then 'not_enriched'
        when newest_requests.batch_state = 'submitted' then 'waiting'
        when newest_requests.batch_state in ('sending', 'uncertain', 'lost') then 'held'
        else 'not_answered'
    end as lookup_status,
    accounts.not_sent_reason,
    case when responses.is_enriched then responses.match_confidence end as match_confidence,
    accounts.fingerprint,
    responses.batch_id,
    coalesce(responses.is_enriched, false) as is_enriched,
    responses.received_at as answered_at
from accounts
inner join enrichments on accounts.enrichment_id = enrichments.enrichment_id
-- An account that left the customer file since the last extraction is no customer any more.
inner join customer_accounts on accounts.account_id = customer_accounts.account_id
-- An answer belongs to an input, whichever enrichment asked.
left join responses on accounts.fingerprint = responses.fingerprint
left join newest_requests on accounts.fingerprint = newest_requests.fingerprint
