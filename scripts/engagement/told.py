"""What somebody was notified of and is not over yet: `watch_state.json`, so that nobody is told the same every five
minutes, but again after a day, and once when it is over.

    {"version": 1, "incidents": {"last_run": {"event": "run_failed", "key": "...", "told_at": "..."}}}
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path

from engagement import durable
from engagement.locations import watch_state_of
from engagement.run_state import instant_of, instant_text

TOLD_AGAIN_AFTER = timedelta(days=1)
# Clocks differ and are set; more than this is a clock that was wrong.
CLOCK_SLACK = timedelta(minutes=5)

# The names of incidents; each is there once at most. Of NOT_BEGUN one for every command.
LAST_RUN, OVERDUE, GOING_ON, CLOCK, PUBLISHED, STATE = (
    "last_run",
    "overdue",
    "going_on",
    "clock",
    "published",
    "state",
)
NOT_BEGUN = "not_begun:"
# Nothing that is wrong, and so never over: the last run that was cancelled and told of.
LAST_CANCELLED = "last_cancelled"


@dataclass(frozen=True)
class Told:
    """One incident: the event that was told, what tells it from the next of its name, and when it was told last."""

    event: str
    key: str
    told_at: str

    def is_due_again(self, key: str, now: datetime) -> bool:
        """Whether this is another one, or was told a day ago; or in the future, by a clock that was wrong."""
        at = instant_of(self.told_at)
        return self.key != key or at is None or not -CLOCK_SLACK <= now - at < TOLD_AGAIN_AFTER


def read(data_dir: Path) -> dict[str, Told]:
    """What was told, by the names of incidents; nothing where the file is missing or of another shape."""
    try:
        found = json.loads(watch_state_of(data_dir).read_text("utf-8"))
        return {
            name: Told(entry["event"], entry["key"], entry["told_at"])
            for name, entry in found["incidents"].items()
            if all(isinstance(entry[part], str) for part in ("event", "key", "told_at"))
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


@contextmanager
def remembering(data_dir: Path, *, wait_seconds: float = 1.0) -> Iterator[dict[str, Told] | None]:
    """What was told, to be changed: it is written down at the end, whatever ends it. None where somebody else is just
    telling. OSError where nothing can be written down.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(data_dir / "watch.lock", os.O_RDWR | os.O_CREAT, durable.FILE_MODE)
    try:
        if not durable.locked(descriptor, wait_seconds=wait_seconds):
            yield None
            return
        told = read(data_dir)
        before = dict(told)
        try:
            yield told
        finally:
            if told != before:
                content = {"version": 1, "incidents": {name: asdict(entry) for name, entry in told.items()}}
                durable.write(watch_state_of(data_dir), (json.dumps(content, indent=2) + "\n").encode())
    finally:
        os.close(descriptor)


def told_now(event: str, key: str, now: datetime) -> Told:
    """An entry for what was told this moment."""
    return Told(event, key, instant_text(now) or "")
