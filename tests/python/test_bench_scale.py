"""The floor counts what the marts and the hand count; the rivals count what the floor counts."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

import corpus
from benchmarks.scale import compare, floor
from benchmarks.scale.rivals.window import Window, window_of
from conftest import Workspace
from corpus_run import run_corpus
from demo_once import demo_folder
from engagement import warehouse
from histories import Clock, Counted, History, history
from project_fixtures import ROOT
from test_histories import land

HISTORIES = 120
MARTS = "marts.account_engagement"
RIVALS = {
    "polars": ".venv-rivals",
    "pandas": ".venv-rivals",
    "postgres": ".venv-rivals",
    "spark": ".venv-spark",
}


def warehouse_of(folder: Path, seed: int, clock: Clock) -> tuple[Path, list[History]]:
    """A private file with random histories, each an enrichment of its own, and the histories."""
    workspace = Workspace(folder)
    with warehouse.private_file(workspace.settings(services=())):
        private_file = workspace.private_file
    random = Random(seed)
    made = [history(number, random, clock) for number in range(HISTORIES)]
    land(private_file, made, clock, random)
    return private_file, made


def floor_of(private_file: Path, folder: Path) -> Path:
    result_file = folder / "floor.parquet"
    floor.compute(private_file, result_file)
    return result_file


def differences(one: Path, other: Path | str) -> list[str]:
    rows, found = compare.differences(str(one), str(other))
    assert rows > 0
    return found


@pytest.mark.parametrize(
    ("seed", "day", "time_zone"),
    [
        (1, date(2025, 12, 31), "America/Los_Angeles"),
        (2, date(2026, 1, 4), "Asia/Kolkata"),
        (3, date(2026, 3, 29), "Europe/Berlin"),
    ],
)
def test_the_floor_counts_as_the_hand_does(tmp_path: Path, seed: int, day: date, time_zone: str) -> None:
    clock = Clock(day, time_zone)
    private_file, made = warehouse_of(tmp_path, seed, clock)
    columns = (*compare.KEY, *compare.EXACT, *compare.MEANS)
    by_hand = [
        {"enrichment_id": one.enrichment_id, **row} for one in made for row in Counted(one, clock).rows()
    ]
    # the key of text is made of the others, and the hand does not make it
    known = [column for column in columns if column in by_hand[0]]
    assert set(columns) - set(known) <= {"primary_key"}
    with duckdb.connect(str(floor_of(private_file, tmp_path).with_suffix(".duckdb"))) as connection:
        types = connection.execute(f"describe from '{tmp_path / 'floor.parquet'}'").fetchall()
        connection.execute(
            f"create table by_hand ({', '.join(f'{name} {kind}' for name, kind, *_ in types if name in known)})"
        )
        order = [name for name, *_ in types if name in known]
        with connection.appender("by_hand") as appender:
            appender.append_rows([tuple(row[name] for name in order) for row in by_hand])
        connection.execute(
            "alter table by_hand add column primary_key varchar;"
            "update by_hand set primary_key = account_id || '|' || aggregation_level || '|' || aggregation_starts_on"
        )
    assert differences(tmp_path / "floor.parquet", f"{tmp_path / 'floor.duckdb'}#by_hand") == []


def test_the_floor_counts_what_the_demo_shows(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    private_file = demo_folder(tmp_path_factory.getbasetemp()) / "private.duckdb"
    assert differences(floor_of(private_file, tmp_path), f"{private_file}#{MARTS}") == []


@pytest.mark.long
@pytest.mark.skipif(
    "ENGAGEMENT_TEST_DATA" not in os.environ, reason="ENGAGEMENT_TEST_DATA is not set: no real mail to count"
)
def test_the_floor_counts_what_is_published_of_real_mail(tmp_path: Path) -> None:
    run = run_corpus(
        "corpus:enron",
        corpus.write_enron,
        tmp_path,
        companies=corpus.data_directory() / "firmographics.parquet",
    )
    assert run.exit_code == 0, run.output
    assert differences(floor_of(run.private_file, tmp_path), f"{run.private_file}#{MARTS}") == []


@pytest.mark.long
@pytest.mark.parametrize("rival", RIVALS)
def test_every_rival_counts_what_the_floor_counts(tmp_path: Path, rival: str) -> None:
    python = ROOT / RIVALS[rival] / "bin" / "python"
    if not python.exists():
        pytest.skip(f"{RIVALS[rival]} is not there: make {RIVALS[rival]}/installed")
    if (
        rival == "postgres"
        and "POSTGRES_BIN" not in os.environ
        and not any(Path("/usr/lib/postgresql").glob("*/bin"))
    ):
        pytest.skip("PostgreSQL is not installed")
    private_file, _ = warehouse_of(tmp_path, 4, Clock(date(2026, 3, 29), "Europe/Berlin"))
    raw = tmp_path / "raw"
    with duckdb.connect(str(private_file), read_only=True) as connection:
        tables = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'raw'"
        ).fetchall()
        for (table,) in tables:
            (raw / table).mkdir(parents=True)
            connection.execute(f"copy raw.{table} to '{raw / table / 'rows.parquet'}'")
    result_file = tmp_path / f"{rival}.parquet"
    done = subprocess.run(
        [
            *(str(python), "-m", f"benchmarks.scale.rivals.rival_{rival}"),
            *("--raw", str(raw), "--result", str(result_file), "--memory-limit-mb", "1500", "--threads", "2"),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts"), "POLARS_MAX_THREADS": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"meetings", "periods"} <= json.loads(done.stdout.splitlines()[-1]).keys()
    assert differences(result_file, floor_of(private_file, tmp_path)) == []


def test_a_difference_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    right, wrong = tmp_path / "right.parquet", tmp_path / "wrong.parquet"
    private_file, _ = warehouse_of(tmp_path, 5, Clock(date(2026, 1, 4), "UTC"))
    floor.compute(private_file, right)

    def told(changes: str) -> tuple[int, str]:
        with duckdb.connect() as connection:
            connection.execute(f"create table result as from '{right}'; {changes}; copy result to '{wrong}'")
        code = compare.main([str(wrong), str(right)])
        return code, capsys.readouterr().err

    def first_with(column: str) -> str:
        return f"where primary_key = (select min(primary_key) from result where {column} is not null)"

    assert told("select 1") == (0, "")
    for column in compare.MEANS:
        assert told(f"update result set {column} = {column} * (1 + 1e-12)") == (0, "")
        code, text = told(f"update result set {column} = {column} * (1 + 1e-8) {first_with(column)}")
        assert (code, f" {column}: " in text) == (1, True)
    for column in (*compare.EXACT, *compare.MEANS):
        other = {"primary_key": "'another'", "engagement_started_on": "'2020-01-01'"}.get(
            column, f"{column} + 1"
        )
        for value in ("null", other):
            code, text = told(f"update result set {column} = {value} {first_with(column)}")
            assert (code, f" {column}: " in text) == (1, True), (column, value)
    code, text = told(f"delete from result {first_with('account_id')}")
    assert (code, text.splitlines()[0].endswith("only in other")) == (1, True)
    code, text = told(f"insert into result from result {first_with('account_id')}")
    assert (code, text.startswith("one: 2 rows of ")) == (1, True)
    assert compare.main([str(tmp_path / "nothing.parquet"), str(right)]) == 1
    assert "cannot be compared" in capsys.readouterr().err


def test_banded_numbers_are_refused(tmp_path: Path) -> None:
    clock = Clock(date(2026, 1, 4), "UTC")
    private_file, _ = warehouse_of(tmp_path, 6, clock)
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("insert into raw.settings values ('', 'reporting.small_numbers', 'band')")
        settings = connection.execute("select enrichment_id, key, value from raw.settings").fetchall()
    with pytest.raises(duckdb.Error, match="banded"):
        floor_of(private_file, tmp_path)
    with pytest.raises(ValueError, match="banded"):
        window_of(settings, [], [])


def test_the_rivals_window_is_that_of_the_as_of_date() -> None:
    settings: list[tuple[str, str, str | None]] = [
        ("", "reporting.time_zone", "Europe/Berlin"),
        ("office", "type", "office"),
        ("office", "tolerated_failures", "0.5"),
        ("leadspace", "type", "leadspace"),
    ]
    mailboxes: list[tuple[str, int, str, Any]] = [
        ("office", 1, "readable", None),
        ("office", 2, "readable", None),
        ("office", 3, "denied", None),
    ]

    def read(*midnights: int) -> Window:
        return window_of(
            settings,
            mailboxes,
            [
                (number + 1, kind, Clock(date(2026, 3, 29), "Europe/Berlin").midnight(date(2026, 3, day)))
                for number, day in enumerate(midnights)
                for kind in ("messages", "meetings")
            ],
        )

    # half of those that can be read may lag behind
    window = read(20, 30)
    assert (window.as_of_on, window.year_starts_on) == (date(2026, 3, 29), date(2025, 3, 30))
    assert str(window.ends_before_at) == "2026-03-29 22:00:00"
    assert window.enrichments == [("office", False)]
    levels = {
        level: [period for period in window.periods if period.level == level] for level in ("month", "week")
    }
    assert {level: sum(len(period.days) for period in of_it) for level, of_it in levels.items()} == {
        "month": 365,
        "week": 365,
    }
    assert levels["month"][0].starts_on == date(2025, 3, 1)
    assert levels["month"][0].days == [date(2025, 3, 30), date(2025, 3, 31)]
    with pytest.raises(ValueError, match="no day"):
        read()
