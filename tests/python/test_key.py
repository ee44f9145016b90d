"""The hash key: another one in force, with the old at hand or lost, killed at any instant, and what it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ROOT, Workspace, holding_open, small_tenant
from emulators.firmographics import Company
from emulators.graph import running
from emulators.leadspace import running as running_leadspace
from engagement import key, rebuild, warehouse

# What differs between two runs over the same mail.
OF_THE_RUN = {
    "publication", "run_history", "run_steps", "audit_events", "enriched_accounts_over_time", "leadspace_runs",
    "data_watch",
}  # fmt: skip
OF_THE_CLOCK = re.compile(r"_at$")


def marts(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The published rows without what names a run or an instant of one."""
    with duckdb.connect(str(path), read_only=True) as connection:
        found = {}
        for (table,) in connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'marts' order by all"
        ).fetchall():
            columns = [
                column
                for (column,) in connection.execute(
                    "select column_name from duckdb_columns() where schema_name = 'marts' and table_name = ?",
                    [table],
                ).fetchall()
                if not OF_THE_CLOCK.search(column)
            ]
            listed = ", ".join(f'"{column}"' for column in columns)
            if table not in OF_THE_RUN:
                found[table] = connection.execute(
                    f"select {listed} from marts.{table} order by all"
                ).fetchall()
        return found


def hashes(workspace: Workspace) -> set[int]:
    return {row[0] for row in workspace.query("select address_key from raw.office_addresses")}


def test_every_raw_table_is_kept_or_has_a_hash() -> None:
    """A table that is new and has hashes is discarded; one that has none must be added to KEPT. The next refresh is to
    be whole, so what the last one saw goes as well.
    """
    hashed = re.compile(r"(^|_)keys?$|^mailbox_id$")
    for table, columns in warehouse.raw_schema(ROOT).items():
        has_hash = any(
            hashed.search(name) for name, data_type in columns if data_type in ("bigint", "bigint[]")
        )
        assert (table in key.KEPT) != (has_hash or table == "refreshes"), table


@pytest.mark.parametrize(
    "way",
    [
        "rotated",
        "lost",
        "environment",
    ],
)
@pytest.mark.long
def test_numbers_are_as_before(way: str, workspace: Workspace) -> None:
    companies = [Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals")]
    if way == "environment":
        workspace.environment["ENGAGEMENT_HASH_KEY"] = "the first key, long enough"
    with running(small_tenant()) as graph, running_leadspace(companies, polls_before_done=0) as leadspace:
        workspace.connect_to(graph)
        workspace.enrich_companies(leadspace.url, office={})
        assert workspace.run("run", "--json").exit_code == 0
        before, old = marts(workspace.published_file), hashes(workspace)
        key_file = workspace.root / "data" / "hash_key"
        paid = workspace.query("from raw.leadspace_responses order by all")
        runs = workspace.query("select run_id from raw.runs")
        if way == "environment":
            refused = workspace.run("rotate-key", "--yes")
            assert refused.exit_code == 2 and "already; set it to a new one" in refused.stderr
            workspace.environment["ENGAGEMENT_HASH_KEY"] = "another key, long enough too"
        elif way == "lost":
            key_file.unlink()
        if way != "rotated":
            refused = workspace.run("run")
            assert refused.exit_code == 2
            assert "hashed with another key" in refused.stderr and "`engagement rotate-key`" in refused.stderr
        first = key_file.read_bytes() if key_file.exists() else b""
        published = workspace.published_file.read_bytes()
        done = workspace.run("rotate-key", "--yes")
        assert (done.exit_code, done.stdout.count("\n")) == (0, 1), done.output
        assert workspace.published_file.read_bytes() == published

        # Nothing that was hashed is there, in rows or in bytes, and nothing lies about.
        content = workspace.private_file.read_bytes()
        assert not any(number.to_bytes(8, "little", signed=True) in content for number in old)
        tables = [row[0] for row in workspace.query("select table_name from duckdb_tables()")]
        assert set(key.KEPT) <= set(tables)
        assert {name for name in tables if workspace.query(f"from raw.{name} limit 1")} <= set(key.KEPT)
        assert workspace.query("from raw.leadspace_responses order by all") == paid
        assert set(runs) <= set(workspace.query("select run_id from raw.runs"))
        names = {path.name for path in (workspace.root / "data").iterdir()}
        assert names <= {
            "private.duckdb", "engagement.duckdb", "run_state.json", "run.lock", "audit.jsonl", "hash_key",
            "consents.json", ".consents.json.lock",
        }, names  # fmt: skip
        for path in (workspace.root / "data").iterdir():
            assert path.stat().st_mode & 0o077 == 0, path.name
        if way != "environment":
            assert key_file.read_bytes() != first

        again = workspace.run("run", "--json")
        assert again.exit_code == 0, again.output
        # Nothing is paid for twice.
        assert workspace.query("from raw.leadspace_responses order by all") == paid
    assert marts(workspace.published_file) == before
    assert hashes(workspace).isdisjoint(old) and len(hashes(workspace)) == len(old)
    events = (workspace.root / "data" / "audit.jsonl").read_text("utf-8").splitlines()
    done_with_it = [action for line in events if "consent" not in (action := json.loads(line)["action"])]
    assert done_with_it == ["publication", "key_rotation", "publication"]
    assert ("key_rotation",) in workspace.query("select action from raw.audit_events")


def test_nothing_is_done_where_nobody_agrees(connected: Workspace) -> None:
    assert connected.run("extract", "office").exit_code == 0
    before = connected.private_file.read_bytes()
    done = connected.run("rotate-key")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: rotate-key: nobody agreed, so nothing was done; answer yes, or give --yes\n",
    )
    assert connected.private_file.read_bytes() == before


def test_before_the_first_run_there_is_just_a_key(workspace: Workspace) -> None:
    assert workspace.run("rotate-key", "--yes").exit_code == 0
    assert (workspace.root / "data" / "hash_key").stat().st_mode & 0o777 == 0o600


def test_a_damaged_key_file_is_replaced(connected: Workspace) -> None:
    assert connected.run("extract", "office").exit_code == 0
    (connected.root / "data" / "hash_key").write_text("damaged")
    refused = connected.run("extract", "office")
    assert refused.exit_code == 2 and "`engagement rotate-key`" in refused.stderr
    assert connected.run("rotate-key", "--yes").exit_code == 0
    assert connected.run("extract", "office").exit_code == 0


def test_one_that_has_the_private_file_open_is_waited_for(connected: Workspace) -> None:
    assert connected.run("extract", "office").exit_code == 0
    first = (connected.root / "data" / "hash_key").read_bytes()
    with subprocess.Popen(
        holding_open(connected.private_file), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        done = connected.run("rotate-key", "--yes")
        assert done.exit_code == 8 and "has the private file open" in done.stderr
        other.communicate("\n")
    assert (connected.root / "data" / "hash_key").read_bytes() == first
    assert connected.office_rows()["office_messages"]


def test_a_rebuild_that_fails_leaves_everything(
    connected: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connected.run("extract", "office").exit_code == 0
    rows = connected.office_rows()
    monkeypatch.setattr(rebuild, "MODULE", "engagement.no_such_module")
    done = connected.run("rotate-key", "--yes")
    assert done.exit_code == 1 and "private.duckdb: cannot be rewritten (write: " in done.stderr
    assert "so nothing was replaced" in done.stderr
    assert connected.office_rows() == rows
    assert not list((connected.root / "data").glob("*rebuilding*"))


# Where the command is held, and then killed.
PLACES = {
    "before the rebuild": "key.rebuild = lambda *given, **options: hold()",
    "before the new file takes its place": "rebuild.fresh.replace = lambda *given, **options: hold()",
    "before the note": "key.audit.note = lambda *given, **options: hold()",
    "before the key": "key.os.replace = lambda *given, **options: hold()",
    "after the key": "key.sync_folder = lambda *given, **options: hold()",
}
HELD = """
import time
from engagement import key, rebuild
def hold():
    print("there", flush=True)
    time.sleep(600)
{patch}
import sys
sys.argv = ["engagement", "rotate-key", "--yes"]
from engagement.cli import main
main()
"""


@pytest.mark.faults
@pytest.mark.parametrize(
    "places",
    [
        pytest.param(tuple(PLACES), id="all", marks=pytest.mark.long),
        pytest.param(("before the new file takes its place", "before the key"), id="two"),
    ],
)
def test_killed_at_any_instant_the_next_run_goes_on(places: tuple[str, ...], tmp_path: Path) -> None:
    with running(small_tenant()) as graph:
        first = Workspace(tmp_path / "first")
        first.connect_to(graph)
        assert first.run("extract", "office").exit_code == 0
        counted = {table: len(rows) for table, rows in first.office_rows().items()}
        for number, place in enumerate(places):
            workspace = Workspace(tmp_path / str(number))
            workspace.connect_to(graph)
            shutil.copytree(tmp_path / "first" / "data", workspace.root / "data")
            kept = {name: value for name, value in os.environ.items() if not name.startswith("ENGAGEMENT_")}
            with subprocess.Popen(
                [sys.executable, "-c", HELD.format(patch=PLACES[place])],
                env={**kept, "PYTHONPATH": str(ROOT / "scripts"), **workspace.environment},
                stdout=subprocess.PIPE,
                text=True,
                cwd=workspace.root,
            ) as process:
                assert process.stdout is not None and process.stdout.readline() == "there\n", place
                process.send_signal(signal.SIGKILL)
            # The child that a killed one had started, if any, ends by itself.
            time.sleep(0.1)
            read = workspace.run("extract", "office")
            assert read.exit_code == 0, (place, read.stderr)
            assert {table: len(rows) for table, rows in workspace.office_rows().items()} == counted, place
            assert workspace.run("rotate-key", "--yes").exit_code == 0, place
            assert not [
                path.name
                for path in (workspace.root / "data").iterdir()
                if "rebuilding" in path.name or path.name.startswith(".hash_key")
            ], place
            assert workspace.run("extract", "office").exit_code == 0
            assert {table: len(rows) for table, rows in workspace.office_rows().items()} == counted, place
