"""What must hold of the score always: random accounts in worlds side by side, each an enrichment of its own.

The account days, people and replies that the score is made of are laid down as such, so that a world can differ from
another in exactly one message.
"""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest
from dbt.cli.main import dbtRunner

from engagement import warehouse
from engagement.build import _failed_nodes
from engagement.seeds import rows_of
from project_fixtures import ROOT, run_dbt

DAY = date(2026, 6, 28)  # a Sunday, so that the year and the newest week of the history end together
KEPT_FROM = date(2024, 12, 1)
EVER = date(9999, 12, 31)
CUT = date(2026, 3, 31)  # a date of the back-test
ACCOUNTS = 40
SEED = ROOT / "seeds" / "score_components.csv"
MODELS = (
    "stg_runs__reporting",
    "score_components",
    "int_backtest_dates",
    "int_score_rows",
    "stg_runs__runs",
    "int_segment_dates",
    "int_score_rows_judged",
    "int_score_people_counted",
    "int_score_replies_counted",
    "int_score_features_measured",
    "int_components_measured",
    "int_components_scaled",
    "int_components_weighted",
    "int_scores_summed",
    "int_score_changes_explained",
    "int_chances_measured",
    "int_rhythms_measured",
)
TABLES = {
    "as_of": "as_of_date date, year_starts_on date, kept_from_on date, ends_before_at timestamp",
    "int_account_days_aggregated": """
        enrichment_id varchar, account_id varchar, happened_on date, known_on date, emails_to_account_count bigint,
        emails_from_account_count bigint, meetings_count bigint
    """,
    "int_people_involved": """
        enrichment_id varchar, account_id varchar, channel varchar, side varchar, person_key bigint,
        happened_on date, known_on date
    """,
    "int_replies_measured": """
        enrichment_id varchar, account_id varchar, replier_key bigint, happened_on date, known_on date
    """,
    "int_account_periods_aggregated": """
        enrichment_id varchar, account_id varchar, aggregation_level varchar, period_starts_on date, counts_to_on date
    """,
}


@dataclass
class World:
    """Rows of the tables above without their enrichment."""

    days: list[tuple[Any, ...]] = field(default_factory=list)
    people: list[tuple[Any, ...]] = field(default_factory=list)
    replies: list[tuple[Any, ...]] = field(default_factory=list)

    def copy(self) -> World:
        return World(list(self.days), list(self.people), list(self.replies))

    def shuffled(self, random: Random) -> World:
        made = self.copy()
        for rows in (made.days, made.people, made.replies):
            random.shuffle(rows)
        return made


def random_world(random: Random) -> World:
    """Accounts from silent to busy, of which some stop, some only get mail, and some only meet."""
    world = World()
    for number in range(ACCOUNTS):
        account = f"a{number:02}"
        busy = random.choice([0.005, 0.02, 0.1, 0.4])
        writes, meets = random.choice([(0, 0), (1, 0), (0, 1), (2, 1)])
        stops = random.choice([DAY, DAY, DAY - timedelta(days=random.randrange(400))])
        for back in range((DAY - KEPT_FROM).days + 1):
            day = DAY - timedelta(days=back)
            if day > stops or random.random() > busy:
                continue
            outbound, inbound = random.randrange(3), random.randrange(3) if writes else 0
            meetings = int(meets and random.random() < 0.3)
            if not outbound + inbound + meetings:
                outbound = 1
            known = day + timedelta(days=random.choice([0, 0, 0, 9]))
            world.days.append((account, day, known, outbound, inbound, meetings))
            world.people.append((account, "email", "own", random.randrange(5), day, known))
            world.people.append((account, "email", "account", random.randrange(9), day, known))
            if inbound and outbound:
                world.replies.append((account, random.randrange(9), day, known))
    return world


def with_a_message_more(world: World, account: str, day: date, *, is_reply: bool, writer: int) -> World:
    """The same world with one message more from an account, maybe an answer, maybe of somebody new."""
    made = world.copy()
    made.days.append((account, day, day, 0, 1, 0))
    made.people.append((account, "email", "account", writer, day, day))
    if is_reply:
        made.replies.append((account, writer, day, day))
    return made


def with_a_future(world: World, random: Random) -> World:
    """The same world up to CUT, and another one after it; some of the past becomes known only then."""
    made = world.copy()
    for number in range(ACCOUNTS):
        account = f"a{number:02}"
        day = CUT + timedelta(days=random.randrange(1, 80))
        earlier = CUT - timedelta(days=random.randrange(80))
        made.days.append((account, day, day, 3, 5, 1))
        made.days.append((account, earlier, day, 4, 4, 4))
        made.people.append((account, "email", "own", 77, earlier, day))
        made.replies.append((account, 77, earlier, day))
    return made


def equal_world() -> World:
    world = World()
    for number in range(4):
        world.days.append((f"a{number:02}", DAY, DAY, 1, 1, 1))
        world.people.append((f"a{number:02}", "email", "own", 1, DAY, DAY))
    return world


def lonely_world() -> World:
    world = World()
    world.days.append(("a00", DAY - timedelta(days=1), DAY, 0, 1, 0))
    return world


@dataclass(frozen=True)
class Built:
    private_file: Path
    more: dict[str, str]  # world with a message more, and whose message it is

    def rows(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.private_file), read_only=True) as connection:
            return connection.execute(sql, list(parameters)).fetchall()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    random = Random(8)
    base = random_world(random)
    worlds = {
        "base": base,
        "shuffled": base.shuffled(random),
        "future": with_a_future(base, random),
        "equal": equal_world(),
        "lonely": lonely_world(),
    }
    more = {}
    for number in range(8):
        account = f"a{random.randrange(ACCOUNTS):02}"
        day = DAY - timedelta(days=random.choice([0, 6, 7, 45, 90, 91, 180, 364, random.randrange(365)]))
        more[f"more_{number:02}"] = account
        worlds[f"more_{number:02}"] = with_a_message_more(
            base, account, day, is_reply=random.random() < 0.5, writer=random.choice([1, 50])
        )
    folder = tmp_path_factory.mktemp("score")
    private_file = folder / "private.duckdb"
    run_dbt("seed", "--select", "score_components", target=folder / "target", private_file=private_file)
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema if not exists intermediate")
        for table, columns in TABLES.items():
            connection.execute(f"create table intermediate.{table} ({columns})")
        connection.execute(
            "insert into intermediate.as_of values (?, ?, ?, ?)",
            [DAY, DAY - timedelta(days=364), KEPT_FROM, DAY + timedelta(days=1)],
        )
        for name, world in worlds.items():
            for table, rows in (
                ("int_account_days_aggregated", world.days),
                ("int_people_involved", world.people),
                ("int_replies_measured", world.replies),
            ):
                warehouse.append(connection, table, [(name, *row) for row in rows], schema="intermediate")
        connection.execute(
            """
            insert into intermediate.int_account_periods_aggregated
            select distinct enrichment_id, account_id, 'year', ?, ? from intermediate.int_account_days_aggregated
            where happened_on between ? and ?
            """,
            [DAY - timedelta(days=364), DAY, DAY - timedelta(days=364), DAY],
        )
    run_dbt("run", "--select", *MODELS, target=folder / "target", private_file=private_file)
    return Built(private_file, more)


def test_there_is_something_to_look_at(built: Built) -> None:
    series = dict(
        built.rows(
            "select score_series, count(*) from intermediate.int_scores_summed where enrichment_id = 'base' group by 1"
        )
    )
    assert series["year"] > 30 and series["backtest"] > 30 and series["history"] > 500


def test_a_score_never_leaves_0_to_100_and_is_always_a_number(built: Built) -> None:
    for score, anchored in built.rows(
        "select cast(engagement_score as double), cast(anchored_score as double) from intermediate.int_scores_summed"
    ):
        assert 0 <= score <= 100 and 0 <= anchored <= 100
        assert math.isfinite(score) and math.isfinite(anchored)
    for (raw,) in built.rows(
        "select raw_value from intermediate.int_components_measured where raw_value is not null"
    ):
        assert math.isfinite(raw) and raw >= 0


def test_the_order_of_rows_does_not_matter(built: Built) -> None:
    for table in (
        "int_components_weighted",
        "int_scores_summed",
        "int_score_changes_explained",
        "int_chances_measured",
        "int_rhythms_measured",
    ):
        differing = built.rows(
            f"""
            with base as (select * exclude (enrichment_id) from intermediate.{table} where enrichment_id = 'base'),
            shuffled as (select * exclude (enrichment_id) from intermediate.{table} where enrichment_id = 'shuffled')
            (from base except from shuffled) union all (from shuffled except from base)
            """
        )
        assert differing == [], table


def test_nothing_after_a_date_moves_what_was_known_at_it(built: Built) -> None:
    for table in (
        "int_components_weighted",
        "int_scores_summed",
        "int_chances_measured",
        "int_rhythms_measured",
    ):
        compared, differing = built.rows(
            f"""
            with rows as (
                select * from intermediate.{table} where scored_on <= ? and known_by_on <= ?
            ),
            base as (select * exclude (enrichment_id) from rows where enrichment_id = 'base'),
            future as (select * exclude (enrichment_id) from rows where enrichment_id = 'future')
            select
                (select count(*) from base),
                (select count(*) from (
                    (from base except from future) union all (from future except from base)
                ))
            """,
            CUT,
            CUT,
        )[0]
        assert compared > 0 and differing == 0, table


def test_a_message_more_from_an_account_never_lowers_what_is_measured_of_it(built: Built) -> None:
    compared = 0
    for world, account in built.more.items():
        for component, better, before, after in built.rows(
            """
            select base.component, seed.better, base.raw_value, more.raw_value
            from intermediate.int_components_measured as base
            join intermediate.int_components_measured as more
                using (score_version, account_id, component, scored_on, known_by_on)
            join seeds.score_components as seed using (score_version, component)
            where base.enrichment_id = 'base' and more.enrichment_id = ? and account_id = ?
            """,
            world,
            account,
        ):
            compared += 1
            if before is None:
                assert after is None or component != "responsiveness"
                continue
            assert (after <= before) if better == "lower" else (after >= before), (world, component)
    assert compared > 500


def test_accounts_that_are_alike_and_an_account_alone_have_fifty(built: Built) -> None:
    scores = built.rows(
        """
        select enrichment_id, engagement_score from intermediate.int_scores_summed
        where enrichment_id in ('equal', 'lonely') and score_series = 'year'
        """
    )
    assert len({world for world, _ in scores}) == 2
    assert {round(float(score), 2) for _, score in scores} == {50.0}


def test_the_points_of_the_parts_and_of_the_changes_add_up_to_the_last_digit(built: Built) -> None:
    wrong = built.rows(
        """
        with sums as (
            select score_version, enrichment_id, account_id, score_series, period_starts_on,
                sum(points_earned) as points
            from intermediate.int_components_weighted group by all
        )
        select * from intermediate.int_scores_summed
        join sums using (score_version, enrichment_id, account_id, score_series, period_starts_on)
        where engagement_score != points
        """
    )
    assert wrong == []
    compared, differing = built.rows(
        """
        with changes as (
            select score_version, enrichment_id, account_id, scored_on,
                sum(own_change_points) + sum(others_change_points) as points
            from intermediate.int_score_changes_explained group by all
        ),
        history as (
            select *, engagement_score - lag(engagement_score) over (
                partition by score_version, enrichment_id, account_id order by scored_on
            ) as change_points,
            scored_on - lag(scored_on) over (
                partition by score_version, enrichment_id, account_id order by scored_on
            ) as days
            from intermediate.int_scores_summed where score_series = 'history'
        )
        select count(*), count(*) filter (where changes.points is distinct from history.change_points)
        from history
        left join changes using (score_version, enrichment_id, account_id, scored_on)
        where history.days = 7
        """
    )[0]
    assert compared > 500 and differing == 0


def test_with_the_others_as_they_were_the_change_is_all_ones_own(built: Built) -> None:
    """An independent count: the place of the new value among last week's others, in Python."""
    better = {
        (version, component): direction
        for version, component, direction in rows_of(SEED, ["score_version", "component", "better"])
    }
    rows = built.rows(
        """
        select score_version, component, account_id, scored_on, raw_value, points_possible,
            coalesce(points_earned, 0)
        from intermediate.int_components_weighted where score_series = 'history' and enrichment_id = 'base'
        """
    )
    known = {row[:4]: row[4:] for row in rows}
    weeks: dict[tuple[Any, ...], dict[str, float]] = {}
    for version, component, account, scored_on, raw, _, _ in rows:
        if raw is not None:
            sign = -1 if better[version, component] == "lower" else 1
            weeks.setdefault((version, component, scored_on), {})[account] = sign * raw
    compared = 0
    for version, component, account, scored_on, own, others in built.rows(
        """
        select score_version, component, account_id, scored_on, own_change_points, others_change_points
        from intermediate.int_score_changes_explained where enrichment_id = 'base'
        """
    ):
        before = weeks.get((version, component, scored_on - timedelta(days=7)), {})
        _, possible, earned = known[version, component, account, scored_on]
        previous = known[version, component, account, scored_on - timedelta(days=7)][2]
        value = weeks.get((version, component, scored_on), {}).get(account)
        rest = [other for name, other in before.items() if name != account]
        alone = 0.0
        if value is not None:
            below = sum(other < value for other in rest) + sum(other == value for other in rest) / 2
            alone = possible * (below / len(rest) if rest else 0.5)
        assert math.isclose(float(own), alone - float(previous), abs_tol=0.00011)
        assert math.isclose(float(own + others), float(earned - previous), abs_tol=1e-9)
        compared += 1
    assert compared > 1000


# Each in a version of its own: the column, what stands there instead, and what is said of it.
WRONG = {
    "light": ("weight", "29", "version light: the weights add up to 99.0, not to 100"),
    "negative": ("weight", "-1", "version negative, contact_recency: weight -1.0 is not between 0 and 100"),
    "no_weight": (
        "weight",
        "null",
        "version no_weight, contact_recency: weight (none) is not between 0 and 100",
    ),
    "nan": ("weight", "'nan'", "version nan, contact_recency: weight nan is not between 0 and 100"),
    "unknown": (
        "component",
        "'width'",
        "version unknown, width: no such component (there are contact_recency,",
    ),
    "twice": ("component", "'breadth'", "version twice, breadth: stands twice"),
    "direction": (
        "better",
        "'higher'",
        "version direction, contact_recency: unit and better have to be days and lower",
    ),
    "unit": ("unit", "'hours'", "version unit, contact_recency: unit and better have to be days and lower"),
    "decaying": ("half_life_days", "30", "version decaying, contact_recency: half_life_days has to be empty"),
    "no_window": (
        "window_days",
        "0",
        "version no_window, contact_recency: window_days 0 is not between 1 and 365",
    ),
    "window": (
        "window_days",
        "366",
        "version window, contact_recency: window_days 366 is not between 1 and 365",
    ),
    "anchor": (
        "half_points_at",
        "0",
        "version anchor, contact_recency: half_points_at 0.0 is not above 0",
    ),
    "nameless": ("score_version", "null", "a row (contact_recency) has no score_version"),
}
WRONG_DECAY = {
    "half_life": ("-30", "version half_life, email_inbound: half_life_days -30.0 is not between 14 and 3650"),
    "short": ("13.9", "version short, email_inbound: half_life_days 13.9 is not between 14 and 3650"),
    "endless": ("null", "version endless, email_inbound: half_life_days (none) is not between 14 and 3650"),
}
RIGHT_DECAY = {"shortest": "14", "longest": "3650"}


def told_by(check: str, private_file: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a check of a seed says of the table of that name."""
    capsys.readouterr()
    with pytest.raises(AssertionError):
        run_dbt(
            *("run-operation", check, "--args", f"{{relation: seeds.{check.removeprefix('check_')}}}"),
            target=folder / "target",
            private_file=private_file,
        )
    return " ".join(capsys.readouterr().out.split())


def test_everything_wrong_in_the_seed_is_told(
    tmp_path: Path, built: Built, capsys: pytest.CaptureFixture[str]
) -> None:
    private_file = tmp_path / "private.duckdb"
    columns = "component, unit, better, weight, half_life_days, window_days, half_points_at, why"
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema seeds")
        connection.execute(f"attach '{built.private_file}' as built (read_only)")
        connection.execute("create table seeds.score_components as from built.seeds.score_components")
        connection.execute("detach built")
        for version, (column, value, _) in WRONG.items():
            connection.execute(
                f"insert into seeds.score_components select '{version}', {columns} from seeds.score_components"
                " where score_version = 'v1'"
            )
            connection.execute(
                f"update seeds.score_components set {column} = {value}"
                f" where score_version = '{version}' and component = 'contact_recency'"
            )
        for version, value in (
            {name: wrong for name, (wrong, _) in WRONG_DECAY.items()} | RIGHT_DECAY
        ).items():
            connection.execute(
                f"insert into seeds.score_components select '{version}', {columns} from seeds.score_components"
                " where score_version = 'v1'"
            )
            connection.execute(
                f"update seeds.score_components set half_life_days = {value}"
                f" where score_version = '{version}' and component = 'email_inbound'"
            )
    told = told_by("check_score_components", private_file, tmp_path, capsys)
    for _, _, message in WRONG.values():
        assert message in told
    for _, message in WRONG_DECAY.values():
        assert message in told
    for version in RIGHT_DECAY:
        assert f"version {version}" not in told


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("('low', 0, 50), ('high', 50, 90)", "the bands end at 90, not at 100"),
        ("('low', 0, 50), ('high', 51, 100)", "high: begins at 51, not at 50"),
        ("('low', 0, 0), ('high', 0, 100)", "low: from_score 0 is not below to_score 0"),
        ("(null, 0, 100)", "a row has no score_band"),
    ],
)
def test_wrong_bands_are_told(
    rows: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private_file = tmp_path / "private.duckdb"
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema seeds")
        connection.execute(
            "create table seeds.score_bands (score_band varchar, from_score bigint, to_score bigint)"
        )
        connection.execute(f"insert into seeds.score_bands values {rows}")
    assert f"seeds/score_bands.csv: {message}" in told_by("check_score_bands", private_file, tmp_path, capsys)


@pytest.mark.faults
def test_a_wrong_seed_stops_the_build_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    for name in ("models", "macros", "seeds", "tests/generic", "tests/singular"):
        shutil.copytree(ROOT / name, project / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(ROOT / name, project / name)
    seed = project / "seeds" / "score_components.csv"
    text = seed.read_text(encoding="utf-8")
    changed = text.replace(",lower,30,", ",lower,29,", 1)
    assert changed != text
    seed.write_text(changed, encoding="utf-8")
    monkeypatch.setenv("ENGAGEMENT_PRIVATE_FILE", str(tmp_path / "private.duckdb"))
    monkeypatch.setenv("DBT_LOG_PATH", str(tmp_path / "logs"))
    result = dbtRunner().invoke(
        [
            *("build", "--select", "score_components+1", "--exclude-resource-type", "unit_test", "--quiet"),
            *("--project-dir", str(project), "--profiles-dir", str(project)),
            *("--target-path", str(tmp_path / "target")),
        ]
    )
    (line,) = _failed_nodes(result.result)
    assert line == (
        "seed score_components: seeds/score_components.csv: version v1: the weights add up to 99.0, not to 100"
    )
    built_models = [r.node.name for r in result.result.results if r.node.resource_type == "model"]
    assert all(r.status == "skipped" for r in result.result.results if r.node.name in built_models)
