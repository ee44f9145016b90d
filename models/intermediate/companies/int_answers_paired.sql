with

accounts as (

    select * from {{ ref('stg_leadspace__accounts') }}
    where fingerprint is not null

),

-- What is no longer configured publishes nothing.
enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'leadspace'

),

-- An account that left the customer file since the last extraction is no customer any more.
customer_accounts as (

    select * from {{ ref('stg_customers__accounts') }}

),

batches as (

    select * from {{ ref('stg_leadspace__batches') }}

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}
    where outcome = 'result'

),

-- An answer belongs to an input, whichever enrichment asked. What was asked when an account had left the data set, or
-- had another input, says nothing of it.
answers_paired as (

    select
        accounts.enrichment_id,
        accounts.account_id,
        accounts.fingerprint,
        responses.batch_id,
        responses.run_id,
        accounts.sent_name,
        accounts.sent_website,
        accounts.sent_country,
        responses.received_at,
        greatest(responses.received_at, accounts.listed_from_at) as known_from_at
    from accounts
    inner join enrichments on accounts.enrichment_id = enrichments.enrichment_id
    inner join customer_accounts on accounts.account_id = customer_accounts.account_id
    inner join responses on accounts.fingerprint = responses.fingerprint
    left join batches on responses.batch_id = batches.batch_id
    where
        accounts.listed_to_at is null
        or coalesce(batches.sent_at, responses.received_at) < accounts.listed_to_at

),

-- Of the answers that were there when the account came with its input, only the newest counts.
answers_ranked as (

    select
        enrichment_id,
        account_id,
        fingerprint,
        batch_id,
        run_id,
        sent_name,
        sent_website,
        sent_country,
        received_at,
        known_from_at,
        row_number() over (
            partition by enrichment_id, account_id, known_from_at
            order by received_at desc nulls last, batch_id desc nulls last
        ) as place_from_newest
    from answers_paired

)

select
    enrichment_id,
    account_id,
    fingerprint,
    batch_id,
    run_id,
    sent_name,
    sent_website,
    sent_country,
    received_at,
    known_from_at
from answers_ranked
where place_from_newest = 1
