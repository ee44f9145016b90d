"""The whole project on a Spark cluster, over its Thrift server, while a worker is killed in the midst of the build: the
marts are DuckDB's to the last cell, and what is published of them is the same file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click.testing
import pytest

from conftest import ROOT
from demo_once import demo_folder
from engagement.cli import cli
from spark.cluster import WORKERS
from spark.compare import differences
from test_parquet_marts import everything
from test_spark_cluster import SPARK_PYTHON, needs_spark

pytestmark = [pytest.mark.long, needs_spark]
# In the midst of the models, and a join with a shuffle on either side.
KILLED_AT = "int_messages_matched"


def test_a_build_goes_on_without_a_worker_and_is_published(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data, folder, target = tmp_path / "demo", tmp_path / "spark", tmp_path / "target"
    shutil.copytree(demo_folder(tmp_path_factory.getbasetemp()), data)
    environment = {
        "ENGAGEMENT_DATA_DIR": str(data),
        "ENGAGEMENT_CONFIG": str(data / "enrichments.yml"),
        "ENGAGEMENT_PROJECT_DIR": str(ROOT),
        "ENGAGEMENT_RAW_PARQUET": str(tmp_path / "raw"),
        "DBT_TARGET_PATH": str(target),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }

    def engagement(*arguments: str) -> None:
        done = click.testing.CliRunner().invoke(cli, list(arguments), env=dict(environment))
        assert done.exit_code == 0, done.output

    expected = everything(data / "engagement.duckdb")
    engagement("raw-to-parquet")
    built = subprocess.run(
        [
            sys.executable, "-m", "spark.cluster", "--dir", folder, "--python", SPARK_PYTHON, "run",
            "--kill-worker-after", KILLED_AT, "--report", tmp_path / "report.json", "--",
            SPARK_PYTHON.with_name("dbt"), "--no-use-colors", "build", "--target", "spark",
            # they test the project, not the data
            "--exclude-resource-type", "unit_test",
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment | {"PYTHONPATH": str(ROOT / "scripts")},
    )  # fmt: skip
    print(built.stderr)
    assert built.returncode == 0, built.stdout[-5000:] + built.stderr
    print(*re.findall(r"^.*(?:Done\. PASS|Finished running).*$", built.stdout, re.MULTILINE), sep="\n")
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    print(json.dumps(report, indent=1))
    [killed] = report["killed"]
    assert killed["active_tasks"] >= 1 and killed["shuffle_bytes_written"] > 0
    states = {worker["host"]: worker["state"] for worker in report["workers"]}
    assert states == {WORKERS[0]: "DEAD", WORKERS[1]: "ALIVE"}
    lost = [executor for executor in report["executors"] if not executor["is_active"]]
    assert [executor["host"] for executor in lost] == [WORKERS[0]]
    # the other one has done the rest
    assert differences(data / "private.duckdb", folder / "warehouse") == {}
    engagement("publish", "--marts-from", str(folder / "warehouse" / "marts.db"))
    found = everything(data / "engagement.duckdb")
    assert found.keys() == expected.keys()
    for name in expected:
        assert same(found[name], expected[name]), name


def same(found: object, expected: object) -> bool:
    """Equal to the last cell; doubles to a share of 1e-9, since their sums have no order."""
    if isinstance(expected, list | tuple):
        return (
            isinstance(found, list | tuple)
            and len(found) == len(expected)
            and all(map(same, found, expected))
        )
    if isinstance(expected, float) and isinstance(found, float):
        return found == pytest.approx(expected, rel=1e-9, abs=0)
    return found == expected
