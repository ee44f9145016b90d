"""Faults 1 to 7: a command is killed, or ended by a signal, at the instants at which something could be half done.

What handles each is taken out by `make fault-mutants`, and its test must then fail.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
from dbt.cli.main import dbtRunner

import nth_call
from command_server import Command, Server
from conftest import ROOT
from kill_world import (
    CUSTOMERS,
    NEW_CUSTOMERS,
    Rows,
    World,
    counted,
    lost,
    publish_first_week,
    strange,
    world,
)
from nth_call import NthCall

pytestmark = pytest.mark.faults

END_SECONDS = 10.0
OFFICE = ("office_mailboxes", "office_messages", "office_meetings", "office_units", "office_addresses")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = nth_call.library()
    if isinstance(made, str):
        pytest.skip(made)
    with Server(made) as started:
        yield started


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("company")) as one:
        yield one


@pytest.fixture(scope="module")
def truth(company: World, server: Server) -> Rows:
    """What an undisturbed extraction lands; states `empty` and `customers`, before the first read of a mailbox."""
    company.pass_a_week()
    company.succeed(server, "extract", "customers")
    company.keep("customers")
    company.succeed(server, "extract", "office")
    rows = company.raw()
    return {table: rows[table] for table in OFFICE}


def right(company: World, truth: Rows) -> None:
    """Nothing is doubled or made up, and the ledger says of what is there what it is."""
    rows = company.raw()
    found = {table: rows[table] for table in OFFICE if table != "office_mailboxes"}
    assert (strange(found, truth), company.doubled(), company.beside_the_ledger()) == (0, 0, 0)


def whole(company: World, truth: Rows) -> None:
    """All of it is there, once."""
    right(company, truth)
    assert lost(company.raw(), truth) == 0


def when(command: Command, condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits until the condition holds; the command must still run then."""
    until = time.monotonic() + seconds
    while not condition():
        assert not command.has_ended(), command.stderr
        assert time.monotonic() < until
        time.sleep(0.002)


def killed_at(company: World, server: Server, nth: NthCall, *arguments: str) -> bool:
    """Whether the command came to the call, and so was killed there."""
    command = company.run(server, *arguments, **nth.environment())
    assert command.exit_code in (0, -signal.SIGKILL), command.stderr
    return command.exit_code != 0


@pytest.mark.parametrize("reads", [1, 6])
def test_fault_1_killed_while_pages_are_read_the_next_run_reads_them(
    reads: int, company: World, truth: Rows, server: Server
) -> None:
    company.take_up("customers")
    company.later.requests.clear()
    company.later.switches.latency = 0.2
    command = server.start(["extract", "office"], company.environment, company.root)
    when(command, lambda: sum("/users/" in one.path for one in company.later.requests) >= 4 + reads)
    command.kill()
    assert command.wait() == -signal.SIGKILL
    company.later.switches.latency = 0.0
    right(company, truth)
    company.succeed(server, "extract", "office")
    whole(company, truth)


def test_fault_2_killed_between_writing_and_renaming_the_old_file_stays_and_the_new_one_goes(
    company: World, truth: Rows, server: Server, tmp_path: Path
) -> None:
    company.take_up("customers")
    data = company.root / "data"
    state = (data / "run_state.json").read_bytes()
    nth = NthCall(data, tmp_path / "notes", 1, "kill before", ("sync", "rename"), match="run_state.json")
    # The first is the fsync of what is to be renamed, the second the rename.
    assert killed_at(company, server, nth, "extract", "office") and [kind for kind, _ in nth.calls] == [
        "sync"
    ]
    nth = NthCall(data, tmp_path / "notes", 2, "kill before", ("sync", "rename"), match="run_state.json")
    assert killed_at(company, server, nth, "extract", "office")
    assert [kind for kind, _ in nth.calls] == ["sync", "rename"]
    assert (data / "run_state.json").read_bytes() == state
    assert list(data.glob(".run_state.json.*"))
    company.succeed(server, "extract", "office")
    assert not list(data.glob(".*.[0-9]*.*")), "left behind"
    whole(company, truth)


def test_fault_3_killed_after_rows_are_committed_and_before_anything_else_they_are_not_there_twice(
    company: World, truth: Rows, server: Server, tmp_path: Path
) -> None:
    company.take_up("customers")
    data = company.root / "data"
    nth = NthCall(data, tmp_path / "notes", kinds=("sync",), match="private.duckdb.wal")
    company.run(server, "extract", "office", **nth.environment())
    commits = nth.count
    for n in (commits // 2, commits - 1, commits):
        company.take_up("customers")
        nth = NthCall(data, tmp_path / "notes", n, "kill after", ("sync",), "private.duckdb.wal")
        assert killed_at(company, server, nth, "extract", "office")
        right(company, truth)
        company.succeed(server, "extract", "office")
        whole(company, truth)
        # And once more: what is known by now comes again.
        company.succeed(server, "extract", "office", "--anew")
        whole(company, truth)


def test_fault_3_killed_after_a_lookup_was_paid_for_and_before_that_was_noted_nobody_is_paid_for_twice(
    company: World, truth: Rows, server: Server
) -> None:
    company.take_up("customers")
    company.leadspace.switches.hold_after_accept = 5.0
    command = server.start(["extract", "leadspace"], company.environment, company.root)
    when(command, lambda: company.leadspace.looked_up)
    command.kill()
    command.wait()
    company.leadspace.switches.hold_after_accept = 0.0
    held = company.held()
    assert held and held >= set(company.leadspace.looked_up)
    company.succeed(server, "extract", "leadspace")
    assert not company.paid_twice()
    assert len(company.leadspace.looked_up) == CUSTOMERS + NEW_CUSTOMERS - len(
        held - set(company.leadspace.looked_up)
    )


def test_fault_4_killed_inside_the_transaction_or_right_after_it_all_of_it_is_there_or_nothing(
    company: World, truth: Rows, server: Server, tmp_path: Path
) -> None:
    company.take_up("customers")
    data = company.root / "data"
    nth = NthCall(data, tmp_path / "notes", kinds=("write", "sync"), match="private.duckdb")
    company.run(server, "extract", "office", **nth.environment())
    calls = nth.calls
    for n in range(1, len(calls) + 1):
        kind = calls[n - 1][0]
        if kind == "write" and n % 3:
            continue
        company.take_up("customers")
        action: nth_call.Action = "half" if kind == "write" else ("kill after" if n % 2 else "kill before")
        nth = NthCall(data, tmp_path / "notes", n, action, ("write", "sync"), "private.duckdb")
        killed_at(company, server, nth, "extract", "office")
        right(company, truth)
    company.succeed(server, "extract", "office")
    whole(company, truth)


# --- what was built


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("publisher")
    with world(folder) as one:
        publish_first_week(one, folder.parent)
        yield one


@pytest.fixture
def built(publisher: World) -> World:
    """After the first week was published."""
    publisher.take_up("published")
    return publisher


@pytest.mark.long
def test_fault_5_what_a_dbt_that_was_killed_has_left_is_neither_published_nor_kept(
    built: World, server: Server
) -> None:
    with duckdb.connect(str(built.workspace.private_file)) as connection:
        # As dbt leaves them, of a model that is none any more: it is never built again.
        connection.execute("create table intermediate.int_gone__dbt_backup as select 1 as a")
        connection.execute("create table marts.gone__dbt_tmp as select 1 as a")
        connection.execute("create view staging.stg_gone__dbt_tmp as select 1 as a")
        connection.execute("update raw.refreshes set is_complete = false")
    before = built.generation()
    command = built.run(server, "publish")
    assert command.exit_code == 7 and "did not come to its end" in command.stderr
    assert built.generation() == before
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**built.environment, "DBT_TARGET_PATH": str(built.root / "other")}.items():
            patched.setenv(name, value)
        patched.setenv("ENGAGEMENT_PRIVATE_FILE", str(built.workspace.private_file))
        options = ["--project-dir", str(ROOT), "--profiles-dir", str(ROOT), "--quiet"]
        done = dbtRunner().invoke(["run", "--select", "stg_runs__runs", *options])
    assert done.success, done.exception
    with duckdb.connect(str(built.workspace.private_file), read_only=True) as connection:
        assert (
            connection.execute(
                "select table_name from information_schema.tables where contains(table_name, '__dbt_')"
            ).fetchall()
            == []
        )


@pytest.mark.long
def test_fault_5_killed_in_a_model_the_next_run_builds_what_an_undisturbed_one_does(
    built: World, server: Server, tmp_path: Path
) -> None:
    marts = counted(built.workspace.published_file)
    data = built.root / "data"
    for n in (200, 500):
        nth = NthCall(data, tmp_path / "notes", n, "kill after", ("sync",), "private.duckdb")
        assert killed_at(built, server, nth, "run")
        assert counted(built.workspace.published_file) == marts
        assert built.run(server, "publish").exit_code == 7
    built.succeed(server, "run")
    with duckdb.connect(str(built.workspace.private_file), read_only=True) as connection:
        assert (
            connection.execute(
                "select table_name from information_schema.tables where contains(table_name, '__dbt_')"
            ).fetchall()
            == []
        )


@pytest.mark.long
def test_fault_6_killed_anywhere_in_a_publish_readers_have_the_old_file_or_the_new_one(
    built: World, server: Server, tmp_path: Path
) -> None:
    data = built.root / "data"
    rows = counted(built.workspace.published_file)
    published = built.generation()
    for action, kinds, match, is_new in (
        ("half", ("write",), "parquet/", False),
        ("half", ("write",), "/engagement.duckdb", False),
        ("kill before", ("rename",), "engagement.duckdb", False),
        ("kill after", ("rename",), "engagement.duckdb", True),
    ):
        nth = NthCall(data, tmp_path / "notes", 1, action, kinds, match)  # type: ignore[arg-type]
        assert killed_at(built, server, nth, "publish"), (action, match)
        assert (built.generation() != published) == is_new, (action, match)
        assert counted(built.workspace.published_file) == rows
        assert list(data.glob(".publishing-*"))
    # What is published next is a generation of its own, and nothing of the others is left.
    built.succeed(server, "publish")
    assert counted(built.workspace.published_file) == rows
    assert not list(data.glob(".publishing-*"))


def test_fault_7_a_signal_ends_it_within_ten_seconds_and_what_was_read_stays(
    company: World, truth: Rows, server: Server
) -> None:
    company.take_up("customers")
    company.later.requests.clear()
    company.later.switches.latency = 0.2
    command = server.start(["extract", "office"], company.environment, company.root)
    when(command, lambda: sum("/users/" in one.path for one in company.later.requests) >= 8)
    began = time.monotonic()
    os.kill(command.pid, signal.SIGTERM)
    assert command.wait() == 128 + signal.SIGTERM, command.stderr
    assert time.monotonic() - began < END_SECONDS
    assert "cancelled by SIGTERM; what was read is kept, run again" in command.stderr
    company.later.switches.latency = 0.0
    right(company, truth)
    company.succeed(server, "extract", "office")
    whole(company, truth)
