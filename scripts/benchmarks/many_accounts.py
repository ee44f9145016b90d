"""A published file of many accounts: the demo's, every account of it as often as is needed.

Rows of accounts are repeated under new ids, names and parents, in the order in which a publication writes them; rows of
nobody in particular (runs, segments, back-test) stay as they are, so that totals on the pages do not add up. It is the
number of rows that is measured.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from engagement.contract import quoted
from engagement.published_file import STORAGE_VERSION, literal

# Columns that name an account; each copy gets its own.
_IDS = ("account_id", "parent_account_id", "relative_account_id", "subject_id")
_NAMES = ("account_name", "parent_account_name")


def multiply(source: Path, target: Path, accounts: int) -> int:
    """Writes `target` with at least `accounts` accounts out of the published file `source`; how many there are."""
    target.unlink(missing_ok=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute("set threads = 2")
        connection.execute("set enable_progress_bar = false")
        connection.execute(f"attach {literal(str(source))} as one (read_only)")
        connection.execute(f"attach {literal(str(target))} as many (storage_version '{STORAGE_VERSION}')")
        found = connection.execute("select count(*) from one.marts.customer_cards").fetchone()
        assert found is not None
        copies = -(-accounts // int(found[0]))
        connection.execute(f"create temp table copies as select range as copy from range({copies})")
        columns: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "select table_name, column_name from duckdb_columns() "
            "where database_name = 'one' and schema_name = 'marts' order by table_name, column_index"
        ).fetchall():
            columns.setdefault(table, []).append(column)
        views = dict(
            connection.execute(
                "select view_name, sql from duckdb_views() where database_name = 'one' and schema_name = 'marts'"
            ).fetchall()
        )
        connection.execute("create schema many.marts")
        for table, names in columns.items():
            if table in views:
                continue
            into = f"create table many.marts.{quoted(table)} as"
            if "account_id" not in names:
                connection.execute(f"{into} select * from one.marts.{quoted(table)}")
                continue
            chosen = ", ".join(_copied(name) for name in names)
            connection.execute(
                f"{into} select {chosen} from one.marts.{quoted(table)} as source cross join copies "
                "order by copies.copy, source.rowid"
            )
        connection.execute("use many")
        for sql in views.values():
            connection.execute(sql)
        connection.execute("use memory")
        connection.execute("checkpoint many")
        return int(found[0]) * copies


def _copied(name: str) -> str:
    column = f"source.{quoted(name)}"
    if name in _IDS:
        return f"{column} || '-' || copies.copy as {quoted(name)}"
    if name in _NAMES:
        return f"{column} || ' ' || (copies.copy + 1) as {quoted(name)}"
    return column
