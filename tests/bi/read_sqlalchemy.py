"""Reads a published file through SQLAlchemy, duckdb-engine and pandas, and prints what it finds as JSON.

python read_sqlalchemy.py FILE < queries.json
"""

from __future__ import annotations

import json
import sys

import pandas
import sqlalchemy

path, queries = sys.argv[1], json.load(sys.stdin)
engine = sqlalchemy.create_engine(f"duckdb:///{path}", connect_args={"read_only": True})
inspector = sqlalchemy.inspect(engine)
columns = {}
for schema in ("marts", "enrichment", "dataverse"):
    for table in [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]:
        columns[f"{schema}.{table}"] = [
            (column["name"], str(column["type"])) for column in inspector.get_columns(table, schema)
        ]
try:
    key = inspector.get_pk_constraint("days", "marts")
    key_error = ""
except Exception as error:
    key, key_error = None, f"{type(error).__name__}: {error}"
metadata = sqlalchemy.MetaData()
try:
    days = sqlalchemy.Table("days", metadata, schema="marts", autoload_with=engine)
    reflected = [column.name for column in days.columns]
    reflect_error = ""
except Exception as error:
    reflected, reflect_error = [], f"{type(error).__name__}: {error}"
with engine.connect() as connection:
    answers = [
        [list(map(str, row)) for row in connection.execute(sqlalchemy.text(query))] for query in queries
    ]
frames = [pandas.read_sql(query, engine) for query in queries]
try:
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table marts.written (a integer)"))
    refused = ""
except sqlalchemy.exc.SQLAlchemyError as error:
    refused = str(error)
print(
    json.dumps(
        {
            "version": sqlalchemy.__version__,
            "columns": columns,
            "key": key,
            "key_error": key_error,
            "reflected": reflected,
            "reflect_error": reflect_error,
            "answers": answers,
            "frames": [[len(frame), list(frame.columns), list(map(str, frame.dtypes))] for frame in frames],
            "refused": refused,
        }
    )
)
