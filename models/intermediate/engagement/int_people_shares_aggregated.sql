with

as_of as (

    select * from {{ ref('as_of') }}

),

people_involved as (

    select * from {{ ref('int_people_involved') }}

)

select
    people_involved.enrichment_id,
    people_involved.account_id,
    people_involved.side,
    people_involved.person_key,
    cast(sum(people_involved.interactions_count) as bigint) as interactions_count
from people_involved
inner join as_of
    on people_involved.happened_on between as_of.year_starts_on and as_of.as_of_date
group by
    people_involved.enrichment_id,
    people_involved.account_id,
    people_involved.side,
    people_involved.person_key
