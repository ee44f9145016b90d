"""`engagement watch`: what a run cannot tell by itself, because it was killed, did not begin, or does not end.

Reads run_state.json, run.lock and the published file alone, so that it works while a run goes on, and notifies once
of each incident, again after a day, and when it is over. It decides by the clock of the machine, and says so where
that cannot be right.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engagement import notification, notify, told
from engagement.configuration.destination import Destination
from engagement.configuration.settings import Settings
from engagement.delivery import TOTAL_SECONDS, deliver
from engagement.errors import DONE, RUNS_NEED_ATTENTION, ConfigurationError, ServiceError
from engagement.notification import moment, moment_of
from engagement.outcome import Outcome
from engagement.run import due_at, refresh_periods
from engagement.run_state import (
    CANCELLED,
    instant_of,
    instant_text,
    is_run_going_on,
    read_last_run,
    seconds_taken,
)
from engagement.status import read_status, run_in_words
from engagement.told import CLOCK_SLACK, Told
from engagement.warehouse import utc_now

log = logging.getLogger(__name__)

# A run that goes on for so many times the longest of the last ones of its kind is told of; a short one may well take
# half an hour for once, and the first reads the whole past.
TIMES_LONGEST = 3
SHORTEST_LONG, FIRST_LONG = timedelta(minutes=30), timedelta(days=2)

RECOVERED, TEST = "recovered", "test"
# What shows that the data has moved on, whatever failed before.
_PUBLISHING = ("run", "publish")


@dataclass(frozen=True)
class Incident:
    """Something that is wrong: one of each `name` at most; `key` tells it from the next one of the same name."""

    name: str
    event: str
    key: str
    text: str
    since: datetime | None
    run: Mapping[str, Any] | None = None


def watch(settings: Settings) -> Outcome:
    """Finds what is wrong, notifies where enrichments.yml says how, and ends with 13 where anything is."""
    now = utc_now()
    known = told.read(settings.data_dir)
    found = list(incidents(settings, known, now))
    lines: dict[str, str] = {}
    recovered: list[str] = []
    if settings.destination is not None:
        with _remembered(settings) as memory:
            if memory is not None:
                found = list(incidents(settings, memory, now))
                lines, recovered = _tell(settings, settings.destination, found, memory, now)
    outcome = Outcome(exit_code=RUNS_NEED_ATTENTION if found else DONE)
    guard = notification.Guard(settings)
    for incident in found:
        outcome.lines.append(f"{incident.event}: {guard.text(incident.text)}")
        outcome.lines.append(f"  {lines.get(incident.name, 'not notified')}")
    if not found:
        outcome.lines.append(f"nothing is wrong. {run_in_words(read_status(settings)['run'], now)}")
    outcome.lines += [f"over: {event}" for event in recovered]
    outcome.facts = {
        "incidents": [
            {
                "event": incident.event,
                "text": guard.text(incident.text),
                "since": instant_text(incident.since),
                "run_id": (incident.run or {}).get("run_id"),
                "notified": lines.get(incident.name, "not notified"),
            }
            for incident in found
        ],
        "recovered": recovered,
    }
    return outcome


def test(settings: Settings) -> Outcome:
    """Sends a message that says it is a test. ServiceError where it does not go every way that is configured."""
    if settings.destination is None:
        raise ConfigurationError(
            "notify: enrichments.yml says nothing of notifying; add notify with a command or a webhook"
        )
    text = "This is a test: notifications of runs arrive here."
    run = read_status(settings)["run"]
    delivery = deliver(
        settings.destination, notification.message(TEST, text, run=run, exit_code=DONE, settings=settings)
    )
    if delivery.problems:
        raise ServiceError("notify: the test message was not delivered", findings=delivery.problems)
    return Outcome(
        lines=[f"{way}: the test message was delivered" for way in delivery.ways],
        facts={"delivered": list(delivery.ways)},
    )


# --- what is wrong


def incidents(settings: Settings, known: Mapping[str, Told], now: datetime) -> Iterator[Incident]:
    """Everything that is wrong at this moment, one of each name at most."""
    if not _is_state_readable(settings):
        yield Incident(
            told.STATE,
            "state_unreadable",
            "",
            f"{settings.run_state_file.name} cannot be read, so nothing is known of the runs; watch as the user who"
            " runs, or let the next `engagement run` replace it",
            None,
        )
        return
    state = read_last_run(settings)
    is_going_on = is_run_going_on(settings)
    yield from _not_begun(known, state)
    yield from _last_run(state)
    if state.get("state") == "running":
        yield from _going_on(state, now)
    clock = list(_clock(state, now))
    yield from clock
    # A clock that is wrong says nothing of what is due.
    if not is_going_on and not clock:
        yield from _overdue(settings, state, now)
    yield from _published(settings, state)


def _is_state_readable(settings: Settings) -> bool:
    try:
        with settings.run_state_file.open("rb"):
            pass
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return bool(read_last_run(settings))


def _runs(state: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """All that are carried, newest first."""
    if state:
        yield state
        yield from state["previous"]


def _not_begun(known: Mapping[str, Told], state: Mapping[str, Any]) -> Iterator[Incident]:
    """A run that did not begin is known from what was told alone; over once one has begun since."""
    name = f"{told.NOT_BEGUN}run"
    entry = known.get(name)
    if entry is None:
        return
    at = instant_of(entry.told_at)
    begun = [instant_of(run.get("started_at")) for run in _runs(state) if run.get("command") == "run"]
    if at is None or any(began is not None and began > at for began in begun):
        return
    text = f"`engagement run` did not begin at {moment_of(at)}: {entry.key}."
    yield Incident(name, entry.event, entry.key, text, at)


def _last_run(state: Mapping[str, Any]) -> Iterator[Incident]:
    """The newest command that failed or was killed, unless the same or one that publishes has ended well since."""
    done: set[str | None] = set()
    for run in _runs(state):
        how, command = run.get("state"), run.get("command")
        if how == "done":
            if command in _PUBLISHING:
                return
            done.add(command)
        elif how in ("failed", "killed") and command not in done:
            ended = run.get("finished_at") or run.get("started_at")
            if how == "failed":
                text = notification.run_in_words(run, f"failed at {moment(ended)}")
            else:
                text = notification.run_in_words(run, f"was killed; it began at {moment(ended)} and ended")
            text += " The next run goes on from there."
            yield Incident(told.LAST_RUN, f"run_{how}", str(run["run_id"]), text, instant_of(ended), run)
            return


def _going_on(state: Mapping[str, Any], now: datetime) -> Iterator[Incident]:
    """A run that takes suspiciously long, by what the last ones of its kind took."""
    began = instant_of(state.get("started_at"))
    if began is None:
        return
    # The clock may have been set back meanwhile.
    took = [max(seconds, 0.0) for seconds in seconds_taken(state["previous"], state.get("command"))]
    longest = timedelta(seconds=max(took)) if took else None
    limit = FIRST_LONG if longest is None else max(SHORTEST_LONG, TIMES_LONGEST * longest)
    if now - began <= limit:
        return
    than = (
        "and there is no earlier one to compare it with"
        if longest is None
        else f"the longest of the last ones took {_in_words(longest)}"
    )
    step = f", in step {state['step']}" if state.get("step") else ""
    text = (
        f"`engagement {state.get('command')}` has been going on since {moment_of(began)}{step}, for"
        f" {_in_words(now - began)}; {than}. Look at it with `engagement status`, or end it with `engagement cancel`:"
        " the next goes on from there."
    )
    yield Incident(told.GOING_ON, "run_long", str(state["run_id"]), text, began, state)


def _clock(state: Mapping[str, Any], now: datetime) -> Iterator[Incident]:
    """Runs of the future: nothing would be due before that, so `engagement run --if-due` would do nothing."""
    for what, text in (
        ("the last published run", state.get("published_run_started_at")),
        ("the last run", state.get("started_at")),
    ):
        began = instant_of(text)
        if began is not None and began > now + CLOCK_SLACK:
            yield Incident(
                told.CLOCK,
                "clock_wrong",
                str(text),
                f"by the clock of this machine it is {moment_of(now)}, and {what} began at {moment_of(began)}, in the"
                " future: set the clock, then `engagement run` (without --if-due, which would wait for that moment)",
                began,
            )
            return


def _overdue(settings: Settings, state: Mapping[str, Any], now: datetime) -> Iterator[Incident]:
    """The next run should have begun, with the grace that `notify.overdue_after` gives."""
    due = due_at(settings)
    if due is None:
        return
    since = moment(state.get("published_run_started_at"))
    what = f"the last published run began at {since}"
    if due == datetime.min:
        # Nothing is published: due since somebody has first tried, and not before anybody did.
        begun = [instant_of(run.get("started_at")) for run in _runs(state)]
        due = min((began for began in begun if began is not None), default=datetime.max)
        what = "nothing is published yet, or it was moved away"
    notify_ = settings.configuration.notify
    grace = notify_.overdue_after if notify_ is not None else None
    if grace is None:
        grace = min(refresh_periods(settings)) / 2
    if due == datetime.max or now - due <= grace:
        return
    text = (
        f"a run has been due since {moment_of(due)} and is overdue by {_in_words(now - due)}; {what}. Look whether the"
        " timer of `engagement run --if-due` still fires"
    )
    yield Incident(told.OVERDUE, "run_overdue", instant_text(due) or "", text, due)


def _published(settings: Settings, state: Mapping[str, Any]) -> Iterator[Incident]:
    """A published file that nobody can open, or that is gone."""
    published = read_status(settings)["published"]
    name = settings.published_file.name
    if published is None and state.get("published_at"):
        problem = f"is gone, though it was published at {moment(state.get('published_at'))}"
    elif published is not None and not published["is_readable"]:
        problem = "cannot be read as a file that this project published"
    else:
        return
    text = f"{name}: {problem}; put it back, or publish it anew with `engagement run`"
    yield Incident(told.PUBLISHED, "published_unreadable", "", text, None)


def _in_words(duration: timedelta) -> str:
    minutes = int(duration.total_seconds() // 60)
    days, hours = minutes // 1440, minutes % 1440 // 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


# --- telling of it


@contextlib.contextmanager
def _remembered(settings: Settings) -> Iterator[dict[str, Told] | None]:
    """What was told; None, and a warning, where that cannot be known: then nobody is told the same again and again."""
    with contextlib.ExitStack() as stack:
        try:
            memory = stack.enter_context(told.remembering(settings.data_dir))
        except OSError as error:
            log.warning(
                "warning: %s: cannot be written (%s), so nobody is notified; correct its rights or make room",
                settings.watch_state_file.name,
                error.strerror,
            )
            yield None
            return
        if memory is None:
            log.warning(
                "warning: another `engagement watch` is notifying at this moment, so this one does not"
            )
        yield memory


def _tell(
    settings: Settings,
    destination: Destination,
    found: list[Incident],
    memory: dict[str, Told],
    now: datetime,
) -> tuple[dict[str, str], list[str]]:
    """Tells what is new, due again or over; what became of each incident, and the events that are over."""
    tell = _Telling(destination)
    lines: dict[str, str] = {}
    events = [incident.event for incident in found]
    for incident in found:
        before = memory.get(incident.name)
        if before is not None and not before.is_due_again(incident.key, now):
            lines[incident.name] = f"notified at {moment(before.told_at)}"
            continue
        again = " (again: it lasts)" if before is not None and before.key == incident.key else ""
        message = notification.message(
            incident.event,
            incident.text + again,
            run=incident.run,
            exit_code=RUNS_NEED_ATTENTION,
            settings=settings,
            incidents=events,
        )
        if tell(message):
            memory[incident.name] = told.told_now(incident.event, incident.key, now)
            lines[incident.name] = "notified now"
        else:
            lines[incident.name] = "could not be notified; the next `engagement watch` tries again"
    _tell_cancelled(settings, tell, memory, now)
    names = {incident.name for incident in found} | {told.LAST_CANCELLED}
    over = {name: entry.event for name, entry in memory.items() if name not in names}
    if not over:
        return lines, []
    recovered = sorted(set(over.values()))
    text = f"Over: {', '.join(recovered)}. {notification.state_of_publication(settings, run_id=None)}"
    message = notification.message(
        RECOVERED,
        text,
        run=read_last_run(settings) or None,
        exit_code=RUNS_NEED_ATTENTION if found else DONE,
        settings=settings,
        incidents=events,
        recovered=recovered,
    )
    if not tell(message):
        return lines, []
    for name in over:
        del memory[name]
    return lines, recovered


def _tell_cancelled(settings: Settings, tell: _Telling, memory: dict[str, Told], now: datetime) -> None:
    """A run that was cancelled and had no time left to tell."""
    state = read_last_run(settings)
    key = str(state.get("run_id"))
    before = memory.get(told.LAST_CANCELLED)
    notify_ = settings.configuration.notify
    if (
        state.get("state") != CANCELLED
        or state.get("command") != "run"
        or notify_ is None
        or notify.CANCELLED not in notify_.on
        or (before is not None and before.key == key)
    ):
        return
    event = notify.EVENTS[notify.CANCELLED]
    message = notification.message(
        event, notification.run_in_words(state, "was ended"), run=state, settings=settings
    )
    if tell(message):
        memory[told.LAST_CANCELLED] = told.told_now(event, key, now)


class _Telling:
    """Delivers messages, which together have the time of one."""

    def __init__(self, destination: Destination) -> None:
        self._destination = destination
        self._until = time.monotonic() + TOTAL_SECONDS

    def __call__(self, message: Mapping[str, Any]) -> bool:
        return notify.delivered(self._destination, message, seconds=self._until - time.monotonic())
