"""Writes a private file anew from Parquet, and searches it for people who were erased.

Run as `python -m engagement.rebuilt_file` with a job as JSON on standard input, in a process of its own for each step:
`write` has never seen what is to be erased, so that no piece of it can get into unused parts of blocks; `verify`
prints what it finds, which names places and nobody.
"""

from __future__ import annotations

import json
import re
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from engagement.tombstones import MAY_NAME_SOMEBODY, Tombstones, addresses_in

_BYTES_AT_ONCE = 64 * 2**20
# Each costs a search through the whole twin; the values are searched for every one.
MOST_SEARCHED_KEYS = 64


def write(
    tables: Mapping[str, Sequence[Sequence[str]]], folder: Path, path: Path, *, compressed: bool = True
) -> None:
    """Writes the raw tables to a new file; `compressed=False` makes the twin whose bytes can be searched."""
    connection = duckdb.connect(str(path))
    try:
        connection.execute("set TimeZone = 'UTC'")
        if not compressed:
            connection.execute("set force_compression = 'uncompressed'")
        escaped = str(folder).replace("'", "''")
        connection.execute(f"set allowed_directories = ['{escaped}/']")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        connection.execute("create schema raw")
        for table, columns in tables.items():
            listed = ", ".join(f'"{column}" {data_type}' for column, data_type in columns)
            connection.execute(f'create table raw."{table}" ({listed})')
            connection.execute(
                f'insert into raw."{table}" by name select * from read_parquet(?)',
                [str(folder / f"{table}.parquet")],
            )
        connection.execute("checkpoint")
    finally:
        connection.close()


def verify(job: Mapping[str, Any]) -> list[str]:
    """Where somebody who was erased is still found, one line each."""
    keys, texts = job["keys"], [text.lower() for text in job["texts"]]
    tombstones = None
    if job["tombstone_key"] is not None:
        secret = bytes.fromhex(job["tombstone_key"])
        tombstones = Tombstones(Path(job["tombstones_file"]), lambda: secret)
    findings, unclear = _in_values(Path(job["path"]), keys, job["mailbox_ids"], texts, tombstones)
    needles = [text.encode() for text in (*texts, *job.get("requests", ())) if text not in unclear]
    findings += _in_bytes(Path(job["path"]), needles, "the file")
    packed = [struct.pack("<q", key) for key in (*keys, *job["mailbox_ids"])][:MOST_SEARCHED_KEYS]
    findings += _in_bytes(Path(job["twin"]), needles, "the uncompressed twin")
    findings += _in_bytes(Path(job["twin"]), packed, "the uncompressed twin", any_case=False)
    return findings


def _in_values(
    path: Path,
    keys: Sequence[int],
    mailbox_ids: Sequence[int],
    texts: Sequence[str],
    tombstones: Tombstones | None,
) -> tuple[list[str], set[str]]:
    """Columns that hold a key, a marked text or one of the addresses; and the addresses that stand inside longer ones
    of other people, for which a search of bytes tells nothing.
    """
    findings: list[str] = []
    unclear: set[str] = set()
    ids = [*keys, *mailbox_ids]
    written = [str(number) for number in ids]
    with duckdb.connect(str(path), read_only=True) as connection:
        for schema, table, column, data_type in connection.execute(
            "select schema_name, table_name, column_name, data_type from duckdb_columns()"
            " where not internal order by all"
        ).fetchall():
            relation, where = f'"{schema}"."{table}"', f"{schema}.{table}.{column}"
            if data_type in ("BIGINT", "BIGINT[]"):
                test = (
                    "list_contains(?::bigint[], {})"
                    if data_type == "BIGINT"
                    else "list_has_any(?::bigint[], {})"
                )
                row = connection.execute(
                    f"select count(*) from {relation} where " + test.format(f'"{column}"'), [ids]
                ).fetchone()
                if row is None or row[0]:
                    findings.append(f"{where}: {row and row[0]} rows with a key")
            elif data_type in ("VARCHAR", "VARCHAR[]"):
                text = f'"{column}"' if data_type == "VARCHAR" else f"array_to_string(\"{column}\", ' ')"
                values = connection.execute(
                    f"select distinct {text} from {relation} where regexp_matches({text}, ?)"
                    f" or len(list_filter(?::varchar[], lambda known: contains({text}, known))) > 0",
                    [MAY_NAME_SOMEBODY, written],
                ).fetchall()
                marked = 0
                for (value,) in values:
                    low = value.lower()
                    inside = {text for text in texts if text in low}
                    unclear |= inside
                    marked += (
                        bool(inside.intersection(addresses_in(low)))
                        or any(_stands_alone(known, low) for known in inside)
                        or any(number in value for number in written)
                        or (tombstones is not None and tombstones.masked(value) != value)
                    )
                if marked:
                    findings.append(f"{where}: {marked} texts that name somebody who was erased")
    return findings, unclear


def _stands_alone(address: str, text: str) -> bool:
    """Whether an address stands in a text and is no part of a longer one."""
    return re.search(rf"(?<![\w.+%-]){re.escape(address)}(?!\.?[\w-])", text) is not None


def _in_bytes(path: Path, needles: Sequence[bytes], what: str, *, any_case: bool = True) -> list[str]:
    """Whether any of the needles (in lower case, with `any_case`) stands in the bytes of a file."""
    longest = max((len(needle) for needle in needles), default=0)
    found: set[bytes] = set()
    if longest:
        with path.open("rb") as file:
            tail = b""
            while part := file.read(_BYTES_AT_ONCE):
                window = tail + part
                searched = window.lower() if any_case else window
                found |= {needle for needle in needles if needle in searched}
                tail = window[-(longest - 1) :] if longest > 1 else b""
    return [f"{what}: {len(found)} addresses or keys in its bytes"] if found else []


def main() -> None:
    """Does the step of the job on standard input."""
    job = json.load(sys.stdin)
    if job["step"] == "write":
        write(job["tables"], Path(job["folder"]), Path(job["path"]))
        write(job["tables"], Path(job["folder"]), Path(job["twin"]), compressed=False)
    else:
        print(json.dumps(verify(job)))


if __name__ == "__main__":
    main()
