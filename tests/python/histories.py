"""Random histories of mail and meetings as raw rows, and what D6 counts in them, by hand in plain Python.

A history is one office enrichment with its own people, accounts and addresses, so that many fit into one
warehouse without touching each other. It is small and crowded on purpose: few people, few threads and few
instants, most of them beside a boundary, so that whatever can coincide does.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from statistics import fmean, median
from typing import Any
from zoneinfo import ZoneInfo

HOUR = timedelta(hours=1)
REPLY_LIMIT = timedelta(hours=720)
NEVER = datetime(9999, 12, 31)
Row = dict[str, Any]


@dataclass(slots=True)
class Mailbox:
    mailbox_id: int
    addresses: list[int]
    monitored_to: datetime | None = None
    state: str = "readable"

    @property
    def until(self) -> datetime:
        return self.monitored_to or NEVER


@dataclass(slots=True)
class Copy:
    """A stored copy of a message."""

    mailbox_id: int
    item_key: int
    message_key: int
    thread_key: int
    received_at: datetime
    from_key: int | None
    recipients: list[int]
    is_draft: bool = False
    is_meeting_mail: bool = False
    is_search_folder_copy: bool = False
    gone_at: datetime | None = None


@dataclass(slots=True)
class Entry:
    """A calendar entry; `attendees` are (address or None, type, response)."""

    mailbox_id: int
    item_key: int
    ical_key: int
    start_at: datetime
    end_at: datetime
    organizer_key: int | None
    attendees: list[tuple[int | None, str | None, str]]
    own_response: str
    read_at: datetime
    is_all_day: bool = False
    is_cancelled: bool = False
    is_organizer: bool = False
    gone_at: datetime | None = None


@dataclass(slots=True)
class History:
    enrichment_id: str
    mailboxes: list[Mailbox] = field(default_factory=list)
    contacts: list[tuple[str, str, int]] = field(default_factory=list)  # contact_id, account_id, address
    accounts: list[str] = field(default_factory=list)
    websites: dict[str, str] = field(default_factory=dict)  # domain of an account's website
    matches_domains: bool = False
    automated: set[int] = field(default_factory=set)  # addresses of automated senders
    domains: dict[int, str] = field(default_factory=dict)  # of every address
    copies: list[Copy] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)

    @property
    def addresses(self) -> list[int]:
        return list(self.domains)


# ---------------------------------------------------------------------------------------------------
# making one


class Clock:
    """The as-of date and the time zone, and the instants that lie beside their boundaries."""

    def __init__(self, day: date, time_zone: str) -> None:
        self.day = day
        self.time_zone = time_zone
        self.zone = ZoneInfo(time_zone)
        self.year_start = day - timedelta(days=364)
        self.end = self.midnight(day + timedelta(days=1))
        days = {
            day + timedelta(days=1), day, self.year_start, self.year_start - timedelta(days=1),
            day.replace(day=1), day - timedelta(days=day.weekday()), day - timedelta(days=60),
            date(day.year, 1, 1), date(day.year - 1, 12, 29), date(day.year, 3, 29), date(day.year - 1, 10, 26),
            day - timedelta(days=400), day - timedelta(days=200), day - timedelta(days=31),
        }  # fmt: skip
        self.boundaries = sorted(self.midnight(each) for each in days)

    def midnight(self, day: date) -> datetime:
        """The instant (naive UTC) at which a local day begins."""
        return datetime.combine(day, time(), self.zone).astimezone(UTC).replace(tzinfo=None)

    def local_day(self, instant: datetime) -> date:
        return instant.replace(tzinfo=UTC).astimezone(self.zone).date()

    def instant(self, random: Random) -> datetime:
        """Mostly beside a boundary, now and then anywhere."""
        if random.random() < 0.2:
            return self.end - timedelta(minutes=random.randrange(460 * 24 * 60))
        beside = random.choice(
            (
                timedelta(0),
                -timedelta(microseconds=1),
                timedelta(microseconds=1),
                -HOUR,
                HOUR,
                9 * HOUR,
                -30 * HOUR,
            )
        )
        return random.choice(self.boundaries) + beside


def history(number: int, random: Random, clock: Clock) -> History:
    """A history of its own: all its keys lie in a range that no other number has."""
    base = (number + 1) * 1_000_000
    keys = iter(range(base, base + 1_000_000))
    made = History(f"e{number:04d}")
    ours = [Mailbox(next(keys), [next(keys) for _ in range(random.choice((1, 1, 2)))]) for _ in range(3)]
    if random.random() < 0.3:
        ours[0].monitored_to = clock.instant(random)
    if random.random() < 0.2:
        # an alias that moved: two people claim it
        ours[1].addresses.append(ours[2].addresses[0])
    made.mailboxes = ours
    colleague, stranger, other_stranger = next(keys), next(keys), next(keys)
    made.accounts = [f"a{number:04d}-{letter}" for letter in "xyz"]
    theirs: list[int] = []
    for account in made.accounts[:2]:
        for _ in range(2):
            contact = f"c{next(keys)}"
            for _ in range(random.choice((1, 1, 2))):
                theirs.append(next(keys))
                made.contacts.append((contact, account, theirs[-1]))
    if random.random() < 0.4:
        made.contacts.append((made.contacts[0][0], made.accounts[1], theirs[0]))  # listed for two accounts
    if random.random() < 0.3:
        made.contacts.append((f"c{next(keys)}", made.accounts[0], ours[1].addresses[0]))  # one of ours
    robot = next(keys)
    if random.random() < 0.5:
        made.contacts.append((f"c{next(keys)}", made.accounts[0], robot))
    made.automated = {robot}
    own = [address for mailbox in ours for address in mailbox.addresses]
    strangers = (stranger, other_stranger, robot)
    our_domain, their_domain, strange_domain = (f"{word}{number}.example" for word in ("we", "they", "else"))
    made.domains = (
        dict.fromkeys((*own, colleague), our_domain)
        | dict.fromkeys(theirs, their_domain)
        | dict.fromkeys(strangers, strange_domain)
    )
    made.matches_domains = random.random() < 0.5
    for account in made.accounts:
        made.websites[account] = random.choice(
            (their_domain, strange_domain, strange_domain, our_domain, "elsewhere.example")
        )
    everyone = [*own, *own, *theirs, *theirs, colleague, *strangers]
    threads = [next(keys) for _ in range(3)]
    began = clock.instant(random)
    for _ in range(random.randrange(4, 16)):
        made.copies += _message(random, clock, made, everyone, threads, keys, began)
    for _ in range(random.randrange(0, 6)):
        made.entries += _meeting(random, clock, made, everyone, keys)
    return made


def _message(
    random: Random,
    clock: Clock,
    made: History,
    everyone: Sequence[int],
    threads: Sequence[int],
    keys: Iterator[int],
    began: datetime,
) -> Iterable[Copy]:
    message, sender = next(keys), random.choice(everyone)
    recipients = [random.choice(everyone) for _ in range(random.choice((0, 1, 1, 2, 3)))]
    sent, thread = clock.instant(random), random.choice(threads)
    if random.random() < 0.5:
        # a conversation with the first account, whose answers come in or just out of time
        own, contact = made.mailboxes[1].addresses[0], made.contacts[0][2]
        sender, first = random.choice(((own, contact), (contact, own)))
        recipients = [first, *recipients]
        sent = began + random.choice((0, 1, 719, 720, 721, 1440)) * HOUR
        sent += timedelta(milliseconds=random.choice((0, 0, 1)))
        thread = threads[0] if random.random() < 0.8 else thread
    kind = random.random()
    for mailbox in random.sample(made.mailboxes, random.choice((1, 1, 2, 3))):
        shown = sender if random.random() < 0.93 else random.choice([None, random.choice(everyone)])
        yield Copy(
            mailbox_id=mailbox.mailbox_id,
            item_key=next(keys),
            message_key=message,
            thread_key=thread if random.random() < 0.9 else random.choice(threads),
            received_at=sent + random.choice((0, 0, 0, 1, 26)) * HOUR,
            from_key=shown,
            # Bcc stands in one copy only
            recipients=list(dict.fromkeys(recipients + [random.choice(everyone)] * (random.random() < 0.15))),
            is_draft=kind < 0.04,
            is_meeting_mail=0.04 <= kind < 0.08,
            is_search_folder_copy=random.random() < 0.05,
            gone_at=clock.end if random.random() < 0.1 else None,
        )


RESPONSES = ("none", "accepted", "declined", "declined", "tentativelyAccepted", "organizer", "notResponded")


def _meeting(
    random: Random, clock: Clock, made: History, everyone: Sequence[int], keys: Iterator[int]
) -> Iterable[Entry]:
    ical, organizer = next(keys), random.choice(everyone)
    is_all_day = random.random() < 0.2
    start = clock.instant(random)
    if is_all_day:
        start = datetime.combine(clock.local_day(start), time())
        end = start + timedelta(days=random.choice((1, 1, 2)))
    else:
        end = start + random.choice(
            (timedelta(minutes=30), HOUR, 30 * HOUR, max(clock.end - start, HOUR), timedelta(0))
        )
    starts = [start] if random.random() < 0.7 else [start, start + timedelta(days=7)]
    invited = [random.choice(everyone) for _ in range(random.choice((1, 2, 3)))]
    for begin in starts:
        for mailbox in random.sample(made.mailboxes, random.choice((1, 2, 3))):
            mine = organizer in mailbox.addresses
            attendees: list[tuple[int | None, str | None, str]] = [
                (
                    address if random.random() < 0.95 else None,
                    random.choice(("required", "optional", None, "resource"))
                    if random.random() < 0.2
                    else "required",
                    random.choice(RESPONSES),
                )
                for address in invited
            ]
            yield Entry(
                mailbox_id=mailbox.mailbox_id,
                item_key=next(keys),
                ical_key=ical,
                start_at=begin,
                end_at=begin + (end - start),
                organizer_key=organizer if random.random() < 0.95 else None,
                attendees=attendees,
                own_response="organizer" if mine else random.choice(RESPONSES),
                read_at=clock.end + random.choice((0, 1, 2)) * HOUR,
                is_all_day=is_all_day,
                is_cancelled=random.random() < 0.12,
                is_organizer=mine,
                gone_at=random.choice((begin - HOUR, begin, begin + HOUR))
                if random.random() < 0.12
                else None,
            )


# ---------------------------------------------------------------------------------------------------
# landing it


def message_row(copy: Copy, read_at: datetime, *, landing_id: int | None = None) -> tuple[Any, ...]:
    """A row of raw.office_messages."""
    return (
        *(copy.mailbox_id, copy.item_key, copy.message_key, copy.thread_key, copy.received_at, None),
        *(copy.from_key, copy.from_key, copy.recipients),
        *(copy.is_draft, copy.is_meeting_mail, copy.is_search_folder_copy, read_at, copy.gone_at, landing_id),
    )


def meeting_row(entry: Entry, read_at: datetime, *, landing_id: int | None = None) -> tuple[Any, ...]:
    """A row of raw.office_meetings."""
    return (
        *(entry.mailbox_id, entry.item_key, entry.ical_key, entry.start_at, entry.end_at),
        *(entry.is_all_day, entry.is_cancelled, entry.is_organizer, entry.own_response),
        entry.organizer_key,
        *([attendee[place] for attendee in entry.attendees] for place in range(3)),
        *(read_at, entry.gone_at, landing_id),
    )


def people_rows(made: Iterable[History], time_zone: str) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of the raw tables that every extraction writes anew: settings, customers, mailboxes and addresses."""
    rows: dict[str, list[tuple[Any, ...]]] = {
        "settings": [("", "reporting.time_zone", time_zone)],
        "accounts": [],
        "contacts": [],
        "office_mailboxes": [],
        "office_addresses": [],
    }
    for one in made:
        rows["settings"] += [
            (one.enrichment_id, "type", "office"),
            (one.enrichment_id, "name", one.enrichment_id),
            (one.enrichment_id, "output_table", one.enrichment_id),
            (one.enrichment_id, "domain_matching", str(one.matches_domains).lower()),
        ]
        rows["accounts"] += [
            (account, account, None, one.websites[account], None, None, None, None)
            for account in one.accounts
        ]
        rows["contacts"] += [
            (contact, account, address, one.domains[address]) for contact, account, address in one.contacts
        ]
        rows["office_mailboxes"] += [
            (one.enrichment_id, box.mailbox_id, None, box.addresses, None, box.state, None, box.monitored_to)
            for box in one.mailboxes
        ]
        rows["office_addresses"] += [
            (address, domain, "automated" if address in one.automated else "person")
            for address, domain in one.domains.items()
        ]
    return rows


def ledger_rows(
    made: Iterable[History], clock: Clock, landing_id: int | None = None
) -> list[tuple[Any, ...]]:
    """Rows of raw.office_units by which everything has been read up to the end of the clock's day."""
    return [
        (box.mailbox_id, kind, datetime(2024, 9, 1), NEVER, clock.end, 0, "run", NEVER, landing_id)
        for one in made
        for box in one.mailboxes
        for kind in ("messages", "meetings")
    ]


def raw_rows(made: Sequence[History], clock: Clock) -> dict[str, list[tuple[Any, ...]]]:
    """Rows of all raw tables, everything having been read up to the end of the clock's day."""
    return people_rows(made, clock.time_zone) | {
        "office_messages": [message_row(copy, copy.received_at) for one in made for copy in one.copies],
        "office_meetings": [meeting_row(entry, entry.read_at) for one in made for entry in one.entries],
        "office_units": ledger_rows(made, clock),
    }


# ---------------------------------------------------------------------------------------------------
# counting by hand


@dataclass(frozen=True, slots=True)
class _Mail:
    """A message as it counts for one account."""

    key: int
    thread: int
    direction: str  # to | from
    at: datetime
    day: date
    ours: frozenset[int]
    theirs: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Met:
    """A meeting as it counts for one account; `minutes` is None for all-day ones."""

    day: date
    initiator: str  # ours | account | other
    minutes: float | None
    ours: frozenset[int]
    theirs: frozenset[str]


class Counted:
    """What a history comes to on a day."""

    def __init__(self, made: History, clock: Clock) -> None:
        self.clock = clock
        self.claims = self._claims(made)
        self.contacts = self._contacts(made)
        self.mailboxes = {mailbox.mailbox_id: mailbox for mailbox in made.mailboxes}
        self.mails: dict[str, list[_Mail]] = defaultdict(list)
        self.meetings: dict[str, list[_Met]] = defaultdict(list)
        self._count_mail(made)
        self._count_meetings(made)

    @staticmethod
    def _claims(made: History) -> dict[int, Mailbox]:
        """Whose each address is: who is listed longest, then the lower id."""
        claims: dict[int, Mailbox] = {}
        for mailbox in sorted(made.mailboxes, key=lambda m: m.mailbox_id):
            for address in mailbox.addresses:
                if address not in claims or mailbox.until > claims[address].until:
                    claims[address] = mailbox
        return claims

    def _contacts(self, made: History) -> dict[int, set[tuple[str, str]]]:
        """Account and person of every address that is somebody's there: by the contact file, then by domain."""
        found: dict[int, set[tuple[str, str]]] = defaultdict(set)
        for contact_id, account_id, address in made.contacts:
            if account_id in made.accounts:
                found[address].add((account_id, contact_id))
        if made.matches_domains:
            websites = Counter(made.websites[account] for account in made.accounts)
            ours = {made.domains[address] for address in self.claims}
            for address in made.domains.keys() - found.keys():
                domain = made.domains[address]
                if websites[domain] == 1 and domain not in ours:
                    (account_id,) = (one for one in made.accounts if made.websites[one] == domain)
                    found[address].add((account_id, f"the address {address}"))
        return defaultdict(set, {key: who for key, who in found.items() if key not in self.claims})

    def _owner(self, address: int | None, at: datetime) -> int | None:
        mailbox = None if address is None else self.claims.get(address)
        return mailbox.mailbox_id if mailbox is not None and at < mailbox.until else None

    # -- mail

    def _count_mail(self, made: History) -> None:
        by_message: dict[int, list[Copy]] = defaultdict(list)
        for copy in made.copies:
            if copy.is_draft or copy.is_meeting_mail or copy.is_search_folder_copy:
                continue
            if copy.received_at < min(self.mailboxes[copy.mailbox_id].until, self.clock.end):
                by_message[copy.message_key].append(copy)
        for key, copies in by_message.items():
            self._count_message(key, copies, made.automated)

    def _count_message(self, key: int, copies: list[Copy], automated: set[int]) -> None:
        copies.sort(key=lambda c: (c.received_at, c.mailbox_id, c.item_key))
        at = copies[0].received_at
        speaking = min(
            copies, key=lambda c: (self._owner(c.from_key, c.received_at) is None, c.from_key is None)
        )
        if speaking.from_key in automated:
            return
        author = self._owner(speaking.from_key, speaking.received_at)
        forms = Counter(copy.thread_key for copy in copies)
        thread = min(forms, key=lambda form: (-forms[form], form))
        ours = {copy.mailbox_id for copy in copies} | ({author} if author is not None else set())
        senders: set[tuple[str, str]] = set()
        receivers: set[tuple[str, str]] = set()
        for copy in copies:
            if copy.from_key is not None:
                senders |= self.contacts.get(copy.from_key, set())
            for address in copy.recipients:
                receivers |= self.contacts.get(address, set())
                owner = self._owner(address, copy.received_at)
                if owner is not None:
                    ours.add(owner)
        direction, found = ("from", senders) if author is None else ("to", receivers)
        for account_id in {account for account, _ in found}:
            theirs = {contact for account, contact in senders | receivers if account == account_id}
            self.mails[account_id].append(
                _Mail(
                    key, thread, direction, at, self.clock.local_day(at), frozenset(ours), frozenset(theirs)
                )
            )

    def replies(self, account_id: str) -> list[tuple[date, float]]:
        """Day and hours of every reply: since the first of ours that waited."""
        found = []
        threads: dict[int, list[_Mail]] = defaultdict(list)
        for mail in self.mails[account_id]:
            threads[mail.thread].append(mail)
        for mails in threads.values():
            waiting: datetime | None = None
            for mail in sorted(mails, key=lambda m: (m.at, m.direction == "from", m.key)):
                if mail.direction == "to":
                    waiting = waiting or mail.at
                    continue
                if waiting is not None and mail.at - waiting < REPLY_LIMIT + timedelta(milliseconds=1):
                    found.append((mail.day, _milliseconds(waiting, mail.at) / 3_600_000))
                waiting = None
        return found

    # -- meetings

    def _count_meetings(self, made: History) -> None:
        occurrences: dict[tuple[int, datetime], list[Entry]] = defaultdict(list)
        for entry in made.entries:
            if self._begin(entry) < self.mailboxes[entry.mailbox_id].until:
                occurrences[entry.ical_key, entry.start_at].append(entry)
        for entries in occurrences.values():
            self._count_meeting(entries)

    def _begin(self, entry: Entry) -> datetime:
        return self.clock.midnight(entry.start_at.date()) if entry.is_all_day else entry.start_at

    def _has_vanished(self, entry: Entry) -> bool:
        return entry.gone_at is not None and entry.gone_at < self._begin(entry)

    def _count_meeting(self, entries: list[Entry]) -> None:
        speaks = min(
            entries,
            key=lambda e: (
                not e.is_organizer, self._has_vanished(e), -e.read_at.timestamp(), e.mailbox_id, e.item_key,
            ),
        )  # fmt: skip
        if self._has_vanished(speaks):
            return
        if speaks.is_organizer:
            if speaks.is_cancelled:
                return
        elif any(entry.is_cancelled for entry in entries):
            return
        begin = self._begin(speaks)
        day = self.clock.local_day(begin)
        last = speaks.end_at - timedelta(microseconds=1)
        ended = last.date() if speaks.is_all_day else self.clock.local_day(last)
        if max(day, ended) > self.clock.day:
            return
        present = [entry for entry in entries if not self._has_vanished(entry)]
        ours, theirs = self._participants(present, begin)
        if not ours:
            return
        organizer = speaks.organizer_key
        minutes = None if speaks.is_all_day else _milliseconds(speaks.start_at, speaks.end_at) / 60_000
        for account_id in {account for account, _ in theirs}:
            initiator = "other"
            if self._owner(organizer, begin) is not None:
                initiator = "ours"
            elif organizer is not None and account_id in {a for a, _ in self.contacts.get(organizer, set())}:
                initiator = "account"
            self.meetings[account_id].append(
                _Met(
                    day,
                    initiator,
                    minutes,
                    frozenset(ours),
                    frozenset(contact for account, contact in theirs if account == account_id),
                )
            )

    def _participants(self, present: list[Entry], begin: datetime) -> tuple[set[int], set[tuple[str, str]]]:
        """Ours by mailbox and theirs by (account, contact) who have not declined."""
        own: dict[int, str] = {}
        for entry in sorted(present, key=lambda e: (-e.read_at.timestamp(), e.item_key)):
            own.setdefault(entry.mailbox_id, entry.own_response)
        answers: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
        for entry in present:
            said = [(address, response) for address, kind, response in entry.attendees if kind != "resource"]
            said.append((entry.organizer_key, "organizer"))
            for address, response in said:
                if address is None:
                    continue
                rank = (
                    not entry.is_organizer,
                    -entry.read_at.timestamp(),
                    entry.mailbox_id,
                    response != "organizer",
                    response,
                )
                owner = self._owner(address, begin)
                if owner is not None and owner not in own:
                    answers[owner].append((*rank, response))
                for contact in self.contacts.get(address, set()):
                    answers[contact].append((*rank, response))
        spoken = {who: min(said)[-1] for who, said in answers.items()} | own
        attending = {who for who, response in spoken.items() if response != "declined"}
        return (
            {who for who in attending if isinstance(who, int)},
            {who for who in attending if isinstance(who, tuple)},
        )

    # -- rows

    def rows(self) -> Iterator[Row]:
        """The rows of account_engagement for this history, without the score."""
        for account_id in sorted(set(self.mails) | set(self.meetings)):
            days = {mail.day for mail in self.mails[account_id]} | {
                met.day for met in self.meetings[account_id]
            }
            replies = self.replies(account_id)
            for level, start, first, last, is_cut in periods(self.clock):
                mails = [mail for mail in self.mails[account_id] if first <= mail.day <= last]
                met = [one for one in self.meetings[account_id] if first <= one.day <= last]
                if not mails and not met:
                    continue
                hours = [taken for day, taken in replies if first <= day <= last]
                minutes = [one.minutes for one in met if one.minutes is not None]
                mail_days = [mail.day for mail in self.mails[account_id] if mail.day <= last]
                met_days = [one.day for one in self.meetings[account_id] if one.day <= last]
                directions = [mail.direction for mail in mails]
                initiators = [one.initiator for one in met]
                yield {
                    "account_id": account_id,
                    "aggregation_level": level,
                    "aggregation_starts_on": start,
                    "aggregation_ends_on": last,
                    "is_cut_period": is_cut,
                    "emails_to_account_count": directions.count("to"),
                    "emails_from_account_count": directions.count("from"),
                    "meetings_count": len(met),
                    "meetings_to_account_count": initiators.count("ours"),
                    "meetings_from_account_count": initiators.count("account"),
                    "own_people_in_emails_count": len({who for mail in mails for who in mail.ours}),
                    "account_people_in_emails_count": len({who for mail in mails for who in mail.theirs}),
                    "own_people_in_meetings_count": len({who for one in met for who in one.ours}),
                    "account_people_in_meetings_count": len({who for one in met for who in one.theirs}),
                    "replies_count": len(hours),
                    "reply_time_mean_hours": fmean(hours) if hours else None,
                    "reply_time_median_hours": median(hours) if hours else None,
                    "meeting_duration_mean_minutes": fmean(minutes) if minutes else None,
                    "days_since_last_email": (last - max(mail_days)).days if mail_days else None,
                    "days_since_last_meeting": (last - max(met_days)).days if met_days else None,
                    "engagement_started_on": min(days),
                }

    # -- segments

    def segments(self, rhythm_least_days: int) -> Iterator[tuple[str, str]]:
        """Segment and account, for the segments that look at contact alone and every account with any."""
        last, first = self.clock.day, self.clock.year_start
        for account_id in sorted(set(self.mails) | set(self.meetings)):
            mail_days = [mail.day for mail in self.mails[account_id] if mail.day <= last]
            met_days = [one.day for one in self.meetings[account_id] if one.day <= last]
            silent = [(last - max(days)).days if days else None for days in (mail_days, met_days)]
            if silent == [None, None]:
                yield "never_engaged", account_id
            elif all(days is None or days > 60 for days in silent):
                yield "stale", account_id
                if None not in silent:
                    yield "stale_strict", account_id
            mails = [mail for mail in self.mails[account_id] if first <= mail.day <= last]
            met = [one for one in self.meetings[account_id] if first <= one.day <= last]
            inbound = [mail.direction for mail in mails].count("from")
            inbound += [one.initiator for one in met].count("account")
            outbound = [mail.direction for mail in mails].count("to")
            outbound += [one.initiator for one in met].count("ours")
            interactions = len(mails) + len(met)
            if interactions >= 3 and not (inbound and outbound):
                yield "one_way", account_id
            carried: Counter[str] = Counter()
            for one in (*mails, *met):
                carried.update(one.theirs)
            if interactions >= 5 and max(carried.values(), default=0) / interactions > 0.8:
                yield "single_threaded", account_id
            active = sorted(
                {mail.day for mail in mails if mail.direction == "from"} | {one.day for one in met}
            )
            if len(active) >= rhythm_least_days:
                gap = median((later - earlier).days for earlier, later in pairwise(active))
                if 3 < (last - active[-1]).days / max(gap, 7) <= 8:
                    yield "going_silent", account_id


def _milliseconds(earlier: datetime, later: datetime) -> int:
    """Whole milliseconds between two instants."""
    return (later - earlier) // timedelta(milliseconds=1)


def periods(clock: Clock) -> Iterator[tuple[str, date, date, date, bool]]:
    """Level, start, first and last day counted, and whether the window cuts it, of every period of the year."""
    yield "year", clock.year_start, clock.year_start, clock.day, False
    months, weeks = {}, {}
    for offset in range(365):
        day = clock.year_start + timedelta(days=offset)
        start = day.replace(day=1)
        months[start] = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
        start = day - timedelta(days=day.weekday())
        weeks[start] = start + timedelta(days=6)
    for level, found in (("month", months), ("week", weeks)):
        for start, end in found.items():
            first, last = max(start, clock.year_start), min(end, clock.day)
            yield level, start, first, last, (first, last) != (start, end)
