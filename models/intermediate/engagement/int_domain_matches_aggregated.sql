with

as_of as (

    select * from {{ ref('as_of') }}

),

people as (

    select
        enrichment_id,
        account_id,
        contact_key,
        case matched_by when 'contact_address' then 1 else 0 end as is_contact
    from {{ ref('int_contacts_matched') }}

),

meetings as (

    select * from {{ ref('int_meetings_counted') }}

),

people_in_meetings as (

    select * from {{ ref('int_people_in_meetings') }}

),

messages as (

    select * from {{ ref('int_messages_counted') }}

),

-- In all other messages everybody is a contact of the file, and most of the volume ends here.
messages_with_domains as (

    select distinct matches.message_key
    from {{ ref('int_messages_matched') }} as matches
    inner join people
        on
            matches.enrichment_id = people.enrichment_id
            and matches.account_id = people.account_id
            and matches.contact_key = people.contact_key
            and people.is_contact = 0

),

messages_per_role as (

    select
        matches.enrichment_id,
        matches.account_id,
        matches.message_key,
        matches.contact_role,
        max(people.is_contact) as has_contact
    from {{ ref('int_messages_matched') }} as matches
    inner join messages_with_domains on matches.message_key = messages_with_domains.message_key
    inner join people
        on
            matches.enrichment_id = people.enrichment_id
            and matches.account_id = people.account_id
            and matches.contact_key = people.contact_key
    group by matches.enrichment_id, matches.account_id, matches.message_key, matches.contact_role

),

-- What counts is the sender's rule in mail from the account, the recipients' in mail to it.
messages_per_rule as (

    select
        messages.enrichment_id,
        messages.account_id,
        messages.happened_on,
        messages_per_role.has_contact
    from messages
    inner join messages_per_role
        on
            messages.enrichment_id = messages_per_role.enrichment_id
            and messages.account_id = messages_per_role.account_id
            and messages.message_key = messages_per_role.message_key
            and messages_per_role.contact_role
            = case messages.direction when 'from_account' then 'from' else 'recipient' end

),

meetings_per_rule as (

    select
        meetings.enrichment_id,
        meetings.account_id,
        meetings.meeting_key,
        meetings.happened_on,
        max(people.is_contact) as has_contact
    from meetings
    inner join people_in_meetings
        on
            meetings.enrichment_id = people_in_meetings.enrichment_id
            and meetings.account_id = people_in_meetings.account_id
            and meetings.meeting_key = people_in_meetings.meeting_key
    inner join people
        on
            people_in_meetings.enrichment_id = people.enrichment_id
            and people_in_meetings.account_id = people.account_id
            and people_in_meetings.person_key = people.contact_key
    group by meetings.enrichment_id, meetings.account_id, meetings.meeting_key, meetings.happened_on

),

matched_by_domain_only as (

    select
        enrichment_id,
        account_id,
        happened_on,
        1 as emails,
        0 as meetings
    from messages_per_rule
    where has_contact = 0

    union all

    select
        enrichment_id,
        account_id,
        happened_on,
        0 as emails,
        1 as meetings
    from meetings_per_rule
    where has_contact = 0

)

select
    matched_by_domain_only.enrichment_id,
    matched_by_domain_only.account_id,
    cast(sum(matched_by_domain_only.emails) as bigint) as emails_matched_by_domain_count,
    cast(sum(matched_by_domain_only.meetings) as bigint) as meetings_matched_by_domain_count
from matched_by_domain_only
inner join as_of
    on matched_by_domain_only.happened_on between as_of.year_starts_on and as_of.as_of_date
group by matched_by_domain_only.enrichment_id, matched_by_domain_only.account_id
