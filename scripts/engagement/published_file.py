"""Writes a published file from aggregate Parquet, in a process that has never seen a private row.

Run as `python -m engagement.published_file`, with the job as JSON on standard input. A process that has handled raw
rows can leave pieces of them in unused parts of compressed blocks (measured: up to 1,247 addresses in 0.8 MB), so this
one reads nothing but the Parquet folder it is given and locks everything else out.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import duckdb

from engagement.contract import Contract, Table, quoted

# Read by DuckDB 1.2 to 2.0; the newest format locks out every tool that carries a 1.x.
STORAGE_VERSION = "v1.2.0"


def write_published_file(
    contract: Contract, parquet_folder: Path, path: Path, *, compressed: bool = True
) -> None:
    """Write the tables, keys, views and comments of `contract` to a new file at `path`.

    Each table's rows come from `<parquet_folder>/<table>.parquet`. `compressed=False` makes the twin whose bytes can
    be searched: compression hides nearly all text from a search. Raises duckdb.Error; leaves no `.wal`.
    """
    connection = duckdb.connect(":memory:", config={"allow_unsigned_extensions": "false"})
    try:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute("set threads = 2")
        if not compressed:
            connection.execute("set force_compression = 'uncompressed'")
        connection.execute(f"attach {literal(str(path))} as published (storage_version '{STORAGE_VERSION}')")
        connection.execute(f"set allowed_directories = [{literal(str(parquet_folder) + '/')}]")
        connection.execute("set enable_external_access = false")
        connection.execute("set lock_configuration = true")
        connection.execute("use published")
        define(connection, contract)
        for table in contract.tables:
            if table.sql is None:
                parquet = parquet_folder / f"{table.name}.parquet"
                connection.execute(
                    f"insert into {table.qualified_name} by name select * from read_parquet({literal(str(parquet))})"
                )
        connection.execute("checkpoint published")
        connection.execute("use memory")
        connection.execute("detach published")
    finally:
        connection.close()


def define(connection: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """The tables, keys, views and comments of `contract` in the database in use, without rows."""
    # Each of a thousand comments would be a transaction of its own otherwise, which takes twice as long.
    connection.begin()
    for schema in sorted({table.schema for table in contract.tables}):
        connection.execute(f"create schema if not exists {quoted(schema)}")
    for table in contract.tables:
        if table.sql is None:
            columns = [f"{quoted(column.name)} {column.type}" for column in table.columns]
            if table.key:
                columns.append(f"primary key ({', '.join(quoted(name) for name in table.key)})")
            connection.execute(f"create table {table.qualified_name} ({', '.join(columns)})")
    for table in contract.tables:
        if table.sql is not None:
            connection.execute(f"create view {table.qualified_name} as {table.sql}")
    for table in contract.tables:
        comment(connection, table)
    connection.commit()


def comment(connection: duckdb.DuckDBPyConnection, table: Table) -> None:
    """The descriptions of a table or view and of its columns (Parquet carries none)."""
    kind = "table" if table.sql is None else "view"
    connection.execute(f"comment on {kind} {table.qualified_name} is {literal(table.comment)}")
    for column in table.columns:
        if column.comment:
            connection.execute(
                f"comment on column {table.qualified_name}.{quoted(column.name)} is {literal(column.comment)}"
            )


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"


def main() -> None:
    """Read the job from standard input and write the file and, where asked for, its uncompressed twin."""
    job = json.load(sys.stdin)
    contract = Contract.from_json(json.dumps(job["contract"]))
    write_published_file(contract, Path(job["parquet_folder"]), Path(job["path"]))
    write_published_file(contract, Path(job["parquet_folder"]), Path(job["twin"]), compressed=False)


if __name__ == "__main__":
    main()
