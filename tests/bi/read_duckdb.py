"""Reads a published file with whatever DuckDB this Python has, and prints what it finds as JSON.

    python read_duckdb.py FILE < queries.json

The queries are a list of SQL texts. Every table and view is read whole; of its rows and of each answer a hash is given,
so that two versions can be compared to the last digit. Seconds are those of the queries.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time

import duckdb


def hashed(rows: list[tuple[object, ...]]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()


path, queries = sys.argv[1], json.load(sys.stdin)
with duckdb.connect(path, read_only=True) as connection:
    tables = connection.execute(
        "select schema_name, table_name, comment from duckdb_tables() where not internal union all"
        " select schema_name, view_name, comment from duckdb_views() where not internal order by all"
    ).fetchall()
    comments = connection.execute(
        "select schema_name, table_name, column_name, data_type, comment from duckdb_columns() where not internal"
        " order by all"
    ).fetchall()
    whole = {}
    for schema, table, _ in tables:
        rows = connection.execute(f'from "{schema}"."{table}" order by all').fetchall()
        whole[f"{schema}.{table}"] = (len(rows), hashed(rows))
    answers, seconds = [], []
    for query in queries:
        started = time.perf_counter()
        rows = connection.execute(query).fetchall()
        seconds.append(time.perf_counter() - started)
        answers.append((len(rows), hashed(rows)))
    try:
        connection.execute("create table marts.written (a integer)")
        refused = ""
    except duckdb.Error as error:
        refused = str(error)
print(
    json.dumps(
        {
            "version": duckdb.__version__,
            "tables": tables,
            "columns": comments,
            "whole": whole,
            "answers": answers,
            "seconds": seconds,
            "refused": refused,
        }
    )
)
