"""Scripts of SQL in steps: a line `-- step: NAME` begins one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def steps_of(file: Path) -> Iterator[tuple[str, list[str]]]:
    """Each step of the script: its name and its statements, which end with a semicolon at the end of a line."""
    for part in file.read_text("utf-8").split("\n-- step: ")[1:]:
        name, text = part.split("\n", 1)
        yield name, [statement for statement in text.split(";\n") if statement.strip()]
