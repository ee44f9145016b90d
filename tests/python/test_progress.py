"""How far something is: words, rates and what is left, on both sides of every boundary; and where it is said."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from conftest import ROOT, Workspace, emulated, small_tenant
from emulators.graph import Handle
from engagement import run_state
from engagement.progress import Progress, duration_in_words
from engagement.run_state import RunState
from engagement.status import run_in_words
from engagement.warehouse import utc_now


class Clock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    monkeypatch.setattr("engagement.logs.log.propagate", True)
    caplog.set_level("INFO", logger="engagement")
    return caplog


def slices(clock: Clock, total: int | None = 5_000, **options: Any) -> Progress:
    return Progress("slices", total, clock=clock, **options)


def test_the_whole_line(clock: Clock) -> None:
    bar = slices(clock)
    bar.note("120 of 2,500 mailboxes")
    # 10 s with 1,000 messages a second; then ten with 5,200.
    for _ in range(10):
        clock.now += 1
        bar.count(messages=1_000)
    for _ in range(10):
        clock.now += 1
        bar.count(messages=5_200)
    bar.advance(to=340)
    assert bar.line() == (
        "slices: 340 of 5,000, 120 of 2,500 mailboxes, 62,000 messages (5,200 messages/s), about 5 min left"
    )
    assert bar.fields() == {
        "progress": "slices",
        "done": 340,
        "total": 5_000,
        "messages": 62_000,
        "messages_per_second": 5_200.0,
        "note": "120 of 2,500 mailboxes",
        "seconds_left": 274,
    }


@pytest.mark.parametrize(("seconds", "lines"), [(0.0, 0), (1.999, 0), (2.0, 1)])
def test_the_first_two_seconds_are_not_shown(
    clock: Clock, said: pytest.LogCaptureFixture, seconds: float, lines: int
) -> None:
    told: list[Mapping[str, Any]] = []
    bar = slices(clock, tell=told.append)
    clock.now += seconds
    bar.advance()
    assert (len(said.messages), len(told)) == (lines, lines)


@pytest.mark.parametrize(("seconds", "lines"), [(9.999, 1), (10.0, 2)])
def test_a_line_every_ten_seconds(
    clock: Clock, said: pytest.LogCaptureFixture, seconds: float, lines: int
) -> None:
    bar = slices(clock, None)
    clock.now += 3
    bar.advance()
    clock.now += seconds
    bar.tick()
    assert said.messages == ["slices: 1"] * lines


@pytest.mark.parametrize(("seconds", "tellings"), [(1.999, 1), (2.0, 2)])
def test_told_every_two_seconds(clock: Clock, seconds: float, tellings: int) -> None:
    told: list[Mapping[str, Any]] = []
    bar = slices(clock, tell=told.append)
    clock.now += 3
    bar.advance()
    clock.now += seconds
    bar.count(messages=1)
    assert len(told) == tellings
    assert told[0]["text"] == "slices: 1 of 5,000"


@pytest.mark.parametrize(("done", "seconds"), [(49, None), (50, 9_900.0)])
def test_the_first_of_many_say_nothing_about_the_rest(clock: Clock, done: int, seconds: float | None) -> None:
    bar = slices(clock)
    clock.now += 100
    bar.advance(to=done)
    assert bar.seconds_left() == seconds


@pytest.mark.parametrize("done", [0, 3, 4])
@pytest.mark.parametrize("total", [0, 3, None])
def test_nothing_is_left_where_it_cannot_be_told(clock: Clock, done: int, total: int | None) -> None:
    bar = slices(clock, total)
    clock.now += 60
    bar.advance(to=done)
    assert bar.seconds_left() is None
    assert bar.left() == ""
    assert bar.line() == (f"slices: {done}" if total is None else f"slices: {done} of {total}")
    assert "seconds_left" not in bar.fields()


@pytest.mark.parametrize(("done", "left"), [(1, 540.0), (5, 60.0), (9, 60 / 9)])
def test_left_is_as_the_share_done(clock: Clock, done: int, left: float) -> None:
    bar = slices(clock, 10)
    clock.now += 60
    bar.advance(to=done)
    assert bar.seconds_left() == pytest.approx(left)


def test_a_total_that_grows_leaves_more(clock: Clock) -> None:
    bar = slices(clock, 10)
    clock.now += 60
    bar.advance(to=5)
    bar.advance(to=5, total=20)
    assert bar.seconds_left() == 180.0


def test_a_clock_that_stands_still(clock: Clock) -> None:
    bar = slices(clock, 10)
    bar.count(messages=500)
    bar.advance()
    assert bar.rates() == {}
    assert bar.line() == "slices: 1 of 10, 500 messages"
    clock.now -= 5  # and one that goes back
    assert bar.line() == "slices: 1 of 10, 500 messages"


@pytest.mark.parametrize(
    ("seconds", "rate"),
    # A burst of 900 at the third second is seen for ten seconds after it, and then no more.
    [(3.0, 300.0), (9.0, 100.0), (12.999, 900 / 12.999), (13.0, 0.0), (60.0, 0.0)],
)
def test_the_rate_is_of_the_last_ten_seconds(clock: Clock, seconds: float, rate: float) -> None:
    bar = slices(clock, None)
    clock.now += 3
    bar.count(messages=900)
    clock.now += seconds - 3
    assert bar.rates() == {"messages": pytest.approx(rate)}


@pytest.mark.parametrize(
    ("amount", "words"),
    [(0, "0 messages/s"), (99, "9.9 messages/s"), (100, "10 messages/s"), (12_345, "1,234 messages/s")],
)
def test_rates_in_words(clock: Clock, amount: int, words: str) -> None:
    bar = slices(clock, None)
    bar.count(messages=amount)
    clock.now += 10
    assert bar.line() == f"slices: 0, {amount:,} messages ({words})"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "less than 1 min"),
        (59.9, "less than 1 min"),
        (60, "about 1 min"),
        (89, "about 1 min"),
        (91, "about 2 min"),
        (3_569, "about 59 min"),
        (3_571, "about 1 h"),
        (3_700, "about 1 h 2 min"),
        (86_400, "about 24 h"),
    ],
)
def test_durations_in_words(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


def test_on_a_terminal_there_is_one_bar() -> None:
    """With a log line above it, and nothing of it left at the end."""
    code = (
        "import time; from engagement import logs, progress\n"
        "progress.SECONDS_BEFORE_SHOWN = 0\n"
        "logs.set_up()\n"
        "with progress.progress('slices', total=4) as bar:\n"
        "    bar.note('1 of 2 mailboxes'); bar.count(messages=5000)\n"
        "    bar.advance(); time.sleep(0.3); logs.log.info('a line of its own'); time.sleep(0.3)\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=theirs,
        env={"PYTHONPATH": str(ROOT / "scripts"), "TERM": "xterm", "COLUMNS": "150", "PATH": ""},
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    text = shown.decode()
    assert process.returncode == 0, text
    assert "1 of 4, 1 of 2 mailboxes, 5,000 messages (" in text
    assert "less than 1 min left" in text
    assert "a line of its own" in text


# --- the run's state


def test_a_run_tells_how_far_it_is_every_two_seconds_until_the_step_ends(
    workspace: Workspace, clock: Clock
) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    state = RunState.begin(settings, command="run")
    state.clock = clock

    def told() -> Any:
        return run_state.read_run_state(settings)["progress"]

    assert told() is None
    with state.timed("office"):
        state.progress("1 of 3")
        assert told()["text"] == "1 of 3"
        clock.now += 1.999
        state.progress("2 of 3")
        assert told()["text"] == "1 of 3"
        clock.now += 0.001
        state.progress({"text": "slices: 3 of 3", "done": 3, "total": 3})
        assert {**told(), "at": ""} == {"text": "slices: 3 of 3", "done": 3, "total": 3, "at": ""}
    with state.timed("dbt"):
        assert told() is None
        state.progress("at once")
        assert told()["text"] == "at once"
    state.finish(state="done")
    assert told() is None


def test_status_shows_how_far_a_run_is_while_it_goes_on(workspace: Workspace) -> None:
    settings = workspace.settings()
    with run_state.single_run(settings, command="run"):
        state = RunState.begin(settings, command="run")
        state.step = "office"
        state.progress("slices: 340 of 5,000, about 12 min left")
        shown = workspace.run("status")
        assert "in step office (slices: 340 of 5,000, about 12 min left)." in " ".join(shown.stdout.split())
        assert json.loads(workspace.run("status", "--json").stdout)["run"]["progress"]["text"].startswith(
            "slices"
        )
    # It was killed: how far it was is nothing to go by.
    assert "progress" not in json.loads(workspace.run("status", "--json").stdout)["run"]
    assert "340" not in workspace.run("status").stdout
    following = RunState.begin(settings, command="run")
    assert "progress" not in following.previous[0]


@pytest.mark.parametrize("progress", [None, {}, {"text": 5}, {"text": None}])
def test_a_progress_of_another_shape_is_not_shown(progress: Any) -> None:
    run = {"command": "run", "state": "running", "step": "office", "pid": 1, "progress": progress}
    assert run_in_words(run, utc_now()) == (
        "Going on for some time: `engagement run`, process 1, in step office."
    )


# --- stderr as JSON


def objects(text: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert line["level"] in ("info", "warning", "error")
        assert line["at"].endswith("Z") and isinstance(line["message"], str) and line["message"]
        assert not line["message"].startswith(("error:", "warning:"))
    return lines


def finished(process: subprocess.Popen[str]) -> tuple[int, str, list[dict[str, Any]]]:
    stdout, stderr = process.communicate(timeout=120)
    return process.returncode, stdout, objects(stderr)


def test_every_line_of_an_extraction_is_an_object(workspace: Workspace) -> None:
    workspace.environment |= {"ENGAGEMENT_RETRY_SECONDS": "20", "ENGAGEMENT_WORKERS": "1"}
    with emulated(small_tenant(), workspace) as handle:
        for owner in handle.tenant.people[:2]:
            handle.fail(f"{owner.id}/messages", times=1, status=429, headers={"Retry-After": "5"})
        code, stdout, lines = finished(workspace.start("extract", "office", "--json-logs"))
    assert (code, stdout.startswith("office: 4 of 4 mailboxes read")) == (0, True)
    assert [line for line in lines if line["message"].startswith("waiting 5 s")]
    progressed = [line for line in lines if "done" in line]
    assert progressed, "it took longer than two seconds"
    assert {"progress", "done", "total", "command", "run_id", "step"} <= progressed[0].keys()
    assert (progressed[0]["command"], progressed[0]["step"]) == ("extract office", "office")


def test_an_error_is_an_object_with_its_code(workspace: Workspace) -> None:
    workspace.environment |= {"ENGAGEMENT_RETRY_SECONDS": "0", "ENGAGEMENT_JSON_LOGS": "1"}
    code, stdout, lines = finished(workspace.start("extract", "office", "--json"))
    assert code == 4
    assert json.loads(stdout)["exit_code"] == 4
    budget, error = lines
    assert budget["level"] == "info" and budget["bytes_needed"] > 0 and "exit_code" not in budget
    assert (error["level"], error["exit_code"]) == ("error", 4)
    assert error["message"].startswith("Microsoft sign-in: POST")
    # Several findings are several lines, and how it is called is an error like any other.
    workspace.configure(adresses=[], refresh="never")
    code, _, lines = finished(workspace.start("run"))
    assert (code, len(lines), {line["exit_code"] for line in lines}) == (2, 3, {2})
    code, _, lines = finished(workspace.start("run", "--no-such-option"))
    assert (code, [line["exit_code"] for line in lines]) == (2, [2])
    code, _, lines = finished(workspace.start("--help"))
    assert (code, lines) == (0, [])


def test_an_unforeseen_error_is_an_object_too_with_its_traceback(workspace: Workspace) -> None:
    (workspace.root / "data" / "run.lock").mkdir(parents=True)
    code, _, [line] = finished(workspace.start("extract", "customers", "-v", "--json-logs"))
    assert (code, line["exit_code"], line["level"]) == (1, 1, "error")
    assert line["traceback"].startswith("Traceback")
    code, _, [line] = finished(workspace.start("extract", "customers", "--json-logs"))
    assert "traceback" not in line and line["message"].endswith("; run with -v for details")


def test_whatever_else_is_written_becomes_an_object(workspace: Workspace) -> None:
    code = (
        "import sys, threading, warnings\n"
        "from engagement import customers, extract\n"
        "def noisy(*_):\n"
        "    print('a library', 'speaks', file=sys.stderr); sys.stderr.write('half'); sys.stderr.write(' a line\\n')\n"
        "    warnings.warn('take care')\n"
        "    thread = threading.Thread(target=lambda: 1 / 0); thread.start(); thread.join()\n"
        "    raise RuntimeError('x')\n"
        "customers.extract = noisy\n"
        "from engagement.cli import main; main(['extract', 'customers', '--json-logs'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": "", **workspace.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    messages = [line["message"] for line in objects(done.stderr)]
    assert messages[:2] == ["a library speaks", "half a line"]
    assert any("take care" in text for text in messages)
    assert any("ZeroDivisionError" in text for text in messages)
    assert messages[-1].startswith("unexpected RuntimeError")


@pytest.mark.long
def test_every_line_of_a_whole_run_is_an_object(connected: Workspace, graph: Handle) -> None:
    """dbt's own output included."""
    code, stdout, lines = finished(connected.start("run", "--json-logs", "--json"))
    assert code == 0
    assert json.loads(stdout)["exit_code"] == 0
    built = [line for line in lines if line.get("step") == "dbt"]
    assert built and {line["progress"] for line in built} == {"models and tests"}
    assert all(line["run_id"] == json.loads(stdout)["run_id"] for line in built)
