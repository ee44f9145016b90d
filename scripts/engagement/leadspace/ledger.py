"""What has left for Leadspace, and what became of it: raw.leadspace_batches and raw.leadspace_requests.

    sending ──► submitted ──► answered        a bulk, by the path of its results; a single lookup has no second state
       │            └───────► lost            the service has no results for it (any more)
       ├──────────► refused                   nothing was looked up: its customers may be sent again
       └──────────► uncertain                 the connection broke, or the run was killed, with it under way

What is uncertain or lost may have been charged: it is held until a person releases it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engagement.high_water import marked_transaction
from engagement.leadspace.client import Record
from engagement.warehouse import Connection, append, transaction, utc_now

SENDING, SUBMITTED, ANSWERED, REFUSED = "sending", "submitted", "answered", "refused"
UNCERTAIN, LOST, RELEASED = "uncertain", "lost", "released"
HELD = (SENDING, UNCERTAIN, LOST)


@dataclass(frozen=True)
class Batch:
    """One entry of the ledger; `path` leads to the results of a bulk."""

    batch_id: str
    fingerprints: frozenset[str]
    path: str = ""
    sent_at: datetime = field(default_factory=utc_now)

    @classmethod
    def of(cls, run_id: str, records: Sequence[Record]) -> Batch:
        """A new one for these records, under an id of its own."""
        return cls(f"{run_id}-{secrets.token_hex(4)}", frozenset(fingerprint for fingerprint, _ in records))


def enter(
    connection: Connection,
    batches: Iterable[Batch],
    *,
    enrichment_id: str,
    run_id: str,
    endpoint: str,
    record_type: str,
) -> None:
    """Notes what is about to leave, all in one transaction: to be called before any of it does."""
    batches = list(batches)
    with marked_transaction(connection, is_sent=True):
        append(
            connection,
            "leadspace_batches",
            [
                (
                    enrichment_id,
                    batch.batch_id,
                    run_id,
                    endpoint,
                    SENDING,
                    None,
                    batch.sent_at,
                    None,
                    record_type,
                )
                for batch in batches
            ],
        )
        append(
            connection,
            "leadspace_requests",
            [
                (enrichment_id, batch.batch_id, fingerprint)
                for batch in batches
                for fingerprint in batch.fingerprints
            ],
        )


def update(connection: Connection, batch: Batch, state: str, *, path: str | None = None) -> None:
    """What became of a batch; to be called inside a transaction."""
    connection.execute(
        "update raw.leadspace_batches set state = ?, results_path = coalesce(?, results_path), settled_at = ?"
        " where batch_id = ?",
        [state, path, None if state == SUBMITTED else utc_now(), batch.batch_id],
    )


# An earlier version looked companies up alone, and did not say so.
_OF_TYPE = "coalesce(record_type, 'company') = ?"


def submitted(connection: Connection, record_type: str) -> list[Batch]:
    """The bulks of this type whose results are still to be fetched, whichever enrichment handed them in."""
    rows = connection.execute(
        "select batch_id, any_value(results_path), any_value(sent_at), list(fingerprint)"
        " from raw.leadspace_batches inner join raw.leadspace_requests using (batch_id)"
        f" where state = ? and {_OF_TYPE} group by batch_id order by batch_id",
        [SUBMITTED, record_type],
    ).fetchall()
    return [
        Batch(batch_id, frozenset(fingerprints), path, sent_at)
        for batch_id, path, sent_at, fingerprints in rows
    ]


def release(connection: Connection, record_type: str) -> None:
    """Gives up what is held, and what was handed in and not fetched: it may be sent again."""
    with transaction(connection):
        connection.execute(
            f"update raw.leadspace_batches set state = ? where list_contains(?, state) and {_OF_TYPE}",
            [RELEASED, [*HELD, SUBMITTED], record_type],
        )


def was_accepted(connection: Connection, record_type: str) -> bool:
    """Whether the service ever took anything of this type."""
    row = connection.execute(
        f"select count(*) from raw.leadspace_batches where list_contains(?, state) and {_OF_TYPE}",
        [[SUBMITTED, ANSWERED], record_type],
    ).fetchone()
    return row != (0,)
