"""Hands a notification to a program and to a webhook, within seconds, whatever they do.

Neither gets to see a secret, and nothing of them is shown: no address, no argument, no output, no answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from engagement.configuration.destination import Destination
from engagement.configuration.secret_variables import without_secrets
from engagement.http import (
    RETRIED_STATUSES,
    Patience,
    network_reason,
    seconds_asked,
    trusted_certificates,
)

# Of one try, and of all of them together.
TRY_SECONDS = 10.0
TOTAL_SECONDS = 30.0
TRIES = 3


@dataclass(frozen=True)
class Problem:
    """Why a try failed, what to do about it, and whether another may succeed, after the seconds that were asked for."""

    reason: str
    advice: str
    may_pass: bool = False
    asked: float | None = None


@dataclass(frozen=True)
class Delivery:
    """Which ways a message went, and one line for each that it did not."""

    ways: tuple[str, ...]
    problems: tuple[str, ...]


def deliver(
    destination: Destination,
    message: Mapping[str, Any],
    *,
    seconds: float = TOTAL_SECONDS,
    try_seconds: float = TRY_SECONDS,
    sleep: Callable[[float], object] = time.sleep,
) -> Delivery:
    """Hands the message on in every way that is configured, in `seconds` at most.

    Nothing is raised for what fails: it stands in `problems`.
    """
    body = json.dumps(message).encode()
    ways: dict[str, Callable[[float], Problem | None]] = {}
    if destination.command is not None:
        ways["notify.command"] = lambda left: _command(destination, body, left)
    if destination.webhook_url is not None:
        ways["notify.webhook"] = lambda left: _post(destination, body, left)
    delivered, problems = [], []
    for name, attempt in ways.items():
        # So that one which hangs leaves time for the other.
        problem = _patiently(attempt, Patience(seconds=seconds / len(ways), sleep=sleep), try_seconds)
        if problem is None:
            delivered.append(name)
        else:
            problems.append(f"{name}: {problem}")
    return Delivery(tuple(delivered), tuple(problems))


def _patiently(
    attempt: Callable[[float], Problem | None], patience: Patience, try_seconds: float
) -> str | None:
    """A few tries; what is wrong in the end, None where one of them succeeded."""
    began, tries = patience.clock(), 0
    while True:
        left = patience.seconds - (patience.clock() - began)
        problem = attempt(min(try_seconds, max(left, 0.1)))
        tries += 1
        if problem is None:
            return None
        wait = patience.next_wait(attempt=tries - 1, asked=problem.asked, began=began)
        if not problem.may_pass or tries == TRIES or wait is None:
            return f"{problem.reason}{f' after {tries} tries' if tries > 1 else ''}; {problem.advice}"
        patience.sleep(wait)


def _command(destination: Destination, body: bytes, seconds: float) -> Problem | None:
    """The program with the message on its standard input. It and what it started are ended after these seconds."""
    assert destination.command is not None
    try:
        process = subprocess.Popen(
            list(destination.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=destination.folder,
            env=without_secrets(os.environ),
            # A Ctrl-C on our terminal is for us; and so all that it starts can be ended with it.
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a command"
        return Problem(f"cannot be started ({why})", "correct it in enrichments.yml, or its rights")
    try:
        process.communicate(body, timeout=seconds)
    except subprocess.TimeoutExpired:
        return Problem(f"has not ended in {seconds:.0f} s, and was ended", "find out what it waits for")
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode == 0:
        return None
    how = (
        f"ended with code {process.returncode}"
        if process.returncode > 0
        else f"was ended by signal {-process.returncode}"
    )
    return Problem(how, "try it with `engagement watch --test`", may_pass=True)


def _post(destination: Destination, body: bytes, seconds: float) -> Problem | None:
    """One POST. A thread of its own waits for the answer: name servers and slow drips keep to no timeout."""
    answers: queue.SimpleQueue[tuple[int, float | None] | str] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(destination, body, seconds, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except queue.Empty:
        answer = "no answer in time"
    if isinstance(answer, str):
        return Problem(answer, "check its address and the network", may_pass=True)
    status, asked = answer
    if 200 <= status < 300:
        return None
    reason = f"answered status {status}"
    if 300 <= status < 400:
        return Problem(f"{reason}, and is not followed elsewhere", "give the address that it leads to")
    if status in (401, 403):
        return Problem(reason, "check its address and ENGAGEMENT_WEBHOOK_TOKEN")
    if status in RETRIED_STATUSES:
        return Problem(reason, "the service behind it is in trouble", may_pass=True, asked=asked)
    return Problem(reason, "check its address")


def _ask(
    destination: Destination,
    body: bytes,
    seconds: float,
    answers: queue.SimpleQueue[tuple[int, float | None] | str],
) -> None:
    assert destination.webhook_url is not None
    headers = {"Content-Type": "application/json", "User-Agent": "account-engagement"}
    if destination.webhook_token is not None:
        headers["Authorization"] = f"Bearer {destination.webhook_token.get_secret_value()}"
    try:
        with (
            httpx.Client(
                verify=trusted_certificates(), timeout=httpx.Timeout(seconds), follow_redirects=False
            ) as client,
            # Its body is never read.
            client.stream(
                "POST", destination.webhook_url.get_secret_value(), content=body, headers=headers
            ) as response,
        ):
            answers.put((response.status_code, seconds_asked(response)))
    except httpx.HTTPError as error:
        answers.put(network_reason(error))
    except Exception as error:
        # The text of any other may hold the address.
        answers.put(f"failed ({type(error).__name__})")
