"""Ctrl-C, SIGTERM and `engagement cancel` end a command within ten seconds, in whatever it waits for, resumably."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, SENTINEL, Workspace, emulated, small_tenant, write_csv
from emulators.firmographics import Company
from emulators.leadspace import running as running_leadspace
from engagement import run_state
from engagement.cancel import cancel
from engagement.errors import EngagementError

pytestmark = pytest.mark.faults

END_SECONDS = 10.0
SIGINT, SIGTERM, CANCEL = "SIGINT", "SIGTERM", "cancel"

# A query that takes longer than any test, in one thread of DuckDB as well as in many.
LONG_QUERY = "select sum(a.range * b.range) from range(100000000) as a, range(100000000) as b"

# The command with one of its parts replaced, so that each phase can be held where it is to be ended.
IN_A_QUERY = f"""
from engagement import customers
def extract(settings, connection, book):
    print("there", flush=True)
    connection.execute("{LONG_QUERY}").fetchall()
customers.extract = extract
"""
DEAF = """
import time
from engagement import customers
def extract(settings, connection, book):
    print("there", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
customers.extract = extract
"""
IN_A_CHILD = """
import os
from pathlib import Path
from engagement import fresh, run
def publish_slowly(settings, run_id, allow_older=False):
    candidate = settings.published_file.with_name("candidate")
    print("there", flush=True)
    fresh.in_fresh_process("slow_child", {"candidate": str(candidate)})
    fresh.replace(candidate, settings.published_file)
run._publish = publish_slowly
"""
SLOW_CHILD = """
import json, sys, time
from pathlib import Path
job = json.load(sys.stdin)
Path(job["candidate"] + ".begun").touch()
time.sleep(3)
Path(job["candidate"]).write_text("the next published file")
"""


_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """What a failing test has started ends with it."""
    yield
    while _started:
        process = _started.pop()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


def start(workspace: Workspace, code: str, *arguments: str) -> subprocess.Popen[str]:
    """The command as a process, after some code of the test's own."""
    given = ", ".join(repr(argument) for argument in arguments)
    path = os.pathsep.join([str(ROOT / "scripts"), str(workspace.root)])
    process = subprocess.Popen(
        [sys.executable, "-c", f"{code}\nfrom engagement.cli import main; main([{given}])"],
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": path, **workspace.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=workspace.root,
        start_new_session=True,
    )
    _started.append(process)
    return process


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def state_of(workspace: Workspace) -> dict[str, Any]:
    return run_state.read_run_state(workspace.settings(services=()))


def end(workspace: Workspace, process: subprocess.Popen[str], how: str) -> str:
    """Ends the process one way or the other; what it said. It has ten seconds, and its state is `cancelled`."""
    began = time.monotonic()
    if how == CANCEL:
        done = workspace.run("cancel", "--json")
        assert done.exit_code == 0, done.stderr
        facts = json.loads(done.stdout)
        assert (facts["cancelled"], facts["pid"]) == (True, process.pid)
    else:
        # As a terminal does it: the whole group of processes gets it.
        os.killpg(process.pid, signal.SIGINT if how == SIGINT else signal.SIGTERM)
    _, stderr = process.communicate(timeout=END_SECONDS + 5)
    assert time.monotonic() - began < END_SECONDS, stderr
    assert process.returncode == (130 if how == SIGINT else 143), stderr
    state = state_of(workspace)
    words = "cancelled by Ctrl-C (SIGINT)" if how == SIGINT else "cancelled by SIGTERM"
    assert (state["state"], state["error"]) == ("cancelled", words)
    assert state["progress"] is None
    assert "Traceback" not in stderr and "leaked" not in stderr
    assert f"{words} just now in step {state['step']}; run again" in " ".join(
        workspace.run("status").stdout.split()
    )
    return stderr


def assert_recorded(workspace: Workspace, step: str) -> None:
    """The next command puts the end of the run before it into the raw tables."""
    assert workspace.run("extract", "customers").exit_code == 0
    assert workspace.query("select state, count(*) from raw.runs group by all order by all") == [
        ("cancelled", 1),
        ("done", 1),
    ]
    assert workspace.query("select step from raw.run_steps where state = 'cancelled'") == [(step,)]


@pytest.mark.parametrize("how", [SIGINT, CANCEL])
def test_in_a_query(workspace: Workspace, how: str) -> None:
    """The main thread is inside DuckDB, where Python hears no signal."""
    process = start(workspace, IN_A_QUERY, "extract", "customers")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    time.sleep(0.3)
    assert end(workspace, process, how).startswith("error: cancelled by")
    assert_recorded(workspace, "customers")


@pytest.mark.long
def test_what_does_not_end_is_ended(workspace: Workspace) -> None:
    """Something swallows the signal, and the next ones too."""
    process = start(workspace, DEAF, "extract", "customers")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM, signal.SIGINT):
        time.sleep(0.2)
        process.send_signal(number)
    end(workspace, process, SIGTERM)
    assert_recorded(workspace, "customers")


# --- office


@contextmanager
def office_waits(workspace: Workspace, because: str) -> Iterator[Any]:
    with emulated(small_tenant(), workspace) as handle:
        workspace.environment |= {"ENGAGEMENT_RETRY_SECONDS": "300", "ENGAGEMENT_WORKERS": "2"}
        # Some mailbox is read, then the service no longer answers.
        for person in handle.tenant.people[1:]:
            if because == "throttled":
                handle.fail(f"{person.id}/messages", times=10**6, status=429, headers={"Retry-After": "120"})
            else:
                handle.fail(f"{person.id}/messages", times=10**6, delay=90.0)
        yield handle


@pytest.mark.parametrize(("because", "how"), [("throttled", CANCEL), ("no answer", SIGTERM)])
def test_while_the_service_lets_wait(workspace: Workspace, tmp_path: Path, because: str, how: str) -> None:
    undisturbed = Workspace(tmp_path / "undisturbed")
    for one in (workspace, undisturbed):
        one.environment["ENGAGEMENT_HASH_KEY"] = "a hash key for both workspaces"
    with office_waits(workspace, because) as handle:
        process = start(workspace, "", "extract", "office")
        wait_until(lambda: sum(fault.used for fault in handle._service.faults) >= 2, process)
        time.sleep(0.5)
        end(workspace, process, how)
        handle.requests.clear()
        handle._service.faults.clear()
        undisturbed.connect_to(handle)
        assert workspace.query("select state from raw.enrichment_runs") == []
        for one in (workspace, undisturbed):
            done = one.run("extract", "office")
            assert done.exit_code == 0, done.stderr
    assert workspace.office_rows() == undisturbed.office_rows()
    assert workspace.query("select state from raw.runs order by started_at") == [("cancelled",), ("done",)]
    assert workspace.query("select state from raw.enrichment_runs order by started_at") == [
        ("cancelled",),
        ("successful",),
    ]


# --- Leadspace


def test_while_waiting_for_results_of_leadspace(workspace: Workspace) -> None:
    rows = [
        {"account_id": f"A{number}", "name": f"Company {number}", "website": "", "country": "DE", "tier": "1"}
        for number in range(30)
    ]
    write_csv(workspace.root / "accounts.csv", rows)
    write_csv(
        workspace.root / "contacts.csv",
        [{"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example"}],
    )
    companies = [Company(row["name"], "", "Germany") for row in rows]
    with running_leadspace(companies, polls_before_done=10**6) as service:
        workspace.enrich_companies(service.url)
        assert workspace.run("extract", "customers").exit_code == 0
        process = start(workspace, "", "extract", "leadspace")
        wait_until(lambda: sum(request.method == "GET" for request in service.requests) >= 2, process)
        end(workspace, process, CANCEL)
        for bulk in service.emulator.bulks.values():
            bulk.polls_left = 0
        done = workspace.run("extract", "leadspace", "--json")
        assert done.exit_code == 0, done.stderr
        assert json.loads(done.stdout)["leadspace"][0]["answered"] == 30
        assert set(service.looked_up.values()) == {1}, "a customer was sent twice"


# --- dbt


def slow_project(workspace: Workspace) -> Path:
    """A project of one model that takes for ever, over the sources and settings of the real one."""
    project = workspace.root / "project"
    project.mkdir()
    shutil.copy(ROOT / "profiles.yml", project)
    (project / "seeds").symlink_to(ROOT / "seeds")
    for path in (ROOT / "models" / "staging").glob("**/_*__sources.yml"):
        target = project / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    name = next(
        line.split(":")[1].strip()
        for line in (ROOT / "dbt_project.yml").read_text("utf-8").splitlines()
        if line.startswith("profile:")
    )
    (project / "dbt_project.yml").write_text(
        f"name: slow\nprofile: {name}\nversion: 1.0.0\nseed-paths: []\nmodels: {{slow: {{+materialized: table}}}}\n"
    )
    (project / "models" / "quick.sql").write_text("select 1 as one")
    (project / "models" / "slow.sql").write_text(
        "-- depends_on: {{ ref('quick') }}\n" + LONG_QUERY.replace(" from", " as total from")
    )
    return project


BUILD_ALONE = """
from engagement import extract, run
def only_build(settings, **options):
    from engagement.build import build
    from engagement.outcome import Outcome
    with extract.running(settings, "run") as state, state.timed("dbt"):
        build(settings, tell=state.progress)
    return Outcome()
run.run = only_build
"""


@pytest.mark.parametrize("how", [SIGTERM])
def test_in_a_model(workspace: Workspace, how: str) -> None:
    done = workspace.run("extract", "customers")
    assert done.exit_code == 0, done.stderr
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(slow_project(workspace))
    process = start(workspace, BUILD_ALONE, "run")
    # dbt writes down what it is about to execute.
    wait_until((workspace.root / "target/run/slow/models/slow.sql").exists, process)
    time.sleep(0.5)
    said = end(workspace, process, how)
    assert said.endswith(f"error: cancelled by {how}; what was read is kept, run again\n")
    # dbt has written down that what it built until then is all well.
    done = workspace.run("publish")
    assert done.exit_code == 7
    assert "the last dbt command did not come to its end" in done.stderr
    assert workspace.query("select count(*) from duckdb_tables() where table_name like 'slow%'") == [(0,)]


# --- publish


@pytest.mark.parametrize("how", [SIGINT, CANCEL])
@pytest.mark.long
def test_in_a_child_that_would_go_on(workspace: Workspace, how: str) -> None:
    (workspace.root / "slow_child.py").write_text(SLOW_CHILD)
    workspace.leave_sentinel()
    process = start(workspace, IN_A_CHILD, "publish")
    candidate = workspace.published_file.with_name("candidate")
    wait_until(candidate.with_name("candidate.begun").exists, process)
    end(workspace, process, how)
    time.sleep(3.5)
    assert not candidate.exists(), "the child went on"
    assert workspace.published_file.read_bytes() == SENTINEL


# --- the command


def test_where_nothing_is_running(workspace: Workspace) -> None:
    """Nor where the data folder is not there yet, and though enrichments.yml is wrong."""
    workspace.configure(adresses=[])
    done = workspace.run("cancel")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "nothing is running\n", "")
    assert json.loads(workspace.run("cancel", "--json").stdout) == {"exit_code": 0, "cancelled": False}


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        )
        stack.callback(process.kill)
        yield process


def stale(path: Path, pid: int) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"pid": pid, "command": "run", "started_at": "2026-07-01T05:30:00Z"}))


def test_a_process_named_in_a_stale_lock_is_left_alone(
    workspace: Workspace, bystander: subprocess.Popen[bytes]
) -> None:
    lock = workspace.settings().run_lock_file
    stale(lock, bystander.pid)
    assert workspace.run("cancel").stdout == "nothing is running\n"
    # Also while somebody else holds the lock and his name is not there.
    with run_state.single_run(workspace.settings(), command="run"):
        stale(lock, bystander.pid)
        done = workspace.run("cancel")
        assert done.exit_code == 1
        assert "is not a process that can be ended from here" in done.stderr
    time.sleep(0.2)
    assert bystander.poll() is None


@pytest.mark.parametrize("text", ["", "{half", "[]", '{"pid": "1", "command": "run", "started_at": ""}'])
def test_a_lock_held_by_nobody_known(
    workspace: Workspace, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engagement.cancel._SECONDS_BETWEEN_LOOKS", 0.001)
    with run_state.single_run(workspace.settings(), command="run"):
        workspace.settings().run_lock_file.write_text(text)
        done = workspace.run("cancel")
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "is held by an unknown process" in done.stderr


def test_one_that_does_not_end_in_time_is_said(workspace: Workspace) -> None:
    process = start(workspace, DEAF, "extract", "customers")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    with pytest.raises(EngagementError) as caught:
        cancel(workspace.settings().run_lock_file, wait_seconds=0.2)
    assert caught.value.exit_code == 1
    assert f"process {process.pid}, started 20" in caught.value.message
    assert (
        f"has not ended in 0 s; wait for it, or end it with `kill -9 {process.pid}`" in caught.value.message
    )
    process.kill()
    process.communicate()
