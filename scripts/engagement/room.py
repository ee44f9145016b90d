"""Whether there is room on the disk for what is about to be written, and what is said where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

from engagement.errors import ResourcesError


def require(folder: Path, needed_bytes: int, *, what: str, advice: str) -> None:
    """Raises ResourcesError where a folder's disk has less room: `what` names who needs it for what."""
    free_bytes = free(folder)
    if free_bytes < needed_bytes:
        raise ResourcesError(
            f"{what}: {size(needed_bytes)} of disk are needed and {size(free_bytes)} are free; {advice}"
        )


def free(folder: Path) -> int:
    """Bytes that may still be written to the disk of a folder."""
    return shutil.disk_usage(folder).free


def full(name: str) -> ResourcesError:
    """What is said where the disk of a file, or a quota, turned out to be full."""
    return ResourcesError(
        f"{name}: the disk is full, or a quota is; make room in its folder, then run again, what was read is kept"
    )


def refused(name: str, why: str) -> ResourcesError:
    """What is said where a disk or a folder refuses."""
    return ResourcesError(
        f"{name}: cannot be written or read ({why.lower()}); check the disk and the rights of its folder, then run"
        " again"
    )


def size(count: float) -> str:
    """Bytes as a person says them: '240 MB'."""
    for unit, length in (("GB", 1e9), ("MB", 1e6)):
        if count >= length:
            number = count / length
            return f"{number:,.1f} {unit}" if number < 10 else f"{number:,.0f} {unit}"
    return f"{count / 1e3:,.0f} kB"
