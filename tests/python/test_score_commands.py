"""`engagement diff`, `fit-weights` and `backtest`, on small files that have the columns which the commands read."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from conftest import ROOT, Workspace
from documented_json import check_documented
from engagement import fit
from engagement.errors import ConfigurationError
from engagement.scores import mid_ranks, project_variable, require_version
from engagement.warehouse import append, own_file

OFFICE = "account-engagement"
DAY = date(2026, 6, 30)
SHIPPED = str(project_variable(ROOT, "score_version"))

# What the commands read of each model: name, and columns with their types.
TABLES = {
    "marts.account_engagement": "enrichment_id varchar, account_id varchar, aggregation_level varchar,"
    " engagement_score decimal(9, 4), aggregation_ends_on date",
    "marts.account_score_components": "enrichment_id varchar, account_id varchar, aggregation_level varchar,"
    " score_version varchar, component varchar, weight_points double, points_earned decimal(9, 4)",
    "marts.account_recency": "enrichment_id varchar, account_id varchar, account_name varchar",
    "intermediate.int_components_weighted": "score_version varchar, enrichment_id varchar, account_id varchar,"
    " score_series varchar, component varchar, place_ratio double, weight double, scored_on date",
    "intermediate.int_backtest_outcomes": "enrichment_id varchar, account_id varchar, scored_on date,"
    " inbound_count bigint, messages_count bigint",
    "intermediate.int_backtest_dates_judged": "scored_on date, is_judged boolean",
    "marts.backtest_measures": "enrichment_id varchar, predictor_kind varchar, predictor varchar,"
    " score_version varchar, component varchar, scored_on date, measure varchar, measure_value double,"
    " lowest_value double, highest_value double, accounts_count bigint",
    "marts.backtest_comparisons": "enrichment_id varchar, score_version varchar, compared_kind varchar,"
    " compared_predictor varchar, measure varchar, difference double, lowest_difference double,"
    " highest_difference double",
    "marts.backtest_bands": "enrichment_id varchar, score_version varchar, band_kind varchar, band_position bigint,"
    " band_from double, band_to double, foretold_count bigint, predicted_ratio double, active_ratio double",
    "marts.backtest_early_warnings": "enrichment_id varchar, score_version varchar, weeks_count bigint,"
    " silent_count bigint, warned_ratio double, stayed_count bigint, false_alarm_ratio double",
    "marts.backtest_lift": "enrichment_id varchar, predictor_kind varchar, predictor varchar, score_version varchar,"
    " tenth bigint, active_ratio double, found_ratio double",
}

Points = dict[str, dict[str, float]]  # by account, by component
Rows = dict[str, list[tuple[Any, ...]]]  # by table


def make(path: Path, rows: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """A DuckDB file with all tables, and these rows in them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts; create schema intermediate")
        for table, columns in TABLES.items():
            connection.execute(f"create table {table} ({columns})")
            if rows.get(table):
                schema, _, name = table.partition(".")
                append(connection, name, [tuple(row) for row in rows[table]], schema=schema)


def score_rows(versions: dict[str, Points], *, shipped: str, day: date = DAY) -> Rows:
    """The rows of a built file: every version's points, and the scores of the one that is shown."""
    accounts = sorted({account for points in versions.values() for account in points})
    return {
        "marts.account_engagement": [
            (OFFICE, account, "year", sum(Decimal(str(value)) for value in points.values()), day)
            for account, points in versions[shipped].items()
        ],
        "marts.account_score_components": [
            (OFFICE, account, "year", version, component, 25.0, value)
            for version, scored in versions.items()
            for account, points in scored.items()
            for component, value in points.items()
        ],
        "marts.account_recency": [(OFFICE, account, f"{account} Inc.") for account in accounts],
    }


def digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


BEFORE: Points = {
    "A": {"recency": 30.0, "breadth": 20.0, "email": 10.5},
    "B": {"recency": 10.0, "breadth": 10.0, "email": 10.25},
    "C": {"recency": 5.0, "breadth": 5.0, "email": 5.0},
    "D": {"recency": 1.0, "breadth": 1.0, "email": 1.0},
}
AFTER: Points = {
    "A": {"recency": 10.0, "breadth": 19.0, "email": 12.0},
    "B": {"recency": 10.0, "breadth": 15.5, "email": 10.25},
    "C": {"recency": 6.0, "breadth": 5.0, "email": 5.0},
    "E": {"recency": 2.0, "breadth": 2.0, "email": 2.0},
}


@pytest.fixture
def built(workspace: Workspace) -> Workspace:
    """A published file, and a private one that was built a week later with a second version beside."""
    make(workspace.published_file, score_rows({SHIPPED: BEFORE}, shipped=SHIPPED, day=DAY - timedelta(7)))
    make(workspace.private_file, score_rows({SHIPPED: AFTER, "next": BEFORE}, shipped=SHIPPED))
    return workspace


def result(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    done = workspace.run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


# --- diff


def test_diff_of_what_is_published_and_what_was_built(built: Workspace) -> None:
    files = [digest(built.private_file), digest(built.published_file)]
    found = result(built, "diff")
    assert found["from"] == {"file": "engagement.duckdb", "score_version": SHIPPED, "as_of": "2026-06-23"}
    assert found["to"] == {"file": "private.duckdb", "score_version": SHIPPED, "as_of": "2026-06-30"}
    [office] = found["enrichments"]
    assert (office["accounts_compared"], office["accounts_entering"], office["accounts_leaving"]) == (3, 1, 1)
    assert office["accounts_moved"] == {"1": 3, "5": 2, "10": 1}
    assert office["rank_correlation"] == pytest.approx(1.0)
    by_account = {row["account_id"]: row for row in office["accounts"]}
    assert [row["account_id"] for row in office["accounts"]] == ["A", "E", "B", "D", "C"]
    assert (by_account["A"]["rank_before"], by_account["A"]["rank_after"]) == (1, 1)
    assert (by_account["E"]["before"], by_account["E"]["change"], by_account["E"]["rank_before"]) == (
        None,
        None,
        None,
    )
    assert by_account["E"]["rank_after"] == 4
    assert list(by_account["A"]["components"]) == ["recency", "email", "breadth"]
    assert [digest(built.private_file), digest(built.published_file)] == files
    assert sorted(path.name for path in built.private_file.parent.iterdir()) == [
        "engagement.duckdb",
        "private.duckdb",
    ]


def test_points_of_a_diff_add_up(built: Workspace) -> None:
    for row in result(built, "diff")["enrichments"][0]["accounts"]:
        change = (row["after"] or 0) - (row["before"] or 0)
        assert sum(row["components"].values()) == pytest.approx(change, abs=1e-9)
        if row["change"] is not None:
            assert row["change"] == pytest.approx(change, abs=1e-9)


def test_diff_for_a_person(built: Workspace) -> None:
    done = built.run("diff", "--limit", "2")
    assert done.exit_code == 0, done.output
    assert f"From: engagement.duckdb, score {SHIPPED}, as of 2026-06-23" in done.stdout
    assert f"To:   private.duckdb, score {SHIPPED}, as of 2026-06-30" in done.stdout
    assert (
        "3 accounts compared, 1 entering, 1 leaving; moved: 3 by 1 point or more, 2 by 5, 1 by 10"
        in done.stdout
    )
    assert re.search(r"A Inc\. +60\.5 +41\.0 +-19\.5 +1 -> 1 +recency -20\.0, email \+1\.5", done.stdout)
    assert re.search(r"E Inc\. +- +6\.0 +enters +- -> 4", done.stdout)
    assert "B Inc." not in done.stdout


def test_diff_of_two_versions(built: Workspace) -> None:
    built.published_file.unlink()
    found = result(built, "diff", "--to", "next")
    assert (found["from"]["score_version"], found["to"]["score_version"]) == (SHIPPED, "next")
    assert found["from"]["as_of"] == found["to"]["as_of"] == "2026-06-30"
    back = result(built, "diff", "--from", "next", "--to", SHIPPED)
    forth_changes = {row["account_id"]: row["change"] for row in found["enrichments"][0]["accounts"]}
    assert forth_changes["B"] == -5.5
    assert {row["account_id"]: row["change"] for row in back["enrichments"][0]["accounts"]} == {
        account: None if change is None else -change for account, change in forth_changes.items()
    }


def test_the_version_is_told_from_the_points(built: Workspace) -> None:
    """A file published with another version than today's says which."""
    make(built.published_file, score_rows({"old": BEFORE, SHIPPED: AFTER}, shipped="old"))
    assert result(built, "diff")["from"]["score_version"] == "old"


def test_a_diff_without_a_change(built: Workspace) -> None:
    make(built.published_file, score_rows({SHIPPED: AFTER}, shipped=SHIPPED))
    assert "No account moves." in built.run("diff").stdout


def no_published(workspace: Workspace) -> None:
    workspace.published_file.unlink()


def no_private(workspace: Workspace) -> None:
    workspace.private_file.unlink()


def nothing_built(workspace: Workspace) -> None:
    workspace.private_file.unlink()
    duckdb.connect(str(workspace.private_file)).close()


def no_accounts(workspace: Workspace) -> None:
    make(workspace.private_file, {})


def another_file(workspace: Workspace) -> None:
    workspace.published_file.write_bytes(b"no database at all")


def a_killed_build(workspace: Workspace) -> None:
    with own_file(workspace.settings(services=())) as connection:
        connection.execute("insert into raw.refreshes (is_complete) values (false)")


@pytest.mark.parametrize(
    ("spoil", "arguments", "code", "line"),
    [
        (
            no_published, ("diff",), 2,
            "engagement.duckdb: nothing is published yet to compare with; run `engagement publish`, or compare two"
            " versions of the score with --from and --to",
        ),
        (another_file, ("diff",), 2, "engagement.duckdb: cannot be read as a file that this project published; ..."),
        (no_private, ("diff",), 2, "private.duckdb: no such file; run `engagement run`, or set ..."),
        (
            nothing_built, ("diff",), 2,
            "private.duckdb: has no scores yet, or that of another version of the project; run `dbt build` or"
            " `engagement run` first",
        ),
        (no_accounts, ("diff",), 2, "private.duckdb: has no score of any account yet; run `engagement run` first"),
        (a_killed_build, ("diff",), 7, "the last dbt command did not come to its end, and only ..."),
        (
            None, ("diff", "--to", "v99"), 2,
            f"--to: 'v99' is no version of the score that was built; known: next, {SHIPPED} (a new one of"
            " seeds/score_components.csv needs `dbt build` first)",
        ),
        (
            None, ("diff", "--from", "next", "--to", "next"), 2,
            f"--from, --to: both are next; name two versions, known: next, {SHIPPED}",
        ),
        (
            nothing_built, ("backtest",), 2,
            "private.duckdb: has no back-test yet, or that of another version of the project; ...",
        ),
        (
            nothing_built, ("fit-weights",), 2,
            "private.duckdb: has no past dates that the score was computed for yet, or that of another ...",
        ),
    ],
)  # fmt: skip
def test_errors_in_one_line(
    built: Workspace, spoil: Any, arguments: tuple[str, ...], code: int, line: str
) -> None:
    if spoil is not None:
        spoil(built)
    done = built.run(*arguments)
    assert done.exit_code == code, done.output
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {line.removesuffix('...')}"), done.stderr
    assert done.stdout == ""


# --- fit-weights

PLANTED = {"recency": 50.0, "breadth": 30.0, "email": 15.0, "steady": 5.0}
DATES = [date(2025, month, 28) for month in (1, 3, 5, 7, 9, 11)]


def past(
    dates: Iterable[date] = DATES,
    *,
    planted: dict[str, float] = PLANTED,
    version: str = SHIPPED,
    seed: int = 1,
    equal_outcomes: bool = False,
    base: float = 20.0,
) -> Rows:
    """Accounts at past dates of whom more is to come, the higher they stand in the components as planted; `still` is
    the same for all. Every tenth place is missing.
    """
    chance = random.Random(seed)
    rows: Rows = {
        "intermediate.int_components_weighted": [],
        "intermediate.int_backtest_outcomes": [],
    }
    for day in dates:
        drawn = {component: [chance.random() for _ in range(160)] for component in planted}
        places = {
            component: [(rank - 1) / 159 for rank in mid_ranks(values)] for component, values in drawn.items()
        }
        latent = [
            sum(weight * places[component][number] for component, weight in planted.items())
            + chance.gauss(0, 3)
            for number in range(160)
        ]
        for number, tells in enumerate(latent):
            for component in (*planted, "still"):
                place = 0.5 if component == "still" else places[component][number]
                missing = component == "steady" and number % 10 == 0
                rows["intermediate.int_components_weighted"].append(
                    (
                        version,
                        OFFICE,
                        f"A{number}",
                        "backtest",
                        component,
                        None if missing else place,
                        base,
                        day,
                    )
                )
            inbound, messages = (1, 4) if equal_outcomes else (int(tells > 50), round(tells))
            rows["intermediate.int_backtest_outcomes"].append((OFFICE, f"A{number}", day, inbound, messages))
    return rows


def write_seed(path: Path, text: str) -> None:
    path.write_bytes(text.encode())
    path.chmod(0o644)


@pytest.fixture
def fitting(workspace: Workspace, tmp_path: Path) -> Workspace:
    """A private file with past dates, and a project whose seed has the version that they were computed with."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("models", "macros", "dbt_project.yml", "profiles.yml"):
        (project / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "seeds", project / "seeds")
    lines = ["score_version,component,unit,better,weight,half_life_days,why"]
    lines += [f'{SHIPPED},{name},days,lower,20,,"Because, of {name}."' for name in (*PLANTED, "still")]
    write_seed(project / "seeds" / "score_components.csv", "\n".join(lines) + "\n")
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(project)
    make(workspace.private_file, past())
    return workspace


def seed_of(workspace: Workspace) -> Path:
    return Path(workspace.environment["ENGAGEMENT_PROJECT_DIR"]) / "seeds" / "score_components.csv"


def test_planted_weights_are_recovered(fitting: Workspace) -> None:
    seed, file = digest(seed_of(fitting)), digest(fitting.private_file)
    found = result(fitting, "fit-weights")
    assert found["early_dates"] == [str(day) for day in DATES[:3]]
    assert found["late_dates"] == [str(day) for day in DATES[3:]]
    fitted = {row["component"]: row["fitted_weight"] for row in found["components"]}
    assert sum(fitted.values()) == 100
    assert all(weight >= 1 and weight == int(weight) for weight in fitted.values())
    # `still` tells nothing and keeps its 20 points; the others share the 80 that are left
    assert fitted.pop("still") == 20
    assert [row["component"] for row in found["components"] if row["is_kept"]] == ["still"]
    for component, weight in PLANTED.items():
        assert fitted[component] == pytest.approx(0.8 * weight, abs=4), fitted
    late = {name: measures["late"] for name, measures in found["measures"].items()}
    assert late["fitted"]["auc"] > late["base"]["auc"] + 0.02
    assert late["fitted"]["spearman"] > late["base"]["spearman"] + 0.05
    assert found["written"] is None
    assert (digest(seed_of(fitting)), digest(fitting.private_file)) == (seed, file)


def test_without_a_signal_the_weights_stay_near_the_base(fitting: Workspace) -> None:
    """What came is drawn from nothing that the components know: drawn towards the base, no weight runs away far."""
    rows = past()
    chance = random.Random(7)
    outcomes = rows["intermediate.int_backtest_outcomes"]
    chance.shuffle(messages := [row[4] for row in outcomes])
    # a little of the base is in it, so that there is something to keep
    base: dict[tuple[str, date], float] = {}
    for _, _, account, _, _, place, _, day in rows["intermediate.int_components_weighted"]:
        base[account, day] = base.get((account, day), 0.0) + (0.5 if place is None else place)
    rows["intermediate.int_backtest_outcomes"] = [
        (
            OFFICE,
            account,
            day,
            int(amount + 20 * base[account, day] > 100),
            round(amount + 20 * base[account, day]),
        )
        for (_, account, day, _, _), amount in zip(outcomes, messages, strict=True)
    ]
    make(fitting.private_file, rows)
    found = result(fitting, "fit-weights")
    check_documented("fit-weights", found)
    for row in found["components"]:
        assert row["fitted_weight"] == pytest.approx(20, abs=8), found["components"]


def test_the_fit_for_a_person(fitting: Workspace) -> None:
    done = fitting.run("fit-weights", "--fit-through", "2025-11-28")
    assert done.exit_code == 0, done.output
    assert "does not differ between accounts; kept" in done.stdout
    assert "No later date to judge on: what a fit says of its own dates is too good" in done.stdout
    assert 'engagement fit-weights --write NAME --why "..."' in done.stdout


def test_a_version_is_written_below_what_stands_there(fitting: Workspace) -> None:
    seed = seed_of(fitting)
    before = seed.read_bytes()
    why = 'Fitted on "our" mail, 2025.'
    found = result(fitting, "fit-weights", "--write", "fitted-1", "--why", why)
    assert found["written"] == "fitted-1"
    after = seed.read_bytes()
    assert after.startswith(before)
    assert seed.stat().st_mode & 0o777 == 0o644
    assert sorted(path.name for path in seed.parent.iterdir()) == sorted(
        p.name for p in (ROOT / "seeds").iterdir()
    )
    rows = list(csv.DictReader(io.StringIO(after.decode())))
    old, new = rows[:5], rows[5:]
    assert [row["component"] for row in new] == [row["component"] for row in old]
    weights = {row["component"]: row["fitted_weight"] for row in found["components"]}
    for row, copied in zip(new, old, strict=True):
        assert row == copied | {
            "score_version": "fitted-1",
            "weight": f"{weights[row['component']]:g}",
            "why": f"{copied['why']} {why}",
        }
    done = fitting.run("fit-weights", "--write", "fitted-1")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: --write: seeds/score_components.csv has a version fitted-1 already, which stays readable; choose"
        " another name\n"
    )
    assert seed.read_bytes() == after


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("is_ended", [True, False])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_form_of_the_seed_stays_as_it_is(
    fitting: Workspace, end: str, is_ended: bool, mark: str
) -> None:
    seed = seed_of(fitting)
    text = mark + seed.read_text("utf-8").replace("\n", end)
    write_seed(seed, text if is_ended else text.removesuffix(end))
    result(fitting, "fit-weights", "--write", "v9")
    after = seed.read_bytes().decode()
    assert after.startswith(text)
    added = after.removeprefix(text)
    assert added.count(end) == added.count("\n") == 5
    assert f"Weight fitted on 3 dates up to 2025-05-28, from that of {SHIPPED}." in added


def one_date(workspace: Workspace) -> None:
    make(workspace.private_file, past(DATES[:1]))


def no_dates(workspace: Workspace) -> None:
    make(workspace.private_file, past([]) | {"intermediate.int_components_weighted": [
        (SHIPPED, OFFICE, "A1", "year", "recency", 0.5, 100.0, DAY)
    ]})  # fmt: skip


def equal_outcomes(workspace: Workspace) -> None:
    make(workspace.private_file, past(equal_outcomes=True))


def nothing_varies(workspace: Workspace) -> None:
    rows = past()
    rows["intermediate.int_components_weighted"] = [
        (*row[:5], 0.5, *row[6:]) for row in rows["intermediate.int_components_weighted"]
    ]
    make(workspace.private_file, rows)


def nothing_tells(workspace: Workspace) -> None:
    make(workspace.private_file, past(planted={"recency": -100.0}, base=50))


def another_seed(workspace: Workspace) -> None:
    seed = seed_of(workspace)
    seed.write_text(seed.read_text("utf-8").replace(",lower,20,", ",lower,21,"), "utf-8")


def a_seed_to_read_only(workspace: Workspace) -> None:
    shutil.rmtree(seed_of(workspace).parent)


@pytest.mark.parametrize(
    ("spoil", "options", "line"),
    [
        (no_dates, (), "fit-weights: there is no past date to fit on; a date needs the year before it kept and ..."),
        (one_date, (), "fit-weights: 1 date up to 2025-01-28 to fit on, and two are needed; give a later ..."),
        (
            None, ("--fit-through", "2024-12-31"),
            "fit-weights: 0 dates up to 2024-12-31 to fit on, and two are needed; give a later --fit-through (there are"
            " 2025-01-28, ...",
        ),
        (equal_outcomes, (), "fit-weights: what came after the dates up to 2025-05-28 is the same for all ..."),
        (nothing_varies, (), "fit-weights: no component differs between the accounts, so ..."),
        (nothing_tells, (), "fit-weights: no component tells what came after the dates, so ..."),
        (None, ("--base", "v99"), f"--base: 'v99' is no version of the score that was built; known: {SHIPPED} (..."),
        (None, ("--write", "a b"), "--write: 'a b' is no name of a version; allowed: up to 40 letters, digits, ..."),
        (None, ("--write", SHIPPED), f"--write: seeds/score_components.csv has a version {SHIPPED} already, ..."),
        (
            another_seed, ("--write", "v9"),
            f"seeds/score_components.csv: version {SHIPPED} is another there than the one that was built; ...",
        ),
        (a_seed_to_read_only, ("--write", "v9"), "seeds/score_components.csv: cannot be read (FileNotFoundError); ..."),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_or_written(
    fitting: Workspace, spoil: Any, options: tuple[str, ...], line: str
) -> None:
    if spoil is not None:
        spoil(fitting)
    seed = seed_of(fitting)
    before = seed.read_bytes() if seed.exists() else None
    done = fitting.run("fit-weights", *options)
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(f"error: {line.removesuffix('...')}"), done.stderr
    assert (seed.read_bytes() if seed.exists() else None) == before


def test_a_reason_without_a_version_is_wrong_usage(fitting: Workspace) -> None:
    done = fitting.run("fit-weights", "--why", "because")
    assert done.exit_code == 2
    assert "--why stands in the seed; give --write NAME as well" in done.stderr


def test_without_the_extra(fitting: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for name in [name for name in sys.modules if name.startswith("scipy.")]:
        monkeypatch.delitem(sys.modules, name)
    done = fitting.run("fit-weights")
    assert done.exit_code == 2
    assert done.stderr == (
        "error: fit-weights: needs scipy, which is not installed; install the extra backtest (pip install"
        " 'account-engagement[backtest]', or `make install`)\n"
    )


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12).filter(lambda shares: sum(shares) > 0),
    st.floats(12, 100),
)
def test_whole_points_sum_to_the_total(shares: list[float], total: float) -> None:
    points = fit.whole_points(shares, total=total)
    assert sum(points) == pytest.approx(total, abs=1e-9)
    assert all(point >= 1 for point in points)
    fractions = [point for point in points if not math.isclose(point, round(point), abs_tol=1e-9)]
    assert len(fractions) <= 1


def test_too_few_points_for_the_components() -> None:
    with pytest.raises(Exception, match="3 points are left for 4 components"):
        fit.whole_points([0.25] * 4, total=3)


def test_the_score_is_the_one_of_the_models() -> None:
    """The formula of int_components_weighted, computed by DuckDB on places with gaps."""
    model = (ROOT / "models" / "intermediate" / "score" / "int_components_weighted.sql").read_text("utf-8")
    macro = (ROOT / "macros" / "points.sql").read_text("utf-8")
    possible = "100 * weight / nullif(measured_weight, 0)"
    earned = "cast(floor(points_possible * place_ratio * 10000 + 0.000001) / 10000 as decimal(9, 4))"
    assert possible in model
    assert "points('points_possible', 'place_ratio') }} as points_earned" in model
    assert (
        "cast(floor(' ~ points_possible ~ ' * ' ~ ratio ~ ' * 10000 + 0.000001) / 10000 as decimal(9, 4))"
        in macro
    )
    chance = random.Random(3)
    weights = [33.0, 27.0, 21.0, 12.0, 7.0]
    places = [
        [None if chance.random() < 0.2 else chance.randrange(314) / 313 for _ in weights] for _ in range(500)
    ]
    places[0], places[1] = [None] * 5, [1.0] * 5
    rows = [
        (account, weight, place)
        for account, own in enumerate(places)
        for weight, place in zip(weights, own, strict=True)
    ]
    with duckdb.connect() as connection:
        connection.execute("create table given (account bigint, weight double, place_ratio double)")
        connection.executemany("insert into given values (?, ?, ?)", rows)
        expected = connection.execute(
            f"""
            with weighed as (
                select *, sum(case when place_ratio is not null then weight end) over (partition by account)
                    as measured_weight
                from given
            ), pointed as (
                select *, case when place_ratio is not null then {possible} end as points_possible from weighed
            )
            select cast(coalesce(sum({earned}), 0) as double) from pointed group by account order by account
            """
        ).fetchall()
    as_numbers = np.array([[math.nan if place is None else place for place in own] for own in places])
    assert fit.scores_of(as_numbers, weights).tolist() == [score for (score,) in expected]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30))
def test_measures_are_what_they_are_called(pairs: list[tuple[int, int]]) -> None:
    # Takes long to import, and every process of a session reads this file.
    from scipy.stats import spearmanr

    scores = np.array([score for score, _ in pairs], dtype=np.float64)
    amounts = np.array([amount for _, amount in pairs], dtype=np.float64)
    wrote = (amounts > 0).astype(np.float64)
    won = [
        1.0 if first > second else 0.5 if first == second else 0.0
        for first, has in zip(scores, wrote, strict=True)
        for second, had in zip(scores, wrote, strict=True)
        if has and not had
    ]
    area = fit.auc(scores, wrote)
    assert area == (pytest.approx(sum(won) / len(won)) if won else None)
    correlation = fit.spearman(scores, amounts)
    if len(set(scores)) > 1 and len(set(amounts)) > 1:
        assert correlation == pytest.approx(spearmanr(scores, amounts).statistic)
    else:
        assert correlation is None
    assert mid_ranks(scores.tolist()) == [
        float((scores < score).sum()) + (float((scores == score).sum()) + 1) / 2 for score in scores
    ]


# --- backtest

QUARTERS = [date(2025, 3, 31), date(2025, 6, 30), date(2025, 9, 30)]


def judged_rows(
    score: float, rule: float, *, dates: Sequence[date] = QUARTERS, lowest_difference: float = 0.01
) -> Rows:
    """The back-test's marts where score and rule reach these values in both deciding measures."""
    measures: list[tuple[Any, ...]] = []
    for kind, name, version, component, value in (
        ("score", SHIPPED, SHIPPED, None, score),
        ("score", "other", "other", None, 0.5),
        ("baseline", "days_since_last_contact", None, None, rule),
        ("ablation", f"{SHIPPED} without breadth", SHIPPED, "breadth", score - 0.01),
        ("ablation", "other without breadth", "other", "breadth", 0.4),
    ):
        for measure in ("auc", "spearman", "lift"):
            key = (OFFICE, kind, name, version, component)
            measures += [(*key, day, measure, value, None, None, 120) for day in dates]
            if dates:
                measures.append((*key, None, measure, value, value - 0.05, value + 0.05, 120 * len(dates)))
    if dates:
        measures.append(
            (OFFICE, "score", SHIPPED, SHIPPED, None, None, "calibration_error", 0.031, 0.02, 0.06, 360)
        )
    return {
        "marts.backtest_measures": measures,
        "intermediate.int_backtest_dates_judged": [(day, True) for day in dates]
        + [(date(2024, 12, 31), False)],
        "marts.backtest_comparisons": [
            (
                OFFICE,
                SHIPPED,
                "baseline",
                "days_since_last_contact",
                measure,
                score - rule,
                lowest_difference,
                0.1,
            )
            for measure in ("auc", "spearman")
        ],
        "marts.backtest_bands": [
            (OFFICE, SHIPPED, "chance", 3, 0.2, 0.3, 40, 0.25, 0.3),
            (OFFICE, SHIPPED, "score", 1, 0, 20, 40, 0.25, 0.3),
            (OFFICE, "other", "chance", 3, 0.2, 0.3, 40, 0.99, 0.3),
        ],
        "marts.backtest_early_warnings": [(OFFICE, SHIPPED, 8, 30, 0.4, 90, 0.1)],
        "marts.backtest_lift": [(OFFICE, "score", SHIPPED, SHIPPED, 1, 0.9, 0.2)],
    }


@pytest.mark.parametrize(
    ("rows", "verdict", "words"),
    [
        (judged_rows(0.75, 0.7), "beats", "tells what comes next better than every simple rule here"),
        (
            judged_rows(0.75, 0.7, lowest_difference=-0.01), "beats",
            "Among other accounts it might not, beside days since last contact",
        ),
        (
            judged_rows(0.7, 0.7), "does_not_beat",
            "does not beat every simple rule: by AUC not days since last contact; by Spearman not days since last",
        ),
        (
            judged_rows(0.75, 0.7, dates=QUARTERS[:2]), "too_few_dates",
            "Too few dates yet to say whether the score beats the simple rules: 2 of at least 3.",
        ),
        (
            judged_rows(0.75, 0.7, dates=[]), "no_dates",
            "No past date can be judged yet: the year before it has to be kept and the 90 days after it have to be"
            " over. Set the retention to at least 455 days, better 760, and run again",
        ),
    ],
)  # fmt: skip
def test_the_verdict_in_words(workspace: Workspace, rows: Rows, verdict: str, words: str) -> None:
    make(workspace.private_file, score_rows({SHIPPED: AFTER}, shipped=SHIPPED) | rows)
    before = digest(workspace.private_file)
    done = workspace.run("backtest")
    assert done.exit_code == 0, done.output
    assert words in done.stdout
    [office] = result(workspace, "backtest")["enrichments"]
    assert (office["verdict"], office["enrichment_id"]) == (verdict, OFFICE)
    assert digest(workspace.private_file) == before


def test_the_table_of_the_backtest(workspace: Workspace) -> None:
    make(workspace.private_file, score_rows({SHIPPED: AFTER}, shipped=SHIPPED) | judged_rows(0.75, 0.7))
    shown = workspace.run("backtest").stdout
    assert (
        "Account engagement: the 90 days after 2025-03-31, 2025-06-30, 2025-09-30, 120 accounts on average"
        in shown
    )
    assert "2024-12-31" not in shown
    assert re.search(
        rf"score {SHIPPED} \(shown\) +0\.750 \(0\.700 to 0\.800\) +0\.750 .* 0\.031 \(0\.020", shown
    )
    lines = [line.split("  ")[0].strip() for line in shown.splitlines()]
    assert lines[2:6] == [
        f"score {SHIPPED} (shown)",
        "score other",
        "days since last contact",
        "without breadth",
    ]
    assert "foretold and come true: 25 % 30 % (40)" in shown
    assert "30, of whom 40 % had lost points in the 8 weeks before; stayed: 90, of whom 10 % had" in shown


# --- the documentation


def test_errors_are_documented() -> None:
    """Each message of the commands, up to its first value, stands in docs/errors.md."""
    text = (ROOT / "docs" / "errors.md").read_text("utf-8").replace("`", "")
    for name in ("diff", "fit", "scores"):
        source = (ROOT / "scripts" / "engagement" / f"{name}.py").read_text("utf-8")
        raised = re.findall(r"Error\(\s*f?\"((?:[^\"\\]|\\.)+)\"", source)
        assert raised
        for message in raised:
            # what stands between values
            [longest, *_] = sorted(re.split(r"\{[^}]*\}", message.replace("`", "")), key=len, reverse=True)
            assert longest.strip() in text, message


# --- the columns


def test_the_files_of_these_tests_have_columns_of_the_project() -> None:
    documented: dict[str, set[str]] = {}
    for path in (ROOT / "models").glob("**/_*__models.yml"):
        for model in yaml.safe_load(path.read_text("utf-8"))["models"]:
            documented[model["name"]] = {column["name"] for column in model.get("columns", [])}
    for table, columns in TABLES.items():
        name = table.partition(".")[2]
        # the types have commas of their own
        asked = set(re.findall(r"(?:^|, )([a-z_]+) [a-z]", columns))
        assert asked <= documented[name], (name, asked - documented[name])


def test_where_nothing_was_scored_no_version_is_to_blame() -> None:
    with pytest.raises(
        ConfigurationError, match=r"^--to: the private file holds no scores: .*ENGAGEMENT_DATA_DIR"
    ):
        require_version("--to", "v2", [])
    with pytest.raises(ConfigurationError, match=r"known: v1 \("):
        require_version("--to", "v2", ["v1"])
    require_version("--to", "v1", ["v1"])
