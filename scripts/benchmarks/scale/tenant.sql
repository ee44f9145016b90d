-- The raw rows of a made-up tenant, the same for the same numbers: every draw is a hash of what it is drawn for.
-- benchmarks.scale.tenant sets the variables, runs `create`, then `fill` once per stretch of time, then `finish`.
-- Attached: private (the private file), week (what the following week lands).

-- :create

-- A number in 0..1, and a key over the whole range, for anything that can be named by numbers.
create temporary macro draw(what, a, b) as (hash(what, a, b) >> 11) / 9007199254740992.0;
create temporary macro key_of(what, a, b) as cast(cast(hash(what, a, b) as hugeint) - 9223372036854775808 as bigint);
-- A whole number from 0 to n - 1.
create temporary macro pick(what, a, b, n) as cast(hash(what, a, b) % n as bigint);
create temporary macro own_key(person) as key_of('own address', person, 0);
create temporary macro mailbox_of(person) as key_of('mailbox', person, 0);
create temporary macro contact_key(account, place) as key_of('contact address', account, place);
create temporary macro outsider_key(outsider) as key_of('outside address', outsider, 0);
-- Few have much and many have little: the first of n gets n^(-1/power) of everything.
create temporary macro skewed(u, power, n) as cast(floor(n * pow(u, power)) as bigint);
create temporary macro contacts_of(account) as 1 + cast(floor(-ln(1 - draw('contacts', account, 0)) * 2.8) as bigint);

insert into private.raw.office_mailboxes
select
    'account-engagement', mailbox_of(person), 'person-' || person,
    [own_key(person), key_of('own alias', person, 0)], 'everybody', 'readable', getvariable('begins_at'), null
from range(getvariable('people')) as people (person);

insert into private.raw.accounts
select
    'A-' || account,
    ['North', 'Amber', 'Cedar', 'River', 'Quartz', 'Maple', 'Delta', 'Harbor'][account % 8 + 1]
    || ' ' || ['Tools', 'Foods', 'Systems', 'Freight', 'Optics', 'Textiles', 'Energy'][account % 7 + 1] || ' ' || account,
    'https://www.account' || account || '.example',
    'account' || account || '.example',
    ['Germany', 'Norway', 'France', 'Spain', 'Netherlands'][pick('account', account, 0, 5) + 1],
    case when account % 7 = 3 then 'A-' || account // 7 end,
    '{"owner":"Person ' || account % 40 || '","tier":"' || ['A', 'B', 'C'][pick('tier', account, 0, 3) + 1]
    || '","contract_value_eur":' || cast(exp(8 + 3 * draw('value', account, 0)) as bigint) || '}',
    null
from range(getvariable('accounts')) as accounts (account);

insert into private.raw.account_attributes
values ('owner', 'string', 1), ('tier', 'string', 2), ('contract_value_eur', 'bigint', 3);

insert into private.raw.contacts
select 'C-' || account || '-' || place, 'A-' || account, contact_key(account, place), 'account' || account || '.example'
from range(getvariable('accounts')) as accounts (account), unnest(range(contacts_of(account))) as places (place);

insert into private.raw.office_addresses
select own_key(person), 'tenant.example', 'person' from range(getvariable('people')) as people (person)
union all
select key_of('own alias', person, 0), 'tenant.example', 'person'
from range(getvariable('people')) as people (person)
union all
select address_key, domain, case pick('class', address_key, 0, 50) when 0 then 'automated' when 1 then 'role' else 'person' end
from private.raw.contacts
union all
select
    outsider_key(outsider),
    'outside' || skewed(draw('domain', outsider, 0), 2, getvariable('outsiders') // 8 + 1) || '.example',
    case when outsider % 10 < 3 then 'automated' when outsider % 10 = 3 then 'role' else 'person' end
from range(getvariable('outsiders')) as outsiders (outsider);

create table week.messages as from private.raw.office_messages limit 0;
create table week.meetings as from private.raw.office_meetings limit 0;

-- :fill

-- Threads that begin in this stretch: number, who of ours, whom outside, when, how many messages, how fast.
create or replace temporary table threads as
with

drawn as (

    select
        thread,
        draw('kind', thread, 0) as kind_draw,
        skewed(draw('account', thread, 0), 2.2, getvariable('accounts')) as account,
        getvariable('stretch_begins_at') + to_milliseconds(cast(floor(
            draw('begin', thread, 0) * getvariable('stretch_days')
        ) as bigint) * 86400000 + cast((7 + 12 * draw('hour', thread, 0)) * 3600000 as bigint)) as drawn_at
    from range(getvariable('first_thread'), getvariable('last_thread')) as threads (thread)

),

-- Some accounts end during the year and some begin in it; whoever would have written to them writes to others.
placed as (

    select
        thread,
        account,
        -- Weekends are quiet.
        case
            when isodow(drawn_at) > 5 and draw('weekend', thread, 0) < 0.85 then drawn_at + to_days(2)
            else drawn_at
        end as begins_at,
        case
            when
                kind_draw < 0.44
                and draw('ends', account, 0) * 4 > getvariable('year_part')
                and draw('starts', account, 0) * 4 - 3 < getvariable('year_part')
                then 'account'
            when kind_draw < 0.70 then 'outside'
            else 'internal'
        end as kind
    from drawn

),

people as (

    select
        *,
        -- An account has one of ours who writes most of its mail.
        case
            when kind = 'account' and draw('owner', thread, 0) < 0.7
                then skewed(draw('account owner', account, 0), 1.5, getvariable('people'))
            else skewed(draw('person', thread, 0), 1.5, getvariable('people'))
        end as person,
        skewed(draw('outsider', thread, 0), 1.8, getvariable('outsiders')) as outsider,
        case
            when draw('beside', thread, 0) < 0.65 then 0
            when draw('beside', thread, 0) < 0.88 then 1
            when draw('beside', thread, 0) < 0.97 then 2
            else 3
        end as beside_drawn
    from placed

)

select
    thread,
    kind,
    begins_at,
    list_distinct(list_prepend(person, list_transform(
        range(case kind when 'internal' then greatest(beside_drawn, 1) else beside_drawn end),
        lambda place: (person + 1 + pick('beside', thread, place, (getvariable('people') - 1))) % getvariable('people')
    ))) as people,
    list_distinct(list_concat(case kind
        when 'account' then [
            contact_key(account, pick('contact', thread, 0, contacts_of(account))),
            case
                when draw('second contact', thread, 0) < 0.4
                    then contact_key(account, pick('contact', thread, 1, contacts_of(account)))
            end
        ]
        when 'outside' then [outsider_key(outsider)]
        else []
    end, case
        when kind != 'internal' and draw('others', thread, 0) < 0.35
            then list_transform(
                range(1 + pick('others', thread, 0, 4)),
                lambda place: outsider_key(skewed(draw('other', thread, place), 1.8, getvariable('outsiders')))
            )
        else []
    end)) as outside_keys,
    case when kind = 'outside' and outsider % 10 < 3 then 1 else least(1 + cast(floor(-ln(1 - draw('length', thread, 0)) * 2.4) as bigint), 25) end
        as messages_count,
    kind = 'outside' and outsider % 10 < 3 or draw('first', thread, 0) < 0.5 as outside_begins,
    -ln(1 - draw('pace', thread, 0)) * 22 + 0.2 as pace_hours
from people;

create or replace temporary table messages as
with

numbered as (

    select threads.*, place
    from threads, unnest(range(messages_count)) as places (place)

),

timed as (

    select
        *,
        begins_at + to_milliseconds(cast(
            (place * pace_hours + draw('late', thread, place) * pace_hours * 0.7) * 3600000 as bigint
        )) as sent_at,
        kind != 'internal' and (place % 2 = 0) = outside_begins as is_from_outside,
        people[1 + pick('writer', thread, place, len(people))] as writer
    from numbered

),

written as (

    select
        *,
        case
            when is_from_outside then outside_keys[1 + pick('from', thread, place, len(outside_keys))]
            when draw('alias', thread, place) < 0.05 then key_of('own alias', writer, 0)
            else own_key(writer)
        end as from_key
    from timed
    where sent_at < getvariable('week_ends_at')

)

select
    thread,
    place,
    key_of('message', thread, place) as message_key,
    key_of('thread', thread, 0) as thread_key,
    sent_at,
    from_key,
    is_from_outside,
    writer,
    people,
    list_filter(
        list_concat(list_transform(people, lambda person: own_key(person)), outside_keys),
        lambda recipient: recipient != from_key and (is_from_outside or recipient != own_key(writer))
    ) as recipient_keys
from written;

create or replace temporary table copies as
select
    mailbox_of(person) as mailbox_id,
    key_of('copy', message_key, person) as item_key,
    message_key,
    thread_key,
    case
        when is_from_outside or person != writer
            then sent_at + to_milliseconds(cast(draw('travel', message_key, person) * 40000 as bigint))
        else sent_at
    end as received_at,
    sent_at,
    -- Now and then one copy names nobody.
    case when pick('nobody', message_key, person, 1000) != 0 then from_key end as from_key,
    from_key as sender_key,
    recipient_keys,
    pick('draft', message_key, person, 200) = 0 as is_draft,
    pick('invitation', message_key, 0, 25) = 0 as is_meeting_mail,
    pick('search folder', message_key, person, 300) = 0 as is_search_folder_copy
from messages, unnest(people) as holders (person);

insert into private.raw.office_messages
select *, getvariable('read_at'), null, 1 from copies where received_at < getvariable('read_at') order by received_at;

insert into week.messages
select *, getvariable('next_read_at'), null, 3 from copies
where received_at >= getvariable('read_at') and received_at < getvariable('next_read_at') order by received_at;

-- Meetings: a third of the series come back every week.
create or replace temporary table entries as
with

series as (

    select
        number,
        skewed(draw('organizer', number, 0), 1.5, getvariable('people')) as person,
        skewed(draw('meeting account', number, 0), 2.2, getvariable('accounts')) as account,
        draw('with account', number, 0) < 0.35 as is_with_account,
        case when draw('series', number, 0) < 0.33 then 1 + pick('times', number, 0, 26) else 1 end as occurrences_count,
        getvariable('stretch_begins_at') + to_days(cast(draw('day', number, 0) * getvariable('stretch_days') as integer))
        + to_minutes(480 + 30 * cast(pick('slot', number, 0, 18) as integer)) as first_start_at
    from range(getvariable('first_series'), getvariable('last_series')) as series (number)

),

held as (

    select
        *,
        case when isodow(first_start_at) > 5 then first_start_at + to_days(2) else first_start_at end as monday_at,
        list_distinct(list_prepend(person, list_transform(
            range(pick('own attendees', number, 0, 5)),
            lambda place: (person + 1 + pick('attendee', number, place, (getvariable('people') - 1))) % getvariable('people')
        ))) as people,
        case
            when is_with_account then list_distinct(list_transform(
                range(1 + pick('their attendees', number, 0, 3)),
                lambda place: contact_key(account, pick('their attendee', number, place, contacts_of(account)))
            ))
            else []
        end as outside_keys
    from series

),

occurrences as (

    select
        *,
        monday_at + to_days(cast(7 * occurrence as integer)) as start_at,
        case when is_with_account and draw('they organize', number, 0) < 0.3 then outside_keys[1] end as their_organizer_key,
        list_concat(list_transform(people, lambda member: own_key(member)), outside_keys) as attendee_keys
    from held, unnest(range(occurrences_count)) as occurrences (occurrence)

)

select
    mailbox_of(member) as mailbox_id,
    key_of('entry', hash(number, occurrence), member) as item_key,
    key_of('series', number, 0) as ical_key,
    start_at,
    start_at + to_minutes(cast([30, 30, 60, 60, 90][pick('duration', number, 0, 5) + 1] as integer)) as end_at,
    pick('all day', number, 0, 60) = 0 as is_all_day,
    pick('cancelled', number, occurrence, 20) = 0 as is_cancelled,
    their_organizer_key is null and member = person as is_organizer,
    case
        when their_organizer_key is null and member = person then 'organizer'
        else ['accepted', 'accepted', 'tentativelyAccepted', 'notResponded', 'declined'][pick('answer', number, member, 5) + 1]
    end as own_response,
    coalesce(their_organizer_key, own_key(person)) as organizer_key,
    attendee_keys,
    list_transform(attendee_keys, lambda attendee: case when attendee % 9 = 0 then 'optional' else 'required' end) as attendee_types,
    list_transform(
        attendee_keys,
        lambda attendee: ['accepted', 'accepted', 'accepted', 'none', 'declined'][pick('their answer', number, attendee, 5) + 1]
    ) as attendee_responses
from occurrences, unnest(people) as members (member);

update entries set start_at = cast(cast(start_at as date) as timestamp), end_at = cast(cast(start_at as date) + 1 as timestamp)
where is_all_day;

-- Calendars are read 14 days ahead. One in twenty entries of the week has another answer when it is read again.
insert into private.raw.office_meetings
select
    *, getvariable('read_at'),
    case when pick('gone', item_key, 0, 50) = 0 and start_at < getvariable('read_at') then start_at - to_days(1) end,
    2
from entries where start_at < getvariable('read_at') + to_days(14) order by start_at;

insert into week.meetings
select
    * exclude (is_new) replace (case when is_new then own_response else 'declined' end as own_response),
    getvariable('next_read_at'), null, 4
from (
    select *, start_at >= getvariable('read_at') + to_days(14) as is_new from entries
    where start_at >= getvariable('read_at') and start_at < getvariable('next_read_at') + to_days(14)
)
where is_new or (start_at < getvariable('next_read_at') and pick('changed', item_key, 0, 20) = 0);
