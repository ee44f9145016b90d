"""Mail and calendars from the files of a Microsoft Graph Data Connect export instead of from Graph.

The rows are those of the Graph reader, made by the same functions. An export is read whole into temporary tables of
keys and times before anything is stored, so that one broken line lands nothing; DuckDB puts on disk what does not fit
into memory. Then it is landed a mailbox and a month at a time, and only where it says something else than what was
landed before: an export that is read again changes nothing.

What an export covers stands nowhere in it, so it is taken from its items. One pipeline reads everybody with one
filter: hence the range is that of all people chosen together, in whole days (UTC) from the first to the last item.
Mailbox by mailbox, whoever is quiet for a week would seem to be unread for it, and hold the as-of date back for all.

- Messages: from the day of the first to that of the last `receivedDateTime` of the data set Message.
- Calendars: of CalendarView, else of Event; from the day on which the first entry ends (what begins before merely
  reaches into the window that was exported) to the day on which the last one begins.
- The export's moment is the newest instant of its items (received, created, last changed). It stands where the
  service's clock stands for Graph: the day that it lies in is complete up to it, and what an export no longer has is
  gone as of then.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engagement.addresses import AddressBook, normalised
from engagement.configuration.enrichments import OfficeEnrichment, place
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.office import export_files, graph, mailboxes, meetings, messages
from engagement.office.export_files import Export, Row
from engagement.office.rows import LANDED, TABLE, TIME_COLUMN, Landing, Read
from engagement.office.slices import (
    MEETINGS,
    MEETINGS_AHEAD,
    MESSAGES,
    Covered,
    Slice,
    calendar_slices,
    covers,
    merged,
    midnight,
    reads,
    whole_slices,
)
from engagement.progress import progress
from engagement.warehouse import Connection, append, empty_twin, utc_now

_ROWS_AT_ONCE = 20_000
_DAY = timedelta(days=1)
_ADD = {MESSAGES: messages.add, MEETINGS: meetings.add}
# The instant by which an item lies in the exported range.
_REACH = {
    MESSAGES: "received_at",
    MEETINGS: "greatest(start_at, coalesce(end_at, start_at) - interval 1 microsecond)",
}
# What a row says, when it was read left out.
_CONTENT = {
    MESSAGES: "message_key, thread_key, received_at, sent_at, from_key, sender_key, recipient_keys, is_draft,"
    " is_meeting_mail, is_search_folder_copy",
    MEETINGS: "ical_key, start_at, end_at, is_all_day, is_cancelled, is_organizer, own_response, organizer_key,"
    " attendee_keys, attendee_types, attendee_responses",
}


def opened(settings: Settings, position: int, enrichment: OfficeEnrichment) -> Export:
    """The export of an enrichment; ConfigurationError with one line for each data set, column and file that is
    missing or cannot be read.
    """
    assert enrichment.export is not None
    export = Export.find(settings.resolved(enrichment.export))
    require(position, enrichment, export.problems())
    return export


def require(position: int, enrichment: OfficeEnrichment, problems: Sequence[str]) -> None:
    """ConfigurationError with all problems of an export, where there are any."""
    if problems:
        raise ConfigurationError(
            f"{place(position, enrichment)}: {len(problems)} finding{'s' if len(problems) != 1 else ''} in the"
            " export; correct and run again, nothing was stored",
            findings=problems,
        )


class ExportDirectory:
    """The data set User as a directory; it knows no groups. Read once, and only who is listed is kept."""

    unknown = "no row of the data set User has this address, and groups are not in an export; correct it or remove it"

    def __init__(self, export: Export, listed: Sequence[mailboxes.ListedAddress]) -> None:
        # By address: people by sign-in name, by primary address, by alias; as Graph is asked.
        self._found: dict[str, tuple[dict[str, graph.User], ...]] = {
            entry.asked: ({}, {}, {}) for entry in listed
        }
        for row in export.rows(export_files.USER):
            user = row.typed(graph.User)
            by_rank: list[list[str | None]] = [
                [user.user_principal_name],
                [user.mail],
                [*mailboxes.aliases_of(user)],
            ]
            for rank, candidates in enumerate(by_rank):
                for candidate in candidates:
                    address = normalised(candidate, keep_tag=True)
                    if address is not None and address.text in self._found:
                        self._found[address.text][rank][user.id] = user

    def user(self, listed: mailboxes.ListedAddress) -> graph.User | None:
        for found in self._found.get(listed.asked, ()):
            if found:
                return mailboxes.only_one(listed, list(found.values()))
        return None

    def groups(self, listed: mailboxes.ListedAddress) -> dict[str, list[graph.User]]:
        return {}


def resolve(
    export: Export, settings: Settings, position: int, enrichment: OfficeEnrichment
) -> mailboxes.Selection:
    """Who of the export is chosen, as with Graph."""
    listed = mailboxes.listed_addresses(settings, position, enrichment)
    selection = mailboxes.resolve_in(ExportDirectory(export, listed), settings, position, enrichment)
    if export.calendar == export_files.EVENT:
        selection.warnings.append(
            f"{place(position, enrichment)}: the export has no data set CalendarView; Event has no occurrences of"
            " series, so they are missing, add CalendarView"
        )
    return selection


@dataclass(frozen=True)
class Staged:
    """What an export says, in temporary tables: its moment (naive UTC), by kind the range that it covers (first
    and last instant; None where there is nothing of either kind), and the mailboxes with anything in it.
    """

    moment: datetime
    ranges: dict[str, tuple[datetime, datetime] | None]
    mailbox_ids: frozenset[int]


def stage(connection: Connection, book: AddressBook, export: Export, people: Mapping[str, int]) -> Staged:
    """Reads the whole export into temporary tables, an item of several files once: its last changed version.

    `people` gives the mailbox_id by Entra id in lower case; of others nothing is read. ConfigurationError where a
    row cannot be read; nothing but temporary tables is written.
    """
    stagers = {kind: _Stager(connection, kind) for kind in (MESSAGES, MEETINGS)}
    datasets = (
        *((MESSAGES, dataset) for dataset in (export_files.MESSAGE, export_files.SENT_ITEM)),
        *((MEETINGS, dataset) for dataset in (export_files.CALENDAR_VIEW, export_files.EVENT)),
    )
    folders = _search_folders(export, people)
    stored = {
        mailbox_id: messages.RowMaker(book, mailbox_id=mailbox_id, search_folder_ids=folders)
        for mailbox_id in people.values()
    }
    with progress("data sets of the export", total=len(datasets)) as bar:
        for kind, dataset in datasets:
            decides = dataset in (export_files.MESSAGE, export.calendar)
            for row in export.rows(dataset, people):
                if kind == MESSAGES:
                    raw, is_dropped = stored[people[row.owner]](row.typed(graph.Message)), False
                else:
                    raw, is_dropped = _meeting(book, row, people[row.owner])
                stagers[kind].take(row, raw, is_dropped=is_dropped, decides=decides)
            bar.advance()
    ranges = {kind: stager.finish() for kind, stager in stagers.items()}
    for kind, other in ((MESSAGES, MEETINGS), (MEETINGS, MESSAGES)):
        # Nobody had an entry, or a message: the pipeline still read the days of the other kind.
        ranges[kind] = ranges[kind] or ranges[other]
    newest = [stager.newest for stager in stagers.values() if stager.newest is not None]
    return Staged(
        moment=min(max(newest, default=utc_now()), utc_now()),
        ranges=ranges,
        mailbox_ids=frozenset().union(*(stager.mailbox_ids for stager in stagers.values())),
    )


def unstage(connection: Connection) -> None:
    """Drops the temporary tables, also those of a stage that failed."""
    for kind in TABLE:
        connection.execute(f"drop table if exists temp.export_incoming_{kind}")
        connection.execute(f"drop table if exists temp.export_{kind}")
    connection.execute("drop table if exists temp.export_changed")


def _meeting(book: AddressBook, row: Row, mailbox_id: int) -> tuple[tuple[Any, ...], bool]:
    """The row of an entry, and whether it is one of which nothing is kept but that it is there."""
    item = row.typed(graph.Meeting)
    if any(
        moment is not None and moment.time_zone not in meetings.IN_UTC for moment in (item.start, item.end)
    ):
        raise ConfigurationError(
            f"{row.where}: start or end is in another time zone than UTC, and only UTC is read; export it again"
        )
    if meetings.is_kept(item):
        return meetings.row_of(book, item, mailbox_id=mailbox_id), False
    start_at, end_at = meetings.moment_of(item.start), meetings.moment_of(item.end)
    return (mailbox_id, book.hasher.item(item.id), None, start_at, end_at, *[None] * 8), True


def _search_folders(export: Export, people: Mapping[str, int]) -> frozenset[str]:
    """Ids of search folders, whose messages are copies, where the data set MailFolder is there."""
    found = set()
    for row in export.rows(export_files.MAIL_FOLDER):
        folder = row.typed(graph.Folder)
        owner = row.values.get("puser")
        is_ours = not isinstance(owner, str) or owner.lower() in people
        if is_ours and folder.is_search_folder:
            found.add(folder.id)
    return frozenset(found)


class _Stager:
    """Fills the temporary table of one kind, and notes what the export covers."""

    def __init__(self, connection: Connection, kind: str) -> None:
        self._connection = connection
        self._kind = kind
        self._rows: list[tuple[Any, ...]] = []
        self._number = 0
        self.newest: datetime | None = None
        self.mailbox_ids: set[int] = set()
        empty_twin(
            connection,
            TABLE[kind],
            name=f"export_incoming_{kind}",
            without=LANDED,
            also={
                "changed_at": "timestamp",
                "number": "bigint",
                "is_dropped": "boolean",
                "decides": "boolean",
            },
        )

    def take(self, row: Row, raw: tuple[Any, ...], *, is_dropped: bool, decides: bool) -> None:
        self._number += 1
        changed_at = row.instant(export_files.CHANGED)
        self._rows.append((*raw, changed_at, self._number, is_dropped, decides))
        self.mailbox_ids.add(raw[0])
        received_at = raw[4] if self._kind == MESSAGES else None
        for moment in (changed_at, row.instant(export_files.CREATED), received_at):
            if moment is not None and (self.newest is None or moment > self.newest):
                self.newest = moment
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        append(self._connection, f"export_incoming_{self._kind}", self._rows, schema="temp")
        self._rows = []

    def finish(self) -> tuple[datetime, datetime] | None:
        """Each item once, in the order in which it is landed; the first and last instant covered."""
        self._flush()
        time = TIME_COLUMN[self._kind]
        first_last = self._connection.execute(
            f"select min({_REACH[self._kind]}), max({time}) from temp.export_incoming_{self._kind}"
            f" where decides and {time} is not null"
        ).fetchone()
        self._connection.execute(
            f"""
            create or replace temporary table export_{self._kind} as
            select * exclude (changed_at, number, decides, place)
            from (
                select *, row_number() over (
                    partition by mailbox_id, item_key
                    -- Where two versions are of the same time, the private one is believed.
                    order by changed_at desc nulls last, is_dropped desc, number desc
                ) as place
                from temp.export_incoming_{self._kind}
            )
            where place = 1
            order by mailbox_id, {time}
            """
        )
        self._connection.execute(f"drop table temp.export_incoming_{self._kind}")
        return None if first_last is None or first_last[0] is None else (first_last[0], first_last[1])


def covered_slices(
    kind: str, covered: tuple[datetime, datetime] | None, *, moment: datetime, retention_days: int
) -> list[Slice]:
    """The slices of an export's range that are kept, oldest first: no further back than the retention, and no
    further ahead than Graph is asked.
    """
    if covered is None:
        return []
    earliest = next(calendar_slices(moment - timedelta(days=retention_days), moment, now=moment)).start
    latest = midnight(moment + (MEETINGS_AHEAD if kind == MEETINGS else timedelta())) + _DAY
    first, last = covered
    start, end = max(midnight(first), earliest), min(midnight(last) + _DAY, latest)
    return list(whole_slices(start, end, now=moment))


def landings(
    connection: Connection,
    staged: Staged,
    kind: str,
    mailbox_ids: Sequence[int],
    *,
    retention_days: int,
    read_anew: bool,
) -> Iterator[Landing]:
    """What of an export has to be landed, a mailbox and at most a month at a time, newest first.

    A slice is landed where the export says something else than what was landed before, or where the ledger does
    not say that it is complete up to the export's moment; not where a later moment was read already.
    """
    slices = covered_slices(kind, staged.ranges[kind], moment=staged.moment, retention_days=retention_days)
    if not slices:
        return
    _note_changes(connection, kind, slices[0].start, slices[-1].end)
    for mailbox_id in mailbox_ids:
        changed = [
            row[0]
            for row in connection.execute(
                "select day from temp.export_changed where mailbox_id = ? order by day", [mailbox_id]
            ).fetchall()
        ]
        complete, newer = _ledger(connection, mailbox_id, kind, staged.moment)

        def is_needed(
            piece: Slice,
            changed: list[datetime] = changed,
            complete: list[Slice] = complete,
            newer: list[Slice] = newer,
        ) -> bool:
            if read_anew:
                return True
            if covers(newer, piece.start, piece.end):
                return False
            has_changed = bisect_left(changed, piece.start) < bisect_left(changed, piece.end)
            return has_changed or not covers(complete, piece.start, _read_to(piece, staged.moment))

        needed = [piece for piece in reversed(slices) if is_needed(piece)]
        extra = _without_a_day(connection, kind, mailbox_id)
        if not needed and (extra.rows or extra.dropped_keys):
            needed = [slices[-1]]
        for series in reads(needed):
            read, extra = extra, Read()
            _ADD[kind](read, _rows(connection, kind, mailbox_id, series[0].start, series[-1].end))
            read_to = tuple(_read_to(piece, staged.moment) for piece in series)
            yield Landing(mailbox_id, kind, tuple(series), read_to, read)


def _read_to(piece: Slice, moment: datetime) -> datetime:
    """Up to where a slice of an export is complete, as of its moment."""
    return min(piece.end, moment) if piece.start < moment else piece.end


def _note_changes(connection: Connection, kind: str, start: datetime, end: datetime) -> None:
    """Days (of their mailbox) whose rows are not those that were landed before, into export_changed."""
    time = TIME_COLUMN[kind]
    day = f"select mailbox_id, date_trunc('day', {time}) as day, count(*) as item_count,"
    digest = f"sum(hash(item_key, {_CONTENT[kind]})::hugeint) as digest"
    connection.execute(
        f"""
        create or replace temporary table export_changed as
        with
        incoming as (
            {day} {digest} from temp.export_{kind}
            where not is_dropped and {time} >= $start and {time} < $end
            group by all
        ),
        known as (
            {day} {digest} from raw.{TABLE[kind]}
            where gone_at is null and {time} >= $start and {time} < $end
            group by all
        )
        select mailbox_id, day::timestamp as day
        from incoming full join known using (mailbox_id, day)
        where incoming.item_count is distinct from known.item_count
            or incoming.digest is distinct from known.digest
        order by mailbox_id, day
        """,
        {"start": start, "end": end},
    )


def _ledger(
    connection: Connection, mailbox_id: int, kind: str, moment: datetime
) -> tuple[list[Slice], list[Slice]]:
    """What was complete at an export's moment, and what was read after it."""
    units = connection.execute(
        "select slice_start, slice_end, read_to, read_at from raw.office_units where mailbox_id = ? and kind = ?",
        [mailbox_id, kind],
    ).fetchall()
    complete, newer = [], []
    for start, end, read_to, read_at in units:
        # As of an earlier moment a day that was still to come was read, but not complete.
        to = read_to if read_at >= moment else min(read_to, read_at)
        if start < to:
            complete.append(Covered(start, to, read_at))
        if read_at > moment:
            newer.append(Covered(start, end, read_at))
    return merged(complete), merged(newer)


def _without_a_day(connection: Connection, kind: str, mailbox_id: int) -> Read:
    """What belongs to no slice and was landed otherwise before: items without a date, and entries that are not
    kept any more, wherever an earlier row of theirs stands.
    """
    read = Read()
    read.dropped_keys = [
        row[0]
        for row in connection.execute(
            f"""
            select item_key from temp.export_{kind}
            where mailbox_id = $mailbox_id and is_dropped and item_key in (
                select item_key from raw.{TABLE[kind]} where mailbox_id = $mailbox_id
            )
            """,
            {"mailbox_id": mailbox_id},
        ).fetchall()
    ]
    undated = connection.execute(
        f"""
        select * exclude (is_dropped) from temp.export_{kind}
        where mailbox_id = $mailbox_id and not is_dropped and {TIME_COLUMN[kind]} is null
            and hash(item_key, {_CONTENT[kind]}) not in (
                select hash(item_key, {_CONTENT[kind]}) from raw.{TABLE[kind]}
                where mailbox_id = $mailbox_id and gone_at is null
            )
        """,
        {"mailbox_id": mailbox_id},
    ).fetchall()
    _ADD[kind](read, undated)
    return read


def _rows(
    connection: Connection, kind: str, mailbox_id: int, start: datetime, end: datetime
) -> list[tuple[Any, ...]]:
    return connection.execute(
        f"""
        select * exclude (is_dropped) from temp.export_{kind}
        where mailbox_id = $mailbox_id and not is_dropped
            and {TIME_COLUMN[kind]} >= $start and {TIME_COLUMN[kind]} < $end
        """,
        {"mailbox_id": mailbox_id, "start": start, "end": end},
    ).fetchall()
