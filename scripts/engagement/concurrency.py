"""How many requests go out at once: found out, not configured, for the app and for each mailbox.

The service allows so many at once for an app and a mailbox, and its documentation is of two minds about whether
it counts by mailbox. So both limits rise while the answers are quiet, one step after as many quiet answers as
make a round, and are halved by an answer that asks for less; up to a ceiling (settings). What a mailbox was asked
to wait holds for all requests to it, since calls that come too early count as well.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engagement.http import Interrupted, Patience

FIRST_LIMIT = 4
ROUNDS_BEFORE_RAISED = 4
# Of one processor, since Python computes on one at a time: from here on no request more, and one less.
BUSY_SHARE, FULL_SHARE = 0.8, 0.9
# A wait that has been slept is over, whatever the clock's last digit says.
_HAIR = 1e-6


@dataclass(eq=False)
class _Window:
    """Requests at once: how many are out, how many may be, and from when on."""

    limit: int
    most: int
    busy: int = 0
    quiet_answers: int = 0
    not_before: float = 0.0

    def rise(self) -> None:
        self.quiet_answers += 1
        if self.quiet_answers >= self.limit * ROUNDS_BEFORE_RAISED and self.limit < self.most:
            self.limit, self.quiet_answers = self.limit + 1, 0

    def fall(self) -> None:
        self.limit, self.quiet_answers = max(self.limit // 2, 1), 0


@dataclass(eq=False)
class _Ticket:
    """A request that waits, the windows that must have room for it, and what wakes it."""

    windows: list[_Window]
    woken: threading.Condition

    @property
    def has_room(self) -> bool:
        return all(window.busy < window.limit for window in self.windows)


class CpuShare:
    """How much of a processor this process had of late: 1.0 is all of one. None before there is anything to say."""

    SECONDS = 0.2

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, cpu: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._cpu = cpu
        self._since = clock(), cpu()
        self._share: float | None = None

    def __call__(self) -> float | None:
        at, used = self._clock(), self._cpu()
        before, used_before = self._since
        if at - before >= self.SECONDS:
            self._since, self._share = (at, used), (used - used_before) / (at - before)
        return self._share


class Concurrency:
    """The slots for requests of all threads. It waits by the patience's clock, and ends where that is told to."""

    def __init__(
        self,
        *,
        most: int,
        most_per_mailbox: int,
        patience: Patience,
        cpu_share: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._most_per_mailbox = most_per_mailbox
        self._cpu_share = cpu_share
        self._patience = patience
        self._lock = threading.RLock()
        self._app = _Window(min(FIRST_LIMIT, most), most)
        self._app_lowered_until = 0.0
        self._mailboxes: dict[str, _Window] = {}
        self._waiting: list[_Ticket] = []

    def stop(self) -> None:
        """Everybody who waits gets Interrupted."""
        self._patience.stopped.set()
        with self._lock:
            for ticket in self._waiting:
                ticket.woken.notify()

    def limit_of(self, mailbox: str) -> int:
        """How many requests to a mailbox may be out at once."""
        with self._lock:
            return self._window(mailbox).limit

    @property
    def limit(self) -> int:
        """How many requests may be out at once."""
        return self._app.limit

    @contextmanager
    def slot(self, mailbox: str | None) -> Iterator[None]:
        """Waits until one more request may go out; Interrupted when the run is told to end meanwhile."""
        windows = self._wait_for(mailbox)
        try:
            yield
        finally:
            with self._lock:
                for window in windows:
                    window.busy -= 1
                self._wake()

    def _wait_for(self, mailbox: str | None) -> list[_Window]:
        while True:
            with self._lock:
                windows = [self._app] if mailbox is None else [self._app, self._window(mailbox)]
                # First come, first served: a thread that asks again at once would else pass by those that wait.
                ticket = _Ticket(windows, threading.Condition(self._lock))
                self._waiting.append(ticket)
                try:
                    while True:
                        if self._patience.stopped.is_set():
                            raise Interrupted("the run was ended while it waited")
                        seconds = max(window.not_before for window in windows) - self._patience.clock()
                        if seconds > _HAIR:
                            break
                        if self._first() is ticket:
                            for window in windows:
                                window.busy += 1
                            return windows
                        ticket.woken.wait()
                finally:
                    self._waiting.remove(ticket)
                    self._wake()
            self._patience.sleep(seconds)

    def _first(self) -> _Ticket | None:
        """Whose turn it is."""
        return next((ticket for ticket in self._waiting if ticket.has_room), None)

    def _wake(self) -> None:
        """Wakes the one whose turn it is, and nobody else: a dozen threads that look and wait on cost time."""
        if (first := self._first()) is not None:
            first.woken.notify()

    def quiet(self, mailbox: str | None) -> None:
        """An answer without complaint. More requests at once are of no use to a processor that has its hands full:
        their threads would only get into each other's way.
        """
        with self._lock:
            share = self._cpu_share()
            if share is None or share < BUSY_SHARE:
                self._app.rise()
            elif share >= FULL_SHARE:
                self._app.limit = max(self._app.limit - 1, 1)
            if mailbox is not None:
                self._window(mailbox).rise()
            self._wake()

    def throttled(self, mailbox: str | None, seconds: float) -> None:
        """An answer that asks for less, and to wait so long.

        It speaks of the mailbox; where the mailbox had a single request out already, or there is none, of the
        app. Whatever comes within the wait was sent before it, and lowers the app's limit no further.
        """
        with self._lock:
            now = self._patience.clock()
            box = None if mailbox is None else self._window(mailbox)
            if box is None or box.limit == 1:
                if self._app.limit == 1:
                    self._app.not_before = max(self._app.not_before, now + seconds)
                elif now >= self._app_lowered_until:
                    self._app.fall()
                    self._app_lowered_until = now + seconds
            if box is not None:
                box.fall()
                box.not_before = max(box.not_before, now + seconds)

    def _window(self, mailbox: str) -> _Window:
        return self._mailboxes.setdefault(mailbox, _Window(1, self._most_per_mailbox))
