"""A published file with the columns of the project's marts and a test's own rows, for tests that need no build."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from engagement import contract, published_file, verify

ROOT = Path(__file__).parents[2]
PUBLISHED_AT = datetime(2026, 7, 1, 6, 0)
Rows = Sequence[Mapping[str, Any]]


@functools.cache
def _marts() -> dict[str, contract.Table]:
    return {table.name: table for table in verify.project_contract(ROOT).tables if table.schema == "marts"}


def publish_rows(
    path: Path,
    rows: Mapping[str, Rows],
    *,
    as_of: str | None = "2026-06-30",
    published_at: datetime = PUBLISHED_AT,
    own_columns: Mapping[str, str] | None = None,
) -> None:
    """Every table of `rows` with all columns of its mart; what a row does not say is null. `own_columns` are the
    customer's own (name, DuckDB type), in enriched_customers.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    tables = _marts()
    rows = {"publication": [{"as_of_date": as_of, "published_at": published_at, "run_id": "r1"}], **rows}
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        for name, listed in rows.items():
            columns = {column.name: column.type for column in tables[name].columns}
            if name == contract.ENRICHED_CUSTOMERS:
                columns |= own_columns or {}
            said = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
            connection.execute(f"create table marts.{name} ({said})")
            for column in own_columns or {} if name == contract.ENRICHED_CUSTOMERS else ():
                comment = published_file.literal(contract.OWN_COLUMN)
                connection.execute(f'comment on column marts.{name}."{column}" is {comment}')
            for row in listed:
                assert set(row) <= set(columns), set(row) - set(columns)
                names = ", ".join(f'"{column}"' for column in row)
                places = ", ".join("?" for _ in row)
                connection.execute(
                    f"insert into marts.{name} ({names}) values ({places})", list(row.values())
                )
