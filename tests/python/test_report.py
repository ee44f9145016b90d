"""What is printed for people: customers' names as they are, on any terminal."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import click.testing
import duckdb
import pytest

from conftest import ROOT, Workspace
from engagement import report
from engagement.outcome import Outcome
from engagement.status import ago, run_in_words

NOW = datetime(2026, 7, 1, 12, 0)


@pytest.mark.parametrize(
    "name", ["ACME [/holding]", "Foo [eu] Bar", "[address] GmbH", "[bold]Loud[/bold]", ":smile: Ltd"]
)
def test_names_are_no_markup(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    row: tuple[Any, ...] = (name, name, "high", None, None, None, 5, 2.0e6, None, None, None, None)
    printed = report.console()
    report.print_enriched([row], printed)
    report.print_stale([("a", name, None, 5)], printed)
    entry = {"name": name, "type": "office", "state": "active", "status": "failed", "detail": name}
    entry |= {"accounts": None, "accounts_enriched": None, "last_updated_at": None, "next_due_at": None}
    report.print_hub({"published": None, "enrichments": [entry]}, NOW, printed)
    assert capsys.readouterr().out.count(name) == 6


def test_a_terminal_without_the_letters_ends_nothing() -> None:
    code = (
        "import sys; from engagement import cli, report\n"
        "sys.argv = ['engagement', '--help']\n"
        "try: cli.main()\n"
        "except SystemExit: report.console().print('Müller')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT / "scripts"), "PYTHONIOENCODING": "ascii", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "M\\xfcller" in done.stdout


def test_a_summary_that_fails_is_no_failure_of_the_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise ValueError("a name")

    monkeypatch.setattr("engagement.run.status", lambda settings: Outcome(summary=broken))
    result: click.testing.Result = workspace.run("status")
    assert result.exit_code == 0
    assert result.stderr == "warning: the summary cannot be shown (ValueError)\n"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"), (59, "just now"), (60, "1 minute ago"), (3_599, "59 minutes ago"), (3_600, "1 hour ago"),
        (86_399, "23 hours ago"), (86_400, "1 day ago"), (-59, "now"), (-60, "in 1 minute"), (-7 * 86_400, "in 7 days"),
    ],
)  # fmt: skip
def test_instants_in_words(seconds: int, words: str) -> None:
    assert ago((NOW - timedelta(seconds=seconds)).isoformat() + "Z", NOW) == words


def test_an_instant_that_is_none() -> None:
    assert ago(None, NOW) == ago("soon", NOW) == "-"
    assert "engagement run" in run_in_words(None, NOW)


def test_status_needs_none_of_the_customer_files(workspace: Workspace) -> None:
    (workspace.root / "accounts.csv").unlink()
    assert workspace.run("status").exit_code == 0
    assert workspace.run("check").exit_code == 2


def test_a_published_file_of_an_earlier_version_is_readable(workspace: Workspace) -> None:
    workspace.published_file.parent.mkdir()
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.publication as select 'r' as run_id, date '2026-06-30' as as_of_date,"
            " timestamp '2026-07-01 06:00:00' as published_at"
        )
    result = workspace.run("status")
    assert result.exit_code == 0
    assert "as of 2026-06-30" in result.stdout
    assert "cannot be read" not in result.stdout
    workspace.published_file.write_bytes(b"no database")
    assert "engagement.duckdb cannot be read" in workspace.run("status").stdout
