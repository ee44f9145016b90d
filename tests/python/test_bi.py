"""The recipes of docs/bi.md, each tried with the tool itself on the file that the demo publishes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest

from conftest import Workspace
from demo_once import demo_folder
from engagement.fresh import replace
from project_fixtures import ROOT
from star import broken_relationships

pytestmark = pytest.mark.long

SCRIPTS = ROOT / "tests" / "bi"
CLIENTS = ROOT / ".venv-bi"
SUPERSET = ROOT / ".venv-superset"
PAGE = (ROOT / "docs" / "bi.md").read_text("utf-8")
# The newest of each minor that the file is written for.
DUCKDBS = sorted(path.stem.removeprefix("duckdb-") for path in SCRIPTS.glob("duckdb-*.lock"))
NEW_RUN = "a-later-run"
PASSWORD = secrets.token_hex(12)


@pytest.fixture(scope="module")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's published file, not to be changed."""
    return demo_folder(tmp_path_factory.getbasetemp()) / "engagement.duckdb"


@pytest.fixture
def published(demo_file: Path, tmp_path: Path) -> Path:
    """A copy of it, for one test."""
    return Path(shutil.copyfile(demo_file, tmp_path / "engagement.duckdb"))


def publish_again(published: Path) -> None:
    """Another file takes its place, as publishing does it: one rename, while readers may have it open."""
    candidate = published.with_name("candidate.duckdb")
    shutil.copyfile(published, candidate)
    with duckdb.connect(str(candidate)) as connection:
        connection.execute("update marts.publication set run_id = ?", [NEW_RUN])
    replace(candidate, published)


def examples() -> list[str]:
    """The SQL that docs/bi.md shows."""
    return re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def asked(published: Path, query: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(query).fetchall()


def run_id(published: Path) -> str:
    return str(asked(published, "select run_id from marts.publication")[0][0])


def every_relation(published: Path) -> list[tuple[str, str]]:
    return asked(
        published,
        "select distinct schema_name, table_name from duckdb_columns()"
        " where database_name = current_database() and not internal order by all",
    )


def clients(script: str, *arguments: str | Path, given: object = None, **environment: str) -> Any:
    """What a script of tests/bi prints as JSON, run where the clients are."""
    if not (CLIENTS / "installed").exists():
        pytest.skip("the clients are not installed: `make bi` makes .venv-bi")
    done = subprocess.run(
        [CLIENTS / "bin" / "python", SCRIPTS / script, *arguments],
        input=json.dumps(given),
        env={**without_ours(), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def without_ours() -> dict[str, str]:
    """The environment without what would make another Python load this one's packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


# --- the examples


def test_the_examples_answer_and_each_joins(demo_file: Path) -> None:
    assert len(examples()) == 5
    for query in examples():
        assert " join " in query
        with duckdb.connect(str(demo_file), read_only=True) as connection:
            started = time.perf_counter()
            rows = connection.execute(query).fetchall()
            seconds = time.perf_counter() - started
        assert rows, query
        assert seconds < 1, query


def test_the_relationships_of_the_demo_hold(demo_file: Path) -> None:
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        count, broken = broken_relationships(connection)
    assert (count > 100, broken) == (True, [])


# --- DuckDB of every minor


def test_every_duckdb_reads_the_same(demo_file: Path) -> None:
    """Tables, comments, all rows, the examples, and a dashboard's query for every relationship."""
    assert DUCKDBS == ["1.2", "1.3", "1.4", "1.5", "2.0"]
    joins = []
    for table, other, condition in asked(
        demo_file, "select from_table, to_table, join_condition from marts.relationships order by all"
    ):
        on = re.sub(rf"\b{other if other != table else 'other'}\.", "to_side.", condition)
        joins.append(
            f"select to_side.*, count(*) as rows_count from marts.{table} left join marts.{other} as to_side on {on}"
            " group by all order by all limit 50"
        )
    expected = with_this_duckdb(demo_file, [*examples(), *joins])
    found = {}
    for version in DUCKDBS:
        folder = CLIENTS / f"duckdb-{version}"
        found[version] = clients(
            "read_duckdb.py", demo_file, given=[*examples(), *joins], PYTHONPATH=str(folder)
        )
        assert found[version].pop("version").startswith(f"{version}.")
        assert "read-only mode" in found[version].pop("refused")
        seconds = found[version].pop("seconds")
        assert max(seconds) < 1, (version, max(seconds))
        assert found[version] == expected, version
    assert {f"{schema}.{name}" for schema, name, _ in expected["tables"]} == {
        f"{schema}.{name}" for schema, name in every_relation(demo_file)
    }
    assert all(comment for *_, comment in [*expected["tables"], *expected["columns"]])


def with_this_duckdb(published: Path, queries: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, SCRIPTS / "read_duckdb.py", published],
        input=json.dumps(queries),
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return {name: found[name] for name in found if name not in ("version", "refused", "seconds")}


@pytest.mark.parametrize(
    ("kind", "beside_sees_new"), [("duckdb", False), ("sqlalchemy", False), ("adbc", True)]
)
def test_what_an_open_reader_sees_of_a_publication(kind: str, beside_sees_new: bool, published: Path) -> None:
    """It keeps what it has, and so does all in its process that shares the database; opened again it is the new one."""
    if not (CLIENTS / "installed").exists():
        pytest.skip("the clients are not installed: `make bi` makes .venv-bi")
    old = run_id(published)
    with subprocess.Popen(
        [CLIENTS / "bin" / "python", SCRIPTS / "reopen.py", kind, published],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=without_ours(),
        text=True,
    ) as reader:
        assert reader.stdin is not None and reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        publish_again(published)
        output, _ = reader.communicate("go on\n")
    assert json.loads(output) == {
        "before": old,
        "after": old,
        "beside": NEW_RUN if beside_sees_new else old,
        "reopened": NEW_RUN,
    }


# --- SQLAlchemy and pandas


def test_sqlalchemy_reflects_and_answers(demo_file: Path) -> None:
    found = clients("read_sqlalchemy.py", demo_file, given=examples())
    assert found["version"].startswith("2.0.")
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        expected: dict[str, list[str]] = {}
        for schema, table, column in connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns()"
            " where database_name = current_database() and not internal"
            " order by schema_name, table_name, column_index"
        ).fetchall():
            expected.setdefault(f"{schema}.{table}", []).append(column)
    assert {name: [column for column, _ in columns] for name, columns in found["columns"].items()} == expected
    types = dict(found["columns"]["marts.account_scores"])
    assert (types["engagement_score"], types["scored_on"]) == ("NUMERIC(9, 4)", "DATE")
    for query, answer, (count, *_) in zip(examples(), found["answers"], found["frames"], strict=True):
        rows = asked(demo_file, query)
        assert answer == [[str(value) for value in row] for row in rows]
        assert count == len(rows)
    assert "read-only mode" in found["refused"]


def test_the_known_limit_of_sqlalchemy_is_still_there(demo_file: Path) -> None:
    """Keys cannot be reflected, and so no `Table(..., autoload_with=...)`. Once this fails, docs/bi.md may say less."""
    found = clients("read_sqlalchemy.py", demo_file, given=[])
    for error in (found["key_error"], found["reflect_error"]):
        assert "Type with name REGCLASS does not exist" in error
    assert "get_pk_constraint" in PAGE and "REGCLASS" in PAGE


# --- ADBC and Parquet


def test_adbc_reads_with_the_types_of_the_contract(demo_file: Path) -> None:
    queries = [
        *examples(),
        "select engagement_score, scored_on, score_rank from marts.account_scores order by all",
    ]
    found = clients("read_adbc.py", demo_file, given=queries)
    for query, answer in zip(queries, found["answers"], strict=True):
        assert answer["rows"] == [[str(value) for value in row] for row in asked(demo_file, query)]
    assert found["answers"][-1]["types"] == ["decimal128(9, 4)", "date32[day]", "int64"]
    assert "read-only mode" in found["refused"]


ARROW_TYPES = {
    "VARCHAR": "string",
    "BIGINT": "int64",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
    "DATE": "date32[day]",
    # Instants are UTC and say no zone.
    "TIMESTAMP": "timestamp[us]",
}


def test_an_export_of_every_table_is_read_with_its_types(workspace: Workspace, demo_file: Path) -> None:
    """`engagement export` as Parquet, read by pyarrow, polars, pandas and DuckDB."""
    workspace.environment["ENGAGEMENT_PUBLISHED_FILE"] = str(demo_file)
    relations = every_relation(demo_file)
    names = {f"{schema}_{table}".lower(): (schema, table) for schema, table in relations}
    entries = [
        {"name": name, "table": f"{schema}.{table}", "format": "parquet", "to": "out", "path": "{name}"}
        for name, (schema, table) in names.items()
    ]
    workspace.configure(lambda raw: raw.update(exports=entries))
    done = workspace.run("export", "--json")
    assert done.exit_code == 0, done.output
    paths = {name: workspace.root / "out" / name / f"{name}-0001.parquet" for name in names}
    found = clients("read_parquet.py", *paths.values())
    for name, (schema, table) in names.items():
        readers = found[str(paths[name])]
        assert {json.dumps(read) for read in readers.values()} == {json.dumps(readers["pyarrow"])}, name
        types = {
            column: ARROW_TYPES.get(kind) or re.sub(r"DECIMAL\((\d+),(\d+)\)", r"decimal128(\1, \2)", kind)
            for column, kind in asked(
                demo_file,
                "select column_name, data_type from duckdb_columns() where database_name = current_database()"
                f" and schema_name = '{schema}' and table_name = '{table}' order by column_index",
            )
        }
        assert readers["pyarrow"]["types"] == types, name
        assert (
            readers["pyarrow"]["count"]
            == asked(demo_file, f'select count(*) from "{schema}"."{table}"')[0][0]
        )
    scores = asked(demo_file, "from marts.publication")
    expected = hashlib.sha256(repr(scores).encode()).hexdigest()
    assert found[str(paths["marts_publication"])]["polars"]["rows"] == expected


# --- Harlequin


def test_harlequin_shows_the_answer(published: Path, tmp_path: Path) -> None:
    """In a terminal: opened read-only, a query pasted and run; and opened again after a publication."""
    if not (CLIENTS / "installed").exists():
        pytest.skip("the clients are not installed: `make bi` makes .venv-bi")

    def screen(query: str, until: str) -> str:
        done = subprocess.run(
            [CLIENTS / "bin" / "python", SCRIPTS / "drive_harlequin.py", published, query, until],
            # It gives back what was typed when it was open last.
            env={**without_ours(), "HOME": tempfile.mkdtemp(dir=tmp_path)},
            stdout=subprocess.PIPE,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    [(name, count)] = asked(
        published, "select segment_name, members_count from marts.segments where segment_id = 'stale'"
    )
    shown = screen(
        "select segment_name, members_count from marts.segments where segment_id = 'stale'", str(name)
    )
    assert re.search(rf"{name} +{count}\b", shown), shown
    # Its window does not always show the reason whole; the file says what counts.
    assert screen("create table marts.written (a integer)", "Query Error")
    assert not asked(published, "select 1 from duckdb_tables() where table_name = 'written'")
    publish_again(published)
    assert screen("select run_id from marts.publication", NEW_RUN)


# --- Superset


@pytest.fixture
def superset(tmp_path: Path) -> Iterator[httpx.Client]:
    """Superset on loopback, signed in; everything that it writes lies in a folder of the test."""
    if not (SUPERSET / "installed").exists():
        pytest.skip("Superset is not installed: `make bi` makes .venv-superset")
    folder = tmp_path / "superset"
    folder.mkdir()
    environment = {
        **without_ours(),
        "HOME": str(folder),
        "SUPERSET_HOME": str(folder),
        "SUPERSET_CONFIG_PATH": str(SCRIPTS / "superset_config.py"),
        "SUPERSET_TEST_FOLDER": str(folder),
        "SUPERSET_TEST_SECRET": secrets.token_hex(32),
        "FLASK_APP": "superset.app:create_app()",
    }
    program = SUPERSET / "bin" / "superset"
    user = f"--username admin --firstname A --lastname B --email admin@localhost --password {PASSWORD}"
    for arguments in ("db upgrade", f"fab create-admin {user}", "init"):
        done = subprocess.run(
            [program, *arguments.split(" ")],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(
            [program, "run", "--host", "127.0.0.1", "--port", str(port), "--with-threads"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False) as client:
            deadline = time.monotonic() + 240
            while True:
                try:
                    assert client.get("/health").text == "OK"
                    break
                except httpx.TransportError:
                    assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.5)
            signed_in = client.post(
                "/api/v1/security/login", json={"username": "admin", "password": PASSWORD, "provider": "db"}
            )
            client.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
            yield client
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def test_superset_answers_what_sql_answers(superset: httpx.Client, published: Path) -> None:
    extra = json.dumps({"engine_params": {"connect_args": {"read_only": True}}})
    assert extra in PAGE
    made = superset.post(
        "/api/v1/database/",
        json={
            "database_name": "Engagement",
            "sqlalchemy_uri": f"duckdb:///{published}",
            "extra": extra,
            "expose_in_sqllab": True,
            # Superset refuses to write as well; here it is the file that has to.
            "allow_dml": True,
        },
    )
    assert made.status_code == 201, made.text
    database = made.json()["id"]
    for schema in ("marts", "enrichment", "dataverse"):
        listed = superset.get(f"/api/v1/database/{database}/tables/?q=(schema_name:{schema})").json()[
            "result"
        ]
        names = {table for found, table in every_relation(published) if found == schema}
        assert {entry["value"] for entry in listed} == names
    dataset = superset.post(
        "/api/v1/dataset/", json={"database": database, "schema": "marts", "table_name": "segment_counts"}
    )
    assert dataset.status_code == 201, dataset.text
    columns = {column["column_name"]: column["description"] for column in dataset.json()["data"]["columns"]}
    assert columns["segment_id"] == "Id of the segment: the name of its model without segment_."
    chart = superset.post(
        "/api/v1/chart/data",
        json={
            "datasource": {"id": dataset.json()["id"], "type": "table"},
            "queries": [
                {
                    "columns": ["segment_id"],
                    "metrics": [
                        {"expressionType": "SQL", "sqlExpression": "max(members_count)", "label": "most"}
                    ],
                    "orderby": [["segment_id", True]],
                    "row_limit": 100,
                }
            ],
            "result_format": "json",
            "result_type": "full",
        },
    )
    assert chart.status_code == 200, chart.text
    assert [tuple(row.values()) for row in chart.json()["result"][0]["data"]] == asked(
        published, "select segment_id, max(members_count) from marts.segment_counts group by all order by all"
    )

    def lab(query: str) -> httpx.Response:
        return superset.post(
            "/api/v1/sqllab/execute/",
            json={
                "database_id": database,
                "sql": query,
                "schema": "marts",
                "client_id": secrets.token_hex(5),
            },
        )

    for query in examples():
        answered = lab(query)
        assert answered.status_code == 200, answered.text
        rows = asked(published, query)
        assert [list(map(as_number, row.values())) for row in answered.json()["data"]] == [
            list(map(as_number, row)) for row in rows
        ]
    # A known limit, as docs/bi.md says: the row limit of SQL Lab takes the place of the query's own.
    assert len(lab("select day_on from marts.days limit 3").json()["data"]) > 3
    refused = lab("create table marts.written (a integer)")
    assert refused.status_code != 200 and "read-only mode" in refused.text
    # What is published next is in its next answer.
    assert lab("select run_id from marts.publication").json()["data"] == [{"run_id": run_id(published)}]
    publish_again(published)
    assert lab("select run_id from marts.publication").json()["data"] == [{"run_id": NEW_RUN}]


def as_number(value: Any) -> Any:
    """A value of JSON or of DuckDB in the form that both have: numbers as floats, days as text."""
    if value is None or isinstance(value, bool):
        return value
    try:
        return pytest.approx(float(value))
    except (TypeError, ValueError):
        return str(value).removesuffix("T00:00:00")
