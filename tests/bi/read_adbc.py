"""Reads a published file through ADBC, and prints what it finds as JSON.

python read_adbc.py FILE < queries.json
"""

from __future__ import annotations

import json
import sys

import adbc_driver_duckdb
from adbc_driver_manager import dbapi

path, queries = sys.argv[1], json.load(sys.stdin)
# adbc_driver_duckdb.dbapi.connect takes a path and nothing else, and so opens for writing.
options = {"path": path, "access_mode": "READ_ONLY"}
with (
    dbapi.connect(
        adbc_driver_duckdb.driver_path(), entrypoint="duckdb_adbc_init", db_kwargs=options
    ) as connection,
    connection.cursor() as cursor,
):
    answers = []
    for query in queries:
        cursor.execute(query)
        table = cursor.fetch_arrow_table()
        answers.append(
            {
                "types": [str(field.type) for field in table.schema],
                "rows": [[str(value) for value in row.values()] for row in table.to_pylist()],
            }
        )
    try:
        cursor.execute("create table marts.written (a integer)")
        refused = ""
    except Exception as error:
        refused = str(error)
print(json.dumps({"answers": answers, "refused": refused}))
