"""The parts of an export and its manifest, in a working folder of this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from engagement import durable, stopping
from engagement.errors import EngagementError
from engagement.exports.definitions import MOST_PARTS, Export
from engagement.exports.hashing import PROTOCOL, HashingFiles
from engagement.exports.published import Publication
from engagement.exports.selection import Selection
from engagement.opening import explained
from engagement.published_file import literal
from engagement.versions import Connection

MANIFEST = "manifest.json"
# Of the manifest's shape: raised where a reader of the one before could not read it.
MANIFEST_VERSION = 1


@dataclass(frozen=True)
class Part:
    """A part file: its name, its rows, bytes and SHA-256."""

    file: str
    rows: int
    bytes: int
    sha256: str


def write_parts(connection: Connection, export: Export, selection: Selection, folder: Path) -> list[Part]:
    """Writes the parts to a folder. OSError, or EngagementError, where that fails."""
    with _hashing(connection) as files:
        try:
            ranges = list(_ranges(connection, export, selection))
            parts = []
            for number, sql in enumerate(ranges, start=1):
                stopping.check()
                name = f"{export.name}-{number:04d}{export.suffix}"
                path = folder / name
                row = connection.execute(
                    f"copy ({sql}) to {literal(f'{PROTOCOL}://{path}')} ({_options(export)})"
                ).fetchone()
                assert row is not None
                written = files.written[str(path)]
                parts.append(Part(name, int(row[0]), written.size_bytes, written.sha256))
        except duckdb.Error as error:
            stopping.check()
            if files.error is not None:
                raise files.error from None
            if (known := explained(str(error), folder)) is not None:
                raise known from None
            raise
    durable.sync_folder(folder)
    return parts


@contextmanager
def _hashing(connection: Connection) -> Iterator[HashingFiles]:
    """The file system that hashes; taken out at the end, since it and the connection hold each other."""
    files = HashingFiles()
    connection.register_filesystem(files)
    try:
        yield files
    finally:
        connection.unregister_filesystem(PROTOCOL)


def _ranges(connection: Connection, export: Export, selection: Selection) -> Iterator[str]:
    """The SQL of each part. Where there are several, the rows are kept in the order in which they were selected, and
    cut at their numbers.
    """
    if export.rows_per_part is None and export.parts in (None, 1):
        yield selection.sql
        return
    connection.execute(f"create or replace temp table export_rows as {selection.sql}")
    row = connection.execute("select count(*) from export_rows").fetchone()
    assert row is not None
    rows = int(row[0])
    size = export.rows_per_part or max(-(-rows // (export.parts or 1)), 1)
    if -(-rows // size) > MOST_PARTS:
        raise EngagementError(
            f"{export.name}: {rows:,} rows would be more than {MOST_PARTS:,} parts of {size:,}; raise rows_per_part"
        )
    for first in range(0, max(rows, 1), size):
        yield f"select * from export_rows where rowid >= {first} and rowid < {first + size}"


def _options(export: Export) -> str:
    if export.format == "parquet":
        compression = "uncompressed" if export.compressed == "none" else export.compressed
        return f"format parquet, compression {literal(compression)}"
    return (
        f"format csv, header, delimiter {literal(export.delimiter)}, compression {literal(export.compressed)}"
    )


def manifest_of(
    export: Export, selection: Selection, publication: Publication, parts: list[Part]
) -> dict[str, Any]:
    """What the manifest says. Nothing in it is of a clock: the same export of the same file is the same."""
    segment = selection.segment
    return {
        "manifest_version": MANIFEST_VERSION,
        "name": export.name,
        "table": export.table,
        "segment": None
        if segment is None
        else {
            "segment_id": segment.segment_id,
            "segment_name": segment.name,
            "description": segment.description,
            "audience": segment.audience,
            "membership": segment.membership,
            "is_active": segment.is_active,
            "finding": segment.finding,
        },
        "as_of_date": None if publication.as_of_date is None else publication.as_of_date.isoformat(),
        "score_version": publication.score_version,
        "published_at": publication.published_at.isoformat() + "Z",
        "run_id": publication.run_id,
        "project_version": version("account-engagement"),
        "format": export.format,
        "compression": export.compressed,
        "delimiter": export.delimiter if export.format == "csv" else None,
        "is_formula_safe": export.is_formula_safe if export.format == "csv" else None,
        "columns": [
            {"name": field.name, "type": field.type, "source": field.source} for field in selection.fields
        ],
        "rows": sum(part.rows for part in parts),
        "parts": [
            {"file": part.file, "rows": part.rows, "bytes": part.bytes, "sha256": part.sha256}
            for part in parts
        ],
    }


def manifest_bytes(manifest: dict[str, Any]) -> bytes:
    """The manifest as it is written."""
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()
