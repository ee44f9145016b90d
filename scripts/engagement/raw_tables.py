"""What the raw tables of a private file hold, in figures by which two files are compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from engagement.versions import Connection


@dataclass(frozen=True)
class Figures:
    """One raw table: its rows, and of each column how many values it has and the sum of their hashes, which the order
    of rows does not change.
    """

    rows: int
    columns: Mapping[str, tuple[int, int]]


def figures(
    connection: Connection,
    tables: Mapping[str, Iterable[str]],
    *,
    database: str,
    where: Mapping[str, str] | None = None,
) -> dict[str, Figures]:
    """Reads every value of these tables and columns, so that a damaged block is found as well (duckdb.Error). `where`
    leaves rows of a table out. Hashes are those of the installed DuckDB: good for comparing, not for keeping.
    """
    found = {}
    for table, names in tables.items():
        columns = list(names)
        measured = "".join(f', count("{name}"), coalesce(sum(hash("{name}")), 0)' for name in columns)
        row = connection.execute(
            f'select count(*){measured} from "{database}".raw."{table}" where {(where or {}).get(table, "true")}'
        ).fetchone()
        assert row is not None
        found[table] = Figures(
            rows=row[0],
            columns={name: (row[1 + 2 * at], int(row[2 + 2 * at])) for at, name in enumerate(columns)},
        )
    return found
