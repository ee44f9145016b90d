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

answers as (

    select * from {{ ref('int_answers_dated') }}
    where known_to_at is null

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

batches as (

    select * from {{ ref('stg_leadspace__batches') }}

),

requests as (

    select * from {{ ref('stg_leadspace__requests') }}

),

-- What an account is asked about now, or was when it left the data set.
inputs_ranked as (

    select
        enrichment_id,
        account_id,
        fingerprint,
        not_sent_reason,
        is_in_dataset,
        row_number() over (
            partition by enrichment_id, account_id
            order by case when is_in_dataset then 0 else 1 end nulls last, listed_from_at desc nulls last
        ) as place_from_newest
    from accounts

),

inputs as (

    select * from inputs_ranked
    where place_from_newest = 1

),

fingerprints_refused as (

    select distinct fingerprint
    from responses
    where outcome = 'invalid'

),

requests_ranked as (

    select
        requests.fingerprint,
        batches.batch_state,
        row_number() over (
            partition by requests.fingerprint
            order by batches.sent_at desc nulls last, batches.batch_id desc nulls last
        ) as place_from_newest
    from requests
    inner join batches on requests.batch_id = batches.batch_id

),

newest_requests as (

    select * from requests_ranked
    where place_from_newest = 1

)

select
    inputs.enrichment_id,
    inputs.account_id,
    case
        when inputs.not_sent_reason is not null then 'not_sent'
        when answers.fingerprint = inputs.fingerprint and answers.is_enriched then 'enriched'
        when answers.fingerprint = inputs.fingerprint and answers.match_verdict is not null then 'rejected'
        when answers.fingerprint = inputs.fingerprint then 'not_enriched'
        when fingerprints_refused.fingerprint is not null then 'invalid'
        when newest_requests.batch_state = 'submitted' then 'waiting'
        when newest_requests.batch_state in ('sending', 'uncertain', 'lost') then 'held'
        else 'not_answered'
    end as lookup_status,
    inputs.not_sent_reason,
    answers.sent_name,
    answers.sent_website,
    answers.sent_country,
    answers.match_verdict,
    case when answers.is_enriched then responses.match_confidence end as match_confidence,
    answers.fingerprint,
    answers.batch_id,
    coalesce(answers.is_enriched, false) as is_enriched,
    inputs.is_in_dataset,
    inputs.is_in_dataset and coalesce(answers.fingerprint = inputs.fingerprint, false) as is_refreshed,
    answers.received_at as answered_at
from inputs
inner join enrichments on inputs.enrichment_id = enrichments.enrichment_id
-- An account that left the customer file since the last extraction is no customer any more.
inner join customer_accounts on inputs.account_id = customer_accounts.account_id
left join answers
    on
        inputs.enrichment_id = answers.enrichment_id
        and inputs.account_id = answers.account_id
left join responses
    on
        answers.fingerprint = responses.fingerprint
        and answers.batch_id = responses.batch_id
left join fingerprints_refused on inputs.fingerprint = fingerprints_refused.fingerprint
left join newest_requests on inputs.fingerprint = newest_requests.fingerprint
