"""The office extraction: resolve, plan, read in threads, write in one.

Readers fetch, decode and hash; a single writer lands what they hand over, several reads in one transaction
with their ledger rows, so a kill at any instant leaves whole slices only. Exports of Data Connect are landed by the
same writer, without readers and without a request.
"""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from engagement.addresses import AddressBook
from engagement.config import OfficeEnrichment, Settings, place
from engagement.errors import ConfigurationError, EngagementError, ServiceError
from engagement.http import GraphClient, MailboxUnreadable, Patience
from engagement.office import data_connect, mailboxes, meetings, messages
from engagement.office.export_files import Export
from engagement.office.graph import Service
from engagement.office.rows import TABLE, TIME_COLUMN, Landing, Read
from engagement.office.slices import MEETINGS, MESSAGES, Covered, Plan, reads
from engagement.progress import Progress, progress
from engagement.run_state import RunState
from engagement.warehouse import (
    Connection,
    append,
    empty_twin,
    transaction,
    upsert_addresses,
)

log = logging.getLogger(__name__)

ROWS_PER_TRANSACTION = 20_000
SECONDS_PER_TRANSACTION = 2.0
# So many mailboxes in a row that a service failed for, without one that worked: the service is down, not a
# mailbox. The run is given up once they are also more than is tolerated.
FAILURES_IN_A_ROW = 3
# As in models/intermediate/as_of.sql: 100 x 0.29 is 28.999... to a computer.
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
    warnings: list[str] = field(default_factory=list)
    # By enrichment: people selected, of these read, and one line where too many were not.
    by_enrichment: dict[str, tuple[int, int]] = field(default_factory=dict)
    beyond_tolerance: dict[str, str] = field(default_factory=dict)
    # By enrichment: the service's clock, or the export's moment; and the newest of them.
    clocks: dict[str, datetime] = field(default_factory=dict)
    clock: datetime | None = None

    @property
    def unreadable(self) -> int:
        """Mailboxes that were denied, not found or on premises, each once."""
        return sum(self.states.get(state, 0) for state in mailboxes.UNREADABLE)

    @property
    def incomplete(self) -> int:
        """Mailboxes that the service gave up on in part or whole, each once."""
        return self.states.get(mailboxes.INCOMPLETE, 0)


@dataclass(frozen=True)
class _Task:
    """One mailbox: who, and what of it is needed (kind, series of slices), newest first."""

    mailbox_id: int
    entra_id: str
    plans: tuple[Plan, ...]
    ledger: dict[str, tuple[Covered, ...]]


@dataclass(frozen=True)
class _Done:
    """The end of a mailbox: its state, and the failure where the service gave up on it."""

    mailbox_id: int
    entra_id: str
    state: str
    failure: EngagementError | None = None


@dataclass
class _Tolerance:
    """How many of an enrichment's mailboxes may stay unread before its run is in vain."""

    mailbox_ids: frozenset[int]
    tolerated: int
    failed: int = 0


@dataclass(frozen=True)
class _Stopped:
    """A reader met something that ends the whole run."""

    error: BaseException


_Item = Landing | _Done | _Stopped


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
        with progress("mailboxes", total=len(ids)) as bar:
            writer = _Writer(connection, book, state, result, (), now, bar)
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
                writer.take(_Done(mailbox_id, entra_id, known))
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
) -> list[_Task]:
    """A mailbox is read once, whatever the number of enrichments that chose it, as far back as any of them
    wants.
    """
    retention: dict[str, int] = {}
    for (_, enrichment), selection in zip(chosen, selections, strict=True):
        for entra_id in selection.people:
            retention[entra_id] = max(retention.get(entra_id, 0), enrichment.retention)
    ledger: dict[tuple[int, str], list[Covered]] = {}
    if not read_anew:
        for mailbox_id, kind, start, read_to in connection.execute(
            # A day read before it came may have changed since: it is complete up to the moment of reading.
            "select mailbox_id, kind, slice_start, least(read_to, read_at) from raw.office_units"
            " where slice_start < read_at"
        ).fetchall():
            ledger.setdefault((mailbox_id, kind), []).append(Covered(start, read_to))
    return [
        _Task(
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
    tasks: Sequence[_Task],
    tolerances: Sequence[_Tolerance],
    now: datetime,
    result: OfficeResult,
) -> None:
    """Readers and the writer. The queue is bounded, so readers wait rather than fill the memory."""
    waiting: queue.SimpleQueue[_Task] = queue.SimpleQueue()
    for task in tasks:
        waiting.put(task)
    handed: queue.Queue[_Item] = queue.Queue(maxsize=4 * settings.workers)
    stop = threading.Event()
    threads = [
        threading.Thread(
            target=_reader,
            args=(service, book, waiting, handed, stop, now),
            name=f"reader-{number}",
            daemon=True,
        )
        for number in range(min(settings.workers, len(tasks)))
    ]
    for thread in threads:
        thread.start()
    try:
        with progress("mailboxes", total=len(tasks)) as bar:
            _Writer(connection, book, state, result, tolerances, now, bar).write(handed, len(tasks))
    finally:
        stop.set()
        _let_go(threads, handed)


def _let_go(threads: Sequence[threading.Thread], handed: queue.Queue[_Item]) -> None:
    """Ends the readers: whatever they still hand over is not wanted any more. Ten seconds, then the process
    may go.
    """
    until = time.monotonic() + 10
    while any(thread.is_alive() for thread in threads) and time.monotonic() < until:
        with contextlib.suppress(queue.Empty):
            handed.get(timeout=0.05)


def _reader(
    service: Service,
    book: AddressBook,
    waiting: queue.SimpleQueue[_Task],
    handed: queue.Queue[_Item],
    stop: threading.Event,
    now: datetime,
) -> None:
    try:
        with service.client() as client:
            while not stop.is_set():
                try:
                    task = waiting.get_nowait()
                except queue.Empty:
                    return
                _read_mailbox(client, book, task, handed, stop, now)
    except BaseException as error:
        handed.put(_Stopped(error))


def _read_mailbox(
    client: GraphClient,
    book: AddressBook,
    task: _Task,
    handed: queue.Queue[_Item],
    stop: threading.Event,
    now: datetime,
) -> None:
    """Everything that one mailbox needs. A read that the service fails on does not keep the others from being
    read.
    """
    failure: ServiceError | None = None
    client.impatient = False
    try:
        for plan in task.plans:
            try:
                read_one = _reader_of(client, book, task, plan.kind, now)
            except ServiceError as error:
                # Without its search folders no message can be told from its copy.
                failure, client.impatient = failure or error, True
                continue
            for series in reads(plan.needed(task.ledger[plan.kind])):
                if stop.is_set():
                    return
                start, end = series[0].start, min(series[-1].end, plan.read_end)
                try:
                    read = read_one(start, end)
                except ServiceError as error:
                    failure, client.impatient = failure or error, True
                    continue
                client.impatient = False
                read_to = tuple(plan.read_to(piece) for piece in series)
                handed.put(Landing(task.mailbox_id, plan.kind, tuple(series), read_to, read))
    except MailboxUnreadable as unreadable:
        handed.put(_Done(task.mailbox_id, task.entra_id, unreadable.state))
        return
    state = mailboxes.READABLE if failure is None else mailboxes.INCOMPLETE
    handed.put(_Done(task.mailbox_id, task.entra_id, state, failure))


def _reader_of(
    client: GraphClient, book: AddressBook, task: _Task, kind: str, now: datetime
) -> Callable[[datetime, datetime], Read]:
    """What reads [start, end) of one kind of a mailbox."""
    if kind == MESSAGES:
        return partial(
            _read_messages, client, book, task, messages.search_folders(client, task.entra_id), now
        )
    return partial(_read_meetings, client, book, task, now)


def _read_messages(
    client: GraphClient,
    book: AddressBook,
    task: _Task,
    folders: frozenset[str],
    now: datetime,
    start: datetime,
    end: datetime,
) -> Read:
    return messages.read(
        client,
        book,
        entra_id=task.entra_id,
        mailbox_id=task.mailbox_id,
        start=start,
        end=end,
        search_folder_ids=folders,
        now=now,
    )


def _read_meetings(
    client: GraphClient, book: AddressBook, task: _Task, now: datetime, start: datetime, end: datetime
) -> Read:
    return meetings.read(
        client, book, entra_id=task.entra_id, mailbox_id=task.mailbox_id, start=start, end=end, now=now
    )


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
    ) -> None:
        self._connection = connection
        self._book = book
        self._run_id = state.run_id
        self._result = result
        self._tolerances = tolerances
        self._now = now
        self._bar = bar
        self._landings: list[Landing] = []
        self._done: list[_Done] = []
        self._rows = 0
        self._landed_at = time.monotonic()
        self._failures_in_a_row = 0
        # An entry without a start comes in every slice that it reaches into.
        self._undated: set[tuple[int, int]] = set()

    def write(self, handed: queue.Queue[_Item], mailbox_count: int) -> None:
        ended = 0
        while ended < mailbox_count:
            try:
                item = handed.get(timeout=SECONDS_PER_TRANSACTION)
            except queue.Empty:
                self.land()
                continue
            if isinstance(item, _Stopped):
                self.land()
                raise item.error
            ended += isinstance(item, _Done)
            self.take(item)
        self.land()

    def take(self, item: Landing | _Done) -> None:
        """Notes an item, and lands what has come together once it is enough or old."""
        if isinstance(item, Landing):
            self._landings.append(item)
            self._rows += len(item.read.rows)
        else:
            self._note(item)
        late = time.monotonic() - self._landed_at >= SECONDS_PER_TRANSACTION
        if self._rows >= ROWS_PER_TRANSACTION or late:
            self.land()

    def _note(self, done: _Done) -> None:
        self._done.append(done)
        self._bar.advance()
        if done.state == mailboxes.READABLE:
            self._result.read += 1
        if done.failure is None:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        self._result.warnings.append(f"user {done.entra_id}: {done.failure.message}")
        beyond = False
        for tolerance in self._tolerances:
            tolerance.failed += done.mailbox_id in tolerance.mailbox_ids
            beyond = beyond or tolerance.failed > tolerance.tolerated
        if beyond and self._failures_in_a_row >= FAILURES_IN_A_ROW:
            self.land()
            raise done.failure

    def land(self) -> None:
        """Writes what was taken, in one transaction."""
        self._landed_at = time.monotonic()
        if not self._landings and not self._done:
            return
        addresses = self._book.drain()
        try:
            with transaction(self._connection):
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
            self._undated |= {(landing.mailbox_id, key) for key in landing.read.undated_keys}
            if landing.kind == MESSAGES:
                self._result.messages += len(landing.read.rows)
            else:
                self._result.meetings += len(landing.read.rows)
        self._result.bad_dates = len(self._undated)
        self._landings, self._done, self._rows = [], [], 0


# What an item is a copy of: where a later read says otherwise, a refresh has to look at both.
_IDENTITY = {MESSAGES: ("message_key",), MEETINGS: ("ical_key", "start_at")}


def land(connection: Connection, landings: Sequence[Landing], *, run_id: str, now: datetime) -> None:
    """Rows of several reads of one kind, and their ledger rows; to be called inside a transaction.

    The newest read wins by (mailbox_id, item_key). Rows of the slices read that were not seen get gone_at. A
    ledger row takes the place of those inside it: a month, once read, of its days.
    """
    kind = landings[0].kind
    table, column = TABLE[kind], TIME_COLUMN[kind]
    identity = _IDENTITY[kind]
    replaced = ", ".join(("kind", "landing_id", "key", "start_at")[: 2 + len(identity)])
    landing_id = _next_landing_id(connection)
    twin = empty_twin(connection, table)
    rows = {(row[0], row[1]): row for landing in landings for row in landing.read.rows}
    append(connection, twin, [(*row, landing_id) for row in rows.values()], schema="temp")
    dropped = [(landing.mailbox_id, key) for landing in landings for key in landing.read.dropped_keys]
    if dropped:
        connection.execute(
            "create or replace temporary table dropped_items (mailbox_id bigint, item_key bigint)"
        )
        append(connection, "dropped_items", dropped, schema="temp")
        connection.execute(
            f"""
            insert into raw.office_replaced ({replaced})
            select ?, ?, {", ".join(identity)} from raw.{table}
            where (mailbox_id, item_key) in (select (mailbox_id, item_key) from dropped_items)
            """,
            [kind, landing_id],
        )
        connection.execute(
            f"delete from raw.{table} where (mailbox_id, item_key) in (select (mailbox_id,"
            " item_key) from dropped_items)"
        )
    units = empty_twin(connection, "office_units")
    append(
        connection,
        units,
        [
            (
                landing.mailbox_id,
                kind,
                piece.start,
                piece.end,
                read_to,
                sum(piece.start <= moment < piece.end for moment in landing.read.moments),
                run_id,
                now,
                landing_id,
            )
            for landing in landings
            for piece, read_to in zip(landing.pieces, landing.read_to, strict=True)
        ],
        schema="temp",
    )
    connection.execute(
        f"""
        insert into raw.office_replaced ({replaced})
        select ?, ?, {", ".join(f"known.{name}" for name in identity)}
        from raw.{table} as known
        inner join "{twin}" as incoming
            on known.mailbox_id = incoming.mailbox_id and known.item_key = incoming.item_key
        where {" or ".join(f"known.{name} is distinct from incoming.{name}" for name in identity)}
        """,
        [kind, landing_id],
    )
    if kind == MESSAGES:
        _keep_landing_of_unchanged(connection, twin)
    connection.execute(
        f"""
        delete from raw.{table}
        where (mailbox_id, item_key) in (select (mailbox_id, item_key) from "{twin}")
        """
    )
    connection.execute(
        f"""
        update raw.{table} set gone_at = ?, landing_id = ?
        from "{units}" as units
        where raw.{table}.mailbox_id = units.mailbox_id
            and raw.{table}.{column} >= units.slice_start and raw.{table}.{column} < units.slice_end
            and raw.{table}.gone_at is null
        """,
        [now, landing_id],
    )
    connection.execute(f'insert into raw.{table} select * from "{twin}"')
    connection.execute(
        f"""
        delete from raw.office_units
        using "{units}" as units
        where raw.office_units.mailbox_id = units.mailbox_id
            and raw.office_units.kind = units.kind
            and raw.office_units.slice_start >= units.slice_start
            and raw.office_units.slice_end <= units.slice_end
        """
    )
    connection.execute(f'insert into raw.office_units select * from "{units}"')


def _next_landing_id(connection: Connection) -> int:
    """One more than every landing so far, those included that a refresh has seen and the ledger no longer has."""
    row = connection.execute(
        """
        select greatest(
            (select coalesce(max(landing_id), 0) from raw.office_units),
            (select coalesce(max(landing_id), 0) from raw.refreshes)
        ) + 1
        """
    ).fetchone()
    assert row is not None
    return int(row[0])


# What makes a message; when it was read is no part of it. (Of a meeting it is: the newest read speaks.)
_MESSAGE = (
    "message_key, thread_key, received_at, from_key, recipient_keys, is_draft, is_meeting_mail,"
    " is_search_folder_copy"
)


def _keep_landing_of_unchanged(connection: Connection, twin: str) -> None:
    """A message read again as it was known costs no refresh."""
    same = [f"known.{name} is not distinct from incoming.{name}" for name in _MESSAGE.split(", ")]
    connection.execute(
        f"""
        update "{twin}" as incoming set landing_id = known.landing_id
        from raw.office_messages as known
        where incoming.mailbox_id = known.mailbox_id and incoming.item_key = known.item_key
            and {" and ".join(same)}
        """
    )


def _save_states(connection: Connection, done: Sequence[_Done]) -> None:
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
                count(*) filter (where state = 'readable'),
                count(*) filter (where state = 'incomplete')
            from raw.office_mailboxes where monitored_to is null and enrichment_id = ?
            """,
            [enrichment.enrichment_id],
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
