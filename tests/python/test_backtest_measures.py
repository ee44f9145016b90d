"""The back-test on random e-mail and scores: every number is what pairs of accounts and plain Python say of it."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from random import Random
from statistics import StatisticsError, correlation, fmean, quantiles
from typing import Any

import duckdb
import pytest

from project_fixtures import run_dbt

DATES = (date(2024, 3, 31), date(2024, 6, 30), date(2024, 9, 30))
JUDGED_FROM = DATES[1]
REPLICATES = 200  # var backtest_replicates
BY_HAND_UP_TO = 24  # of them, as pairs are many
VERSIONS = ("v1", "v2")
COMPONENTS = ("two_way_recency", "email_inbound", "responsiveness")
MODELS = ("path:models/intermediate/backtest", "path:models/marts/backtest")
MARTS = (
    "backtest_measures",
    "backtest_comparisons",
    "backtest_bands",
    "backtest_lift",
    "backtest_early_warnings",
)
DAY = timedelta(days=1)
# days from a date, beside its boundaries
BESIDE = (-365, -364, -90, -89, -61, -60, 0, 1, 30, 90, 91)
Row = tuple[Any, ...]

# What the models of the back-test read, as far as they read it.
INPUTS = {
    "int_backtest_dates": "scored_on date",
    "int_backtest_dates_judged": "scored_on date, is_judged boolean",
    "int_account_days_aggregated": "enrichment_id varchar, account_id varchar, happened_on date, known_on date,"
    " emails_to_account_count bigint, emails_from_account_count bigint, meetings_count bigint",
    "int_scores_summed": "score_version varchar, enrichment_id varchar, account_id varchar, score_series varchar,"
    " engagement_score decimal(9, 4), scored_on date",
    "int_components_weighted": "score_version varchar, enrichment_id varchar, account_id varchar,"
    " score_series varchar, component varchar, place_ratio double, weight double, scored_on date",
    "int_chances_measured": "score_version varchar, enrichment_id varchar, account_id varchar,"
    " score_series varchar, inbound_chance_ratio double, scored_on date",
}


# ---------------------------------------------------------------------------------------------------
# making it


def inputs(random: Random) -> dict[str, list[Row]]:
    """Two enrichments with few days and few values, so that accounts tie; nobody writes in the third."""
    rows: dict[str, list[Row]] = {name: [] for name in INPUTS}
    rows["int_backtest_dates"] = [(day,) for day in DATES]
    rows["int_backtest_dates_judged"] = [(day, day >= JUDGED_FROM) for day in DATES]
    for enrichment, accounts in (("sales", 23), ("support", 11), ("silent", 3)):
        for account in (f"{enrichment}-{number}" for number in range(accounts)):
            days = {
                day + random.choice((*BESIDE, random.randrange(-400, 100))) * DAY
                for day in random.choices(DATES, k=random.choice((1, 2, 4)))
            }
            for day in days:
                late = random.choice((0, 0, 0, 1, 40)) * DAY
                inbound = 0 if enrichment == "silent" else random.choice((0, 0, 1, 3))
                counts = (random.choice((0, 1, 2)), inbound, random.choice((0, 0, 1)))
                if any(counts):
                    rows["int_account_days_aggregated"].append(
                        (enrichment, account, day, day + late, *counts)
                    )
            for version in VERSIONS:
                for day in DATES:
                    key = (version, enrichment, account, "backtest")
                    rows["int_scores_summed"].append(
                        (*key, random.choice((0, 20, 20, 50, 79.9999, 100)), day)
                    )
                    rows["int_components_weighted"] += [
                        (*key, component, random.choice((0, 0.25, 0.5, 1, None)), weight, day)
                        for component, weight in zip(COMPONENTS, (20, 30, 50), strict=True)
                    ]
                    chance = random.choice((0, 0.1, 0.25, 0.3, 0.7, 1, None))
                    rows["int_chances_measured"].append((*key, chance, day))
    return rows


def land(private_file: Path, rows: dict[str, list[Row]]) -> None:
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema if not exists intermediate")
        for name, columns in INPUTS.items():
            connection.execute(f"create or replace table intermediate.{name} ({columns})")
            if rows[name]:
                marks = ", ".join("?" * len(rows[name][0]))
                connection.executemany(f"insert into intermediate.{name} values ({marks})", rows[name])


def build(private_file: Path) -> None:
    run_dbt(
        *("run", "--select", *MODELS, "--exclude", *INPUTS),
        target=private_file.parent / "target",
        private_file=private_file,
    )


def query(private_file: Path, sql: str) -> list[Row]:
    with duckdb.connect(str(private_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@dataclass(frozen=True)
class Built:
    private_file: Path
    rows: dict[str, list[Row]]

    def query(self, sql: str) -> list[Row]:
        return query(self.private_file, sql)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    private_file = tmp_path_factory.mktemp("backtest") / "private.duckdb"
    rows = inputs(Random(7))
    land(private_file, rows)
    build(private_file)
    return Built(private_file, rows)


# ---------------------------------------------------------------------------------------------------
# by hand: an account drawn twice stands twice in the list

Account = tuple[float, int, bool]  # what is foretold, messages, whether it wrote


def auc_by_pairs(accounts: Sequence[Account]) -> float | None:
    pairs = [
        (best[0] > other[0]) + (best[0] == other[0]) / 2
        for best in accounts
        if best[2]
        for other in accounts
        if not other[2]
    ]
    return fmean(pairs) if pairs else None


def places(values: Sequence[float]) -> list[float]:
    """How many stand below each, and half of those that tie with it."""
    return [
        sum(other < one for other in values) + sum(other == one for other in values) / 2 for one in values
    ]


def spearman_by_places(accounts: Sequence[Account]) -> float | None:
    try:
        return correlation(places([one[0] for one in accounts]), places([one[1] for one in accounts]))
    except StatisticsError:
        return None  # fewer than two, or all equal


def tenths(accounts: Sequence[Account]) -> list[float]:
    """How many that wrote each tenth from the best holds: every account is ten slices, those that tie take turns."""
    slices: list[float] = []
    for value in sorted({one[0] for one in accounts}, reverse=True):
        tied = [one for one in accounts if one[0] == value]
        slices += [fmean(one[2] for one in tied)] * (10 * len(tied))
    size = len(accounts)
    return [math.fsum(slices[tenth * size : (tenth + 1) * size]) / 10 for tenth in range(10)]


def lift_by_slices(accounts: Sequence[Account]) -> float | None:
    active = sum(one[2] for one in accounts)
    if active in (0, len(accounts)):
        return None
    return (tenths(accounts)[0] / (len(accounts) / 10)) / (active / len(accounts))


BY_HAND: dict[str, Callable[[Sequence[Account]], float | None]] = {
    "auc": auc_by_pairs,
    "spearman": spearman_by_places,
    "lift": lift_by_slices,
}


def same(found: float | None, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(found, expected, abs_tol=1e-9)


def predicted(built: Built) -> dict[Row, dict[str, Account]]:
    """The accounts of every enrichment, predictor and date."""
    found: dict[Row, dict[str, Account]] = defaultdict(dict)
    for *series, account, value, messages, wrote in built.query(
        "select enrichment_id, predictor_kind, predictor, scored_on, account_id, predicted_value, messages_count,"
        " is_active from intermediate.int_backtest_predictions"
        " join intermediate.int_backtest_outcomes using (enrichment_id, account_id, scored_on)"
    ):
        found[tuple(series)][account] = (value, messages, wrote)
    return found


def weights(built: Built) -> dict[Row, int]:
    return {
        (enrichment, account, replicate): weight
        for enrichment, account, replicate, weight in built.query("from intermediate.int_backtest_draws")
    }


def drawn(
    accounts: dict[str, Account], enrichment: str, replicate: int, weight: dict[Row, int]
) -> Iterator[Account]:
    for name, account in accounts.items():
        yield from [account] * weight.get((enrichment, name, replicate), 0)


# ---------------------------------------------------------------------------------------------------


def test_outcomes_and_baselines_are_what_a_person_counts(built: Built) -> None:
    days: dict[Row, list[Row]] = defaultdict(list)
    for enrichment, account, *rest in built.rows["int_account_days_aggregated"]:
        days[enrichment, account].append(tuple(rest))
    expected = {}
    for (enrichment, account), of_account in days.items():
        for day in DATES:
            known = [
                (happened, to + inbound, inbound)
                for happened, known_on, to, inbound, _ in of_account
                if day - 365 * DAY < happened <= day and known_on <= day and to + inbound
            ]
            if not known:
                continue
            after = [one for one in of_account if day < one[0] <= day + 90 * DAY]
            age = min((day - happened).days for happened, *_ in known)
            expected[enrichment, account, day] = (
                sum(one[3] for one in after),
                sum(one[2] + one[3] for one in after),
                *(-age, int(age <= 60)),
                sum(emails for _, emails, _ in known),
                sum(emails for happened, emails, _ in known if (day - happened).days < 90),
                sum(emails * 0.5 ** ((day - happened).days / 30) for happened, emails, _ in known),
                sum(inbound * 0.5 ** ((day - happened).days / 30) for happened, _, inbound in known),
            )
    found = {
        tuple(row[:3]): row[3:]
        for row in built.query(
            "select enrichment_id, account_id, scored_on, inbound_count, messages_count, days_since_last_contact,"
            " rule_60_days, emails_365_days, emails_90_days, emails_decayed_30_days, inbound_decayed_30_days"
            " from intermediate.int_backtest_outcomes"
            " full join intermediate.int_backtest_baselines_measured using (enrichment_id, account_id, scored_on)"
        )
    }
    assert found.keys() == expected.keys()
    assert len({key[2] for key in found}) == len(DATES)
    for key, values in expected.items():
        assert all(same(*pair) for pair in zip(found[key], values, strict=True)), key


def test_four_equal_ranks_are_the_mean_of_the_shared_places(built: Built) -> None:
    columns = (
        "days_since_last_contact",
        "emails_365_days",
        "emails_decayed_30_days",
        "inbound_decayed_30_days",
    )
    groups: dict[Row, list[Row]] = defaultdict(list)
    for *key, ranks, a, b, c, d in built.query(
        f"select enrichment_id, scored_on, four_equal_ranks, {', '.join(columns)}"
        " from intermediate.int_backtest_baselines_measured"
    ):
        groups[tuple(key)].append((ranks, a, b, c, d))
    for rows in groups.values():
        by_column = [places([row[place] for row in rows]) for place in range(1, 5)]
        for number, row in enumerate(rows):
            # a place counts half of the account itself
            mean = fmean(column[number] - 0.5 for column in by_column)
            assert same(row[0], mean / (len(rows) - 1) if len(rows) > 1 else 0.5)


def test_every_measure_is_what_pairs_and_places_say_for_every_draw(built: Built) -> None:
    """In draw 0 the accounts as they are; in the others they stand as often as they are drawn."""
    series, weight = predicted(built), weights(built)
    found = {
        tuple(row[:6]): row[6]
        for row in built.query(
            "select enrichment_id, predictor_kind, predictor, scored_on, replicate, measure, measure_value"
            f" from intermediate.int_backtest_replicates where replicate <= {BY_HAND_UP_TO}"
        )
    }
    told: dict[str, int] = defaultdict(int)
    means: dict[Row, list[float]] = defaultdict(list)
    expected: dict[Row, float | None] = {}
    for (enrichment, kind, predictor, day), of_series in series.items():
        for replicate in range(BY_HAND_UP_TO + 1):
            accounts = list(drawn(of_series, enrichment, replicate, weight))
            if not accounts:
                continue
            for measure, by_hand in BY_HAND.items():
                value = by_hand(accounts)
                expected[enrichment, kind, predictor, day, replicate, measure] = value
                told[measure] += value is not None
                told[f"{measure} null"] += value is None
                if day >= JUDGED_FROM:
                    mean = means[enrichment, kind, predictor, None, replicate, measure]
                    if value is not None:
                        mean.append(value)
    expected |= {key: fmean(values) if values else None for key, values in means.items()}
    assert found.keys() == expected.keys()
    assert [(key, found[key], value) for key, value in expected.items() if not same(found[key], value)] == []
    assert all(told[name] for name in (*BY_HAND, "auc null", "spearman null", "lift null")), told


def test_intervals_are_of_the_draws(built: Built) -> None:
    draws: dict[Row, list[float]] = defaultdict(list)
    values: dict[Row, float | None] = {}
    for *key, replicate, value in built.query(
        "select enrichment_id, predictor_kind, predictor, scored_on, measure, replicate, measure_value"
        " from intermediate.int_backtest_replicates"
    ):
        if replicate == 0:
            values[tuple(key)] = value
        elif value is not None:
            draws[tuple(key)].append(value)
    rows = built.query(
        "select enrichment_id, predictor_kind, predictor, scored_on, measure, measure_value, lowest_value,"
        " highest_value from marts.backtest_measures where measure not like 'calibration_error%'"
    )
    assert {tuple(row[:5]) for row in rows} == values.keys()
    for *key, value, lowest, highest in rows:
        cuts = quantiles(draws[tuple(key)], n=40, method="inclusive") if len(draws[tuple(key)]) > 1 else None
        assert same(value, values[tuple(key)])
        if cuts:
            assert same(lowest, cuts[0]) and same(highest, cuts[-1]), key


def test_differences_are_of_the_same_dates_and_draws(built: Built) -> None:
    values = {
        tuple(row[:5]): row[5]
        for row in built.query(
            "select enrichment_id, predictor, measure, replicate, scored_on, measure_value"
            " from intermediate.int_backtest_replicates where measure_value is not null"
        )
    }
    rows = built.query(
        "select enrichment_id, score_version, compared_predictor, measure, difference, lowest_difference,"
        " highest_difference, dates_count from marts.backtest_comparisons where enrichment_id = 'sales'"
    )
    # of both versions: with seven baselines, the other version and an ablation of each component
    assert len(rows) == len(VERSIONS) * (7 + 1 + len(COMPONENTS)) * len(BY_HAND)
    for enrichment, version, compared, measure, difference, lowest, highest, dates in rows:
        differences = []
        for replicate in range(REPLICATES + 1):
            pairs = [
                (
                    values.get((enrichment, version, measure, replicate, day)),
                    values.get((enrichment, compared, measure, replicate, day)),
                )
                for day in DATES
                if day >= JUDGED_FROM
            ]
            told = [one - other for one, other in pairs if one is not None and other is not None]
            if replicate == 0:
                assert dates == len(told)
            if told:
                differences.append(fmean(told))
        cuts = quantiles(differences[1:], n=40, method="inclusive")
        assert same(difference, differences[0]) and same(lowest, cuts[0]) and same(highest, cuts[-1])
    best = built.query(
        "select count(*), count(distinct (score_version, measure)) from marts.backtest_comparisons"
        " where is_best_baseline and enrichment_id = 'sales'"
    )
    assert best == [(len(VERSIONS) * len(BY_HAND),) * 2]


def test_tenths_hold_what_slices_of_the_accounts_say(built: Built) -> None:
    found: dict[Row, list[Row]] = defaultdict(list)
    for *key, active, share in built.query(
        "select enrichment_id, predictor_kind, predictor, active_ratio, found_ratio from marts.backtest_lift"
        " order by tenth"
    ):
        found[tuple(key)].append((active, share))
    expected: dict[Row, list[float]] = defaultdict(lambda: [0.0] * 10)
    sizes: dict[Row, int] = defaultdict(int)
    for (*key, day), accounts in predicted(built).items():
        if day >= JUDGED_FROM:
            sizes[tuple(key)] += len(accounts)
            held = tenths(list(accounts.values()))
            expected[tuple(key)] = [sum(pair) for pair in zip(expected[tuple(key)], held, strict=True)]
    assert found.keys() == expected.keys()
    for predictor, held in expected.items():
        for tenth, (active, share) in enumerate(found[predictor]):
            assert same(active, held[tenth] / (sizes[predictor] / 10)), predictor
            assert same(share, sum(held[: tenth + 1]) / sum(held) if sum(held) else None), predictor


def test_the_calibration_error_is_that_of_the_bands(built: Built) -> None:
    outcomes = {
        tuple(row[:3]): row[3]
        for row in built.query(
            "select enrichment_id, account_id, scored_on, is_active from intermediate.int_backtest_outcomes"
        )
    }
    weight = weights(built)
    bands: dict[Row, dict[int, list[tuple[float, bool]]]] = defaultdict(lambda: defaultdict(list))
    for version, enrichment, account, _, chance, day in built.rows["int_chances_measured"]:
        wrote = outcomes.get((enrichment, account, day))
        if wrote is None or chance is None or day < JUDGED_FROM:
            continue
        for replicate in range(REPLICATES + 1):
            for _ in range(weight.get((enrichment, account, replicate), 0)):
                band = min(round(chance * 100) // 10, 9)
                bands[version, enrichment, replicate][band].append((chance, wrote))
    expected = {
        key: sum(abs(sum(chance for chance, _ in band) - sum(wrote for _, wrote in band)) for band in of_key.values())
        / sum(len(band) for band in of_key.values())
        for key, of_key in bands.items()
    }  # fmt: skip
    found = {
        tuple(row[:3]): row[3]
        for row in built.query(
            "select score_version, enrichment_id, replicate, calibration_error"
            " from intermediate.int_backtest_calibrations where band_kind = 'chance'"
        )
    }
    assert found.keys() == expected.keys()
    assert all(same(found[key], value) for key, value in expected.items())


def test_an_account_is_drawn_as_poisson_says(built: Built) -> None:
    """The draw is the place of the first 32 bits of its MD5 in the distribution with mean 1."""
    accounts = built.query(
        "select distinct enrichment_id, account_id from intermediate.int_backtest_outcomes"
    )
    expected = {(enrichment, account, 0): 1 for enrichment, account in accounts}
    for enrichment, account in accounts:
        for replicate in range(1, REPLICATES + 1):
            digest = hashlib.md5(f"{account}|{replicate}".encode()).hexdigest()
            place, count, below = int(digest[:8], 16) / 16**8, 0, math.exp(-1)
            while place >= below:
                count += 1
                below += math.exp(-1) / math.factorial(count)
            if count:
                expected[enrichment, account, replicate] = count
    assert weights(built) == expected


@pytest.mark.long
def test_the_order_of_rows_changes_nothing_and_without_dates_there_is_nothing(built: Built) -> None:
    def marts() -> dict[str, list[Row]]:
        return {name: built.query(f"select * from marts.{name} order by all") for name in MARTS}

    before = marts()
    random = Random(8)
    land(built.private_file, {name: random.sample(rows, len(rows)) for name, rows in built.rows.items()})
    build(built.private_file)
    assert marts() == before
    assert all(before[name] for name in MARTS if name != "backtest_early_warnings")
    land(built.private_file, built.rows | {"int_backtest_dates": [], "int_backtest_dates_judged": []})
    build(built.private_file)
    assert marts() == {name: [] for name in MARTS}
