"""A command with everything that it starts: how long it took, its processor time and its most memory.

Servers detach themselves from whoever starts them: who measures adopts them (PR_SET_CHILD_SUBREAPER), so that they are
his descendants still. Linux only: what it says is read from /proc.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import MEGABYTE, BenchError

_PR_SET_CHILD_SUBREAPER = 36
_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_SECONDS = 0.25


@dataclass(frozen=True)
class Cost:
    """What a command cost, and what it printed."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    output: str


class TooLongError(BenchError):
    """A command that was ended because its time was up."""


def measured(
    command: Sequence[str], environment: Mapping[str, str], *, at_most_seconds: float | None = None
) -> Cost:
    """Runs a command to its end. BenchError with its last words where it fails, TooLongError where its time is up;
    nothing that it started is left then.

    Memory is the proportional share (PSS) of all its processes together, so that what they share counts once.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = set(_parents())
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        watch = _Watch(before)
        watch.start()
        try:
            code = process.wait(timeout=at_most_seconds)
        except subprocess.TimeoutExpired:
            raise TooLongError(f"took longer than {at_most_seconds:.0f} s") from None
        finally:
            seconds = time.monotonic() - began
            watch.end()
            _kill(before)
            process.wait()
        out.seek(0)
        err.seek(0)
        output, errors = out.read().decode(errors="replace"), err.read().decode(errors="replace")
    if code != 0:
        raise BenchError(f"{' '.join(command[1:5])} ended with {code}: {(errors or output)[-2000:]}")
    return Cost(seconds, watch.cpu_seconds, watch.peak_mb, output)


def _parents() -> dict[int, int]:
    """The parent of every process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError, ValueError):
                found[int(name)] = int(_stat(int(name))[1])
    return found


def _stat(pid: int) -> list[str]:
    """Fields of a process from its state on: what stands before is its name, which may hold spaces."""
    return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()


def _descendants(but: set[int]) -> list[int]:
    """Of this process, without those that were there before and theirs."""
    parents = _parents()
    found = []
    for pid in parents:
        above = pid
        while above in parents and above not in but:
            above = parents[above]
            if above == os.getpid():
                found.append(pid)
                break
    return found


def _kill(but: set[int]) -> None:
    """Ends what is left of a command, and buries it."""
    while left := _descendants(but):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


class _Watch(threading.Thread):
    """Looks at the processes again and again."""

    def __init__(self, but: set[int]) -> None:
        super().__init__(daemon=True)
        self._but = but
        self._ended = threading.Event()
        self._ticks: dict[int, int] = {}
        self.peak_mb = 0.0

    @property
    def cpu_seconds(self) -> float:
        return sum(self._ticks.values()) / _TICKS

    def run(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            self._look()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def _look(self) -> None:
        kilobytes = 0
        for pid in _descendants(self._but):
            with suppress(OSError, IndexError, ValueError):
                fields = _stat(pid)
                self._ticks[pid] = int(fields[11]) + int(fields[12])
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii", errors="replace")
                kilobytes += int(rollup.partition("\nPss:")[2].split()[0])
        self.peak_mb = max(self.peak_mb, kilobytes * 1024 / MEGABYTE)
