with

contact_answers as (

    select * from {{ ref('int_contact_answers_dated') }}
    where publishes_contacts

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

)

-- A mart is what is published: where nobody asked for it there is not one row, in the private file either.
select
    contact_answers.enrichment_id,
    contact_answers.contact_id,
    contact_answers.account_id,
    {{ addresses_masked('contact_answers.title') }} as title,
    {{ addresses_masked('contact_answers.department') }} as department,
    contact_answers.level,
    contact_answers.email_verification,
    contact_answers.employment_verification,
    contact_answers.answered_at
from contact_answers
-- Small numbers that are banded show no single person.
inner join reporting on not reporting.is_banded
