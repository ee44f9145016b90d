"""Computes the original's columns with hand-written SQL on DuckDB (floor.sql), and nothing else.

    python -m benchmarks.scale.floor --private private.duckdb --result floor.parquet

What it prints last is one line of JSON: the seconds of each step.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import duckdb

from benchmarks.scale.script import steps_of

SCRIPT = Path(__file__).with_name("floor.sql")
PERSONAL_MAIL_DOMAINS = Path(__file__).resolve().parents[3] / "seeds" / "personal_mail_domains.csv"


def compute(
    private_file: Path, result_file: Path, *, memory_limit_mb: int | None = None, threads: int = 2
) -> dict[str, float]:
    """Write the result's Parquet file, and give the seconds of each step. What is spilled lies beside the result."""
    seconds: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory(dir=result_file.parent) as spilled,
        duckdb.connect(config={"threads": threads, "temp_directory": spilled}) as connection,
    ):
        connection.execute("set preserve_insertion_order = false")
        if memory_limit_mb is not None:
            connection.execute(f"set memory_limit = '{memory_limit_mb}MiB'")
        connection.execute(f"attach '{private_file}' as private (read_only)")
        connection.execute(f"set variable personal_mail_domains = '{PERSONAL_MAIL_DOMAINS}'")
        for step, statements in steps_of(SCRIPT):
            began = time.perf_counter()
            for statement in statements:
                connection.execute(statement)
            seconds[step] = round(time.perf_counter() - began, 3)
        began = time.perf_counter()
        connection.execute(f"copy result to '{result_file}' (format parquet)")
        seconds["write"] = round(time.perf_counter() - began, 3)
    return seconds


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--private", type=Path, required=True, help="the private DuckDB file")
    parser.add_argument("--result", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--memory-limit-mb", type=int, help="DuckDB's memory_limit; by default its own")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    seconds = compute(
        given.private, given.result, memory_limit_mb=given.memory_limit_mb, threads=given.threads
    )
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
