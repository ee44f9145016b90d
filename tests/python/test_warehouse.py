"""The private file: tables, rights, transactions, locks; and the run's state beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime

import duckdb
import pytest

from conftest import ROOT, Workspace, holding_open
from engagement import warehouse
from engagement.errors import BusyError, ConfigurationError
from engagement.warehouse import RunState


def test_raw_tables_are_those_of_the_sources(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        made = connection.execute(
            "select table_name, list(column_name || ' ' || data_type order by column_index) from"
            " duckdb_columns()"
            " where schema_name = 'raw' group by table_name"
        ).fetchall()
    tables = dict(made)
    assert set(tables) == set(warehouse.raw_schema(ROOT))
    assert "address_keys BIGINT[]" in tables["office_mailboxes"]
    assert "attendee_types VARCHAR[]" in tables["office_meetings"]


def test_files_belong_to_their_owner_alone(workspace: Workspace) -> None:
    settings = workspace.settings()
    before = os.umask(0)
    try:
        with warehouse.private_file(settings), warehouse.single_run(settings, command="test"):
            RunState.begin(settings, command="test")
    finally:
        os.umask(before)
    assert settings.data_dir.stat().st_mode & 0o777 == 0o700
    for path in settings.data_dir.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


def test_a_column_added_later_is_made_and_rows_stay(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        connection.execute("alter table raw.contacts drop column domain")
        connection.execute("insert into raw.contacts values ('C1', 'A1', 1)")
    with warehouse.private_file(settings) as connection:
        assert connection.execute("from raw.contacts").fetchall() == [("C1", "A1", 1, None)]


def test_a_transaction_is_all_or_nothing(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings()) as connection:
        with pytest.raises(KeyboardInterrupt), warehouse.transaction(connection):
            warehouse.append(connection, "settings", [("", "a", "b")])
            raise KeyboardInterrupt
        assert connection.execute("from raw.settings").fetchall() == []


def test_who_has_the_private_file_open_is_named(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings):
        pass
    with subprocess.Popen(
        holding_open(settings.private_file),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        with (
            pytest.raises(BusyError, match=rf"private.duckdb: process {other.pid} has the private file open"),
            warehouse.private_file(settings),
        ):
            pass
        other.communicate("\n")


def test_a_file_that_is_no_database(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    settings.private_file.write_text("nothing of the kind, and long enough to be looked at " * 100)
    with (
        pytest.raises(ConfigurationError, match=r"private.duckdb: is not a DuckDB file"),
        warehouse.private_file(settings),
    ):
        pass


def test_one_run_at_a_time_and_a_dead_owner_is_no_obstacle(workspace: Workspace) -> None:
    settings = workspace.settings()
    code = (
        "import os, sys; from pathlib import Path; from engagement import config, warehouse\n"
        "settings = config.load(os.environ)\n"
        "with warehouse.single_run(settings, command='run'):\n"
        "    print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **workspace.environment, "PYTHONPATH": str(ROOT / "scripts")},
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        with pytest.raises(BusyError) as caught, warehouse.single_run(settings, command="run"):
            pass
        assert f"`engagement run`, process {other.pid}, started 20" in caught.value.message
        other.kill()
        other.wait()
    with warehouse.single_run(settings, command="run"):
        pass


def test_the_run_state_is_always_whole_json(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    state = RunState.begin(settings, command="run")
    with state.timed("office"):
        assert warehouse.read_run_state(settings)["step"] == "office"
    state.published_at = "2026-07-01T06:00:00Z"
    state.finish(state="failed", error="no")
    kept = json.loads(settings.run_state_file.read_text())
    assert (kept["state"], kept["error"], kept["pid"]) == ("failed", "no", os.getpid())
    assert kept["steps"]["office"] >= 0
    assert RunState.begin(settings, command="run").published_at == "2026-07-01T06:00:00Z"
    assert [path.name for path in settings.data_dir.iterdir()] == ["run_state.json"]
    settings.run_state_file.write_text("{half")
    assert warehouse.read_run_state(settings) == {}


def test_another_hash_key_is_refused(workspace: Workspace) -> None:
    settings = workspace.settings()
    with warehouse.private_file(settings) as connection:
        warehouse.save_settings(connection, settings, key_check="one")
        warehouse.save_settings(connection, settings, key_check="one")
        with pytest.raises(ConfigurationError, match="hashed with another key"):
            warehouse.save_settings(connection, settings, key_check="two")


def test_changed_sender_patterns_are_noticed_until_everything_is_read_anew(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings()) as connection:
        assert not warehouse.patterns_changed(connection, "a")
        assert not warehouse.patterns_changed(connection, "a")
        assert warehouse.patterns_changed(connection, "b")
        warehouse.note_patterns(connection, "b")
        assert not warehouse.patterns_changed(connection, "b")


def test_a_run_that_never_ended_is_marked_failed_by_the_next(workspace: Workspace) -> None:
    settings = workspace.settings()
    now = datetime(2026, 7, 1)
    with warehouse.private_file(settings) as connection:
        first = RunState.begin(settings, command="run")
        warehouse.begin_run(connection, first, selected=4, clock=now)
        second = RunState.begin(settings, command="run")
        warehouse.begin_run(connection, second, selected=4, clock=now)
        warehouse.end_run(connection, second, outcome="extracted", read=4, clock=now)
        rows = connection.execute(
            "select run_id, state, mailboxes_read from raw.runs order by state"
        ).fetchall()
    assert rows == [(second.run_id, "extracted", 4), (first.run_id, "failed", None)]


def test_reading_needs_a_file(workspace: Workspace) -> None:
    with (
        pytest.raises(ConfigurationError, match="no such file"),
        warehouse.connect(workspace.settings(), read_only=True),
    ):
        pass
    assert duckdb.__version__.startswith("2.")
