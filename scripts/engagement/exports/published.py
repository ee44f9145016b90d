"""The published file as exports read it: what it holds, and of which day it is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engagement import stopping
from engagement.errors import ConfigurationError
from engagement.published_file import literal
from engagement.scores import VERSIONS_THAT_ADD_UP
from engagement.versions import Connection

ADVICE = "run `engagement run` first"


@dataclass(frozen=True)
class Publication:
    """When what was published; `as_of_date` is the day up to which it counts, None where nobody's mail is read."""

    run_id: str
    as_of_date: dt.date | None
    published_at: dt.datetime
    score_version: str | None

    @property
    def day(self) -> dt.date:
        """The day by which the folders of exports are named."""
        return self.as_of_date or self.published_at.date()


@dataclass(frozen=True)
class Segment:
    """A segment as it was published; `finding` is what its rule found, such as too many members."""

    segment_id: str
    name: str
    description: str
    audience: str
    membership: str
    is_active: bool
    finding: str | None


@contextmanager
def opened(path: Path, spill_folder: Path, *, memory_limit: str | None = None) -> Iterator[Connection]:
    """The published file, read only, its session in UTC; what does not fit into memory (`memory_limit` as DuckDB reads
    it, else four fifths of the machine's) goes to `spill_folder`.

    ConfigurationError where nothing was published, or it cannot be read.
    """
    if not path.is_file():
        raise ConfigurationError(f"{path.name}: nothing is published yet; {ADVICE}")
    try:
        connection = duckdb.connect(str(path), read_only=True)
    except duckdb.Error as error:
        raise ConfigurationError(
            f"{path.name}: is no published file that can be read ({type(error).__name__}); publish it again"
        ) from None
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set autoinstall_known_extensions = false")
        connection.execute(f"set temp_directory = {literal(str(spill_folder))}")
        if memory_limit is not None:
            connection.execute(f"set memory_limit = {literal(memory_limit)}")
        with stopping.interrupting(connection.interrupt):
            yield connection
    finally:
        connection.close()


def publication(connection: Connection, path: Path) -> Publication:
    """What the file says of itself. ConfigurationError where it says nothing."""
    try:
        row = connection.execute("select run_id, as_of_date, published_at from marts.publication").fetchone()
    except duckdb.CatalogException:
        row = None
    if row is None:
        raise ConfigurationError(f"{path.name}: is no published file (no marts.publication); {ADVICE}")
    return Publication(row[0], row[1], row[2], _score_version(connection))


def _score_version(connection: Connection) -> str | None:
    """The version behind engagement_score; None where there is no score, or another adds up as well."""
    try:
        rows = connection.execute(VERSIONS_THAT_ADD_UP).fetchall()
    except duckdb.CatalogException:
        return None
    versions = [version for version, adds_up in rows if adds_up]
    return versions[0] if len(versions) == 1 else None


def tables(connection: Connection) -> dict[str, dict[str, str]]:
    """The columns, in their order, of every table and view by 'schema.name': the name and DuckDB's type."""
    found: dict[str, dict[str, str]] = {}
    for schema, table, column, kind in connection.execute(
        "select schema_name, table_name, column_name, data_type from duckdb_columns()"
        " where database_name = current_database() and not internal"
        " order by schema_name, table_name, column_index"
    ).fetchall():
        found.setdefault(f"{schema}.{table}", {})[column] = kind
    return found


def segments(connection: Connection) -> dict[str, Segment]:
    """The published segments by their ids; none where the file is of a release without them."""
    if "marts.segments" not in tables(connection):
        return {}
    rows = connection.execute(
        "select segment_id, segment_name, description, audience, membership, is_active, finding"
        " from marts.segments order by segment_id"
    ).fetchall()
    return {row[0]: Segment(*row) for row in rows}
