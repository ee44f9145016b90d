"""docs/errors.md, "What you see first": our own lines stand further down on the page, those of others are real."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from dbt.cli.main import dbtRunner

from engagement import versions
from project_fixtures import ROOT

TEXT = (ROOT / "docs" / "errors.md").read_text("utf-8")
INDEX, _, BELOW = TEXT.partition("## What you see first")[2].partition("\n## ")
OURS, _, OF_OTHERS = INDEX.partition("And what other programs say:")


def seen(table: str) -> list[str]:
    """What stands in backticks in the first column."""
    cells = re.findall(r"^\| ([^|]*) \|", table, re.MULTILINE)
    return [fragment for cell in cells for fragment in re.findall(r"`([^`]+)`", cell)]


def test_our_lines_stand_below() -> None:
    plain = BELOW.replace("`", "")
    assert len(seen(OURS)) >= 15
    assert {fragment for fragment in seen(OURS) if fragment not in plain} == set()


def test_duckdb_says_so(tmp_path: Path) -> None:
    file = tmp_path / "some.duckdb"
    with duckdb.connect(str(file)) as connection:
        connection.execute("create schema marts; create table marts.account_engagement (account_id varchar)")
        other = subprocess.run(
            [sys.executable, "-c", f"import duckdb; duckdb.connect({str(file)!r})"],
            capture_output=True,
            text=True,
            check=False,
        )
    said = [other.stderr]
    with duckdb.connect(str(file), read_only=True) as connection:
        for statement in ("from account_engagement", "create table marts.x (a int)"):
            with pytest.raises(duckdb.Error) as caught:
                connection.execute(statement)
            said.append(str(caught.value))
    with pytest.raises(duckdb.Error) as caught:
        duckdb.connect(str(tmp_path / "none.duckdb"), read_only=True)
    said.append(str(caught.value))
    rows = "\n".join(line for line in OF_OTHERS.splitlines() if "DuckDB:" in line)
    assert len(seen(rows)) == 6
    for fragment in seen(rows):
        # What only an older DuckDB says is known by the pattern that the command looks for.
        assert any(fragment in line for line in said) or versions._READABLE.search(fragment), fragment


def test_make_and_dbt_say_so(tmp_path: Path) -> None:
    assert "Python 3.11 or newer is needed" in seen(OF_OTHERS)
    assert "Python 3.11 or newer is needed" in (ROOT / "Makefile").read_text("utf-8")
    (tmp_path / "dbt_project.yml").write_bytes((ROOT / "dbt_project.yml").read_bytes())
    result = dbtRunner().invoke(
        [
            "parse",
            "--quiet",
            *(f"--{name}={tmp_path}" for name in ("project-dir", "profiles-dir", "log-path")),
        ]
    )
    assert not result.success
    profile = "Could not find profile named 'account_engagement'"
    assert profile in str(result.exception) and profile in seen(OF_OTHERS)
