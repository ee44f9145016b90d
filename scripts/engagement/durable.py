"""Files that are whole and on the disk, whatever ends the process or the machine. They belong to their owner alone."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement.errors import ConfigurationError

FILE_MODE = 0o600
# As `written_beside` names it: .run_state.json.4711.0a1b2c3d
_BESIDE = re.compile(r"\..+\.(?P<pid>[1-9][0-9]*)\.[0-9a-f]{8}")
# What the system says where there is no room, and where a disk or a folder refuses.
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
REFUSED = (errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR, errno.ESTALE)


@contextmanager
def private_umask() -> Iterator[None]:
    """Files made inside belong to their owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file with this content beside `path`, on the disk; removed at the end unless it was moved away. OSError where
    it cannot be written.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    try:
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            # The system does not say of what.
            raise OSError(error.errno, error.strerror, str(path)) from None
        yield beside
    finally:
        beside.unlink(missing_ok=True)


def write(path: Path, content: bytes) -> None:
    """Replaces a file's content atomically, on the disk when this returns. OSError where that fails; the file is then
    as it was.
    """
    with written_beside(path, content) as beside:
        os.replace(beside, path)
    sync_folder(path.parent)


def locked(descriptor: int, *, wait_seconds: float) -> bool:
    """Takes the lock of a file for this process alone, waiting so long for it; whether it has it."""
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(0.02)
        else:
            return True


def remove_leftovers(folder: Path) -> None:
    """Removes what killed writers left in a folder before they had put it in its place. To be called by whoever
    is alone there: what belongs to a process that is alive and not this one stays.
    """
    for path in folder.iterdir():
        match = _BESIDE.fullmatch(path.name)
        if match is None or (int(match["pid"]) != os.getpid() and _is_alive(int(match["pid"]))):
            continue
        with contextlib.suppress(OSError):
            path.unlink()


def remove_folders(folder: Path, *prefixes: str) -> None:
    """Removes the working folders with these prefixes that killed commands left in a folder. None is in use but, for a
    moment, by the process that a killed one had started: it is given a while.
    """
    for prefix in prefixes:
        for leftover in folder.glob(f"{prefix}*"):
            for _ in range(50):
                shutil.rmtree(leftover, ignore_errors=True)
                if not leftover.exists():
                    break
                time.sleep(0.1)


@contextmanager
def work_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A folder (0700) for what is being made, removed at the end; those with the same prefix that killed commands left
    go, which nobody holds. ConfigurationError where it cannot be made.
    """
    for leftover in parent.glob(f"{prefix}*"):
        descriptor = os.open(leftover, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(leftover, ignore_errors=True)
        finally:
            os.close(descriptor)
    work = parent / f"{prefix}{secrets.token_hex(6)}"
    try:
        work.mkdir(mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"{parent.name or parent}: cannot be written ({error.strerror}); correct its rights or name another folder"
        ) from None
    descriptor = os.open(work, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield work
    finally:
        os.close(descriptor)
        shutil.rmtree(work, ignore_errors=True)


def replace_folder(candidate: Path, target: Path) -> None:
    """Puts a folder in the place of another, which then lies where the candidate was; on the disk when this returns.

    At no instant is there none, where the system can exchange two names (Linux, on most of its file systems); elsewhere
    there is none for a moment. OSError where it fails.
    """
    if not target.exists():
        os.rename(candidate, target)
    elif not _exchanged(candidate, target):
        aside = candidate.with_name(candidate.name + ".before")
        os.rename(target, aside)
        os.rename(candidate, target)
        os.rename(aside, candidate)
    sync_folder(target.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Whether the system has given each of two paths the other's name, in one step."""
    try:
        exchange = ctypes.CDLL(None, use_errno=True).renameat2
    except AttributeError:
        return False
    at_current, exchange_names = -100, 2
    result: int = exchange(at_current, os.fsencode(one), at_current, os.fsencode(other), exchange_names)
    if result != 0 and (number := ctypes.get_errno()) not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(number, os.strerror(number), str(other))
    return result == 0


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True


def sync_folder(path: Path) -> None:
    """What was renamed in a folder stays so where the machine goes down."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
