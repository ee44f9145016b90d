"""Progress of what takes longer than two seconds: a bar on a terminal, plain lines otherwise, or JSON lines.

    slices: 340 of 5,000, 120 of 2,500 mailboxes, 34,000 messages (5,200 messages/s), about 12 min left

What is left is estimated from the share done, so it needs a total; the rates are those of the last ten seconds.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from engagement import logs

log = logging.getLogger(__name__)

# Of so many parts one must be done before what is left is estimated.
LEAST_SHARE_DONE = 100

SECONDS_BEFORE_SHOWN = 2.0
SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_TELLINGS = 2.0
RATE_SECONDS = 10.0
# A sample for every event would be one for every message.
_SECONDS_BETWEEN_SAMPLES = 0.5

Clock = Callable[[], float]
# Gets the line and the numbers in it: `RunState.progress`.
Tell = Callable[[Mapping[str, Any]], object]


class Progress:
    """Counts up to a total that may still change, and what flows by meanwhile. Any thread may call it."""

    def __init__(
        self,
        noun: str,
        total: int | None,
        *,
        bar: Bar | None = None,
        tell: Tell | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._noun = noun
        self._total = total
        self._bar = bar
        self._task = None if bar is None else bar.add_task(noun, total=total, visible=False)
        self._tell = tell
        self._clock = clock
        self._lock = threading.RLock()
        self._done = 0
        self._note = ""
        self._counts: dict[str, int] = {}
        self._began = clock()
        self._samples: deque[tuple[float, dict[str, int]]] = deque([(self._began, {})])
        self._said_at: float | None = None
        self._told_at: float | None = None

    def advance(self, *, to: int | None = None, total: int | None = None) -> None:
        """One more, or so many; shown once two seconds have passed."""
        with self._lock:
            self._done = self._done + 1 if to is None else to
            self._total = self._total if total is None else total
            self.tick()

    def count(self, **amounts: int) -> None:
        """So many more flowed by: `count(messages=500)`."""
        with self._lock:
            for name, amount in amounts.items():
                self._counts[name] = self._counts.get(name, 0) + amount
            self.tick()

    def note(self, text: str) -> None:
        """What stands beside the numbers until the next note: `note("120 of 2,500 mailboxes")`."""
        with self._lock:
            self._note = text
            self.tick()

    def tick(self) -> None:
        """Shows what there is where it is time for that; for loops that wait and have nothing to count."""
        with self._lock:
            now = self._clock()
            if now - self._samples[-1][0] >= _SECONDS_BETWEEN_SAMPLES:
                self._samples.append((now, dict(self._counts)))
            late = now - self._began >= SECONDS_BEFORE_SHOWN
            if self._bar is not None and self._task is not None:
                self._bar.update(self._task, completed=self._done, total=self._total, visible=late)
            elif late and (self._said_at is None or now - self._said_at >= SECONDS_BETWEEN_LINES):
                self._said_at = now
                log.info("%s", self.line(), extra={"fields": self.fields()})
            if (
                self._tell is not None
                and late
                and (self._told_at is None or now - self._told_at >= SECONDS_BETWEEN_TELLINGS)
            ):
                self._told_at = now
                self._tell({"text": self.line(), **self.fields()})

    def rates(self) -> dict[str, float]:
        """What flowed by a second in the last ten; empty while no time has passed."""
        with self._lock:
            now = self._clock()
            while len(self._samples) > 1 and self._samples[1][0] <= now - RATE_SECONDS:
                self._samples.popleft()
            since, before = self._samples[0]
            if now <= since:
                return {}
            return {
                name: (amount - before.get(name, 0)) / (now - since) for name, amount in self._counts.items()
            }

    def seconds_left(self) -> float | None:
        """The time so far times what is left of what is done; None where that cannot be told or nothing is left."""
        with self._lock:
            elapsed = self._clock() - self._began
            if self._total is None or elapsed <= 0 or not 0 < self._done < self._total:
                return None
            if self._done * LEAST_SHARE_DONE < self._total:
                # What comes first (dbt's start) says nothing about the rest.
                return None
            return elapsed * (self._total - self._done) / self._done

    def fields(self) -> dict[str, Any]:
        """The numbers of the line."""
        with self._lock:
            found: dict[str, Any] = {"progress": self._noun, "done": self._done, "total": self._total}
            rates = self.rates()
            for name, amount in self._counts.items():
                found[name] = amount
                if name in rates:
                    found[f"{name}_per_second"] = round(rates[name], 1)
            if self._note:
                found["note"] = self._note
            if (left := self.seconds_left()) is not None:
                found["seconds_left"] = round(left)
            return found

    def line(self) -> str:
        """Everything in one line of words."""
        with self._lock:
            return f"{self._noun}: {', '.join(filter(None, [self.counted(), self.left()]))}"

    def counted(self) -> str:
        """Done and total, the note, and what flowed by with its rates."""
        with self._lock:
            done = f"{self._done:,}" if self._total is None else f"{self._done:,} of {self._total:,}"
            rates = self.rates()
            flow = [
                f"{amount:,} {name}" + (f" ({_rounded(rates[name])} {name}/s)" if name in rates else "")
                for name, amount in self._counts.items()
            ]
            return ", ".join(filter(None, [done, self._note, *flow]))

    def left(self) -> str:
        """The time that is left, in words; empty where that cannot be told."""
        seconds = self.seconds_left()
        return "" if seconds is None else f"{duration_in_words(seconds)} left"


def _rounded(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 9.95 or rate == 0 else f"{rate:.1f}"


def duration_in_words(seconds: float) -> str:
    """About how long: 'less than 1 min', 'about 12 min', 'about 2 h 5 min'."""
    if seconds < 60:
        return "less than 1 min"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"about {minutes} min"
    return f"about {minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


class _Words(ProgressColumn):
    """A column whose words are asked for whenever the bar is drawn, so that rates fall while nothing comes."""

    def __init__(self) -> None:
        self.words: Callable[[], str] = str
        super().__init__()

    def render(self, task: Task) -> Text:
        return Text(self.words(), style="progress.download")


@contextmanager
def progress(noun: str, *, total: int | None = None, tell: Tell | None = None) -> Iterator[Progress]:
    """A bar on stderr where that is a terminal, else lines through the log. `tell` gets the same every two seconds."""
    if logs.as_json() or not sys.stderr.isatty():
        yield Progress(noun, total, tell=tell)
        return
    counted, left = _Words(), _Words()
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), counted, TimeElapsedColumn(), left)
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        one = Progress(noun, total, bar=bar, tell=tell)
        counted.words, left.words = one.counted, one.left
        yield one
