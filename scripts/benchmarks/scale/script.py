"""Scripts of SQL in steps: a line `-- step: NAME` begins one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def steps_of(file: Path) -> Iterator[tuple[str, str]]:
    """Each step of the script: its name and its statements."""
    for part in file.read_text("utf-8").split("\n-- step: ")[1:]:
        name, statements = part.split("\n", 1)
        yield name, statements
