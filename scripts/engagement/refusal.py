"""What the gate answers with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Refusal:
    """Why a file may not leave: `column` is empty where the finding is about the whole table."""

    table: str
    column: str
    rule: str

    def __str__(self) -> str:
        place = f"table {self.table}" + (f", column {self.column}" if self.column else "")
        return f"{place}: {self.rule}"
