"""The high-water mark: how far the private file had been written, kept outside of it.

DuckDB drops without a word what stands behind a cut or a flipped bit in its log, and a copy that is put back is older
than what had been done since. The file is whole then, but lacks commits. What is lost of mail is merely read again,
since its ledger is lost with it. What was sent to Leadspace would be sent and charged again: it is held until a person
agrees.

So what lands mail, and what notes a lookup before it leaves, numbers its transactions (in raw.settings), and the last
number stands in `high_water_mark.json` beside the file as soon as it is committed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement import durable
from engagement.configuration.settings import Settings
from engagement.opening import Connection
from engagement.warehouse import (
    COMMITS,
    LOOKUPS_LOST,
    drop_own_setting,
    own_setting,
    set_own_setting,
    transaction,
)

log = logging.getLogger(__name__)

MARK = "high_water_mark.json"


@contextmanager
def marked_transaction(connection: Connection, *, is_sent: bool = False) -> Iterator[None]:
    """A transaction whose commit is numbered, and noted beside the file once it is on the disk; `is_sent` where
    lookups leave after it. OSError where it cannot be noted; it is committed then.
    """
    with transaction(connection):
        yield
        commit = _commits(connection) + 1
        set_own_setting(connection, COMMITS, str(commit))
    mark = _mark_beside(connection)
    before = _read(mark)
    sent = commit if is_sent else before.get("sent_commit", 0)
    durable.write(mark, json.dumps({"commit": commit, "sent_commit": sent}).encode() + b"\n")


def compare(connection: Connection, settings: Settings) -> None:
    """Says what the private file lacks of what had been written, and holds the lookups at Leadspace where some of
    those are lost. The mark is then that of the file as it is, so that it is said once.
    """
    mark = _mark_beside(connection)
    known, commits = _read(mark), _commits(connection)
    lost = known.get("commit", 0) - commits
    if lost <= 0:
        return
    name = settings.private_file.name
    log.warning(
        "warning: %s: lacks the last %s that %s written to it (its log was cut, or an older copy was put back);"
        " mail is read again",
        name,
        "transaction" if lost == 1 else f"{lost:,} transactions",
        "was" if lost == 1 else "were",
    )
    if known.get("sent_commit", 0) > commits:
        with transaction(connection):
            set_own_setting(connection, LOOKUPS_LOST, "true")
    durable.write(mark, json.dumps({"commit": commits, "sent_commit": commits}).encode() + b"\n")


def lacks_lookups(connection: Connection) -> bool:
    """Whether lookups were sent to Leadspace of which the private file knows nothing any more."""
    return own_setting(connection, LOOKUPS_LOST) is not None


def accept_lost_lookups(connection: Connection) -> None:
    """A person agrees that they may be charged again."""
    with transaction(connection):
        drop_own_setting(connection, LOOKUPS_LOST)


def _commits(connection: Connection) -> int:
    return int(own_setting(connection, COMMITS) or 0)


def _mark_beside(connection: Connection) -> Path:
    row = connection.execute(
        "select path from duckdb_databases() where database_name = current_database()"
    ).fetchone()
    assert row is not None
    return Path(row[0]).with_name(MARK)


def _read(mark: Path) -> dict[str, int]:
    """Empty where there is none yet, or it is not what was written: there is then nothing to compare with."""
    try:
        found = json.loads(mark.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: value for name, value in found.items() if type(value) is int}
