"""A refresh costs what is new and gives exactly what a whole rebuild gives (D6.10)."""

from __future__ import annotations

import math
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from changes import change, land
from conftest import Workspace
from engagement import warehouse
from histories import Clock, history
from project_fixtures import run_dbt

HISTORIES = 80
# What tells of this refresh or of runs, not of what was counted.
LEFT_OUT = ("_touched", "_before", "int_refresh", "run_history", "run_steps")


@pytest.fixture(scope="module")
def private_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("refreshes"))
    with warehouse.private_file(workspace.settings(services=())):
        return workspace.private_file


def contents(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every intermediate table and mart."""
    with duckdb.connect(str(path), read_only=True) as connection:
        names = connection.execute(
            "select schema_name || '.' || table_name from duckdb_tables()"
            " where schema_name in ('intermediate', 'marts') order by all"
        ).fetchall()
        return {
            name: connection.execute(f"select * from {name} order by all").fetchall()
            for (name,) in names
            if not name.endswith(LEFT_OUT)
        }


def same(one: list[tuple[Any, ...]], other: list[tuple[Any, ...]]) -> bool:
    """Cell by cell; sums of doubles may differ by the order in which they were added (D7)."""
    return len(one) == len(other) and all(
        math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)
        if isinstance(a, float) and isinstance(b, float)
        else a == b
        for row, another in zip(one, other, strict=True)
        for a, b in zip(row, another, strict=True)
    )


def refreshed(private_file: Path, *arguments: str) -> str:
    """Runs dbt and says whether it was a refresh in part."""
    run_dbt("run", *arguments, target=private_file.parent / "target", private_file=private_file)
    with duckdb.connect(str(private_file), read_only=True) as connection:
        row = connection.execute("select is_complete, is_in_part from raw.refreshes").fetchone()
    assert row is not None and row[0]
    return "in part" if row[1] else "whole"


def check(private_file: Path, seed: int, refreshes: int) -> None:
    """Random histories, refreshed several times while they change, against one whole rebuild."""
    random = Random(seed)
    clock = Clock(date(2026, 3, 29), random.choice(("UTC", "Asia/Kolkata", "America/Los_Angeles")))
    made = [history(number, random, clock) for number in range(HISTORIES)]
    keys = count(10**12)
    with duckdb.connect(str(private_file)) as connection:
        for table in ("office_messages", "office_meetings", "office_units", "office_replaced", "refreshes"):
            connection.execute(f"delete from raw.{table}")
        land(connection, random, clock, made, clock.end, whole=True)
    assert refreshed(private_file) == "whole"
    for number in range(refreshes):
        moved = clock.day + timedelta(days=random.choice((0, 1, 7, 7, 31, -3)))
        clock = Clock(moved, clock.time_zone)
        for one in made:
            for _ in range(random.choice((0, 0, 1, 3))):
                change(random, clock, one, keys)
        with duckdb.connect(str(private_file)) as connection:
            at = clock.end + timedelta(days=40 * (number + 1))
            land(connection, random, clock, made, at, whole=False)
        assert refreshed(private_file) == "in part"
    found = contents(private_file)
    assert refreshed(private_file, "--full-refresh") == "whole"
    expected = contents(private_file)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not same(found[name], expected[name])] == [], f"seed {seed}"
    assert all(expected[f"marts.{name}"] for name in ("account_engagement", "account_score_history"))


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_refreshes_in_part_add_up_to_a_whole_rebuild(private_file: Path, seed: int) -> None:
    check(private_file, seed, refreshes=3)
