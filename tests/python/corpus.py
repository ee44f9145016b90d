"""Real data as emulated tenants: the Enron corpus and the public notes of open working groups.

Both are read from where ENGAGEMENT_TEST_DATA points (its README describes the files); nothing of them is kept
here. `python -m emulators.graph --tenant corpus:enron` serves the one, `corpus:working_groups` the other;
`corpus:enron_whole` serves all mail of the one, for the back-test.

What the working groups' notes do not say (organisers, answers, cancellations, addresses) is made up by rules
that depend on the ids alone, and stated as `Gathering` records: what really took place. The calendars made
from them are deliberately less clear than that (`_copies`), as real ones are; an oracle counts the records.
"""

from __future__ import annotations

import csv
import gc
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb
import yaml

from emulators.identifiers import (
    conversation_id,
    conversation_index,
    exchange_ical_uid,
    item_id,
    seeded_guid,
    thread_guid,
)
from emulators.tenant import Attendee, Event, Group, Message, Person, Tenant

ENRON_NOW = datetime(2001, 10, 1, 12, tzinfo=UTC)
ENRON_DAY = date(2001, 9, 30)
ENRON_RETENTION_DAYS = 1000
ENRON_TIME_ZONE = "UTC"
# after the corpus' last message, and far enough back to keep a year before the first date that is scored
ENRON_WHOLE_NOW = datetime(2002, 7, 1, 12, tzinfo=UTC)
ENRON_WHOLE_RETENTION_DAYS = 1277  # from 1999-01-01

# the day is the third of a plenary's four, so that an all-day entry ends with it and another begins after it
GROUPS_NOW = datetime(2023, 5, 18, 12, tzinfo=UTC)
GROUPS_DAY = date(2023, 5, 17)
GROUPS_RETENTION_DAYS = 1826
# where nearly every meeting, held in the European evening, falls on another day than in UTC
GROUPS_TIME_ZONE = "Australia/Sydney"

# the organisation whose people attended most of the meetings
OUR_ORGANISATION = "apollo-graphql"
OUR_DOMAIN = f"{OUR_ORGANISATION}.example"
OUR_GROUP = f"working-groups@{OUR_DOMAIN}"

MEETING_MAIL = "#microsoft.graph.eventMessageRequest"

_NO_ORGANISATION = re.compile(
    r".*(invited|individual|independent).*|ie\b.*|(n|none|self|newbie|tbd|observer|-|\?+|360)\.?",
    re.IGNORECASE,
)


def data_directory() -> Path:
    """Give the folder of the real data; KeyError where it is not set."""
    return Path(os.environ["ENGAGEMENT_TEST_DATA"])


# ---------------------------------------------------------------------------------------------------
# Enron


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One monitored person of the corpus."""

    name: str
    address: str
    aliases: tuple[str, ...]

    @property
    def guid(self) -> str:
        return seeded_guid(f"enron:{self.name}")


def enron_mailboxes() -> list[Mailbox]:
    """Give the monitored people; the first address is also among the aliases."""
    with (data_directory() / "enron" / "mailboxes.csv").open(encoding="utf-8", newline="") as file:
        return [
            Mailbox(row["mailbox"], row["address"], tuple(row["aliases"].split()))
            for row in csv.DictReader(file)
        ]


def enron() -> Tenant:
    """Build the tenant of the Enron corpus at noon (UTC) of 1 October 2001.

    Mail and meetings after that are in it too (the corpus ends in mid-2002): a client must not ask for them.
    A message's time is its sending in every copy, since the corpus has no other.
    """
    return _enron_tenant(ENRON_NOW, has_calendars=True)


def enron_whole() -> Tenant:
    """Build the same tenant after the corpus' end, for the back-test: all mail, and calendars without entries."""
    return _enron_tenant(ENRON_WHOLE_NOW, has_calendars=False)


def _enron_tenant(now: datetime, *, has_calendars: bool) -> Tenant:
    mailboxes = enron_mailboxes()
    # nothing of millions of new objects is garbage: looking for it would take half of the time
    collecting = gc.isenabled()
    gc.disable()
    try:
        messages = _enron_messages({mailbox.name: mailbox.guid for mailbox in mailboxes})
    finally:
        if collecting:
            gc.enable()
    return Tenant(
        now=now,
        people=[
            Person(
                id=mailbox.guid,
                mail=mailbox.address,
                user_principal_name=mailbox.address,
                proxy_addresses=tuple(
                    f"{'SMTP' if alias == mailbox.address else 'smtp'}:{alias}" for alias in mailbox.aliases
                ),
                display_name=mailbox.name,
            )
            for mailbox in mailboxes
        ],
        messages=messages,
        events=_enron_events(mailboxes) if has_calendars else {},
    )


def _rows(query: str, **parameters: object) -> list[tuple[Any, ...]]:
    with duckdb.connect() as connection:
        return connection.execute(query, parameters).fetchall()


def _enron_messages(guids: dict[str, str]) -> dict[str, list[Message]]:
    rows = _rows(
        """
        select
            mailbox, file_row_number, folder, internet_message_id, thread, is_reply, sent_at, from_address,
            -- a single text is ten times faster to hand over than a list; a few addresses are null
            array_to_string(list_transform(to_addresses, lambda a: coalesce(a, '?')), ' '),
            array_to_string(list_transform(cc_addresses, lambda a: coalesce(a, '?')), ' '),
            is_meeting_mail, min(sent_at) over (partition by thread) as thread_started_at
        from read_parquet($file, file_row_number = true)
        order by sent_at, file_row_number
        """,
        file=str(data_directory() / "enron" / "messages.parquet"),
    )
    # copies of one message share its strings and tuples: that halves the memory
    shared: dict[Any, Any] = {}
    lists: dict[str, tuple[str | None, ...]] = {}
    indexes: dict[tuple[str, bool], bytes] = {}
    conversations: dict[tuple[str, str], str] = {}
    messages: dict[str, list[Message]] = {guid: [] for guid in guids.values()}

    def once(value: Any) -> Any:
        return shared.setdefault(value, value)

    def addresses(joined: str) -> tuple[str | None, ...]:
        listed = lists.get(joined)
        if listed is None:
            listed = lists[joined] = tuple(None if one == "?" else once(one) for one in joined.split())
        return listed

    for (
        name,
        number,
        folder,
        message_id,
        thread,
        is_reply,
        sent_at,
        sender,
        to,
        cc,
        is_meeting,
        started,
    ) in rows:
        guid = guids[name]
        if (index := indexes.get((thread, is_reply))) is None:
            index = conversation_index(thread_guid(thread), started.replace(tzinfo=UTC), int(is_reply))
            indexes[thread, is_reply] = index
        if (conversation := conversations.get((name, thread))) is None:
            conversation = conversations[name, thread] = conversation_id(guid, thread_guid(thread))
        instant = once(sent_at.replace(tzinfo=UTC))
        messages[guid].append(
            Message(
                id=item_id(guid, str(number)),
                internet_message_id=once(f"<{message_id}@enron.example>"),
                conversation_id=conversation,
                conversation_index=index,
                received_at=instant,
                sent_at=instant,
                from_address=once(sender),
                to=addresses(to),
                cc=addresses(cc),
                folder=once(folder),
                odata_type=MEETING_MAIL if is_meeting else None,
            )
        )
    return messages


def _enron_events(mailboxes: Iterable[Mailbox]) -> dict[str, list[Event]]:
    by_name = {mailbox.name: mailbox for mailbox in mailboxes}
    events: dict[str, list[Event]] = defaultdict(list)
    rows = _rows(
        """
        select mailbox, file_row_number, ical_uid, organizer, attendees, start_utc, end_utc, response
        from read_parquet($file, file_row_number = true)
        order by start_utc, file_row_number
        """,
        file=str(data_directory() / "enron" / "meetings.parquet"),
    )
    for name, number, uid, organizer, attendees, start_at, end_at, response in rows:
        mailbox = by_name[name]
        start_at = start_at.replace(tzinfo=UTC)
        is_organizer = organizer in mailbox.aliases
        events[mailbox.guid].append(
            Event(
                id=item_id(mailbox.guid, f"event:{number}"),
                ical_uid=exchange_ical_uid(uid, start_at),
                start_at=start_at,
                end_at=end_at.replace(tzinfo=UTC),
                organizer=organizer,
                attendees=tuple(Attendee(address) for address in attendees),
                # "updated", the corpus' other word, says only that the invitation was sent again
                is_cancelled=response == "canceled",
                is_organizer=is_organizer,
                own_response="organizer" if is_organizer else "notResponded",
            )
        )
    return dict(events)


def write_enron(folder: Path) -> Path:
    """Write enrichments.yml for the corpus, whose customer files are read where they lie; give its path."""
    return _write_enron(
        folder,
        retention_days=ENRON_RETENTION_DAYS,
        mapping={"company_name": "name", "website": "website", "country": "country"},
    )


def write_enron_whole(folder: Path) -> Path:
    """Write enrichments.yml for all mail of the corpus, without company data; give its path."""
    return _write_enron(folder, retention_days=ENRON_WHOLE_RETENTION_DAYS)


def _write_enron(folder: Path, *, retention_days: int, mapping: dict[str, str] | None = None) -> Path:
    enron_data = data_directory() / "enron"
    return _write_configuration(
        folder,
        time_zone=ENRON_TIME_ZONE,
        accounts={
            "path": str(enron_data / "accounts.csv"),
            "website": "website",
            "country": "country",
            "attributes": ["kind"],
        },
        contacts={"path": str(enron_data / "contacts.csv")},
        addresses=[mailbox.address for mailbox in enron_mailboxes()],
        retention_days=retention_days,
        mapping=mapping,
    )


# ---------------------------------------------------------------------------------------------------
# the working groups


@dataclass(frozen=True, slots=True)
class Attendance:
    """One person at one gathering, and what he answered; `organisation` is None for people of none."""

    person: str
    organisation: str | None
    response: str
    invited_by_name: bool = True  # False: through a list, so that only his own calendar knows of him
    keeps_copy: bool = True  # ours only: False where the entry was deleted from the calendar

    @property
    def is_ours(self) -> bool:
        return self.organisation == OUR_ORGANISATION

    @property
    def key(self) -> str:
        """Give the person's id within his organisation: a contact id, or the name of our mailbox."""
        return f"{self.person}-{self.organisation or 'nobody'}"

    @property
    def address(self) -> str:
        return f"{self.person}@{self.organisation or 'nobody'}.example"


@dataclass(frozen=True, slots=True)
class Gathering:
    """What really took place; all-day ones have floating midnights. Without organiser: a third party's."""

    id: str
    start_at: datetime
    end_at: datetime
    is_all_day: bool
    is_cancelled: bool
    people: tuple[Attendance, ...]
    organizer: Attendance | None


def _bucket(text: str, buckets: int) -> int:
    """Deal a text to one of some buckets, the same at every call."""
    return int.from_bytes(blake2b(text.encode(), digest_size=4).digest(), "big") % buckets


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _organisation(listed: str | None, known: Sequence[tuple[str, str]]) -> str | None:
    """Give the one name of what an attendee wrote, as a slug; of several organisations the first counts."""
    name = re.split(r"[,/;&]", listed or "")[0].strip().rstrip(".")
    if not name or _NO_ORGANISATION.fullmatch(name):
        return None
    for pattern, account_name in known:
        if re.match(rf"{re.escape(pattern)}(\b|graph)", name, re.IGNORECASE):
            return _slug(account_name)
    return _slug(name) or None


def gatherings() -> list[Gathering]:
    """Give every meeting of the working groups that one of our people attended, oldest first."""
    data = data_directory()
    with (data / "public_meeting_org_domains.csv").open(encoding="utf-8", newline="") as file:
        known = [(row["organization_pattern"], row["account_name"]) for row in csv.DictReader(file)]
    attendees: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for meeting, person, listed in _rows(
        "select meeting_id, person_id, organization from read_parquet($file) order by all",
        file=str(data / "public_meeting_attendees.parquet"),
    ):
        attendees[meeting].append((person.replace("_", ""), _organisation(listed, known)))
    made = [
        _gathering(meeting, start_at, end_at, date_only, attendees[meeting])
        for meeting, start_at, end_at, date_only in _rows(
            """
            select meeting_id, start_utc, end_utc, time_basis = 'date only'
            from read_parquet($file) order by start_utc, meeting_id
            """,
            file=str(data / "public_meetings.parquet"),
        )
    ]
    return [gathering for gathering in made if any(person.is_ours for person in gathering.people)]


def _gathering(
    meeting: str,
    start_at: datetime,
    end_at: datetime | None,
    date_only: bool,
    attendees: Iterable[tuple[str, str | None]],
) -> Gathering:
    everyone = [_attendance(meeting, person, organisation) for person, organisation in attendees]
    ours = [person for person in everyone if person.is_ours]
    theirs = [person for person in everyone if person.organisation and not person.is_ours]
    # two of five are ours to organise, two an account's, one a third party's
    candidates = (ours, ours, theirs, theirs, [])[_bucket(f"organizer:{meeting}", 5)]
    organizer = None
    if candidates:
        chosen = candidates[0]
        organizer = Attendance(chosen.person, chosen.organisation, "organizer")
        everyone = [organizer if person is chosen else person for person in everyone]
    length = timedelta(days=1) if date_only else timedelta(hours=1)
    return Gathering(
        id=meeting,
        start_at=start_at.replace(tzinfo=UTC),
        end_at=(end_at or start_at + length).replace(tzinfo=UTC),
        is_all_day=date_only,
        is_cancelled=_bucket(f"cancelled:{meeting}", 12) == 0,
        people=tuple(everyone),
        organizer=organizer,
    )


def _attendance(meeting: str, person: str, organisation: str | None) -> Attendance:
    seed = f"{meeting}:{person}"
    ours = organisation == OUR_ORGANISATION
    return Attendance(
        person,
        organisation,
        response=("declined", "notResponded", "tentativelyAccepted", "accepted", "accepted", "accepted")[
            _bucket(f"response:{seed}", 6)
        ],
        invited_by_name=not (ours and _bucket(f"list:{seed}", 7) == 0),
        # who was invited through a list and deleted the entry has left no trace, so did not take part
        keeps_copy=not (ours and _bucket(f"list:{seed}", 7) == 1 and _bucket(f"copy:{seed}", 2) == 0),
    )


def working_groups() -> Tenant:
    """Build the tenant of the organisation that attended most meetings, its calendars filled."""
    events: dict[str, list[Event]] = defaultdict(list)
    people: dict[str, Person] = {}
    for gathering in gatherings():
        for person in gathering.people:
            if person.is_ours and person.key not in people:
                people[person.key] = Person(
                    id=seeded_guid(f"groups:{person.key}"),
                    mail=person.address,
                    user_principal_name=person.address,
                    proxy_addresses=(f"SMTP:{person.address}", f"smtp:{_alias(person)}"),
                    display_name=person.person,
                )
        for owner, event in _copies(gathering):
            events[people[owner.key].id].append(event)
    everyone = [people[key] for key in sorted(people)]
    return Tenant(
        now=GROUPS_NOW,
        people=everyone,
        groups=[
            Group(
                id=seeded_guid("groups:group"),
                mail=OUR_GROUP,
                display_name="Working groups",
                members=tuple(person.id for person in everyone[1::2]),
            )
        ],
        events=dict(events),
    )


def _alias(person: Attendance) -> str:
    return f"{person.person}.alias@{OUR_DOMAIN}"


def _spelling(gathering: Gathering, person: Attendance) -> str:
    """Give an address as this invitation spells it: aliases of ours, plus-tags and capitals of anybody's."""
    spelling = _bucket(f"spelling:{gathering.id}:{person.person}", 8)
    address = _alias(person) if person.is_ours and spelling < 4 else person.address
    if spelling == 0:
        address = address.replace("@", "+groups@")
    return address.upper() if spelling in (1, 5) else address


def _copies(gathering: Gathering) -> list[tuple[Attendance, Event]]:
    """Give the calendar entries of one gathering, by their owners.

    As in real calendars only the organiser's copy knows everyone's answer, and an attendee's copy only its
    owner's (the others' read `none`); where the organiser's calendar is not read, each copy knows those
    who have none of their own. Likewise a cancellation: where the organiser is ours, the others' copies may
    be out of date either way; else a single copy has heard of it.
    """
    organizer = gathering.organizer
    keepers = [person for person in gathering.people if person.is_ours and person.keeps_copy]
    if not keepers:
        # a gathering of which no calendar knows would be no part of the data
        keepers = [person for person in gathering.people if person.is_ours][:1]
    keeper_keys = {person.key for person in keepers}
    organizer_is_ours = organizer is not None and organizer.is_ours
    copies: list[tuple[Attendance, Event]] = []
    for position, owner in enumerate(keepers):
        is_organizer = organizer is not None and owner.key == organizer.key
        knows_the_others = is_organizer or not organizer_is_ours
        if is_organizer:
            is_cancelled = gathering.is_cancelled
        elif organizer_is_ours:
            is_cancelled = _bucket(f"outdated:{gathering.id}:{owner.person}", 5) == 0
        else:
            is_cancelled = gathering.is_cancelled and position == len(keepers) - 1
        attendees = tuple(
            Attendee(
                _spelling(gathering, person),
                type="optional" if _bucket(f"type:{person.person}", 3) == 0 else "required",
                response=person.response
                if person.key == owner.key or (knows_the_others and person.key not in keeper_keys)
                else "none",
            )
            for person in gathering.people
            if person.invited_by_name or (person.is_ours and person.key not in keeper_keys)
        )
        if organizer_is_ours:
            attendees += (Attendee(f"room-{_bucket(gathering.id, 5)}@{OUR_DOMAIN}", "resource", "accepted"),)
        guid = seeded_guid(f"groups:{owner.key}")
        copies.append(
            (
                owner,
                Event(
                    id=item_id(guid, f"event:{gathering.id}"),
                    ical_uid=exchange_ical_uid(gathering.id, gathering.start_at - timedelta(days=30)),
                    start_at=gathering.start_at,
                    end_at=gathering.end_at,
                    organizer="calendar@host.example"
                    if organizer is None
                    else _spelling(gathering, organizer),
                    attendees=attendees,
                    is_all_day=gathering.is_all_day,
                    is_cancelled=is_cancelled,
                    is_organizer=is_organizer,
                    own_response=owner.response,
                ),
            )
        )
    return copies


def write_working_groups(folder: Path) -> Path:
    """Write accounts.csv, contacts.csv and enrichments.yml, and give the latter's path.

    Every second of our people is chosen through a group. Someone who came for two organisations over the
    years is a contact of each, with an address of each.
    """
    met = gatherings()
    theirs = {
        person.key: person
        for gathering in met
        for person in gathering.people
        if person.organisation and not person.is_ours
    }
    ours = sorted(
        {
            person.key: person.address for gathering in met for person in gathering.people if person.is_ours
        }.items()
    )
    _write_csv(
        folder / "accounts.csv",
        ("account_id", "name"),
        [
            (slug, slug.replace("-", " ").title())
            for slug in sorted({str(p.organisation) for p in theirs.values()})
        ],
    )
    _write_csv(
        folder / "contacts.csv",
        ("contact_id", "account_id", "email"),
        [(key, str(theirs[key].organisation), theirs[key].address) for key in sorted(theirs)],
    )
    return _write_configuration(
        folder,
        time_zone=GROUPS_TIME_ZONE,
        accounts={"path": "accounts.csv"},
        contacts={"path": "contacts.csv"},
        addresses=[OUR_GROUP, *(address for _, address in ours[::2])],
        retention_days=GROUPS_RETENTION_DAYS,
    )


# ---------------------------------------------------------------------------------------------------
# configuration


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _write_configuration(
    folder: Path,
    *,
    time_zone: str,
    accounts: dict[str, object],
    contacts: dict[str, object],
    addresses: list[str],
    retention_days: int,
    mapping: dict[str, str] | None = None,
) -> Path:
    consent = {"by": "The test", "on": date(2001, 1, 1)}
    leadspace = {
        "type": "leadspace",
        "name": "Company data",
        "output_table": "Leadspace",
        "consent": dict(consent),
        "mapping": mapping,
    }
    configuration = {
        "reporting": {"time_zone": time_zone},
        "customers": {
            "accounts": {"id": "account_id", "name": "name"} | accounts,
            "contacts": {"id": "contact_id", "account": "account_id", "email": "email"} | contacts,
        },
        "enrichments": [
            {
                "type": "office",
                "name": "Account engagement",
                "output_table": "Office",
                "consent": dict(consent),
                "tenant_consent": dict(consent),
                "addresses": addresses,
                "retention": f"{retention_days} days",
                "refresh": "weekly",
            },
            *([leadspace] if mapping else []),
        ],
    }
    path = folder / "enrichments.yml"
    path.write_text(yaml.safe_dump(configuration, sort_keys=False), encoding="utf-8")
    return path
