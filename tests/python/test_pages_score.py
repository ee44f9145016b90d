"""The page Score: what it shows is what the published file answers, and it says what is not there."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from engagement.backtest import read_backtests
from engagement.pages import components, formats
from engagement.pages.published import PublishedFile
from engagement.pages.reader import Reader
from engagement.pages.score import backtest as score_backtest
from engagement.pages.score import page as score
from pages_world import app, cells, demo_file, tables
from published_sample import ROOT, Rows, publish_rows

__all__ = ["demo_file"]

MARKUP = "<script>alert(1)</script> **b** [x](y) :red[z] $1$"
OFFICE = {"enrichment_id": "us", "enrichment_type": "office", "enrichment_name": "US sales"}
EUROPE = {"enrichment_id": "eu", "enrichment_type": "office", "enrichment_name": "Europe"}
WEEK, WEEK_BEFORE = "2026-06-28", "2026-06-21"
DASH = formats.MISSING
RULES = ("days_since_last_contact", "emails_90_days")


def scored(account: str, points: float, *, enrichment: str = "us", version: str = "v1") -> dict[str, Any]:
    return {
        "enrichment_id": enrichment,
        "account_id": account,
        "aggregation_level": "year",
        "score_version": version,
        "engagement_score": points,
        "score_band": "high" if points >= 50 else "low",
        "score_confidence": "medium" if points >= 50 else "low",
        "anchored_score": points / 2,
        "aggregation_starts_on": "2025-07-01",
    }


def engaged(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("enrichment_id", "account_id", "aggregation_level", "engagement_score", "aggregation_starts_on")
    return {name: row[name] for name in names}


def moved(account: str, own: float, others: float, *, week: str = WEEK) -> dict[str, Any]:
    return {
        "enrichment_id": "us",
        "account_id": account,
        "score_version": "v1",
        "engagement_score": 50,
        "change_points": own + others,
        "own_change_points": own,
        "others_change_points": others,
        "anchored_score": 40,
        "week_ends_on": week,
    }


def component_moved(account: str, component: str, own: float, others: float) -> dict[str, Any]:
    return {
        "enrichment_id": "us",
        "account_id": account,
        "score_version": "v1",
        "component": component,
        "own_change_points": own,
        "others_change_points": others,
        "week_ends_on": WEEK,
    }


def backtest_rows(
    score: float, rule: float, *, dates: Sequence[str], highest: float = -0.01
) -> dict[str, Rows]:
    """The score beside two rules, by both deciding measures; `highest` ends the intervals of the differences."""
    common = {"enrichment_id": "us", "accounts_count": 40, "active_count": 30, "dates_count": len(dates)}
    predictors = [("score", "v1", "v1", score)] + [("baseline", name, None, rule) for name in RULES]
    measured = [
        {
            **common,
            "predictor_kind": kind,
            "predictor": name,
            "score_version": version,
            "measure": measure,
            "judged_over": over,
            "scored_on": None if over == "judged dates" else over,
            "measure_value": value,
            "lowest_value": value - 0.1,
            "highest_value": value + 0.1,
        }
        for kind, name, version, value in predictors
        for measure in ("auc", "spearman")
        for over in ("judged dates", *dates)
    ]
    compared = [
        {
            "enrichment_id": "us",
            "score_version": "v1",
            "compared_kind": "baseline",
            "compared_predictor": name,
            "measure": measure,
            "difference": score - rule,
            "lowest_difference": score - rule - 0.2,
            "highest_difference": highest,
            "is_best_baseline": name == RULES[0],
        }
        for name in RULES
        for measure in ("auc", "spearman")
    ]
    lift = [
        {
            "enrichment_id": "us",
            "predictor_kind": kind,
            "predictor": name,
            "score_version": version,
            "tenth": tenth,
            "active_ratio": (1.0 if tenth < 10 else 0.25) if kind == "score" else 0.5,
            "dates_count": len(dates),
        }
        for kind, name, version, _ in predictors
        for tenth in range(1, 11)
    ]
    return {"backtest_measures": measured, "backtest_comparisons": compared, "backtest_lift": lift}


QUARTERS = ("2025-06-30", "2025-09-30", "2025-12-31")
TABLES = (
    "enrichments",
    "account_scores",
    "account_engagement",
    "account_recency",
    "account_score_components",
    "account_score_history",
    "account_score_changes",
    "customer_cards",
    "backtest_measures",
    "backtest_comparisons",
    "backtest_lift",
    "backtest_bands",
    "backtest_early_warnings",
)


def page(tmp_path: Path, rows: Mapping[str, Rows], *, without: str = "", **options: Any) -> AppTest:
    """The page over a file with these rows; its other tables are empty, and `without` is not there."""
    whole: dict[str, Rows] = (
        {name: [] for name in TABLES if name != without} | {"enrichments": [OFFICE]} | rows
    )
    if "account_engagement" not in rows:
        whole["account_engagement"] = [engaged(row) for row in whole["account_scores"]]
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "engagement.duckdb"
    publish_rows(path, whole)
    test = app(path, "score", **options)
    assert not test.exception, test.exception[0].value
    return test


def words(test: AppTest) -> str:
    """All that stands on the page besides tables."""
    found = [*test.markdown, *test.caption, *test.info]
    return "\n".join(str(element.value) for element in found).replace("\\", "")


def metrics(test: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


FIVE = [scored("A", 95), scored("B", 100), scored("C", 41.5), scored("D", 40), scored("E", 3.5)]


def test_the_spread_is_that_of_the_file(tmp_path: Path) -> None:
    never = {"enrichment_id": "us", "account_id": "N", "account_name": "Never Ltd", "is_never_engaged": True}
    earlier = {**never, "account_id": "O", "account_name": "Old Ltd", "is_never_engaged": False}
    recency = [never, {**earlier, "last_contact_on": "2024-05-01"}, {**never, "account_id": "A"}]
    test = page(tmp_path, {"account_scores": FIVE, "account_recency": recency})
    assert metrics(test) == {
        "Accounts scored": "5 of 7",
        "Mean score, of 100": "56.0",
        "Median score, of 100": "41.5",
        "Mean anchored score, of 100": "28.0",
    }
    # 100 points lie in the last ten, 40 in the fifth.
    assert [row[1] for row in cells(test, "Accounts by score")] == list("1000200002")
    assert cells(test, "Accounts by band") == [
        ["High", "2", "40 %", "95.0", "100.0"],
        ["Low", "3", "60 %", "3.5", "41.5"],
    ]
    assert cells(test, "Accounts by confidence") == [["Medium", "2", "40 %"], ["Low", "3", "60 %"]]
    assert cells(test, "Accounts without a score") == [
        ["Old Ltd", "1 May 2024", "The last e-mail or meeting was before the year"],
        ["Never Ltd", DASH, "Never an e-mail or meeting in all data kept"],
    ]
    assert "**Not scored: 2.** Of them 1 never had" in words(test)


def test_without_an_office_enrichment_or_a_score_it_says_so(tmp_path: Path) -> None:
    assert "no enrichment of e-mail and meetings" in words(page(tmp_path, {"enrichments": []}))
    assert "No account has a score yet" in words(page(tmp_path, {}))


def test_of_several_versions_the_one_that_is_published_as_the_score_is_shown(tmp_path: Path) -> None:
    tried = [{**row, "score_version": "a0", "engagement_score": 1} for row in FIVE]
    test = page(
        tmp_path,
        {"account_scores": FIVE + tried, "account_engagement": [engaged(row) for row in FIVE]},
    )
    assert metrics(test)["Accounts scored"] == "5 of 5"
    assert "Version v1 of the weights" in words(test)


def test_the_enrichment_is_chosen_and_stands_in_the_address(tmp_path: Path) -> None:
    rows = {"enrichments": [OFFICE, EUROPE], "account_scores": [*FIVE, scored("A", 10, enrichment="eu")]}
    test = page(tmp_path, rows)
    [select] = [one for one in test.selectbox if one.label == "Enrichment"]
    assert select.options == ["Europe", "US sales"]
    assert metrics(test)["Accounts scored"] == "1 of 1"
    select.set_value("us").run()
    assert metrics(test)["Accounts scored"] == "5 of 5"
    assert test.query_params["enrichment"] in ("us", ["us"])
    assert metrics(page(tmp_path, rows, query={"enrichment": "us"}))["Accounts scored"] == "5 of 5"
    unknown = page(tmp_path, rows, query={"enrichment": "asia"})
    assert "There is no enrichment 'asia' here" in words(unknown)
    assert metrics(unknown)["Accounts scored"] == "1 of 1"


MOVES: dict[str, Rows] = {
    "account_scores": FIVE,
    "account_score_history": [
        moved("A", 1, 9),
        moved("B", 5, 2),
        moved("C", -6, 1),
        moved("D", 0, -8),
        moved("E", 0, 0),
        moved("A", -3, 0, week=WEEK_BEFORE),
        {**moved("B", 0, 0, week=WEEK_BEFORE), "change_points": None, "own_change_points": None},
    ],
    "account_score_changes": [
        component_moved("A", "breadth", 1, 1),
        component_moved("A", "email_inbound", 0, 8),
        component_moved("B", "regularity", 5, 2),
    ],
    "customer_cards": [
        {"account_id": "A", "account_name": MARKUP, "account_owner": "Ann"},
        {"account_id": "B", "account_name": "Birch", "account_owner": "Ben"},
    ],
}


def test_movers_of_a_week_with_the_component_that_moved_most(tmp_path: Path) -> None:
    test = page(tmp_path, MOVES)
    assert cells(test, "Top gains, week to 28 Jun 2026") == [
        [MARKUP, "50.0", "+10.0", "+1.0", "+9.0", "E-mail inbound", "+8.0"],
        ["Birch", "50.0", "+7.0", "+5.0", "+2.0", "Regularity", "+7.0"],
    ]
    falls = cells(test, "Top falls, week to 28 Jun 2026")
    assert [row[2] for row in falls] == [f"{formats.MINUS}8.0", f"{formats.MINUS}5.0"]
    assert falls[0][5:] == [DASH, DASH]
    assert [row["href"] for row in tables(test)["Top gains, week to 28 Jun 2026"]["rows"]] == [
        "customer?account=A",
        "customer?account=B",
    ]
    assert "2 accounts gained points, 2 lost some and 1 stayed. Of 2 the larger part" in words(test)


def test_own_behaviour_alone_ranks_by_what_the_account_did(tmp_path: Path) -> None:
    test = page(tmp_path, MOVES)
    test.toggle[0].set_value(True).run()
    gains = cells(test, "Top gains, week to 28 Jun 2026")
    assert [row[0] for row in gains] == ["Birch", MARKUP]
    # What others did to a component does not count either.
    assert gains[1][5:] == ["Breadth", "+1.0"]
    assert [row[3] for row in cells(test, "Top falls, week to 28 Jun 2026")] == [f"{formats.MINUS}6.0"]


def test_another_week_is_chosen_and_stands_in_the_address(tmp_path: Path) -> None:
    test = page(tmp_path, MOVES)
    [select] = [one for one in test.selectbox if one.label == "Week that ends on"]
    assert select.options == ["28 Jun 2026", "21 Jun 2026"]
    select.set_value(WEEK_BEFORE).run()
    assert [row[2] for row in cells(test, "Top falls, week to 21 Jun 2026")] == [f"{formats.MINUS}3.0"]
    assert "Top gains, week to 21 Jun 2026: nobody gained points." in words(test)
    linked = page(tmp_path, MOVES, query={"week": WEEK_BEFORE})
    assert "Top falls, week to 21 Jun 2026" in tables(linked)


def test_no_more_movers_than_can_be_read(tmp_path: Path) -> None:
    rows = {**MOVES, "account_score_history": [moved(f"A{number}", number, 0) for number in range(1, 40)]}
    gains = cells(page(tmp_path, rows), "Top gains, week to 28 Jun 2026")
    assert [row[2] for row in gains] == [f"+{39 - place}.0" for place in range(10)]


def test_who_sees_some_accounts_sees_theirs_alone(tmp_path: Path) -> None:
    path = tmp_path / "engagement.duckdb"
    engagement = [engaged(row) for row in FIVE]
    publish_rows(
        path,
        {name: [] for name in TABLES} | {"enrichments": [OFFICE], "account_engagement": engagement} | MOVES,
    )
    reader = Reader(PublishedFile(path), frozenset({"ben"}), "ben")
    asked = {"enrichment": "us", "version": "v1"}
    assert reader.records(score.SCORED, **asked)[0]["accounts_count"] == 1


def test_components_with_their_weights(tmp_path: Path) -> None:
    def part(account: str, component: str, weight: float, points: float | None) -> dict[str, Any]:
        return {
            **{
                name: scored(account, 1)[name]
                for name in ("enrichment_id", "account_id", "aggregation_level")
            },
            "score_version": "v1",
            "component": component,
            "weight_points": weight,
            "points_earned": points,
            "place_ratio": None if points is None else 0.5,
        }

    parts = [
        part("A", "breadth", 40, 10),
        part("B", "breadth", 40, 30),
        part("A", "own_idea", 60, None),
        part("B", "own_idea", 60, 6),
    ]
    test = page(tmp_path, {"account_scores": FIVE, "account_score_components": parts})
    assert cells(test, "Components of the score") == [
        ["Own idea", "60", "6.0", DASH, "1"],
        ["Breadth", "40", "20.0", "Many people on both sides.", "0"],
    ]


def test_every_shipped_component_is_told_in_words() -> None:
    with (ROOT / "seeds/score_components.csv").open(encoding="utf-8") as file:
        shipped = {row["component"] for row in csv.DictReader(file)}
    assert {component for component in shipped if components.earning(component) == formats.MISSING} == set()


def test_every_baseline_of_the_backtest_is_told_in_words(demo_file: Path) -> None:
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        rules = connection.execute(
            "select distinct predictor from marts.backtest_measures where predictor_kind = 'baseline'"
        ).fetchall()
    assert {rule for (rule,) in rules} == set(score_backtest.RULES)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            backtest_rows(0.8, 0.6, dates=QUARTERS, highest=0.3),
            "better than every simple rule here, both who writes",
        ),
        (
            backtest_rows(0.6, 0.7, dates=QUARTERS, highest=0.1),
            "2 of 2 tell who writes at least as well, 2 of 2 tell how much at least as well. "
            "None of these differences is larger than chance explains.",
        ),
        (backtest_rows(0.8, 0.6, dates=QUARTERS[:2]), "Too few dates yet"),
        ({}, "No past date can be judged yet"),
    ],
)
def test_the_verdict_of_the_backtest_in_words(tmp_path: Path, rows: dict[str, Rows], said: str) -> None:
    test = page(tmp_path, {"account_scores": FIVE, **rows})
    assert said in words(test)
    # Without a date judged there is no figure either.
    assert ("Who writes: the score beside each rule, the hardest first" in tables(test)) == bool(rows)


def test_a_score_that_is_certainly_worse_is_not_excused_by_chance(tmp_path: Path) -> None:
    test = page(tmp_path, {"account_scores": FIVE, **backtest_rows(0.6, 0.9, dates=QUARTERS, highest=-0.01)})
    assert "does not tell what comes next better" in words(test)
    assert "larger than chance explains" not in words(test)
    caption = "Who writes: the score beside each rule, the hardest first"
    assert cells(test, caption)[0] == [
        "Days since the last contact",
        f"{formats.MINUS}0.300",
        f"{formats.MINUS}0.500",
        f"{formats.MINUS}0.010",
        "worse",
    ]


def test_what_came_in_sentences(tmp_path: Path) -> None:
    warning = {"enrichment_id": "us", "score_version": "v1", "silent_count": 8, "stayed_count": 20}
    rows = {
        **backtest_rows(0.8, 0.6, dates=QUARTERS),
        "backtest_early_warnings": [
            {**warning, "weeks_count": 4, "warned_ratio": 0.25, "false_alarm_ratio": 0.3},
            {**warning, "weeks_count": 8, "warned_ratio": 0.75, "false_alarm_ratio": 0.2},
        ],
    }
    said = words(page(tmp_path, {"account_scores": FIVE, **rows}))
    assert "Judged at 30 Jun 2025, 30 Sept 2025, 31 Dec 2025, over 40 accounts and dates; 30 of them" in said
    assert (
        "Of the tenth with the highest score, 100 % wrote within 90 days; of the tenth with the lowest, 25 %"
        in said
    )
    assert "within 4 weeks was no warning: it came before 25 % of the 8 times" in said
    assert "within 8 weeks came before 75 % of the 8 times" in said


def test_another_question_to_the_backtest(tmp_path: Path) -> None:
    test = page(tmp_path, {"account_scores": FIVE, **backtest_rows(0.8, 0.6, dates=QUARTERS)})
    test.get("button_group")[0].set_value("spearman").run()
    assert "How much: the score beside each rule, the hardest first" in tables(test)


@pytest.mark.parametrize(
    ("difference", "lowest", "highest", "said"),
    [
        (0.1, 0.02, 0.2, "better"),
        (0.1, -0.02, 0.2, "better, may be chance"),
        (0.1, 0.0, 0.2, "better, may be chance"),
        (-0.1, -0.2, -0.01, "worse"),
        (-0.1, -0.2, 0.01, "worse, may be chance"),
        (0.0, -0.2, 0.2, "the same"),
        (0.1, None, None, "better; how sure is not known"),
        (None, None, None, DASH),
    ],
)
def test_a_difference_in_words(
    difference: float | None, lowest: float | None, highest: float | None, said: str
) -> None:
    row = {"difference": difference, "lowest_difference": lowest, "highest_difference": highest}
    assert score_backtest.is_better(row) == said


@pytest.mark.parametrize(
    "without", ["account_score_history", "backtest_measures", "account_score_components"]
)
def test_an_older_file_lacks_a_section_and_shows_the_rest(tmp_path: Path, without: str) -> None:
    test = page(tmp_path, {"account_scores": FIVE}, without=without)
    assert "needs a file of this release" in words(test)
    assert metrics(test)["Accounts scored"] == "5 of 5"


def test_the_page_judges_as_the_command_does(demo_file: Path) -> None:
    """The verdict, the dates and the means of `engagement backtest` are those of the page, over the demo."""
    with duckdb.connect(str(demo_file.with_name("private.duckdb")), read_only=True) as connection:
        [judged] = read_backtests(connection, shipped="v1").values()
    reader = Reader(PublishedFile(demo_file), None, None)
    asked = {"enrichment": judged.enrichment_id, "version": "v1"}
    entry = score_backtest.judged(reader, asked)
    assert entry.verdict() == judged.verdict()
    assert sorted(entry.dates) == sorted(judged.dates)
    assert {one.name: one.means for one in entry.of_kind("baseline")} == {
        one.name: one.means for one in judged.of_kind("baseline")
    }
    assert entry.score is not None and judged.score is not None
    assert entry.score.means == judged.score.means
    assert {rule.name for rule, _ in entry.not_beaten()} == {rule.name for rule, _ in judged.not_beaten()}


def test_the_demo_shows_every_section(demo_file: Path) -> None:
    test = app(demo_file, "score")
    assert not test.exception
    assert [header.value for header in test.header] == [
        "How the scores are spread",
        "Who moved",
        "How the score is made",
        "Does the score tell what comes next?",
    ]
    # Of the versions in the seed the page shows the one that is chosen.
    version = yaml.safe_load((ROOT / "dbt_project.yml").read_text("utf-8"))["vars"]["score_version"]
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        [best] = connection.execute(
            "select account_id from marts.account_score_history where score_version = ? and week_ends_on = "
            "(select max(week_ends_on) from marts.account_score_history) "
            "order by change_points desc, account_id limit 1",
            [version],
        ).fetchone() or [None]
        count = connection.execute(
            "select count(*) from marts.account_scores where aggregation_level = 'year' and score_version = ?",
            [version],
        ).fetchone()
    shown = tables(test)
    [gains] = [table for caption, table in shown.items() if caption.startswith("Top gains")]
    assert gains["rows"][0]["href"] == f"customer?account={best}"
    assert count is not None
    assert sum(int(row[1]) for row in cells(test, "Accounts by band")) == count[0]
