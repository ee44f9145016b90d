"""Ending before the end: Ctrl-C, SIGTERM and `engagement cancel` end a command within ten seconds, whatever it
waits for, and leave it so that the next one goes on from there.

The first signal raises `Stopped` in the main thread; later ones do nothing, so that what ends is not disturbed. The
main thread may be inside a query, where Python hears no signal, or something may swallow what was raised. So a
thread of its own hears signals too: it interrupts the queries under way, again and again, and after seven seconds it
notes the end where the run's state is kept, ends what was started beside, and ends the process. That is no worse than
a kill, which may come at any instant anyway.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

# Ten are promised; the rest is for whoever waits to notice.
END_SECONDS = 7.0
_SECONDS_BETWEEN_INTERRUPTS = 0.25
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(SystemExit):
    """A signal asks the process to end. dbt ends its own work on a SystemExit; no `except Exception` catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


_received: int | None = None
_received_at: float | None = None
# What had gone wrong before any signal came.
_before: BaseException | None = None
_has_raised = False
_interrupts: list[Callable[[], object]] = []
_last_words: list[Callable[[int], object]] = []
_children: list[subprocess.Popen[str]] = []


def install() -> None:
    """Hears the signals from now on; to be called once, in the main thread."""
    receiver, sender = os.pipe()
    os.set_blocking(sender, False)
    for number in _SIGNALS:
        # What whoever started us wants ignored stays so: SIGINT for a job in the background.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    signal.set_wakeup_fd(sender, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(receiver,), name="signals", daemon=True).start()


def received() -> int | None:
    """The signal that asked the process to end."""
    return _received


def seconds_left() -> float | None:
    """How long this process still has before it is ended; None where nobody asked it to end."""
    return None if _received_at is None else max(0.0, END_SECONDS - (time.monotonic() - _received_at))


def number_of(error: BaseException) -> int | None:
    """The signal that an error comes from: after one, whatever is raised comes from it. None where it is an error."""
    if error is _before:
        return None
    if isinstance(error, KeyboardInterrupt) and _received is None:
        return int(signal.SIGINT)
    return error.number if isinstance(error, Stopped) else _received


def note_failure(error: BaseException) -> None:
    """This error is the end of what the command did: a signal that comes while it is told does not change that."""
    global _before
    if _received is None:
        _before = error


def in_words(number: int) -> str:
    """Who ended it: 'cancelled by Ctrl-C (SIGINT)'."""
    return f"cancelled by {'Ctrl-C (SIGINT)' if number == signal.SIGINT else signal.Signals(number).name}"


def check() -> None:
    """Ends here what has been asked to end and did not notice."""
    if _received is not None:
        raise Stopped(_received)


@contextmanager
def interrupting(interrupt: Callable[[], object]) -> Iterator[None]:
    """`interrupt` is called, from another thread, where a signal comes meanwhile."""
    _interrupts.append(interrupt)
    try:
        yield
    finally:
        _interrupts.remove(interrupt)


@contextmanager
def noting(last_words: Callable[[int], object]) -> Iterator[None]:
    """`last_words` gets the signal, in another thread, where the process is ended before it ended itself."""
    _last_words.append(last_words)
    try:
        yield
    finally:
        _last_words.remove(last_words)


def finally_(act: Callable[[], object]) -> None:
    """Acts though a signal may be raised in the midst of it: only the first is, so the second try is whole."""
    try:
        act()
    except Stopped:
        act()


def run_child(command: list[str], text: str) -> tuple[int, str, str]:
    """Runs a program with a text on its standard input: exit code, output and errors. It never outlives us, unless
    we are killed.
    """
    # Not before it is needed: it takes a tenth of a second, and the help of the command hears signals too.
    from engagement.configuration.secret_variables import without_secrets

    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What it needs of our secrets it is told; an environment can be read by whoever may look at the process.
        env=without_secrets(os.environ),
    )
    _children.append(process)
    try:
        output, errors = process.communicate(text)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        _children.remove(process)
    check()
    return process.returncode, output, errors


def _handle(number: int, frame: FrameType | None) -> None:
    global _has_raised
    _note(number)
    if not _has_raised:
        _has_raised = True
        raise Stopped(number if _received is None else _received)


def _note(number: int) -> None:
    """The first signal, whichever of the two threads hears it first."""
    global _received, _received_at
    if _received is None:
        _received, _received_at = number, time.monotonic()


def _watch(receiver: int) -> None:
    while (number := os.read(receiver, 1)[0]) not in _SIGNALS:
        pass
    _note(number)
    until = time.monotonic() + END_SECONDS
    while time.monotonic() < until:
        _interrupt()
        time.sleep(_SECONDS_BETWEEN_INTERRUPTS)
    _give_up(number if _received is None else _received)


def _interrupt() -> None:
    # A function of its own: this thread is never ended, and what a variable of it still held, DuckDB would complain
    # about in a hundred lines when the process ends.
    for interrupt in list(_interrupts):
        with contextlib.suppress(Exception):
            interrupt()


def _give_up(number: int) -> None:
    for process in list(_children):
        with contextlib.suppress(Exception):
            process.kill()

    def speak() -> None:
        for last_words in list(_last_words):
            with contextlib.suppress(Exception):
                last_words(number)

    # In a thread, since whatever hangs may hang here too.
    speaking = threading.Thread(target=speak, daemon=True)
    speaking.start()
    speaking.join(1.0)
    os._exit(128 + number)
