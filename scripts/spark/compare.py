"""The marts of Spark's warehouse beside those of DuckDB's private file, cell by cell.

    python -m spark.compare data/private.duckdb data/spark/warehouse

Same marts, same columns in the same order and of the same types, same rows, same cells. Doubles may differ by a share
of 1e-9, since their sums have no order; all else is equal exactly. Exit code 0 where all is equal, 1 where not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import duckdb

# A sum of doubles taken in another order differs from about 1e-15 on.
TOLERATED_RATIO = 1e-9
EXAMPLES = 3


def differences(private_file: Path, warehouse: Path, *, schema: str = "marts") -> dict[str, list[str]]:
    """What differs, by mart; empty where nothing does.

    `warehouse` is the folder with `<schema>.db/<mart>/*.parquet`. Raises duckdb.Error where a file cannot be read.
    """
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"attach '{_escaped(private_file)}' as duck (read_only)")
        ours = {
            name
            for (name,) in connection.execute(
                "select table_name from information_schema.tables where table_catalog = 'duck' and table_schema = ?",
                [schema],
            ).fetchall()
        }
        folder = warehouse / f"{schema}.db"
        # A folder without a file is a mart that was not made to its end.
        theirs = {path.parent.name for path in folder.glob("*/*.parquet")}
        found = {name: ["is not in Spark's warehouse"] for name in ours - theirs}
        found |= {name: ["is in Spark's warehouse only"] for name in theirs - ours}
        for name in sorted(ours & theirs):
            if said := _of_mart(connection, f'duck."{schema}"."{name}"', folder / name):
                found[name] = said
    return found


def _of_mart(connection: duckdb.DuckDBPyConnection, mart: str, folder: Path) -> list[str]:
    files = f"read_parquet('{_escaped(folder)}/*.parquet')"
    columns, others = _columns(connection, mart), _columns(connection, files)
    if columns != others:
        missing = [f"{name} {kind}" for name, kind in columns if (name, kind) not in others]
        surplus = [f"{name} {kind}" for name, kind in others if (name, kind) not in columns]
        return [
            f"columns differ: DuckDB alone has {missing}, Spark alone {surplus}"
            if missing or surplus
            else "columns stand in another order"
        ]
    exact = [f'"{name}"' for name, kind in columns if kind != "DOUBLE"]
    doubles = [f'"{name}"' for name, kind in columns if kind == "DOUBLE"]
    said = []
    listed = ", ".join(exact)
    for here, there, engine in ((mart, files, "DuckDB"), (files, mart, "Spark")):
        rows = f"select {listed} from {here} except all select {listed} from {there}"
        ((count,),) = connection.execute(f"select count(*) from ({rows})").fetchall()
        if count:
            examples = connection.execute(f"{rows} order by all limit {EXAMPLES}").fetchall()
            said += [f"{count} rows only {engine} has", *(f"  {engine}: {row}" for row in examples)]
    if said or not doubles:
        return said
    # Equal in all that is exact, so that in this order each row stands beside its own.
    order = ", ".join(f"{name} nulls last" for name in exact + doubles)
    numbered = "select row_number() over (order by {}) as place, * from {}"
    for name in doubles:
        a, b = f"a.{name}", f"b.{name}"
        rows = (
            f"select {a}, {b} from ({numbered.format(order, mart)}) a join ({numbered.format(order, files)}) b"
            f" using (place) where not coalesce({a} = {b} or abs({a} - {b})"
            f" <= {TOLERATED_RATIO} * greatest(abs({a}), abs({b})), {a} is null and {b} is null)"
        )
        ((count,),) = connection.execute(f"select count(*) from ({rows})").fetchall()
        if count:
            examples = connection.execute(f"{rows} limit {EXAMPLES}").fetchall()
            said += [f"{name} differs in {count} rows", *(f"  DuckDB, Spark: {row}" for row in examples)]
    return said


def _columns(connection: duckdb.DuckDBPyConnection, relation: str) -> list[tuple[str, str]]:
    return [(row[0], row[1]) for row in connection.execute(f"describe select * from {relation}").fetchall()]


def _escaped(path: Path) -> str:
    return str(path).replace("'", "''")


def main() -> None:
    """Compare the marts of a private file and a warehouse, and say what differs."""
    parser = argparse.ArgumentParser(prog="spark.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("private_file", type=Path)
    parser.add_argument("warehouse", type=Path)
    arguments = parser.parse_args()
    found = differences(arguments.private_file, arguments.warehouse)
    for name, said in sorted(found.items()):
        print(f"{name}: " + "\n  ".join(said))
    print(f"{len(found)} marts differ" if found else "all marts are equal")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
