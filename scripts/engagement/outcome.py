"""What a command did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engagement.errors import DONE


@dataclass
class Outcome:
    """What a command did: lines for a person, facts for --json, and its exit code."""

    exit_code: int = DONE
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: Callable[[], None] | None = None

    def add(self, step: str, other: Outcome) -> None:
        """Another step of the same command: its lines follow, its facts stand under its name."""
        self.lines += other.lines
        self.facts[step] = other.facts.get(step, other.facts)
        self.exit_code = self.exit_code or other.exit_code


def counted(count: int, noun: str) -> str:
    """A count with its noun: '1 account', '1,200 accounts'."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
