"""What the engagement columns must be, counted from the sources alone: no model and no raw table is read.

Written from the rules of counting only, the corpus' mail in SQL over its Parquet files, replies and meetings
in Python, so that a mistake of the models is not repeated here. A row is a dict with the published column
names; `meetings_count` (all of them, third parties' included) has its name in the marts. Accounts without a
counted message or meeting in the year have no row.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from pathlib import Path
from statistics import fmean
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

Row = dict[str, Any]

DAYS_OF_A_YEAR = 365
LONGEST_REPLY = timedelta(hours=720)


@dataclass(slots=True)
class _Account:
    """What is known of one account while counting."""

    emails_to: int = 0
    emails_from: int = 0
    own_in_emails: int = 0
    contacts_in_emails: int = 0
    reply_hours: list[float] = field(default_factory=list)
    email_days: set[date] = field(default_factory=set)
    meetings: list[Meeting] = field(default_factory=list)  # of all data kept


@dataclass(frozen=True, slots=True)
class Meeting:
    """One occurrence as it counts for one account; `minutes` is None for all-day ones."""

    day: date
    initiator: str  # ours | account | other
    minutes: float | None
    ours: frozenset[str]
    contacts: frozenset[str]


def _year_rows(accounts: dict[str, _Account], day: date) -> dict[str, Row]:
    first_day = day - timedelta(days=DAYS_OF_A_YEAR - 1)
    rows: dict[str, Row] = {}
    for account_id, account in accounts.items():
        meetings = [meeting for meeting in account.meetings if first_day <= meeting.day <= day]
        if not (account.emails_to or account.emails_from or meetings):
            continue
        meeting_days = {meeting.day for meeting in account.meetings}
        minutes = [meeting.minutes for meeting in meetings if meeting.minutes is not None]
        initiators = [meeting.initiator for meeting in meetings]
        rows[account_id] = {
            "PrimaryKey": f"{account_id}|year|{first_day}",
            "AggregationStartDate": first_day,
            "NoOfEmails_ToAccount": account.emails_to,
            "NoOfEmails_FromAccount": account.emails_from,
            "NoOfContactsInvolved_Emails": account.own_in_emails,
            "NoOfAccountContactsInvolved_Emails": account.contacts_in_emails,
            "NoOfMeetings_ToAccount": initiators.count("ours"),
            "NoOfMeetings_FromAccount": initiators.count("account"),
            "meetings_count": len(meetings),
            "NoOfContactsInvolved_Meetings": len({one for meeting in meetings for one in meeting.ours}),
            "NoOfAccountContactsInvolved_Meetings": len(
                {one for meeting in meetings for one in meeting.contacts}
            ),
            "EngagementStartDate": min(account.email_days | meeting_days),
            "DaysSinceLastEmail": (day - max(account.email_days)).days if account.email_days else None,
            "DaysSinceLastMeeting": (day - max(meeting_days)).days if meeting_days else None,
            "AverageDuration_Of_Meetings": fmean(minutes) if minutes else None,
            "AverageDuration_Of_AccountEmailReplies": fmean(account.reply_hours)
            if account.reply_hours
            else None,
        }
    return rows


def dates_of_all(rows: Iterable[Row]) -> tuple[date, date]:
    """Give the earliest and latest first engagement among rows, to show that the window is no bound of it."""
    days = [row["EngagementStartDate"] for row in rows]
    return min(days), max(days)


# ---------------------------------------------------------------------------------------------------
# the corpus: UTC is its reporting time zone


def enron_year_rows(data: Path, seeds: Path, day: date) -> dict[str, Row]:
    """Count the corpus for the year that ends with a day, every account with contact in it."""
    accounts: dict[str, _Account] = defaultdict(_Account)
    with duckdb.connect() as connection:
        _load_corpus(connection, data / "enron", seeds, day)
        first_day = day - timedelta(days=DAYS_OF_A_YEAR - 1)
        for account_id, emails_to, emails_from, own, contacts in connection.execute(
            """
            with in_the_year as (
                select * from counted where happened_at >= $first_day
            ),

            ours as (
                select in_the_year.account_id, aliases.mailbox
                from in_the_year
                join messages using (message)
                join aliases on aliases.address = messages.sender
                union
                select in_the_year.account_id, aliases.mailbox
                from in_the_year join recipients using (message) join aliases using (address)
                union
                select in_the_year.account_id, copies.mailbox
                from in_the_year join copies using (message)
            ),

            theirs as (
                select in_the_year.account_id, contacts.contact_id
                from in_the_year
                join messages using (message)
                join contacts
                    on contacts.address = messages.sender and contacts.account_id = in_the_year.account_id
                union
                select in_the_year.account_id, contacts.contact_id
                from in_the_year
                join recipients using (message)
                join contacts
                    on contacts.address = recipients.address and contacts.account_id = in_the_year.account_id
            )

            select
                account_id,
                count(*) filter (direction = 'to'),
                count(*) filter (direction = 'from'),
                (select count(*) from ours where ours.account_id = in_the_year.account_id),
                (select count(*) from theirs where theirs.account_id = in_the_year.account_id)
            from in_the_year
            group by account_id
            """,
            {"first_day": first_day},
        ).fetchall():
            account = accounts[account_id]
            account.emails_to, account.emails_from = emails_to, emails_from
            account.own_in_emails, account.contacts_in_emails = own, contacts
        counted = connection.execute(
            # ours first where both are of one instant
            """
            select
                counted.account_id, messages.thread, counted.happened_at, counted.direction = 'to' as is_ours
            from counted join messages using (message)
            order by counted.account_id, messages.thread, counted.happened_at, is_ours desc
            """
        ).fetchall()
        for account_id, _, happened_at, _ in counted:
            accounts[account_id].email_days.add(happened_at.date())
        for account_id, replied_at, hours in _replies(counted):
            if first_day <= replied_at.date() <= day:
                accounts[account_id].reply_hours.append(hours)
        _count_corpus_meetings(connection, data / "enron", day, accounts)
    return _year_rows(accounts, day)


def _load_corpus(connection: duckdb.DuckDBPyConnection, enron: Path, seeds: Path, day: date) -> None:
    """Make the tables aliases, contacts, copies, messages, recipients, and counted (message and account)."""
    connection.execute(
        """
        create macro plain(address) as
            regexp_replace(lower(trim(address)), '^([^+]+)\\+[^@]*@', '\\1@')
        """
    )
    connection.execute(
        """
        create table aliases as
        select distinct mailbox, plain(unnest(string_split(coalesce(aliases, '') || ' ' || address, ' '))) as address
        from read_csv($file, all_varchar = true)
        """,
        {"file": str(enron / "mailboxes.csv")},
    )
    # who is monitored and a contact is monitored only
    connection.execute(
        """
        create table contacts as
        select contact_id, account_id, plain(email) as address
        from read_csv($file, all_varchar = true)
        where plain(email) not in (select address from aliases)
        """,
        {"file": str(enron / "contacts.csv")},
    )
    # what had been received by the end of the day; meeting mails are no messages
    connection.execute(
        """
        create table copies as
        select
            mailbox, internet_message_id as message, thread, sent_at as received_at,
            plain(from_address) as sender,
            list_transform(to_addresses || cc_addresses, lambda address: plain(address)) as addresses
        from read_parquet($file)
        where not is_meeting_mail and sent_at < $end
        """,
        {"file": str(enron / "messages.parquet"), "end": day + timedelta(days=1)},
    )
    connection.execute(
        """
        create table messages as
        select
            message, min(received_at) as happened_at, any_value(sender) as sender, any_value(thread) as thread
        from copies group by message
        """
    )
    connection.execute(
        "create table recipients as select distinct message, unnest(addresses) as address from copies"
    )
    connection.execute("create table automated (address varchar)")
    senders = [sender for (sender,) in connection.execute("select distinct sender from messages").fetchall()]
    patterns = sender_patterns(seeds)
    automated = [(sender,) for sender in senders if sender and is_automated(sender, patterns)]
    if automated:
        connection.executemany("insert into automated values (?)", automated)
    # a message from one of ours that a contact gets counts for each such account, a contact's for his own;
    # that a monitored mailbox holds it goes without saying here
    connection.execute(
        """
        create table counted as
        select distinct message, messages.happened_at, contacts.account_id, 'to' as direction
        from messages
        join aliases on aliases.address = messages.sender
        join recipients using (message)
        join contacts on contacts.address = recipients.address
        where messages.sender not in (select address from automated)
        union all
        select distinct message, messages.happened_at, contacts.account_id, 'from' as direction
        from messages
        join contacts on contacts.address = messages.sender
        where messages.sender not in (select address from automated)
        """
    )


def sender_patterns(seeds: Path) -> list[tuple[re.Pattern[str], str]]:
    """Read the patterns of local parts in their order, with the class of each."""
    with (seeds / "automated_sender_patterns.csv").open(encoding="utf-8", newline="") as file:
        return [
            (re.compile(row["pattern"], re.IGNORECASE), row["local_part_class"])
            for row in csv.DictReader(file)
        ]


def is_automated(address: str, patterns: Sequence[tuple[re.Pattern[str], str]]) -> bool:
    """Tell whether the first pattern that matches a whole local part is one of machines."""
    local_part = address.rpartition("@")[0]
    return next((found == "automated" for pattern, found in patterns if pattern.fullmatch(local_part)), False)


def _replies(counted: Iterable[tuple[str, str, datetime, bool]]) -> Iterable[tuple[str, datetime, float]]:
    """Give (account, instant, hours since the first of ours that waited) of each reply within 720 hours."""
    conversation: tuple[str, str] | None = None
    waiting_since: datetime | None = None
    for account_id, thread, happened_at, is_ours in counted:
        if (account_id, thread) != conversation:
            conversation, waiting_since = (account_id, thread), None
        if is_ours:
            waiting_since = waiting_since or happened_at
        elif waiting_since is not None:
            if happened_at - waiting_since <= LONGEST_REPLY:
                yield account_id, happened_at, (happened_at - waiting_since) / timedelta(hours=1)
            waiting_since = None


def _count_corpus_meetings(
    connection: duckdb.DuckDBPyConnection, enron: Path, day: date, accounts: dict[str, _Account]
) -> None:
    """Count meetings; the corpus tells no answers, so whoever is named or has the entry took part."""
    mailbox_of = dict(connection.execute("select address, mailbox from aliases").fetchall())
    contacts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for contact_id, account_id, address in connection.execute("from contacts").fetchall():
        contacts[address].append((account_id, contact_id))
    occurrences: dict[tuple[str, datetime], list[tuple[Any, ...]]] = defaultdict(list)
    for entry in connection.execute(
        """
        select ical_uid, start_utc, end_utc, mailbox, plain(organizer),
            list_transform(attendees, lambda address: plain(address)), coalesce(response = 'canceled', false)
        from read_parquet($file)
        where end_utc <= $end
        """,
        {"file": str(enron / "meetings.parquet"), "end": day + timedelta(days=1)},
    ).fetchall():
        occurrences[entry[0], entry[1]].append(entry)
    for (_, start_at), copies in occurrences.items():
        organizer = copies[0][4]
        organizers = [copy for copy in copies if mailbox_of.get(organizer) == copy[3]]
        if any(copy[6] for copy in organizers or copies):
            continue
        addresses = {organizer}.union(*(copy[5] for copy in copies))
        ours = frozenset(
            [copy[3] for copy in copies] + [mailbox_of[one] for one in addresses if one in mailbox_of]
        )
        present: dict[str, set[str]] = defaultdict(set)
        for address in addresses:
            for account_id, contact_id in contacts.get(address, ()):
                present[account_id].add(contact_id)
        for account_id, contact_ids in present.items():
            initiator = "other"
            if organizer in mailbox_of:
                initiator = "ours"
            elif any(account_id == listed for listed, _ in contacts.get(organizer, ())):
                initiator = "account"
            minutes = (copies[0][2] - start_at) / timedelta(minutes=1)
            accounts[account_id].meetings.append(
                Meeting(start_at.date(), initiator, minutes, ours, frozenset(contact_ids))
            )


# ---------------------------------------------------------------------------------------------------
# the working groups


@dataclass(frozen=True, slots=True)
class Person:
    """Someone at a gathering: his id, his account (None: of none), and whether he declined."""

    id: str
    account_id: str | None
    is_ours: bool
    has_declined: bool


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What really took place, whatever the calendars say of it; `organizer` None: a third party."""

    start_at: datetime
    end_at: datetime
    is_all_day: bool
    is_cancelled: bool
    people: tuple[Person, ...]
    organizer: Person | None


def gatherings_year_rows(
    occurrences: Iterable[Occurrence], *, day: date, time_zone: str, kept_from: date
) -> dict[str, Row]:
    """Count gatherings for the year that ends with a day; what began before `kept_from` (UTC) is not read."""
    accounts: dict[str, _Account] = defaultdict(_Account)
    zone = ZoneInfo(time_zone)
    next_midnight = datetime.combine(day + timedelta(days=1), time(), zone)
    for one in occurrences:
        if one.is_cancelled or one.start_at.date() < kept_from:
            continue
        if one.is_all_day:
            # floating: the same dates in every time zone
            started_on, has_ended = one.start_at.date(), one.end_at.date() <= day + timedelta(days=1)
        else:
            started_on, has_ended = one.start_at.astimezone(zone).date(), one.end_at <= next_midnight
        taking_part = [person for person in one.people if not person.has_declined]
        ours = frozenset(person.id for person in taking_part if person.is_ours)
        if not (has_ended and ours):
            continue
        present: dict[str, set[str]] = defaultdict(set)
        for person in taking_part:
            if person.account_id is not None and not person.is_ours:
                present[person.account_id].add(person.id)
        for account_id, contacts in present.items():
            initiator = "other"
            if one.organizer is not None and one.organizer.is_ours:
                initiator = "ours"
            elif one.organizer is not None and one.organizer.account_id == account_id:
                initiator = "account"
            minutes = None if one.is_all_day else (one.end_at - one.start_at) / timedelta(minutes=1)
            accounts[account_id].meetings.append(
                Meeting(started_on, initiator, minutes, ours, frozenset(contacts))
            )
    return _year_rows(accounts, day)


# ---------------------------------------------------------------------------------------------------
# what became of everything


@dataclass(slots=True)
class Bucket:
    """How many distinct items a bucket holds, of these in the year, in how many copies, and from when to when."""

    items: int = 0
    in_year: int = 0
    copies: int = 0
    first_on: date | None = None
    last_on: date | None = None

    def add(self, copies: int, happened_on: date, *, in_year: bool) -> None:
        self.items, self.in_year, self.copies = self.items + 1, self.in_year + in_year, self.copies + copies
        self.first_on = min(self.first_on or happened_on, happened_on)
        self.last_on = max(self.last_on or happened_on, happened_on)

    def cells(self) -> tuple[Any, ...]:
        return (self.items, self.copies, self.in_year, self.first_on, self.last_on)


@dataclass(slots=True)
class Domain:
    """What outsiders of one domain exchanged with ours in the year."""

    messages_from: int = 0
    messages_to: int = 0
    meetings: int = 0
    addresses: set[str] = field(default_factory=set)
    days: set[date] = field(default_factory=set)


def enron_coverage(
    data: Path, seeds: Path, day: date, *, read_before: datetime
) -> tuple[dict[tuple[str, str], tuple[Any, ...]], dict[str, tuple[Any, ...]]]:
    """Sort every message and meeting of the corpus into its bucket, and count the outsiders' domains of the year.

    Meetings that begin at `read_before` or later are not read. The corpus has no drafts, search folders, missing
    senders or odd dates, and says of nobody that he declined.
    """
    with duckdb.connect() as connection:
        _load_corpus(connection, data / "enron", seeds, day)
        aliases = dict(connection.execute("select address, mailbox from aliases").fetchall())
        contacts = {address for (address,) in connection.execute("select address from contacts").fetchall()}
        automated = {address for (address,) in connection.execute("from automated").fetchall()}
        with (seeds / "personal_mail_domains.csv").open(encoding="utf-8", newline="") as file:
            personal = {row["domain"] for row in csv.DictReader(file)}
        ours = {domain_of(address) for address in aliases} - personal
        messages = connection.execute(
            """
            select internet_message_id, min(sent_at) filter (not is_meeting_mail), min(sent_at),
                any_value(plain(from_address)) filter (not is_meeting_mail), count(*),
                list_distinct(flatten(list(
                    list_transform(to_addresses || cc_addresses, lambda address: plain(address))
                ) filter (not is_meeting_mail)))
            from read_parquet($file) where sent_at < $end
            group by internet_message_id
            """,
            {"file": str(data / "enron" / "messages.parquet"), "end": day + timedelta(days=1)},
        ).fetchall()
        entries = connection.execute(
            """
            select ical_uid, start_utc, max(end_utc), list(mailbox), any_value(plain(organizer)),
                list_distinct(flatten(list(list_transform(attendees, lambda address: plain(address))))),
                bool_or(response = 'canceled'), count(*)
            from read_parquet($file) where start_utc < $read_before
            group by ical_uid, start_utc
            """,
            {"file": str(data / "enron" / "meetings.parquet"), "read_before": read_before},
        ).fetchall()
        contact_domains = {domain_of(address) for address in contacts}

    def is_known(address: str) -> bool:
        return address in aliases or address in contacts

    def outsiders_of(addresses: Iterable[str]) -> set[str]:
        return {one for one in addresses if not is_known(one) and domain_of(one) not in ours}

    first_day = day - timedelta(days=DAYS_OF_A_YEAR - 1)
    buckets: dict[tuple[str, str], Bucket] = defaultdict(Bucket)
    domains: dict[str, Domain] = defaultdict(Domain)
    for _, happened_at, read_at, sender, copies, listed in messages:
        happened_on = (happened_at or read_at).date()
        in_year = first_day <= happened_on <= day
        to = {address for address in listed or () if is_usable(address)}
        strangers = outsiders_of(to)
        bucket = "meeting_mail"
        if happened_at is not None:
            bucket = _bucket_of_message(sender, to, aliases, contacts, automated, ours)
            touched = set()
            if sender not in aliases and outsiders_of([sender]):
                touched = {sender}
                domains[domain_of(sender)].messages_from += in_year
            elif sender in aliases:
                touched = strangers
                for domain in {domain_of(address) for address in strangers}:
                    domains[domain].messages_to += in_year
            if in_year:
                for address in touched:
                    domains[domain_of(address)].addresses.add(address)
                    domains[domain_of(address)].days.add(happened_on)
        buckets["message", bucket].add(copies, happened_on, in_year=in_year)
    for _, start_at, end_at, holders, organizer, listed, is_cancelled, copies in entries:
        named = {address for address in [organizer, *(listed or ())] if is_usable(address)}
        happened_on = start_at.date()
        in_year = first_day <= happened_on <= day
        strangers = outsiders_of(named)
        if happened_on > day:
            bucket = "in_the_future"
        elif end_at > datetime.combine(day + timedelta(days=1), time()):
            bucket = "not_ended_yet"
        elif is_cancelled:
            bucket = "cancelled"
        else:
            people = set(holders) | {aliases.get(address, address) for address in named}
            bucket = "appointment" if len(people) == 1 else "internal"
            if strangers:
                bucket = "with_unknown"
            if named & contacts:
                bucket = "counted"
            if in_year:
                for domain in {domain_of(address) for address in strangers}:
                    domains[domain].meetings += 1
                for address in strangers:
                    domains[domain_of(address)].addresses.add(address)
                    domains[domain_of(address)].days.add(happened_on)
        buckets["meeting", bucket].add(copies, happened_on, in_year=in_year)
    patterns = sender_patterns(seeds)

    def reason_of(domain: str, addresses: Iterable[str]) -> str:
        if domain in personal:
            return "personal_mail_domain"
        if all(is_automated(address, patterns) for address in addresses):
            return "automated_senders_only"
        return "not_among_its_contacts" if domain in contact_domains else "no_contact_has_it"

    return (
        {key: bucket.cells() for key, bucket in buckets.items()},
        {
            name: (
                *(reason_of(name, domain.addresses), domain.messages_from, domain.messages_to),
                *(domain.meetings, len(domain.addresses), min(domain.days), max(domain.days)),
            )
            for name, domain in domains.items()
            if domain.days
        },
    )


def domain_of(address: str) -> str:
    """Give what stands behind the @."""
    return address.rpartition("@")[2]


def is_usable(address: str | None) -> bool:
    """Tell whether a text can be an address at all."""
    local_part, at, domain = (address or "").rpartition("@")
    return bool(local_part and at and domain)


def _bucket_of_message(
    sender: str,
    to: set[str],
    aliases: dict[str, str],
    contacts: set[str],
    automated: set[str],
    ours: set[str],
) -> str:
    outside = {one for one in to if one not in aliases and one not in contacts and domain_of(one) not in ours}
    if sender in automated:
        return "automated_sender"
    if sender in contacts:
        return "counted_from_account"
    if sender in aliases or domain_of(sender) in ours:
        is_monitored = sender in aliases
        if to & contacts:
            return "counted_to_account" if is_monitored else "colleague_not_monitored"
        if outside:
            return "own_to_unknown" if is_monitored else "colleague_to_unknown"
        return "internal" if to else "without_recipients"
    return "third_party_sender" if to & contacts else "from_unknown"


def gatherings_buckets(
    occurrences: Iterable[Occurrence], *, day: date, time_zone: str, kept_from: date, read_before: date
) -> dict[str, int]:
    """Sort gatherings into buckets; what begins (UTC) before the one day or from the other on is not read."""
    buckets: dict[str, int] = defaultdict(int)
    zone = ZoneInfo(time_zone)
    next_midnight = datetime.combine(day + timedelta(days=1), time(), zone)
    for one in occurrences:
        if not kept_from <= one.start_at.date() < read_before:
            continue
        if one.is_all_day:
            started_on, has_ended = one.start_at.date(), one.end_at.date() <= day + timedelta(days=1)
        else:
            started_on, has_ended = one.start_at.astimezone(zone).date(), one.end_at <= next_midnight
        contacts = [person for person in one.people if person.account_id is not None and not person.is_ours]
        has_stranger = one.organizer is None or any(person.account_id is None for person in one.people)
        if started_on > day:
            bucket = "in_the_future"
        elif not has_ended:
            bucket = "not_ended_yet"
        elif one.is_cancelled:
            bucket = "cancelled"
        elif contacts and all(person.has_declined for person in one.people if person.is_ours):
            bucket = "declined_by_ours"
        elif contacts and all(person.has_declined for person in contacts):
            bucket = "declined_by_contacts"
        elif contacts:
            bucket = "counted"
        elif has_stranger:
            bucket = "with_unknown"
        else:
            bucket = "appointment" if len(one.people) == 1 else "internal"
        buckets[bucket] += 1
    return dict(buckets)
