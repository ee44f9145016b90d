"""Files that are made by a fresh process, and put in their place atomically.

A process that has handled personal rows can leave pieces of them in what it writes, so whatever must be free of them is
written by one that has never seen them.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engagement import stopping
from engagement.durable import FILE_MODE, sync_folder
from engagement.errors import EngagementError
from engagement.opening import explained


class FreshProcessFailed(Exception):
    """A module that ran in a process of its own has failed; says which and with what kind of error, and no more.

    `known` is what the disk or the memory did, where that is why, said of the file that it writes.
    """

    def __init__(self, message: str, known: EngagementError | None = None) -> None:
        super().__init__(message)
        self.known = known


def in_fresh_process(module: str, job: Mapping[str, Any]) -> str:
    """Run a module of this package in a new interpreter with the job on its standard input; its output."""
    exit_code, output, errors = stopping.run_child([sys.executable, "-m", module], json.dumps(job))
    if exit_code != 0:
        # The last line names the exception; what stands above it may quote rows.
        last = errors.strip().rsplit("\n", 1)[-1]
        reason = last.split(":", 1)[0]
        raise FreshProcessFailed(
            f"{module} failed ({reason}, exit code {exit_code})", explained(last, Path(job["path"]))
        )
    return output


def replace(candidate: Path, target: Path) -> None:
    """Put the candidate in the place of the target, atomically and durably.

    A `.wal` beside the target belongs to another file and would be replayed into this one, so it goes first.
    """
    with candidate.open("rb+") as file:
        os.fsync(file.fileno())
    # Whoever was given the right to read it keeps it; nobody has it unasked.
    candidate.chmod(stat.S_IMODE(target.stat().st_mode) if target.is_file() else FILE_MODE)
    target.with_name(target.name + ".wal").unlink(missing_ok=True)
    os.replace(candidate, target)
    sync_folder(target.parent)
