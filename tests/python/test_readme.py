"""What the README shows and says: its first screen, its commands, and its example, recomputed from the demo's file."""

from __future__ import annotations

import math
import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo_once import demo_folder
from emulators import demo
from engagement import report
from engagement.configuration.loading import load
from engagement.status import read_status
from project_fixtures import ROOT

README = (ROOT / "README.md").read_text("utf-8")
# So that a reader sees all of it before he has to decide.
MOST_LINES = 200
ROW = re.compile(r"^\| (\w+) \| ([\d.]+) .*\| ([\d.]+) \| (\d+) \| ([\d.]+) \|$")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_folder(tmp_path_factory.getbasetemp()) / "engagement.duckdb"


def query(published: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(sql, list(parameters)).fetchall()


@pytest.mark.long
def test_the_worked_example_of_the_score(published: Path) -> None:
    section = README.partition("## The score")[2]
    section = section.partition("A test recomputes this table")[0]
    match = re.search(r"For ([^\n]+) in the demo:", section)
    assert match is not None
    name = match.group(1)
    told = {found.group(1): found.groups()[1:] for found in map(ROW.match, section.splitlines()) if found}
    [(account,)] = query(
        published, "select account_id from marts.account_recency where account_name = ?", name
    )
    rows = query(
        published,
        """
        select component, raw_value, weight_points, account_id, unit
        from marts.account_score_components
        where aggregation_level = 'year' and score_version = 'v1'
        """,
    )
    total = Decimal(0)
    for component in {row[0] for row in rows}:
        values = {row[3]: row[1] for row in rows if row[0] == component and row[1] is not None}
        [(_, own, weight, _, unit)] = [row for row in rows if row[0] == component and row[3] == account]
        lower_is_better = unit == "days"
        others = [value for other, value in values.items() if other != account]
        worse = sum(value > own if lower_is_better else value < own for value in others)
        place = (worse + sum(value == own for value in others) / 2) / len(others)
        points = Decimal(math.floor(weight * place * 10_000 + 1e-6)) / 10_000
        total += points
        measured, shown_place, shown_weight, shown_points = told.pop(component)
        digits = len(measured.partition(".")[2])
        assert measured == f"{own:.{digits}f}", component
        assert shown_place == f"{place:.3f}", component
        assert shown_weight == f"{weight:.0f}", component
        assert Decimal(shown_points) == points, component
    assert told == {}
    assert f"| **engagement_score** | | | 100 | **{total}** |" in section
    [(score,)] = query(
        published,
        "select engagement_score from marts.account_engagement where account_id = ? and aggregation_level = 'year'",
        account,
    )
    assert score == total


def shown(after: str) -> list[str]:
    """The lines of the block that follows a line of the README, without its indentation."""
    block = README.partition(f"\n{after}\n\n")[2]
    return [line[4:] for line in re.match(r"(?:    .*\n|\n(?=    ))*", block)[0].splitlines() if line]  # type: ignore[index]


def in_words(line: str) -> str:
    return " ".join(line.split())


def test_the_readme_is_short() -> None:
    assert README.count("\n") <= MOST_LINES


def test_the_figures_of_the_back_test_are_those_of_its_page() -> None:
    said = README.partition("**Does it earn its place?**")[2].partition("\n\n")[0]
    page = (ROOT / "docs" / "backtest.md").read_text("utf-8")
    names = {"score v1 (shown)": "0.732 (0.699 to 0.762)", "four equal ranks": "0.730"}
    names |= {"days since last contact": "0.725", "rule 60 days": "0.655"}
    for name, figure in names.items():
        assert figure in in_words(said), name
        assert f"| {name} | {figure}" in page, name


@pytest.mark.long
def test_the_second_command_prints_what_is_shown(published: Path) -> None:
    [line] = [line for line in README.splitlines() if line.startswith("    .venv/bin/python -c ")]
    [_, option, code] = shlex.split(line)
    folder = published.parent
    assert "'data/demo/engagement.duckdb'" in code
    code = code.replace("data/demo/engagement.duckdb", str(folder / "engagement.duckdb"))
    done = subprocess.run([sys.executable, option, code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-2] == shown("The second command prints")


@pytest.mark.long
def test_the_demo_ends_with_what_is_shown(published: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line by line, in this order; ... stands for what is left out."""
    folder = published.parent
    # Anywhere on loopback: a consent is to the place that is asked, and nothing is asked here.
    nowhere = "http://127.0.0.1:9"
    environment = demo.environment(nowhere, nowhere, folder, folder / "enrichments.yml")
    environment["ENGAGEMENT_PROJECT_DIR"] = str(ROOT)
    settings = load(environment, services=())
    report.print_summary(settings, read_status(settings), datetime.now(UTC).replace(tzinfo=None))
    printed = iter(in_words(line) for line in capsys.readouterr().out.splitlines())
    for line in shown("`make demo` ends with"):
        # When it was published, and where, is another's.
        words = re.sub(r"(just now|data/demo/).*", "", in_words(line).removesuffix("...").strip()).strip()
        assert any(found.startswith(words) for found in printed), line
