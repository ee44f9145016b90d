"""Which version a private file is of, and whether this release works with it (docs/upgrading.md).

The version stands in raw.settings, as a setting for the command alone. That of the release stands beside the raw schema
(models/staging/runs/_runs__sources.yml), where plain dbt sees it as well (macros/create_raw_tables.sql).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import duckdb
import yaml

from engagement import project_yaml
from engagement.errors import ConfigurationError
from engagement.migrations import MIGRATIONS

Connection = duckdb.DuckDBPyConnection
# Every raw table with its columns and their types, in their order.
Layout = dict[str, dict[str, str]]

VERSION = "private_file.version"

_READABLE = re.compile(
    r"version number (\d+), but we can only read (?:storage )?versions? between (\d+) and (\d+)"
)
# Where a DuckDB file says in which release it was written: a text of 32 bytes in its first block.
_WRITTEN_BY = slice(52, 84)


@lru_cache(maxsize=4)
def current_version(project_dir: Path) -> int:
    """The version that this release works with. ConfigurationError where the project does not say it."""
    path = project_dir / "models" / "staging" / "runs" / "_runs__sources.yml"
    try:
        (source,) = project_yaml.load(path.read_text("utf-8"))["sources"]
        (settings,) = (table for table in source["tables"] if table["name"] == "settings")
        return int(settings["config"]["meta"]["private_file_version"])
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError):
        raise ConfigurationError(
            f"models/staging/runs/{path.name}: private_file_version cannot be read; put it back as it came with the"
            " project"
        ) from None


def layout(connection: Connection, *, database: str | None = None) -> Layout:
    """The raw tables of a database that is attached, or of the one in use."""
    tables: Layout = {}
    for table, column, data_type in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() where schema_name = 'raw'"
        " and database_name = coalesce(?, current_database()) order by table_name, column_index",
        [database],
    ).fetchall():
        tables.setdefault(table, {})[column] = data_type
    return tables


def version_of(connection: Connection, tables: Layout | None = None) -> int | None:
    """The version that a private file says it is of, or is seen to be of; None where it has no raw table. `tables`
    where they have been looked at already.
    """
    tables = layout(connection) if tables is None else tables
    if not tables:
        return None
    if {"enrichment_id", "key", "value"} <= tables.get("settings", {}).keys():
        row = connection.execute(
            "select value from raw.settings where enrichment_id = '' and key = ?", [VERSION]
        ).fetchone()
        if row is not None and row[0] is not None and row[0].isdecimal():
            return int(row[0])
    version = 1
    for migration in MIGRATIONS:
        if migration.went_with is not None and migration.went_with[1] in tables.get(
            migration.went_with[0], ()
        ):
            break
        table, column = migration.came_with
        if table in tables and column in (None, *tables[table]):
            version = migration.to
    return version


def changed_tables(tables: Layout, schema: Mapping[str, Sequence[tuple[str, str]]]) -> list[str]:
    """The raw tables of a file whose columns are not those of the schema in its order, by which rows are appended."""
    return [
        table
        for table, columns in schema.items()
        if table in tables and list(tables[table]) != [name for name, _ in columns]
    ]


def require_current(
    connection: Connection, file_name: str, *, current: int, schema: Mapping[str, Sequence[tuple[str, str]]]
) -> Layout:
    """The raw tables. ConfigurationError where a private file is of another version than `current`; an empty one is of
    none.
    """
    tables = layout(connection)
    version = version_of(connection, tables)
    if version is None:
        return tables
    refuse_newer(version, file_name, current=current)
    if version < current:
        raise ConfigurationError(
            f"{file_name}: is of version {version}, this release works with version {current}: run `engagement"
            " upgrade`"
        )
    if changed := changed_tables(tables, schema):
        raise ConfigurationError(
            f"{file_name}: is of version {version}, but {len(changed)} of its tables are not as that version has them"
            f" (raw.{changed[0]}): run `engagement upgrade`"
        )
    return tables


def refuse_newer(version: int, file_name: str, *, current: int) -> None:
    """ConfigurationError where a file is of a newer version than this release works with."""
    if version > current:
        raise ConfigurationError(
            f"{file_name}: is of version {version}, made by a newer release than this one, which works with version"
            f" {current}: install that release, or restore a backup (docs/backups.md)"
        )


def unreadable_format(error: duckdb.Error, path: Path) -> ConfigurationError | None:
    """What to say where DuckDB does not read the format of a file; None where the error is another."""
    found = _READABLE.search(str(error))
    if found is None:
        return None
    number, oldest, newest = map(int, found.groups())
    with path.open("rb") as file:
        name = file.read(_WRITTEN_BY.stop)[_WRITTEN_BY].split(b"\0")[0].decode("ascii", "replace")
    writer = f"DuckDB {name}" if re.fullmatch(r"v\d[\w.\-]*", name) else "another DuckDB"
    installed = f"DuckDB {duckdb.__version__}, which is installed, reads the formats {oldest} to {newest}"
    if number > newest:
        return ConfigurationError(
            f"{path.name}: is in format {number}, written by {writer}; {installed}: install the release of this"
            " project that comes with the newer one, or restore a backup (docs/upgrading.md)"
        )
    return ConfigurationError(
        f"{path.name}: is in format {number}, written by {writer}; {installed}: copy it with a DuckDB between the two"
        " first (docs/upgrading.md)"
    )


def storage_format(connection: Connection, *, database: str | None = None) -> str:
    """The oldest DuckDB that reads the format of a file, as DuckDB tells it (v1.0.0+)."""
    row = connection.execute(
        "select tags['storage_version'] from duckdb_databases()"
        " where database_name = coalesce(?, current_database())",
        [database],
    ).fetchone()
    return "unknown" if row is None or row[0] is None else str(row[0])
