"""What is published of segments."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb

from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError

Row = dict[str, Any]

# What is said of a segment that was made and not judged yet.
JUDGED_BY = "`engagement run` (with nothing to read anew, as on the demo: `dbt build && engagement publish`)"


@contextmanager
def published(settings: Settings, *, what: str = "segments") -> Iterator[duckdb.DuckDBPyConnection]:
    """The published file, for reading; ConfigurationError where there is none, or one without `what`."""
    path = settings.published_file
    if not path.is_file():
        raise ConfigurationError(f"{path.name}: nothing is published yet; run `engagement run` first")
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            yield connection
    except (duckdb.CatalogException, duckdb.BinderException):
        raise ConfigurationError(
            f"{path.name}: has no {what} yet, or was published by another version; run `engagement run` first"
        ) from None
    except duckdb.Error:
        raise ConfigurationError(
            f"{path.name}: cannot be read as a file that this project published; publish anew with `engagement"
            " publish`"
        ) from None


def records(
    connection: duckdb.DuckDBPyConnection, query: str, values: Sequence[Any] | Mapping[str, Any] = ()
) -> list[Row]:
    """The rows of a query by their columns' names."""
    result = connection.execute(query, dict(values) if isinstance(values, Mapping) else list(values))
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def segment_row(connection: duckdb.DuckDBPyConnection, segment_id: str) -> Row:
    """What marts.segments says of one segment; ConfigurationError with the nearest id where it has none."""
    rows = records(connection, "select * from marts.segments where segment_id = ?", [segment_id])
    if rows:
        return rows[0]
    known = [
        row["segment_id"] for row in records(connection, "select segment_id from marts.segments order by 1")
    ]
    raise ConfigurationError(f"there is no published segment {segment_id!r}; {hint(segment_id, known)}")


def hint(given: str, known: Sequence[str]) -> str:
    """What was meant, or what there is."""
    near = difflib.get_close_matches(given, known, 1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known) or 'none'}"
