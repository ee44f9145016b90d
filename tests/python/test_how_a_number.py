"""docs/how-a-number-comes-about.md: every query of the page, run over the demo's files, gives the rows under it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pytest

from demo_once import demo_folder
from project_fixtures import ROOT

PAGE = ROOT / "docs" / "how-a-number-comes-about.md"
STEP = re.compile(r"```sql\n(.*?)```\n\n((?:\|[^\n]*\n)+)", re.DOTALL)


def steps() -> list[tuple[str, list[list[str]]]]:
    """Each query of the page with the table below it: the names of its columns, then its rows."""
    return [
        (query, [[cell.strip() for cell in line.strip("|").split("|")] for line in _without_rule(table)])
        for query, table in STEP.findall(PAGE.read_text("utf-8"))
    ]


def _without_rule(table: str) -> list[str]:
    names, _, *rows = table.splitlines()
    return [names, *rows]


def shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def printed(file: Path, query: str) -> list[list[str]]:
    with duckdb.connect(str(file), read_only=True) as connection:
        result = connection.execute(query)
        return [
            [column[0] for column in result.description],
            *([shown(value) for value in row] for row in result.fetchall()),
        ]


def test_every_query_has_its_rows() -> None:
    """So that the test below skips none."""
    assert len(steps()) == PAGE.read_text("utf-8").count("```sql") >= 13


@pytest.mark.long
def test_the_rows_of_the_page_are_those_of_the_demo(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = demo_folder(tmp_path_factory.getbasetemp())
    for query, told in steps():
        assert printed(folder / "private.duckdb", query) == told, query
    # The last one reads what is published.
    query, told = steps()[-1]
    assert printed(folder / "engagement.duckdb", query) == told
