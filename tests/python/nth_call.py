"""The n-th call that changes a file of a command fails, is cut in half, or is where the command is killed.

A small library (nth_call.c), compiled when it is first asked for and loaded into the command before all others, counts
the calls over all processes of the command, those that it starts itself among them. What a command does to its files
can so be disturbed at every single call, one run after another, until a run has fewer calls than n.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SOURCE = Path(__file__).with_name("nth_call.c")
# `sync` is fsync and fdatasync, `create` an open that may make a file.
Kind = Literal["write", "sync", "truncate", "rename", "unlink", "mkdir", "create"]
KINDS: tuple[Kind, ...] = ("write", "sync", "truncate", "rename", "unlink", "mkdir", "create")
# `half` writes half of the bytes and then kills; killed is the whole group of processes.
Action = Literal["count", "ENOSPC", "EIO", "half", "kill before", "kill after"]


@functools.cache
def library() -> Path | str:
    """The compiled library, once a process; where there can be none, the reason."""
    if sys.platform != "linux":
        return "only Linux loads a library before all others (LD_PRELOAD)"
    compiler = shutil.which("cc")
    if compiler is None:
        return "no C compiler (cc)"
    made = Path(tempfile.mkdtemp(prefix="nth-call-")) / "nth_call.so"
    done = subprocess.run(
        [compiler, "-O1", "-Wall", "-shared", "-fPIC", "-o", str(made), str(SOURCE), "-ldl"],
        capture_output=True,
        text=True,
    )
    return made if done.returncode == 0 else f"cc cannot compile {SOURCE.name}: {done.stderr.strip()[:200]}"


@dataclass(frozen=True)
class NthCall:
    """What is to happen at the `n`-th call of these kinds to a file under `folder` whose path in it contains `match`.

    With `lasting` it happens at every later one as well. Calls and where they went are noted in `notes`, a folder.
    """

    folder: Path
    notes: Path
    n: int = 0
    action: Action = "count"
    kinds: Sequence[Kind] = KINDS
    match: str = ""
    lasting: bool = False

    def environment(self) -> dict[str, str]:
        """The variables of a command that is to be disturbed; begins counting anew."""
        made = library()
        assert isinstance(made, Path), made
        self.notes.mkdir(exist_ok=True)
        (self.notes / "counter").write_bytes(bytes(8))
        (self.notes / "calls").write_bytes(b"")
        return {
            "LD_PRELOAD": str(made),
            "NTH_CALL_FOLDER": os.path.realpath(self.folder),
            "NTH_CALL_COUNTER": str(self.notes / "counter"),
            "NTH_CALL_LOG": str(self.notes / "calls"),
            "NTH_CALL_KINDS": ",".join(self.kinds),
            "NTH_CALL_MATCH": self.match,
            "NTH_CALL_AT": str(self.n),
            "NTH_CALL_ACTION": self.action,
            "NTH_CALL_LASTING": "1" if self.lasting else "",
        }

    @property
    def count(self) -> int:
        """So many calls were counted so far."""
        return int.from_bytes((self.notes / "counter").read_bytes(), sys.byteorder)

    @property
    def calls(self) -> list[tuple[str, str]]:
        """Kind and path (within the folder) of every call counted, in their order."""
        lines = (self.notes / "calls").read_text(encoding="utf-8").splitlines()
        return [(kind, path) for _, kind, path in (line.split(" ", 2) for line in lines)]
