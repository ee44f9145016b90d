"""Insights of segments on random small tables: every number is what plain Python, sets and scipy say of it."""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any

import click.testing
import duckdb
import pytest
from scipy.stats import ks_2samp, ttest_ind

from conftest import ROOT, Workspace
from engagement.scores import project_variable
from project_fixtures import run_dbt

DAY = "2026-06-30"
LEAST = int(project_variable(ROOT, "suggestion_least_accounts"))
SIGNIFICANCE = float(project_variable(ROOT, "segment_significance_ratio"))
PERCENTILES = (10, 25, 50, 75, 90)
NUMBERS = ("employees_count", "annual_revenue_usd", "silence_days", "seats", "engagement_score")
CATEGORIES = ("industry", "ownership_type", "tier", "is_partner")
# Of the family of the measure, so that no suggested segment is made of them.
OF_THE_MEASURE = ("silence_days", "engagement_score")
OWN = {"tier": "string", "seats": "bigint", "is_partner": "boolean"}
SEGMENTS = ("random", "chemists", "one", "nobody", "everybody")
MODELS = (
    "int_own_attribute_values+",
    "int_members_counted+",
    "int_member_values_counted+",
)

Value = str | float | None
Row = dict[str, Any]
Condition = tuple[str, str, str | float]  # attribute, operator, value


@dataclass
class World:
    """The accounts of one enrichment: by account and attribute its value, by segment who is in it."""

    accounts: dict[str, dict[str, Value]]
    segments: dict[str, set[str]] = field(default_factory=dict)

    def column(self, attribute: str, accounts: Sequence[str] | set[str]) -> list[Value]:
        return [self.accounts[account][attribute] for account in sorted(accounts)]


def world(random: Random, number: int) -> World:
    """Few values, so that accounts tie, and sizes at both ends; the score hangs on some of the attributes in most."""
    size = random.choice((1, 2, 7, 12, 25, 60, 60))
    constant = random.choice((True, False))
    accounts: dict[str, dict[str, Value]] = {}
    for place in range(size):
        industry = random.choice(("Chemicals", "Mining", 'R&D, "x" `y` $z', None))
        seats = None if random.random() < 0.3 else float(random.choice((1, 2, 3, 10, 250)))
        score = random.uniform(0, 40) + 30 * (industry == "Chemicals") + 20 * ((seats or 0) >= 3)
        accounts[f"w{number}-{place}"] = {
            "industry": industry,
            "ownership_type": random.choice(("Public", "Private")),
            "tier": random.choice(("A", "B", None)),
            "is_partner": random.choice(("true", "false", None)),
            "employees_count": 7.0 if constant else float(random.choice((5, 50, 500, 5000))),
            "annual_revenue_usd": random.choice((None, 1e6, 2.5e6, 604618000.5)),
            "silence_days": random.choice((None, 0.0, 3.0, 9.0)),
            "seats": seats,
            "engagement_score": None if random.random() < 0.1 else round(score, 4),
        }
    made = World(accounts)
    made.segments = {
        "random": {account for account in accounts if random.random() < 0.4},
        "chemists": {account for account, row in accounts.items() if row["industry"] == "Chemicals"},
        "one": {min(accounts)},
        "nobody": set(),
        "everybody": set(accounts),
    }
    return made


@dataclass(frozen=True)
class Built:
    private_file: Path
    worlds: dict[str, World]

    def rows(self, query: str) -> list[Row]:
        with duckdb.connect(str(self.private_file), read_only=True) as connection:
            result = connection.execute(query)
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


COLUMNS = {
    "account_name": "varchar", "website": "varchar", "country": "varchar", "company_country": "varchar",
    "company_region": "varchar", "company_state": "varchar", "company_city": "varchar", "industry": "varchar",
    "sub_industry": "varchar", "sic_code": "varchar", "naics_code": "varchar", "ownership_type": "varchar",
    "employees_count": "bigint", "employees_range": "varchar", "annual_revenue_usd": "double",
    "annual_revenue_range": "varchar", "days_since_enriched": "bigint", "engagement_score": "decimal(9, 4)",
    "own_score_change_points": "decimal(9, 4)", "emails_to_account_count": "bigint",
    "emails_from_account_count": "bigint", "meetings_count": "bigint", "interactions_count": "bigint",
    "inbound_count": "bigint", "outbound_count": "bigint", "days_since_last_email": "bigint",
    "days_since_last_meeting": "bigint", "rhythm_state": "varchar", "silence_days": "bigint",
    "usual_gap_days": "double", "top_contact_share_ratio": "double",
}  # fmt: skip


def land(private_file: Path, worlds: dict[str, World]) -> None:
    """What the models read, as far as they read it."""
    listed = ", ".join(f"{name} {data_type}" for name, data_type in COLUMNS.items())
    with duckdb.connect(str(private_file)) as connection:
        connection.execute(
            "create schema staging; create schema intermediate;"
            " create table intermediate.int_account_attributes_dated (enrichment_id varchar, account_id varchar,"
            f" judged_on date, is_current boolean, {listed});"
            " create table intermediate.int_segment_states (segment_id varchar, enrichment_id varchar,"
            " account_id varchar, judged_on date, is_member boolean);"
            " create table intermediate.int_segment_dates (judged_on date, is_current boolean, is_judged boolean);"
            " create table intermediate.int_segments_described (segment_position bigint, segment_id varchar,"
            " segment_name varchar, is_active boolean);"
            " create table staging.stg_customers__accounts (account_id varchar, attributes_json json);"
            " create table staging.stg_customers__attributes (attribute varchar, data_type varchar)"
        )
        connection.execute(
            f"insert into intermediate.int_segment_dates values ('{DAY}', true, true), ('2026-06-28', false, true)"
        )
        for position, segment in enumerate(SEGMENTS):
            connection.execute(
                "insert into intermediate.int_segments_described values (?, ?, ?, true)",
                [position, segment, segment.title()],
            )
        connection.executemany(
            "insert into staging.stg_customers__attributes values (?, ?)", list(OWN.items())
        )
        published = [name for name in COLUMNS if name in (*NUMBERS, *CATEGORIES)]
        accounts = [(name, *pair) for name, made in worlds.items() for pair in made.accounts.items()]
        connection.executemany(
            "insert into intermediate.int_account_attributes_dated by name"
            f" select $1 as enrichment_id, $2 as account_id, date '{DAY}' as judged_on, true as is_current,"
            f" {', '.join(f'${place} as {name}' for place, name in enumerate(published, start=3))}",
            [(name, account, *(row[column] for column in published)) for name, account, row in accounts],
        )
        connection.executemany(
            "insert into staging.stg_customers__accounts values (?, ?)",
            [(account, json.dumps({column: row[column] for column in OWN})) for _, account, row in accounts],
        )
        connection.executemany(
            "insert into intermediate.int_segment_states values (?, ?, ?, ?, ?)",
            [
                (segment, name, account, DAY, account in members)
                for name, made in worlds.items()
                for segment, members in made.segments.items()
                for account in made.accounts
            ],
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    private_file = tmp_path_factory.mktemp("insights") / "private.duckdb"
    random = Random(11)
    worlds = {f"world-{number}": world(random, number) for number in range(12)}
    land(private_file, worlds)
    run_dbt(
        *("run", "--select", *MODELS),
        target=private_file.parent / "target",
        private_file=private_file,
    )
    return Built(private_file, worlds)


# ---------------------------------------------------------------------------------------------------
# by hand


def of_categories(members: Sequence[Value], others: Sequence[Value]) -> Fraction:
    """Half of the differences of shares; None is a value."""
    ours, theirs = Counter(members), Counter(others)
    gaps = (
        abs(Fraction(ours[value], len(members)) - Fraction(theirs[value], len(others)))
        for value in {*ours, *theirs}
    )
    return sum(gaps, Fraction(0)) / 2


def of_numbers(members: Sequence[Value], others: Sequence[Value]) -> Fraction:
    """Kolmogorov and Smirnov's with None behind all numbers, and before them: whichever is more."""
    most = Fraction(0)
    for missing in (-math.inf, math.inf):
        ours, theirs = (
            sorted(missing if value is None else float(value) for value in side) for side in (members, others)
        )
        for value in {*ours, *theirs}:
            gap = Fraction(bisect_right(ours, value), len(ours)) - Fraction(
                bisect_right(theirs, value), len(theirs)
            )
            most = max(most, abs(gap))
    return most


def difference(attribute: str, members: Sequence[Value], others: Sequence[Value]) -> Fraction:
    return (of_numbers if attribute in NUMBERS else of_categories)(members, others)


def chance(attribute: str, members: Sequence[Value], others: Sequence[Value]) -> float:
    spread = 1 / len(members) + 1 / len(others)
    everybody = [*members, *others]
    if attribute in NUMBERS:
        orders = 2 if None in everybody else 1
        return math.sqrt(math.log(2 * orders / SIGNIFICANCE) / 2 * spread)
    shares = [count / len(everybody) for count in Counter(everybody).values()]
    expected = sum(math.sqrt(share * (1 - share) * spread) for share in shares) / 2
    return expected + math.sqrt(math.log(1 / SIGNIFICANCE) / 2 * spread)


def conditions(made: World, attribute: str) -> list[Condition]:
    """What a quick segment can be made of, in order; what every account fulfils is left out."""
    values = [value for value in made.column(attribute, set(made.accounts)) if value is not None]
    found: list[Condition] = []
    if attribute in NUMBERS:
        numbers = sorted(float(value) for value in values)
        thresholds = {
            next(
                value for value in numbers if 100 * bisect_right(numbers, value) >= percentile * len(numbers)
            )
            for percentile in PERCENTILES
            if numbers
        }
        found = [(attribute, ">=", value) for value in sorted(thresholds)]
    else:
        ranked = sorted(Counter(values).items(), key=lambda item: (-item[1], str(item[0])))
        found = [(attribute, "=", str(value)) for value, _ in ranked[:10]]
    return [condition for condition in found if len(meeting(made, condition)) < len(made.accounts)]


def meeting(made: World, condition: Condition) -> set[str]:
    """The accounts that fulfil a condition."""
    attribute, operator, value = condition
    met = set()
    for account, row in made.accounts.items():
        have = row[attribute]
        if have is not None and (have == value if operator == "=" else float(have) >= float(value)):
            met.add(account)
    return met


def tree(made: World) -> tuple[int, list[tuple[set[str], int]]]:
    """Candidates, and the groups of the two best conditions with how many of them each has."""
    scored = {account for account, row in made.accounts.items() if row["engagement_score"] is not None}
    candidates = [
        condition
        for attribute in (*NUMBERS, *CATEGORIES)
        if attribute not in OF_THE_MEASURE
        for condition in conditions(made, attribute)
        if LEAST <= len(meeting(made, condition)) <= len(made.accounts) - LEAST
    ]
    assert len(candidates) <= 100
    # Text before numbers does not matter: an attribute has one kind.
    candidates.sort(key=lambda condition: (condition[0], condition[2]))

    def best(accounts: set[str]) -> set[str] | None:
        gains = []
        for condition in candidates:
            met = meeting(made, condition) & accounts
            rest = accounts - met
            if min(len(met), len(rest)) >= LEAST:
                ours, theirs = (
                    sum(Fraction(str(made.accounts[account]["engagement_score"])) for account in side)
                    / len(side)
                    for side in (met, rest)
                )
                gains.append((len(met) * len(rest) * (ours - theirs) ** 2, met))
        # max takes the first of those that tie
        gain, met = max(gains, key=lambda item: item[0], default=(Fraction(0), set()))
        return met if gain > 0 else None

    groups: list[tuple[set[str], int]] = []
    if (first := best(scored)) is not None:
        for side in (first, scored - first):
            groups.append((side, 1))
            if (second := best(side)) is not None:
                groups += [(second, 2), (side - second, 2)]
    return len(candidates), groups


# ---------------------------------------------------------------------------------------------------
# the tests


def test_differences_are_those_of_the_definition(built: Built) -> None:
    rows = built.rows("select * from marts.segment_differentiators")
    seen = Counter(row["enrichment_id"] for row in rows)
    assert set(seen) == set(built.worlds)
    certain = uncertain = 0
    for row in rows:
        made = built.worlds[row["enrichment_id"]]
        members = made.segments[row["segment_id"]]
        others = set(made.accounts) - members
        ours, theirs = (made.column(row["attribute"], side) for side in (members, others))
        assert (row["members_count"], row["others_count"]) == (len(members), len(others))
        if not members or not others:
            assert (row["difference_ratio"], row["is_uncertain"]) == (None, True)
            continue
        expected = difference(row["attribute"], ours, theirs)
        # to the last digit: shares are compared as whole numbers
        assert row["difference_ratio"] == float(expected)
        assert row["chance_ratio"] == pytest.approx(chance(row["attribute"], ours, theirs))
        assert row["is_uncertain"] == (not float(expected) > row["chance_ratio"])
        certain, uncertain = certain + (not row["is_uncertain"]), uncertain + row["is_uncertain"]
        if row["attribute"] in NUMBERS and None not in (*ours, *theirs):
            assert row["difference_ratio"] == pytest.approx(ks_2samp(ours, theirs).statistic)
    assert certain > 5 and uncertain > 50


def test_every_attribute_that_anybody_has_is_compared_and_ranked_once(built: Built) -> None:
    ranked: dict[tuple[str, str], list[Row]] = {}
    for row in built.rows("select * from marts.segment_differentiators order by difference_rank"):
        ranked.setdefault((row["enrichment_id"], row["segment_id"]), []).append(row)
    for enrichment, made in built.worlds.items():
        known = {
            attribute
            for attribute in (*NUMBERS, *CATEGORIES)
            if any(row[attribute] is not None for row in made.accounts.values())
        }
        for segment in SEGMENTS:
            rows = ranked[enrichment, segment]
            assert {row["attribute"] for row in rows} == known
            assert [row["difference_rank"] for row in rows] == list(range(1, len(known) + 1))
            keys = [(row["is_uncertain"], -(row["difference_ratio"] or 0), row["attribute"]) for row in rows]
            assert keys == sorted(keys)


def test_what_the_words_say_is_the_difference(built: Built) -> None:
    """The shares that are said are as far apart as a number's difference is; a category's is at least half as far."""
    said = 0
    for row in built.rows(
        "select * from intermediate.int_number_differences inner join intermediate.int_members_counted"
        " using (segment_id, enrichment_id) where difference_ratio is not null"
    ):
        gap = (
            row["members_with_count"] / row["members_count"] - row["others_with_count"] / row["others_count"]
        )
        assert abs(gap) == pytest.approx(row["difference_ratio"])
        made = built.worlds[row["enrichment_id"]]
        values = made.column(row["attribute"], made.segments[row["segment_id"]])
        words, _, number = row["widest_at"].rpartition(" ")
        fulfils = {
            "known": lambda value, _: value is not None,
            "unknown": lambda value, _: value is None,
            "at least": lambda value, bound: value is not None and value >= bound,
            "at most": lambda value, bound: value is not None and value <= bound,
            "above": lambda value, bound: value is not None and value > bound,
            "below": lambda value, bound: value is not None and value < bound,
        }[words or number]
        assert row["members_with_count"] == sum(
            fulfils(value, float(number) if words else 0) for value in values
        )
        said += 1
    assert said > 100


def test_overlaps_are_those_of_sets(built: Built) -> None:
    rows = built.rows("select * from marts.segment_overlaps")
    assert len(rows) == len(built.worlds) * len(list(combinations(SEGMENTS, 2)))
    for row in rows:
        segments = built.worlds[row["enrichment_id"]].segments
        first, second = segments[row["segment_id"]], segments[row["other_segment_id"]]
        assert row["segment_id"] < row["other_segment_id"]
        assert (row["both_count"], row["either_count"]) == (len(first & second), len(first | second))
        assert row["both_of_members_ratio"] == (len(first & second) / len(first) if first else None)
        assert row["both_of_other_members_ratio"] == (len(first & second) / len(second) if second else None)
        assert row["jaccard_ratio"] == (len(first & second) / len(first | second) if first | second else None)


def test_distributions_have_every_account_once(built: Built) -> None:
    for row in built.rows(
        "select segment_id, enrichment_id, attribute, sum(members_with_count) as members,"
        " sum(others_with_count) as others, sum(abs(members_ratio - others_ratio)) / 2 as difference"
        " from marts.segment_distributions group by all"
    ):
        made = built.worlds[row["enrichment_id"]]
        members = made.segments[row["segment_id"]]
        others = set(made.accounts) - members
        assert (row["members"], row["others"]) == (len(members), len(others))
        if members and others and row["attribute"] in CATEGORIES:
            # as few values as here have a bucket each
            ours, theirs = (made.column(row["attribute"], side) for side in (members, others))
            assert row["difference"] == pytest.approx(float(of_categories(ours, theirs)))


def test_quick_segments_choose_whom_they_say(built: Built) -> None:
    rows = built.rows(
        "select * from marts.quick_segments order by enrichment_id, attribute, condition_position"
    )
    found: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["enrichment_id"], row["attribute"]), []).append(row)
    for enrichment, made in built.worlds.items():
        for attribute in (*NUMBERS, *CATEGORIES):
            listed = found.pop((enrichment, attribute), [])
            expected = conditions(made, attribute)
            assert [row["accounts_count"] for row in listed] == [
                len(meeting(made, condition)) for condition in expected
            ]
            for row, (_, operator, value) in zip(listed, expected, strict=True):
                text = f"{value:.15g}" if isinstance(value, float) else value
                for character in '\\"$`':
                    text = text.replace(character, "\\" + character)
                assert row["rule_options"] == f'--where "{attribute} {operator} {text}"'
                assert row["accounts_ratio"] == pytest.approx(row["accounts_count"] / len(made.accounts))
    assert not found


def test_groups_are_those_of_the_best_conditions(built: Built) -> None:
    divided = 0
    for enrichment, made in built.worlds.items():
        candidates, groups = tree(made)
        rows = built.rows(
            f"select * from intermediate.int_suggestion_groups where enrichment_id = '{enrichment}'"
            " order by group_position"
        )
        assert [row["accounts_count"] for row in rows] == [len(group) for group, _ in groups]
        scores = {
            account: float(row["engagement_score"])  # type: ignore[arg-type]
            for account, row in made.accounts.items()
            if row["engagement_score"] is not None
        }
        expected = []
        for row, (group, depth) in zip(rows, groups, strict=True):
            inside = [scores[account] for account in sorted(group)]
            outside = [score for account, score in sorted(scores.items()) if account not in group]
            welch = ttest_ind(inside, outside, equal_var=False)
            assert row["measure_mean"] == pytest.approx(sum(inside) / len(inside))
            assert row["t_value"] == pytest.approx(welch.statistic)
            assert row["chance_ratio"] == pytest.approx(welch.pvalue, rel=0.005)
            divided += 1
            corrected = min(1.0, row["chance_ratio"] * candidates**depth)
            if corrected < SIGNIFICANCE:
                expected.append((pytest.approx(corrected), len(group), depth))
        suggested = built.rows(
            f"select * from marts.segment_suggestions where enrichment_id = '{enrichment}' order by suggestion_rank"
        )
        assert sorted(
            (row["corrected_chance_ratio"], row["accounts_count"], row["conditions_count"])
            for row in suggested
        ) == sorted(expected, key=lambda item: item[0].expected)
        for row in suggested:
            assert row["candidates_count"] == candidates
            chosen = choose(made, row["rule_in_words"])
            assert len(chosen & set(scores)) == row["accounts_count"]
    assert divided > 20
    assert built.rows("select 1 from marts.segment_suggestions")


def choose(made: World, rule: str) -> set[str]:
    """Who fulfils a rule as it is written: and binds before or."""
    return {
        account
        for account, row in made.accounts.items()
        if any(
            all(fulfils(row, condition) for condition in term.split(" and ")) for term in rule.split(" or ")
        )
    }


def fulfils(row: dict[str, Value], condition: str) -> bool:
    attribute, operator, value = condition.split(" ", 2)
    have = row[attribute]
    if operator == "is":
        return have is None
    if have is None:
        return False
    if operator in ("=", "!="):
        return (have == value) == (operator == "=")
    return float(have) >= float(value) if operator == ">=" else float(have) < float(value)


# ---------------------------------------------------------------------------------------------------
# the commands, over a file with what they read


@pytest.fixture(scope="module")
def published(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("published-insights"))
    workspace.published_file.parent.mkdir(parents=True)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("create schema marts")
        connection.execute(f"attach '{built.private_file}' as built (read_only)")
        for mart in (
            "compared_attributes",
            "quick_segments",
            "segment_differentiators",
            "segment_suggestions",
        ):
            connection.execute(f"create table marts.{mart} as from built.marts.{mart}")
        current = "(select * from built.intermediate.int_account_attributes_dated where is_current)"
        connection.execute(
            "create table marts.segments as select segment_id, segment_name, is_active from"
            " built.intermediate.int_segments_described union all select 'off', 'Off', false;"
            " create table marts.segment_members as select segment_id, enrichment_id, account_id"
            " from built.intermediate.int_segment_states where is_member;"
            " create table marts.segment_counts as select segment_id, segment_name, enrichment_id,"
            " judged_on as counted_on, members_count, members_count + others_count as accounts_count"
            " from built.intermediate.int_members_counted;"
            f" create table marts.customer_profiles as select distinct account_id, {', '.join(PROFILE)} from {current};"
            f" create table marts.account_engagement as select enrichment_id, account_id, 'year' as aggregation_level,"
            " engagement_score, 1 as emails_to_account_count, 1 as emails_from_account_count, 1 as meetings_count,"
            f" 0 as meetings_to_account_count, 0 as meetings_from_account_count from {current};"
            " insert into marts.account_engagement select * replace ('month' as aggregation_level, 0 as"
            " engagement_score) from marts.account_engagement;"
            f" create table marts.account_recency as select enrichment_id, account_id, days_since_last_email,"
            f" days_since_last_meeting from {current};"
            f" create table marts.account_outlook as select enrichment_id, account_id, rhythm_state, silence_days,"
            f" usual_gap_days from {current};"
            " create table marts.account_traffic as select enrichment_id, account_id, interactions_count,"
            f" top_contact_share_ratio from {current};"
            " create table marts.enriched_customers as select account_id, null::varchar as country,"
            " json_extract_string(attributes_json, '$.tier') as tier,"
            " json_extract_string(attributes_json, '$.seats')::double as seats,"
            " json_extract_string(attributes_json, '$.is_partner')::boolean as is_partner"
            " from built.staging.stg_customers__accounts"
        )
    return workspace


PROFILE = (
    "company_country", "company_region", "company_state", "company_city", "industry", "sub_industry", "sic_code",
    "naics_code", "ownership_type", "employees_count", "employees_range", "annual_revenue_usd", "annual_revenue_range",
)  # fmt: skip


def told(done: click.testing.Result) -> Any:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_two_segments_are_told_apart_as_one_is_from_all_others(built: Built, published: Workspace) -> None:
    rows = told(published.run("segment", "differentiators", "random", "--against", "chemists", "--json"))[
        "differentiators"
    ]
    compared = 0
    for row in rows:
        made = built.worlds[row["enrichment_id"]]
        if row["attribute"] not in (*NUMBERS, *CATEGORIES):
            continue
        # an account of both is counted on both sides
        ours, theirs = (made.column(row["attribute"], made.segments[name]) for name in ("random", "chemists"))
        assert row["difference_ratio"] == pytest.approx(
            float(difference(row["attribute"], ours, theirs)), abs=1e-12
        )
        assert row["chance_ratio"] == pytest.approx(chance(row["attribute"], ours, theirs))
        compared += 1
    both = [made for made in built.worlds.values() if made.segments["random"] and made.segments["chemists"]]
    assert compared == len(both) * len((*NUMBERS, *CATEGORIES))
    words = next(row["difference_in_words"] for row in rows if row["attribute"] == "industry")
    assert " of Random, 100 % of Chemists" in words


def test_an_overlap_of_three_is_that_of_sets_and_its_values_add_up(
    built: Built, published: Workspace
) -> None:
    names = ("random", "chemists", "everybody")
    for by in ("tier", "seats", "is_partner"):
        entries = told(published.run("segment", "overlap", *names, "--by", by, "--json"))["enrichments"]
        assert {entry["enrichment_id"] for entry in entries} == set(built.worlds)
        for entry in entries:
            made = built.worlds[entry["enrichment_id"]]
            common = set.intersection(*(made.segments[name] for name in names))
            assert entry["common_count"] == len(common)
            assert entry["either_count"] == len(made.accounts)
            assert [row["members_count"] for row in entry["segments"]] == [
                len(made.segments[n]) for n in names
            ]
            values = {row["value"]: row["common_count"] for row in entry["values"]}
            assert sum(values.values()) == len(common)
            if by == "tier":
                counted = Counter(made.accounts[account][by] or "unknown" for account in common)
                assert {value: count for value, count in values.items() if count} == dict(counted)


def test_the_commands_print_what_they_found(published: Workspace) -> None:
    for arguments, words in (
        (("overlap", "random", "chemists", "--by", "industry"), "Accounts in common by industry"),
        (
            ("differentiators", "chemists", "--limit", "1"),
            "industry: Chemicals 100 % of the members, 0 % of the others",
        ),
        (("differentiators", "chemists", "--against", "nobody"), "nobody to compare"),
        (("quick", "tier"), '--where "tier = A"'),
        (("suggest",), "Suggested segments by engagement score"),
        (("suggest", "--measure", "engagement_score"), "Suggested segments by engagement score"),
    ):
        done = published.run("segment", *arguments)
        assert (done.exit_code, done.stderr) == (0, "")
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("overlap", "random"), "SEGMENT: an overlap needs two segments or more, each named once"),
        (("overlap", "random", "random"), "SEGMENT: an overlap needs two segments or more, each named once"),
        (
            ("overlap", "random", "gone"),
            "SEGMENT: 'gone' is no segment that is published; there are chemists, ",
        ),
        (
            ("overlap", "random", "off"),
            "SEGMENT: off is not active, so nobody is in it; set active: true in its YAML",
        ),
        (
            ("overlap", "random", "one", "--by", "days_since_enriched"),
            "ATTRIBUTE: 'days_since_enriched' is no attribute that can be asked for; there are annual_revenue_range",
        ),
        (
            ("differentiators", "one", "--against", "one"),
            "--against: names the segment itself; name another one",
        ),
        (("quick", "colour"), "ATTRIBUTE: 'colour' is no attribute that can be asked for; there are "),
        (
            ("suggest", "--measure", "industry"),
            "ATTRIBUTE: 'industry' is no number that can be asked for; there are ",
        ),
        (
            ("suggest", "--measure", "seats"),
            "--measure: suggested segments are published for engagement_score; for seats set var suggestion_measure in"
            " dbt_project.yml, then run `engagement run`",
        ),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(
    arguments: tuple[str, ...], line: str, published: Workspace
) -> None:
    done = published.run("segment", *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"error: {line}")
    assert done.stderr.count("\n") == 1


def test_without_a_published_file_of_this_release_the_commands_say_so(workspace: Workspace) -> None:
    done = workspace.run("segment", "quick")
    assert (done.exit_code, done.stderr) == (
        2, "error: engagement.duckdb: nothing is published yet; run `engagement run` first\n",
    )  # fmt: skip
    workspace.leave_sentinel()
    done = workspace.run("segment", "quick")
    assert done.exit_code == 2
    assert done.stderr.startswith(
        "error: engagement.duckdb: cannot be read, or was published by an older release"
    )


# ---------------------------------------------------------------------------------------------------
# the seed

WRONG = {
    "colour, category, colour, f, true, true, true": "colour: no such attribute (there are country, ",
    "industry, number, industry, f, true, true, true": "industry: its kind has to be category",
    "country, category, , f, true, true, true": "country: has no attribute_label",
    "company_city, category, city, , true, true, true": "company_city: has no attribute_family",
    "sic_code, category, SIC, f, , true, true": "sic_code: in_differentiators, in_quick_segments and in_suggestions",
    "naics_code, category, NAICS, f, true, true, true": "naics_code: stands twice",
}


def test_everything_wrong_in_the_seed_is_told(built: Built, tmp_path: Path, capsys: Any) -> None:
    private_file = tmp_path / "private.duckdb"
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema seeds")
        connection.execute(f"attach '{built.private_file}' as built (read_only)")
        connection.execute(
            "create table seeds.segment_attributes as from built.seeds.segment_attributes limit 0"
        )
        for row in (*WRONG, list(WRONG)[-1]):
            cells = [None if cell == "" else cell for cell in row.split(", ")]
            connection.execute(
                "insert into seeds.segment_attributes values (?, ?, ?, ?, ?, ?, ?, null)", cells
            )
    capsys.readouterr()
    with pytest.raises(AssertionError):
        run_dbt(
            *("run-operation", "check_segment_attributes", "--args", "{relation: seeds.segment_attributes}"),
            target=tmp_path / "target",
            private_file=private_file,
        )
    printed = " ".join(capsys.readouterr().out.split())
    assert "seeds/segment_attributes.csv: " in printed
    for message in (
        *WRONG.values(),
        "engagement_score: var suggestion_measure asks for it, and it is no number or not here",
    ):
        assert message in printed
