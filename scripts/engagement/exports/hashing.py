"""A file system for DuckDB that hashes what is written to it: a part is read by nobody again to learn its SHA-256."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from engagement import durable

PROTOCOL = "hashed"


@dataclass(frozen=True)
class Written:
    """A file that is whole and on the disk."""

    size_bytes: int
    sha256: str


class _File:
    """A file that DuckDB appends to. It keeps the system's error, of which DuckDB shows the words alone."""

    def __init__(self, path: Path, files: HashingFiles) -> None:
        self._path = path
        self._files = files
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, durable.FILE_MODE)
        except OSError as error:
            files.note(error, path)
            raise
        self._file = os.fdopen(descriptor, "wb", buffering=0)
        self._digest = hashlib.sha256()
        self._size_bytes = 0
        self.closed = False

    def write(self, content: Any) -> int:
        """Appends. OSError where the disk refuses, also kept for whoever asked DuckDB."""
        view = memoryview(content).cast("B")
        self._digest.update(view)
        try:
            left = view
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self._files.note(error, self._path)
            raise
        self._size_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """How much was written, in bytes."""
        return self._size_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Through to the disk."""
        if self.closed:
            return
        self.closed = True
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            self._files.note(error, self._path)
            raise
        finally:
            self._file.close()
        self._files.written[str(self._path)] = Written(self._size_bytes, self._digest.hexdigest())


class HashingFiles(AbstractFileSystem):  # type: ignore[misc]
    """`hashed://<path>` writes a new file at that path; `written` has what was made, by path."""

    protocol = PROTOCOL
    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.written: dict[str, Written] = {}
        self.error: OSError | None = None

    def note(self, error: OSError, path: Path) -> None:
        """Keeps the first error: on a full disk the file cannot be closed either, which is said in other words."""
        self.error = self.error or OSError(error.errno, error.strerror, str(path))

    def open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        """A new file to be written; nothing is read through here."""
        if "w" not in mode and "a" not in mode and "+" not in mode:
            raise FileNotFoundError(path)
        return _File(Path(self._strip_protocol(path)), self)

    def exists(self, path: str, **_: Any) -> bool:
        """Every part is a new file."""
        return False

    def isdir(self, path: str) -> bool:
        """No folder is written."""
        return False

    def isfile(self, path: str) -> bool:
        """Every part is a new file."""
        return False
