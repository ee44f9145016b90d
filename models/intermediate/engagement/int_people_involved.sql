{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}",
) }}

with

people_in_messages as (

    select people.*
    from {{ ref('int_people_in_messages') }} as people
    {{ only_touched('people', 'int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}

),

people_in_meetings as (

    select * from {{ ref('int_people_in_meetings') }}

),

meetings as (

    select counted.*
    from {{ ref('int_meetings_counted') }} as counted
    {{ only_touched('counted', 'int_account_days_touched', ['enrichment_id', 'account_id', 'happened_on']) }}

),

both_channels as (

    select
        enrichment_id,
        account_id,
        'email' as channel,
        side,
        person_key,
        happened_on,
        known_on
    from people_in_messages

    union all

    -- Our people in a meeting count for every account that takes part; its people for their own account.
    select
        meetings.enrichment_id,
        meetings.account_id,
        'meeting' as channel,
        people.side,
        people.person_key,
        meetings.happened_on,
        meetings.known_on
    from meetings
    inner join people_in_meetings as people
        on
            meetings.enrichment_id = people.enrichment_id
            and meetings.meeting_key = people.meeting_key
            and (people.side = 'own' or meetings.account_id = people.account_id)

)

select
    enrichment_id,
    account_id,
    channel,
    side,
    person_key,
    happened_on,
    known_on,
    count(*) as interactions_count
from both_channels
group by enrichment_id, account_id, channel, side, person_key, happened_on, known_on
