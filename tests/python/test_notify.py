"""Every end of a run reaches whom `notify` names, with aggregates only, and nothing about it changes the run."""

from __future__ import annotations

import errno
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from conftest import OURS, Workspace, small_tenant
from engagement import extract, logs, notification, run_state, told
from engagement import run as runs
from engagement.configuration.settings import Settings
from engagement.errors import (
    DONE,
    DONE_WITH_FAILED_EXPORTS,
    DONE_WITH_UNREAD_MAILBOXES,
    PublishRefusedError,
    ServiceError,
)
from engagement.notification import Guard
from engagement.outcome import Outcome
from engagement.run_state import RunState, read_run_state
from published import publish_little
from receiver import KEEP, Answer, Receiver, kept, receiving
from test_canaries import ADDRESSES, SECRETS, found_in
from test_cancel import end, start

Act = Callable[[RunState, Settings], object]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def notify(workspace: Workspace, **block: Any) -> None:
    workspace.configure(lambda raw: raw.update(notify=block))


def published_by(state: RunState, settings: Settings, **how: Any) -> None:
    publish_little(settings.published_file, state.run_id, **how)
    state.note_published(state.started_at + min(runs.refresh_periods(settings)))


def as_run(monkeypatch: pytest.MonkeyPatch, act: Act, *, exit_code: int = DONE) -> None:
    """`engagement run` does this instead of reading, building and publishing."""

    def run(settings: Settings, **_: Any) -> Outcome:
        with extract.running(settings, "run") as state, state.timed("office"):
            act(state, settings)
        return Outcome(exit_code=exit_code, lines=["did it"], facts={"run_id": state.run_id})

    monkeypatch.setattr(runs, "run", run)


def failing(state: RunState, settings: Settings) -> None:
    raise ServiceError("Microsoft Graph: GET /users failed (status 503) after 9 attempts; run again later")


def plain(state: RunState, settings: Settings) -> None:
    with state.enriching("account-engagement") as entry:
        entry.selected = entry.processed = 4
        entry.finish(warnings=False)
    published_by(state, settings)


def warning(state: RunState, settings: Settings) -> None:
    with state.enriching("account-engagement") as entry:
        entry.selected, entry.processed = 40, 38
        entry.finish(warnings=True, detail="2 of 40 mailboxes not read")
    published_by(state, settings)


# --- which ends are told


@pytest.mark.parametrize(
    ("act", "exit_code", "given", "event"),
    [
        (failing, 4, None, "run_failed"),
        (failing, 4, ["done"], None),
        (warning, DONE, None, "run_with_warnings"),
        (warning, DONE, ["failed", "incomplete"], None),
        (warning, DONE_WITH_UNREAD_MAILBOXES, None, "run_incomplete"),
        (warning, DONE_WITH_UNREAD_MAILBOXES, ["warnings", "done"], None),
        (plain, DONE_WITH_FAILED_EXPORTS, None, "run_with_warnings"),
        (plain, DONE, None, None),
        (plain, DONE, ["done"], "run_done"),
        (plain, DONE, [], None),
    ],
)
def test_which_ends_are_told(
    workspace: Workspace,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    act: Act,
    exit_code: int,
    given: list[str] | None,
    event: str | None,
) -> None:
    notify(workspace, webhook=receiver.url, **({} if given is None else {"on": given}))
    as_run(monkeypatch, act, exit_code=exit_code)
    done = workspace.run("run", "--json")
    assert done.exit_code == exit_code, done.output
    assert receiver.events == ([] if event is None else [event])
    for message in receiver.messages:
        assert (message["version"], message["exit_code"]) == (1, exit_code)


def test_nothing_is_sent_where_nobody_is_named(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.environment["ENGAGEMENT_WEBHOOK_URL"] = receiver.url
    as_run(monkeypatch, failing)
    assert workspace.run("run").exit_code == 4
    assert receiver.requests == []
    assert not workspace.settings().watch_state_file.exists()


def test_what_a_failed_run_says(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify(workspace, webhook=receiver.url)
    publish_little(workspace.published_file, "the run before")
    as_run(monkeypatch, failing)
    workspace.run("run")
    [message] = receiver.messages
    run = read_run_state(workspace.settings())
    assert message["run"] == {
        "run_id": run["run_id"],
        "command": "run",
        "state": "failed",
        "step": "office",
        "error": "Microsoft Graph: GET /users failed (status 503) after 9 attempts; run again later",
        "started_at": run["started_at"],
        "finished_at": run["finished_at"],
        "seconds": message["run"]["seconds"],
        "steps": [{"step": "office", "seconds": run["steps"]["office"]}],
    }
    assert message["published"]["as_of_date"] == "2026-06-30"
    assert message["published"]["run_id"] == "the run before"
    assert message["text"] == (
        f"`engagement run` failed after {message['run']['seconds']:.0f} s in step office: Microsoft Graph: GET /users"
        " failed (status 503) after 9 attempts; run again later. What is published stays as it was: as of 2026-06-30,"
        " published 2026-07-01 06:00 UTC. The next run goes on from there."
    )


def test_what_a_run_that_is_done_says(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify(workspace, webhook=receiver.url, on=["done"])
    as_run(monkeypatch, plain)
    workspace.run("run")
    [message] = receiver.messages
    [enrichment] = message["enrichments"]
    assert enrichment == {
        "enrichment_id": "account-engagement",
        "type": "office",
        "state": "active",
        "status": "successful",
        "detail": None,
        "accounts_enriched": 1,
        "accounts": 2,
        "last_updated_at": "2026-07-01T06:00:00Z",
        "next_due_at": "2026-07-01T06:00:00Z",
        "mailboxes_selected": 4,
        "mailboxes_processed": 4,
    }
    assert "Published as of 2026-06-30: account-engagement 1 of 2 accounts. Next due 20" in message["text"]


# --- the watch over the data


WATCH = [
    ("account-engagement", "x", "freshness", "notice", None, "Nothing to do."),
    (None, "x", "schema_drift", "warning", "2026-06-28", "A field is gone."),
    ("account-engagement", "x", "volume", "warning", "2026-06-29", "Half of the mail is missing: look."),
]


@pytest.mark.parametrize(
    ("rows", "events", "sent"),
    [
        (None, [], []),
        ([], [], []),
        (WATCH[:1], [], []),
        (
            WATCH,
            ["run_with_warnings"],
            [
                {
                    "enrichment_id": "account-engagement",
                    "check_name": "volume",
                    "subject": "x",
                    "severity": "warning",
                    "day_on": "2026-06-29",
                    "since_on": None,
                    "finding": "Half of the mail is missing: look.",
                },
                {
                    "enrichment_id": None,
                    "check_name": "schema_drift",
                    "subject": "x",
                    "severity": "warning",
                    "finding": "A field is gone.",
                    "day_on": "2026-06-28",
                    "since_on": None,
                },
                {
                    "enrichment_id": "account-engagement",
                    "check_name": "freshness",
                    "subject": "x",
                    "severity": "notice",
                    "day_on": None,
                    "since_on": None,
                    "finding": "Nothing to do.",
                },
            ],
        ),
    ],
)
def test_findings_on_the_data_go_along(
    workspace: Workspace,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    rows: Any,
    events: list[str],
    sent: list[Any],
) -> None:
    notify(workspace, webhook=receiver.url)
    as_run(monkeypatch, lambda state, settings: published_by(state, settings, watch=rows))
    workspace.run("run")
    assert receiver.events == events
    for message in receiver.messages:
        assert message["watch"] == sent
        assert "Watch: Half of the mail is missing: look. A field is gone." in message["text"]


# --- nothing about it changes the run


@pytest.mark.parametrize(("act", "exit_code"), [(failing, 4), (plain, 0)])
@pytest.mark.parametrize("how", ["program missing", "program fails", "webhook refuses", "no disk"])
def test_a_notification_that_fails_is_a_warning(
    workspace: Workspace,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    act: Act,
    exit_code: int,
    how: str,
) -> None:
    receiver.answers = [Answer(404 if how == "webhook refuses" else 200)]
    block: dict[str, Any] = {
        "program missing": {"command": ["zqmissing"]},
        "program fails": {"command": ["false"]},
    }.get(how, {"webhook": receiver.url})
    notify(workspace, on=["failed", "done"], **block)
    if how == "no disk":

        def full(*_: Any) -> None:
            raise OSError("no space at /home/zqsomebody")

        # For what is told alone: the run itself has room.
        monkeypatch.setattr(told, "durable", SimpleNamespace(write=full))
    as_run(monkeypatch, act)
    done = workspace.run("run")
    assert done.exit_code == exit_code
    if how != "no disk" or exit_code:
        assert "warning: notify" in done.stderr
    assert "zq" not in done.stderr
    state = read_run_state(workspace.settings())
    assert state["state"] == ("failed" if exit_code else "done")


@pytest.mark.parametrize("told_of_it", [True, False])
def test_a_failed_run_is_remembered_only_if_somebody_was_told(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, told_of_it: bool
) -> None:
    receiver.answers = [Answer(200 if told_of_it else 404)]
    notify(workspace, webhook=receiver.url)
    as_run(monkeypatch, failing)
    workspace.run("run")
    settings = workspace.settings()
    run_id = read_run_state(settings)["run_id"]
    known = told.read(settings.data_dir)
    assert {name: (entry.event, entry.key) for name, entry in known.items()} == (
        {told.LAST_RUN: ("run_failed", run_id)} if told_of_it else {}
    )
    if told_of_it:
        assert settings.watch_state_file.stat().st_mode & 0o777 == 0o600


def test_a_run_that_publishes_after_one_that_failed_says_that_it_is_over(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify(workspace, webhook=receiver.url)
    as_run(monkeypatch, failing)
    workspace.run("run")
    as_run(monkeypatch, plain)
    workspace.run("run")
    workspace.run("run")
    assert receiver.events == ["run_failed", "run_done"]
    assert receiver.messages[1]["recovered"] == ["run_failed"]
    assert receiver.messages[1]["text"].endswith("Over: run_failed.")
    assert told.read(workspace.settings().data_dir) == {}


# --- the other commands, and what is no run


def test_an_extraction_is_told_of_where_it_fails(workspace: Workspace, receiver: Receiver) -> None:
    notify(workspace, webhook=receiver.url, on=["failed", "done"])
    assert workspace.run("extract", "customers").exit_code == 0
    assert receiver.events == []
    (workspace.root / "accounts.csv").write_text("id_of_another\n1\n")
    assert workspace.run("extract", "customers").exit_code == 2
    [message] = receiver.take()
    assert (message["event"], message["exit_code"], message["run"]["command"]) == (
        "run_failed",
        2,
        "extract customers",
    )
    assert workspace.run("publish").exit_code == PublishRefusedError.exit_code
    assert [(one["event"], one["run"]["command"]) for one in receiver.messages] == [("run_failed", "publish")]


def test_what_is_not_due_is_no_run(workspace: Workspace, receiver: Receiver) -> None:
    notify(workspace, webhook=receiver.url, on=list(runs_ends()))
    settings = workspace.settings()
    settings.data_dir.mkdir(mode=0o700)
    state = RunState.begin(settings, command="run")
    published_by(state, settings)
    state.finish(state="done")
    done = workspace.run("run", "--if-due")
    assert done.exit_code == 0 and "not due before" in done.stdout
    assert receiver.requests == []


def runs_ends() -> tuple[str, ...]:
    from engagement.configuration.notify import RUN_ENDS

    return RUN_ENDS


def test_another_run_that_goes_on_is_no_failure(workspace: Workspace, receiver: Receiver) -> None:
    notify(workspace, webhook=receiver.url)
    with run_state.single_run(workspace.settings(), command="run"):
        assert workspace.run("run").exit_code == 8
    assert receiver.requests == []


def test_a_run_that_cannot_begin_is_told_once_a_day(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer file is gone, so not even the settings can be loaded; a timer tries again and again."""
    notify(workspace, webhook=receiver.url)
    (workspace.root / "accounts.csv").rename(workspace.root / "elsewhere.csv")
    for _ in range(3):
        assert workspace.run("run").exit_code == 2
    [message] = receiver.take()
    assert (message["event"], message["exit_code"], message["run"]["run_id"]) == ("run_not_begun", 2, None)
    assert message["text"].startswith("`engagement run` did not begin: enrichments.yml: 1 finding;")
    # Another problem is told at once.
    (workspace.root / "contacts.csv").rename(workspace.root / "too.csv")
    workspace.run("run")
    assert [message["event"] for message in receiver.take()] == ["run_not_begun"]
    # A check for a person at a terminal is not for a timer.
    workspace.run("check")
    assert receiver.take() == []
    for name, was in (("accounts.csv", "elsewhere.csv"), ("contacts.csv", "too.csv")):
        (workspace.root / was).rename(workspace.root / name)
    as_run(monkeypatch, plain)
    assert workspace.run("run").exit_code == 0
    [message] = receiver.take()
    assert (message["event"], message["recovered"]) == ("run_done", ["run_not_begun"])


def test_a_run_without_consent_cannot_begin(workspace: Workspace, receiver: Receiver) -> None:
    workspace.configure(lambda raw: raw.update(notify={"webhook": receiver.url}), consent=None)
    assert workspace.run("run").exit_code == 2
    assert receiver.events == ["run_not_begun"]
    assert "nothing to do" in receiver.messages[0]["text"]


def test_the_address_may_come_from_the_environment(workspace: Workspace, receiver: Receiver) -> None:
    """With a query, which is a secret then; where it is missing, it is said before anything is contacted."""
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    notify(workspace, webhook="environment")
    done = workspace.run("run")
    assert done.exit_code == 2 and "ENGAGEMENT_WEBHOOK_URL not set" in done.stderr
    assert workspace.run("extract", "customers").exit_code == 0
    workspace.environment |= {
        "ENGAGEMENT_WEBHOOK_URL": f"{receiver.url}?sig={SECRETS['nextlink']}",
        "ENGAGEMENT_WEBHOOK_TOKEN": SECRETS["token"],
    }
    done = workspace.run("run", "-v")
    assert done.exit_code == 4
    [(path, headers, body)] = receiver.requests
    assert path.endswith(f"?sig={SECRETS['nextlink']}")
    assert headers["Authorization"] == f"Bearer {SECRETS['token']}"
    assert found_in(body) == set() and found_in(done.output.encode()) == set()


# --- a signal


@pytest.mark.faults
def test_a_cancelled_run_tells_in_its_ten_seconds(workspace: Workspace, receiver: Receiver) -> None:
    notify(workspace, webhook=receiver.url)
    process = start(workspace, AS_RUN.format(act="time.sleep(60)"), "run")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    end(workspace, process, "SIGTERM")
    [message] = receiver.messages
    assert (message["event"], message["exit_code"], message["run"]["state"]) == (
        "run_cancelled",
        143,
        "cancelled",
    )
    assert "`engagement run` was ended after" in message["text"]
    assert "cancelled by SIGTERM" in message["text"]


@pytest.mark.faults
def test_a_webhook_that_hangs_does_not_keep_a_cancelled_run(workspace: Workspace, receiver: Receiver) -> None:
    receiver.answers = [Answer(delay=60)]
    notify(workspace, webhook=receiver.url)
    process = start(workspace, AS_RUN.format(act="time.sleep(60)"), "run")
    assert process.stdout is not None and process.stdout.readline() == "there\n"
    stderr = end(workspace, process, "SIGINT")
    assert "warning: notify.webhook: no answer in time" in stderr
    assert told.read(workspace.settings().data_dir) == {}


@pytest.mark.parametrize(
    ("act", "exit_code", "state"),
    [("pass", 0, "done"), ("raise ServiceError('Leadspace: failed')", 4, "failed")],
)
def test_a_signal_while_it_tells_leaves_the_run_as_it_ended(
    workspace: Workspace, receiver: Receiver, act: str, exit_code: int, state: str
) -> None:
    receiver.answers = [Answer(delay=60)]
    notify(workspace, webhook=receiver.url, on=["failed", "done"])
    process = start(workspace, AS_RUN.format(act=act), "run")
    deadline = time.monotonic() + 30
    while not receiver.requests and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, stderr = process.communicate(timeout=15)
    assert (process.returncode, time.monotonic() - began < 5) == (exit_code, True), stderr
    assert ("error: Leadspace: failed" in stderr) == bool(exit_code)
    assert "warning: notify: ended by a signal before it was done" in stderr
    assert read_run_state(workspace.settings())["state"] == state


AS_RUN = """
import time
from engagement import extract, run
from engagement.errors import ServiceError
from engagement.outcome import Outcome
def instead(settings, **_):
    with extract.running(settings, "run") as state, state.timed("office"):
        print("there", flush=True)
        {act}
    return Outcome(facts=dict(run_id=state.run_id))
run.run = instead
"""


# --- nothing of anybody


def test_nothing_of_anybody_leaves(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an error, a name of an enrichment or of a step, a finding or the environment holds."""
    secret, guid = SECRETS["clientsecret"], "0a1b2c3d-1111-2222-3333-444455556666"
    workspace.environment |= {"AZURE_CLIENT_SECRET": secret, "ENGAGEMENT_HASH_KEY": SECRETS["token"]}
    program = [sys.executable, "-c", KEEP, str(workspace.root / "got")]

    def change(raw: dict[str, Any]) -> None:
        raw["notify"] = {"webhook": receiver.url, "command": program}
        raw["enrichments"][0]["name"] = f"Mail of {ADDRESSES['anna']}"

    workspace.configure(change)
    [enrichment] = workspace.settings().configuration.enrichments
    line = (
        f"enrichments[0] ({enrichment.enrichment_id}): {ADDRESSES['kim']} and <{ADDRESSES['ben']}>, {secret.upper()},"
        f" {SECRETS['token']}, user {guid}, /o=ExchangeLabs/ou=x/cn={SECRETS['displayname']},"
        f" GET https://graph.example/users?$filter={SECRETS['nextlink']}&a=1#x"
    )

    def act(state: RunState, settings: Settings) -> None:
        state.steps[f"step of {ADDRESSES['delegate']}"] = 1.0
        publish_little(
            settings.published_file,
            state.run_id,
            enrichment_id=enrichment.enrichment_id,
            watch=[
                (
                    enrichment.enrichment_id,
                    "x",
                    "volume",
                    "warning",
                    None,
                    f"{ADDRESSES['stranger']} is quiet",
                )
            ],
        )
        with state.enriching(enrichment.enrichment_id) as entry:
            entry.selected = entry.processed = 2
            raise ServiceError(line)

    as_run(monkeypatch, act)
    done = workspace.run("run")
    assert done.exit_code == 4
    [(_, _, body)] = receiver.requests
    for sent in (
        body,
        (workspace.root / "got").read_bytes(),
        workspace.settings().watch_state_file.read_bytes(),
    ):
        assert found_in(sent) == set()
        assert guid.encode() not in sent and b"zq" not in sent.lower()
    text = json.loads(body)["text"]
    assert "enrichments[0] (enrichments[0]): [address] and <[address]>, [secret]" in text
    assert "GET https://graph.example/users" in text


@pytest.mark.parametrize(
    ("selected", "processed", "shown"),
    [
        (5, 5, True),
        (4, 4, False),
        (40, 35, True),
        # The four that were not read are few people.
        (40, 36, False),
        (40, 4, False),
        (40, 0, True),
        (0, 0, True),
    ],
)
@pytest.mark.parametrize("mode", ["show", "band"])
def test_small_numbers_of_people(
    workspace: Workspace,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    selected: int,
    processed: int,
    shown: bool,
) -> None:
    def change(raw: dict[str, Any]) -> None:
        raw["reporting"] |= {"small_numbers": mode, "k": 5}
        raw["notify"] = {"webhook": receiver.url}

    workspace.configure(change)

    def act(state: RunState, settings: Settings) -> None:
        with state.enriching("account-engagement") as entry:
            entry.selected, entry.processed = selected, processed
            entry.finish(warnings=True, detail="4 of 40 mailboxes not read")
        raise ServiceError("Leadspace: 3 contacts and 1 of 4 mailboxes failed for 12 accounts")

    as_run(monkeypatch, act)
    workspace.run("run")
    [message] = receiver.messages
    [enrichment] = message["enrichments"]
    told_counts = (enrichment["mailboxes_selected"], enrichment["mailboxes_processed"])
    if mode == "show":
        assert told_counts == (selected, processed)
        assert enrichment["detail"] == "4 of 40 mailboxes not read"
        assert "3 contacts and 1 of 4 mailboxes failed for 12 accounts" in message["text"]
    else:
        assert told_counts == ((selected, processed) if shown else (None, None))
        assert enrichment["detail"] is None
        assert "Leadspace: some contacts and some mailboxes failed for 12 accounts" in message["text"]
        assert "some contacts and some mailboxes" in message["run"]["error"]


def test_a_text_is_one_line_of_a_length_that_is_read() -> None:
    guard = Guard(None)
    assert guard.text("a\nb\x1b[31m\u202ec") == "a\\nb\\x1b[31m\\u202ec"
    assert len(guard.text("x" * 10_000)) == notification.LONGEST_TEXT
    assert guard.text("x" * notification.LONGEST_TEXT) == "x" * notification.LONGEST_TEXT
    assert guard.clean({"a": [1, None, True, 2.5]}) == {"a": [1, None, True, 2.5]}
    assert logs.printable(guard.text("plain")) == "plain"


# --- a whole run


@pytest.mark.long
def test_a_whole_run_in_which_a_mailbox_stays_unread(workspace: Workspace, receiver: Receiver) -> None:
    """With the emulator, dbt and the gate: done and published, exit code 9, and the message goes both ways."""
    from conftest import emulated

    tenant = small_tenant()
    got = workspace.root / "got"

    def change(raw: dict[str, Any]) -> None:
        raw["notify"] = {"webhook": receiver.url, "command": [sys.executable, "-c", KEEP, str(got)]}
        raw["enrichments"][0]["tolerated_failures"] = 0.5

    with emulated(tenant, workspace) as handle:
        workspace.configure(change)
        handle.fail(f"{tenant.people[1].id}/messages", times=10**6, status=403)
        done = workspace.run("run", "--json")
    assert done.exit_code == DONE_WITH_UNREAD_MAILBOXES, done.output
    [message] = receiver.messages
    assert {**kept(got)[0], "message_id": "", "at": ""} == {**message, "message_id": "", "at": ""}
    assert message["event"] == "run_incomplete"
    run_id = json.loads(done.stdout)["run_id"]
    assert message["run"]["run_id"] == message["published"]["run_id"] == run_id
    assert [step["step"] for step in message["run"]["steps"]] == ["customers", "office", "dbt", "publish"]
    [enrichment] = message["enrichments"]
    assert (enrichment["mailboxes_selected"], enrichment["mailboxes_processed"]) == (4, 3)
    assert (enrichment["accounts_enriched"], enrichment["accounts"]) == (1, 2)
    sent = json.dumps(message)
    assert OURS not in sent and "@" not in sent and tenant.client_secret not in sent
    assert not any(one.id in sent for one in tenant.people)
    assert str(Path.cwd()) not in sent and str(workspace.root) not in sent


def test_a_full_disk_is_told_in_words(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run state knows an OSError only; its text may hold anything, its number does not."""
    notify(workspace, webhook=receiver.url)

    def full(state: RunState, settings: Settings) -> None:
        raise OSError(errno.ENOSPC, "zqtext of the system", "/home/zqsomebody/data/part.bin")

    as_run(monkeypatch, full)
    assert workspace.run("run").exit_code == 12
    [message] = receiver.messages
    assert message["exit_code"] == 12
    assert message["run"]["error"].startswith("part.bin: the disk is full, or a quota is; make room")
    assert message["run"]["error"] in message["text"] and "zq" not in json.dumps(message)


def test_what_was_not_foreseen_is_told_by_its_kind(
    workspace: Workspace, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    notify(workspace, webhook=receiver.url)

    def broken(state: RunState, settings: Settings) -> None:
        raise RuntimeError("zqsecret")

    as_run(monkeypatch, broken)
    assert workspace.run("run").exit_code == 1
    [message] = receiver.messages
    assert (message["exit_code"], message["run"]["error"]) == (1, "RuntimeError")
