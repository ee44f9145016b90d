"""Compares two results cell by cell; tells the first differences and exits with 1 where there are any.

    python -m benchmarks.scale.compare floor.parquet polars.parquet

A result is a Parquet file, or `FILE.duckdb#SCHEMA.TABLE`: what a build made of marts.account_engagement. Whole numbers,
texts and dates are the same or not; means may differ by 1e-9 of themselves, since a sum depends on its order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import duckdb

KEY = ("enrichment_id", "account_id", "aggregation_level", "aggregation_starts_on")
EXACT = (
    "primary_key",
    "emails_to_account_count",
    "emails_from_account_count",
    "meetings_to_account_count",
    "meetings_from_account_count",
    "own_people_in_emails_count",
    "account_people_in_emails_count",
    "own_people_in_meetings_count",
    "account_people_in_meetings_count",
    "days_since_last_email",
    "days_since_last_meeting",
    "engagement_started_on",
)
MEANS = ("meeting_duration_mean_minutes", "reply_time_mean_hours")
RELATIVE_TOLERANCE = 1e-9
SHOWN = 10


def differences(one: str, other: str) -> tuple[int, list[str]]:
    """How many rows `one` has, and each cell, or row that only one has, in which the two differ.

    duckdb.Error where a column is missing, or a file cannot be read.
    """
    with duckdb.connect() as connection:
        for name, result in (("one", one), ("other", other)):
            source = f"read_parquet('{result}')"
            if "#" in result:
                file, table = result.split("#")
                connection.execute(f"attach '{file}' as file_of_{name} (read_only)")
                source = f"file_of_{name}.{table}"
            connection.execute(
                f"create temp table {name} as select {', '.join(KEY + EXACT + MEANS)} from {source}"
            )
        found: list[str] = []
        for name in ("one", "other"):
            found += [
                f"{name}: {count} rows of {' '.join(map(str, key))}"
                for *key, count in connection.execute(
                    f"select {', '.join(KEY)}, count(*) from {name} group by all having count(*) > 1"
                ).fetchall()
            ]
        keys_equal = " and ".join(f"one.{column} is not distinct from other.{column}" for column in KEY)
        for name, missing_in in (("one", "other"), ("other", "one")):
            found += [
                f"{' '.join(map(str, key))}: only in {name}"
                for key in connection.execute(
                    f"select {', '.join(KEY)} from {name} anti join {missing_in} on {keys_equal} order by all"
                ).fetchall()
            ]
        for column in EXACT + MEANS:
            differs = f"one.{column} is distinct from other.{column}"
            if column in MEANS:
                # nan and infinities are not near anything
                differs += (
                    f" and coalesce(not abs(one.{column} - other.{column}) <= "
                    f"{RELATIVE_TOLERANCE} * abs(other.{column}), true)"
                )
            found += [
                f"{' '.join(map(str, key))} {column}: {have} and {want}"
                for *key, have, want in connection.execute(
                    f"select {', '.join(f'one.{part}' for part in KEY)}, one.{column}, other.{column} "
                    f"from one inner join other on {keys_equal} where {differs} order by all"
                ).fetchall()
            ]
        rows = connection.execute("select count(*) from one").fetchall()[0][0]
    return rows, found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 where both are the same, 1 where not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("one")
    parser.add_argument("other")
    given = parser.parse_args(arguments)
    try:
        rows, found = differences(given.one, given.other)
    except duckdb.Error as error:
        print(
            f"{given.one} and {given.other} cannot be compared: {str(error).splitlines()[0]}", file=sys.stderr
        )
        return 1
    for line in found[:SHOWN]:
        print(line, file=sys.stderr)
    name_one, name_other = Path(given.one).name, Path(given.other).name
    if found:
        print(f"{name_one} and {name_other}: {len(found)} differences, {rows} rows", file=sys.stderr)
        return 1
    print(f"{name_one} and {name_other}: the same, {rows} rows x {len(KEY + EXACT + MEANS)} columns")
    return 0


if __name__ == "__main__":
    sys.exit(main())
