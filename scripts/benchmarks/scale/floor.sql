-- The floor: what hand-written SQL for DuckDB needs for the original's columns alone, from the raw tables of the database
-- attached as `private`, into the table `result`. The rules are those of docs/metrics.md and of the models.
--
-- One statement after another, on a fresh connection; a line "-- step: NAME" begins a step that is timed. The variable
-- `personal_mail_domains` names the seed of that name.

-- step: settings

create temp table reporting as
select
    coalesce(max(value) filter (where key = 'reporting.time_zone'), 'UTC') as time_zone,
    coalesce(max(value) filter (where key = 'reporting.small_numbers'), 'show') as small_numbers
from private.raw.settings
where enrichment_id = '';

-- Small numbers change what is shown, not what it costs to count them.
select error('small numbers are banded in this file; the floor counts only where they are shown')
from reporting
where small_numbers != 'show';

create temp table enrichments as
select
    cast(row_number() over (order by enrichment_id) as smallint) as enrichment_no,
    enrichment_id,
    coalesce(max(value) filter (where key = 'domain_matching'), 'false') = 'true' as matches_domains,
    coalesce(max(value) filter (where key = 'active'), 'true') = 'true'
    and coalesce(max(value) filter (where key = 'consent_state'), 'given') = 'given' as is_read,
    cast(coalesce(max(value) filter (where key = 'tolerated_failures'), '0') as double) as tolerated_failures_ratio
from private.raw.settings
where enrichment_id != ''
group by enrichment_id
having
    max(value) filter (where key = 'type') = 'office'
    and coalesce(max(value) filter (where key = 'has_outputs'), 'true') = 'true';

create temp table mailboxes as
select
    enrichment_no,
    mailbox_id,
    coalesce(monitored_to, timestamp '9999-12-31') as monitored_to_at,
    address_keys,
    state in ('readable', 'incomplete', 'throttled') and monitored_to is null as can_be_read
from private.raw.office_mailboxes
inner join enrichments using (enrichment_id);

-- The as-of date: the last whole local day that all mailboxes but the tolerated share have been read to.
create temp table as_of as
with waited_for as (
    select * from enrichments
    where is_read or not exists (select 1 from enrichments where is_read)
),

read_to as (
    select
        mailboxes.mailbox_id,
        case when count(units.kind) = 2 then min(units.read_to) end as read_to
    from (
        select distinct mailbox_id
        from mailboxes
        inner join waited_for using (enrichment_no)
        where can_be_read
    ) as mailboxes
    left join (
        select mailbox_id, kind, max(least(read_to, read_at)) as read_to
        from private.raw.office_units
        group by all
    ) as units using (mailbox_id)
    group by mailboxes.mailbox_id
),

ranked as (
    select
        read_to,
        row_number() over (order by read_to nulls first, mailbox_id) as place,
        count(*) over () as mailbox_count
    from read_to
),

newest as (
    select cast(timezone(any_value(time_zone), timezone('UTC', min(read_to))) as date) - 1 as as_of_on
    from ranked
    cross join reporting
    where place > floor(mailbox_count * (select min(tolerated_failures_ratio) from waited_for) + 0.000001)
    having count(*) = count(read_to)
)

select
    as_of_on,
    as_of_on - 364 as year_starts_on,
    timezone('UTC', timezone(time_zone, cast(as_of_on + 1 as timestamp))) as ends_before_at
from newest
cross join reporting
where as_of_on is not null;

create temp table periods as
select
    cast(row_number() over () as smallint) as period_no,
    level,
    starts_on,
    greatest(starts_on, year_starts_on) as counts_from_on,
    least(ends_on, as_of_on) as counts_to_on
from (
    select distinct
        level,
        cast(date_trunc(level, day_on) as date) as starts_on,
        cast(date_trunc(level, day_on) + to_interval - interval 1 day as date) as ends_on
    from (
        select unnest(generate_series(year_starts_on, as_of_on, interval 1 day)) as day_on from as_of
    ) as days
    cross join (values ('month', interval 1 month), ('week', interval 7 day)) as levels (level, to_interval)
    union all
    select 'year', year_starts_on, as_of_on from as_of
) as calendar
cross join as_of;

create temp table days as
select
    cast(unnest(generate_series(counts_from_on, counts_to_on, interval 1 day)) as date) as day_on,
    period_no
from periods;

-- Days of the same week and the same month are in the same periods: people are told apart by such pieces, half as many rows.
create temp table pieces as
select
    day_on,
    cast(dense_rank() over (order by date_trunc('week', day_on), date_trunc('month', day_on)) as smallint) as piece_no
from (select distinct day_on from days) as days_of_year;

create temp table piece_periods as
select distinct piece_no, period_no
from pieces
inner join days using (day_on);

-- step: addresses

-- An address that moved between people belongs to one: who is still listed, then the lower id.
create temp table monitored as
select
    enrichment_no,
    address_key,
    arg_min(mailbox_id, (-epoch_us(monitored_to_at), mailbox_id)) as mailbox_id,
    max(monitored_to_at) as monitored_to_at
from (select enrichment_no, mailbox_id, monitored_to_at, unnest(address_keys) as address_key from mailboxes) as claims
group by enrichment_no, address_key;

create temp table accounts as
select
    cast(row_number() over (order by account_id) as integer) as account_no,
    account_id,
    website_domain
from private.raw.accounts;

create temp table contacts as
with listed as (
    select
        account_no,
        cast(dense_rank() over (order by contact_id) as bigint) as contact_no,
        address_key
    from private.raw.contacts
    inner join accounts using (account_id)
),

website_domains as (
    select
        any_value(account_no) as account_no,
        website_domain
    from accounts
    where
        website_domain is not null
        and website_domain not in (select domain from read_csv(getvariable('personal_mail_domains')))
        and not exists (
            select 1
            from monitored
            inner join private.raw.office_addresses as addresses using (address_key)
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
    from private.raw.office_addresses as addresses
    inner join website_domains on addresses.domain = website_domains.website_domain
    cross join enrichments
    where enrichments.matches_domains and addresses.address_key not in (select address_key from listed)
)

-- Who is monitored and a contact is monitored only.
select distinct both_rules.*
from both_rules
anti join monitored using (enrichment_no, address_key)
where address_key is not null;

-- step: match

-- What follows reads the rows of all mail, and a constant costs less there than a join with a table of one row.
set variable ends_before_at = (select ends_before_at from as_of);

-- Integer keys first: most mail matches nobody, and is gone before anything is grouped. Lists are unnested before anything
-- is joined, since they are slow to carry through a join.
create temp table evidence as
select
    contacts.enrichment_no,
    copies.message_key,
    contacts.account_no,
    contacts.contact_no,
    copies.is_sender
from (
    select mailbox_id, message_key, received_at, from_key as address_key, true as is_sender
    from private.raw.office_messages
    where
        not is_draft and not is_meeting_mail and not is_search_folder_copy
        and received_at < getvariable('ends_before_at')
    union all
    select mailbox_id, message_key, received_at, unnest(recipient_keys) as address_key, false as is_sender
    from private.raw.office_messages
    where
        not is_draft and not is_meeting_mail and not is_search_folder_copy
        and received_at < getvariable('ends_before_at')
) as copies
inner join contacts using (address_key)
inner join mailboxes
    on
        copies.mailbox_id = mailboxes.mailbox_id
        and contacts.enrichment_no = mailboxes.enrichment_no
        and copies.received_at < mailboxes.monitored_to_at;

-- step: messages

create temp table matched as
select distinct enrichment_no, message_key from evidence;

create temp table copies as
select
    mailboxes.enrichment_no,
    messages.message_key,
    messages.mailbox_id,
    messages.item_key,
    messages.thread_key,
    messages.from_key,
    monitored.mailbox_id as from_mailbox_id,
    messages.received_at
from private.raw.office_messages as messages
inner join mailboxes
    on messages.mailbox_id = mailboxes.mailbox_id and messages.received_at < mailboxes.monitored_to_at
inner join matched
    on mailboxes.enrichment_no = matched.enrichment_no and messages.message_key = matched.message_key
left join monitored
    on
        mailboxes.enrichment_no = monitored.enrichment_no
        and messages.from_key = monitored.address_key
        and messages.received_at < monitored.monitored_to_at
where
    not messages.is_draft and not messages.is_meeting_mail and not messages.is_search_folder_copy
    and messages.received_at < getvariable('ends_before_at')
    -- before the joins, which all mail would go through otherwise
    and messages.message_key in (select message_key from matched);

create temp table messages_grouped as
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
create temp table disputed_senders as
select enrichment_no, message_key, from_key, from_mailbox_id
from copies
semi join (select * from messages_grouped where is_sender_disputed) using (enrichment_no, message_key)
where from_key is not null
qualify
    row_number() over (
        partition by enrichment_no, message_key
        order by from_mailbox_id is null, received_at, mailbox_id, item_key
    ) = 1;

-- The most common form of the thread, then the lowest; none at all comes last.
create temp table disputed_threads as
select enrichment_no, message_key, thread_key
from copies
semi join (select * from messages_grouped where is_thread_disputed) using (enrichment_no, message_key)
group by enrichment_no, message_key, thread_key
qualify
    row_number() over (
        partition by enrichment_no, message_key
        order by count(*) desc, thread_key nulls last
    ) = 1;

-- To the account: one of ours wrote it and a contact receives it. From it: a contact wrote it and one of ours holds it.
create temp table counted as
select
    messages.enrichment_no,
    evidence.account_no,
    messages.message_key,
    messages.thread_key,
    evidence.is_sender as is_from_account,
    messages.from_mailbox_id,
    messages.happened_at,
    messages.happened_on
from (
    select
        grouped.enrichment_no,
        grouped.message_key,
        if(threads.message_key is null, grouped.thread_key, threads.thread_key) as thread_key,
        if(senders.message_key is null, grouped.from_mailbox_id, senders.from_mailbox_id) as from_mailbox_id,
        grouped.happened_at,
        cast(timezone(reporting.time_zone, timezone('UTC', grouped.happened_at)) as date) as happened_on
    from messages_grouped as grouped
    cross join reporting
    left join disputed_senders as senders using (enrichment_no, message_key)
    left join disputed_threads as threads using (enrichment_no, message_key)
    anti join (select address_key from private.raw.office_addresses where local_part_class = 'automated') as automated
        on coalesce(senders.from_key, grouped.from_key) = automated.address_key
) as messages
inner join (select distinct enrichment_no, message_key, account_no, is_sender from evidence) as evidence
    on
        messages.enrichment_no = evidence.enrichment_no
        and messages.message_key = evidence.message_key
        and evidence.is_sender = (messages.from_mailbox_id is null);

-- What is not needed any more would take memory from what follows.
drop table messages_grouped;

drop table matched;

-- step: people

create temp table counted_in_year as
select enrichment_no, account_no, message_key, from_mailbox_id, piece_no
from counted
inner join pieces on counted.happened_on = pieces.day_on;

create temp table people_in_emails as
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
    select monitored.enrichment_no, account_no, piece_no, monitored.mailbox_id as person_no
    from (
        select mailbox_id, message_key, received_at, unnest(recipient_keys) as address_key
        from private.raw.office_messages
        where
            not is_draft and not is_meeting_mail and not is_search_folder_copy
            and received_at < getvariable('ends_before_at')
            and message_key in (select message_key from counted_in_year)
    ) as recipients
    inner join monitored
        on recipients.address_key = monitored.address_key and recipients.received_at < monitored.monitored_to_at
    inner join mailboxes
        on
            recipients.mailbox_id = mailboxes.mailbox_id
            and monitored.enrichment_no = mailboxes.enrichment_no
            and recipients.received_at < mailboxes.monitored_to_at
    inner join counted_in_year
        on
            monitored.enrichment_no = counted_in_year.enrichment_no
            and recipients.message_key = counted_in_year.message_key
) as own_people
union all
select distinct enrichment_no, account_no, false as is_own, piece_no, contact_no as person_no
from evidence
inner join counted_in_year using (enrichment_no, account_no, message_key);

drop table copies;

drop table evidence;

drop table counted_in_year;

-- step: replies

-- From one message of the account to its next is one wait; at the same instant ours come first.
create temp table replies as
select
    enrichment_no,
    account_no,
    max(happened_on) filter (where is_from_account) as happened_on,
    (epoch_us(max(happened_at) filter (where is_from_account))
    - epoch_us(min(happened_at) filter (where not is_from_account))) // 1000 as reply_milliseconds
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
having bool_or(is_from_account) and bool_or(not is_from_account) and reply_milliseconds <= 720 * cast(3600000 as bigint);

-- step: meetings

create temp table meeting_copies as
select
    mailboxes.enrichment_no,
    entries.mailbox_id,
    entries.item_key,
    entries.ical_key,
    entries.start_at,
    entries.end_at,
    entries.is_all_day,
    entries.is_cancelled,
    entries.is_organizer,
    entries.own_response,
    entries.organizer_key,
    entries.attendee_keys,
    entries.attendee_types,
    entries.attendee_responses,
    entries.read_at,
    entries.gone_at,
    entries.begins_at,
    mailboxes.monitored_to_at,
    coalesce(entries.gone_at < entries.begins_at, false) as has_vanished
from (
    select
        entries.*,
        -- All-day dates float: they begin at midnight where the report is read.
        case
            when is_all_day
                then timezone('UTC', timezone(time_zone, cast(cast(start_at as date) as timestamp)))
            else start_at
        end as begins_at
    from private.raw.office_meetings as entries
    cross join reporting
    where start_at is not null
) as entries
inner join mailboxes using (mailbox_id);

-- The organiser's copy speaks for the meeting, else the newest; a vanished one speaks last.
create temp table meetings as
select
    enrichment_no,
    item_key as meeting_key,
    ical_key,
    start_at,
    begins_at,
    organizer_key,
    happened_on,
    case
        when not is_all_day and end_at >= start_at then (epoch_us(end_at) - epoch_us(start_at)) // 1000
    end as duration_milliseconds
from (
    select
        *,
        cast(timezone(time_zone, timezone('UTC', begins_at)) as date) as happened_on,
        case
            when is_all_day then cast(end_at - interval 1 microsecond as date)
            else cast(timezone(time_zone, timezone('UTC', end_at - interval 1 microsecond)) as date)
        end as ended_on,
        bool_or(is_organizer) over copies_of_one as has_organizer_copy,
        bool_or(is_cancelled) over copies_of_one as is_cancelled_in_any_copy,
        row_number() over (
            partition by enrichment_no, ical_key, start_at
            order by is_organizer desc nulls last, has_vanished, read_at desc nulls last, mailbox_id, item_key
        ) as copy_no
    from meeting_copies
    cross join reporting
    where begins_at < monitored_to_at
    window copies_of_one as (partition by enrichment_no, ical_key, start_at)
) as ranked
cross join as_of
where
    copy_no = 1
    and happened_on <= as_of_on
    and ended_on <= as_of_on
    and not has_vanished
    and not coalesce(case when has_organizer_copy then is_cancelled else is_cancelled_in_any_copy end, false);

create temp table copies_of_meetings as
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

create temp table mentions as
select enrichment_no, meeting_key, address_key, response, is_organizer, mailbox_id, begins_at, read_at
from (
    select
        *,
        unnest(attendee_keys) as address_key,
        unnest(attendee_types) as attendee_type,
        unnest(attendee_responses) as response
    from copies_of_meetings
) as attendees
where attendee_type is distinct from 'resource'
union all
select enrichment_no, meeting_key, organizer_key, 'organizer', is_organizer, mailbox_id, begins_at, read_at
from copies_of_meetings
where organizer_key is not null;

-- Whose calendar holds it answers by his own copy; anyone else by the organiser's copy, else by the newest.
create temp table people_in_meetings as
with owners as (
    select enrichment_no, meeting_key, mailbox_id as person_no, own_response as response
    from copies_of_meetings
    qualify
        row_number() over (
            partition by enrichment_no, meeting_key, mailbox_id order by read_at desc nulls last, item_key
        ) = 1
),

named as (
    select -1 as account_no, monitored.mailbox_id as person_no, mentions.*
    from mentions
    inner join monitored using (enrichment_no, address_key)
    where
        mentions.begins_at < monitored.monitored_to_at
        and (mentions.enrichment_no, mentions.meeting_key, monitored.mailbox_id) not in (
            select (enrichment_no, meeting_key, person_no) from owners
        )
    union all
    select contacts.account_no, contacts.contact_no as person_no, mentions.*
    from mentions
    inner join contacts using (enrichment_no, address_key)
),

answers as (
    select enrichment_no, meeting_key, -1 as account_no, person_no, response
    from owners
    union all
    select enrichment_no, meeting_key, account_no, person_no, response
    from named
    qualify
        row_number() over (
            partition by enrichment_no, meeting_key, account_no, person_no
            order by
                is_organizer desc nulls last,
                read_at desc nulls last,
                mailbox_id,
                response is distinct from 'organizer',
                response nulls last
        ) = 1
)

select enrichment_no, meeting_key, account_no, person_no
from answers
where response is distinct from 'declined';

create temp table meetings_counted as
select
    enrichment_no,
    with_account.account_no,
    meeting_key,
    meetings.happened_on,
    meetings.duration_milliseconds,
    monitored.address_key is not null as is_to_account,
    monitored.address_key is null and organizers.address_key is not null as is_from_account
from (
    select distinct enrichment_no, meeting_key, account_no from people_in_meetings where account_no != -1
) as with_account
inner join meetings using (enrichment_no, meeting_key)
semi join (select * from people_in_meetings where account_no = -1) as own_people using (enrichment_no, meeting_key)
left join monitored
    on
        meetings.enrichment_no = monitored.enrichment_no
        and meetings.organizer_key = monitored.address_key
        and meetings.begins_at < monitored.monitored_to_at
left join (select distinct enrichment_no, account_no, address_key from contacts) as organizers
    on
        meetings.enrichment_no = organizers.enrichment_no
        and with_account.account_no = organizers.account_no
        and meetings.organizer_key = organizers.address_key;

create temp table people_met as
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

create temp table account_days as
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
    group by all
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
    group by all
) as both_channels
group by all;

create temp table account_periods as
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
group by all;

create temp table people_counts as
select
    enrichment_no,
    account_no,
    period_no,
    count(*) filter (where not in_meeting and is_own) as own_people_in_emails,
    count(*) filter (where not in_meeting and not is_own) as account_people_in_emails,
    count(*) filter (where in_meeting and is_own) as own_people_in_meetings,
    count(*) filter (where in_meeting and not is_own) as account_people_in_meetings
from (
    select distinct people.* exclude (piece_no), piece_periods.period_no
    from (
        select *, false as in_meeting from people_in_emails
        union all
        select *, true as in_meeting from people_met
    ) as people
    inner join piece_periods using (piece_no)
) as people_by_period
group by all;

create temp table reply_means as
select
    enrichment_no,
    account_no,
    period_no,
    sum(reply_milliseconds) / count(*) / 3600000 as reply_time_mean_hours
from replies
inner join days on replies.happened_on = days.day_on
group by all;

create temp table result as
select
    enrichments.enrichment_id,
    accounts.account_id,
    periods.level as aggregation_level,
    accounts.account_id || '|' || periods.level || '|' || periods.starts_on as primary_key,
    cast(totals.emails_to as bigint) as emails_to_account_count,
    cast(totals.emails_from as bigint) as emails_from_account_count,
    cast(totals.meetings_to as bigint) as meetings_to_account_count,
    cast(totals.meetings_from as bigint) as meetings_from_account_count,
    coalesce(people.own_people_in_emails, 0) as own_people_in_emails_count,
    coalesce(people.account_people_in_emails, 0) as account_people_in_emails_count,
    coalesce(people.own_people_in_meetings, 0) as own_people_in_meetings_count,
    coalesce(people.account_people_in_meetings, 0) as account_people_in_meetings_count,
    date_diff('day', emailed.happened_on, periods.counts_to_on) as days_since_last_email,
    date_diff('day', met.happened_on, periods.counts_to_on) as days_since_last_meeting,
    totals.meeting_duration_mean_minutes,
    reply_means.reply_time_mean_hours,
    first_days.engagement_started_on,
    periods.starts_on as aggregation_starts_on
from account_periods as totals
inner join periods using (period_no)
inner join enrichments using (enrichment_no)
inner join accounts using (account_no)
inner join (
    select enrichment_no, account_no, min(happened_on) as engagement_started_on from account_days group by all
) as first_days using (enrichment_no, account_no)
left join people_counts as people using (enrichment_no, account_no, period_no)
left join reply_means using (enrichment_no, account_no, period_no)
asof left join (select * from account_days where emails_to + emails_from > 0) as emailed
    on
        totals.enrichment_no = emailed.enrichment_no
        and totals.account_no = emailed.account_no
        and periods.counts_to_on >= emailed.happened_on
asof left join (select * from account_days where meetings > 0) as met
    on
        totals.enrichment_no = met.enrichment_no
        and totals.account_no = met.account_no
        and periods.counts_to_on >= met.happened_on;
