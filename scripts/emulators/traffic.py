"""Mail and meetings of the demo's made-up company: a year of both, copy by copy, from one fixed seed.

Each kind of account (`cast.KINDS`) has its own course over the weeks; threads start and are answered at the
office hours of whoever writes. What is awkward in real mailboxes is here too: blind copies, delegates, mail
to groups, copies in search folders, drafts, meeting mails, X.500 addresses, threads that break, cancelled and
moved meetings.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from zoneinfo import ZoneInfo

from emulators.cast import DOMAIN, SEED, Account, Cast, our_id
from emulators.identifiers import (
    conversation_id,
    conversation_index,
    exchange_ical_uid,
    foreign_ical_uid,
    internet_message_id,
    item_id,
    thread_guid,
    topic_thread,
)
from emulators.tenant import Attendee, Event, Message

NOW = datetime(2026, 7, 1, 5, 30, tzinfo=UTC)
FIRST_DAY = date(2025, 6, 16)  # a Monday; a little more than the year that the score looks at
WEEKS = (NOW.date() - FIRST_DAY).days // 7 + 1

ZONES = {
    "Germany": "Europe/Berlin",
    "Norway": "Europe/Oslo",
    "Denmark": "Europe/Copenhagen",
    "Netherlands": "Europe/Amsterdam",
    "France": "Europe/Paris",
    "United Kingdom": "Europe/London",
    "United States": "America/New_York",
    "Canada": "America/Toronto",
}
OUR_ZONE = "Europe/Berlin"
AMERICAN_TEAM = {our_id(key) for key in ("whitfield", "marsh", "tremblay")}
UNRESOLVED = (
    "/O=EXCHANGELABS/OU=EXCHANGE ADMINISTRATIVE GROUP (FYDIBOHF23SPDLT)/CN=RECIPIENTS/CN=8F2C{:04X}-MOEN"
)
OUTSIDERS = (  # third parties: their mail belongs to no account
    "orders@labware-direct.example",
    "tracking@parcel-route.example",
    "no-reply@parcel-route.example",
    "news@measuring-weekly.example",
    "nina.petrov@auditors-holt.example",
    "jan.kruse@bridge-consulting.example",
    "hello@trade-fair-hall.example",
    "marie.t@postbox.example",
    "billing@cloud-lodge.example",
)


@dataclass(slots=True)
class Thread:
    """A conversation; one by topic (an answer to an invitation) has an id that contradicts its index."""

    guid: bytes
    started_at: datetime
    outlook_header: bool
    by_topic: bytes | None = None


@dataclass(frozen=True, slots=True)
class Meeting:
    """One occurrence before it is copied into calendars."""

    seed: str
    ical_uid: str
    organizer: str
    attendees: tuple[tuple[str | None, str], ...]  # address and type
    start_at: datetime
    minutes: int
    type: str = "singleInstance"
    series: str | None = None
    is_all_day: bool = False
    sensitivity: str = "normal"
    is_cancelled: bool = False


def _poisson(rng: Random, mean: float) -> int:
    limit, product, count = math.exp(-mean), rng.random(), 0
    while product > limit:
        product *= rng.random()
        count += 1
    return count


def _into_office_hours(rng: Random, instant: datetime, zone: str) -> datetime:
    """Move an instant to the next moment at which people of that zone sit at their desks."""
    local = instant.astimezone(ZoneInfo(zone))
    if local.hour >= 19:
        local = datetime.combine(local.date() + timedelta(days=1), time(0), local.tzinfo)
    while local.weekday() >= 5:
        local = datetime.combine(local.date() + timedelta(days=1), time(0), local.tzinfo)
    if local.hour < 7:
        minutes = int(rng.triangular(7 * 60, 11 * 60, 8.5 * 60))
        local = datetime.combine(
            local.date(), time(minutes // 60, minutes % 60, rng.randrange(60)), local.tzinfo
        )
    return local.astimezone(UTC)


def _office_moment(rng: Random, day: date, zone: str) -> datetime:
    minutes = int(rng.triangular(7 * 60, 19 * 60, 10.5 * 60))
    local = datetime.combine(day, time(minutes // 60, minutes % 60, rng.randrange(60)), ZoneInfo(zone))
    return local.astimezone(UTC)


def _season(day: date) -> float:
    """Give how busy a week is: little at the end of the year, less in the summer holidays."""
    if (day.month, day.day) >= (12, 20) or (day.month, day.day) <= (1, 2):
        return 0.2
    return 0.65 if (7, 12) <= (day.month, day.day) <= (8, 16) else 1.0


def _course(account: Account) -> list[float]:
    """Give the expected number of threads in each week, the same for an account's mail and its meetings."""
    rng, kind = Random(f"{SEED}:course:{account.account_id}"), account.kind
    weeks = range(WEEKS)
    level = rng.uniform(0.8, 1.7)
    if kind == "steady":
        return [level for _ in weeks]
    if kind == "growing":
        return [level * (0.15 + 1.7 * week / WEEKS) for week in weeks]
    if kind == "fading":
        end = rng.randint(20, WEEKS - 12)  # the last thread at least eleven weeks before the as-of date
        return [max(0.0, 1.6 * level * (1 - week / end)) for week in weeks]
    if kind == "bursty":
        centres = [rng.randrange(3, WEEKS - 2) for _ in range(rng.randint(3, 5))]
        return [
            0.1 + 3.6 * sum(math.exp(-((week - centre) ** 2) / 2) for centre in centres) for week in weeks
        ]
    if kind == "new":
        return [1.3 * level if week >= WEEKS - 8 else 0.0 for week in weeks]
    return [
        {"single_threaded": 0.8, "meeting_heavy": 0.5, "courted": 0.5}.get(kind, 0.0) * level for _ in weeks
    ]


@dataclass(slots=True)
class Traffic:
    """Writes the mail and the calendars of a cast."""

    cast: Cast
    messages: dict[str, list[Message]] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    _holders: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _sent: int = 0

    def __post_init__(self) -> None:
        members: dict[str, tuple[str, ...]] = {g.id: g.members for g in self.cast.groups}

        def flat(identifier: str) -> Iterator[str]:
            for member in members.get(identifier, ()):
                if member in members:
                    yield from flat(member)
                else:
                    yield member

        for person in self.cast.people:
            self.messages[person.id], self.events[person.id] = [], []
            # rooms and mailboxes that are not in the cloud get no copies
            holders = (person.id,) if person.account_enabled and person.mailbox_state == "readable" else ()
            for proxy in person.proxy_addresses:
                if proxy.lower().startswith("smtp:"):
                    self._holders[proxy[5:].lower()] = holders
        for group in self.cast.groups:
            self._holders[group.mail.lower()] = tuple(dict.fromkeys(flat(group.id)))

    # -- mail ---------------------------------------------------------------------------------------

    def holders(self, address: str | None) -> tuple[str, ...]:
        """Give our people to whom mail for an address goes: one, a group's members, or nobody."""
        return () if address is None else self._holders.get(address.lower(), ())

    def address(self, rng: Random, person_id: str) -> str:
        """Give an address of one of our people, mostly the primary one."""
        person = next(p for p in self.cast.people if p.id == person_id)
        chance = rng.random()
        if chance < 0.88:
            return person.mail
        if chance < 0.94:
            return person.mail.partition("@")[0].title() + "@" + DOMAIN.title()
        aliases = [p[5:] for p in person.proxy_addresses if p.startswith("smtp:")]
        return rng.choice(aliases) if aliases else person.mail

    def thread(self, rng: Random, started_at: datetime) -> Thread:
        """Begin a conversation."""
        return Thread(thread_guid(f"{SEED}:{self._sent}:{started_at}"), started_at, rng.random() < 0.4)

    def send(
        self,
        rng: Random,
        thread: Thread,
        depth: int,
        at: datetime,
        sender: str,
        to: Sequence[str | None],
        cc: Sequence[str | None] = (),
        bcc: Sequence[str | None] = (),
        *,
        delegate: str | None = None,
        odata_type: str | None = None,
        in_sent_items: bool = True,
    ) -> bool:
        """Put a message's copies into our mailboxes; one that would lie in the future is not sent."""
        at = at.replace(microsecond=0)
        if at > NOW - timedelta(minutes=15):
            return False
        self._sent += 1
        seed = f"{SEED}:{self._sent}"
        host = sender.rpartition("@")[2].lower() if "@" in sender else DOMAIN
        message_id = internet_message_id(seed, host)

        def store(person_id: str, folder: str, received_at: datetime, blind: Sequence[str | None]) -> None:
            self.messages[person_id].append(
                Message(
                    id=item_id(person_id, f"{seed}:{folder}"),
                    internet_message_id=message_id,
                    conversation_id=conversation_id(person_id, thread.by_topic or thread.guid),
                    conversation_index=conversation_index(
                        thread.guid, thread.started_at, depth, outlook_header=thread.outlook_header
                    ),
                    received_at=received_at,
                    sent_at=at,
                    from_address=sender,
                    to=tuple(to),
                    cc=tuple(cc),
                    bcc=tuple(blind),
                    sender_address=delegate,
                    folder=folder,
                    odata_type=odata_type,
                )
            )

        senders = self.holders(sender) if in_sent_items else ()
        for person_id in dict.fromkeys([*senders, *self.holders(delegate)]):
            store(person_id, "sentitems", at, bcc)
        arrived = at + timedelta(seconds=rng.randint(1, 9))
        receivers = dict.fromkeys(h for address in (*to, *cc, *bcc) for h in self.holders(address))
        for person_id in receivers:
            if person_id in senders:
                continue
            folder = rng.choices(
                ("inbox", "archive", "other", "deleteditems", "junkemail"), (78, 8, 8, 5, 1)
            )[0]
            store(person_id, folder, arrived, ())
            if rng.random() < 0.01:
                store(person_id, "search", arrived, ())
        return True

    def _draft(self, rng: Random, person_id: str, to: str, at: datetime) -> None:
        if at > NOW - timedelta(minutes=15):
            return
        thread = self.thread(rng, at)
        self._sent += 1
        self.messages[person_id].append(
            Message(
                id=item_id(person_id, f"draft:{self._sent}"),
                internet_message_id=None
                if rng.random() < 0.5
                else internet_message_id(f"d{self._sent}", DOMAIN),
                conversation_id=conversation_id(person_id, thread.guid),
                conversation_index=conversation_index(thread.guid, at),
                received_at=at.replace(microsecond=0),
                sent_at=None,
                from_address=None,
                to=(to,),
                folder="drafts",
                is_draft=True,
            )
        )

    # -- threads of an account ----------------------------------------------------------------------

    def account_mail(self, rng: Random, account: Account) -> None:
        """Write an account's threads of the whole year."""
        outside = [
            c.writes_as
            for c in account.contacts
            if c.writes_as.lower().endswith("@" + account.domain)
            and not c.writes_as.startswith(("newsletter@", "no-reply@"))
        ]
        if account.kind == "single_threaded":
            outside = outside[:1]
        quickness = rng.uniform(0.5, 2.6)  # how slowly this account answers
        for week, expected in enumerate(_course(account)):
            monday = FIRST_DAY + timedelta(weeks=week)
            for _ in range(_poisson(rng, expected * _season(monday))):
                day = monday + timedelta(days=min(int(rng.triangular(0, 5, 2)), 4))
                self._thread_with(rng, account, outside, day, quickness)

    def _thread_with(
        self, rng: Random, account: Account, outside: list[str], day: date, quickness: float
    ) -> None:
        answers = account.kind != "courted"
        # few of an account's people do most of the writing
        contact = outside[min(int(rng.expovariate(1.1)), len(outside) - 1)]
        ours_id = account.team[min(int(rng.expovariate(1.4)), len(account.team) - 1)]
        ours = self.address(rng, ours_id)
        our_zone = ZONES["United States"] if ours_id in AMERICAN_TEAM else OUR_ZONE
        their_zone = ZONES[account.country]
        their_cc = [c for c in outside if c != contact and rng.random() < 0.14][:3]
        our_cc = [
            self.address(rng, member) for member in account.team if member != ours_id and rng.random() < 0.16
        ]
        inbound = answers and rng.random() < 0.46
        at = _office_moment(rng, day, their_zone if inbound else our_zone)
        thread = self.thread(rng, at)
        depth = 0
        for number in range(9):
            if inbound:
                to: list[str | None] = [ours]
                if number == 0 and rng.random() < 0.05:
                    to = [f"sales-emea@{DOMAIN}" if our_zone == OUR_ZONE else f"sales-americas@{DOMAIN}"]
                sent = self.send(rng, thread, depth, at, contact, to, [*our_cc, *their_cc])
            else:
                sender, delegate = ours, None
                if ours_id == our_id("solberg") and rng.random() < 0.12:
                    delegate = f"lund@{DOMAIN}"
                if rng.random() < 0.03:
                    # a colleague whose mailbox is not read answers for us
                    sender = f"service-desk@{DOMAIN}"
                    our_cc = list(dict.fromkeys([*our_cc, ours]))
                bcc = [f"lindqvist@{DOMAIN}"] if rng.random() < 0.04 else []
                to = [contact, *(c for c in their_cc if rng.random() < 0.3)]
                cc = [*our_cc, *(c for c in their_cc if c not in to)]
                if rng.random() < 0.004:
                    cc.append(UNRESOLVED.format(number))
                sent = self.send(rng, thread, depth, at, sender, to, cc, bcc, delegate=delegate)
            if not sent or not answers or rng.random() > 0.66:
                return
            delay = timedelta(hours=rng.lognormvariate(math.log(2.8 * quickness), 1.0))
            zone = our_zone if inbound else their_zone
            at = _into_office_hours(rng, at + min(delay, timedelta(days=9)), zone)
            if not inbound and rng.random() < 0.05:
                # the contact's client drops Thread-Index: the answer begins a conversation of its own
                thread, depth = self.thread(rng, at), -1
            depth += 1
            # now and then the same side writes again before it is answered
            inbound = not inbound if rng.random() < 0.9 else inbound

    # -- other mail ---------------------------------------------------------------------------------

    def other_mail(self, rng: Random) -> None:
        """Write internal mail, third parties' mail, newsletters and drafts."""
        team = list(self.cast.monitored)
        newsletters = [a for a in self.cast.accounts if a.kind == "newsletter"]
        writers = [a for a in self.cast.accounts if a.kind in ("steady", "growing")]
        for week in range(WEEKS):
            monday = FIRST_DAY + timedelta(weeks=week)
            busy = _season(monday)
            for _ in range(_poisson(rng, 11 * busy)):
                self._internal_thread(rng, team, monday + timedelta(days=rng.randrange(5)))
            for _ in range(_poisson(rng, 13 * busy)):
                at = _office_moment(rng, monday + timedelta(days=rng.randrange(7)), OUR_ZONE)
                to = [self.address(rng, p) for p in rng.sample(team, rng.choice((1, 1, 1, 2)))]
                self.send(rng, self.thread(rng, at), 0, at, rng.choice(OUTSIDERS), to)
            for account in newsletters:
                at = datetime.combine(monday + timedelta(days=2), time(6, rng.randrange(60)), UTC)
                local = "newsletter" if week % 4 else "no-reply"
                to = [self.address(rng, p) for p in account.team[:2]]
                self.send(rng, self.thread(rng, at), 0, at, f"{local}@{account.domain}", to)
            for _ in range(_poisson(rng, 2.0 * busy)):
                # somebody at an account who is in no contact list
                account = rng.choice(writers)
                at = _office_moment(rng, monday + timedelta(days=rng.randrange(5)), ZONES[account.country])
                sender = rng.choice(("purchasing", "m.unlisted", "lab.manager")) + "@" + account.domain
                self.send(rng, self.thread(rng, at), 0, at, sender, [self.address(rng, account.team[0])])
            if rng.random() < 0.35:
                at = _office_moment(rng, monday + timedelta(days=rng.randrange(5)), OUR_ZONE)
                account = rng.choice(writers)
                self._draft(rng, rng.choice(account.team), account.contacts[0].writes_as, at)
            if week % 7 == 3:
                at = _office_moment(rng, monday, OUR_ZONE)
                self.send(rng, self.thread(rng, at), 0, at, UNRESOLVED.format(week), [f"reyes@{DOMAIN}"])

    def _internal_thread(self, rng: Random, team: list[str], day: date) -> None:
        at = _office_moment(rng, day, OUR_ZONE)
        thread = self.thread(rng, at)
        people = rng.sample(team, rng.choice((2, 2, 2, 3, 4)))
        if rng.random() < 0.05:
            self.send(rng, thread, 0, at, f"halvorsen@{DOMAIN}", [f"everyone@{DOMAIN}"])
            return
        for depth in range(rng.choice((1, 1, 2, 3))):
            sender = people[depth % len(people)]
            to = [self.address(rng, p) for p in people if p != sender]
            self.send(rng, thread, depth, at, self.address(rng, sender), to)
            at = _into_office_hours(rng, at + timedelta(hours=rng.lognormvariate(0.5, 0.9)), OUR_ZONE)

    # -- calendars ----------------------------------------------------------------------------------

    def put(self, rng: Random, meeting: Meeting) -> None:
        """Put a meeting into the calendars of those of ours who organise it or are invited."""
        answers = [
            rng.choices(
                ("accepted", "tentativelyAccepted", "declined", "none", "notResponded"), (74, 7, 7, 8, 4)
            )[0]
            for _ in meeting.attendees
        ]
        organisers = self.holders(meeting.organizer)[:1]
        invited: dict[str, str] = {}
        for (address, _), answer in zip(meeting.attendees, answers, strict=True):
            for person_id in self.holders(address):
                # whoever is invited through a list answers for himself
                own = answer if len(self.holders(address)) == 1 else rng.choice(("accepted", "notResponded"))
                invited.setdefault(person_id, own)
        for person_id in dict.fromkeys([*organisers, *invited]):
            organises = person_id in organisers
            others_invited = any(p != person_id for p in invited)
            if organises and meeting.is_cancelled and others_invited and rng.random() < 0.6:
                continue  # a cancelled meeting vanishes from its organiser's calendar
            attendees = []
            for (address, kind), answer in zip(meeting.attendees, answers, strict=True):
                known = organises or person_id in self.holders(address)
                attendees.append(Attendee(address, kind, answer if known else "none"))
            self.events[person_id].append(
                Event(
                    id=item_id(person_id, f"event:{meeting.seed}"),
                    ical_uid=meeting.ical_uid,
                    start_at=meeting.start_at,
                    end_at=meeting.start_at + timedelta(minutes=meeting.minutes),
                    organizer=meeting.organizer,
                    attendees=tuple(attendees),
                    type=meeting.type,
                    is_all_day=meeting.is_all_day,
                    is_cancelled=meeting.is_cancelled,
                    is_organizer=organises,
                    own_response="organizer" if organises else invited[person_id],
                    sensitivity=meeting.sensitivity,
                    series_master_id=None
                    if meeting.series is None
                    else item_id(person_id, f"master:{meeting.series}"),
                )
            )
        if meeting.type == "singleInstance" and len(meeting.attendees) > 0 and not meeting.is_all_day:
            self._meeting_mail(rng, meeting, answers)

    def _meeting_mail(self, rng: Random, meeting: Meeting, answers: Sequence[str]) -> None:
        """Send the invitation and, to an organiser of ours, the answers: mail that does not count."""
        at = _into_office_hours(rng, meeting.start_at - timedelta(days=rng.uniform(2, 9)), OUR_ZONE)
        invited = [address for address, kind in meeting.attendees if kind != "resource"]
        if rng.random() < 0.5:
            request = "#microsoft.graph.eventMessageRequest"
            self.send(
                rng, self.thread(rng, at), 0, at, meeting.organizer, invited,
                odata_type=request, in_sent_items=False,
            )  # fmt: skip
        if not self.holders(meeting.organizer):
            return
        for (address, _), answer in zip(meeting.attendees, answers, strict=True):
            if (
                address is None
                or self.holders(address)
                or answer in ("none", "notResponded")
                or rng.random() < 0.6
            ):
                continue
            answered = at + timedelta(hours=rng.uniform(0.2, 20))
            thread = self.thread(rng, answered)
            thread.by_topic = topic_thread(f"Accepted: {meeting.seed}")
            self.send(
                rng, thread, 0, answered, address, [meeting.organizer],
                odata_type="#microsoft.graph.eventMessageResponse",
            )  # fmt: skip

    def account_meetings(self, rng: Random, account: Account) -> None:
        """Write an account's meetings: single ones along its course, a series where that is the habit."""
        outside = [
            c.writes_as for c in account.contacts if c.writes_as.lower().endswith("@" + account.domain)
        ]
        if account.kind == "single_threaded":
            outside = outside[:1]
        if account.kind in ("never", "newsletter", "courted"):
            return
        foreign = rng.random() < 0.35  # their calendar is not Exchange
        share = 0.45 if account.kind == "meeting_heavy" else 0.13
        for week, expected in enumerate(_course(account)):
            monday = FIRST_DAY + timedelta(weeks=week)
            for number in range(_poisson(rng, expected * share * _season(monday))):
                self._single_meeting(rng, account, outside, monday, f"{week}:{number}", foreign)
        if account.kind == "meeting_heavy" or (account.kind == "steady" and rng.random() < 0.2):
            self._series_with(rng, account, outside, 1 if account.kind == "meeting_heavy" else 2, foreign)

    def _invited(self, rng: Random, account: Account, outside: list[str]) -> list[tuple[str | None, str]]:
        attendees: list[tuple[str | None, str]] = [(outside[0], "required")]
        attendees += [
            (c, "required" if rng.random() < 0.7 else "optional") for c in outside[1:4] if rng.random() < 0.4
        ]
        attendees += [(self.address(rng, p), "required") for p in account.team[1:] if rng.random() < 0.35]
        if rng.random() < 0.25:
            attendees.append((f"room-fjord@{DOMAIN}", "resource"))
        if rng.random() < 0.02:
            attendees.append((None, "optional"))
        if rng.random() < 0.03:
            attendees.append((f"support-leads@{DOMAIN}", "optional"))
        return attendees

    def _single_meeting(
        self, rng: Random, account: Account, outside: list[str], monday: date, name: str, foreign: bool
    ) -> None:
        lead = self.address(rng, account.team[0])
        attendees = self._invited(rng, account, outside)
        who = rng.random()
        if who < 0.62:
            organizer = lead
        elif who < 0.94:
            organizer = outside[0]
            attendees.append((lead, "required"))
        else:
            organizer = "jan.kruse@bridge-consulting.example"
            attendees.append((lead, "required"))
        seed = f"{SEED}:{account.account_id}:{name}"
        day = monday + timedelta(days=rng.randrange(5))
        start = datetime.combine(
            day, time(rng.choice((9, 10, 11, 13, 14, 15)), rng.choice((0, 30))), ZoneInfo(OUR_ZONE)
        ).astimezone(UTC)
        minutes = rng.choice((30, 30, 45, 60, 60, 60, 90))
        is_all_day = rng.random() < 0.04
        if is_all_day:  # a visit; floating midnights
            start = datetime.combine(day, time(0), UTC)
            minutes = 24 * 60
        uid = (
            foreign_ical_uid(seed)
            if foreign and organizer == outside[0]
            else exchange_ical_uid(seed, start - timedelta(days=10))
        )
        sensitivity = rng.choices(("normal", "private", "confidential"), (96, 2, 2))[0]
        self.put(
            rng,
            Meeting(
                seed, uid, organizer, tuple(attendees), start, minutes,
                is_all_day=is_all_day, sensitivity=sensitivity, is_cancelled=rng.random() < 0.05,
            ),
        )  # fmt: skip

    def _series_with(
        self, rng: Random, account: Account, outside: list[str], every: int, foreign: bool
    ) -> None:
        attendees = self._invited(rng, account, outside)
        theirs = rng.random() < 0.4
        organizer = outside[0] if theirs else self.address(rng, account.team[0])
        if theirs:
            attendees.append((self.address(rng, account.team[0]), "required"))
        self._series(
            rng, f"{SEED}:series:{account.account_id}", organizer, tuple(attendees), rng.randrange(1, 5),
            rng.choice((9, 10, 14)), rng.choice((30, 45, 60)), every, foreign and theirs,
        )  # fmt: skip

    def _series(
        self,
        rng: Random,
        series: str,
        organizer: str,
        attendees: tuple[tuple[str | None, str], ...],
        weekday: int,
        hour: int,
        minutes: int,
        every: int,
        foreign: bool,
    ) -> None:
        """Write a series as its occurrences: some moved, some cancelled, three weeks still to come."""
        zone = ZoneInfo(OUR_ZONE)
        created = datetime.combine(FIRST_DAY, time(8), UTC) - timedelta(days=20)
        for week in range(0, WEEKS + 3, every):
            day = FIRST_DAY + timedelta(weeks=week, days=weekday)
            if _season(day) < 0.5:
                continue
            start = datetime.combine(day, time(hour), zone)
            kind = "occurrence"
            if rng.random() < 0.07:
                kind = "exception"
                start += timedelta(days=1 if weekday < 4 else -1, hours=rng.choice((0, 2)))
            uid = foreign_ical_uid(series) if foreign else exchange_ical_uid(series, created, day)
            self.put(
                rng,
                Meeting(
                    f"{series}:{day}", uid, organizer, attendees, start.astimezone(UTC), minutes,
                    type=kind, series=series, is_cancelled=rng.random() < 0.04,
                ),
            )  # fmt: skip
        holders = {p for a in (organizer, *(a for a, _ in attendees)) for p in self.holders(a)}
        for person_id in sorted(holders):
            master = datetime.combine(FIRST_DAY + timedelta(days=weekday), time(hour), zone).astimezone(UTC)
            self.events[person_id].append(
                Event(
                    id=item_id(person_id, f"master:{series}"),
                    ical_uid=foreign_ical_uid(series) if foreign else exchange_ical_uid(series, created),
                    start_at=master,
                    end_at=master + timedelta(minutes=minutes),
                    organizer=organizer,
                    attendees=tuple(Attendee(address, type) for address, type in attendees),
                    type="seriesMaster",
                    is_organizer=person_id in self.holders(organizer),
                )
            )

    def other_meetings(self, rng: Random) -> None:
        """Write the team's own meetings, private entries and third parties' invitations."""
        team = [p.mail for p in self.cast.people if p.id in self.cast.monitored]
        teams = {
            "emea": [f"{key}@{DOMAIN}" for key in ("haugen", "vogel", "dupuis", "visser")],
            "americas": [f"{key}@{DOMAIN}" for key in ("whitfield", "marsh", "tremblay", "okafor")],
            "success": [f"{key}@{DOMAIN}" for key in ("iversen", "neumann", "reyes")],
        }
        for number, (name, members) in enumerate(teams.items()):
            attendees = tuple((address, "required") for address in members)
            self._series(
                rng,
                f"{SEED}:series:{name}",
                f"solberg@{DOMAIN}",
                attendees,
                number,
                9 + 2 * number,
                30,
                1,
                False,
            )
        everyone = tuple((address, "required") for address in team if not address.startswith("solberg"))
        rooms = ((f"room-harbour@{DOMAIN}", "resource"),)
        self._series(rng, f"{SEED}:series:all", f"solberg@{DOMAIN}", everyone + rooms, 0, 15, 60, 4, False)
        for person_id in self.cast.monitored:
            own = self.address(rng, person_id)
            for number in range(6):
                day = FIRST_DAY + timedelta(days=rng.randrange(7 * WEEKS))
                start = datetime.combine(day, time(rng.choice((7, 12, 16))), UTC)
                seed = f"{SEED}:own:{person_id}:{number}"
                self.put(
                    rng,
                    Meeting(
                        seed, exchange_ical_uid(seed, start), own, (), start, 45,
                        sensitivity="private" if number < 4 else "personal",
                    ),
                )  # fmt: skip
        for number in range(30):
            day = FIRST_DAY + timedelta(weeks=rng.randrange(WEEKS), days=rng.randrange(5))
            start = datetime.combine(day, time(rng.choice((8, 9, 13))), UTC)
            seed = f"{SEED}:third:{number}"
            guests = tuple((address, "required") for address in rng.sample(team, 2))
            uid = foreign_ical_uid(seed, "trade-fair-hall.example")
            self.put(rng, Meeting(seed, uid, "hello@trade-fair-hall.example", guests, start, 60))


def write_traffic(cast: Cast) -> Traffic:
    """Write everything; the same on every call. Accounts have generators of their own: one moves no other."""
    traffic = Traffic(cast)
    for account in cast.accounts:
        if account.kind in ("never", "newsletter"):
            continue
        traffic.account_mail(Random(f"{SEED}:mail:{account.account_id}"), account)
        traffic.account_meetings(Random(f"{SEED}:meetings:{account.account_id}"), account)
    traffic.other_mail(Random(f"{SEED}:other mail"))
    traffic.other_meetings(Random(f"{SEED}:other meetings"))
    return traffic
