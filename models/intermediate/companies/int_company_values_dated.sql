with

answers as (

    select * from {{ ref('int_answers_dated') }}

),

responses as (

    select * from {{ ref('stg_leadspace__responses') }}

),

-- What enriches nothing says that nothing is known.
values_as_text as (

    select
        answers.enrichment_id,
        answers.account_id,
        answers.run_id,
        answers.is_enriched,
        answers.known_from_at,
        {{ company_attributes_as_text() }}
    from answers
    left join responses
        on
            answers.fingerprint = responses.fingerprint
            and answers.batch_id = responses.batch_id
            and answers.is_enriched

),

values_stacked as (

    select
        enrichment_id,
        account_id,
        run_id,
        is_enriched,
        known_from_at,
        {{ stacked(var('company_attributes'), 'attribute', 'value_text') }}
    from values_as_text

)

select
    enrichment_id,
    account_id,
    attribute,
    run_id,
    value_text,
    lag(value_text) over (
        partition by enrichment_id, account_id, attribute
        order by known_from_at nulls last
    ) as value_before_text,
    is_enriched,
    known_from_at
from values_stacked
