"""What is older than the retention goes at each run; a refresh in part after it counts as a build from scratch does."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import NOW, Workspace, emulated, meeting, message, person, small_tenant
from emulators.tenant import Tenant
from engagement import warehouse
from engagement.office import retention
from project_fixtures import run_dbt

ANNA = person("anna")
HASH_KEY = "one hash key for all of these workspaces"
LATER = NOW + timedelta(days=70)
# The retention of 400 days begins in this month, seen from 70 days later.
FIRST_KEPT = "2025-08-01"


def tenant(*, now: Any = NOW) -> Tenant:
    """The small tenant; what lies 370 days and more before NOW is beyond the retention when LATER has come."""
    found = replace(small_tenant(), now=now)
    for days in (345, 370, 395):
        at = NOW - timedelta(days=days)
        found.messages[ANNA.id] += [
            message(ANNA, f"old {days}", at, from_address="max@fabrikam.example"),
            message(ANNA, f"stranger {days}", at, from_address=f"stranger{days}@only{days}.example"),
        ]
        found.events[ANNA.id].append(meeting(ANNA, f"old {days}", at))
    return found


def workspace_of(folder: Path) -> Workspace:
    workspace = Workspace(folder)
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
    return workspace


def extract(workspace: Workspace) -> str:
    for source in ("customers", "office"):
        done = workspace.run("extract", source)
        assert done.exit_code == 0, done.stderr
    return done.stdout


def test_what_is_older_goes_and_what_nothing_refers_to(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
    with emulated(tenant(), workspace):
        extract(workspace)
    domains = {row[0] for row in workspace.query("select domain from raw.office_addresses")}
    assert {"only345.example", "only370.example", "only395.example"} <= domains
    with emulated(tenant(now=LATER), workspace):
        extract(workspace)
    moments = {"office_messages": "received_at", "office_meetings": "start_at", "office_units": "slice_start"}
    for table, moment in moments.items():
        [(first,)] = workspace.query(f"select min({moment})::varchar from raw.{table}")
        assert first >= FIRST_KEPT, table
    domains = {row[0] for row in workspace.query("select domain from raw.office_addresses")}
    assert not {"only345.example", "only370.example", "only395.example"} & domains
    # Nothing is deleted that the next run reads again.
    with emulated(tenant(now=LATER), workspace):
        assert json.loads(workspace.run("extract", "office", "--json").stdout)["expired"] == 0


def test_the_longest_retention_of_its_enrichments_keeps_a_mailbox(workspace: Workspace) -> None:
    def two(raw: dict[str, Any]) -> None:
        raw["enrichments"].append(
            {**raw["enrichments"][0], "name": "Other", "output_table": "Other", "retention": "760 days"}
        )
        raw["enrichments"][1]["addresses"] = ["anna@northwind.example", "eve@northwind.example"]

    workspace.configure(two)
    with emulated(tenant(), workspace):
        extract(workspace)
    with emulated(tenant(now=LATER), workspace):
        extract(workspace)
    oldest = dict(workspace.query(
        "select entra_id, min(received_at)::date::varchar from raw.office_messages"
        " inner join (select distinct mailbox_id, entra_id from raw.office_mailboxes) using (mailbox_id) group by all"
    ))  # fmt: skip
    assert oldest[ANNA.id] == f"{NOW - timedelta(days=395):%Y-%m-%d}"
    assert oldest[person("ben").id] >= FIRST_KEPT


def test_who_left_the_list_before_goes_whole(workspace: Workspace) -> None:
    with emulated(tenant(), workspace):
        extract(workspace)
        workspace.configure(addresses=[f"{name}@northwind.example" for name in ("ben", "carl", "dora")])
        extract(workspace)
    assert workspace.query("select count(*) from raw.office_mailboxes where monitored_to is not null") == [
        (1,)
    ]
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        newest = (NOW + timedelta(days=399)).replace(tzinfo=None)
        retention.expire(connection, settings, newest)
        assert connection.execute("select count(*) from raw.office_mailboxes").fetchone() == (4,)
        retention.expire(connection, settings, newest + timedelta(days=40))
        assert connection.execute("select count(*) from raw.office_mailboxes").fetchone() == (3,)


def build(workspace: Workspace) -> None:
    run_dbt(
        "build",
        "--exclude-resource-type",
        "unit_test",
        "--exclude-resource-type",
        "test",
        target=workspace.root / "target",
        private_file=workspace.private_file,
    )


def marts(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every mart but those that tell of runs."""
    left_out = (
        "enrichments",
        "run_history",
        "run_steps",
        "audit_events",
        "enriched_accounts_over_time",
        "data_watch",
    )
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' order by all"
        ).fetchall()
        return {
            table: connection.execute(f"select * from marts.{table} order by all").fetchall()
            for (table,) in tables
            if table not in left_out
        }


@pytest.mark.long
def test_a_refresh_in_part_after_it_is_a_build_from_scratch(tmp_path: Path) -> None:
    kept, fresh = workspace_of(tmp_path / "kept"), workspace_of(tmp_path / "fresh")
    with emulated(tenant(), kept):
        extract(kept)
    build(kept)
    # Fabrikam was first met in what is about to go.
    first_met = "select engagement_started_on::varchar from marts.account_recency where account_id = 'A2'"
    [(before,)] = kept.query(first_met)
    with emulated(tenant(now=LATER), kept):
        extract(kept)
    build(kept)
    assert [(before,)] != kept.query(first_met)
    assert kept.query("select is_in_part from raw.refreshes") == [(True,)]
    with emulated(tenant(now=LATER), fresh):
        extract(fresh)
    build(fresh)
    assert fresh.query("select is_in_part from raw.refreshes") == [(False,)]
    expected, found = marts(fresh.private_file), marts(kept.private_file)
    assert [table for table in expected if expected[table] != found[table]] == []
