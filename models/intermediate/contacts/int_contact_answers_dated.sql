with

answers as (

    select * from {{ ref('stg_leadspace__contact_answers') }}
    where outcome = 'result'

),

contacts as (

    select distinct contact_id from {{ ref('stg_customers__contacts') }}

),

enrichments as (

    select * from {{ ref('stg_runs__enrichments') }}
    where enrichment_type = 'leadspace_contacts'

),

answers_ranked as (

    select
        answers.enrichment_id,
        answers.contact_id,
        answers.account_id,
        answers.title,
        answers.department,
        answers.level,
        answers.email_verification,
        answers.employment_verification,
        answers.received_at,
        enrichments.publishes_contacts,
        row_number() over (
            partition by answers.enrichment_id, answers.contact_id
            order by answers.received_at desc nulls last, answers.batch_id desc nulls last
        ) as place_from_newest
    from answers
    inner join contacts on answers.contact_id = contacts.contact_id
    inner join enrichments on answers.enrichment_id = enrichments.enrichment_id

)

-- Of whom the service says nothing there is no row: that he was asked about is nobody's concern.
select
    enrichment_id,
    contact_id,
    account_id,
    title,
    department,
    level,
    email_verification,
    employment_verification,
    received_at as answered_at,
    publishes_contacts
from answers_ranked
where
    place_from_newest = 1
    and coalesce(title, department, level, email_verification, employment_verification) is not null
