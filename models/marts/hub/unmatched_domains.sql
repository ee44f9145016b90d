with

messages_from as (

    select * from {{ ref('int_messages_read') }}
    where sender_relation = 'outsider'

),

messages_to as (

    select * from {{ ref('int_recipients_unmatched') }}
    where sender_relation = 'monitored'

),

participants as (

    select * from {{ ref('int_participants_named') }}
    where relation = 'outsider'

),

addresses as (

    select * from {{ ref('int_addresses_classified') }}
    where relation = 'outsider'

),

contact_domains as (

    select distinct domain from {{ ref('stg_customers__contacts') }}

),

personal_mail_domains as (

    select * from {{ ref('personal_mail_domains') }}

),

as_of as (

    select * from {{ ref('as_of') }}

),

reporting as (

    select * from {{ ref('stg_runs__reporting') }}

),

-- What stands behind an @ may be anything: it is published only where it can be the name of a domain.
addresses_named as (

    select
        enrichment_id,
        address_key,
        case
            when regexp_replace(domain, '^[a-z0-9_][a-z0-9._-]*$', '') = '' then domain
            else '(no name of a domain)'
        end as mail_domain,
        is_automated
    from addresses

),

-- At most one row per address: most of the volume ends here.
messages_per_sender as (

    select
        messages_from.enrichment_id,
        messages_from.from_key as address_key,
        count(*) as messages_count,
        min(messages_from.happened_on) as first_on,
        max(messages_from.happened_on) as last_on
    from messages_from
    inner join as_of on messages_from.happened_on between as_of.year_starts_on and as_of.as_of_date
    group by messages_from.enrichment_id, messages_from.from_key

),

messages_to_and_meetings as (

    select
        enrichment_id,
        address_key,
        message_key as item_key,
        'message' as kind,
        happened_on
    from messages_to

    union all

    select
        enrichment_id,
        participant_key as address_key,
        meeting_key as item_key,
        'meeting' as kind,
        happened_on
    from participants

),

messages_to_and_meetings_in_year as (

    select messages_to_and_meetings.*
    from messages_to_and_meetings
    inner join as_of on messages_to_and_meetings.happened_on between as_of.year_starts_on and as_of.as_of_date

),

messages_from_counted as (

    select
        addresses_named.enrichment_id,
        addresses_named.mail_domain,
        sum(messages_per_sender.messages_count) as messages_from_count
    from messages_per_sender
    inner join addresses_named
        on
            messages_per_sender.enrichment_id = addresses_named.enrichment_id
            and messages_per_sender.address_key = addresses_named.address_key
    group by addresses_named.enrichment_id, addresses_named.mail_domain

),

-- One message to five people of a domain is one message.
messages_to_and_meetings_counted as (

    select
        addresses_named.enrichment_id,
        addresses_named.mail_domain,
        count(distinct case when items.kind = 'message' then items.item_key end) as messages_to_count,
        count(distinct case when items.kind = 'meeting' then items.item_key end) as meetings_count
    from messages_to_and_meetings_in_year as items
    inner join addresses_named
        on
            items.enrichment_id = addresses_named.enrichment_id
            and items.address_key = addresses_named.address_key
    group by addresses_named.enrichment_id, addresses_named.mail_domain

),

address_dates as (

    select
        enrichment_id,
        address_key,
        first_on,
        last_on
    from messages_per_sender

    union all

    select
        enrichment_id,
        address_key,
        happened_on as first_on,
        happened_on as last_on
    from messages_to_and_meetings_in_year

),

addresses_seen as (

    select
        enrichment_id,
        address_key,
        min(first_on) as first_on,
        max(last_on) as last_on
    from address_dates
    group by enrichment_id, address_key

),

domains_seen as (

    select
        addresses_seen.enrichment_id,
        addresses_named.mail_domain,
        count(*) as addresses_count,
        sum(case when addresses_named.is_automated then 0 else 1 end) as people_count,
        min(addresses_seen.first_on) as first_on,
        max(addresses_seen.last_on) as last_on
    from addresses_seen
    inner join addresses_named
        on
            addresses_seen.enrichment_id = addresses_named.enrichment_id
            and addresses_seen.address_key = addresses_named.address_key
    group by addresses_seen.enrichment_id, addresses_named.mail_domain

)

select
    domains_seen.enrichment_id,
    domains_seen.mail_domain,
    case
        when domains_seen.mail_domain = '(no name of a domain)' then 'no_name_of_a_domain'
        when personal_mail_domains.domain is not null then 'personal_mail_domain'
        when domains_seen.people_count = 0 then 'automated_senders_only'
        when contact_domains.domain is not null then 'not_among_its_contacts'
        else 'no_contact_has_it'
    end as reason,
    cast(coalesce(messages_from_counted.messages_from_count, 0) as bigint) as messages_from_count,
    coalesce(messages_to_and_meetings_counted.messages_to_count, 0) as messages_to_count,
    coalesce(messages_to_and_meetings_counted.meetings_count, 0) as meetings_count,
    {{ people_shown('domains_seen.addresses_count') }} as addresses_count,
    {{ people_band('domains_seen.addresses_count') }} as addresses_band,
    domains_seen.first_on,
    domains_seen.last_on
from domains_seen
cross join reporting
left join messages_from_counted
    on
        domains_seen.enrichment_id = messages_from_counted.enrichment_id
        and domains_seen.mail_domain = messages_from_counted.mail_domain
left join messages_to_and_meetings_counted
    on
        domains_seen.enrichment_id = messages_to_and_meetings_counted.enrichment_id
        and domains_seen.mail_domain = messages_to_and_meetings_counted.mail_domain
left join personal_mail_domains on domains_seen.mail_domain = personal_mail_domains.domain
left join contact_domains on domains_seen.mail_domain = contact_domains.domain
