"""Who works on the data, and what runs did: one run at a time, its state on disk beside the private file.

`run_state.json` is replaced atomically at every change, so that `engagement status` and the pages can tell of a
run that is going on or has failed while a writer locks the private file. It carries the last runs along; every
command that opens the private file for writing records them there (raw.runs, raw.run_steps,
raw.enrichment_runs), a run that was killed among them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from engagement import durable, logs, stopping
from engagement.configuration.settings import Settings
from engagement.durable import FILE_MODE
from engagement.errors import BusyError, EngagementError
from engagement.warehouse import (
    Connection,
    Row,
    append,
    prepare_data_dir,
    transaction,
    utc_now,
)

# So many runs are kept in run_state.json; raw.runs keeps them all.
RUNS_CARRIED = 50

SUCCESSFUL, WITH_WARNINGS, FAILED = "successful", "completed_with_warnings", "failed"
# Ended by a signal: nothing is wrong, and the next run goes on from there.
CANCELLED = "cancelled"

SECONDS_BETWEEN_PROGRESS = 2.0


class RunFiles(Protocol):
    """Where the state of runs lies: what a reader of it needs to know."""

    @property
    def run_state_file(self) -> Path: ...

    @property
    def run_lock_file(self) -> Path: ...


@contextmanager
def single_run(settings: Settings, *, command: str) -> Iterator[None]:
    """Only one process at a time extracts, builds or publishes. The lock dies with its owner, so none is ever
    stale.
    """
    prepare_data_dir(settings)
    descriptor = os.open(settings.run_lock_file, os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        # `engagement status` holds it for a moment to see whether it is free.
        if not durable.locked(descriptor, wait_seconds=0.1):
            raise BusyError(_who_holds(descriptor))
        owner = {"pid": os.getpid(), "command": command, "started_at": f"{utc_now():%Y-%m-%dT%H:%M:%SZ}"}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
        for folder in {settings.data_dir, settings.private_file.parent}:
            durable.remove_leftovers(folder)
        yield
    finally:
        os.close(descriptor)


def is_free(descriptor: int) -> bool:
    """Whether nobody holds the lock; held for a moment to see that."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return True


def _who_holds(descriptor: int) -> str:
    owner = owner_of(descriptor)
    who = "another process" if owner is None else str(owner)
    return (
        f"run.lock: another run is going on ({who}); wait until it has ended, or end it with `engagement cancel`,"
        " then run again"
    )


@dataclass(frozen=True)
class Owner:
    """Who took the lock, as he wrote it there."""

    pid: int
    command: str
    started_at: str

    def __str__(self) -> str:
        return f"`engagement {self.command}`, process {self.pid}, started {self.started_at}"


def owner_of(descriptor: int) -> Owner | None:
    """What stands in the lock's file, which may be what an owner before left; None where it says nothing."""
    try:
        found = json.loads(os.pread(descriptor, 4096, 0))
        owner = Owner(found["pid"], found["command"], found["started_at"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return owner if type(owner.pid) is int and owner.pid > 0 else None


def instant_text(value: datetime | None) -> str | None:
    """An instant (UTC, naive) as JSON has it."""
    return None if value is None else value.isoformat(timespec="milliseconds") + "Z"


def instant_of(text: object) -> datetime | None:
    """The instant that `instant_text` wrote; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        instant = datetime.fromisoformat(text.removesuffix("Z"))
    except ValueError:
        return None
    return instant if instant.tzinfo is None else None


@dataclass
class EnrichmentRun:
    """What a run did for one enrichment: people or customers selected and processed, lookups requested.

    `read_to_at` is the service's clock, up to which an office enrichment was read.
    """

    state: str = "running"
    detail: str | None = None
    selected: int | None = None
    processed: int | None = None
    requested: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    read_to_at: str | None = None

    def finish(self, *, warnings: bool, detail: str | None = None) -> None:
        """It came to its end, with or without something to say about it."""
        self.state = WITH_WARNINGS if warnings else SUCCESSFUL
        self.detail = detail


@dataclass
class RunState:
    """What a run is doing and did; `previous` are the runs before it, newest first."""

    path: Path
    run_id: str
    command: str
    started_at: datetime = field(default_factory=utc_now)
    state: str = "running"
    step: str | None = None
    steps: dict[str, float] = field(default_factory=dict)
    enrichments: dict[str, EnrichmentRun] = field(default_factory=dict)
    error: str | None = None
    finished_at: datetime | None = None
    published_at: str | None = None
    published_run_id: str | None = None
    published_run_started_at: str | None = None
    next_due: str | None = None
    previous: list[dict[str, Any]] = field(default_factory=list)
    # How far the step is; only while it goes on.
    progressed: dict[str, Any] | None = None
    clock: Callable[[], float] = time.monotonic
    _progressed_at: float | None = None
    # Whoever ends a process that does not end itself does so from another thread.
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False, compare=False)

    @classmethod
    def begin(cls, settings: Settings, *, command: str) -> RunState:
        """A new run, to be called by the owner of the lock; what the last published run left (published_at,
        next_due) is carried on.
        """
        before = read_run_state(settings)
        now = utc_now()
        state = cls(
            path=settings.run_state_file,
            run_id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            command=command,
            started_at=now,
            published_at=before.get("published_at"),
            published_run_id=before.get("published_run_id"),
            published_run_started_at=before.get("published_run_started_at"),
            next_due=before.get("next_due"),
            previous=_with_previous(before),
        )
        state.save()
        logs.note(command=command, run_id=state.run_id)
        return state

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """One step, with its seconds. None begins after a signal, though something may have swallowed that."""
        stopping.check()
        self.step = step
        self.save()
        logs.note(step=step)
        began = time.monotonic()
        try:
            yield
        finally:
            self.steps[step] = round(self.steps.get(step, 0.0) + time.monotonic() - began, 2)
            self.progressed = self._progressed_at = None
            logs.note(step=None)

    def progress(self, how_far: str | Mapping[str, Any]) -> None:
        """How far the step is, for `engagement status`: a line, or numbers with it as `text`. Written at most every
        two seconds, so it may be called as often as anything happens; gone at the end of the step.
        """
        now = self.clock()
        if self._progressed_at is not None and now - self._progressed_at < SECONDS_BETWEEN_PROGRESS:
            return
        self._progressed_at = now
        fields = {"text": how_far} if isinstance(how_far, str) else dict(how_far)
        self.progressed = {**fields, "at": instant_text(utc_now())}
        # What only tells is no reason to end a run: the disk's own error comes with the next row.
        with contextlib.suppress(OSError):
            self.save()

    @contextmanager
    def enriching(self, enrichment_id: str) -> Iterator[EnrichmentRun]:
        """What is done for one enrichment; it has failed unless it is finished inside."""
        entry = EnrichmentRun(started_at=instant_text(utc_now()))
        self.enrichments[enrichment_id] = entry
        self.save()
        try:
            yield entry
        except BaseException as error:
            if stopping.number_of(error) is not None:
                entry.state = CANCELLED
            elif isinstance(error, EngagementError):
                entry.detail = error.message
            # The error goes on its way, also where the disk that made it has no room for this either.
            with contextlib.suppress(OSError):
                self._end(entry)
            raise
        self._end(entry)

    def _end(self, entry: EnrichmentRun) -> None:
        if entry.state == "running":
            entry.state = FAILED
        entry.finished_at = instant_text(utc_now())
        self.save()

    def finish(self, *, state: str, error: str | None = None) -> None:
        """done, failed or cancelled; the step that did not end stays named."""
        self.progressed = None
        self.state = state
        self.error = error
        self.finished_at = utc_now()
        if state == "done":
            self.step = None
        elif state == CANCELLED:
            for entry in self.enrichments.values():
                if entry.state == "running":
                    entry.state, entry.finished_at = CANCELLED, instant_text(self.finished_at)
        self.save()

    def note_published(self, next_due: datetime | None) -> None:
        """This run has published; None where nothing is due by itself."""
        self.published_at = instant_text(utc_now())
        self.published_run_id = self.run_id
        self.published_run_started_at = instant_text(self.started_at)
        self.next_due = instant_text(next_due)
        self.save()

    def note_published_again(self) -> None:
        """This run has published what was there before without somebody or something; nothing was refreshed by it."""
        self.published_at = instant_text(utc_now())
        self.published_run_id = self.run_id
        self.save()

    def as_dict(self) -> dict[str, Any]:
        """What run_state.json holds."""
        return {
            "run_id": self.run_id,
            "command": self.command,
            "state": self.state,
            "step": self.step,
            "pid": os.getpid(),
            "started_at": instant_text(self.started_at),
            "finished_at": instant_text(self.finished_at),
            "steps": self.steps,
            "progress": self.progressed,
            "enrichments": {name: asdict(entry) for name, entry in self.enrichments.items()},
            "error": self.error,
            "published_at": self.published_at,
            "published_run_id": self.published_run_id,
            "published_run_started_at": self.published_run_started_at,
            "next_due": self.next_due,
            "previous": self.previous,
        }

    def save(self) -> None:
        """Replaces run_state.json atomically, on the disk when this returns. OSError where it cannot be written."""
        with self._lock:
            durable.write(self.path, (json.dumps(self.as_dict(), indent=2) + "\n").encode())

    def record(self, connection: Connection, *, state: str | None = None) -> None:
        """Puts this run (as `state`, where given) and those carried along into the raw tables of runs."""
        current = self.as_dict() | {"state": state or self.state}
        if state is not None:
            current["finished_at"] = instant_text(utc_now())
        runs = [current, *self.previous]
        with transaction(connection):
            for table, rows in (
                ("runs", [run_row(run) for run in runs]),
                ("run_steps", [row for run in runs for row in step_rows(run)]),
                ("enrichment_runs", [row for run in runs for row in _enrichment_rows(run)]),
            ):
                connection.execute(
                    f"delete from raw.{table} where list_contains(?, run_id)",
                    [[run["run_id"] for run in runs]],
                )
                append(connection, table, rows)


def _with_previous(before: dict[str, Any]) -> list[dict[str, Any]]:
    """The run before and those before it. One that still says that it is running was killed: the lock is ours."""
    if not before:
        return []
    last = {name: value for name, value in before.items() if name not in ("previous", "progress")}
    if last.get("state") == "running":
        last["state"] = "killed"
    return [last, *before["previous"]][:RUNS_CARRIED]


def run_row(run: dict[str, Any]) -> Row:
    """A run as raw.runs has it: id, command, state, error, start, end, instant of publication (UTC; null where it did
    not publish).
    """
    published = run.get("published_run_id") == run["run_id"]
    return (
        run["run_id"],
        run.get("command"),
        run.get("state"),
        run.get("error"),
        instant_of(run.get("started_at")),
        instant_of(run.get("finished_at")),
        instant_of(run.get("published_at")) if published else None,
    )


def step_rows(run: dict[str, Any]) -> Iterator[Row]:
    """Its steps as raw.run_steps has them: id of the run, place from 1, step, state, seconds (null where it was killed
    in it).
    """
    steps: dict[str, float | None] = dict(run.get("steps") or {})
    state = run.get("state")
    ended_in = run.get("step") if state in ("failed", "killed", CANCELLED) else None
    if ended_in is not None:
        # A run that was killed never noted the seconds of its last step.
        steps.setdefault(ended_in, None)
    how = CANCELLED if state == CANCELLED else "failed"
    for position, (step, seconds) in enumerate(steps.items(), start=1):
        yield (run["run_id"], position, step, how if step == ended_in else "done", seconds)


def _enrichment_rows(run: dict[str, Any]) -> Iterator[Row]:
    for enrichment_id, entry in (run.get("enrichments") or {}).items():
        has_ended = entry.get("state") != "running"
        yield (
            run["run_id"],
            enrichment_id,
            # Of a run that was killed nothing came to its end.
            entry.get("state") if has_ended or run.get("state") != "killed" else FAILED,
            entry.get("detail"),
            entry.get("selected"),
            entry.get("processed"),
            entry.get("requested"),
            *(instant_of(entry.get(name)) for name in ("started_at", "finished_at", "read_to_at")),
        )


def read_run_state(files: RunFiles) -> dict[str, Any]:
    """The last run's state; empty where there is none, or it cannot be read or is of another shape."""
    try:
        state = json.loads(files.run_state_file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not _is_run(state):
        return {}
    previous = state.get("previous")
    state["previous"] = [run for run in previous if _is_run(run)] if isinstance(previous, list) else []
    return dict(state)


def read_last_run(files: RunFiles) -> dict[str, Any]:
    """The same, but a run that says it is running and whose lock nobody holds was `killed`."""
    state = read_run_state(files)
    if state.get("state") != "running" or is_run_going_on(files):
        return state
    # It may have ended this moment: whoever ends notes that before the lock is free.
    again = read_run_state(files)
    if again.get("run_id") == state["run_id"] and again.get("state") == "running":
        again["state"] = "killed"
    return again


def seconds_taken(runs: Iterable[Mapping[str, Any]], command: str | None) -> Iterator[float]:
    """How long those of these runs took that are of this command and done, in their order; below 0 where the clock was
    set back meanwhile.
    """
    for run in runs:
        began, ended = instant_of(run.get("started_at")), instant_of(run.get("finished_at"))
        if run.get("command") == command and run.get("state") == "done" and began and ended:
            yield (ended - began).total_seconds()


def _is_run(run: Any) -> bool:
    """Whether something read is a run as `as_dict` writes it."""
    if not isinstance(run, dict) or not isinstance(run.get("run_id"), str):
        return False
    steps, enrichments = run.get("steps", {}), run.get("enrichments", {})
    return (
        isinstance(steps, dict)
        and all(isinstance(seconds, int | float) for seconds in steps.values())
        and isinstance(enrichments, dict)
        and all(
            isinstance(entry, dict) and isinstance(entry.get("state"), str) for entry in enrichments.values()
        )
        and all(isinstance(run.get(name), str | None) for name in ("command", "state", "step", "error"))
        and isinstance(run.get("progress"), dict | None)
    )


def is_run_going_on(files: RunFiles) -> bool:
    """Whether somebody holds the lock. Process ids come back, most of all in containers, so they tell nothing."""
    try:
        descriptor = os.open(files.run_lock_file, os.O_RDONLY)
    except OSError:
        return False
    try:
        return not is_free(descriptor)
    finally:
        os.close(descriptor)
