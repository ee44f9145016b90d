"""Threads that carry out calls while one thread writes: it hands them calls, and takes what came of each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(eq=False)
class Call(Generic[T]):
    """One call: `what` it is for, and once it is over its answer or what was raised instead. `has_left` is set by
    the thread that makes it, as soon as the request leaves.
    """

    what: T
    has_left: bool = False
    answer: object = None
    error: BaseException | None = field(default=None)

    def gone(self) -> None:
        """The request leaves now."""
        self.has_left = True


class Crew(Generic[T]):
    """At most so many threads, made as they are needed; they end with the process, whatever they wait for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._threads: list[threading.Thread] = []
        self._to_do: queue.SimpleQueue[tuple[Call[T], Callable[[Call[T]], object]] | None] = (
            queue.SimpleQueue()
        )
        self._over: queue.SimpleQueue[Call[T]] = queue.SimpleQueue()
        self.under_way: set[Call[T]] = set()

    def start(self, what: T, act: Callable[[Call[T]], object]) -> None:
        """Hands out a call: `act` makes it, in another thread."""
        call = Call(what)
        self.under_way.add(call)
        if len(self._threads) < min(len(self.under_way), self._most):
            thread = threading.Thread(target=self._work, name=f"leadspace-{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._to_do.put((call, act))

    def over(self, seconds: float) -> list[Call[T]]:
        """The calls that are over; where there is none, it waits for one for so long."""
        found: list[Call[T]] = []
        try:
            found.append(self._over.get(timeout=seconds))
            while True:
                found.append(self._over.get_nowait())
        except queue.Empty:
            pass
        self.under_way.difference_update(found)
        return found

    def dismiss(self) -> None:
        """Who has nothing to do ends; what is under way goes on, and nobody hears of it."""
        for _ in self._threads:
            self._to_do.put(None)

    def _work(self) -> None:
        while (handed := self._to_do.get()) is not None:
            call, act = handed
            try:
                call.answer = act(call)
            except BaseException as error:  # for the one who waits for it
                call.error = error
            self._over.put(call)
