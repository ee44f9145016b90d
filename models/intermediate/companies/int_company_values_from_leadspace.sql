with

company_values as (

    select * from {{ ref('int_company_values_dated') }}

),

answers as (

    select * from {{ ref('int_answers_dated') }}
    where known_to_at is null and match_verdict = 'accept'

)

-- A match that nobody has accepted yet speaks for itself beside the customer, and never in his place.
select
    company_values.enrichment_id,
    company_values.account_id,
    company_values.attribute,
    company_values.value_text,
    company_values.known_from_at
from company_values
inner join answers
    on
        company_values.enrichment_id = answers.enrichment_id
        and company_values.account_id = answers.account_id
        and company_values.known_from_at = answers.known_from_at
where company_values.value_text is not null
