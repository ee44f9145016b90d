"""The relationships that a published file declares (marts.relationships), held against its rows."""

from __future__ import annotations

import duckdb


def broken_relationships(connection: duckdb.DuckDBPyConnection) -> tuple[int, list[str]]:
    """How many relationships the file declares, and those that its rows break, each with how it is broken.

    A relationship finds at most one row, and one for every row where it is said to be complete.
    """
    declared = connection.execute(
        "select from_table, to_table, split_part(to_columns, ', ', 1), cardinality, join_condition, is_complete,"
        " from_columns from marts.relationships order by all"
    ).fetchall()
    broken = []
    for table, other, key, cardinality, condition, is_complete, columns in declared:
        alias = other if other != table else "other"
        own = ", ".join(f"{table}.{column}" for column in columns.split(", "))
        found = connection.execute(
            f"with found as (select {alias}.{key} is not null as has_one, row({own}) as key"
            f" from marts.{table} left join marts.{other} as {alias} on {condition})"
            f" select (select count(*) from marts.{table}), count(*), count(*) filter (where has_one),"
            " count(distinct key) from found"
        ).fetchone()
        assert found is not None
        rows, joined, with_one, keys = found
        if joined != rows:
            broken.append(f"{table} to {other} on {condition}: {joined} rows of {rows}")
        if is_complete and with_one != joined:
            broken.append(
                f"{table} to {other} on {condition}: {joined - with_one} of {joined} rows find none"
            )
        if cardinality == "one to one" and keys != rows:
            broken.append(f"{table} to {other} on {condition}: {keys} keys of {rows} rows")
    return len(declared), broken
