-- The original's columns in Spark, from views that rival_spark.py has made: as_of, enrichments, periods, days, pieces,
-- personal_mail_domains, and the raw tables. A line "-- step: NAME" begins a step that is timed.
--
-- What is read more than once is written as Parquet. What is cached carries the whole plan that made it, and a plan that grows
-- with every step took ten minutes on the demo's few rows, and ended without heap.

-- step: addresses

create table mailboxes using parquet as
select
    enrichments.enrichment_no,
    raw.mailbox_id,
    coalesce(cast(raw.monitored_to as timestamp), timestamp '9999-12-31 00:00:00') as monitored_to_at,
    raw.address_keys
from office_mailboxes as raw
inner join enrichments on raw.enrichment_id = enrichments.enrichment_id;

-- An address that moved between people belongs to one: who is still listed, then the lower id.
create table monitored using parquet as
select enrichment_no, address_key, mailbox_id as owner_id, monitored_to_at as owned_to_at
from (
    select
        *,
        row_number() over (
            partition by enrichment_no, address_key order by monitored_to_at desc, mailbox_id
        ) as claim_no
    from (select enrichment_no, mailbox_id, monitored_to_at, explode(address_keys) as address_key from mailboxes)
)
where claim_no = 1;

create table accounts_numbered using parquet as
select cast(row_number() over (order by account_id) as int) as account_no, account_id, website_domain
from accounts;

create table contacts_matched using parquet as
with listed as (
    select
        accounts_numbered.account_no,
        cast(dense_rank() over (order by contacts.contact_id) as bigint) as contact_no,
        contacts.address_key
    from contacts
    inner join accounts_numbered on contacts.account_id = accounts_numbered.account_id
    where contacts.address_key is not null
),

own_domains as (
    select addresses.domain
    from office_addresses as addresses
    left semi join monitored on addresses.address_key = monitored.address_key
    where addresses.domain is not null
),

website_domains as (
    select max(account_no) as account_no, website_domain
    from accounts_numbered
    left anti join own_domains on accounts_numbered.website_domain = own_domains.domain
    left anti join personal_mail_domains on accounts_numbered.website_domain = personal_mail_domains.domain
    where website_domain is not null
    group by website_domain
    having count(*) = 1
),

by_domain as (
    -- below zero, where no contact's number can be
    select
        website_domains.account_no,
        cast(-row_number() over (order by addresses.address_key) as bigint) as contact_no,
        addresses.address_key
    from office_addresses as addresses
    inner join website_domains on addresses.domain = website_domains.website_domain
    left anti join listed on addresses.address_key = listed.address_key
),

both_rules as (
    select enrichments.enrichment_no, listed.*
    from listed
    cross join enrichments
    union all
    select enrichments.enrichment_no, by_domain.*
    from by_domain
    cross join enrichments
    where enrichments.matches_domains
)

-- Who is monitored and a contact is monitored only.
select distinct both_rules.*
from both_rules
left anti join monitored
    on both_rules.enrichment_no = monitored.enrichment_no and both_rules.address_key = monitored.address_key;

-- step: match

create temporary view countable as
select
    mailbox_id,
    item_key,
    message_key,
    thread_key,
    from_key,
    cast(received_at as timestamp) as received_at,
    recipient_keys
from office_messages
where
    not is_draft and not is_meeting_mail and not is_search_folder_copy
    and cast(received_at as timestamp) < (select ends_before_at from as_of);

create table evidence using parquet as
select
    contacts.enrichment_no,
    copies.message_key,
    contacts.account_no,
    contacts.contact_no,
    copies.is_sender
from (
    select mailbox_id, message_key, received_at, from_key as address_key, true as is_sender from countable
    union all
    select mailbox_id, message_key, received_at, explode(recipient_keys) as address_key, false as is_sender
    from countable
) as copies
inner join contacts_matched as contacts on copies.address_key = contacts.address_key
inner join mailboxes
    on
        copies.mailbox_id = mailboxes.mailbox_id
        and contacts.enrichment_no = mailboxes.enrichment_no
        and copies.received_at < mailboxes.monitored_to_at;

-- step: messages

create table copies using parquet as
select
    mailboxes.enrichment_no,
    messages.message_key,
    messages.mailbox_id,
    messages.item_key,
    messages.thread_key,
    messages.from_key,
    monitored.owner_id as from_mailbox_id,
    messages.received_at,
    messages.recipient_keys
from countable as messages
inner join mailboxes
    on messages.mailbox_id = mailboxes.mailbox_id and messages.received_at < mailboxes.monitored_to_at
left semi join evidence
    on mailboxes.enrichment_no = evidence.enrichment_no and messages.message_key = evidence.message_key
left join monitored
    on
        mailboxes.enrichment_no = monitored.enrichment_no
        and messages.from_key = monitored.address_key
        and messages.received_at < monitored.owned_to_at;

create table messages_grouped using parquet as
select
    enrichment_no,
    message_key,
    min(received_at) as happened_at,
    min(from_mailbox_id) as from_mailbox_id,
    min(from_key) as from_key,
    min(thread_key) as thread_key,
    min(from_key) != max(from_key) as is_sender_disputed,
    min(thread_key) != max(thread_key) or count(thread_key) not in (0, count(*)) as is_thread_disputed
from copies
group by enrichment_no, message_key;

-- Copies seldom disagree, so that only those that do are ranked: one of ours first, then any address, then the earliest.
create temporary view disputed_senders as
select enrichment_no, message_key, from_key, from_mailbox_id
from (
    select
        copies.*,
        row_number() over (
            partition by copies.enrichment_no, copies.message_key
            order by copies.from_mailbox_id is null, copies.received_at, copies.mailbox_id, copies.item_key
        ) as sender_no
    from copies
    left semi join messages_grouped
        on
            copies.enrichment_no = messages_grouped.enrichment_no
            and copies.message_key = messages_grouped.message_key
            and messages_grouped.is_sender_disputed
    where copies.from_key is not null
)
where sender_no = 1;

-- The most common form of the thread, then the lowest; none at all comes last.
create temporary view disputed_threads as
select enrichment_no, message_key, thread_key
from (
    select
        *,
        row_number() over (
            partition by enrichment_no, message_key order by copies_count desc, thread_key asc nulls last
        ) as form_no
    from (
        select copies.enrichment_no, copies.message_key, copies.thread_key, count(*) as copies_count
        from copies
        left semi join messages_grouped
            on
                copies.enrichment_no = messages_grouped.enrichment_no
                and copies.message_key = messages_grouped.message_key
                and messages_grouped.is_thread_disputed
        group by copies.enrichment_no, copies.message_key, copies.thread_key
    )
)
where form_no = 1;

-- To the account: one of ours wrote it and a contact receives it. From it: a contact wrote it and one of ours holds it.
create table counted using parquet as
select
    messages.enrichment_no,
    evidence.account_no,
    messages.message_key,
    messages.thread_key,
    evidence.is_sender as is_from_account,
    messages.from_mailbox_id,
    messages.happened_at,
    cast(from_utc_timestamp(messages.happened_at, as_of.time_zone) as date) as happened_on
from (
    select
        grouped.enrichment_no,
        grouped.message_key,
        if(threads.message_key is null, grouped.thread_key, threads.thread_key) as thread_key,
        if(senders.message_key is null, grouped.from_mailbox_id, senders.from_mailbox_id) as from_mailbox_id,
        coalesce(senders.from_key, grouped.from_key) as from_key,
        grouped.happened_at
    from messages_grouped as grouped
    left join disputed_senders as senders
        on grouped.enrichment_no = senders.enrichment_no and grouped.message_key = senders.message_key
    left join disputed_threads as threads
        on grouped.enrichment_no = threads.enrichment_no and grouped.message_key = threads.message_key
) as messages
cross join as_of
inner join (select distinct enrichment_no, message_key, account_no, is_sender from evidence) as evidence
    on
        messages.enrichment_no = evidence.enrichment_no
        and messages.message_key = evidence.message_key
        and evidence.is_sender = (messages.from_mailbox_id is null)
left anti join (select address_key from office_addresses where local_part_class = 'automated') as automated
    on messages.from_key = automated.address_key;

-- step: people

create temporary view counted_in_year as
select
    counted.enrichment_no,
    counted.account_no,
    counted.message_key,
    counted.from_mailbox_id,
    pieces.piece_no
from counted
inner join pieces on counted.happened_on = pieces.day_on;

create table people_in_emails using parquet as
select distinct enrichment_no, account_no, true as is_own, piece_no, person_no
from (
    select enrichment_no, account_no, piece_no, from_mailbox_id as person_no
    from counted_in_year
    where from_mailbox_id is not null
    union all
    select counted.enrichment_no, counted.account_no, counted.piece_no, people.person_no
    from (
        select enrichment_no, message_key, mailbox_id as person_no
        from copies
        union all
        select copies.enrichment_no, copies.message_key, monitored.owner_id as person_no
        from (
            select enrichment_no, message_key, received_at, explode(recipient_keys) as address_key from copies
        ) as copies
        inner join monitored
            on
                copies.enrichment_no = monitored.enrichment_no
                and copies.address_key = monitored.address_key
                and copies.received_at < monitored.owned_to_at
    ) as people
    inner join counted_in_year as counted
        on people.enrichment_no = counted.enrichment_no and people.message_key = counted.message_key
)
union all
select distinct counted.enrichment_no, counted.account_no, false as is_own, counted.piece_no, evidence.contact_no
from evidence
inner join counted_in_year as counted
    on
        evidence.enrichment_no = counted.enrichment_no
        and evidence.account_no = counted.account_no
        and evidence.message_key = counted.message_key;

drop table copies;

drop table evidence;

-- step: replies

-- From one message of the account to its next is one wait; at the same instant ours come first.
create table replies using parquet as
select
    enrichment_no,
    account_no,
    happened_on,
    (unix_micros(answered_at) - unix_micros(waiting_since_at)) div 1000 as reply_milliseconds
from (
    select
        enrichment_no,
        account_no,
        max(happened_on) filter (where is_from_account) as happened_on,
        max(happened_at) filter (where is_from_account) as answered_at,
        min(happened_at) filter (where not is_from_account) as waiting_since_at
    from (
        select
            *,
            coalesce(
                sum(if(is_from_account, 1, 0)) over (
                    partition by enrichment_no, account_no, thread_key
                    order by happened_at, is_from_account, message_key
                    rows between unbounded preceding and 1 preceding
                ),
                0
            ) as wait_no
        from counted
    )
    group by enrichment_no, account_no, thread_key, wait_no
)
where (unix_micros(answered_at) - unix_micros(waiting_since_at)) div 1000 <= 2592000000;

-- step: meetings

create table meeting_copies using parquet as
select
    mailboxes.enrichment_no,
    mailboxes.monitored_to_at,
    entries.*,
    coalesce(entries.gone_at < entries.begins_at, false) as has_vanished
from (
    select
        mailbox_id,
        item_key,
        ical_key,
        organizer_key,
        own_response,
        is_all_day,
        is_cancelled,
        is_organizer,
        attendee_keys,
        attendee_types,
        attendee_responses,
        as_of.time_zone,
        cast(start_at as timestamp) as start_at,
        cast(end_at as timestamp) as end_at,
        cast(read_at as timestamp) as read_at,
        cast(gone_at as timestamp) as gone_at,
        -- All-day dates float: they begin at midnight where the report is read.
        if(
            is_all_day,
            to_utc_timestamp(date_trunc('day', cast(start_at as timestamp)), as_of.time_zone),
            cast(start_at as timestamp)
        ) as begins_at
    from office_meetings
    cross join as_of
    where start_at is not null
) as entries
inner join mailboxes on entries.mailbox_id = mailboxes.mailbox_id;

-- The organiser's copy speaks for the meeting, else the newest; a vanished one speaks last.
create table meetings using parquet as
select
    enrichment_no,
    item_key as meeting_key,
    ical_key,
    start_at,
    begins_at,
    organizer_key,
    happened_on,
    case
        when not is_all_day and end_at >= start_at then (unix_micros(end_at) - unix_micros(start_at)) div 1000
    end as duration_milliseconds
from (
    select
        *,
        cast(from_utc_timestamp(begins_at, time_zone) as date) as happened_on,
        if(
            is_all_day,
            cast(end_at - interval 1 microsecond as date),
            cast(from_utc_timestamp(end_at - interval 1 microsecond, time_zone) as date)
        ) as ended_on,
        bool_or(is_organizer) over (partition by enrichment_no, ical_key, start_at) as has_organizer_copy,
        bool_or(is_cancelled) over (partition by enrichment_no, ical_key, start_at) as is_cancelled_in_any_copy,
        row_number() over (
            partition by enrichment_no, ical_key, start_at
            order by is_organizer desc nulls last, has_vanished, read_at desc nulls last, mailbox_id, item_key
        ) as copy_no
    from meeting_copies
    where begins_at < monitored_to_at
)
where
    copy_no = 1
    and happened_on <= (select as_of_on from as_of)
    and ended_on <= (select as_of_on from as_of)
    and not has_vanished
    and not coalesce(if(has_organizer_copy, is_cancelled, is_cancelled_in_any_copy), false);

create table copies_of_meetings using parquet as
select
    meetings.enrichment_no,
    meetings.meeting_key,
    meetings.begins_at,
    copies.mailbox_id,
    copies.item_key,
    copies.own_response,
    copies.organizer_key,
    copies.attendee_keys,
    copies.attendee_types,
    copies.attendee_responses,
    copies.is_organizer,
    copies.read_at
from meetings
inner join meeting_copies as copies
    on
        meetings.enrichment_no = copies.enrichment_no
        and meetings.ical_key = copies.ical_key
        and meetings.start_at = copies.start_at
        and meetings.begins_at < copies.monitored_to_at
-- A copy that vanished before the meeting began speaks for nobody.
where copies.gone_at is null or copies.gone_at >= meetings.begins_at;

drop table meeting_copies;

create temporary view mentions as
select enrichment_no, meeting_key, address_key, response, is_organizer, mailbox_id, begins_at, read_at
from (
    select
        *,
        inline(arrays_zip(attendee_keys, attendee_types, attendee_responses))
            as (address_key, attendee_type, response)
    from copies_of_meetings
)
where attendee_type is distinct from 'resource'
union all
select enrichment_no, meeting_key, organizer_key, 'organizer', is_organizer, mailbox_id, begins_at, read_at
from copies_of_meetings
where organizer_key is not null;

-- Whose calendar holds it answers by his own copy; anyone else by the organiser's copy, else by the newest.
create temporary view owners as
select enrichment_no, meeting_key, mailbox_id as person_no, own_response as response
from (
    select
        *,
        row_number() over (
            partition by enrichment_no, meeting_key, mailbox_id order by read_at desc nulls last, item_key
        ) as answer_no
    from copies_of_meetings
)
where answer_no = 1;

create temporary view named as
select
    mentions.enrichment_no,
    mentions.meeting_key,
    -1 as account_no,
    monitored.owner_id as person_no,
    mentions.response,
    mentions.is_organizer,
    mentions.read_at,
    mentions.mailbox_id
from mentions
inner join monitored
    on
        mentions.enrichment_no = monitored.enrichment_no
        and mentions.address_key = monitored.address_key
        and mentions.begins_at < monitored.owned_to_at
left anti join owners
    on
        mentions.enrichment_no = owners.enrichment_no
        and mentions.meeting_key = owners.meeting_key
        and monitored.owner_id = owners.person_no
union all
select
    mentions.enrichment_no,
    mentions.meeting_key,
    contacts.account_no,
    contacts.contact_no as person_no,
    mentions.response,
    mentions.is_organizer,
    mentions.read_at,
    mentions.mailbox_id
from mentions
inner join contacts_matched as contacts
    on mentions.enrichment_no = contacts.enrichment_no and mentions.address_key = contacts.address_key;

create table people_in_meetings using parquet as
select enrichment_no, meeting_key, account_no, person_no
from (
    select enrichment_no, meeting_key, -1 as account_no, person_no, response
    from owners
    union all
    select enrichment_no, meeting_key, account_no, person_no, response
    from (
        select
            *,
            row_number() over (
                partition by enrichment_no, meeting_key, account_no, person_no
                order by
                    is_organizer desc nulls last,
                    read_at desc nulls last,
                    mailbox_id,
                    response is distinct from 'organizer',
                    response asc nulls last
            ) as answer_no
        from named
    )
    where answer_no = 1
)
where response is distinct from 'declined';

create table meetings_counted using parquet as
select
    meetings.enrichment_no,
    with_account.account_no,
    meetings.meeting_key,
    meetings.happened_on,
    meetings.duration_milliseconds,
    monitored.address_key is not null as is_to_account,
    monitored.address_key is null and organizers.address_key is not null as is_from_account
from (
    select distinct enrichment_no, meeting_key, account_no from people_in_meetings where account_no != -1
) as with_account
inner join meetings
    on
        with_account.enrichment_no = meetings.enrichment_no
        and with_account.meeting_key = meetings.meeting_key
left semi join (select * from people_in_meetings where account_no = -1) as own_people
    on meetings.enrichment_no = own_people.enrichment_no and meetings.meeting_key = own_people.meeting_key
left join monitored
    on
        meetings.enrichment_no = monitored.enrichment_no
        and meetings.organizer_key = monitored.address_key
        and meetings.begins_at < monitored.owned_to_at
left join (select distinct enrichment_no, account_no, address_key from contacts_matched) as organizers
    on
        meetings.enrichment_no = organizers.enrichment_no
        and with_account.account_no = organizers.account_no
        and meetings.organizer_key = organizers.address_key;

create temporary view people_met as
select distinct
    counted.enrichment_no,
    counted.account_no,
    people.account_no = -1 as is_own,
    pieces.piece_no,
    people.person_no
from meetings_counted as counted
inner join people_in_meetings as people
    on
        counted.enrichment_no = people.enrichment_no
        and counted.meeting_key = people.meeting_key
        and (people.account_no = -1 or people.account_no = counted.account_no)
inner join pieces on counted.happened_on = pieces.day_on;

-- step: periods

create table account_days using parquet as
select
    enrichment_no,
    account_no,
    happened_on,
    sum(emails_to) as emails_to,
    sum(emails_from) as emails_from,
    sum(meetings) as meetings,
    sum(meetings_to) as meetings_to,
    sum(meetings_from) as meetings_from,
    sum(timed_meetings) as timed_meetings,
    sum(duration_milliseconds) as duration_milliseconds
from (
    select
        enrichment_no,
        account_no,
        happened_on,
        if(is_from_account, 0, 1) as emails_to,
        if(is_from_account, 1, 0) as emails_from,
        0 as meetings,
        0 as meetings_to,
        0 as meetings_from,
        0 as timed_meetings,
        0 as duration_milliseconds
    from counted
    union all
    select
        enrichment_no,
        account_no,
        happened_on,
        0,
        0,
        1,
        if(is_to_account, 1, 0),
        if(is_from_account, 1, 0),
        if(duration_milliseconds is null, 0, 1),
        coalesce(duration_milliseconds, 0)
    from meetings_counted
)
group by enrichment_no, account_no, happened_on;

create table account_periods using parquet as
select
    enrichment_no,
    account_no,
    period_no,
    sum(emails_to) as emails_to,
    sum(emails_from) as emails_from,
    sum(meetings_to) as meetings_to,
    sum(meetings_from) as meetings_from,
    sum(duration_milliseconds) / nullif(sum(timed_meetings), 0) / 60000 as meeting_duration_mean_minutes
from account_days
inner join days on account_days.happened_on = days.day_on
group by enrichment_no, account_no, period_no;

create temporary view people_counts as
select
    enrichment_no,
    account_no,
    period_no,
    count_if(not in_meeting and is_own) as own_people_in_emails,
    count_if(not in_meeting and not is_own) as account_people_in_emails,
    count_if(in_meeting and is_own) as own_people_in_meetings,
    count_if(in_meeting and not is_own) as account_people_in_meetings
from (
    select distinct enrichment_no, account_no, is_own, person_no, in_meeting, period_no
    from (
        select *, false as in_meeting from people_in_emails
        union all
        select *, true as in_meeting from people_met
    ) as people
    inner join (
        select distinct pieces.piece_no, days.period_no from pieces inner join days on pieces.day_on = days.day_on
    ) as piece_periods
        on people.piece_no = piece_periods.piece_no
)
group by enrichment_no, account_no, period_no;

create temporary view reply_means as
select
    enrichment_no,
    account_no,
    period_no,
    sum(reply_milliseconds) / count(*) / 3600000 as reply_time_mean_hours
from replies
inner join days on replies.happened_on = days.day_on
group by enrichment_no, account_no, period_no;

-- The last days up to the end of each period, which stands in the row of the days as one more day.
create temporary view last_days as
select enrichment_no, account_no, period_no, last_email_on, last_meeting_on
from (
    select
        enrichment_no,
        account_no,
        period_no,
        max(email_on) over up_to_here as last_email_on,
        max(meeting_on) over up_to_here as last_meeting_on
    from (
        select
            enrichment_no,
            account_no,
            happened_on,
            null as period_no,
            if(emails_to + emails_from > 0, happened_on, null) as email_on,
            if(meetings > 0, happened_on, null) as meeting_on
        from account_days
        union all
        select totals.enrichment_no, totals.account_no, periods.counts_to_on, totals.period_no, null, null
        from account_periods as totals
        inner join periods on totals.period_no = periods.period_no
    )
    window up_to_here as (
        partition by enrichment_no, account_no
        order by happened_on, period_no nulls first
        rows between unbounded preceding and current row
    )
)
where period_no is not null;

create temporary view result as
select
    enrichments.enrichment_id,
    accounts.account_id,
    periods.level as aggregation_level,
    accounts.account_id || '|' || periods.level || '|' || cast(periods.starts_on as string) as primary_key,
    totals.emails_to as emails_to_account_count,
    totals.emails_from as emails_from_account_count,
    totals.meetings_to as meetings_to_account_count,
    totals.meetings_from as meetings_from_account_count,
    coalesce(people.own_people_in_emails, 0) as own_people_in_emails_count,
    coalesce(people.account_people_in_emails, 0) as account_people_in_emails_count,
    coalesce(people.own_people_in_meetings, 0) as own_people_in_meetings_count,
    coalesce(people.account_people_in_meetings, 0) as account_people_in_meetings_count,
    cast(datediff(periods.counts_to_on, last_days.last_email_on) as bigint) as days_since_last_email,
    cast(datediff(periods.counts_to_on, last_days.last_meeting_on) as bigint) as days_since_last_meeting,
    totals.meeting_duration_mean_minutes,
    reply_means.reply_time_mean_hours,
    first_days.engagement_started_on,
    periods.starts_on as aggregation_starts_on
from account_periods as totals
inner join periods on totals.period_no = periods.period_no
inner join enrichments on totals.enrichment_no = enrichments.enrichment_no
inner join accounts_numbered as accounts on totals.account_no = accounts.account_no
inner join (
    select enrichment_no, account_no, min(happened_on) as engagement_started_on
    from account_days
    group by enrichment_no, account_no
) as first_days
    on totals.enrichment_no = first_days.enrichment_no and totals.account_no = first_days.account_no
inner join last_days
    on
        totals.enrichment_no = last_days.enrichment_no
        and totals.account_no = last_days.account_no
        and totals.period_no = last_days.period_no
left join people_counts as people
    on
        totals.enrichment_no = people.enrichment_no
        and totals.account_no = people.account_no
        and totals.period_no = people.period_no
left join reply_means
    on
        totals.enrichment_no = reply_means.enrichment_no
        and totals.account_no = reply_means.account_no
        and totals.period_no = reply_means.period_no;
