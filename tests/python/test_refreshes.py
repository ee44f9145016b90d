"""A refresh costs what is new and gives exactly what a whole rebuild gives (D6.10)."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from changes import change, land
from conftest import Workspace
from engagement import warehouse
from engagement.office.landing import land as land_reads
from engagement.office.rows import Landing, Read
from engagement.office.slices import MESSAGES, Slice
from histories import Clock, Copy, History, Mailbox, history, ledger_rows, message_row
from project_fixtures import ROOT, run_dbt

# So many lie side by side in one warehouse.
HISTORIES = 80
HISTORIES_OF_A_LONG_EXAMPLE = 250
# What tells of this refresh or of runs, not of what was counted.
LEFT_OUT = ("_touched", "_touched_span", "_before", "int_refresh", "run_history", "run_steps")

# Made of the members of the as-of date alone, in every refresh anew.
INSIGHTS = ("int_attribute_values+", "int_members_counted+", "segment_overlaps")


@pytest.fixture(scope="module")
def private_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    workspace = Workspace(tmp_path_factory.mktemp("refreshes"))
    with warehouse.private_file(workspace.settings(services=())):
        return workspace.private_file


# All that is made of mail, and segments, which ask about companies too.
OF_MAIL = (
    *(f"+models/marts/{folder}" for folder in ("engagement", "segments", "backtest")),
    *(
        "+office_coverage",
        "+office_days",
        "+office_gaps",
        "+office_overview",
        "+unmatched_domains",
        "+data_watch",
    ),
)


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
    """Runs dbt and says whether it was a refresh in part; what tells of companies alone is left out."""
    run_dbt(
        "run",
        *arguments,
        "--select",
        *OF_MAIL,
        "--exclude",
        *INSIGHTS,
        target=private_file.parent / "target",
        private_file=private_file,
    )
    with duckdb.connect(str(private_file), read_only=True) as connection:
        row = connection.execute("select is_complete, is_in_part from raw.refreshes").fetchone()
    assert row is not None and row[0]
    return "in part" if row[1] else "whole"


# The warehouse holds every account in every history, so fewer weeks are judged, and nothing is drawn.
FEWER = {"segment_history_weeks": 9, "backtest_replicates": 0}
# Rules of segments, which an analyst may change between two refreshes: what was judged before is judged anew.
RULES: tuple[dict[str, Any], ...] = (
    {},
    {"stale_after_days": 20, "rising_from_points": 2, "one_way_from": 1},
    {"single_thread_ratio": 0.5, "low_engagement_below_score": 60},
)


def check(private_file: Path, seed: int, refreshes: int, histories: int = HISTORIES) -> None:
    """Random histories, refreshed several times while they and the rules change, against one whole rebuild."""
    random = Random(seed)
    clock = Clock(date(2026, 3, 29), random.choice(("UTC", "Asia/Kolkata", "America/Los_Angeles")))
    made = [history(number, random, clock) for number in range(histories)]
    keys = count(10**12)
    with duckdb.connect(str(private_file)) as connection:
        for table in ("office_messages", "office_meetings", "office_units", "office_replaced", "refreshes"):
            connection.execute(f"delete from raw.{table}")
        land(connection, random, clock, made, clock.end, whole=True)
    assert refreshed(private_file, "--vars", json.dumps(FEWER)) == "whole"
    for number in range(refreshes):
        moved = clock.day + timedelta(days=random.choice((0, 1, 7, 7, 31, -3)))
        clock = Clock(moved, clock.time_zone)
        for one in made:
            for _ in range(random.choice((0, 0, 1, 3))):
                change(random, clock, one, keys)
        with duckdb.connect(str(private_file)) as connection:
            at = clock.end + timedelta(days=40 * (number + 1))
            land(connection, random, clock, made, at, whole=False)
        rules = ("--vars", json.dumps(FEWER | RULES[(seed + number) % len(RULES)]))
        assert refreshed(private_file, *rules) == "in part"
    found = contents(private_file)
    assert refreshed(private_file, "--full-refresh", *rules) == "whole"
    expected = contents(private_file)
    assert found.keys() == expected.keys()
    assert [name for name in expected if not same(found[name], expected[name])] == [], f"seed {seed}"
    assert all(
        expected[f"marts.{name}"]
        for name in ("account_engagement", "account_score_history", "segment_history")
    )


# With 40 the as-of date moves back, so that the weeks that are judged reach further back than before.
@pytest.mark.parametrize(
    ("seed", "refreshes", "histories"),
    [
        (1, 1, 40),
        *(pytest.param(*case, HISTORIES, marks=pytest.mark.long) for case in ((1, 1), (1, 2), (4, 2))),
    ],
)
def test_refreshes_in_part_add_up_to_a_whole_rebuild(
    private_file: Path, seed: int, refreshes: int, histories: int
) -> None:
    check(private_file, seed, refreshes, histories)


@pytest.mark.long
@settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(seed=st.integers(0, 2**32), refreshes=st.integers(1, 4))
def test_however_they_change_and_however_often_they_are_read(
    private_file: Path, seed: int, refreshes: int
) -> None:
    check(private_file, seed, refreshes, HISTORIES_OF_A_LONG_EXAMPLE)


# ---------------------------------------------------------------------------------------------------
# what a refresh writes


# Every table that is refreshed in part, and the day of its rows.
DAYS = {
    "intermediate.int_messages_matched": "known_on",
    "intermediate.int_messages_deduplicated": "happened_on",
    "intermediate.int_messages_counted": "happened_on",
    "intermediate.int_people_in_messages": "happened_on",
    "intermediate.int_messages_read": "happened_on",
    "intermediate.int_recipients_unmatched": "happened_on",
    "intermediate.int_messages_classified": "happened_on",
    "intermediate.int_meetings_read": "happened_on",
    "intermediate.int_people_in_meetings": "null",  # no meeting is new
    "intermediate.int_participants_named": "happened_on",
    "intermediate.int_meetings_counted": "happened_on",
    "intermediate.int_meetings_classified": "happened_on",
    "intermediate.int_replies_measured": "happened_on",
    "intermediate.int_account_days_aggregated": "happened_on",
    "intermediate.int_people_involved": "happened_on",
    "intermediate.int_account_periods_aggregated": "counts_to_on",
    "intermediate.int_score_people_counted": "scored_on",
    "intermediate.int_score_replies_counted": "scored_on",
    "intermediate.int_score_features_measured": "scored_on",
    "intermediate.int_components_measured": "scored_on",
    "intermediate.int_components_scaled": "scored_on",
    "intermediate.int_components_weighted": "scored_on",
    "intermediate.int_scores_summed": "scored_on",
    "intermediate.int_score_changes_explained": "scored_on",
    "intermediate.int_rhythms_measured": "scored_on",
    "intermediate.int_top_shares_measured": "scored_on",
    "marts.account_engagement": "aggregation_ends_on",
    "marts.account_score_components": "scored_on",
    "marts.account_score_changes": "week_ends_on",
    "marts.account_score_history": "week_ends_on",
    "marts.account_scores": "scored_on",
}


def newest_row_ids(path: Path) -> dict[str, int]:
    """What DuckDB numbers rows with: a row written later has a higher one, one left alone keeps its own."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            table: connection.execute(f"select coalesce(max(rowid), -1) from {table}").fetchall()[0][0]
            for table in DAYS
        }


def days_written(path: Path, before: dict[str, int]) -> dict[str, set[date | None]]:
    """Days of the rows written since, null where the table's rows have none."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            table: {
                day
                for (day,) in connection.execute(
                    f"select distinct {column} from {table} where rowid > {before[table]}"
                ).fetchall()
            }
            for table, column in DAYS.items()
        }


@pytest.fixture(scope="module")
def two_weeks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Clock]]:
    """Histories refreshed whole for Sunday 2026-03-29, and the clock of that day."""
    workspace = Workspace(tmp_path_factory.mktemp("weeks"))
    with warehouse.private_file(workspace.settings(services=())):
        pass
    random, clock = Random(5), Clock(date(2026, 3, 29), "UTC")
    made = [history(number, random, clock) for number in range(20)]
    for one in made:
        one.copies = [copy for copy in one.copies if copy.received_at < clock.end]
        one.entries = [entry for entry in one.entries if entry.end_at < clock.end - timedelta(days=2)]
    with duckdb.connect(str(workspace.private_file)) as connection:
        land(connection, random, clock, made, clock.end, whole=True)
    assert refreshed(workspace.private_file) == "whole"
    yield workspace.private_file, clock


def test_the_tables_refreshed_in_part_are_those_watched_here(two_weeks: tuple[Path, Clock]) -> None:
    manifest = json.loads((two_weeks[0].parent / "target" / "manifest.json").read_text(encoding="utf-8"))
    assert {
        f"{node['schema']}.{node['name']}"
        for node in manifest["nodes"].values()
        if node["config"]["materialized"] == "incremental"
    } == DAYS.keys()


def test_with_nothing_new_nothing_is_written(two_weeks: tuple[Path, Clock]) -> None:
    private_file, _ = two_weeks
    before = newest_row_ids(private_file)
    assert refreshed(private_file) == "in part"
    assert {table: days for table, days in days_written(private_file, before).items() if days} == {}


def land_a_week(connection: duckdb.DuckDBPyConnection, old: Clock, new: Clock) -> None:
    """A message a day between some of ours and a contact, in threads of their own; nothing else is read."""
    pairs = connection.execute(
        """
        select mailboxes.mailbox_id, mailboxes.address_key, contacts.address_key
        from staging.stg_office__mailbox_addresses as mailboxes
        inner join intermediate.int_contacts_matched as contacts using (enrichment_id)
        order by all limit 40
        """
    ).fetchall()
    keys = count(10**13)
    rows: dict[int, list[Any]] = {}
    for mailbox_id, own, contact in pairs:
        for day in range(7):
            at = old.end + timedelta(days=day, hours=9)
            copy = Copy(mailbox_id, next(keys), next(keys), next(keys), at, own, [contact])
            rows.setdefault(mailbox_id, []).append(message_row(copy, new.end)[:-3])
    week = Slice(old.end, new.end)
    landings = [
        Landing(mailbox_id, MESSAGES, (week,), (new.end,), Read(read, []))
        for mailbox_id, read in rows.items()
    ]
    with warehouse.transaction(connection):
        land_reads(connection, landings, run_id="run", now=new.end)
        newest = connection.execute("select max(landing_id) from raw.office_units").fetchall()[0][0]
        ours = connection.execute("select distinct mailbox_id from raw.office_mailboxes").fetchall()
        made = History("all", [Mailbox(mailbox_id, []) for (mailbox_id,) in ours])
        warehouse.replace_table(connection, "office_units", ledger_rows([made], new, newest))


def test_a_new_week_writes_only_the_periods_that_it_touches(two_weeks: tuple[Path, Clock]) -> None:
    private_file, old = two_weeks
    new = Clock(old.day + timedelta(days=7), "UTC")
    before = newest_row_ids(private_file)
    with duckdb.connect(str(private_file)) as connection:
        land_a_week(connection, old, new)
    assert refreshed(private_file) == "in part"
    written = days_written(private_file, before)
    new_week = {new.day - timedelta(days=back) for back in range(7)}
    # Counted and scored anew is what ends with the new week: the year, the month that it opens and that which it
    # closes. The year begins seven days later, and so cuts its first week and month elsewhere; and where it ended
    # before, only a week still does. Of the end of a past quarter the days after it have now passed.
    ends = {new.day, date(2026, 3, 31), date(2025, 4, 6), date(2025, 4, 13), date(2025, 4, 30), old.day}
    ends.add(date(2025, 12, 31))
    for table, days in written.items():
        assert days <= (new_week if DAYS[table] in ("happened_on", "known_on") else ends), table
    assert written["intermediate.int_messages_counted"] == new_week
    assert new.day in written["intermediate.int_account_periods_aggregated"]
    assert new.day in written["marts.account_engagement"]
    assert written["marts.account_score_history"] == {new.day}


# ---------------------------------------------------------------------------------------------------
# when it is whole


@pytest.mark.long
def test_a_refresh_is_whole_unless_the_one_before_ended_well_with_the_same_models_and_settings(
    two_weeks: tuple[Path, Clock], tmp_path: Path
) -> None:
    private_file = tmp_path / "private.duckdb"
    shutil.copyfile(two_weeks[0], private_file)
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds", "tests/generic", "tests/singular"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(ROOT / name, project / name)

    def decided(*arguments: str, complete: bool = True) -> tuple[bool, bool]:
        """Whether it is complete, and in part, after a run of a single model."""
        with duckdb.connect(str(private_file)) as connection:
            connection.execute("update raw.refreshes set is_complete = ?", [complete])
        run_dbt(
            *("run", "--select", "int_refresh", *arguments),
            project=project,
            target=tmp_path / "target",
            private_file=private_file,
        )
        with duckdb.connect(str(private_file), read_only=True) as connection:
            row = connection.execute("select is_complete, is_in_part from raw.refreshes").fetchone()
        assert row is not None
        return row[0], row[1]

    # A run of one model of them all begins a refresh and does not complete it.
    assert decided() == (False, True)
    assert decided(complete=False) == (False, False)
    assert decided() == (False, True)
    assert decided("--full-refresh") == (False, False)
    assert decided("--vars", "{reply_limit_hours: 24}") == (False, False)
    assert decided() == (False, False)  # other models than those of the one before, once more
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("update raw.settings set value = 'Asia/Kolkata' where key = 'reporting.time_zone'")
    assert decided() == (False, False)
    assert decided() == (False, True)
    for path in ("models/intermediate/messages/int_messages_matched.sql", "macros/dialect/dates.sql"):
        file = project / path
        file.write_text(file.read_text(encoding="utf-8") + "{# another #}\n", encoding="utf-8")
        assert decided() == (False, False), path


@pytest.mark.long
def test_other_seeds_ask_for_a_whole_refresh_whichever_command_loads_them(
    two_weeks: tuple[Path, Clock],
) -> None:
    """`dbt run` loads no seed: what it builds after a seed was edited is made of the old one."""
    private_file, _ = two_weeks
    where = {"target": private_file.parent / "target", "private_file": private_file}
    refreshed(private_file)
    run_dbt("seed", **where)
    assert refreshed(private_file) == "whole"
    run_dbt("build", "--exclude-resource-type", "test", "--exclude-resource-type", "unit_test", **where)
    with duckdb.connect(str(private_file), read_only=True) as connection:
        assert connection.execute("select is_complete, is_in_part from raw.refreshes").fetchall() == [
            (True, False)
        ]


@pytest.mark.long
def test_a_changed_segment_is_no_reason_to_build_everything_again_and_a_changed_rule_of_counting_is(
    tmp_path: Path,
) -> None:
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds", "tests/generic", "tests/singular"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(ROOT / name, project / name)
    workspace = Workspace(tmp_path / "workspace")
    with warehouse.private_file(workspace.settings(services=())):
        pass
    path = workspace.private_file

    def run() -> tuple[bool, bool]:
        run_dbt("run", "--select", *OF_MAIL, project=project, target=tmp_path / "target", private_file=path)
        with duckdb.connect(str(path), read_only=True) as connection:
            [row] = connection.execute("select is_complete, is_in_part from raw.refreshes").fetchall()
        return bool(row[0]), bool(row[1])

    def change_model(name: str) -> None:
        model = project / "models" / name
        model.write_text(model.read_text(encoding="utf-8") + "-- changed\n", encoding="utf-8")

    assert run() == (True, False)
    change_model("segments/segment_stale.sql")
    assert run() == (True, True)
    change_model("intermediate/int_periods.sql")
    assert run() == (True, False)
