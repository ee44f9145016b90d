with

answer_fields as (

    select * from {{ ref('stg_leadspace__answer_fields') }}

),

-- The field without a name stands for the company itself.
companies_counted as (

    select
        enrichment_id,
        sum(case when run_from_newest = 1 then 1 else 0 end) as newest_companies_count,
        sum(case when run_from_newest > 1 then 1 else 0 end) as earlier_companies_count,
        max(run_received_at) as newest_received_at
    from answer_fields
    where field = ''
    group by enrichment_id

),

fields_counted as (

    select
        enrichment_id,
        field,
        shape,
        sum(case when run_from_newest = 1 then 1 else 0 end) as newest_answers_count,
        sum(case when run_from_newest > 1 then 1 else 0 end) as earlier_answers_count,
        min(run_received_at) as first_received_at
    from answer_fields
    where field != ''
    group by enrichment_id, field, shape

)

select
    fields_counted.enrichment_id,
    fields_counted.field,
    fields_counted.shape,
    cast(fields_counted.newest_answers_count as bigint) as newest_answers_count,
    cast(fields_counted.earlier_answers_count as bigint) as earlier_answers_count,
    cast(companies_counted.newest_companies_count as bigint) as newest_companies_count,
    cast(companies_counted.earlier_companies_count as bigint) as earlier_companies_count,
    fields_counted.first_received_at,
    companies_counted.newest_received_at
from fields_counted
inner join companies_counted on fields_counted.enrichment_id = companies_counted.enrichment_id
