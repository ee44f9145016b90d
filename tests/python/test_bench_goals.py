"""The benchmark of size: its tenant, its clock and its goals."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import duckdb
import pytest

from benchmarks.goals import Goal
from benchmarks.measure import BenchError
from benchmarks.scale import bench, floor, report, tenant
from benchmarks.scale.bench import Size
from benchmarks.scale.processes import Cost, TooLongError, measured
from engagement.errors import ResourcesError

COPIES = 20_000
# A child that leaves its parent and goes on, as a server does.
DETACHED = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        held = bytearray(200_000_000)
        began = time.process_time()
        while time.process_time() - began < 1:
            pass
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not os.path.exists(sys.argv[1]):
    time.sleep(0.05)
time.sleep(1)
print("said")
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tenant.Tenant:
    return tenant.make(tmp_path_factory.mktemp("tenant"), COPIES)


def fingerprint(made: tenant.Tenant) -> list[object]:
    """Rows of every table, in any order."""
    with duckdb.connect(str(made.private_file), read_only=True) as connection:
        connection.execute(f"attach '{made.week_file}' as week (read_only)")
        tables = connection.execute(
            "select database_name || '.' || schema_name || '.' || table_name from duckdb_tables() order by all"
        ).fetchall()
        return [
            (name, connection.execute(f"select count(*), bit_xor(hash(row)) from {name} as row").fetchone())
            for (name,) in tables
        ]


def test_a_tenant_is_the_same_for_the_same_number(made: tenant.Tenant, tmp_path: Path) -> None:
    assert fingerprint(made) == fingerprint(tenant.make(tmp_path, COPIES))


def test_a_tenant_is_shaped_like_mail(made: tenant.Tenant) -> None:
    with duckdb.connect(str(made.private_file), read_only=True) as connection:

        def one(sql: str) -> float:
            found = connection.execute(sql).fetchone()
            assert found is not None
            return float(found[0])

        copies = one("select count(*) from raw.office_messages")
        assert copies == pytest.approx(COPIES, rel=0.1)
        assert one("select count(distinct (mailbox_id, item_key)) from raw.office_messages") == copies
        assert copies / one("select count(distinct message_key) from raw.office_messages") == pytest.approx(
            1.7, rel=0.1
        )
        matched = one(
            "with contacts as (select list(address_key) as keys from raw.contacts) "
            "select avg(cast(list_contains(keys, from_key) or list_has_any(recipient_keys, keys) as integer)) "
            "from raw.office_messages cross join contacts"
        )
        # so few accounts and people that chance has a say
        assert matched == pytest.approx(0.3, abs=0.1)
        # series come back
        assert one("select count(*) / count(distinct ical_key) from raw.office_meetings") > 3
        # nothing of the week that follows, but the calendar of the two weeks ahead
        assert (
            one(f"select count(*) from raw.office_messages where received_at >= timestamp '{tenant.READ_AT}'")
            == 0
        )
        assert (
            one(f"select count(*) from raw.office_meetings where start_at >= timestamp '{tenant.READ_AT}'")
            > 0
        )


def test_a_week_lands_once_and_with_its_ledger(tmp_path: Path) -> None:
    made = tenant.make(tmp_path, COPIES)
    with duckdb.connect(str(made.private_file), read_only=True) as connection:
        before = connection.execute("select count(*) from raw.office_messages").fetchone()
    with duckdb.connect(str(made.week_file), read_only=True) as connection:
        week = connection.execute("select count(*) from messages").fetchone()
    tenant.land_week(made)
    assert before is not None and week is not None and week[0] > 100
    with duckdb.connect(str(made.private_file), read_only=True) as connection:
        after = connection.execute("select count(*), max(landing_id) from raw.office_messages").fetchone()
        assert after == (before[0] + week[0], 3)
        twice = "select count(*) - count(distinct (mailbox_id, item_key)) from raw.office_meetings"
        assert connection.execute(twice).fetchone() == (0,)
        ledger = connection.execute(
            "select kind, sum(row_count) from raw.office_units group by kind"
        ).fetchall()
        kept = connection.execute(
            "select count(*) from raw.office_messages"
            " where received_at >= (select min(slice_start) from raw.office_units where kind = 'messages')"
        ).fetchone()
        assert kept == (dict(ledger)["messages"],)


def test_a_tenant_that_the_disk_cannot_hold_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(ResourcesError, match="of disk are needed"):
        tenant.make(tmp_path / "new", 10**15)
    assert not list((tmp_path / "new").glob("*.duckdb"))


def test_the_benchmark_says_before_it_starts_that_the_disk_is_too_small(tmp_path: Path) -> None:
    with pytest.raises(ResourcesError, match="the benchmark of 1,000,000,000,000,000 copies"):
        bench.main(["--copies", str(10**15), "--folder", str(tmp_path)])
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------------
# the clock


def test_the_limit_of_memory_reaches_the_build(made: tenant.Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(tenant.MEMORY_LIMIT, raising=False)
    assert made.settings().memory_limit is None
    monkeypatch.setenv(tenant.MEMORY_LIMIT, "1GB")
    assert made.settings().memory_limit == "1GB"


@pytest.mark.long
def test_with_1_gb_a_build_spills_and_counts_the_same(tmp_path: Path) -> None:
    """Five million copies, which take twice as much where they may."""
    made = tenant.make(tmp_path / "tenant", 5_000_000)
    environment = {
        **made.environment(),
        tenant.MEMORY_LIMIT: "1GB",
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    cost = measured(
        [sys.executable, "-m", "benchmarks.scale.steps", "build", str(made.folder)],
        {**environment, "PYTHONPATH": str(Path(bench.__file__).parents[2])},
    )
    # dbt itself takes 0.4 GB.
    assert cost.peak_mb < 1_900
    floor.compute(made.private_file, tmp_path / "floor.parquet")
    bench.equal(tmp_path / "floor.parquet", f"{made.private_file}#{bench.RESULT}")


def test_what_a_command_leaves_behind_counts_and_is_ended(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    cost = measured([sys.executable, "-c", DETACHED, str(told)], os.environ)
    assert cost.output == "said\n"
    assert cost.cpu_seconds == pytest.approx(1.1, abs=0.6)
    assert 200 < cost.peak_mb < 300
    assert cost.seconds > 1
    with pytest.raises(ProcessLookupError):
        os.kill(int(told.read_text()), 0)


def test_a_command_that_fails_or_takes_too_long_is_no_measurement() -> None:
    with pytest.raises(BenchError, match="ended with 3: why"):
        measured([sys.executable, "-c", "import sys; sys.stderr.write('why'); sys.exit(3)"], os.environ)
    began = time.monotonic()
    with pytest.raises(TooLongError, match="longer than 1 s"):
        measured([sys.executable, "-c", "import time; time.sleep(60)"], os.environ, at_most_seconds=1)
    assert time.monotonic() - began < 30


# ---------------------------------------------------------------------------------------------------
# the goals


def cost(seconds: float, megabytes: float = 1000.0) -> Cost:
    return Cost(seconds, seconds, megabytes, "")


def sizes(
    *,
    full: float = 40.0,
    memory: float = 5999.0,
    week: float = 15.0,
    rival: float = 50.0,
    rival_memory: float = 1001.0,
) -> tuple[Size, list[Size]]:
    startup = Size(10_000, {"full build": cost(20.0)})
    found = []
    for copies, seconds in ((1_000_000, 10.0), (10_000_000, week)):
        size = Size(
            copies,
            {
                "floor": cost(10.0),
                "full build": cost(full, memory),
                "refresh, one week": cost(seconds),
                "floor after the week": cost(10.0),
            },
            {
                "raw_bytes": 1, "bytes": 2, "published_bytes": 3,
                "queries": {"milliseconds": {"accounts": 2.0, "weeks": 3.0}},
                "full build": {"slowest_seconds": {"int_messages_read": 3.0}},
            },
        )  # fmt: skip
        size.rivals = (
            {"pandas": cost(rival, rival_memory)} if copies == 1_000_000 else {"pandas": "took too long"}
        )
        found.append(size)
    return startup, found


def missed(goals: list[Goal]) -> list[str]:
    return [goal.name for goal in goals if not goal.met]


def test_all_goals_are_reached_at_their_bounds() -> None:
    goals = bench.goals(*sizes())
    assert [round(goal.value or 0, 3) for goal in goals] == [2.0, 5999.0, 1.5, 5.0, 1.001]
    assert missed(goals) == []


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"full": 40.1}, "full build without start-up, times the floor"),
        ({"memory": 6000.1}, "peak memory of the full build, MB"),
        ({"week": 15.1}, "refresh of a week, times that at 1,000,000"),
        ({"rival": 49.9}, "pandas at 1,000,000, times our SQL for the same columns"),
        ({"rival_memory": 999.0}, "memory of pandas at 1,000,000, times that of our SQL"),
    ],
)
def test_beyond_its_bound_a_goal_is_missed(given: dict[str, float], name: str) -> None:
    assert missed(bench.goals(*sizes(**given))) == [name]


def test_figures_are_told_to_people_and_machines(tmp_path: Path) -> None:
    startup, found = sizes()
    goals = bench.goals(startup, found)
    table = report.as_table(startup, found, goals)
    assert "took too long" in table and "3 ms (weeks)" in table
    assert '"met": true' in report.as_json(startup, found, goals)
    report.write(tmp_path, startup, found, goals)
    assert "| 10,000,000 | full build | 40.0 |" in (tmp_path / report.PAGE).read_text("utf-8")
    assert "</svg>" in (tmp_path / report.PICTURE).read_text("utf-8")
