"""The semantic models and metrics: what dbt makes of them, that their columns are published, and what `mf` answers."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo_once import demo_folder
from engagement.contract import project_contract
from project_fixtures import ROOT, CompiledProject

MF_PYTHON = ROOT / ".venv-measures" / "bin" / "python"
COMMAND = ".venv-measures/bin/python scripts/measures/mf.py"


@pytest.fixture(scope="module")
def semantics(compiled_project: CompiledProject) -> dict[str, Any]:
    """dbt's semantic manifest."""
    manifest = compiled_project.target / "semantic_manifest.json"
    found: dict[str, Any] = json.loads(manifest.read_text("utf-8"))
    return found


def documented(heading: str) -> set[str]:
    """The names in the first column of the tables below a heading of docs/measures.md."""
    text = (ROOT / "docs" / "measures.md").read_text("utf-8")
    section = re.split(r"^## ", text.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]
    return {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([a-z_]+)`", line.split("|")[1])
    }


def test_dbt_has_read_every_metric_and_the_docs_explain_it(semantics: dict[str, Any]) -> None:
    """dbt-core 1.11 ignores semantic models in the newer form, and says nothing."""
    assert len(semantics["semantic_models"]) == 4
    names = {metric["name"] for metric in semantics["metrics"]}
    assert {
        "emails",
        "meetings",
        "response_time",
        "engaged_accounts",
        "average_score",
        "enriched_share",
    } <= names
    assert names == documented("What can be asked with mf")
    spines = semantics["project_configuration"]["time_spines"]
    assert [(spine["node_relation"]["alias"], spine["primary_column"]["name"]) for spine in spines] == [
        ("days", "day_on")
    ]


def test_the_docs_explain_every_business_measure() -> None:
    text = (ROOT / "models" / "marts" / "measures" / "business_measures.sql").read_text("utf-8")
    made = set(re.findall(r"^    '([a-z_]+)': '", text, re.MULTILINE))
    assert len(made) == 12
    assert made == documented("The measures of the business")


def test_what_measures_are_made_of_is_published(
    semantics: dict[str, Any], compiled_project: CompiledProject
) -> None:
    """Every expression is asked of the tables, and each table is one of the published file."""
    published = {table.name for table in project_contract(ROOT).tables}
    asked = 0
    with duckdb.connect(str(compiled_project.private_file), read_only=True) as connection:
        for model in semantics["semantic_models"]:
            relation = model["node_relation"]
            assert (relation["schema_name"], relation["alias"] in published) == ("marts", True)
            for kind in ("entities", "dimensions", "measures"):
                for part in model[kind]:
                    expression = part["expr"] or part["name"]
                    connection.execute(f"select {expression} from marts.{relation['alias']} limit 0")
                    asked += 1
    assert asked > 40


def test_only_what_adds_up_is_summed(semantics: dict[str, Any]) -> None:
    """Months, and weeks, add up to the year in these columns; people and means do not (D6.5)."""
    summed = {
        measure["expr"] or measure["name"]
        for model in semantics["semantic_models"]
        for measure in model["measures"]
        if measure["agg"] == "sum"
    }
    assert summed == {
        "emails_count",
        "emails_to_account_count",
        "emails_from_account_count",
        "meetings_count",
        "replies_count",
        "reply_time_hours",
    }


# --- mf, in its own environment


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's published file."""
    if not MF_PYTHON.exists():
        pytest.skip("dbt-metricflow is not installed: `make measures` makes .venv-measures")
    return demo_folder(tmp_path_factory.getbasetemp()) / "engagement.duckdb"


def mf(published: Path, folder: Path, *arguments: str) -> list[dict[str, str]]:
    """The rows that `mf query` writes as CSV."""
    path = folder / "answer.csv"
    environment = {**os.environ, "ENGAGEMENT_PUBLISHED_FILE": str(published)}
    done = subprocess.run(
        [MF_PYTHON, ROOT / "scripts" / "measures" / "mf.py", *arguments, "--csv", path],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and path.exists(), done.stdout + done.stderr
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def examples() -> list[list[str]]:
    """The arguments of every `mf query` that the README and docs/measures.md show."""
    found = []
    for path in (ROOT / "README.md", ROOT / "docs" / "measures.md"):
        text = path.read_text("utf-8").replace("\\\n", " ")
        for line in text.splitlines():
            before, command, arguments = line.partition(f"{COMMAND} ")
            if command and before.removesuffix("ENGAGEMENT_DATA_DIR=data/demo ") == "    ":
                found.append(shlex.split(arguments))
    return found


@pytest.mark.long
def test_the_examples_of_the_readme_and_the_docs_answer(published: Path, tmp_path: Path) -> None:
    assert len(examples()) >= 5
    for arguments in examples():
        assert mf(published, tmp_path, *arguments), arguments


@pytest.mark.long
def test_mf_answers_what_the_tables_say(published: Path, tmp_path: Path) -> None:
    with duckdb.connect(str(published), read_only=True) as connection:
        owners = connection.execute(
            "select customers.owner, sum(years.emails_to_account_count + years.emails_from_account_count),"
            " sum(years.meetings_count),"
            " sum(years.reply_time_mean_hours * years.replies_count) / nullif(sum(years.replies_count), 0),"
            " avg(years.engagement_score)"
            " from marts.account_engagement as years inner join marts.enriched_customers as customers"
            " using (account_id) where years.aggregation_level = 'year'"
            " group by customers.owner order by customers.owner"
        ).fetchall()
        months = connection.execute(
            "select aggregation_starts_on, sum(emails_to_account_count + emails_from_account_count), count(*)"
            " from marts.account_engagement where aggregation_level = 'month' group by all order by all"
        ).fetchall()
        enriched = connection.execute(
            "select measure_value from marts.business_measures where measure = 'enriched_ratio' and dimension = 'all'"
        ).fetchone()
        segments = connection.execute(
            "select dimension_value, measure_value from marts.business_measures "
            "where measure = 'emails' and dimension = 'segment' and measure_value > 0"
        ).fetchall()
    answer = mf(
        published,
        tmp_path,
        *(
            "query",
            "--metrics",
            "emails,meetings,response_time,average_score",
            "--group-by",
            "account__owner",
        ),
        *("--order", "account__owner"),
    )
    assert len(answer) == len(owners) > 5
    for row, (owner, emails, meetings, hours, score) in zip(answer, owners, strict=True):
        assert row["account__owner"] == owner
        assert (float(row["emails"]), float(row["meetings"])) == (emails, meetings)
        assert float(row["response_time"]) == pytest.approx(hours)
        assert float(row["average_score"]) == pytest.approx(float(score))
    answer = mf(
        published,
        tmp_path,
        *("query", "--metrics", "emails,engaged_accounts", "--group-by", "metric_time__month"),
        *("--order", "metric_time__month"),
    )
    assert [
        (row["metric_time__month"][:10], float(row["emails"]), float(row["engaged_accounts"]))
        for row in answer
    ] == [(str(month), float(emails), float(accounts)) for month, emails, accounts in months]
    [row] = mf(published, tmp_path, "query", "--metrics", "enriched_share")
    assert enriched == (pytest.approx(float(row["enriched_share"])),)
    of_segments = {
        row["membership__segment"]: float(row["segment_emails"])
        for row in mf(
            published, tmp_path, "query", "--metrics", "segment_emails", "--group-by", "membership__segment"
        )
        if row["segment_emails"]
    }
    assert len(of_segments) > 5
    assert of_segments == dict(segments)


@pytest.mark.long
def test_mf_says_where_nothing_is_published(tmp_path: Path) -> None:
    if not MF_PYTHON.exists():
        pytest.skip("dbt-metricflow is not installed: `make measures` makes .venv-measures")
    done = subprocess.run(
        [MF_PYTHON, ROOT / "scripts" / "measures" / "mf.py", "query", "--metrics", "emails"],
        env={**os.environ, "ENGAGEMENT_PUBLISHED_FILE": str(tmp_path / "none.duckdb")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "nothing is published there" in done.stderr
