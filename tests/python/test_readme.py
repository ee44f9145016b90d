"""The README's worked example, recomputed from the file that its demo publishes."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo_once import demo_folder
from project_fixtures import ROOT

ROW = re.compile(r"^\| (\w+) \| ([\d.]+) .*\| ([\d.]+) \| (\d+) \| ([\d.]+) \|$")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo_folder(tmp_path_factory.getbasetemp()) / "engagement.duckdb"


def query(published: Path, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(published), read_only=True) as connection:
        return connection.execute(sql, list(parameters)).fetchall()


@pytest.mark.long
def test_the_worked_example_of_the_score(published: Path) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The score")[2]
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
