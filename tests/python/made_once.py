"""What takes long is made once in a test session, whichever of its processes needs it first."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def session_folder(base: Path) -> Path:
    """The folder that all processes of a session share; `base` is pytest's for this one (`getbasetemp`)."""
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Within it, no other process of the session is in a block of this name."""
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def made_once(folder: Path, name: str, make: Callable[[Path], object]) -> Path:
    """A folder under that of the session which `make` fills where nobody has; who uses it may not change it."""
    made = folder / name
    with alone(folder, name):
        if not (made / "done").exists():
            shutil.rmtree(made, ignore_errors=True)
            made.mkdir()
            make(made)
            (made / "done").touch()
    return made
