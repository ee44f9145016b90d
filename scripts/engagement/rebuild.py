"""Rebuilds the private file with chosen raw rows alone.

DuckDB does not erase what is deleted: a deleted row stays in the file's blocks until something is written over it, and
a copy made by a process that has read it may carry it along. So a fresh process copies what is kept to a new file,
which takes the place of the old one. What dbt had built is left out; the next build makes it anew, whole.

Run as `python -m engagement.rebuild` by `rebuild`, with the job as JSON on standard input; prints each table's rows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import duckdb

from engagement import fresh, warehouse
from engagement.config import Settings
from engagement.errors import EngagementError
from engagement.published_file import literal

SUFFIX = ".rebuilding"


def rebuild(settings: Settings, kept: Mapping[str, str]) -> dict[str, int]:
    """Replaces the private file by one with the raw tables `kept` alone, each with the rows of its query, which reads
    from the schema old.raw; the rows of each table.

    To be called by the owner of the lock, with the file closed. Killed at any instant, there is the old file or the
    new one. Raises EngagementError where something fails; the file is then as it was.
    """
    candidate = settings.private_file.with_name(settings.private_file.name + SUFFIX)
    remove(candidate)
    # Nobody else has it open, and all that its log holds is in it.
    with warehouse.connect(settings) as connection:
        connection.execute("checkpoint")
    schema = warehouse.raw_schema(settings.project_dir)
    job = {
        "old": str(settings.private_file.resolve()),
        "new": str(candidate.resolve()),
        "tables": {table: list(schema[table]) for table in kept},
        "queries": dict(kept),
    }
    try:
        with warehouse.private_umask():
            copied: dict[str, int] = json.loads(fresh.in_fresh_process("engagement.rebuild", job))
        fresh.replace(candidate, settings.private_file)
    except fresh.FreshProcessFailed as error:
        raise EngagementError(
            f"{settings.private_file.name}: {error}; it is as it was, check the free space of its folder and try again"
        ) from None
    finally:
        remove(candidate)
    return copied


def remove(candidate: Path) -> None:
    """A new file that did not take its place, with its log."""
    for path in (candidate, candidate.with_name(candidate.name + ".wal")):
        path.unlink(missing_ok=True)


def copy(
    old: Path, new: Path, tables: Mapping[str, list[tuple[str, str]]], queries: Mapping[str, str]
) -> dict[str, int]:
    """Writes the new file; the rows of each table, which are as many as its query gives."""
    copied = {}
    with duckdb.connect(":memory:") as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 2")
        connection.execute(f"attach {literal(str(old))} as old (read_only)")
        connection.execute(f"attach {literal(str(new))} as new")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        connection.execute("create schema new.raw")
        there = {
            row[0]
            for row in connection.execute(
                "select table_name from duckdb_tables() where database_name = 'old' and schema_name = 'raw'"
            ).fetchall()
        }
        for table, columns in tables.items():
            listed = ", ".join(f'"{name}" {data_type}' for name, data_type in columns)
            connection.execute(f'create table new.raw."{table}" ({listed})')
            copied[table] = 0
            if table not in there:
                continue
            connection.execute(f'insert into new.raw."{table}" by name {queries[table]}')
            expected = connection.execute(f"select count(*) from ({queries[table]})").fetchone()
            found = connection.execute(f'select count(*) from new.raw."{table}"').fetchone()
            if found is None or found != expected:
                raise RuntimeError("rows are missing")
            copied[table] = found[0]
        connection.execute("checkpoint new")
        connection.execute("detach new")
    return copied


def main() -> None:
    """Read the job from standard input and print the rows of each table."""
    job = json.load(sys.stdin)
    json.dump(copy(Path(job["old"]), Path(job["new"]), job["tables"], job["queries"]), sys.stdout)


if __name__ == "__main__":
    main()
