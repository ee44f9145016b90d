"""A past day gives the same numbers whether or not later data has arrived (D6.10).

The made-up company is extracted once; then one copy of the private file loses everything that had not arrived by the
end of the day, and both are built for that day.
"""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Workspace
from emulators import company
from emulators.demo import environment
from emulators.graph import running
from emulators.leadspace import running as running_leadspace
from project_fixtures import run_dbt

# What tells of runs and of what has been read looks at the ledger, which both have whole.
LEFT_OUT = {"enriched_accounts_over_time", "enrichments", "run_history", "run_steps"}


@pytest.fixture(scope="module")
def extracted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The private file after the extraction of everything up to 2026-06-30 (reporting in Europe/Berlin)."""
    workspace = Workspace(tmp_path_factory.mktemp("extracted"))
    accounts, contacts = company.write_customer_files(workspace.root)
    configuration = company.write_configuration(
        workspace.root / "enrichments.yml", accounts=accounts, contacts=contacts
    )
    with running(company.build()) as graph, running_leadspace(company.companies()) as leadspace:
        workspace.environment |= {
            name: value
            for name, value in environment(
                graph.url, leadspace.url, workspace.root / "data", configuration
            ).items()
            if name.startswith(("ENGAGEMENT_", "AZURE_", "LEADSPACE_"))
        }
        for source in ("customers", "office", "leadspace"):
            result = workspace.run("extract", source)
            assert result.exit_code == 0, result.stderr
    return workspace.private_file


def marts(private_file: Path, day: date, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every mart, built for a day."""
    run_dbt(
        *("run", "--vars", f"{{as_of_date: '{day}'}}"),
        target=folder / "target",
        private_file=private_file,
    )
    with duckdb.connect(str(private_file), read_only=True) as connection:
        names = [
            row[0]
            for row in connection.execute(
                "select table_name from duckdb_tables() where schema_name = 'marts' order by table_name"
            ).fetchall()
        ]
        return {
            name: connection.execute(f"select * from marts.{name} order by all").fetchall()
            for name in names
            if name not in LEFT_OUT
        }


@pytest.mark.parametrize(
    "day",
    [
        # the nights of the first two have 23 and 25 hours
        pytest.param(day, marks=pytest.mark.long)
        for day in (date(2026, 3, 29), date(2025, 10, 26), date(2026, 1, 4), date(2026, 6, 30))
    ],
)
def test_what_arrives_later_changes_nothing_of_a_past_day(extracted: Path, tmp_path: Path, day: date) -> None:
    whole, cut = tmp_path / "whole.duckdb", tmp_path / "cut.duckdb"
    shutil.copyfile(extracted, whole)
    shutil.copyfile(extracted, cut)
    with duckdb.connect(str(cut)) as connection:
        # Berlin's midnight after the day, as an instant of UTC
        row = connection.execute(
            "select timezone('UTC', timezone('Europe/Berlin', cast(? as timestamp)))",
            [day + timedelta(days=1)],
        ).fetchone()
        assert row is not None
        counts = []
        for table, arrived_at in (("office_messages", "received_at"), ("office_meetings", "end_at")):
            before = connection.execute(f"select count(*) from raw.{table}").fetchone()
            # All-day entries float, and end at a midnight of their own.
            connection.execute(
                f"delete from raw.{table} where {arrived_at} > ?"
                + (
                    " and not (is_all_day and cast(end_at as date) <= ?)"
                    if table == "office_meetings"
                    else ""
                )
                + (f" or {arrived_at} = ?" if table == "office_messages" else ""),
                [row[0], day + timedelta(days=1)] if table == "office_meetings" else [row[0], row[0]],
            )
            after = connection.execute(f"select count(*) from raw.{table}").fetchone()
            counts.append((before, after))
        if day < date(2026, 6, 30):
            assert all(before != after for before, after in counts)
    with duckdb.connect(str(whole)) as connection:
        # What somebody deletes later still happened, a meeting too if it had begun.
        connection.execute(
            "update raw.office_messages set gone_at = timestamp '2026-06-30 12:00' where item_key % 3 = 0"
        )
        connection.execute(
            "update raw.office_meetings set gone_at = end_at where item_key % 3 = 0 and not is_all_day"
        )
    expected = marts(cut, day, tmp_path)
    found = marts(whole, day, tmp_path)
    assert found.keys() == expected.keys()
    assert len(expected["account_engagement"]) > 100
    assert {name for name in expected if found[name] != expected[name]} == set()
