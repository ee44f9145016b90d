"""Landing: what was read becomes rows of the raw tables, with their ledger rows, in one transaction."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from datetime import datetime

from engagement.office.rows import TABLE, TIME_COLUMN, Landing
from engagement.office.slices import MEETINGS, MESSAGES
from engagement.warehouse import Connection, append, empty_twin

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
    twin = _incoming(connection, table, landings, now=now, landing_id=landing_id)
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
            (landing.mailbox_id, kind, piece.start, piece.end, read_to, row_count, run_id, now, landing_id)
            for landing in landings
            for piece, read_to, row_count in zip(
                landing.pieces, landing.read_to, _row_counts(landing), strict=True
            )
        ],
        schema="temp",
    )
    _replace_known(connection, kind, twin, replaced=replaced, landing_id=landing_id)
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
            and raw.office_units.slice_start < units.slice_end
            and raw.office_units.slice_end > units.slice_start
        """
    )
    connection.execute(f'insert into raw.office_units select * from "{units}"')


def _row_counts(landing: Landing) -> list[int]:
    """How many rows belong to each slice."""
    moments = sorted(landing.read.moments)
    return [bisect_left(moments, piece.end) - bisect_left(moments, piece.start) for piece in landing.pieces]


def _incoming(
    connection: Connection, table: str, landings: Sequence[Landing], *, now: datetime, landing_id: int
) -> str:
    """Rows on their way in, each item once (its later row), as a temporary table with all columns of the raw one.
    What is the same for every row is not appended row by row: that would take a third of the time.
    """
    connection.execute(
        f"""
        create or replace temporary table incoming_rows as
        select * exclude (read_at, gone_at, landing_id) from raw.{table} limit 0
        """
    )
    rows = [row for landing in landings for row in landing.read.rows]
    append(connection, "incoming_rows", rows, schema="temp")
    connection.execute(
        """
        delete from temp.incoming_rows
        where rowid in (
            select unnest(list(rowid order by rowid)[:-2])
            from temp.incoming_rows
            group by mailbox_id, item_key
            having count(*) > 1
        )
        """
    )
    twin = empty_twin(connection, table)
    connection.execute(
        f'insert into "{twin}" select *, ?, null, ? from temp.incoming_rows', [now, landing_id]
    )
    connection.execute("drop table temp.incoming_rows")
    return twin


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
    "message_key",
    "thread_key",
    "received_at",
    "from_key",
    "recipient_keys",
    "is_draft",
    "is_meeting_mail",
    "is_search_folder_copy",
)


def _replace_known(connection: Connection, kind: str, twin: str, *, replaced: str, landing_id: int) -> None:
    """Takes away the rows of items that come again, and notes those that are another message or meeting now.

    The large table is searched once, and on a first read finds nothing, which ends it. A message that comes again
    as it was known keeps the number of its landing, and so costs no refresh.
    """
    table, identity = TABLE[kind], _IDENTITY[kind]
    connection.execute(
        f"""
        create or replace temporary table known_items as
        select known.*, known.rowid as row_id
        from raw.{table} as known
        semi join "{twin}" as incoming
            -- In this order: the mailboxes' range is looked at first, and leaves out most of the table.
            on known.mailbox_id = incoming.mailbox_id and known.item_key = incoming.item_key
        """
    )
    found = connection.execute("select count(*) from temp.known_items").fetchone()
    if found is None or found[0] == 0:
        return
    same_item = "known.mailbox_id = incoming.mailbox_id and known.item_key = incoming.item_key"
    connection.execute(
        f"""
        insert into raw.office_replaced ({replaced})
        select ?, ?, {", ".join(f"known.{name}" for name in identity)}
        from temp.known_items as known
        inner join "{twin}" as incoming on {same_item}
        where {" or ".join(f"known.{name} is distinct from incoming.{name}" for name in identity)}
        """,
        [kind, landing_id],
    )
    if kind == MESSAGES:
        connection.execute(
            f"""
            update "{twin}" as incoming set landing_id = known.landing_id
            from temp.known_items as known
            where {same_item}
                and {" and ".join(f"known.{name} is not distinct from incoming.{name}" for name in _MESSAGE)}
            """
        )
    connection.execute(f"delete from raw.{table} where rowid in (select row_id from temp.known_items)")
