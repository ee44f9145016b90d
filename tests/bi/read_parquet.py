"""Reads Parquet files with four libraries, and prints the types and a hash of the rows that each finds, as JSON.

    python read_parquet.py FILE...

Types are Arrow's, which all four give their columns in; rows are compared as Python has them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

import duckdb
import pandas
import polars
import pyarrow
import pyarrow.parquet

READERS = {
    "pyarrow": pyarrow.parquet.read_table,
    "duckdb": lambda path: duckdb.sql(f"from read_parquet('{path}')").to_arrow_table(),
    "polars": lambda path: polars.read_parquet(path).to_arrow(),
    "pandas": lambda path: pyarrow.Table.from_pandas(
        pandas.read_parquet(path, dtype_backend="pyarrow"), preserve_index=False
    ),
}


def described(table: pyarrow.Table) -> dict[str, Any]:
    # Text in 64-bit offsets is the same text.
    types = {
        field.name: str(field.type).replace("large_", "").replace("string_view", "string")
        for field in table.schema
    }
    rows = [tuple(row.values()) for row in table.to_pylist()]
    return {"types": types, "count": len(rows), "rows": hashlib.sha256(repr(rows).encode()).hexdigest()}


print(
    json.dumps(
        {path: {name: described(read(path)) for name, read in READERS.items()} for path in sys.argv[1:]}
    )
)
