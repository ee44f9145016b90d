"""What is not kept of mail and calendars any more: what is older than the retention, and who opted out or was removed.

These are plain deletes. DuckDB's DELETE does not erase: the bytes stay in the file until its space is used again, or
until the file is rewritten, which who opts out or is removed asks for (engagement.rebuild), and the retention does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from engagement import rebuild
from engagement.configuration.enrichments import OfficeEnrichment
from engagement.configuration.settings import Settings
from engagement.office.landing import IDENTITY, next_landing_id
from engagement.office.rows import TABLE, TIME_COLUMN
from engagement.office.slices import MEETINGS, MESSAGES
from engagement.warehouse import Connection, append, transaction

# Every raw table with an address key of whom mail, calendars or the customer files know.
_ADDRESSES_REFERRED_TO = """
    select address_key from raw.contacts
    union all
    select unnest(address_keys) from raw.office_mailboxes
    union all
    select unnest([from_key, sender_key]) from raw.office_messages
    union all
    select unnest(recipient_keys) from raw.office_messages
    union all
    select organizer_key from raw.office_meetings
    union all
    select unnest(attendee_keys) from raw.office_meetings
"""


def expire(connection: Connection, settings: Settings, newest_day: datetime) -> int:
    """Deletes what lies before the month in which the retention begins, counted back from `newest_day` (midnight
    UTC): messages, meetings, their ledger, people who left the list before, and addresses that nothing refers to any
    more. The messages and meetings deleted.

    A mailbox is kept as long as any of its enrichments wants. What was deleted stands in raw.office_replaced, so that
    the next refresh, also in part, counts without it.
    """
    retention = {
        enrichment.enrichment_id: enrichment.retention
        for _, enrichment in settings.enrichments(OfficeEnrichment)
    }
    longest = max(retention.values())
    with transaction(connection):
        connection.execute(
            "create or replace temporary table retentions (enrichment_id varchar, retention_days integer)"
        )
        append(connection, "retentions", list(retention.items()), schema="temp")
        connection.execute(
            """
            create or replace temporary table kept_from as
            select
                mailboxes.mailbox_id,
                -- Whole months: a slice of history is one.
                date_trunc(
                    'month', $newest_day::timestamp - to_days(max(coalesce(retention_days, $longest)))
                )::timestamp as kept_from
            from raw.office_mailboxes as mailboxes
            left join temp.retentions using (enrichment_id)
            group by mailboxes.mailbox_id
            """,
            {"newest_day": newest_day, "longest": longest},
        )
        landing_id = next_landing_id(connection)
        expired = sum(_expire_kind(connection, kind, landing_id) for kind in (MESSAGES, MEETINGS))
        left = connection.execute(
            """
            delete from raw.office_mailboxes
            using temp.kept_from
            where raw.office_mailboxes.mailbox_id = kept_from.mailbox_id and monitored_to < kept_from
            """
        ).fetchone()
        # It reads everything, and so is done where something has gone.
        if expired or (left is not None and left[0]):
            drop_unused_addresses(connection)
    return expired


def _expire_kind(connection: Connection, kind: str, landing_id: int) -> int:
    table = TABLE[kind]
    # An item without a readable date counts from when it was last seen.
    expired = f"""
        from temp.kept_from
        where items.mailbox_id = kept_from.mailbox_id
            and coalesce(items.{TIME_COLUMN[kind]}, items.read_at) < kept_from
    """
    columns = IDENTITY[kind]
    connection.execute(
        f"""
        insert into raw.office_replaced ({", ".join(("kind", "landing_id", "key", "start_at")[: 2 + len(columns)])})
        select distinct ?, ?::bigint, {", ".join(f"items.{column}" for column in columns)}
        from raw.{table} as items
        where exists (select 1 {expired})
        """,
        [kind, landing_id],
    )
    deleted = connection.execute(
        f"delete from raw.{table} as items where exists (select 1 {expired})"
    ).fetchone()
    connection.execute(
        """
        delete from raw.office_units
        using temp.kept_from
        where raw.office_units.mailbox_id = kept_from.mailbox_id and kind = ? and slice_end <= kept_from
        """,
        [kind],
    )
    return 0 if deleted is None else int(deleted[0])


def forget_mailboxes(connection: Connection, enrichment_id: str, mailbox_ids: Sequence[int]) -> None:
    """Removes mailboxes from an enrichment, and what was read of them where no other one has them; to be called
    inside a transaction. The next refresh is whole, and the file is rewritten when it is closed.
    """
    connection.execute(
        "delete from raw.office_mailboxes where enrichment_id = ? and list_contains(?::bigint[], mailbox_id)",
        [enrichment_id, list(mailbox_ids)],
    )
    orphaned = [
        mailbox_id
        for (mailbox_id,) in connection.execute(
            "select unnest(?::bigint[]) as mailbox_id except select mailbox_id from raw.office_mailboxes",
            [list(mailbox_ids)],
        ).fetchall()
    ]
    for table in (*TABLE.values(), "office_units"):
        connection.execute(
            f"delete from raw.{table} where list_contains(?::bigint[], mailbox_id)", [orphaned]
        )
    drop_unused_addresses(connection)
    connection.execute("delete from raw.refreshes")
    rebuild.want(connection)


def drop_unused_addresses(connection: Connection) -> None:
    """Deletes addresses that nothing refers to."""
    connection.execute(
        f"""
        delete from raw.office_addresses
        where address_key not in (
            select address_key from ({_ADDRESSES_REFERRED_TO}) as referred (address_key) where address_key is not null
        )
        """
    )
