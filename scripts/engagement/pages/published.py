"""Opens the published file for the pages, and again whenever another takes its place.

A file is attached read-only to a DuckDB of its own in memory, so that a file replaced under the same path is another
database, and whoever asks the old one goes on undisturbed. Publishing replaces the file whole, so no open reader ever
blocks it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas

from engagement.contract import quoted
from engagement.published_file import literal

# The pages share a laptop with a build.
MEMORY_LIMIT = "1GB"


class NothingToShow(Exception):
    """There is no file, or none that can be shown; the text says what to do."""


class OlderFile(NothingToShow):
    """The file lacks a table or a column that a page asks for."""

    def __init__(self) -> None:
        super().__init__(
            "This part needs a file of this release, and the published one is older. "
            "The next `engagement run` or `engagement publish` makes it anew."
        )


@dataclass(frozen=True)
class Identity:
    """Tells one published file from the next under the same path."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int


def identity_of(path: Path) -> Identity | None:
    """None where there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class PublishedFile:
    """One published file, open until nobody refers to it."""

    def __init__(self, path: Path) -> None:
        """Raises NothingToShow where the file is missing, cannot be read or is not one of ours."""
        identity = identity_of(path)
        if identity is None:
            raise NothingToShow(
                "Nothing is published yet: `engagement run` makes the first file, "
                "`make demo` that of a made-up company."
            )
        self.identity = identity
        self._connection = duckdb.connect(
            ":memory:",
            config={"threads": 2, "memory_limit": MEMORY_LIMIT, "allow_unsigned_extensions": "false"},
        )
        self._cursors: dict[frozenset[str], duckdb.DuckDBPyConnection] = {}
        self._lock = threading.Lock()
        try:
            self._connection.execute("set TimeZone = 'UTC'")
            self._connection.execute(f"attach {literal(str(path))} as published (read_only)")
            self._connection.execute("set enable_external_access = false")
            self._connection.execute("set lock_configuration = true")
            found = self._connection.execute("select count(*) from published.marts.publication").fetchone()
        except (duckdb.CatalogException, duckdb.BinderException):
            raise NothingToShow(
                f"{path.name} holds nothing that was published. Name the published file in ENGAGEMENT_PUBLISHED_FILE, "
                "or make it with `engagement run`."
            ) from None
        except duckdb.Error:
            raise NothingToShow(
                f"{path.name} cannot be read: it is damaged, or no DuckDB file. `engagement publish` makes it anew."
            ) from None
        if found == (0,):
            raise NothingToShow(f"{path.name} is empty. `engagement run` fills it.")

    def frame(
        self, sql: str, parameters: Mapping[str, Any], owners: frozenset[str] | None
    ) -> pandas.DataFrame:
        """The answer to `sql`, whose tables are those of `marts`; of the accounts of `owners` (in lower case) alone,
        where given. Raises OlderFile where the file lacks what it asks for.
        """
        try:
            if owners is None:
                cursor = self._connection.cursor()
                cursor.execute("use published.marts")
                return cursor.execute(sql, dict(parameters)).df()
            # The views of an owner belong to his cursor, and a cursor answers one question at a time.
            with self._lock:
                if owners not in self._cursors:
                    self._cursors[owners] = self._cursor_of(owners)
                return self._cursors[owners].execute(sql, dict(parameters)).df()
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise OlderFile from error

    def _cursor_of(self, owners: frozenset[str]) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("use published.marts")
        # A view of the same name in front of every table of accounts: no query can forget the filter.
        names = ", ".join(literal(owner) for owner in sorted(owners))
        cursor.execute(
            "create temp table seen_accounts as select account_id from published.marts.customer_cards "
            f"where lower(trim(account_owner)) in ({names or 'null'})"
        )
        tables = cursor.execute(
            "select distinct table_name from duckdb_columns() "
            "where database_name = 'published' and schema_name = 'marts' and column_name = 'account_id'"
        ).fetchall()
        for (table,) in tables:
            cursor.execute(
                f"create temp view {quoted(table)} as select * from published.marts.{quoted(table)} "
                "where account_id in (select account_id from temp.seen_accounts)"
            )
        return cursor
