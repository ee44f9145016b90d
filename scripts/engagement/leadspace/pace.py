"""How many calls go out in a second, counted where each leaves, so that the limit is never the reason for a 429."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

# Documented are 30 calls a second. A call is counted where it arrives: one that is a little slower on its way than
# those after it falls into their second, so a window of ours is longer by what such jitter may be.
CALLS_PER_WINDOW = 30
WINDOW_SECONDS = 1.02
# Within a window they are spread, faster than the limit so that time lost is made up for.
GAP_SECONDS = 1 / 36
# A contract's limit may be lower than the documented one: each 429 takes one call from a window, so that the first
# window over it is enough to find it, and so many quiet windows give one back. One that stands alone for as long tells
# of a call that was late, and not of the contract.
QUIET_WINDOWS_BEFORE_RAISED = 5
_SECONDS_BETWEEN_LOOKS = 0.005


class Pace:
    """At most so many calls in any window of time; shared by threads."""

    def __init__(
        self, *, sleep: Callable[[float], object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._sleep = sleep
        self._clock = clock
        self._lock = threading.Lock()
        self._calls = CALLS_PER_WINDOW
        self._leaving = 0
        self._left: deque[float] = deque()
        self._next = 0.0
        self._not_before = 0.0
        self._quiet = 0
        self._throttled_at = float("-inf")

    @property
    def calls(self) -> int:
        """How many calls a window has now."""
        return self._calls

    def enter(self) -> None:
        """Waits until the next call may leave; whoever has entered says when it `left`, whatever became of it."""
        while (seconds := self._seconds_until_free()) > 0:
            self._sleep(seconds)

    def _seconds_until_free(self) -> float:
        """0.0 where a call may leave now: then its place is taken."""
        with self._lock:
            now = self._clock()
            while self._left and self._left[0] <= now - WINDOW_SECONDS:
                self._left.popleft()
            seconds = max(self._next, self._not_before) - now
            if len(self._left) + self._leaving >= self._calls:
                # The oldest makes room, unless all are still on their way out.
                free_in = self._left[0] + WINDOW_SECONDS - now if self._left else _SECONDS_BETWEEN_LOOKS
                seconds = max(seconds, free_in, 0.0001)
            if seconds > 0:
                return seconds
            self._leaving += 1
            self._next = now + GAP_SECONDS
            return 0.0

    def left(self) -> None:
        """A call that had entered has left, or will not."""
        with self._lock:
            self._leaving -= 1
            self._left.append(self._clock())

    def quiet(self) -> None:
        """An answer other than 429."""
        with self._lock:
            self._quiet += 1
            if self._calls < CALLS_PER_WINDOW and self._quiet >= QUIET_WINDOWS_BEFORE_RAISED * self._calls:
                self._calls, self._quiet = self._calls + 1, 0

    def throttled(self, seconds: float) -> None:
        """A 429: fewer calls from now on, and none for as long as the service asks."""
        with self._lock:
            now = self._clock()
            if now - self._throttled_at <= QUIET_WINDOWS_BEFORE_RAISED * WINDOW_SECONDS:
                self._calls, self._quiet = max(self._calls - 1, 1), 0
            self._throttled_at = now
            self._not_before = max(self._not_before, now + seconds)
