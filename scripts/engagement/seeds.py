"""Seeds that are read before dbt sees them: what must be known while something is fetched or compared."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from engagement.errors import ConfigurationError


def rows_of(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The rows of a seed file in its order, as texts of these columns; what is left out is empty.

    Raises ConfigurationError where it cannot be read or lacks a column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return [tuple(row[column] or "" for column in columns) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise ConfigurationError(
            f"seeds/{path.name}: cannot be read ({type(error).__name__}); columns {', '.join(columns)}, why"
        ) from None
