"""`engagement cancel`: ends the command that holds run.lock, and nothing else.

The process id in the lock's file may be that of an owner long gone, whose number somebody else has by now. So the
lock has to be held, and that very process has to hold it: the kernel says so where it can (/proc), else the file has
to say the same twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement.errors import EngagementError
from engagement.outcome import Outcome
from engagement.run_state import Owner, is_free, owner_of

WAIT_SECONDS = 10.0
_SECONDS_BETWEEN_LOOKS = 0.05


def cancel(lock_file: Path, *, wait_seconds: float = WAIT_SECONDS) -> Outcome:
    """Sends SIGTERM to the owner of the lock and waits until the lock is free; EngagementError where it is not."""
    nothing = Outcome(lines=["nothing is running"], facts={"cancelled": False})
    try:
        descriptor = os.open(lock_file, os.O_RDONLY)
    except FileNotFoundError:
        return nothing
    try:
        if is_free(descriptor):
            return nothing
        owner = _owner(descriptor)
        if owner is None:
            return nothing
        began = time.monotonic()
        _terminate(owner, descriptor)
        while not is_free(descriptor):
            # A timer may have begun the next one meanwhile.
            if owner_of(descriptor) != owner:
                break
            if time.monotonic() - began >= wait_seconds:
                raise EngagementError(
                    f"{lock_file.name}: {owner}, has not ended in {wait_seconds:.0f} s; wait for it, or end it with"
                    f" `kill -9 {owner.pid}`: the next run goes on from there"
                )
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    finally:
        os.close(descriptor)
    return Outcome(
        lines=[f"cancelled {owner}; what was read is kept, the next run goes on from there"],
        facts={
            "cancelled": True,
            "command": owner.command,
            "pid": owner.pid,
            "started_at": owner.started_at,
            "seconds": round(time.monotonic() - began, 2),
        },
    )


def _owner(descriptor: int) -> Owner | None:
    """Who holds the lock; None where it is free by now. Whoever has just taken it writes his name at once."""
    before: Owner | None = None
    for _ in range(20):
        if is_free(descriptor):
            return None
        owner = owner_of(descriptor)
        if owner is not None and owner == before:
            return owner
        before = owner
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    raise EngagementError("run.lock: is held by an unknown process; find it with `lsof`, and end it there")


def _terminate(owner: Owner, descriptor: int) -> None:
    """SIGTERM, if this very process holds the lock."""
    elsewhere = EngagementError(
        f"run.lock: {owner}, is not a process that can be ended from here (another machine, container or user);"
        " cancel where it runs"
    )
    with _process(owner.pid) as process:
        if process is None or _holds(owner.pid, descriptor) is False:
            # It may have ended this moment.
            if is_free(descriptor):
                return
            raise elsewhere
        try:
            if process >= 0:
                signal.pidfd_send_signal(process, signal.SIGTERM)
            else:
                os.kill(owner.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        except PermissionError:
            raise elsewhere from None


@contextmanager
def _process(pid: int) -> Iterator[int | None]:
    """A handle on the process, which no other with the same number can take the place of; -1 where the system has
    none, None where there is no such process.
    """
    if not hasattr(os, "pidfd_open"):
        yield -1
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    except OSError:
        yield -1
        return
    try:
        yield handle
    finally:
        os.close(handle)


def _holds(pid: int, descriptor: int) -> bool | None:
    """Whether the process has this file open and locked; None where the system does not tell."""
    files = Path("/proc") / str(pid) / "fd"
    if not Path("/proc/self/fdinfo").is_dir():
        return None
    lock = os.fstat(descriptor)
    try:
        numbers = os.listdir(files)
    except FileNotFoundError:
        return False
    except PermissionError:
        return None
    for number in numbers:
        with contextlib.suppress(OSError):
            opened = os.stat(files / number)
            if (opened.st_dev, opened.st_ino) != (lock.st_dev, lock.st_ino):
                continue
            if "FLOCK" in (files.parent / "fdinfo" / number).read_text("ascii", "replace"):
                return True
    return False
