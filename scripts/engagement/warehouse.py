"""The private file: its raw tables, transactions, and the settings that models read.

The raw tables are made from the sources' YAML (models/staging/**/_*__sources.yml), the same as the dbt hook
does.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from engagement import project_yaml, versions
from engagement.configuration.settings import CONSENT_KEYS, Settings
from engagement.durable import FILE_MODE, FULL, private_umask
from engagement.errors import ConfigurationError, ResourcesError
from engagement.opening import Connection as Connection
from engagement.opening import open_file as open_file

Row = tuple[Any, ...]

# Settings that are for the command alone.
KEY_CHECK, PATTERNS_FINGERPRINT = "hash_key.check", "sender_patterns.fingerprint"
# Each costs one search through a whole published file.
SAMPLED_KEYS = 12
# Settings for the command alone: of which tombstones the file has been cleaned, and that it is to be rewritten, since
# what was deleted from it still stands in its bytes.
TOMBSTONES_APPLIED, REBUILD_WANTED = "tombstones.applied", "rebuild.wanted"
# How many commits there were, and whether lookups were lost (engagement.high_water).
COMMITS, LOOKUPS_LOST = "commits", "leadspace.lookups_lost"
_KEPT_SETTINGS = (
    KEY_CHECK,
    PATTERNS_FINGERPRINT,
    TOMBSTONES_APPLIED,
    REBUILD_WANTED,
    COMMITS,
    LOOKUPS_LOST,
    versions.VERSION,
)


def utc_now() -> datetime:
    """The local clock, as a naive UTC instant, which is what TIMESTAMP columns hold."""
    return datetime.now(UTC).replace(tzinfo=None)


@lru_cache(maxsize=4)
def raw_schema(project_dir: Path) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Every raw table with its columns and DuckDB types, in the order of the sources' YAML."""
    tables: dict[str, tuple[tuple[str, str], ...]] = {}
    for path in sorted((project_dir / "models" / "staging").glob("**/_*__sources.yml")):
        for source in project_yaml.load(path.read_text("utf-8")).get("sources", []):
            if source.get("schema") != "raw":
                continue
            for table in source["tables"]:
                tables[table["name"]] = tuple(
                    (column["name"], _duckdb_type(column["data_type"])) for column in table["columns"]
                )
    if not tables:
        raise ConfigurationError(
            "models/staging: no sources found; set ENGAGEMENT_PROJECT_DIR to the project's folder"
        )
    return tables


def _duckdb_type(data_type: str) -> str:
    return data_type.replace("array<", "").replace(">", "[]")


def prepare_data_dir(settings: Settings) -> None:
    """Makes the data folder (0700) and those of the two files, and writes to each; ConfigurationError where that is
    refused, ResourcesError where there is no room: both before anything is contacted.
    """
    for folder, variable in (
        (settings.data_dir, "ENGAGEMENT_DATA_DIR"),
        (settings.private_file.parent, "ENGAGEMENT_PRIVATE_FILE"),
        (settings.published_file.parent, "ENGAGEMENT_PUBLISHED_FILE"),
    ):
        try:
            with private_umask():
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe = folder / f".writable.{os.getpid()}.{secrets.token_hex(4)}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            if error.errno in FULL:
                raise ResourcesError(
                    f"{folder.name}: the disk is full, or a quota is; make room there, then run again"
                ) from None
            raise ConfigurationError(
                f"{variable}: the folder {folder.name} cannot be written ({error.strerror});"
                " correct its rights or choose another"
            ) from None


@contextmanager
def connect(settings: Settings, *, read_only: bool = False) -> Iterator[Connection]:
    """The private file as it is, its session in UTC, closed at the end. Errors are those of `opening`."""
    if read_only and not settings.private_file.is_file():
        raise ConfigurationError(
            f"{settings.private_file.name}: no such file; run `engagement run`, or set"
            " ENGAGEMENT_PRIVATE_FILE"
        )
    with open_file(
        settings.private_file,
        read_only=read_only,
        wait_seconds=settings.file_wait_seconds,
        memory_limit=settings.memory_limit,
    ) as connection:
        yield connection


@contextmanager
def private_file(settings: Settings) -> Iterator[Connection]:
    """The private file with all raw tables, for writing; closed at the end so that dbt can have it.

    Whoever was erased is taken out before anything reads it: a restored backup, or what a killed erasure left. So is,
    at the end, what was found meanwhile of him.
    """
    # They open the private file through this module.
    from engagement import high_water, rebuild

    prepare_data_dir(settings)
    with own_file(settings) as connection:
        high_water.compare(connection, settings)
        was_rebuilt = rebuild.settle(connection, settings)
        if not was_rebuilt:
            yield connection
            rebuild.settle(connection, settings)
    if was_rebuilt:
        with own_file(settings) as connection:
            yield connection
            rebuild.settle(connection, settings)


@contextmanager
def own_file(settings: Settings) -> Iterator[Connection]:
    """The private file with all raw tables as it is: for whoever takes people out of it, all others want
    `private_file`. ConfigurationError where it is of another version than this release works with; nothing is changed
    then.
    """
    with connect(settings) as connection:
        there = require_current(connection, settings)
        settings.private_file.chmod(FILE_MODE)
        # Rows that DuckDB put on the disk when memory was short, and that a kill left: nobody else has the file open.
        shutil.rmtree(spill_folder(settings.private_file), ignore_errors=True)
        _create_raw_tables(connection, settings.project_dir, there)
        yield connection


def spill_folder(private_file: Path) -> Path:
    """Where DuckDB puts rows of a file when memory is short."""
    return private_file.with_name(private_file.name + ".tmp")


def require_current(connection: Connection, settings: Settings) -> versions.Layout:
    """The raw tables. ConfigurationError where a private file is of another version than this release works with."""
    return versions.require_current(
        connection,
        settings.private_file.name,
        current=versions.current_version(settings.project_dir),
        schema=raw_schema(settings.project_dir),
    )


def _create_raw_tables(connection: Connection, project_dir: Path, there: versions.Layout) -> None:
    """Makes missing tables, and writes down of which version the file is."""
    schema = raw_schema(project_dir)
    missing = [table for table in schema if table not in there]
    current = str(versions.current_version(project_dir))
    if not missing and own_setting(connection, versions.VERSION) == current:
        return
    with transaction(connection):
        connection.execute("create schema if not exists raw")
        for table in missing:
            listed = ", ".join(f'"{name}" {data_type}' for name, data_type in schema[table])
            connection.execute(f'create table raw."{table}" ({listed})')
        set_own_setting(connection, versions.VERSION, current)
    # A kill in the midst of a log that holds definitions is the hardest to recover from: leave none in it.
    connection.execute("checkpoint")


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of it or nothing, whatever ends it."""
    connection.execute("begin transaction")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def append(connection: Connection, table: str, rows: Sequence[Row], *, schema: str = "raw") -> None:
    """Appends rows in the order of the table's columns; part of the open transaction."""
    if not rows:
        return
    with connection.appender(f"{schema}.{table}") as appender:
        appender.append_rows(list(rows))


def replace_table(connection: Connection, table: str, rows: Sequence[Row]) -> None:
    """Replaces all rows of a raw table; to be called inside a transaction."""
    connection.execute(f'delete from raw."{table}"')
    append(connection, table, rows)


def empty_twin(
    connection: Connection,
    table: str,
    *,
    name: str | None = None,
    without: Collection[str] = (),
    also: Mapping[str, str] | None = None,
) -> str:
    """An empty temporary table with the columns of a raw table, for rows on their way in; its name. `also` are
    further columns with their types.

    All columns are spelled out: DuckDB 2.0.0 shows nothing of a table that was made by `create table as` and given
    more than 122,880 rows in the same transaction (tests/python/test_warehouse.py).
    """
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns()"
        " where database_name = current_database() and schema_name = 'raw' and table_name = ? order by column_index",
        [table],
    ).fetchall()
    kept = [column for column in columns if column[0] not in without]
    listed = ", ".join(f'"{column}" {data_type}' for column, data_type in [*kept, *(also or {}).items()])
    twin = name or f"incoming_{table}"
    connection.execute(f'create or replace temporary table "{twin}" ({listed})')
    return twin


def sampled_keys(connection: Connection) -> list[int]:
    """A few address and message keys, which must stand in no published file."""
    keys: list[int] = []
    for table, key in (("office_addresses", "address_key"), ("office_messages", "message_key")):
        keys += [
            row[0]
            for row in connection.execute(
                f"select {key} from raw.{table} where {key} is not null order by {key} limit {SAMPLED_KEYS // 2}"
            ).fetchall()
        ]
    return keys


# --- the settings that models see


def save_settings(connection: Connection, settings: Settings, *, key_check: str) -> None:
    """Replaces raw.settings; ConfigurationError where the rows kept were hashed with another key.

    Some rows are for the command alone: a check value of the hash key, a fingerprint of the sender patterns, what a
    rebuild has to know (engagement.rebuild), what was written (engagement.high_water), and the file's version
    (engagement.versions).
    """
    kept = {key: value for key in _KEPT_SETTINGS if (value := own_setting(connection, key)) is not None}
    if kept.get(KEY_CHECK, key_check) != key_check:
        raise ConfigurationError(
            f"{settings.private_file.name}: its rows were hashed with another key; restore that key"
            " (ENGAGEMENT_HASH_KEY or the hash_key file), or read everything again with `engagement rotate-key`"
            " (docs/key.md)"
        )
    rows = settings.rows()
    rows += [("", key, value) for key, value in (kept | {KEY_CHECK: key_check}).items()]
    with transaction(connection):
        replace_table(connection, "settings", rows)


def save_consents(connection: Connection, settings: Settings) -> None:
    """Brings how the consents stand to raw.settings, and leaves all else there as it was."""
    rows = [row for row in settings.rows() if row[1] in CONSENT_KEYS]
    with transaction(connection):
        connection.execute(
            "delete from raw.settings where key in (select unnest(?)) and enrichment_id in (select unnest(?))",
            [list(CONSENT_KEYS), [row[0] for row in rows]],
        )
        known = {row[0] for row in connection.execute("select enrichment_id from raw.settings").fetchall()}
        append(connection, "settings", [row for row in rows if row[0] in known])


def patterns_changed(connection: Connection, fingerprint: str) -> bool:
    """Whether addresses were classed by other patterns than today's; notes today's before the first read."""
    known = own_setting(connection, PATTERNS_FINGERPRINT)
    if known is not None:
        return known != fingerprint
    note_patterns(connection, fingerprint)
    return False


def note_patterns(connection: Connection, fingerprint: str) -> None:
    """Today's patterns are those by which every address was classed."""
    with transaction(connection):
        set_own_setting(connection, PATTERNS_FINGERPRINT, fingerprint)


def own_setting(connection: Connection, key: str) -> str | None:
    """A setting that is for the command alone; None where it is not set."""
    row = connection.execute(
        "select value from raw.settings where enrichment_id = '' and key = ?", [key]
    ).fetchone()
    return None if row is None else row[0]


def set_own_setting(connection: Connection, key: str, value: str) -> None:
    """Sets one; to be called inside a transaction."""
    drop_own_setting(connection, key)
    append(connection, "settings", [("", key, value)])


def drop_own_setting(connection: Connection, key: str) -> None:
    """Takes one away; to be called inside a transaction."""
    connection.execute("delete from raw.settings where enrichment_id = '' and key = ?", [key])


def upsert_addresses(connection: Connection, rows: Sequence[Row]) -> None:
    """Rows of raw.office_addresses, the newest class winning; to be called inside a transaction."""
    if not rows:
        return
    twin = empty_twin(connection, "office_addresses")
    append(connection, twin, rows, schema="temp")
    connection.execute(
        f'delete from raw.office_addresses where address_key in (select address_key from "{twin}")'
    )
    connection.execute(f'insert into raw.office_addresses select * from "{twin}"')
