"""`engagement raw-to-parquet`: the raw tables as Parquet, for Apache Spark and any other engine (docs/spark.md).

    private.duckdb ─► a folder beside FOLDER: <table>/part-00000.parquet ..., raw.json ─► read back ─► FOLDER

FOLDER is there whole or not at all: killed at any instant, what was there before stays. It holds what the private file
holds, so it is as private: its owner's alone, known to `engagement access`, and removed by whatever takes somebody out
of the private file (engagement.old_copies).
"""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from engagement import durable, old_copies, rebuild, room, stopping, versions
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, ResourcesError
from engagement.old_copies import RAW_MANIFEST
from engagement.opening import explained
from engagement.outcome import Outcome, counted
from engagement.progress import Progress, progress
from engagement.published_file import literal
from engagement.run_state import instant_text, single_run
from engagement.warehouse import COMMITS, Connection, connect, own_setting, require_current, utc_now

MANIFEST_VERSION = 1
# About 60 MB of messages: a cluster reads a file with one task or a few, and 100 million of them with all it has.
ROWS_PER_FILE = 2_000_000


def raw_to_parquet(settings: Settings, folder: Path | None = None) -> Outcome:
    """Writes every raw table of the private file to `folder`, else to the one that the settings name, in the place of
    an earlier one.

    Raises ConfigurationError where that is no place for it or the private file is of another version, BusyError where a
    run is going on, ResourcesError where there is too little room, PublishRefusedError where somebody who was erased
    may still be in the private file. The folder is as it was then.
    """
    target = (folder or settings.raw_parquet_folder).absolute()
    if not settings.private_file.is_file():
        raise ConfigurationError(
            f"{settings.private_file.name}: no such file, so there is nothing to write; run `engagement extract` first"
        )
    _check_place(settings, target)
    with single_run(settings, command="raw-to-parquet"):
        old_copies.take_in_log(settings)
        with connect(settings, read_only=True) as connection:
            require_current(connection, settings)
            rebuild.require_settled(connection, settings)
            with durable.work_folder(target.parent, old_copies.raw_work_prefix(target)) as work:
                room.require(
                    work,
                    settings.private_file.stat().st_size,
                    what=f"{target.name}: too little room for the raw tables",
                    advice="make room or name another folder",
                )
                # Before anything is written, so that an erasure finds what a kill leaves.
                old_copies.note_raw_folder(settings, target)
                manifest = _written(connection, settings, work)
                stopping.check()
                durable.replace_folder(work, target)
    return _outcome(target, manifest)


def read_manifest(folder: Path) -> dict[str, Any]:
    """What `engagement raw-to-parquet` says that a folder holds. ConfigurationError where it does not hold exactly
    that: a file is missing, another, or one too many.
    """
    try:
        manifest: dict[str, Any] = json.loads((folder / RAW_MANIFEST).read_text("utf-8"))
        said = {
            f"{table}/{file['name']}": file["bytes"]
            for table, entry in manifest["tables"].items()
            for file in entry["files"]
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{folder.name}/{RAW_MANIFEST}: is missing or cannot be read, so nobody knows whether the tables are whole;"
            " run `engagement raw-to-parquet`"
        ) from None
    there = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if not path.is_dir() and path != folder / RAW_MANIFEST
    }
    for name in sorted(said.keys() | there.keys()):
        if said.get(name) != there.get(name):
            problem = (
                "is missing"
                if name not in there
                else "is not of the export"
                if name not in said
                else f"has {there[name]:,} bytes instead of {said[name]:,}"
            )
            raise ConfigurationError(
                f"{folder.name}/{name}: {problem}, so the tables are not what was written; empty the folder, then run"
                " `engagement raw-to-parquet`"
            )
    return manifest


def _check_place(settings: Settings, target: Path) -> None:
    """ConfigurationError where a folder is no place for the tables."""
    problem = None
    own = [
        settings.data_dir,
        settings.private_file.parent,
        settings.project_dir,
        settings.configuration_file.parent,
    ]
    resolved = target.resolve()
    if any(folder.resolve() == resolved or resolved in folder.resolve().parents for folder in own):
        problem = "holds the data or the project, and is replaced whole; name a folder of its own"
    elif target.is_symlink():
        problem = "is a link; name the folder that it leads to"
    elif target.exists() and not target.is_dir():
        problem = "is a file; name a folder"
    elif not target.parent.is_dir():
        problem = "the folder that it is to lie in does not exist; make it, or name another"
    if problem is not None:
        raise ConfigurationError(f"{target.name or target}: {problem}")
    try:
        is_empty = not target.is_dir() or not any(target.iterdir())
    except OSError as error:
        raise room.refused(target.name, error.strerror or "refused") from None
    # What somebody else has put there is not ours to remove.
    if not is_empty:
        read_manifest(target)


def _written(connection: Connection, settings: Settings, work: Path) -> dict[str, Any]:
    """Writes all tables and the manifest, reads them back, and says what there is. ResourcesError where there is no
    room, or the disk refuses.
    """
    ends = {
        table: connection.execute(
            f'select count(*), coalesce(max(rowid), -1) + 1 from raw."{table}"'
        ).fetchall()[0]
        for table in versions.layout(connection)
    }
    tables: dict[str, Any] = {}
    try:
        with (
            durable.private_umask(),
            progress("files of raw tables", total=sum(len(_begins(end)) for _, end in ends.values())) as bar,
        ):
            for table, (count, end) in ends.items():
                files = _written_table(connection, table, work / table, count, end, bar)
                tables[table] = {"rows": sum(file["rows"] for file in files), "files": files}
        manifest = {
            "manifest_version": MANIFEST_VERSION,
            "made_at": instant_text(utc_now()),
            "release": version("account-engagement"),
            "duckdb": duckdb.__version__,
            "private_file_version": versions.version_of(connection),
            "landed": landed(connection),
            "tables": tables,
        }
        durable.write(work / RAW_MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
    except duckdb.Error as error:
        if (known := explained(str(error), work / settings.private_file.name)) is None:
            raise
        raise known from None
    except OSError as error:
        if error.errno in durable.FULL:
            raise room.full("raw tables as Parquet") from None
        raise ResourcesError(
            f"raw tables as Parquet: cannot be written ({error.strerror}); check the disk and the rights of the folder,"
            " then run again"
        ) from None
    read_manifest(work)
    return manifest


def _written_table(
    connection: Connection, table: str, folder: Path, count: int, end: int, bar: Progress
) -> list[dict[str, Any]]:
    """Writes one table as files of a bounded number of rows, in the order in which they were landed: by mailbox and
    month, as they were read. A table without rows is a file without rows, which says what its columns are.
    """
    folder.mkdir(mode=0o700)
    files = []
    for number, begin in enumerate(_begins(end)):
        stopping.check()
        path = folder / f"part-{number:05}.parquet"
        [(rows,)] = connection.execute(
            f'copy (select * from raw."{table}" where rowid >= {begin} and rowid < {begin + ROWS_PER_FILE})'
            f" to {literal(str(path))} (format parquet, compression zstd)"
        ).fetchall()
        bar.advance()
        bar.count(rows=rows)
        # Rows that were deleted leave gaps, so that a file may hold fewer rows, or none.
        if rows == 0 and count > 0:
            path.unlink()
            continue
        with path.open("rb") as file:
            os.fsync(file.fileno())
        files.append({"name": path.name, "rows": rows, "bytes": path.stat().st_size})
    durable.sync_folder(folder)
    return files


def _begins(end: int) -> range:
    """The numbers of rows at which files begin, one at least."""
    return range(0, max(end, 1), ROWS_PER_FILE)


def landed(connection: Connection) -> dict[str, Any]:
    """What had been landed in a private file, so that another state of it can be told from this one."""
    row = connection.execute("select max_by(run_id, started_at) from raw.runs").fetchone()
    return {
        "commits": int(own_setting(connection, COMMITS) or 0),
        "newest_run_id": None if row is None else row[0],
    }


def _outcome(target: Path, manifest: dict[str, Any]) -> Outcome:
    tables = manifest["tables"].values()
    files = [file for table in tables for file in table["files"]]
    return Outcome(
        lines=[
            f"raw-to-parquet: {counted(len(tables), 'table')}, {counted(sum(t['rows'] for t in tables), 'row')} in"
            f" {counted(len(files), 'file')}, {room.size(sum(file['bytes'] for file in files))}, in {target.name}",
            "it is as private as the private file: let nobody read it who may not read that; `engagement erase` and"
            " `engagement remove` delete it, copies of it they do not know",
        ],
        facts={"folder": str(target), **manifest},
    )
