"""Files that are whole and on the disk, whatever ends the process or the machine. They belong to their owner alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FILE_MODE = 0o600


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
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
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


def sync_folder(path: Path) -> None:
    """What was renamed in a folder stays so where the machine goes down."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
