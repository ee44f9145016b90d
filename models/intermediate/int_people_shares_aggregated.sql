with

as_of as (

    select * from {{ ref('as_of') }}

),

people_in_messages as (

    select * from {{ ref('int_people_in_messages') }}

),

people_in_meetings as (

    select * from {{ ref('int_people_in_meetings') }}

),

meetings as (

    select * from {{ ref('int_meetings_counted') }}

),

people_in_interactions as (

    select
        enrichment_id,
        account_id,
        side,
        person_key,
        happened_on
    from people_in_messages

    union all

    -- Our people in a meeting carry it for every account that takes part; its people for their own account.
    select
        meetings.enrichment_id,
        meetings.account_id,
        people.side,
        people.person_key,
        meetings.happened_on
    from meetings
    inner join people_in_meetings as people
        on
            meetings.enrichment_id = people.enrichment_id
            and meetings.meeting_key = people.meeting_key
            and (people.side = 'own' or meetings.account_id = people.account_id)

)

select
    people_in_interactions.enrichment_id,
    people_in_interactions.account_id,
    people_in_interactions.side,
    people_in_interactions.person_key,
    count(*) as interactions_count
from people_in_interactions
inner join as_of
    on people_in_interactions.happened_on between as_of.year_starts_on and as_of.as_of_date
group by
    people_in_interactions.enrichment_id,
    people_in_interactions.account_id,
    people_in_interactions.side,
    people_in_interactions.person_key
