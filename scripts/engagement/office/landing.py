"""Landing: what was read becomes rows of the raw tables, with their ledger rows, in one transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

from engagement.errors import EngagementError
from engagement.office.rows import LANDED, TABLE, TIME_COLUMN, Landing, Row
from engagement.office.slices import MEETINGS, MESSAGES
from engagement.warehouse import Connection, append, empty_twin

# What an item is a copy of: where a later read says otherwise, a refresh has to look at both.
IDENTITY = {MESSAGES: ("message_key",), MEETINGS: ("ical_key", "start_at")}


def land(connection: Connection, landings: Sequence[Landing], *, run_id: str, now: datetime) -> None:
    """Rows of several reads of one kind, and their ledger rows; to be called inside a transaction.

    The newest read wins by (mailbox_id, item_key). Rows of the slices read that were not seen get gone_at. A
    ledger row takes the place of those inside it: a month, once read, of its days.
    """
    kind = landings[0].kind
    table, column = TABLE[kind], TIME_COLUMN[kind]
    identity = IDENTITY[kind]
    replaced = ", ".join(("kind", "landing_id", "key", "start_at")[: 2 + len(identity)])
    landing_id = next_landing_id(connection)
    rows = [row for landing in landings for row in landing.read.rows]
    incoming, row_count = _incoming(connection, table, rows)
    dropped = [(landing.mailbox_id, key) for landing in landings for key in landing.read.dropped_keys]
    if dropped:
        connection.execute(
            "create or replace temporary table dropped_items (mailbox_id bigint, item_key bigint)"
        )
        append(connection, "dropped_items", dropped, schema="temp")
        if _find_known(connection, table, "dropped_items"):
            connection.execute(
                f"insert into raw.office_replaced ({replaced})"
                f" select ?, ?, {', '.join(identity)} from temp.known_items",
                [kind, landing_id],
            )
            _delete_known(connection, table)
    units = empty_twin(connection, "office_units")
    append(
        connection,
        units,
        [
            (landing.mailbox_id, kind, piece.start, piece.end, read_to, count, run_id, now, landing_id)
            for landing in landings
            for piece, read_to, count in zip(
                landing.pieces, landing.read_to, _row_counts(landing), strict=True
            )
        ],
        schema="temp",
    )
    _replace_known(connection, kind, incoming, replaced=replaced, landing_id=landing_id)
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
    landed = connection.execute(
        f"""
        insert into raw.{table}
        select incoming.*, ?, null, coalesce(kept.landing_id, ?)
        from "{incoming}" as incoming
        left join temp.kept_landings as kept
            on incoming.mailbox_id = kept.mailbox_id and incoming.item_key = kept.item_key
        """,
        [now, landing_id],
    ).fetchone()
    if landed is None or landed[0] != row_count:
        raise EngagementError(
            f"raw.{table}: {landed and landed[0]} of {row_count} rows were written, and so none; please report it"
            " with this line, the next run reads them again"
        )
    connection.execute(
        f"""
        delete from raw.office_units
        using "{units}" as units
        where raw.office_units.mailbox_id = units.mailbox_id
            and raw.office_units.kind = units.kind
            and raw.office_units.slice_start < units.slice_end
            and raw.office_units.slice_end > units.slice_start
        """
    )
    connection.execute(f'insert into raw.office_units select * from "{units}"')


def _row_counts(landing: Landing) -> list[int]:
    """How many rows belong to each slice."""
    moments = sorted(landing.read.moments)
    return [bisect_left(moments, piece.end) - bisect_left(moments, piece.start) for piece in landing.pieces]


def _incoming(connection: Connection, table: str, rows: Sequence[Row]) -> tuple[str, int]:
    """Rows on their way in as a temporary table, each item once (its later row), and how many these are.

    Without what is the same for every row: appended row by row it would take a third of the time.
    """
    incoming = empty_twin(connection, table, without=LANDED)
    append(connection, incoming, rows, schema="temp")
    doubled = connection.execute(
        f"""
        delete from temp."{incoming}"
        where rowid in (
            select unnest(list(rowid order by rowid)[:-2])
            from temp."{incoming}"
            group by mailbox_id, item_key
            having count(*) > 1
        )
        """
    ).fetchone()
    return incoming, len(rows) - (0 if doubled is None else doubled[0])


def next_landing_id(connection: Connection) -> int:
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
    "message_key",
    "thread_key",
    "received_at",
    "from_key",
    "recipient_keys",
    "is_draft",
    "is_meeting_mail",
    "is_search_folder_copy",
)


def _replace_known(
    connection: Connection, kind: str, incoming: str, *, replaced: str, landing_id: int
) -> None:
    """Takes away the rows of items that come again, and notes those that are another message or meeting now. Leaves
    kept_landings: a message that comes again as it was known keeps the number of its landing, and costs no refresh.
    """
    table, identity = TABLE[kind], IDENTITY[kind]
    connection.execute(
        "create or replace temporary table kept_landings (mailbox_id bigint, item_key bigint, landing_id bigint)"
    )
    if not _find_known(connection, table, incoming):
        return
    connection.execute(
        f"""
        insert into raw.office_replaced ({replaced})
        select ?, ?, {", ".join(f"known.{name}" for name in identity)}
        from temp.known_items as known
        inner join "{incoming}" as incoming on {_SAME_ITEM}
        where {" or ".join(f"known.{name} is distinct from incoming.{name}" for name in identity)}
        """,
        [kind, landing_id],
    )
    if kind == MESSAGES:
        connection.execute(
            f"""
            insert into temp.kept_landings
            select known.mailbox_id, known.item_key, known.landing_id
            from temp.known_items as known
            inner join "{incoming}" as incoming on {_SAME_ITEM}
            where {" and ".join(f"known.{name} is not distinct from incoming.{name}" for name in _MESSAGE)}
            """
        )
    _delete_known(connection, table)


# In this order: the mailboxes' range is looked at first, and leaves out most of the table.
_SAME_ITEM = "known.mailbox_id = incoming.mailbox_id and known.item_key = incoming.item_key"


def _find_known(connection: Connection, table: str, incoming: str) -> bool:
    """Copies the rows of the items of a temporary table to known_items, and says whether there are any. The large
    table is searched once, and on a first read nothing is found.
    """
    connection.execute(
        f"""
        create or replace temporary table known_items as
        select known.*, known.rowid as row_id
        from raw.{table} as known
        semi join "{incoming}" as incoming on {_SAME_ITEM}
        """
    )
    found = connection.execute("select count(*) from temp.known_items").fetchone()
    return found is not None and found[0] > 0


def _delete_known(connection: Connection, table: str) -> None:
    """Deletes what was found last."""
    connection.execute(f"delete from raw.{table} where rowid in (select row_id from temp.known_items)")
