"""Notifies of how a run ended, in the ways that `notify` of enrichments.yml names. Nothing that goes wrong with it
changes the run: it is a warning, and `engagement watch` tells what was not told.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, ParamSpec

from engagement import notification, stopping, told
from engagement.configuration.destination import Destination, read_destination
from engagement.configuration.notify import RUN_ENDS, RunEnd
from engagement.configuration.settings import Settings
from engagement.delivery import TOTAL_SECONDS, deliver
from engagement.errors import (
    DONE,
    DONE_WITH_FAILED_EXPORTS,
    DONE_WITH_UNREAD_MAILBOXES,
    BusyError,
    ConfigurationError,
    EngagementError,
)
from engagement.locations import data_dir_of
from engagement.outcome import Outcome
from engagement.run_state import SUCCESSFUL, read_run_state
from engagement.status import read_status
from engagement.warehouse import utc_now

log = logging.getLogger(__name__)

P = ParamSpec("P")

FAILED, CANCELLED, INCOMPLETE, WARNINGS, PLAIN = RUN_ENDS
EVENTS = {
    FAILED: "run_failed",
    CANCELLED: "run_cancelled",
    INCOMPLETE: "run_incomplete",
    WARNINGS: "run_with_warnings",
    PLAIN: "run_done",
}
_IN_WORDS = {
    FAILED: "failed",
    CANCELLED: "was ended",
    INCOMPLETE: "is done, but some mailboxes were not read,",
    WARNINGS: "is done, with warnings,",
    PLAIN: "is done",
}

# What a run that published ends, whatever was told of the runs before it.
_OVER_AFTER_PUBLISHING = (told.LAST_RUN, told.OVERDUE, told.GOING_ON)
# So long before the process would be ended it has to be over.
_SECONDS_TO_END, _LEAST_SECONDS = 2.0, 0.5


def run_notified(settings: Settings, command: str, act: Callable[[], Outcome]) -> Outcome:
    """Acts, and notifies of the end of the run that was begun meanwhile; the outcome is that of `act`, always.

    A whole run is told of after each end that `notify.on` names, and where it did not begin. Anything else is told of
    where it failed or stayed incomplete. What `--if-due` did not do is no run.
    """
    notify, destination = settings.configuration.notify, settings.destination
    if notify is None or destination is None:
        return act()
    is_whole = command == "run"
    wanted = [end for end in notify.on if is_whole or end in (FAILED, INCOMPLETE)]
    before = _run_ids(settings)
    try:
        outcome = act()
    except BaseException as error:
        number = stopping.number_of(error)
        if number is not None:
            run = _run_since(settings, before)
            if run is not None:
                _quietly(_tell_end, settings, destination, run, CANCELLED, wanted, 128 + number)
        elif isinstance(error, Exception):
            stopping.note_failure(error)
            # The text of an unforeseen error may hold anything.
            text, code = type(error).__name__, 1
            if isinstance(error, EngagementError):
                text, code = error.message, error.exit_code
            run = _run_since(settings, before)
            if run is not None:
                _quietly(_tell_end, settings, destination, {**run, "error": text}, FAILED, wanted, code)
            elif is_whole and not isinstance(error, BusyError):
                _quietly(_tell_not_begun, settings, destination, settings.data_dir, command, text, code)
        raise
    run = _run_since(settings, before)
    if run is not None:
        _quietly(_tell_outcome, settings, destination, run, outcome, wanted)
    return outcome


def tell_not_loaded(environment: Mapping[str, str], command: str, error: ConfigurationError) -> None:
    """Notifies that a command did not begin, since enrichments.yml or the environment is wrong; at most once a day."""
    destination = read_destination(environment)
    if destination is not None:
        data_dir = data_dir_of(environment)
        _quietly(_tell_not_begun, None, destination, data_dir, command, error.message, error.exit_code)


def _run_ids(settings: Settings) -> set[str]:
    state = read_run_state(settings)
    return {run["run_id"] for run in (state, *state.get("previous", ())) if run}


def _run_since(settings: Settings, before: Collection[str]) -> dict[str, Any] | None:
    """The run that this process has begun since; None where it has begun none."""
    state = read_run_state(settings)
    for run in (state, *state.get("previous", ())):
        if run and run["run_id"] not in before and run.get("pid") == os.getpid():
            return dict(run)
    return None


def _end_of(outcome: Outcome, run: Mapping[str, Any], settings: Settings) -> RunEnd:
    if outcome.exit_code == DONE_WITH_UNREAD_MAILBOXES:
        return INCOMPLETE
    if outcome.exit_code == DONE_WITH_FAILED_EXPORTS:
        return WARNINGS
    if outcome.exit_code != DONE:
        return FAILED
    states = {entry["state"] for entry in (run.get("enrichments") or {}).values()}
    has_found = any(row["severity"] == "warning" for row in read_status(settings)["watch"])
    return WARNINGS if states - {SUCCESSFUL} or has_found else PLAIN


def _tell_outcome(
    settings: Settings,
    destination: Destination,
    run: Mapping[str, Any],
    outcome: Outcome,
    wanted: Collection[str],
) -> None:
    _tell_end(settings, destination, run, _end_of(outcome, run, settings), wanted, outcome.exit_code)


def _tell_end(
    settings: Settings,
    destination: Destination,
    run: Mapping[str, Any],
    end: RunEnd,
    wanted: Collection[str],
    exit_code: int,
) -> None:
    is_published = end in (INCOMPLETE, WARNINGS, PLAIN) and run.get("command") in ("run", "publish")
    over = _over(settings, run) if is_published else {}
    if end not in wanted and not over:
        return
    sentences = [
        notification.run_in_words(run, _IN_WORDS[end]),
        notification.state_of_publication(settings, run_id=run.get("run_id")),
    ]
    if end in (FAILED, CANCELLED):
        sentences.append("The next run goes on from there.")
    if over:
        sentences.append(f"Over: {', '.join(sorted(over.values()))}.")
    message = notification.message(
        EVENTS[end],
        " ".join(sentences),
        run=run,
        exit_code=exit_code,
        settings=settings,
        recovered=sorted(over.values()),
    )
    if not delivered(destination, message):
        return
    with told.remembering(settings.data_dir) as known:
        if known is None:
            return
        if end in (FAILED, CANCELLED):
            name = told.LAST_RUN if end == FAILED else told.LAST_CANCELLED
            known[name] = told.told_now(EVENTS[end], str(run["run_id"]), utc_now())
        for name in over:
            known.pop(name, None)


def _over(settings: Settings, run: Mapping[str, Any]) -> dict[str, str]:
    """The events that were told and that the end of this run has ended, by the names of their incidents."""
    names = (*_OVER_AFTER_PUBLISHING, f"{told.NOT_BEGUN}{run.get('command')}")
    return {name: entry.event for name, entry in told.read(settings.data_dir).items() if name in names}


def _tell_not_begun(
    settings: Settings | None,
    destination: Destination,
    data_dir: Path,
    command: str,
    text: str,
    exit_code: int,
) -> None:
    """A timer may try every few minutes, and no run stands in the run state: so it is told once, and again after a
    day.
    """
    name, now = f"{told.NOT_BEGUN}{command}", utc_now()
    with told.remembering(data_dir) as known:
        event, run = f"{command}_not_begun", {"command": command, "state": "failed", "error": text}
        sentence = f"`engagement {command}` did not begin: {text}."
        message = notification.message(event, sentence, run=run, exit_code=exit_code, settings=settings)
        # As it may be kept: without what must not leave.
        key = message["run"]["error"]
        if known is None or (name in known and not known[name].is_due_again(key, now)):
            return
        if delivered(destination, message):
            known[name] = told.told_now(event, key, now)


def delivered(
    destination: Destination, message: Mapping[str, Any], *, seconds: float = TOTAL_SECONDS
) -> bool:
    """Whether it went at least one way in these seconds; what did not is a warning. A process that is being ended has
    a few seconds only.
    """
    left = stopping.seconds_left()
    if left is not None:
        seconds = min(seconds, left - _SECONDS_TO_END)
    if seconds < _LEAST_SECONDS:
        log.warning("warning: notify: no time left to notify; the next `engagement watch` does")
        return False
    delivery = deliver(destination, message, seconds=seconds)
    for problem in delivery.problems:
        log.warning("warning: %s", problem)
    return bool(delivery.ways)


def _quietly(tell: Callable[P, None], *arguments: P.args, **named: P.kwargs) -> None:
    """Whatever happens in it changes nothing: a signal ends the telling, not what was done before."""
    try:
        tell(*arguments, **named)
    except (stopping.Stopped, KeyboardInterrupt):
        log.warning("warning: notify: ended by a signal before it was done")
    except Exception as error:
        # Its text may hold anything.
        log.warning("warning: notify: not possible (%s)", type(error).__name__)
