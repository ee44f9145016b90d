"""The office extraction: resolve, plan, read in threads, write in one.

Readers fetch, decode and hash; a single writer lands what they hand over, several reads in one transaction
with their ledger rows, so a kill at any instant leaves whole slices only. Exports of Data Connect are landed by the
same writer, without readers and without a request.
"""

from __future__ import annotations

import gc
import logging
import math
import queue
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engagement.addresses import AddressBook
from engagement.configuration.enrichments import OfficeEnrichment, place
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.high_water import marked_transaction
from engagement.http import Patience
from engagement.office import data_connect, mailboxes, retention
from engagement.office.client import GraphClient
from engagement.office.export_files import Export
from engagement.office.graph import Service
from engagement.office.landing import land
from engagement.office.reading import Broken, Done, Failed, Item, Readers, Schedule, Task
from engagement.office.rows import Landing
from engagement.office.slices import MEETINGS, MESSAGES, Covered, Plan, midnight
from engagement.progress import Progress, progress
from engagement.run_state import RunState
from engagement.warehouse import Connection, upsert_addresses

log = logging.getLogger(__name__)

ROWS_PER_TRANSACTION = 50_000
SECONDS_PER_TRANSACTION = 2.0
MOST_ROWS_PER_TRANSACTION = 200_000
# From one landing to the next, in landings.
_PAUSE_BETWEEN_LANDINGS = 4.0
_ALLOCATIONS_BETWEEN_COLLECTIONS = 1_000_000
# So many mailboxes in a row that a service failed for, without one that worked: the service is down, not a
# mailbox. The run is given up once they are also more than is tolerated.
FAILURES_IN_A_ROW = 3
# As in models/intermediate/clock/as_of.sql: 100 x 0.29 is 28.999... to a computer.
_HAIR = 0.000001


@dataclass
class OfficeResult:
    """What an extraction did. `states` counts the mailboxes by state; `units` are slices landed."""

    selected: int = 0
    read: int = 0
    states: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    meetings: int = 0
    units: int = 0
    bad_dates: int = 0
    opted_out: int = 0
    # Properties that the service sent unasked, by name: on how many items. None of them was kept.
    unasked: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    # By enrichment: people selected, of these read, and one line where too many were not.
    by_enrichment: dict[str, tuple[int, int]] = field(default_factory=dict)
    beyond_tolerance: dict[str, str] = field(default_factory=dict)
    # By enrichment: the service's clock, or the export's moment; and the newest of them.
    clocks: dict[str, datetime] = field(default_factory=dict)
    clock: datetime | None = None
    # Messages and meetings beyond the retention that were deleted.
    expired: int = 0

    @property
    def unreadable(self) -> int:
        """Mailboxes that were denied, not found or on premises, each once."""
        return sum(self.states.get(state, 0) for state in mailboxes.UNREADABLE)

    @property
    def incomplete(self) -> int:
        """Mailboxes that the service was given up on for, in part or whole, each once."""
        return sum(self.states.get(state, 0) for state in mailboxes.UNFINISHED)


@dataclass(frozen=True)
class _Tolerance:
    """How many of an enrichment's mailboxes may stay unread before its run is in vain."""

    mailbox_ids: frozenset[int]
    tolerated: int


def extract(
    settings: Settings,
    connection: Connection,
    book: AddressBook,
    state: RunState,
    *,
    read_anew: bool = False,
    patience: Patience | None = None,
) -> OfficeResult:
    """Extracts every active office enrichment that has its consents.

    Returns also when mailboxes stayed unread: the caller decides what the `states` and `beyond_tolerance`
    mean. Raises ConfigurationError, AuthenticationError or ServiceError; what was landed until then stays.
    """
    chosen = settings.ready(OfficeEnrichment)
    if not chosen:
        raise ConfigurationError(
            "enrichments: nothing to extract; no active office enrichment has both consents"
        )
    result = OfficeResult()
    # An export that cannot be used is known before anybody is asked.
    exported = [
        _opened(settings, position, enrichment, result)
        for position, enrichment in chosen
        if enrichment.export is not None
    ]
    asked = [(position, enrichment) for position, enrichment in chosen if enrichment.export is None]
    selections: list[mailboxes.Selection] = []
    if asked:
        service = Service(settings, patience)
        now = service.sign_in()
        with service.client() as client:
            selections = _resolved(client, settings, asked, now, result)
    _require_one_source(exported, asked, selections)
    # Before any address is looked at.
    for selection in (*selections, *(one.selection for one in exported)):
        mailboxes.keep_out(book, selection)
    for one in exported:
        _land_export(one, connection, book, state, result, read_anew)
    if asked:
        to_read = mailboxes.save(connection, book, selections, now=now)
        result.warnings += [warning for selection in selections for warning in selection.warnings]
        result.selected += len(to_read)
        result.clocks |= {enrichment.enrichment_id: now for _, enrichment in asked}
        tasks = _tasks(connection, asked, to_read, selections, now, read_anew)
        tolerances = _tolerances(book, asked, selections)
        _run(service, settings, connection, book, state, tasks, tolerances, now, result)
    result.clock = max(result.clocks.values())
    _settle(connection, chosen, result)
    if not result.beyond_tolerance:
        # The newest day that can be complete; a day less, since it may begin later than that of UTC.
        newest = midnight(min(result.clocks.values())) - timedelta(days=2)
        result.expired = retention.expire(connection, settings, newest)
    return result


@dataclass(frozen=True)
class _Exported:
    """An enrichment that reads an export, and whom it chose there."""

    position: int
    enrichment: OfficeEnrichment
    export: Export
    selection: mailboxes.Selection


def _opened(
    settings: Settings, position: int, enrichment: OfficeEnrichment, result: OfficeResult
) -> _Exported:
    export = data_connect.opened(settings, position, enrichment)
    selection = data_connect.resolve(export, settings, position, enrichment)
    mailboxes.check_size(selection, position)
    result.opted_out += selection.opted_out
    return _Exported(position, enrichment, export, selection)


def _require_one_source(
    exported: Sequence[_Exported],
    asked: Sequence[tuple[int, OfficeEnrichment]],
    selections: Sequence[mailboxes.Selection],
) -> None:
    """ConfigurationError where a mailbox is chosen from two sources: each would take for gone what only the other
    has.
    """
    sources = [
        (place(one.position, one.enrichment), one.selection, str(one.export.folder.resolve()))
        for one in exported
    ]
    sources += [
        (place(position, enrichment), selection, "graph")
        for (position, enrichment), selection in zip(asked, selections, strict=True)
    ]
    first: dict[str, tuple[str, str]] = {}
    for where, selection, source in sources:
        for entra_id in selection.people:
            other, known = first.setdefault(entra_id.lower(), (where, source))
            if known != source:
                raise ConfigurationError(
                    f"{where}: user {entra_id} is also chosen by {other}, from another source; a mailbox is read"
                    " from one, so list the person in one of them or give both the same source"
                )


def _land_export(
    one: _Exported,
    connection: Connection,
    book: AddressBook,
    state: RunState,
    result: OfficeResult,
    read_anew: bool,
) -> None:
    """Lands an export whole, or nothing of it where a row cannot be read. ConfigurationError says which."""
    ids = {entra_id: book.hasher.mailbox(entra_id) for entra_id in one.selection.people}
    where = place(one.position, one.enrichment)
    try:
        people = {entra_id.lower(): mailbox_id for entra_id, mailbox_id in ids.items()}
        staged = data_connect.stage(connection, book, one.export, people)
        if not staged.mailbox_ids:
            raise ConfigurationError(
                f"{where}: the export has no message and no entry of the people chosen; check the people of its"
                " pipeline"
            )
        now = staged.moment
        mailboxes.save(connection, book, [one.selection], now=now)
        result.warnings += one.selection.warnings
        result.selected += len(ids)
        result.clocks[one.enrichment.enrichment_id] = now
        # Whoever was never in an export has no mailbox there; whoever was, is merely quiet.
        read_before = {row[0] for row in connection.execute(_MAILBOXES_READ).fetchall()}
        found = {
            entra_id: mailbox_id
            for entra_id, mailbox_id in ids.items()
            if mailbox_id in staged.mailbox_ids or mailbox_id in read_before
        }
        with progress("mailboxes", total=len(ids), tell=state.progress) as bar:
            writer = _Writer(connection, book, state, result, (), now, bar, len(ids))
            for kind in (MESSAGES, MEETINGS):
                for landing in data_connect.landings(
                    connection,
                    staged,
                    kind,
                    list(found.values()),
                    retention_days=one.enrichment.retention,
                    read_anew=read_anew,
                ):
                    writer.take(landing)
            for entra_id, mailbox_id in ids.items():
                known = mailboxes.READABLE if entra_id in found else mailboxes.NOT_FOUND
                writer.take(Done(mailbox_id, entra_id, known))
            writer.land()
        if len(found) < len(ids):
            result.warnings.append(
                f"{where}: the export has nothing of {len(ids) - len(found)} of {len(ids)} people; Data Connect"
                " exports licensed mailboxes in the cloud alone, check the people of its pipeline"
            )
    finally:
        data_connect.unstage(connection)


_MAILBOXES_READ = "select distinct mailbox_id from raw.office_units"


def _resolved(
    client: GraphClient,
    settings: Settings,
    chosen: Sequence[tuple[int, OfficeEnrichment]],
    now: datetime,
    result: OfficeResult,
) -> list[mailboxes.Selection]:
    selections = []
    for position, enrichment in chosen:
        if warning := mailboxes.check_forbidden(client, position, enrichment, now):
            result.warnings.append(warning)
        selection = mailboxes.resolve(client, settings, position, enrichment)
        mailboxes.check_size(selection, position)
        result.opted_out += selection.opted_out
        selections.append(selection)
    return selections


def _tasks(
    connection: Connection,
    chosen: Sequence[tuple[int, OfficeEnrichment]],
    to_read: dict[int, str],
    selections: Sequence[mailboxes.Selection],
    now: datetime,
    read_anew: bool,
) -> list[Task]:
    """A mailbox is read once, whatever the number of enrichments that chose it, as far back as any of them
    wants.
    """
    retention: dict[str, int] = {}
    for (_, enrichment), selection in zip(chosen, selections, strict=True):
        for entra_id in selection.people:
            retention[entra_id] = max(retention.get(entra_id, 0), enrichment.retention)
    ledger: dict[tuple[int, str], list[Covered]] = {}
    if not read_anew:
        for mailbox_id, kind, start, read_to, read_at in connection.execute(
            # A day read before it came may have changed since: it is complete up to the moment of reading.
            "select mailbox_id, kind, slice_start, least(read_to, read_at), read_at from raw.office_units"
            " where slice_start < read_at"
        ).fetchall():
            ledger.setdefault((mailbox_id, kind), []).append(Covered(start, read_to, read_at))
    return [
        Task(
            mailbox_id=mailbox_id,
            entra_id=entra_id,
            plans=tuple(
                Plan.of(kind, now=now, retention_days=retention[entra_id]) for kind in (MESSAGES, MEETINGS)
            ),
            ledger={kind: tuple(ledger.get((mailbox_id, kind), ())) for kind in (MESSAGES, MEETINGS)},
        )
        for mailbox_id, entra_id in to_read.items()
    ]


def tolerated_of(mailbox_count: int, share: float) -> int:
    """How many of so many mailboxes may stay unread."""
    return math.floor(mailbox_count * share + _HAIR)


def _tolerances(
    book: AddressBook,
    chosen: Sequence[tuple[int, OfficeEnrichment]],
    selections: Sequence[mailboxes.Selection],
) -> list[_Tolerance]:
    return [
        _Tolerance(
            frozenset(book.hasher.mailbox(entra_id) for entra_id in selection.people),
            tolerated_of(len(selection.people), enrichment.tolerated_failures),
        )
        for (_, enrichment), selection in zip(chosen, selections, strict=True)
    ]


def _run(
    service: Service,
    settings: Settings,
    connection: Connection,
    book: AddressBook,
    state: RunState,
    tasks: Sequence[Task],
    tolerances: Sequence[_Tolerance],
    now: datetime,
    result: OfficeResult,
) -> None:
    """Readers and the writer."""
    schedule = Schedule(tasks, service)
    with progress("slices", total=schedule.slice_count, tell=state.progress) as bar:
        writer = _Writer(
            connection, book, state, result, tolerances, now, bar, len(tasks), lambda: schedule.slices_done
        )
        idle = schedule.idle()
        for done in idle:
            writer.take(done)
        readers = Readers(service, book, schedule, workers=settings.workers)
        with _seldom_collecting():
            readers.start()
            try:
                writer.write(readers.handed, len(tasks) - len(idle))
            finally:
                readers.end()


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Looks for reference cycles seldom: rows form none, and walking hundreds of thousands of them again and again
    takes a sixth of the time of an extraction.
    """
    before = gc.get_threshold()
    gc.set_threshold(_ALLOCATIONS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class _Writer:
    """Collects what readers hand over and lands it, a batch in one transaction."""

    def __init__(
        self,
        connection: Connection,
        book: AddressBook,
        state: RunState,
        result: OfficeResult,
        tolerances: Sequence[_Tolerance],
        now: datetime,
        bar: Progress,
        mailbox_count: int,
        done: Callable[[], int] | None = None,
    ) -> None:
        self._connection = connection
        self._book = book
        self._run_id = state.run_id
        self._result = result
        self._tolerances = tolerances
        self._now = now
        self._bar = bar
        self._mailbox_count = mailbox_count
        self._mailboxes_done = 0
        # What the bar counts up: slices, where it is known how many there are, else mailboxes.
        self._position = done or (lambda: self._mailboxes_done)
        self._landings: list[Landing] = []
        self._done: list[Done] = []
        self._rows = 0
        self._landed_at = time.monotonic()
        self._landing_seconds = 0.0
        self._failed: set[int] = set()
        self._failed_in_a_row: set[int] = set()
        # An entry without a start comes in every slice that it reaches into.
        self._undated: set[tuple[int, int]] = set()

    def write(self, handed: queue.Queue[Item], mailbox_count: int) -> None:
        """Takes what the readers hand over until so many mailboxes have ended."""
        ended = 0
        while ended < mailbox_count:
            try:
                item = handed.get(timeout=SECONDS_PER_TRANSACTION)
            except queue.Empty:
                self._bar.tick()
                self.land()
                continue
            if isinstance(item, Broken):
                self.land()
                raise item.error
            ended += isinstance(item, Done)
            self.take(item)
        self.land()

    def take(self, item: Landing | Failed | Done) -> None:
        """Notes an item, and lands what has come together once it is enough or old."""
        if isinstance(item, Landing):
            self._landings.append(item)
            self._rows += len(item.read.rows)
            self._failed_in_a_row.clear()
            if item.kind == MESSAGES:
                self._bar.count(messages=len(item.read.rows))
        elif isinstance(item, Failed):
            self._note_failure(item)
        else:
            self._done.append(item)
            self._result.read += item.state == mailboxes.READABLE
            self._mailboxes_done += 1
            self._bar.note(f"{self._mailboxes_done:,} of {self._mailbox_count:,} mailboxes")
        self._bar.advance(to=self._position())
        if self._is_time_to_land():
            self.land()

    def _is_time_to_land(self) -> bool:
        """Enough rows or old ones, unless landing would then take most of the time: in a table of a hundred million
        it takes seconds to see which rows are known.
        """
        waited = time.monotonic() - self._landed_at
        if self._rows < ROWS_PER_TRANSACTION and waited < SECONDS_PER_TRANSACTION:
            return False
        return (
            self._rows >= MOST_ROWS_PER_TRANSACTION
            or waited >= _PAUSE_BETWEEN_LANDINGS * self._landing_seconds
        )

    def _note_failure(self, failed: Failed) -> None:
        self._failed_in_a_row.add(failed.mailbox_id)
        if failed.mailbox_id not in self._failed:
            self._failed.add(failed.mailbox_id)
            self._result.warnings.append(f"user {failed.entra_id}: {failed.failure.message}")
        beyond = any(
            len(self._failed & tolerance.mailbox_ids) > tolerance.tolerated for tolerance in self._tolerances
        )
        if beyond and len(self._failed_in_a_row) >= FAILURES_IN_A_ROW:
            self.land()
            raise failed.failure

    def land(self) -> None:
        """Writes what was taken, in one transaction."""
        began = time.monotonic()
        if self._landings or self._done:
            self._write()
        self._landed_at = time.monotonic()
        self._landing_seconds = self._landed_at - began

    def _write(self) -> None:
        addresses = self._book.drain()
        try:
            with marked_transaction(self._connection):
                upsert_addresses(self._connection, addresses)
                for kind in (MESSAGES, MEETINGS):
                    landings = [landing for landing in self._landings if landing.kind == kind]
                    if landings:
                        land(self._connection, landings, run_id=self._run_id, now=self._now)
                _save_states(self._connection, self._done)
        except BaseException:
            self._book.put_back(addresses)
            raise
        for landing in self._landings:
            self._result.units += len(landing.pieces)
            self._result.unasked.update(landing.read.unasked)
            self._undated |= {(landing.mailbox_id, key) for key in landing.read.undated_keys}
            if landing.kind == MESSAGES:
                self._result.messages += len(landing.read.rows)
            else:
                self._result.meetings += len(landing.read.rows)
        self._result.bad_dates = len(self._undated)
        self._landings, self._done, self._rows = [], [], 0


def _save_states(connection: Connection, done: Sequence[Done]) -> None:
    for state in {item.state for item in done}:
        ids = [item.mailbox_id for item in done if item.state == state]
        connection.execute(
            "update raw.office_mailboxes set state = ?"
            " where monitored_to is null and mailbox_id in (select unnest(?::bigint[]))",
            [state, ids],
        )


def _settle(
    connection: Connection, chosen: Sequence[tuple[int, OfficeEnrichment]], result: OfficeResult
) -> None:
    """Counts the states, and compares the unread share of every enrichment with what it tolerates."""
    ids = [enrichment.enrichment_id for _, enrichment in chosen]
    result.states = dict(
        connection.execute(
            """
            select state, count(distinct mailbox_id) from raw.office_mailboxes
            where monitored_to is null and enrichment_id in (select unnest(?::varchar[]))
            group by state order by state
            """,
            [ids],
        ).fetchall()
    )
    for position, enrichment in chosen:
        row = connection.execute(
            """
            select count(*),
                count(*) filter (where state = ?),
                count(*) filter (where state in (select unnest(?::varchar[])))
            from raw.office_mailboxes where monitored_to is null and enrichment_id = ?
            """,
            [mailboxes.READABLE, mailboxes.UNFINISHED, enrichment.enrichment_id],
        ).fetchone()
        selected, read, unread = row if row is not None else (0, 0, 0)
        could = read + unread
        result.by_enrichment[enrichment.enrichment_id] = (selected, read)
        if unread > tolerated_of(could, enrichment.tolerated_failures):
            result.beyond_tolerance[enrichment.enrichment_id] = (
                f"{place(position, enrichment)}: {unread} of {could}"
                " mailboxes not read whole,"
                f" tolerated {enrichment.tolerated_failures:.0%}; what was read is kept, run again"
            )
    if result.unasked:
        names = ", ".join(f"{name} on {count:,} items" for name, count in sorted(result.unasked.items()))
        result.warnings.append(
            f"Microsoft Graph sent properties that were not asked for: {names}; none of them was kept"
        )
    for state, reason in (
        (mailboxes.DENIED, "refused to the app (check its scope in Exchange)"),
        (mailboxes.NOT_FOUND, "not found (check the list, or licences)"),
        (mailboxes.ON_PREMISES, "inactive or on premises, which Graph cannot read"),
    ):
        if count := result.states.get(state, 0):
            result.warnings.append(
                f"{count} mailbox{'es' if count != 1 else ''} {reason}; the others are counted"
            )
    if result.bad_dates:
        result.warnings.append(
            f"{result.bad_dates} item{'s' if result.bad_dates != 1 else ''} with an unreadable"
            " date, or one outside 1990 to 2100; not counted, but in the bucket unreadable_date"
        )
