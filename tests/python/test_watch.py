"""`engagement watch` tells what a run cannot tell by itself, once of each, and only where it is so."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from conftest import Workspace
from engagement import notify as notifying
from engagement import run_state, told, watch
from engagement.configuration.settings import Settings
from engagement.errors import RUNS_NEED_ATTENTION
from engagement.run_state import RunState, instant_text
from engagement.warehouse import utc_now
from published import publish_little
from receiver import Answer, Receiver, receiving
from test_cancel import IN_A_QUERY, start

WEEK, DAY, HOUR, MINUTE, SECOND = (
    timedelta(days=7),
    timedelta(days=1),
    timedelta(hours=1),
    timedelta(minutes=1),
    timedelta(seconds=1),
)
NOW = datetime(2026, 7, 15, 12, 0)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


class Clock:
    """The clock of the machine, for everything that asks for the time of a watch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOW
        for module in (watch, notifying):
            monkeypatch.setattr(module, "utc_now", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def notify(workspace: Workspace, receiver: Receiver, **block: Any) -> Settings:
    workspace.configure(lambda raw: raw.update(notify={"webhook": receiver.url, **block}))
    settings = workspace.settings()
    settings.data_dir.mkdir(mode=0o700, exist_ok=True)
    return settings


def run_at(
    settings: Settings,
    began: datetime,
    *,
    seconds: float = 60,
    state: str = "done",
    command: str = "run",
    publishes: bool = True,
) -> str:
    """A run of that time, as it stands in run_state.json afterwards; its id."""
    run = RunState.begin(settings, command=command)
    run.started_at = began
    if state == "done" and publishes:
        publish_little(settings.published_file, run.run_id)
        run.note_published(began + WEEK)
    if state == "running":
        run.step = "office"
        run.save()
        return run.run_id
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_state, "utc_now", lambda: began + timedelta(seconds=seconds))
        run.finish(state=state, error=None if state == "done" else "dbt: 1 model or test failed")
    return run.run_id


def watched(workspace: Workspace) -> tuple[int, list[str]]:
    """The exit code and the events."""
    done = workspace.run("watch", "--json")
    facts = json.loads(done.stdout)
    assert done.exit_code == facts["exit_code"] == (RUNS_NEED_ATTENTION if facts["incidents"] else 0), (
        done.output
    )
    return done.exit_code, [incident["event"] for incident in facts["incidents"]]


# --- nothing is wrong


def test_nothing_is_wrong(workspace: Workspace, receiver: Receiver, clock: Clock) -> None:
    settings = notify(workspace, receiver)
    assert watched(workspace) == (0, [])
    run_at(settings, NOW - DAY)
    done = workspace.run("watch")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("nothing is wrong. Last run: `engagement run` done 23 hours ago")
    assert receiver.requests == []
    assert not settings.watch_state_file.exists()


def test_it_needs_no_notify_no_secret_and_no_customer_file(workspace: Workspace, clock: Clock) -> None:
    workspace.settings().data_dir.mkdir(mode=0o700)
    run_at(workspace.settings(), NOW - DAY, state="failed")
    for name in [name for name in workspace.environment if name.startswith("AZURE_")]:
        del workspace.environment[name]
    (workspace.root / "accounts.csv").unlink()
    done = workspace.run("watch")
    assert done.exit_code == 13
    [line, beside] = done.stdout.splitlines()
    assert line == (
        "run_failed: `engagement run` failed at 2026-07-14 12:01 UTC after 60 s: dbt: 1 model or test failed."
        " The next run goes on from there."
    )
    assert beside == "  not notified"
    assert sorted(path.name for path in (workspace.root / "data").iterdir()) == ["run_state.json"]


# --- the last run


@pytest.mark.parametrize(
    ("history", "events"),
    [
        # oldest first
        ([("run", "failed")], ["run_failed"]),
        ([("run", "done"), ("run", "failed")], ["run_failed"]),
        ([("run", "failed"), ("run", "done")], []),
        ([("run", "failed"), ("publish", "done")], []),
        ([("run", "failed"), ("extract customers", "done")], ["run_failed"]),
        ([("extract customers", "failed"), ("extract customers", "done")], []),
        ([("extract customers", "failed"), ("extract office", "done")], ["run_failed"]),
        ([("run", "cancelled")], []),
        ([("run", "failed"), ("run", "cancelled")], ["run_failed"]),
        ([("run", "running")], ["run_killed"]),
        ([("run", "running"), ("run", "done")], []),
        ([("run", "running"), ("extract office", "done")], ["run_killed"]),
    ],
)
def test_the_last_run(
    workspace: Workspace,
    receiver: Receiver,
    clock: Clock,
    history: list[tuple[str, str]],
    events: list[str],
) -> None:
    settings = notify(workspace, receiver, on=["failed"])
    for position, (command, state) in enumerate(history):
        run_at(settings, NOW - DAY + position * HOUR, state=state, command=command)
    assert watched(workspace) == (RUNS_NEED_ATTENTION if events else 0, events)
    assert receiver.events == events


def test_a_failed_run_is_told_once_again_after_a_day_and_when_it_is_over(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_id = run_at(settings, NOW - HOUR, state="failed")
    for passed, told_of_it in ((0 * HOUR, 1), (5 * MINUTE, 0), (DAY - SECOND, 0), (DAY, 1), (DAY + HOUR, 0)):
        clock.now = NOW + passed
        assert watched(workspace) == (13, ["run_failed"])
        messages = receiver.take()
        assert len(messages) == told_of_it, passed
        for message in messages:
            assert (message["event"], message["run"]["run_id"]) == ("run_failed", run_id)
            assert message["text"].endswith("(again: it lasts)") == (passed == DAY)
    # The next one that fails is another.
    run_at(settings, NOW + DAY + 2 * HOUR, state="failed")
    clock.now = NOW + DAY + 3 * HOUR
    watched(workspace)
    assert len(receiver.take()) == 1
    run_at(settings, NOW + DAY + 4 * HOUR)
    clock.now = NOW + DAY + 5 * HOUR
    for expected in (["recovered"], []):
        assert watched(workspace) == (0, [])
        messages = receiver.take()
        assert [message["event"] for message in messages] == expected
        for message in messages:
            assert message["recovered"] == ["run_failed"]
            assert message["text"].startswith("Over: run_failed.")


def test_what_a_run_has_told_is_not_told_again(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify(workspace, receiver)
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    assert workspace.run("run").exit_code == 4
    assert watched(workspace) == (13, ["run_failed"])
    assert receiver.events == ["run_failed"]


def test_what_could_not_be_told_is_told_by_the_next(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR, state="failed")
    receiver.answers = [Answer(404), Answer(200)]
    done = workspace.run("watch")
    assert done.exit_code == 13
    assert "  could not be notified; the next `engagement watch` tries again" in done.stdout
    assert "warning: notify.webhook: answered status 404" in done.stderr
    for _ in range(2):
        watched(workspace)
    assert receiver.events == ["run_failed", "run_failed"]


def test_a_run_that_is_killed(workspace: Workspace, receiver: Receiver) -> None:
    """A real process, a real kill; the watch works while it goes on, and the next run ends the matter."""
    notify(workspace, receiver)
    process = start(workspace, IN_A_QUERY, "extract", "customers")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    assert watched(workspace) == (0, [])
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    for _ in range(2):
        assert watched(workspace) == (13, ["run_killed"])
    [message] = receiver.take()
    assert message["run"]["state"] == "killed"
    assert "`engagement extract customers` was killed" in message["text"]
    assert "in step customers" in message["text"]
    assert workspace.run("extract", "customers").exit_code == 0
    assert watched(workspace) == (0, [])
    assert receiver.events == ["recovered"]


def test_a_run_that_ends_at_that_moment_was_not_killed(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen going on, then it ends, then its lock is seen free."""
    settings = workspace.settings()
    settings.data_dir.mkdir(mode=0o700)
    run = RunState.begin(settings, command="run")

    def ends(_: Settings) -> bool:
        run.finish(state="done")
        return False

    monkeypatch.setattr(run_state, "is_run_going_on", ends)
    assert run_state.read_last_run(settings)["state"] == "done"


def test_a_run_that_was_cancelled_and_could_not_tell(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR, state="cancelled")
    for _ in range(2):
        assert watched(workspace) == (0, [])
    assert receiver.events == ["run_cancelled"]
    notify(workspace, receiver, on=["failed"])
    run_at(settings, NOW, state="cancelled")
    watched(workspace)
    assert receiver.events == ["run_cancelled"]


# --- overdue


@pytest.mark.parametrize(
    ("refresh", "given", "period", "grace"),
    [
        ("weekly", None, WEEK, WEEK / 2),
        ("daily", None, DAY, DAY / 2),
        ("hourly", None, HOUR, HOUR / 2),
        ("weekly", "12 hours", WEEK, 12 * HOUR),
        ("daily", "1 minute", DAY, MINUTE),
    ],
)
def test_overdue_begins_after_the_grace(
    workspace: Workspace,
    receiver: Receiver,
    clock: Clock,
    refresh: str,
    given: str | None,
    period: timedelta,
    grace: timedelta,
) -> None:
    workspace.configure(
        lambda raw: raw.update(
            notify={"webhook": receiver.url, **({"overdue_after": given} if given else {})}
        ),
        refresh=refresh,
    )
    settings = workspace.settings()
    settings.data_dir.mkdir(mode=0o700)
    run_at(settings, NOW)
    clock.now = NOW + period + grace
    assert watched(workspace) == (0, [])
    clock.now += SECOND
    for _ in range(2):
        assert watched(workspace) == (13, ["run_overdue"])
    [message] = receiver.take()
    assert f"has been due since {NOW + period:%Y-%m-%d %H:%M} UTC" in message["text"]
    run_at(settings, clock.now)
    assert watched(workspace) == (0, [])
    assert [one["recovered"] for one in receiver.take()] == [["run_overdue"]]


def test_manual_refreshes_are_never_overdue(workspace: Workspace, receiver: Receiver, clock: Clock) -> None:
    workspace.configure(lambda raw: raw.update(notify={"webhook": receiver.url}), refresh="manual")
    settings = workspace.settings()
    settings.data_dir.mkdir(mode=0o700)
    run_at(settings, NOW)
    clock.now = NOW + 400 * DAY
    assert watched(workspace) == (0, [])


def test_while_a_run_goes_on_none_is_overdue(workspace: Workspace, receiver: Receiver, clock: Clock) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW)
    clock.now = NOW + 3 * WEEK
    with run_state.single_run(settings, command="run"):
        run_at(settings, clock.now, state="running")
        assert watched(workspace) == (0, [])
    assert watched(workspace) == (13, ["run_killed", "run_overdue"])


def test_where_nothing_was_ever_published_it_is_due_since_somebody_tried(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver, overdue_after="1 hour")
    clock.now = NOW + 100 * DAY
    assert watched(workspace) == (0, [])
    run_at(settings, NOW, state="cancelled")
    run_at(settings, NOW + 30 * MINUTE, state="cancelled")
    clock.now = NOW + HOUR
    assert watched(workspace) == (0, [])
    clock.now += SECOND
    assert watched(workspace) == (13, ["run_overdue"])


# --- going on for too long


@pytest.mark.parametrize(
    ("earlier", "limit"),
    [
        ([], 2 * DAY),
        ([60], 30 * MINUTE),
        ([601], timedelta(seconds=1803)),
        ([3600, 7200, 60], 6 * HOUR),
        # The clock was set back meanwhile.
        ([-3600], 30 * MINUTE),
    ],
)
def test_a_run_that_goes_on_for_too_long(
    workspace: Workspace, receiver: Receiver, clock: Clock, earlier: list[float], limit: timedelta
) -> None:
    settings = notify(workspace, receiver)
    # Of another kind, or not to its end: they say nothing.
    run_at(settings, NOW - 9 * DAY, seconds=86_400, command="extract office")
    run_at(settings, NOW - 8 * DAY, seconds=86_400, state="failed")
    for position, seconds in enumerate(earlier):
        run_at(settings, NOW - DAY + position * HOUR, seconds=seconds)
    with run_state.single_run(settings, command="run"):
        run_id = run_at(settings, NOW, state="running")
        clock.now = NOW + limit
        before = watched(workspace)[1]
        assert "run_long" not in before
        clock.now += SECOND
        assert watched(workspace)[1][-1] == "run_long"
    message = receiver.messages[-1]
    assert (message["event"], message["run"]["run_id"], message["run"]["step"]) == (
        "run_long",
        run_id,
        "office",
    )
    assert "for 2 d 0 h; and there is no earlier one" in message["text"] or earlier


# --- clocks


@pytest.mark.parametrize(
    ("ahead", "events"),
    [(5 * MINUTE, []), (5 * MINUTE + SECOND, ["clock_wrong"]), (3650 * DAY, ["clock_wrong"])],
)
def test_a_published_run_of_the_future(
    workspace: Workspace, receiver: Receiver, clock: Clock, ahead: timedelta, events: list[str]
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW + ahead)
    assert watched(workspace)[1] == events
    for message in receiver.messages:
        assert "the last published run began at" in message["text"] and "in the future" in message["text"]
    # A whole century back is no crash either.
    clock.now = datetime(1970, 1, 1)
    assert watched(workspace)[1] == ["clock_wrong"]


def test_what_was_told_in_the_future_is_told_again(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR, state="failed")
    clock.now = NOW + 300 * DAY
    watched(workspace)
    clock.now = NOW
    for _ in range(2):
        watched(workspace)
    assert [event for event in receiver.events if event == "run_failed"] == ["run_failed", "run_failed"]


# --- files


def test_a_published_file_that_cannot_be_opened_or_is_gone(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR)
    whole = settings.published_file.read_bytes()
    settings.published_file.write_bytes(b"no database at all " * 1000)
    assert watched(workspace) == (13, ["published_unreadable"])
    settings.published_file.unlink()
    assert watched(workspace) == (13, ["published_unreadable"])
    settings.published_file.write_bytes(whole)
    assert watched(workspace) == (0, [])
    assert receiver.events == ["published_unreadable", "recovered"]


@pytest.mark.parametrize("text", ["", "{half", "[]", '{"run_id": 5}'])
def test_a_run_state_that_cannot_be_read(
    workspace: Workspace, receiver: Receiver, clock: Clock, text: str
) -> None:
    settings = notify(workspace, receiver)
    settings.run_state_file.write_text(text)
    assert watched(workspace) == (13, ["state_unreadable"])
    assert receiver.events == ["state_unreadable"]


@pytest.mark.parametrize(
    "text",
    [
        "{half",
        "[]",
        '{"incidents": []}',
        '{"incidents": {"last_run": 5}}',
        '{"incidents": {"last_run": {"event": 1, "key": "", "told_at": ""}}}',
    ],
)
def test_a_memory_of_another_shape_tells_once_more(
    workspace: Workspace, receiver: Receiver, clock: Clock, text: str
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR, state="failed")
    settings.watch_state_file.write_text(text)
    for _ in range(2):
        assert watched(workspace) == (13, ["run_failed"])
    assert receiver.events == ["run_failed"]
    assert json.loads(settings.watch_state_file.read_text())["version"] == 1


def test_two_watches_at_once_tell_once(
    workspace: Workspace, receiver: Receiver, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR, state="failed")
    with told.remembering(settings.data_dir) as memory:
        assert memory == {}
        done = workspace.run("watch")
    assert done.exit_code == 13
    assert "another `engagement watch` is notifying" in done.stderr
    assert receiver.requests == []


def test_a_configuration_that_is_wrong_is_told_once(
    workspace: Workspace, receiver: Receiver, clock: Clock
) -> None:
    settings = notify(workspace, receiver)
    run_at(settings, NOW - HOUR)
    workspace.configure(lambda raw: raw.update(notify={"webhook": receiver.url}), refresh="fortnightly")
    for _ in range(2):
        assert workspace.run("watch").exit_code == 2
    assert receiver.events == ["watch_not_begun"]
    notify(workspace, receiver)
    assert watched(workspace) == (0, [])
    assert receiver.events == ["watch_not_begun", "recovered"]


def test_a_run_that_did_not_begin_lasts_until_one_does(workspace: Workspace, receiver: Receiver) -> None:
    settings = notify(workspace, receiver)
    (workspace.root / "accounts.csv").rename(workspace.root / "elsewhere.csv")
    workspace.run("run")
    for _ in range(2):
        assert watched(workspace) == (13, ["run_not_begun"])
    (workspace.root / "elsewhere.csv").rename(workspace.root / "accounts.csv")
    run_at(settings, utc_now() + SECOND)
    assert watched(workspace) == (0, [])
    assert receiver.events == ["run_not_begun", "recovered"]


# --- a test message


def test_a_test_message(workspace: Workspace, receiver: Receiver) -> None:
    assert workspace.run("watch", "--test").exit_code == 2
    notify(workspace, receiver)
    done = workspace.run("watch", "--test")
    assert (done.exit_code, done.stdout) == (0, "notify.webhook: the test message was delivered\n")
    [message] = receiver.messages
    assert (message["event"], message["version"], message["run"]) == ("test", 1, None)
    receiver.answers = [Answer(404)]
    done = workspace.run("watch", "--test")
    assert done.exit_code == 4
    assert "error: notify: the test message was not delivered" in done.stderr
    assert "  notify.webhook: answered status 404; check its address" in done.stderr


def test_instants_are_those_of_the_run_state() -> None:
    assert told.told_now("e", "k", NOW).told_at == instant_text(NOW)
