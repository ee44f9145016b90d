-- The original's columns in PostgreSQL, from tables that rival_postgres.py has loaded: as_of, enrichments, mailboxes, periods,
-- days, pieces, personal_mail_domains, accounts, contacts_listed, addresses, messages, entries. A line "-- step: NAME" begins a
-- step that is timed.
--
-- Tables are unlogged, not temporary, since parallel queries cannot read those; and each is analysed before it is joined. All
-- mail is read whole and joined by hash, so that indexes on it would cost their building and serve nothing.

-- step: addresses

-- An address that moved between people belongs to one: who is still listed, then the lower id.
create unlogged table monitored as
select distinct on (enrichment_no, address_key)
    enrichment_no,
    address_key,
    mailbox_id,
    monitored_to_at
from mailboxes
cross join lateral unnest(address_keys) as claims (address_key)
order by enrichment_no, address_key, monitored_to_at desc, mailbox_id;

analyze monitored;

create unlogged table contacts as
with listed as (
    select
        accounts.account_no,
        dense_rank() over (order by contacts_listed.contact_id) as contact_no,
        contacts_listed.address_key
    from contacts_listed
    inner join accounts using (account_id)
    where contacts_listed.address_key is not null
),

website_domains as (
    select
        min(account_no) as account_no,
        website_domain
    from accounts
    where
        website_domain is not null
        and website_domain not in (select domain from personal_mail_domains)
        and not exists (
            select 1
            from monitored
            inner join addresses using (address_key)
            where addresses.domain = accounts.website_domain
        )
    group by website_domain
    having count(*) = 1
),

both_rules as (
    select enrichment_no, account_no, contact_no, address_key
    from listed
    cross join enrichments
    union all
    -- below zero, where no contact's number can be
    select enrichment_no, website_domains.account_no, -row_number() over (), addresses.address_key
    from addresses
    inner join website_domains on addresses.domain = website_domains.website_domain
    cross join enrichments
    where
        enrichments.matches_domains
        and not exists (select 1 from listed where listed.address_key = addresses.address_key)
)

-- Who is monitored and a contact is monitored only.
select distinct both_rules.*
from both_rules
where not exists (
    select 1
    from monitored
    where monitored.enrichment_no = both_rules.enrichment_no and monitored.address_key = both_rules.address_key
);

analyze contacts;

-- step: match

create unlogged table evidence as
select
    contacts.enrichment_no,
    copies.message_key,
    contacts.account_no,
    contacts.contact_no,
    copies.is_sender
from (
    select mailbox_id, message_key, received_at, from_key as address_key, true as is_sender from messages
    union all
    select mailbox_id, message_key, received_at, recipients.address_key, false as is_sender
    from messages
    cross join lateral unnest(recipient_keys) as recipients (address_key)
) as copies
inner join contacts using (address_key)
inner join mailboxes
    on
        copies.mailbox_id = mailboxes.mailbox_id
        and contacts.enrichment_no = mailboxes.enrichment_no
        and copies.received_at < mailboxes.monitored_to_at;

analyze evidence;

-- step: messages

create unlogged table matched as
select distinct enrichment_no, message_key from evidence;

analyze matched;

create unlogged table copies as
select
    mailboxes.enrichment_no,
    messages.message_key,
    messages.mailbox_id,
    messages.item_key,
    messages.thread_key,
    messages.from_key,
    monitored.mailbox_id as from_mailbox_id,
    messages.received_at,
    messages.recipient_keys
from messages
inner join mailboxes
    on messages.mailbox_id = mailboxes.mailbox_id and messages.received_at < mailboxes.monitored_to_at
inner join matched
    on mailboxes.enrichment_no = matched.enrichment_no and messages.message_key = matched.message_key
left join monitored
    on
        mailboxes.enrichment_no = monitored.enrichment_no
        and messages.from_key = monitored.address_key
        and messages.received_at < monitored.monitored_to_at;

analyze copies;

create unlogged table messages_grouped as
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

analyze messages_grouped;

-- Copies seldom disagree, so that only those that do are ranked: one of ours first, then any address, then the earliest.
create unlogged table disputed_senders as
select distinct on (enrichment_no, message_key)
    copies.enrichment_no,
    copies.message_key,
    copies.from_key,
    copies.from_mailbox_id
from copies
inner join messages_grouped using (enrichment_no, message_key)
where messages_grouped.is_sender_disputed and copies.from_key is not null
order by enrichment_no, message_key, copies.from_mailbox_id is null, copies.received_at, copies.mailbox_id, copies.item_key;

-- The most common form of the thread, then the lowest; none at all comes last.
create unlogged table disputed_threads as
select distinct on (enrichment_no, message_key)
    enrichment_no,
    message_key,
    thread_key
from (
    select enrichment_no, message_key, copies.thread_key, count(*) as copies_count
    from copies
    inner join messages_grouped using (enrichment_no, message_key)
    where messages_grouped.is_thread_disputed
    group by enrichment_no, message_key, copies.thread_key
) as forms
order by enrichment_no, message_key, copies_count desc, thread_key nulls last;

analyze disputed_senders;

analyze disputed_threads;

-- To the account: one of ours wrote it and a contact receives it. From it: a contact wrote it and one of ours holds it.
create unlogged table counted as
select
    messages.enrichment_no,
    evidence.account_no,
    messages.message_key,
    messages.thread_key,
    evidence.is_sender as is_from_account,
    messages.from_mailbox_id,
    messages.happened_at,
    cast(messages.happened_at at time zone 'UTC' at time zone (select time_zone from as_of) as date) as happened_on
from (
    select
        grouped.enrichment_no,
        grouped.message_key,
        case when threads.message_key is null then grouped.thread_key else threads.thread_key end as thread_key,
        case when senders.message_key is null then grouped.from_mailbox_id else senders.from_mailbox_id end
            as from_mailbox_id,
        coalesce(senders.from_key, grouped.from_key) as from_key,
        grouped.happened_at
    from messages_grouped as grouped
    left join disputed_senders as senders using (enrichment_no, message_key)
    left join disputed_threads as threads using (enrichment_no, message_key)
) as messages
inner join (select distinct enrichment_no, message_key, account_no, is_sender from evidence) as evidence
    on
        messages.enrichment_no = evidence.enrichment_no
        and messages.message_key = evidence.message_key
        and evidence.is_sender = (messages.from_mailbox_id is null)
where not exists (
    select 1
    from addresses
    where addresses.local_part_class = 'automated' and addresses.address_key = messages.from_key
);

analyze counted;

-- step: people

create unlogged table counted_in_year as
select enrichment_no, account_no, message_key, from_mailbox_id, piece_no
from counted
inner join pieces on counted.happened_on = pieces.day_on;

analyze counted_in_year;

create unlogged table people_in_emails as
select distinct enrichment_no, account_no, true as is_own, piece_no, person_no
from (
    select enrichment_no, account_no, piece_no, from_mailbox_id as person_no
    from counted_in_year
    where from_mailbox_id is not null
    union all
    select enrichment_no, account_no, piece_no, copies.mailbox_id as person_no
    from copies
    inner join counted_in_year using (enrichment_no, message_key)
    union all
    select enrichment_no, account_no, piece_no, monitored.mailbox_id as person_no
    from copies
    cross join lateral unnest(recipient_keys) as recipients (address_key)
    inner join monitored using (enrichment_no, address_key)
    inner join counted_in_year using (enrichment_no, message_key)
    where copies.received_at < monitored.monitored_to_at
) as own_people;

insert into people_in_emails
select distinct enrichment_no, account_no, false as is_own, piece_no, contact_no as person_no
from evidence
inner join counted_in_year using (enrichment_no, account_no, message_key);

-- step: replies

-- From one message of the account to its next is one wait; at the same instant ours come first.
create unlogged table replies as
select
    enrichment_no,
    account_no,
    happened_on,
    cast(floor(extract(epoch from answered_at - waiting_since_at) * 1000) as bigint) as reply_milliseconds
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
            count(*) filter (where is_from_account) over (
                partition by enrichment_no, account_no, thread_key
                order by happened_at, is_from_account, message_key
                rows between unbounded preceding and 1 preceding
            ) as wait_no
        from counted
    ) as waits
    group by enrichment_no, account_no, thread_key, wait_no
) as answered
where extract(epoch from answered_at - waiting_since_at) < 720 * 3600 + 0.001;

-- step: meetings

create unlogged table meeting_copies as
select
    mailboxes.enrichment_no,
    mailboxes.monitored_to_at,
    entries.*,
    coalesce(entries.gone_at < entries.begins_at, false) as has_vanished
from (
    select
        entries.*,
        -- All-day dates float: they begin at midnight where the report is read.
        case
            when is_all_day
                then date_trunc('day', start_at) at time zone (select time_zone from as_of) at time zone 'UTC'
            else start_at
        end as begins_at
    from entries
) as entries
inner join mailboxes using (mailbox_id);

analyze meeting_copies;

-- The organiser's copy speaks for the meeting, else the newest; a vanished one speaks last.
create unlogged table meetings as
select
    enrichment_no,
    item_key as meeting_key,
    ical_key,
    start_at,
    begins_at,
    organizer_key,
    happened_on,
    case
        when not is_all_day and end_at >= start_at
            then cast(floor(extract(epoch from end_at - start_at) * 1000) as bigint)
    end as duration_milliseconds
from (
    select
        *,
        cast(begins_at at time zone 'UTC' at time zone (select time_zone from as_of) as date) as happened_on,
        case
            when is_all_day then cast(end_at - interval '1 microsecond' as date)
            else
                cast(
                    (end_at - interval '1 microsecond') at time zone 'UTC' at time zone (select time_zone from as_of)
                    as date
                )
        end as ended_on,
        bool_or(is_organizer) over copies_of_one as has_organizer_copy,
        bool_or(is_cancelled) over copies_of_one as is_cancelled_in_any_copy,
        row_number() over (
            partition by enrichment_no, ical_key, start_at
            order by is_organizer desc nulls last, has_vanished, read_at desc nulls last, mailbox_id, item_key
        ) as copy_no
    from meeting_copies
    where begins_at < monitored_to_at
    window copies_of_one as (partition by enrichment_no, ical_key, start_at)
) as ranked
where
    copy_no = 1
    and happened_on <= (select as_of_on from as_of)
    and ended_on <= (select as_of_on from as_of)
    and not has_vanished
    and not coalesce(case when has_organizer_copy then is_cancelled else is_cancelled_in_any_copy end, false);

analyze meetings;

create unlogged table copies_of_meetings as
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

analyze copies_of_meetings;

create unlogged table mentions as
select enrichment_no, meeting_key, attendees.address_key, response, is_organizer, mailbox_id, begins_at, read_at
from copies_of_meetings
cross join lateral unnest(attendee_keys, attendee_types, attendee_responses)
    as attendees (address_key, attendee_type, response)
where attendee_type is distinct from 'resource'
union all
select enrichment_no, meeting_key, organizer_key, 'organizer', is_organizer, mailbox_id, begins_at, read_at
from copies_of_meetings
where organizer_key is not null;

analyze mentions;

-- Whose calendar holds it answers by his own copy; anyone else by the organiser's copy, else by the newest.
create unlogged table owners as
select distinct on (enrichment_no, meeting_key, mailbox_id)
    enrichment_no,
    meeting_key,
    mailbox_id as person_no,
    own_response as response
from copies_of_meetings
order by enrichment_no, meeting_key, mailbox_id, read_at desc nulls last, item_key;

analyze owners;

create unlogged table people_in_meetings as
select enrichment_no, meeting_key, account_no, person_no
from (
    select enrichment_no, meeting_key, -1 as account_no, person_no, response
    from owners
    union all
    (
        select distinct on (enrichment_no, meeting_key, account_no, person_no)
            enrichment_no,
            meeting_key,
            account_no,
            person_no,
            response
        from (
            select -1 as account_no, monitored.mailbox_id as person_no, mentions.*
            from mentions
            inner join monitored using (enrichment_no, address_key)
            where
                mentions.begins_at < monitored.monitored_to_at
                and not exists (
                    select 1
                    from owners
                    where
                        owners.enrichment_no = mentions.enrichment_no
                        and owners.meeting_key = mentions.meeting_key
                        and owners.person_no = monitored.mailbox_id
                )
            union all
            select contacts.account_no, contacts.contact_no as person_no, mentions.*
            from mentions
            inner join contacts using (enrichment_no, address_key)
        ) as named
        order by
            enrichment_no,
            meeting_key,
            account_no,
            person_no,
            is_organizer desc nulls last,
            read_at desc nulls last,
            mailbox_id,
            response is distinct from 'organizer',
            response collate "C" nulls last
    )
) as answers
where response is distinct from 'declined';

analyze people_in_meetings;

create unlogged table meetings_counted as
select
    with_account.enrichment_no,
    with_account.account_no,
    with_account.meeting_key,
    meetings.happened_on,
    meetings.duration_milliseconds,
    monitored.address_key is not null as is_to_account,
    monitored.address_key is null and organizers.address_key is not null as is_from_account
from (
    select distinct enrichment_no, meeting_key, account_no from people_in_meetings where account_no != -1
) as with_account
inner join meetings using (enrichment_no, meeting_key)
left join monitored
    on
        meetings.enrichment_no = monitored.enrichment_no
        and meetings.organizer_key = monitored.address_key
        and meetings.begins_at < monitored.monitored_to_at
left join (select distinct enrichment_no, account_no, address_key from contacts) as organizers
    on
        meetings.enrichment_no = organizers.enrichment_no
        and with_account.account_no = organizers.account_no
        and meetings.organizer_key = organizers.address_key
where exists (
    select 1
    from people_in_meetings as own_people
    where
        own_people.account_no = -1
        and own_people.enrichment_no = with_account.enrichment_no
        and own_people.meeting_key = with_account.meeting_key
);

analyze meetings_counted;

create unlogged table people_met as
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
        and people.account_no in (-1, counted.account_no)
inner join pieces on counted.happened_on = pieces.day_on;

-- step: periods

create unlogged table account_days as
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
        enrichment_no, account_no, happened_on,
        count(*) filter (where not is_from_account) as emails_to,
        count(*) filter (where is_from_account) as emails_from,
        0 as meetings, 0 as meetings_to, 0 as meetings_from, 0 as timed_meetings, 0 as duration_milliseconds
    from counted
    group by enrichment_no, account_no, happened_on
    union all
    select
        enrichment_no, account_no, happened_on,
        0, 0,
        count(*),
        count(*) filter (where is_to_account),
        count(*) filter (where is_from_account),
        count(duration_milliseconds),
        coalesce(sum(duration_milliseconds), 0)
    from meetings_counted
    group by enrichment_no, account_no, happened_on
) as both_channels
group by enrichment_no, account_no, happened_on;

-- the last day up to the end of a period is the first of such an index
create index email_days on account_days (enrichment_no, account_no, happened_on) where emails_to + emails_from > 0;

create index meeting_days on account_days (enrichment_no, account_no, happened_on) where meetings > 0;

analyze account_days;

create unlogged table account_periods as
select
    enrichment_no,
    account_no,
    period_no,
    sum(emails_to) as emails_to,
    sum(emails_from) as emails_from,
    sum(meetings_to) as meetings_to,
    sum(meetings_from) as meetings_from,
    cast(sum(duration_milliseconds) as double precision) / nullif(sum(timed_meetings), 0) / 60000
        as meeting_duration_mean_minutes
from account_days
inner join days on account_days.happened_on = days.day_on
group by enrichment_no, account_no, period_no;

create unlogged table people_counts as
select
    enrichment_no,
    account_no,
    period_no,
    count(*) filter (where not in_meeting and is_own) as own_people_in_emails,
    count(*) filter (where not in_meeting and not is_own) as account_people_in_emails,
    count(*) filter (where in_meeting and is_own) as own_people_in_meetings,
    count(*) filter (where in_meeting and not is_own) as account_people_in_meetings
from (
    select distinct enrichment_no, account_no, is_own, person_no, in_meeting, period_no
    from (
        select *, false as in_meeting from people_in_emails
        union all
        select *, true as in_meeting from people_met
    ) as people
    inner join (select distinct piece_no, period_no from pieces inner join days using (day_on)) as piece_periods
        using (piece_no)
) as people_by_period
group by enrichment_no, account_no, period_no;

create unlogged table reply_means as
select
    enrichment_no,
    account_no,
    period_no,
    cast(sum(reply_milliseconds) as double precision) / count(*) / 3600000 as reply_time_mean_hours
from replies
inner join days on replies.happened_on = days.day_on
group by enrichment_no, account_no, period_no;

analyze account_periods;

analyze people_counts;

analyze reply_means;

create unlogged table result as
select
    enrichments.enrichment_id,
    accounts.account_id,
    periods.level as aggregation_level,
    accounts.account_id || '|' || periods.level || '|' || periods.starts_on as primary_key,
    totals.emails_to as emails_to_account_count,
    totals.emails_from as emails_from_account_count,
    totals.meetings_to as meetings_to_account_count,
    totals.meetings_from as meetings_from_account_count,
    coalesce(people.own_people_in_emails, 0) as own_people_in_emails_count,
    coalesce(people.account_people_in_emails, 0) as account_people_in_emails_count,
    coalesce(people.own_people_in_meetings, 0) as own_people_in_meetings_count,
    coalesce(people.account_people_in_meetings, 0) as account_people_in_meetings_count,
    periods.counts_to_on - (
        select max(account_days.happened_on)
        from account_days
        where
            account_days.enrichment_no = totals.enrichment_no
            and account_days.account_no = totals.account_no
            and account_days.happened_on <= periods.counts_to_on
            and account_days.emails_to + account_days.emails_from > 0
    ) as days_since_last_email,
    periods.counts_to_on - (
        select max(account_days.happened_on)
        from account_days
        where
            account_days.enrichment_no = totals.enrichment_no
            and account_days.account_no = totals.account_no
            and account_days.happened_on <= periods.counts_to_on
            and account_days.meetings > 0
    ) as days_since_last_meeting,
    totals.meeting_duration_mean_minutes,
    reply_means.reply_time_mean_hours,
    first_days.engagement_started_on,
    periods.starts_on as aggregation_starts_on
from account_periods as totals
inner join periods using (period_no)
inner join enrichments using (enrichment_no)
inner join accounts using (account_no)
inner join (
    select enrichment_no, account_no, min(happened_on) as engagement_started_on
    from account_days
    group by enrichment_no, account_no
) as first_days using (enrichment_no, account_no)
left join people_counts as people using (enrichment_no, account_no, period_no)
left join reply_means using (enrichment_no, account_no, period_no);
