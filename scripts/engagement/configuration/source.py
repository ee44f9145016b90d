"""Where a table of the customer's own lies, as a path of enrichments.yml says."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Source(NamedTuple):
    """Where a customer table lies: a file, or a table (schema.table) of a DuckDB file."""

    file: Path
    table: str | None

    @property
    def label(self) -> str:
        return self.file.name if self.table is None else f"{self.file.name}#{self.table}"


def source_of(path: Path) -> Source:
    """'file.duckdb#schema.table' as its two parts."""
    name, hash_sign, table = path.name.partition("#")
    return Source(path.with_name(name), table) if hash_sign else Source(path, None)
