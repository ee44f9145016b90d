"""`engagement publish --marts-from`: the marts of another engine, by the same gate and contract as DuckDB's own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click.testing
import duckdb
import pytest

from conftest import ROOT
from demo_once import demo_folder
from engagement.cli import cli
from engagement.contract import project_contract

MARTS = sorted(
    table.name for table in project_contract(ROOT).tables if table.sql is None and table.name != "publication"
)


class Demo:
    """A copy of the demo with its raw tables and marts as Parquet, as they are after a build on another engine."""

    def __init__(self, root: Path) -> None:
        self.data, self.marts, self.target = root / "demo", root / "warehouse" / "marts.db", root / "target"

    def engagement(self, *arguments: str) -> click.testing.Result:
        unset: dict[str, str | None] = {
            name: None for name in os.environ if name.startswith(("AZURE_", "ENGAGEMENT_", "LEADSPACE_"))
        }
        environment: dict[str, str | None] = {
            "ENGAGEMENT_DATA_DIR": str(self.data),
            "ENGAGEMENT_CONFIG": str(self.data / "enrichments.yml"),
            "ENGAGEMENT_PROJECT_DIR": str(ROOT),
            "DBT_TARGET_PATH": str(self.target),
        }
        return click.testing.CliRunner().invoke(cli, list(arguments), env={**unset, **environment})

    def publish(self) -> click.testing.Result:
        return self.engagement("publish", "--marts-from", str(self.marts))

    def refused(self, code: int = 7) -> str:
        """What is said where nothing is published."""
        before = (self.data / "engagement.duckdb").read_bytes()
        done = self.publish()
        assert done.exit_code == code, done.output
        assert (self.data / "engagement.duckdb").read_bytes() == before
        return done.stderr

    def built(self) -> None:
        """Another engine's build has just ended."""
        path = self.target / "run_results.json"
        results = json.loads(path.read_text("utf-8"))
        results["metadata"]["generated_at"] = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        results["args"]["target"] = "spark"
        path.write_text(json.dumps(results), "utf-8")

    def rewrite(self, mart: str, select: str) -> None:
        """Gives a mart other rows or columns; `mart` in the select is what it was."""
        folder = self.marts / mart
        with duckdb.connect() as connection:
            connection.execute(f"create table mart as select * from read_parquet('{folder}/*.parquet')")
            connection.execute(f"copy ({select}) to '{folder}/part-0.parquet' (format parquet)")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    root = tmp_path_factory.mktemp("parquet-marts")
    shutil.copytree(demo_folder(tmp_path_factory.getbasetemp()), root / "demo")
    shutil.copytree(demo_folder(tmp_path_factory.getbasetemp()).parent / "target", root / "target")
    demo = Demo(root)
    done = demo.engagement("raw-to-parquet")
    assert done.exit_code == 0, done.output
    with duckdb.connect(str(demo.data / "private.duckdb"), read_only=True) as connection:
        for mart in MARTS:
            folder = demo.marts / mart
            folder.mkdir(parents=True)
            connection.execute(f"copy marts.{mart} to '{folder}/part-0.parquet' (format parquet)")
    # What other engines leave beside the files that count.
    (demo.marts / "days" / "_SUCCESS").touch()
    (demo.marts / "days" / "_temporary" / "0").mkdir(parents=True)
    (demo.marts / "days" / "_temporary" / "0" / "part-1.parquet").write_text("half of a file")
    (demo.marts / "days" / ".part-0.parquet.crc").write_text("a checksum")
    demo.built()
    return root


@pytest.fixture
def demo(made: Path, tmp_path: Path) -> Demo:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    # The folder of the raw tables is another one now.
    return Demo(tmp_path)


def everything(path: Path) -> dict[str, Any]:
    """Every table and view of a published file: its definition, comments and rows."""
    with duckdb.connect(str(path), read_only=True) as connection:
        found: dict[str, Any] = {
            f"{schema}.{name}": (
                sql,
                comment,
                None
                if name == "publication"
                else connection.execute(f'select * from "{schema}"."{name}" order by all').fetchall(),
            )
            for schema, name, sql, comment in connection.execute(
                "select schema_name, table_name, sql, comment from duckdb_tables() where not internal union all"
                " select schema_name, view_name, sql, comment from duckdb_views() where not internal"
            ).fetchall()
        }
        found["columns"] = connection.execute(
            "select schema_name, table_name, column_name, data_type, comment from duckdb_columns() where not internal"
            " order by all"
        ).fetchall()
        found["publication"] = connection.execute(
            "select small_numbers, smallest_group, as_of_date from marts.publication"
        ).fetchall()
    return found


def test_the_published_file_is_the_same_to_the_last_cell(demo: Demo) -> None:
    expected = everything(demo.data / "engagement.duckdb")
    run_id = "select run_id from marts.publication"
    with duckdb.connect(str(demo.data / "engagement.duckdb"), read_only=True) as connection:
        before = connection.execute(run_id).fetchall()
    done = demo.publish()
    assert done.exit_code == 0, done.output
    with duckdb.connect(str(demo.data / "engagement.duckdb"), read_only=True) as connection:
        assert connection.execute(run_id).fetchall() != before
    found = everything(demo.data / "engagement.duckdb")
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name
    # and the gate for anybody's file lets it pass
    assert demo.engagement("verify", str(demo.data / "engagement.duckdb")).exit_code == 0


def test_the_private_file_need_never_have_been_built(demo: Demo) -> None:
    """Where it holds raw tables alone, all that is read beside the marts comes from those."""
    expected = everything(demo.data / "engagement.duckdb")
    with duckdb.connect(str(demo.data / "private.duckdb")) as connection:
        for (schema,) in connection.execute(
            "select distinct schema_name from duckdb_schemas() where database_name = 'private' and not internal"
            " and schema_name not in ('raw', 'main')"
        ).fetchall():
            connection.execute(f'drop schema "{schema}" cascade')
    done = demo.publish()
    assert done.exit_code == 0, done.output
    assert everything(demo.data / "engagement.duckdb") == expected


def test_an_instant_in_another_engines_form_is_one(demo: Demo) -> None:
    expected = everything(demo.data / "engagement.duckdb")
    demo.rewrite("run_history", "select * replace (started_at at time zone 'UTC' as started_at) from mart")
    done = demo.publish()
    assert done.exit_code == 0, done.output
    assert everything(demo.data / "engagement.duckdb") == expected


@pytest.mark.faults
def test_an_address_in_a_mart_is_refused(demo: Demo) -> None:
    demo.rewrite("segment_members", "select * replace ('ask kim@contoso.example' as reason) from mart")
    said = demo.refused()
    assert "the gate refused the file" in said
    assert "table marts.segment_members, column reason: address" in said
    assert "kim@" not in said


@pytest.mark.faults
@pytest.mark.parametrize(
    ("mart", "select", "line"),
    [
        (
            "days",
            "select *, 'x' as note from mart",
            "table marts.days, column note: no such column is allowed",
        ),
        (
            "days",
            "select * exclude (is_in_year) from mart",
            "table marts.days, column is_in_year: the column is missing",
        ),
        (
            "days",
            "select * replace (cast(day_on as varchar) as day_on) from mart",
            "table marts.days, column day_on: type VARCHAR instead of DATE",
        ),
    ],
)
def test_a_mart_with_another_schema_is_refused_in_one_line(
    mart: str, select: str, line: str, demo: Demo
) -> None:
    demo.rewrite(mart, select)
    lines = demo.refused().splitlines()
    assert len(lines) == 2 and lines[1].strip() == line


@pytest.mark.faults
def test_a_mart_that_is_missing_or_no_parquet_is_refused(demo: Demo) -> None:
    shutil.rmtree(demo.marts / "days")
    assert "table marts.days: the mart is missing" in demo.refused()
    (demo.marts / "days").mkdir()
    assert "table marts.days: the mart is missing" in demo.refused()
    (demo.marts / "days" / "part-0.parquet").write_text("not Parquet")
    assert "table marts.days: part-0.parquet is no Parquet file, or is damaged" in demo.refused()
    shutil.rmtree(demo.marts)
    assert "marts.db: no such folder" in demo.refused(2)


def _fail(demo: Demo) -> None:
    path = demo.target / "run_results.json"
    results = json.loads(path.read_text("utf-8"))
    results["results"][0]["status"] = "error"
    path.write_text(json.dumps(results), "utf-8")


def _select(demo: Demo) -> None:
    path = demo.target / "run_results.json"
    results = json.loads(path.read_text("utf-8"))
    results["args"]["select"] = ["days"]
    path.write_text(json.dumps(results), "utf-8")


def _change_a_model(demo: Demo) -> None:
    path = demo.target / "manifest.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["nodes"]["model.customer_engagement.days"]["columns"]["day_on"]["description"] = "Another."
    path.write_text(json.dumps(manifest), "utf-8")


def _land(demo: Demo) -> None:
    done = demo.engagement("extract", "customers")
    assert done.exit_code == 0, done.output


def _write_out(demo: Demo) -> None:
    path = demo.data / "raw_parquet" / "raw.json"
    manifest = json.loads(path.read_text("utf-8"))
    manifest["made_at"] = f"{datetime.now(UTC) + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    path.write_text(json.dumps(manifest), "utf-8")


def _erase(demo: Demo) -> None:
    shutil.rmtree(demo.data / "raw_parquet")


@pytest.mark.faults
@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_fail, 7, "the last dbt command failed"),
        (_select, 7, "built only a part"),
        (_change_a_model, 7, "the project is another than the one that was built (days)"),
        (_land, 2, "private.duckdb: was written since raw_parquet was"),
        (_write_out, 2, "raw_parquet: was written after the marts were built"),
        (_erase, 2, "raw_parquet/raw.json: is missing"),
    ],
)
def test_marts_of_something_else_are_refused(
    change: Callable[[Demo], None], code: int, words: str, demo: Demo
) -> None:
    change(demo)
    assert words in demo.refused(code)


def test_a_withdrawn_consent_keeps_its_outputs_out(demo: Demo) -> None:
    done = demo.engagement("consent", "account-engagement", "--withdraw", "--by", "Jane Doe")
    assert done.exit_code == 0, done.output
    assert "its consent was withdrawn since the marts were built" in demo.refused(2)


def test_errors_are_documented() -> None:
    text = (ROOT / "docs" / "errors.md").read_text("utf-8").replace("`", "")
    for message in (
        "no such folder; name the one that holds a folder for each mart",
        "of the marts are not as their contracts say",
        "the project is another than the one that was built",
        "was written since raw_parquet was, so the marts are of an older one",
        "was written after the marts were built",
        "its consent was withdrawn since the marts were built",
    ):
        assert message in text, message
