"""How often an accepted match is right: labelled pairs of real companies through the real comparing and models.

tests/fixtures/match_labels.csv was labelled before the matcher existed, and tuned on; match_labels_fresh.csv by
somebody who did not know it, of other companies, when it was finished. Both hold ids of rows of the test data and a
label, no names. How many pairs of each trap there are says nothing about how often a trap is met.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from conftest import Workspace
from engagement.leadspace import comparing
from engagement.warehouse import append, own_file, prepare_data_dir, transaction
from project_fixtures import ROOT, run_dbt

FIXTURES = Path(__file__).parents[1] / "fixtures"
NOW = datetime(2026, 1, 1)
# At least so many of the accepted matches are right, and at least so many of the right ones are accepted.
LEAST_PRECISION, LEAST_RECALL = 0.98, 0.4
# What a provider says of its own confidence must not make a wrong match right.
CONFIDENCES = ("HIGH", None)


class Judged(NamedTuple):
    """A labelled pair and what became of it."""

    is_same: bool
    trap: str
    verdict: str
    rule: int


def known_companies(test_data: Path) -> dict[str, tuple[str, str | None, str | None]]:
    """Name, website and country of every row by its id, of both lists."""
    firmographics = f"'{test_data}/firmographics.parquet'"
    accounts = f"read_csv('{test_data}/enron/accounts.csv', all_varchar = true)"
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select row_id, name, coalesce(website, domain), country from {firmographics}"
            f" union all select account_id, name, website, country from {accounts}"
        ).fetchall()
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


@pytest.fixture(scope="module", params=CONFIDENCES, ids=["high", "unknown"])
def judged(
    request: pytest.FixtureRequest, test_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, list[Judged]]]:
    """Every pair of both label files as one customer of an enrichment: the answer to it is the other side."""
    companies = known_companies(test_data)
    pairs = {
        f"{file.stem}-{number}": (file.stem, row)
        for file in sorted(FIXTURES.glob("match_labels*.csv"))
        for number, row in enumerate(csv.DictReader(file.open(encoding="utf-8")))
    }
    workspace = Workspace(tmp_path_factory.mktemp("pairs"))
    accounts, responses = [], []
    for key, (_, row) in pairs.items():
        name, website, country = companies[row["sent_id"]]
        answered = companies[row["answered_id"]]
        company: dict[str, Any] = {
            "ls_id": row["answered_id"],
            "name": answered[0],
            "website": answered[1],
            "address": {"country": answered[2]},
            "matching_confidence": {"level": request.param},
        }
        data = {"enrichment_status": "Company Enriched", "company": company}
        accounts.append(("companies", key, key, None, name, website, country, NOW, None))
        response = json.dumps({"status": "success", "external_id": key, "data": data})
        responses.append(("companies", key, "b", "result", response, NOW, "r"))
    settings = workspace.settings(services=())
    prepare_data_dir(settings)
    with own_file(settings) as connection:
        with transaction(connection):
            append(connection, "leadspace_accounts", accounts)
            append(connection, "leadspace_responses", responses)
            append(
                connection,
                "settings",
                [("companies", "type", "leadspace"), ("companies", "output_table", "Companies")],
            )
            append(connection, "accounts", [(key, key, None, None, None, None, None, None) for key in pairs])
        assert comparing.note(connection, ROOT) == len(pairs)
    run_dbt(
        "build",
        "--select",
        "+int_matches_judged",
        "--exclude-resource-type",
        "unit_test",
        "--exclude-resource-type",
        "test",
        target=workspace.root / "target",
        private_file=settings.private_file,
    )
    found: dict[str, list[Judged]] = {}
    with duckdb.connect(str(settings.private_file), read_only=True) as connection:
        for key, verdict, rule in connection.execute(
            "select account_id, match_verdict, match_rule_position from intermediate.int_matches_judged"
        ).fetchall():
            file, row = pairs[key]
            found.setdefault(file, []).append(Judged(row["same"] == "yes", row["trap"], verdict, rule))
    yield found


def precision(pairs: list[Judged]) -> float:
    accepted = [pair.is_same for pair in pairs if pair.verdict == "accept"]
    return sum(accepted) / len(accepted)


def recall(pairs: list[Judged]) -> float:
    same = [pair.verdict == "accept" for pair in pairs if pair.is_same]
    return sum(same) / len(same)


def test_there_are_enough_pairs_with_every_trap(judged: dict[str, list[Judged]]) -> None:
    tuned, fresh = judged["match_labels"], judged["match_labels_fresh"]
    assert len(tuned) >= 300 and len(fresh) >= 200
    traps = Counter(pair.trap for pair in tuned)
    for trap in (
        "parent_for_subsidiary",
        "later_owner_of_domain",
        "homonym_other_country",
        "homonym_same_country",
    ):
        assert traps[trap] >= 30


@pytest.mark.parametrize("labels", ["match_labels", "match_labels_fresh"])
def test_what_is_accepted_is_the_company(judged: dict[str, list[Judged]], labels: str) -> None:
    pairs = judged[labels]
    wrong = [pair for pair in pairs if pair.verdict == "accept" and not pair.is_same]
    assert precision(pairs) >= LEAST_PRECISION, wrong
    assert recall(pairs) >= LEAST_RECALL


def test_what_is_rejected_is_another_company(judged: dict[str, list[Judged]]) -> None:
    pairs = [pair for of_file in judged.values() for pair in of_file if pair.verdict == "reject"]
    assert sum(not pair.is_same for pair in pairs) / len(pairs) >= 0.9


def test_a_homonym_and_a_part_of_a_company_are_never_accepted_by_name_alone(
    judged: dict[str, list[Judged]],
) -> None:
    """The figures by label and verdict, for who changes a rule: pytest -s shows them."""
    for labels, pairs in judged.items():
        counts = Counter((pair.is_same, pair.verdict) for pair in pairs)
        print(
            f"\n{labels}: {len(pairs)} pairs; accepted {counts[True, 'accept']} right, {counts[False, 'accept']} wrong;"
            f" review {counts[True, 'review']}/{counts[False, 'review']};"
            f" rejected {counts[True, 'reject']}/{counts[False, 'reject']};"
            f" precision {precision(pairs):.4f}, recall {recall(pairs):.4f}"
        )
        for trap in ("homonym_other_country", "parent_for_subsidiary"):
            of_trap = [pair for pair in pairs if pair.trap == trap]
            assert sum(pair.verdict == "accept" for pair in of_trap) <= 0.02 * len(of_trap) + 1
