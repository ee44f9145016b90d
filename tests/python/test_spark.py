"""The models on Spark, in a session: every mart equal to DuckDB's, and what the comparison would notice."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import duckdb
import pytest

import corpus
from conftest import Workspace
from corpus_run import run_corpus
from demo_once import demo_folder
from project_fixtures import ROOT, CompiledProject
from spark.compare import differences
from whole_run import refreshed_once

DBT = ROOT / ".venv-spark" / "bin" / "dbt"
BUILD_SECONDS = 3000
# Seeds and models; the tests of the data and of the models take as long again.
WITHOUT_TESTS = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")

# Mail, meetings, replies, people, periods, scores and company data are behind them.
MARTS_OF_EVERY_KIND = ("account_scores", "leadspace_intent")


@pytest.fixture(scope="session")
def spark_dbt() -> Path:
    """dbt with Spark's adapter, in an environment of its own."""
    if not DBT.exists():
        pytest.skip("Spark is not installed: `make spark` makes .venv-spark (649 MB)")
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        pytest.skip("no Java; Spark needs version 17 or newer, from the system's packages")
    return DBT


def write_raw_tables(private_file: Path, folder: Path) -> None:
    """The raw tables as files, as `engagement raw-to-parquet` lays them, of a file that nobody may change."""
    with duckdb.connect(str(private_file), read_only=True) as connection:
        for (table,) in connection.execute(
            "select table_name from duckdb_tables() where schema_name = 'raw'"
        ).fetchall():
            (folder / table).mkdir(parents=True)
            connection.execute(f"copy raw.{table} to '{folder}/{table}/0.parquet' (format parquet)")


def built(dbt: Path, raw: Path | None, folder: Path, *arguments: str) -> Path:
    """`dbt build` over raw tables in a folder; the warehouse. Fails the test with dbt's own words."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ENGAGEMENT_")}
    environment.pop("PYTHONPATH", None)
    environment |= {
        "ENGAGEMENT_RAW_PARQUET": "" if raw is None else str(raw),
        "ENGAGEMENT_SPARK_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1",
        # So few rows need no threads beside that look for garbage: a seventh of the processor time.
        "JAVA_TOOL_OPTIONS": "-XX:+UseSerialGC",
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [
            dbt,
            "build",
            "--target",
            "spark_session",
            "--project-dir",
            ROOT,
            "--profiles-dir",
            ROOT,
            *arguments,
        ],
        env=environment,
        # Spark leaves things where it runs.
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return folder / "warehouse"


def test_marts_of_every_kind_of_a_small_company_are_equal(
    spark_dbt: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A third of the models, in a third of the time of all; of every kind of SQL some."""
    workspace: Workspace = refreshed_once(tmp_path_factory.getbasetemp()).workspace
    write_raw_tables(workspace.private_file, tmp_path / "raw")
    selected = ["--select", *(f"+{mart}" for mart in MARTS_OF_EVERY_KIND)]
    warehouse = built(spark_dbt, tmp_path / "raw", tmp_path / "spark", *WITHOUT_TESTS, *selected)
    found = differences(workspace.private_file, warehouse)
    assert not found.keys() & set(MARTS_OF_EVERY_KIND), found
    # What was built on the way is equal too.
    assert {name: said for name, said in found.items() if said != ["is not in Spark's warehouse"]} == {}


@pytest.mark.long
def test_every_mart_of_a_small_company_is_equal(
    spark_dbt: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace: Workspace = refreshed_once(tmp_path_factory.getbasetemp()).workspace
    write_raw_tables(workspace.private_file, tmp_path / "raw")
    warehouse = built(spark_dbt, tmp_path / "raw", tmp_path / "spark", *WITHOUT_TESTS)
    assert differences(workspace.private_file, warehouse) == {}


@pytest.mark.long
def test_every_mart_of_the_demo_is_equal_and_every_test_passes(
    spark_dbt: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    private_file = demo_folder(tmp_path_factory.getbasetemp()) / "private.duckdb"
    write_raw_tables(private_file, tmp_path / "raw")
    warehouse = built(spark_dbt, tmp_path / "raw", tmp_path / "spark")
    assert differences(private_file, warehouse) == {}


@pytest.mark.long
def test_every_mart_of_real_mail_is_equal(spark_dbt: Path, tmp_path: Path, test_data: Path) -> None:
    run = run_corpus(
        "corpus:enron", corpus.write_enron, tmp_path / "run", companies=test_data / "firmographics.parquet"
    )
    assert run.exit_code == 0, run.output
    write_raw_tables(run.private_file, tmp_path / "raw")
    warehouse = built(spark_dbt, tmp_path / "raw", tmp_path / "spark", *WITHOUT_TESTS)
    assert differences(run.private_file, warehouse) == {}


@pytest.mark.long
def test_without_the_folder_of_raw_tables_a_build_says_what_to_set(spark_dbt: Path, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="ENGAGEMENT_RAW_PARQUET is not set"):
        built(spark_dbt, None, tmp_path / "spark")


MARTS = "select 1 as id, 0.1 + 0.2e0 as share, 'a' as name union all select 2, null, null"


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (MARTS, None),
        (MARTS + " limit 1", "1 rows only DuckDB has"),
        (MARTS + " union all select 2, null, null", "1 rows only Spark has"),
        (MARTS.replace("'a'", "'A'"), "1 rows only Spark has"),
        (MARTS.replace("0.1", "0.1000000000000001e0"), None),
        (MARTS.replace("0.1", "0.1000001e0"), '"share" differs in 1 rows'),
        (MARTS.replace("select 2, null", "select 2, 0e0"), '"share" differs in 1 rows'),
        (MARTS.replace("1 as id", "cast(1 as bigint) as id"), "columns differ"),
        (f"select id, name, share from ({MARTS})", "columns stand in another order"),
        (f"select id, share from ({MARTS})", "columns differ"),
    ],
)
def test_the_comparison_notices_every_difference(tmp_path: Path, theirs: str, said: str | None) -> None:
    with duckdb.connect(str(tmp_path / "private.duckdb")) as connection:
        connection.execute(f"create schema marts; create table marts.m as {MARTS}")
        (tmp_path / "marts.db" / "m").mkdir(parents=True)
        connection.execute(f"copy ({theirs}) to '{tmp_path}/marts.db/m/0.parquet' (format parquet)")
    found = differences(tmp_path / "private.duckdb", tmp_path)
    assert found == {} if said is None else any(line.startswith(said) for line in found["m"]), found


def test_the_comparison_notices_a_mart_too_many_and_one_too_few(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "private.duckdb")) as connection:
        connection.execute("create schema marts; create view marts.ours as select 1 as id")
        (tmp_path / "marts.db" / "theirs").mkdir(parents=True)
        connection.execute(
            f"copy (select 1 as id) to '{tmp_path}/marts.db/theirs/0.parquet' (format parquet)"
        )
    (tmp_path / "marts.db" / "ours").mkdir()
    assert differences(tmp_path / "private.duckdb", tmp_path) == {
        "ours": ["is not in Spark's warehouse"],
        "theirs": ["is in Spark's warehouse only"],
    }


def test_no_constraint_stands_without_a_test_of_the_data(compiled_project: CompiledProject) -> None:
    """On Spark's Parquet tables a constraint is skipped in silence; what has to hold of a mart is a data test."""
    constrained = [
        node["name"]
        for node in compiled_project.nodes("model")
        if node["constraints"] or any(column["constraints"] for column in node["columns"].values())
    ]
    assert constrained == []
    tested = {
        test["attached_node"]
        for test in compiled_project.nodes("test")
        if (test.get("test_metadata") or {}).get("name") == "unique_key"
    }
    marts = {node["unique_id"] for node in compiled_project.nodes("model") if node["schema"] == "marts"}
    assert marts and marts <= tested
