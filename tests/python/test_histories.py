"""Random histories: every number of every account and period is what a person counts by hand, in any order of rows."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from conftest import Workspace
from engagement import warehouse
from histories import Clock, Counted, History, history, raw_rows
from project_fixtures import run_dbt

# So many histories lie side by side in one warehouse, whatever the number of days that they are built for.
HISTORIES = 80
HISTORIES_OF_A_LONG_EXAMPLE = 250
# The accounts of a history have few days of contact.
RHYTHM_LEAST_DAYS = 2
MARTS = (
    "account_engagement",
    "account_recency",
    "account_score_components",
    "account_score_history",
    "segment_counts",
    "segment_history",
    "segment_members",
)


def land(private_file: Path, made: list[History], clock: Clock, shuffle: Random | None = None) -> None:
    """The raw rows of the histories, in an order of their own."""
    with duckdb.connect(str(private_file)) as connection:
        for table, landed in raw_rows(made, clock).items():
            if shuffle is not None:
                shuffle.shuffle(landed)
            with warehouse.transaction(connection):
                warehouse.replace_table(connection, table, landed)
        # nothing of the histories before these is to be kept
        connection.execute("delete from raw.refreshes")


def built(private_file: Path, target: Path) -> None:
    """The marts that are looked at here, and what they are made of."""
    run_dbt(
        "run",
        "--select",
        *(f"+{name}" for name in MARTS),
        "--vars",
        json.dumps({"rhythm_least_days": RHYTHM_LEAST_DAYS}),
        target=target,
        private_file=private_file,
    )


def engagement_rows(private_file: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    with duckdb.connect(str(private_file), read_only=True) as connection:
        result = connection.execute("select * from marts.account_engagement")
        names = [column[0] for column in result.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    return {
        (row["enrichment_id"], row["account_id"], row["aggregation_level"], row["aggregation_starts_on"]): row
        for row in rows
    }


def differing(found: dict[tuple[Any, ...], dict[str, Any]], made: list[History], clock: Clock) -> list[str]:
    """Every cell that is not what the hand counts; a row that only one of the two has is one of them."""
    expected = {
        (one.enrichment_id, row["account_id"], row["aggregation_level"], row["aggregation_starts_on"]): row
        for one in made
        for row in Counted(one, clock).rows()
    }
    wrong = [f"{key}: row missing" for key in expected.keys() - found.keys()]
    wrong += [f"{key}: row not expected" for key in found.keys() - expected.keys()]
    for key in expected.keys() & found.keys():
        for column, value in expected[key].items():
            have = found[key][column]
            same = (
                math.isclose(have, value, rel_tol=1e-9)
                if isinstance(value, float) and isinstance(have, float)
                else have == value
            )
            if not same:
                wrong.append(f"{key} {column}: {have}, by hand {value}")
    return sorted(wrong)


SEGMENTS_OF_CONTACT = (
    "going_silent", "never_engaged", "one_way", "single_threaded", "stale", "stale_strict",
)  # fmt: skip


def differing_members(private_file: Path, made: list[History], clock: Clock) -> list[tuple[Any, ...]]:
    """Who is in a segment and should not be, or should be and is not, by the hand."""
    with duckdb.connect(str(private_file), read_only=True) as connection:
        found = set(
            connection.execute(
                "select segment_id, enrichment_id, account_id from marts.segment_members"
                " where segment_id in (select unnest(?))",
                [list(SEGMENTS_OF_CONTACT)],
            ).fetchall()
        )
    expected, known = set(), set()
    for one in made:
        counted = Counted(one, clock)
        known |= {(one.enrichment_id, account) for account in {*counted.mails, *counted.meetings}}
        expected |= {
            (segment, one.enrichment_id, account) for segment, account in counted.segments(RHYTHM_LEAST_DAYS)
        }
    # an account without anything was never engaged
    found = {member for member in found if member[0] != "never_engaged" or member[1:] in known}
    assert {segment for segment, *_ in expected} >= set(SEGMENTS_OF_CONTACT) - {"never_engaged"}
    return sorted(found ^ expected)


@pytest.fixture(scope="module")
def warehouse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("histories"))
    with warehouse.private_file(workspace.settings(services=())):
        return workspace.private_file


def check(
    seed: int, day: date, time_zone: str, warehouse_file: Path, histories: int = HISTORIES
) -> tuple[list[History], Clock]:
    """Random histories against the hand; gives them back for more."""
    random = Random(seed)
    clock = Clock(day, time_zone)
    made = [history(number, random, clock) for number in range(histories)]
    land(warehouse_file, made, clock, random)
    built(warehouse_file, warehouse_file.parent / "target")
    found = engagement_rows(warehouse_file)
    assert differing(found, made, clock) == [], f"seed {seed}"
    assert differing_members(warehouse_file, made, clock) == [], f"seed {seed}"
    # the histories have something to count
    years = [row for key, row in found.items() if key[2] == "year"]
    for column in ("emails_to_account_count", "emails_from_account_count", "replies_count", "meetings_count",
                   "meetings_to_account_count", "meetings_from_account_count"):  # fmt: skip
        assert sum(row[column] for row in years) > 0, column
    return made, clock


@pytest.mark.parametrize(
    ("seed", "day", "time_zone"),
    [
        (3, date(2025, 12, 31), "America/Los_Angeles"),
        pytest.param(2, date(2026, 1, 4), "Asia/Kolkata", marks=pytest.mark.long),
    ],
)
def test_every_number_is_what_a_person_counts_by_hand(
    warehouse_file: Path, seed: int, day: date, time_zone: str
) -> None:
    check(seed, day, time_zone, warehouse_file)


@pytest.mark.long
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(
    seed=st.integers(0, 2**32),
    day=st.dates(date(2025, 10, 1), date(2026, 6, 30)),
    time_zone=st.sampled_from(
        ["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Los_Angeles", "Australia/Lord_Howe"]
    ),
)
def test_on_any_day_in_any_time_zone(warehouse_file: Path, seed: int, day: date, time_zone: str) -> None:
    check(seed, day, time_zone, warehouse_file, HISTORIES_OF_A_LONG_EXAMPLE)


@pytest.mark.long
def test_the_order_of_rows_changes_nothing(warehouse_file: Path) -> None:
    def marts() -> dict[str, list[tuple[Any, ...]]]:
        with duckdb.connect(str(warehouse_file), read_only=True) as connection:
            return {
                name: connection.execute(f"select * from marts.{name} order by all").fetchall()
                for name in MARTS
            }

    made, clock = check(1, date(2026, 3, 29), "Europe/Berlin", warehouse_file)
    expected = marts()
    land(warehouse_file, made, clock, Random(9))
    built(warehouse_file, warehouse_file.parent / "target")
    found = marts()
    assert {name for name in MARTS if found[name] != expected[name]} == set()
    assert all(
        expected[name] for name in ("account_engagement", "account_score_components", "segment_members")
    )
