"""What `make bench-export` runs: an export with its manifest beside DuckDB's own COPY of the same rows.

    table      1,000,000 accounts with ten columns, six of them text, as CSV made safe for spreadsheets
    segment    the same members with columns of the enriched customers and of the outlook joined
    parquet    the table as Parquet

Both go to the same disk, one after the other, and the ratio of each pair is what counts, since whatever slows the
machine slows both. COPY writes what the export selects, without the quotes before formulas, hashes, sync to the disk,
manifest and replacement. The exit code is 1 where the median of an export takes more than twice as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import yaml

from benchmarks.goals import Goal, ratios
from benchmarks.measure import environment_of
from engagement.configuration.loading import load
from engagement.configuration.settings import Settings
from engagement.exports.export import export

MOST_TIMES_COPY = 2.0
ROWS, REPETITIONS = 1_000_000, 3
CASES: dict[str, dict[str, Any]] = {
    "table": {"table": "marts.enriched_customers"},
    "segment": {
        "segment": "all",
        "columns": [
            *("account_id", "account_name", "reason", "engagement_score", "industry", "country"),
            *("usual_gap_days", "last_email_on"),
        ],
    },
    "parquet": {"table": "marts.enriched_customers", "format": "parquet"},
}
_MEMBERS = "marts.segment_members as m left join marts.enriched_customers as c on m.account_id = c.account_id"
_COPIED = {
    "table": ("select * from marts.enriched_customers", "csv, header"),
    "segment": (
        "select m.account_id, m.account_name, m.reason, c.engagement_score, c.industry, c.country, o.usual_gap_days,"
        f" c.last_email_on from {_MEMBERS} left join marts.account_outlook as o on m.account_id = o.account_id"
        " and m.enrichment_id = o.enrichment_id order by m.enrichment_id, m.account_id",
        "csv, header",
    ),
    "parquet": ("select * from marts.enriched_customers", "parquet, compression zstd"),
}


def publish(path: Path, rows: int) -> None:
    """A published file with so many accounts, all of them members of one segment."""
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"""
            create schema marts;
            create table marts.publication as
                select 'bench' as run_id, date '2026-06-30' as as_of_date, timestamp '2026-07-01' as published_at;
            create table marts.enriched_customers as
                select
                    'A' || lpad(cast(range as varchar), 8, '0') as account_id,
                    if(range % 50 = 0, '=', '') || 'Company number ' || range as account_name,
                    'https://company' || range || '.example' as website,
                    ['Manufacturing', 'Retail', 'Software', '-'][range % 4 + 1] as industry,
                    ['DE', 'FR', 'NO'][range % 3 + 1] as country,
                    md5(cast(range as varchar)) as company_id,
                    range % 5000 as employees_count,
                    round(hash(range) % 1000000 / 10000, 4) as engagement_score,
                    date '2026-06-30' - cast(range % 400 as integer) as last_email_on,
                    range % 7 = 0 as is_stale
                from range({rows});
            create table marts.account_outlook as
                select 'north' as enrichment_id, account_id, employees_count / 100 as usual_gap_days
                from marts.enriched_customers;
            create table marts.segments as
                select
                    'all' as segment_id, 'All' as segment_name, 'Every account' as description,
                    'accounts' as audience, 'dynamic' as membership, true as is_active, null as finding;
            create table marts.segment_members as
                select 'all' as segment_id, 'north' as enrichment_id, account_id, account_name, 'is there' as reason
                from marts.enriched_customers;
            """
        )


def settings_of(folder: Path, exports: Sequence[dict[str, Any]]) -> Settings:
    """Settings with these exports, over the published file of the folder."""
    raw = {
        "customers": {
            "accounts": {"path": "accounts.csv", "id": "account_id", "name": "name"},
            "contacts": {"path": "contacts.csv", "id": "id", "account": "account_id", "email": "email"},
        },
        "enrichments": [
            {
                "type": "office",
                "name": "Office",
                "output_table": "Office",
                "addresses": ["sales@contoso.example"],
            }
        ],
        "exports": list(exports),
    }
    (folder / "enrichments.yml").write_text(yaml.safe_dump(raw), "utf-8")
    environment = {**environment_of(folder), "ENGAGEMENT_PUBLISHED_FILE": str(folder / "engagement.duckdb")}
    return load(environment, services=(), needs_files=False)


def copy_seconds(folder: Path, case: str) -> float:
    """How long DuckDB takes to open the file and copy the rows."""
    select, options = _COPIED[case]
    target = folder / f"copied.{case}"
    target.unlink(missing_ok=True)
    began = time.perf_counter()
    with duckdb.connect(str(folder / "engagement.duckdb"), read_only=True) as connection:
        connection.execute(f"copy ({select}) to '{target}' (format {options})")
    return time.perf_counter() - began


def export_seconds(settings: Settings, case: str, rows: int) -> float:
    """How long the export takes, manifest and replacement included. AssertionError where rows are missing."""
    began = time.perf_counter()
    outcome = export(settings, [case])
    seconds = time.perf_counter() - began
    [made] = outcome.facts["exports"]
    assert made["rows"] == rows, made["rows"]
    return seconds


def measured(rows: int, repetitions: int, folder: Path) -> dict[str, tuple[list[float], list[float]]]:
    """The seconds of exports and of copies of each case, in pairs; the first of each is not counted."""
    publish(folder / "engagement.duckdb", rows)
    settings = settings_of(
        folder, [{"name": case, "to": "out", "path": case, **CASES[case]} for case in CASES]
    )
    found: dict[str, tuple[list[float], list[float]]] = {}
    for case in CASES:
        pairs = [
            (export_seconds(settings, case, rows), copy_seconds(folder, case)) for _ in range(repetitions + 1)
        ]
        found[case] = ([pair[0] for pair in pairs[1:]], [pair[1] for pair in pairs[1:]])
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, says what was found, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export")
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    os.umask(0o077)
    with tempfile.TemporaryDirectory(prefix="bench-export-") as folder:
        found = measured(options.rows, options.repetitions, Path(folder))
    goals = {
        case: Goal(case, statistics.median(ratios(*seconds)), MOST_TIMES_COPY, at_least=False)
        for case, seconds in found.items()
    }
    if options.json:
        print(
            json.dumps(
                {"rows": options.rows, "times_copy": {case: goal.value for case, goal in goals.items()}}
            )
        )
    else:
        print(f"{options.rows:,} rows, medians of {options.repetitions}")
        for case, (ours, theirs) in found.items():
            print(
                f"  {case:8} export {statistics.median(ours):6.2f} s, COPY {statistics.median(theirs):6.2f} s,"
                f" {goals[case].value:.2f} times (at most {MOST_TIMES_COPY:.1f})"
            )
    return 0 if all(goal.met for goal in goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
