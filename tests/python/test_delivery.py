"""A message reaches a program and a webhook within seconds or not at all, and nothing of them is shown."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from engagement import delivery
from engagement.configuration.destination import Destination
from engagement.configuration.secret_variables import SECRET_VARIABLES
from engagement.delivery import deliver
from receiver import KEEP, Answer, kept, receiving

MESSAGE = {"version": 1, "text": "one"}


def by_webhook(url: str, token: str | None = None) -> Destination:
    return Destination(
        Path("/"), webhook_url=SecretStr(url), webhook_token=SecretStr(token) if token else None
    )


def by_command(folder: Path, *command: str) -> Destination:
    return Destination(folder, command=command)


# --- a program


def test_a_program_gets_the_message_in_the_folder_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRET_VARIABLES:
        monkeypatch.setenv(name, "zqsecretofours")
    monkeypatch.setenv("PAGER_TOKEN", "their own")
    code = "import os, sys, json; json.dump([sys.stdin.read(), dict(os.environ)], open('got', 'w')); print('x' * 10**6)"
    told = deliver(by_command(tmp_path, sys.executable, "-c", code), MESSAGE)
    assert (told.ways, told.problems) == (("notify.command",), ())
    text, environment = json.loads((tmp_path / "got").read_text())
    assert json.loads(text) == MESSAGE
    assert environment["PAGER_TOKEN"] == "their own"
    assert "zqsecretofours" not in str(environment)


def test_a_program_beside_enrichments_yml_is_found(tmp_path: Path) -> None:
    program = tmp_path / "tell.sh"
    program.write_text("#!/bin/sh\ncat > got\n")
    program.chmod(0o700)
    assert deliver(by_command(tmp_path, "./tell.sh"), MESSAGE).problems == ()
    assert json.loads((tmp_path / "got").read_text()) == MESSAGE


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("import sys; sys.exit(3)", "notify.command: ended with code 3 after 3 tries; try it with "),
        ("import os; os.kill(os.getpid(), 9)", "notify.command: was ended by signal 9 after 3 tries; "),
    ],
)
def test_a_program_that_fails_is_tried_again(tmp_path: Path, code: str, line: str) -> None:
    waits: list[float] = []
    told = deliver(
        by_command(tmp_path, sys.executable, "-c", code, "zqargument"), MESSAGE, sleep=waits.append
    )
    [problem] = told.problems
    assert told.ways == () and problem.startswith(line) and "zqargument" not in problem
    assert len(waits) == 2


def test_a_program_that_succeeds_at_last(tmp_path: Path) -> None:
    waits: list[float] = []
    code = "import os, sys; tried = os.path.exists('tried'); open('tried', 'w'); sys.exit(0 if tried else 1)"
    assert (
        deliver(by_command(tmp_path, sys.executable, "-c", code), MESSAGE, sleep=waits.append).problems == ()
    )
    assert len(waits) == 1


def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    for command, reason in (
        ("zqmissing", "No such file or directory"),
        (str(tmp_path), "Permission denied"),
        ("a\0b", "not a command"),
    ):
        told = deliver(by_command(tmp_path, command), MESSAGE)
        assert told.problems == (
            f"notify.command: cannot be started ({reason}); correct it in enrichments.yml, or its rights",
        )


@pytest.mark.faults
def test_a_program_that_hangs_is_ended_with_what_it_started(tmp_path: Path) -> None:
    program = "sleep 60 & echo $! > child; sleep 60"
    began = time.monotonic()
    told = deliver(by_command(tmp_path, "sh", "-c", program), MESSAGE, try_seconds=0.5)
    assert time.monotonic() - began < 5
    assert told.problems == (
        "notify.command: has not ended in 0 s, and was ended; find out what it waits for",
    )
    child = int((tmp_path / "child").read_text())
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            # In some containers nobody collects it; then it is dead all the same.
            if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
                return
            os.kill(child, 0)
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail("what the program started goes on")


def test_a_program_that_reads_nothing(tmp_path: Path) -> None:
    big = {"text": "x" * 1_000_000}
    assert deliver(by_command(tmp_path, "true"), big).problems == ()


# --- a webhook


def test_a_webhook_gets_json_and_the_token_if_there_is_one() -> None:
    with receiving() as receiver:
        assert deliver(by_webhook(receiver.url), MESSAGE).ways == ("notify.webhook",)
        deliver(by_webhook(receiver.url, "zqtoken-of-the-hook"), MESSAGE)
    [(path, headers, body), (_, with_token, _)] = receiver.requests
    assert (path, headers["Content-Type"], json.loads(body)) == ("/hook", "application/json", MESSAGE)
    assert "Authorization" not in headers
    assert with_token["Authorization"] == "Bearer zqtoken-of-the-hook"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_webhook_in_trouble_is_tried_again(status: int) -> None:
    waits: list[float] = []
    with receiving(Answer(status), Answer(200)) as receiver:
        assert deliver(by_webhook(receiver.url), MESSAGE, sleep=waits.append).problems == ()
        assert len(receiver.requests) == 2
    with receiving(Answer(status)) as receiver:
        told = deliver(by_webhook(receiver.url), MESSAGE, sleep=waits.append)
        assert told.problems == (
            f"notify.webhook: answered status {status} after 3 tries; the service behind it is in trouble",
        )
        assert len(receiver.requests) == 3
    assert len(waits) == 1 + 2


@pytest.mark.parametrize(("asked", "waited"), [("20", True), ("40", False)])
def test_it_waits_as_asked_if_there_is_time(asked: str, waited: bool) -> None:
    waits: list[float] = []
    with receiving(Answer(429, {"Retry-After": asked}), Answer(200)) as receiver:
        told = deliver(by_webhook(receiver.url), MESSAGE, seconds=30.0, sleep=waits.append)
        assert len(receiver.requests) == (2 if waited else 1)
    assert bool(told.ways) == waited
    assert waits == ([20.0] if waited else [])


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (404, "answered status 404; check its address"),
        (401, "answered status 401; check its address and ENGAGEMENT_WEBHOOK_TOKEN"),
        (400, "answered status 400; check its address"),
    ],
)
def test_a_webhook_that_refuses_is_not_tried_again(status: int, advice: str) -> None:
    with receiving(Answer(status)) as receiver:
        assert deliver(by_webhook(receiver.url), MESSAGE).problems == (f"notify.webhook: {advice}",)
        assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with (
        receiving() as elsewhere,
        receiving(Answer(status, {"Location": f"{elsewhere.url}?zqsecret=1"})) as receiver,
    ):
        told = deliver(by_webhook(receiver.url, "zqtoken-of-the-hook"), MESSAGE)
        assert (len(receiver.requests), elsewhere.requests) == (1, [])
    [line] = told.problems
    assert line.startswith(f"notify.webhook: answered status {status}, and is not followed elsewhere;")
    assert "zq" not in line and elsewhere.url not in line


@pytest.mark.faults
@pytest.mark.parametrize("answer", [Answer(delay=60), Answer(drip=0.05)])
def test_a_webhook_that_hangs_or_drips_is_left(answer: Answer) -> None:
    with receiving(answer) as receiver:
        began = time.monotonic()
        told = deliver(by_webhook(receiver.url), MESSAGE, seconds=2.0, try_seconds=0.5)
        assert time.monotonic() - began < 3.5
    [line] = told.problems
    assert "notify.webhook: no answer in time" in line


@pytest.mark.faults
def test_what_hangs_leaves_time_for_the_other_way(tmp_path: Path) -> None:
    with receiving(Answer(delay=60)) as receiver:
        both = Destination(
            tmp_path,
            command=(sys.executable, "-c", KEEP, str(tmp_path / "got")),
            webhook_url=SecretStr(receiver.url),
        )
        told = deliver(both, MESSAGE, seconds=4.0, try_seconds=1.0)
    assert told.ways == ("notify.command",) and len(told.problems) == 1
    assert kept(tmp_path / "got") == [MESSAGE]


def test_nobody_answers_and_nothing_of_the_address_is_said() -> None:
    waits: list[float] = []
    for url in ("http://127.0.0.1:9/zqpath?zqquery=1", "https://127.0.0.1:9/zqpath"):
        told = deliver(by_webhook(url), MESSAGE, sleep=waits.append)
        assert told.problems == (
            "notify.webhook: no connection after 3 tries; check its address and the network",
        )


def test_all_tries_together_have_their_time() -> None:
    assert (delivery.TRY_SECONDS, delivery.TOTAL_SECONDS, delivery.TRIES) == (10.0, 30.0, 3)
    with receiving(Answer(delay=60)) as receiver:
        began = time.monotonic()
        deliver(by_webhook(receiver.url), MESSAGE, seconds=3.0, try_seconds=1.0)
        assert time.monotonic() - began < 4.0
        assert 1 <= len(receiver.requests) <= 3
