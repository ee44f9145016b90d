"""Progress of what takes longer than two seconds: a bar on a terminal, plain lines otherwise."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

log = logging.getLogger(__name__)

SECONDS_BEFORE_SHOWN = 2.0
SECONDS_BETWEEN_LINES = 10.0


class Progress:
    """Counts up to a total that may still change."""

    def __init__(self, noun: str, total: int | None, bar: Bar | None) -> None:
        self._noun = noun
        self._total = total
        self._bar = bar
        self._task = None if bar is None else bar.add_task(noun, total=total, visible=False)
        self._done = 0
        self._began = self._said = time.monotonic()

    def advance(self, *, to: int | None = None, total: int | None = None) -> None:
        """One more, or so many; shown once two seconds have passed."""
        self._done = self._done + 1 if to is None else to
        self._total = self._total if total is None else total
        now = time.monotonic()
        late = now - self._began >= SECONDS_BEFORE_SHOWN
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=self._done, total=self._total, visible=late)
        elif late and now - self._said >= (SECONDS_BETWEEN_LINES if self._said > self._began else 0):
            self._said = now
            log.info("%s: %d of %s", self._noun, self._done, "?" if self._total is None else self._total)


@contextmanager
def progress(noun: str, *, total: int | None = None) -> Iterator[Progress]:
    """A bar on stderr where that is a terminal, else lines through the log."""
    if not sys.stderr.isatty():
        yield Progress(noun, total, None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(noun, total, bar)
