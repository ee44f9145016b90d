"""Holds a published file open, is told that another was published, and prints what it read before, after and reopened.

    python reopen.py duckdb|sqlalchemy|adbc FILE

Says "open" and waits for a line; the answer is JSON: the run before, the run that the held connection then reads, the
one that a second connection beside it reads, and the one after everything was closed and opened again.
"""

from __future__ import annotations

import json
import sys

QUERY = "select run_id from marts.publication"
kind, path = sys.argv[1:]


def told() -> None:
    print("open", flush=True)
    input()


if kind == "duckdb":
    import duckdb

    held = duckdb.connect(path, read_only=True)
    before = held.execute(QUERY).fetchone()[0]
    told()
    after = held.execute(QUERY).fetchone()[0]
    with duckdb.connect(path, read_only=True) as second:
        beside = second.execute(QUERY).fetchone()[0]
    held.close()
    with duckdb.connect(path, read_only=True) as again:
        reopened = again.execute(QUERY).fetchone()[0]
elif kind == "sqlalchemy":
    from sqlalchemy import create_engine, text

    engine = create_engine(f"duckdb:///{path}", connect_args={"read_only": True})

    def read() -> str:
        with engine.connect() as connection:
            return str(connection.execute(text(QUERY)).scalar())

    before = read()
    told()
    after = read()
    beside = read()
    engine.dispose()
    reopened = read()
else:
    import adbc_driver_duckdb
    from adbc_driver_manager import dbapi

    def connect() -> dbapi.Connection:
        options = {"path": path, "access_mode": "READ_ONLY"}
        return dbapi.connect(
            adbc_driver_duckdb.driver_path(), entrypoint="duckdb_adbc_init", db_kwargs=options
        )

    def read_from(connection: dbapi.Connection) -> str:
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            return str(cursor.fetchone()[0])

    held = connect()
    before = read_from(held)
    told()
    after = read_from(held)
    with connect() as second:
        beside = read_from(second)
    held.close()
    with connect() as again:
        reopened = read_from(again)
print(json.dumps({"before": before, "after": after, "beside": beside, "reopened": reopened}))
