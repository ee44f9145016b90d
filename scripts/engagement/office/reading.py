"""The readers: threads that take series of slices off a schedule, newest first, and hand over what they read.

The schedule goes round the mailboxes, so that the newest month of every mailbox is there before the second newest
of any: a first run that is ended early has left something of use. One mailbox is read by as many threads as its
concurrency allows.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from engagement.addresses import AddressBook
from engagement.errors import EngagementError, ServiceError
from engagement.http import Interrupted
from engagement.office import mailboxes, meetings, messages
from engagement.office.client import (
    Allowance,
    CorruptItem,
    GraphClient,
    MailboxUnreadable,
    StartAgain,
    Throttled,
)
from engagement.office.graph import PageSize, Service
from engagement.office.rows import Landing, Read, TooMany, Uneven
from engagement.office.slices import MEETINGS, MESSAGES, Covered, Plan, Slice, halved, reads

# Of two things that are to be said of a mailbox, the later here is said.
_SEVERITY = (mailboxes.READABLE, mailboxes.INCOMPLETE, mailboxes.THROTTLED, *mailboxes.UNREADABLE)
# What one read holds in memory at most; a range of more is read in halves.
MOST_ITEMS = 25_000
# Up to so many items are expected of series that are read as one.
ITEMS_JOINED = MOST_ITEMS // 2
# How often a list is begun anew that the service forgets in the midst.
_STARTS = 3
# Threads beyond the requests that may be out: those that wait for a throttled mailbox do nothing meanwhile.
_THREADS_PER_REQUEST = 2
SECONDS_TO_END = 3.0
# Reads that wait for the writer; each is up to MOST_ITEMS rows.
_HANDED_AT_ONCE = 4


@dataclass(frozen=True)
class Task:
    """One mailbox: who, and what of it is needed (a plan for each kind)."""

    mailbox_id: int
    entra_id: str
    plans: tuple[Plan, ...]
    ledger: dict[str, tuple[Covered, ...]]


@dataclass(frozen=True)
class Failed:
    """A series of a mailbox could not be read."""

    mailbox_id: int
    entra_id: str
    failure: EngagementError


@dataclass(frozen=True)
class Done:
    """The end of a mailbox: its state."""

    mailbox_id: int
    entra_id: str
    state: str


@dataclass(frozen=True)
class Broken:
    """A reader met something that ends the whole run."""

    error: BaseException


Item = Landing | Failed | Done | Broken


@dataclass(frozen=True)
class _Series:
    """Neighbouring slices of one kind, oldest first, read together. `parts` are those that it was joined from."""

    plan: Plan
    pieces: tuple[Slice, ...]
    parts: tuple[_Series, ...] = ()
    is_joinable: bool = True

    @property
    def days(self) -> float:
        """How long it is, as far as it is read."""
        return (min(self.pieces[-1].end, self.plan.read_end) - self.pieces[0].start) / timedelta(days=1)


@dataclass(eq=False)
class _Mailbox:
    """What is left of a mailbox by kind, and how it went. `items_per_day` is what the last read of a kind had."""

    task: Task
    allowance: Allowance
    pending: dict[str, deque[_Series]]
    active: int = 0
    state: str = mailboxes.READABLE
    items_per_day: dict[str, float] = field(default_factory=dict)
    page_sizes: dict[str, PageSize] = field(
        default_factory=lambda: {MESSAGES: PageSize(), MEETINGS: PageSize()}
    )
    search_folder_ids: frozenset[str] | None = None
    folders_lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def has_more(self) -> bool:
        return any(self.pending.values())

    def take(self) -> _Series:
        """The newest series of the kind of which more is left; older ones with it, where the last read says that
        they are few items: a quiet mailbox costs a handful of requests, not one for every month.
        """
        series = max(self.pending.values(), key=len)
        taken = [series.popleft()]
        per_day = self.items_per_day.get(taken[0].plan.kind)
        days = taken[0].days
        while per_day is not None and series and taken[-1].is_joinable and series[0].is_joinable:
            days += series[0].days
            if series[0].pieces[-1].end != taken[-1].pieces[0].start or days * per_day > ITEMS_JOINED:
                break
            taken.append(series.popleft())
        if len(taken) == 1:
            return taken[0]
        pieces = tuple(piece for one in reversed(taken) for piece in one.pieces)
        return _Series(taken[0].plan, pieces, parts=tuple(taken))


class Schedule:
    """Who reads what next; shared by all readers."""

    def __init__(self, tasks: Sequence[Task], service: Service) -> None:
        self._service = service
        self._changed = threading.Condition()
        self._waiting: deque[_Mailbox] = deque()
        self._ended = False
        self.slice_count = self.slices_done = 0
        self.series_count = 0
        for task in tasks:
            pending = {
                plan.kind: deque(
                    _Series(plan, tuple(pieces)) for pieces in reads(plan.needed(task.ledger[plan.kind]))
                )
                for plan in task.plans
            }
            self.slice_count += _slice_count(pending)
            self.series_count += sum(map(len, pending.values()))
            self._waiting.append(_Mailbox(task, service.allowance(task.entra_id), pending))

    def idle(self) -> list[Done]:
        """The mailboxes of which nothing is needed, taken off the schedule."""
        idle = [mailbox for mailbox in self._waiting if not mailbox.has_more]
        self._waiting = deque(mailbox for mailbox in self._waiting if mailbox.has_more)
        return [_done(mailbox) for mailbox in idle]

    def end(self) -> None:
        """Nobody is given anything any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def next(self) -> tuple[_Mailbox, _Series] | None:
        """The next series of the mailbox whose turn it is; None where nothing is left. Waits for its turn."""
        with self._changed:
            while not self._ended and self._waiting:
                for _ in range(len(self._waiting)):
                    mailbox = self._waiting.popleft()
                    self._waiting.append(mailbox)
                    if mailbox.has_more and mailbox.active < self._service.concurrency.limit_of(
                        mailbox.task.entra_id
                    ):
                        mailbox.active += 1
                        return mailbox, mailbox.take()
                self._changed.wait()
            return None

    def was_read(self, mailbox: _Mailbox, series: _Series, item_count: int) -> None:
        """A series was read to its end, and had so many items."""
        with self._changed:
            mailbox.items_per_day[series.plan.kind] = item_count / max(series.days, 1.0)

    def parted(self, mailbox: _Mailbox, series: _Series) -> bool:
        """Puts the parts of a joined series back, each to be read for itself; False where it was none."""
        with self._changed:
            for part in reversed(series.parts):
                mailbox.pending[part.plan.kind].appendleft(replace(part, is_joinable=False))
            self.slices_done -= len(series.pieces) if series.parts else 0
            return bool(series.parts)

    def finished(self, mailbox: _Mailbox, series: _Series) -> Done | None:
        """A series of this mailbox is over; the mailbox's end, where it was the last."""
        with self._changed:
            mailbox.active -= 1
            self.slices_done += len(series.pieces)
            self._changed.notify_all()
            if mailbox.active or mailbox.has_more:
                return None
            self._waiting.remove(mailbox)
            return _done(mailbox)

    def note(self, mailbox: _Mailbox, state: str, *, drop_rest: bool = False) -> None:
        """How it went with a mailbox; what is unreadable stays so, and throttled says more than incomplete."""
        with self._changed:
            mailbox.state = max(mailbox.state, state, key=_SEVERITY.index)
            if drop_rest:
                self.slices_done += _slice_count(mailbox.pending)
                for series in mailbox.pending.values():
                    series.clear()


def _slice_count(pending: Mapping[str, deque[_Series]]) -> int:
    return sum(len(one.pieces) for series in pending.values() for one in series)


def _done(mailbox: _Mailbox) -> Done:
    return Done(mailbox.task.mailbox_id, mailbox.task.entra_id, mailbox.state)


class Readers:
    """The threads, and the queue into which they put what they read; its bound makes them wait rather than fill
    the memory.
    """

    def __init__(self, service: Service, book: AddressBook, schedule: Schedule, *, workers: int) -> None:
        self._service = service
        self._book = book
        self._schedule = schedule
        # The count is not documented for calendars; what is found out about it holds for the whole run.
        self._trusts_calendar_count = True
        self.handed: queue.Queue[Item] = queue.Queue(maxsize=_HANDED_AT_ONCE)
        self._threads = [
            threading.Thread(target=self._read, name=f"reader-{number}", daemon=True)
            for number in range(min(workers * _THREADS_PER_REQUEST, schedule.series_count))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ends the readers: whatever they still hand over is not wanted any more. After a few seconds the process
        may go without those that wait for an answer that does not come.
        """
        self._schedule.end()
        self._service.concurrency.stop()
        until = time.monotonic() + SECONDS_TO_END
        while any(thread.is_alive() for thread in self._threads) and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                self.handed.get(timeout=0.05)

    def _read(self) -> None:
        try:
            with self._service.client() as client:
                while (work := self._schedule.next()) is not None:
                    mailbox, series = work
                    client.allowance = mailbox.allowance
                    self._read_series(client, mailbox, series)
                    if (done := self._schedule.finished(mailbox, series)) is not None:
                        self.handed.put(done)
        except Interrupted:
            pass
        except BaseException as error:
            self.handed.put(Broken(error))

    def _read_series(self, client: GraphClient, mailbox: _Mailbox, series: _Series) -> None:
        """A read that the service fails on does not keep the others of its mailbox from being read."""
        item_count = 0
        try:
            for landing in self._landings(client, mailbox, series.plan, series.pieces):
                item_count += len(landing.read.rows)
                self.handed.put(landing)
            self._schedule.was_read(mailbox, series, item_count)
        except MailboxUnreadable as unreadable:
            self._schedule.note(mailbox, unreadable.state, drop_rest=True)
        except ServiceError as error:
            mailbox.allowance.impatient = True
            # Around what is uneven or corrupt everything has been read; any other failure may be of one part alone.
            if not isinstance(error, Uneven | CorruptItem) and self._schedule.parted(mailbox, series):
                return
            throttled = isinstance(error, Throttled)
            self._schedule.note(mailbox, mailboxes.THROTTLED if throttled else mailboxes.INCOMPLETE)
            self.handed.put(Failed(mailbox.task.mailbox_id, mailbox.task.entra_id, error))

    def _landings(
        self, client: GraphClient, mailbox: _Mailbox, plan: Plan, pieces: tuple[Slice, ...]
    ) -> Iterator[Landing]:
        """What was read of these slices: at once, or in halves where there is too much of it, where the lists
        come out different each time, or around what the service itself cannot read.
        """
        halves = halved(pieces, plan.read_end)
        try:
            read = self._fetched(client, mailbox, plan, pieces, most=MOST_ITEMS if halves else None)
        except (TooMany, Uneven, CorruptItem) as error:
            if halves:
                yield from self._landings_of_halves(client, mailbox, plan, halves, error)
                return
            if not (isinstance(error, Uneven) and plan.kind == MEETINGS and self._trusts_calendar_count):
                raise
            # A minute with fewer entries than are counted: it is the count of calendars that is wrong.
            self._trusts_calendar_count = False
            read = self._fetched(client, mailbox, plan, pieces, most=None)
        yield Landing(
            mailbox.task.mailbox_id, plan.kind, pieces, tuple(plan.read_to(piece) for piece in pieces), read
        )

    def _landings_of_halves(
        self,
        client: GraphClient,
        mailbox: _Mailbox,
        plan: Plan,
        halves: Sequence[tuple[Slice, ...]],
        reason: Exception,
    ) -> Iterator[Landing]:
        """Each half for itself; what cannot be read is raised when the others have been."""
        # The service has said often enough that there is something it cannot read: it is not asked so often again.
        before, client.knows_of_corrupt_item = client.knows_of_corrupt_item, isinstance(reason, CorruptItem)
        failure: ServiceError | None = None
        try:
            for half in halves:
                try:
                    yield from self._landings(client, mailbox, plan, half)
                except (Uneven, CorruptItem) as narrower:
                    failure = failure or narrower
        finally:
            client.knows_of_corrupt_item = before
        if failure is not None:
            raise failure from reason

    def _fetched(
        self,
        client: GraphClient,
        mailbox: _Mailbox,
        plan: Plan,
        pieces: tuple[Slice, ...],
        *,
        most: int | None,
    ) -> Read:
        """The items of these slices, from the first page on again where the service forgets the list."""
        for _ in range(_STARTS - 1):
            with contextlib.suppress(StartAgain):
                return self._fetched_once(client, mailbox, plan, pieces, most)
        return self._fetched_once(client, mailbox, plan, pieces, most)

    def _fetched_once(
        self,
        client: GraphClient,
        mailbox: _Mailbox,
        plan: Plan,
        pieces: tuple[Slice, ...],
        most: int | None,
    ) -> Read:
        read: Callable[..., Read]
        if plan.kind == MESSAGES:
            read = partial(messages.read, search_folder_ids=self._search_folder_ids(client, mailbox))
        else:
            read = partial(meetings.read, trust_count=self._trusts_calendar_count)
        return read(
            client,
            self._book,
            entra_id=mailbox.task.entra_id,
            mailbox_id=mailbox.task.mailbox_id,
            start=pieces[0].start,
            end=min(pieces[-1].end, plan.read_end),
            page_size=mailbox.page_sizes[plan.kind],
            most=most,
        )

    @staticmethod
    def _search_folder_ids(client: GraphClient, mailbox: _Mailbox) -> frozenset[str]:
        """Those of the mailbox, asked for once. Without them no message can be told from its copy."""
        with mailbox.folders_lock:
            if mailbox.search_folder_ids is None:
                mailbox.search_folder_ids = messages.search_folders(client, mailbox.task.entra_id)
            return mailbox.search_folder_ids
