{{ built_after('int_interactions_before') }}
{{ config(
    materialized=refreshed(),
    pre_hook="{{ without_touched('int_meetings_before', ['enrichment_id', 'meeting_key']) }}",
) }}

with

meetings as (

    select deduplicated.*
    from {{ ref('int_meetings_deduplicated') }} as deduplicated
    {{ only_touched('deduplicated', 'int_meetings_touched', ['ical_key', 'occurrence_at']) }}

),

people as (

    select * from {{ ref('int_people_in_meetings') }}

),

addresses_monitored as (

    select * from {{ ref('int_addresses_monitored') }}

),

contacts as (

    select * from {{ ref('int_contacts_matched') }}

),

meetings_with_own_people as (

    select distinct
        enrichment_id,
        meeting_key
    from people
    where side = 'own'

),

meetings_per_account as (

    select distinct
        enrichment_id,
        meeting_key,
        account_id
    from people
    where side = 'account'

),

organizers_of_accounts as (

    select distinct
        enrichment_id,
        account_id,
        address_key
    from contacts

)

-- At least one of ours and one contact take part without having declined (D6.3).
select
    meetings_per_account.enrichment_id,
    meetings_per_account.account_id,
    meetings_per_account.meeting_key,
    case
        when addresses_monitored.address_key is not null then 'own'
        when organizers_of_accounts.address_key is not null then 'account'
        else 'third_party'
    end as initiated_by,
    meetings.duration_milliseconds,
    meetings.happened_on,
    meetings.known_on
from meetings_per_account
inner join meetings_with_own_people
    on
        meetings_per_account.enrichment_id = meetings_with_own_people.enrichment_id
        and meetings_per_account.meeting_key = meetings_with_own_people.meeting_key
inner join meetings
    on
        meetings_per_account.enrichment_id = meetings.enrichment_id
        and meetings_per_account.meeting_key = meetings.meeting_key
left join addresses_monitored
    on
        meetings.enrichment_id = addresses_monitored.enrichment_id
        and meetings.organizer_key = addresses_monitored.address_key
        and meetings.begins_at < addresses_monitored.monitored_to_at
left join organizers_of_accounts
    on
        meetings_per_account.enrichment_id = organizers_of_accounts.enrichment_id
        and meetings_per_account.account_id = organizers_of_accounts.account_id
        and meetings.organizer_key = organizers_of_accounts.address_key
