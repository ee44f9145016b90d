"""A private file is opened: whoever holds it is waited for, and what fails is said in one line.

DuckDB lets one process write a file, or many read it. What it says when something is wrong is told apart by its words,
since its exceptions are the same for a full disk and a damaged file.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from engagement import room, stopping, versions
from engagement.durable import private_umask
from engagement.errors import (
    BusyError,
    ConfigurationError,
    DamagedFileError,
    EngagementError,
    ResourcesError,
    ServiceError,
)
from engagement.versions import Connection as Connection

log = logging.getLogger(__name__)

# What a log that cannot be replayed is called from then on, after the file's own name.
ASIDE = ".wal.aside"
_SECONDS_BETWEEN_TRIES = 0.2
# Conflicting lock is held in /usr/bin/python3.11 (PID 4711)
_HOLDER = re.compile(r"(?:held in ([^\n]*?)\s*)?\(?PID (\d+)")

# In this order: what made DuckDB give a file up stands in the words with which it refuses everything after that.
_FULL = ("No space left", "Disk quota exceeded", "File too large", "max_temp_directory_size")
_REFUSED = (
    "Read-only file system",
    "Permission denied",
    "Input/output error",
    "Operation not permitted",
    "fsync failed",
)
_GONE = ("No such file or directory",)
_OTHER_LOG = ("WAL does not match", "checkpoint iteration does not match")
_DAMAGED_LOG = ("replaying WAL", "Corrupt WAL", "not a valid WAL")
_DAMAGED = (
    "Corrupt",
    "checksum",
    "Failed to load metadata",
    "deserialize",
    "Serialization Error",
)


@contextmanager
def open_file(
    path: Path, *, read_only: bool, wait_seconds: float = 0.0, memory_limit: str | None = None
) -> Iterator[Connection]:
    """A private file, its session in UTC, closed at the end; `memory_limit` as DuckDB reads it ('4GB').

    Another process that has it open is waited for, `wait_seconds` long, and named. A log beside it that is damaged or
    another file's is set aside where the file is opened for writing. Raises BusyError,
    ResourcesError (also for what fails meanwhile), DamagedFileError, ConfigurationError or ServiceError.
    """
    with private_umask():
        connection = _connected(path, read_only, wait_seconds)
    try:
        with stopping.interrupting(connection.interrupt):
            connection.execute("set TimeZone = 'UTC'")
            if memory_limit is not None:
                connection.execute(f"set memory_limit = '{memory_limit}'")
            yield connection
    except duckdb.Error as error:
        if (known := explained(str(error), path)) is None:
            raise
        raise known from None
    finally:
        connection.close()


def _connected(path: Path, read_only: bool, wait_seconds: float) -> Connection:
    until = time.monotonic() + wait_seconds
    waits = False
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only)
        except duckdb.Error as error:
            holder = holder_of(error)
            if holder is None:
                if not read_only and _set_log_aside(path, str(error)):
                    continue
                raise _cannot_open(error, path) from None
        if time.monotonic() >= until:
            raise is_held(path, holder, f", also after {wait_seconds:.0f} s" if waits else "")
        if not waits:
            waits = True
            log.warning(
                "warning: %s: %s has the private file open; waiting for it, at most %.0f s",
                path.name,
                holder,
                wait_seconds,
            )
        stopping.check()
        time.sleep(_SECONDS_BETWEEN_TRIES)


def _problem_of_log(text: str) -> str | None:
    if any(words in text for words in _OTHER_LOG):
        return "is the log of another file, or of an older or newer copy of this one"
    return "is damaged" if any(words in text for words in _DAMAGED_LOG) else None


def _set_log_aside(path: Path, text: str) -> bool:
    """Whether a log was in the way of opening, and is not any more.

    What it held was committed, and is told of as lost by the high-water mark; what mail it held is read again.
    """
    problem = _problem_of_log(text)
    if problem is None:
        return False
    log_file, aside = path.with_name(f"{path.name}.wal"), path.with_name(f"{path.name}{ASIDE}")
    try:
        log_file.replace(aside)
    except OSError:
        return False
    log.warning("warning: %s: %s; set aside as %s", log_file.name, problem, aside.name)
    return True


def is_held(path: Path, holder: str, waited: str = "") -> BusyError:
    """What is said where another process has a private file open."""
    return BusyError(
        f"{path.name}: {holder} has the private file open{waited}; close it there, then run again"
    )


def holder_of(error: duckdb.Error) -> str | None:
    """'process 4711 (dbeaver)', as far as DuckDB says it; None where it refuses a file for another reason."""
    text = str(error)
    if "Could not set lock" not in text:
        return None
    match = _HOLDER.search(text)
    if match is None:
        return "another process"
    program = Path(match.group(1)).name if match.group(1) else ""
    return f"process {match.group(2)}{f' ({program})' if program else ''}"


def _cannot_open(error: duckdb.Error, path: Path) -> EngagementError:
    text = str(error)
    if (unreadable := versions.unreadable_format(error, path)) is not None:
        return unreadable
    if "not a valid DuckDB database" in text:
        return ConfigurationError(
            f"{path.name}: is not a DuckDB file; set ENGAGEMENT_PRIVATE_FILE to another path or"
            " move the file away"
        )
    return explained(text, path) or ServiceError(
        f"{path.name}: cannot be opened ({type(error).__name__}); check the file and the disk"
    )


def explained(text: str, path: Path) -> EngagementError | None:
    """What DuckDB, or dbt for it, says went wrong with a file that was open, in one line; None where it is nothing of
    the disk, the memory or the file itself.
    """
    if any(words in text for words in _FULL):
        return room.full(path.name)
    if "Out of Memory" in text:
        return ResourcesError(
            f"{path.name}: out of memory; close other programs, or give it more with ENGAGEMENT_MEMORY_LIMIT, then run"
            " again, what was read is kept"
        )
    if refused := next((words for words in _REFUSED if words in text), None):
        return room.refused(path.name, refused)
    if (problem := _problem_of_log(text)) is not None:
        return DamagedFileError(
            f"{path.name}.wal: {problem}; run any `engagement extract`, which sets it aside and reads again what"
            f" {path.name} lacks"
        )
    if any(words in text for words in _DAMAGED):
        return DamagedFileError(
            f"{path.name}: is damaged; restore the newest backup, or move it away with its .wal and run again: mail is"
            " read again as far as the retention goes, company data is asked for and charged again"
        )
    if any(words in text for words in _GONE):
        return ResourcesError(
            f"{path.name}: its folder is gone; bring it back, or choose another with ENGAGEMENT_DATA_DIR, then run"
            " again"
        )
    return None
