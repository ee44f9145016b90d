"""Who is in a data set when, what was known of each when, and what every run did: real extractions, one build."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Workspace, write_csv
from emulators.firmographics import Company, Directory
from emulators.leadspace import Handle, running
from project_fixtures import run_dbt

CONTOSO = Company("Contoso Works", "contoso.example", "Germany", industry="Chemicals", employees=80)
FABRIKAM = Company("Fabrikam Foods", "fabrikam.example", "France", industry="Foods", employees=7)
# Another company of the name: another country, another website.
ZETA = Company("Zeta Works", "zeta-works.example", "Japan", industry="Steel", employees=900)
ACCOUNTS = {
    "A1": ("Contoso Works", "contoso.example", "DE"),
    "A2": ("Fabrikam Foods", "fabrikam.example", "FR"),
    "A3": ("Nobody Knows It", "nobody.example", "NO"),
    "A4": ("Zeta Works", "zeta.example", "US"),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    with running([CONTOSO, FABRIKAM, ZETA], polls_before_done=0) as handle:
        yield handle


@pytest.fixture(scope="module")
def lived(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Four extractions, each a hundred days after the one before: see the comments."""
    workspace = Workspace(tmp_path_factory.mktemp("lived"))
    workspace.enrich_companies(service.url, dataset="segment:stale", max_age="90 days")
    segment(workspace, "A1", "A2", "A3", "A4")
    land(workspace, ACCOUNTS)
    extract(workspace)
    # What is known has changed for Contoso, and for nobody else.
    a_hundred_days_pass(workspace)
    service.emulator.directory = Directory(
        [replace(CONTOSO, industry="Paints", employees=None), FABRIKAM, ZETA]
    )
    extract(workspace)
    # Contoso leaves the data set, and Fabrikam is renamed to what nobody knows.
    a_hundred_days_pass(workspace)
    segment(workspace, "A2", "A3", "A4")
    land(workspace, ACCOUNTS | {"A2": ("Entirely Different Bakeries", "", "FR")})
    extract(workspace)
    # Right after that nothing is asked again.
    extract(workspace)
    settings = workspace.settings()
    run_dbt(
        "build",
        "--select",
        "+company_history +company_changes +leadspace_runs +account_lookups +account_matches",
        "--exclude-resource-type",
        "unit_test",
        "--exclude-resource-type",
        "test",
        target=workspace.root / "target",
        private_file=settings.private_file,
    )
    return workspace


def land(workspace: Workspace, accounts: dict[str, tuple[str, str, str]]) -> None:
    rows = [
        {"account_id": key, "name": name, "website": website, "country": country, "tier": "1"}
        for key, (name, website, country) in accounts.items()
    ]
    write_csv(workspace.root / "accounts.csv", rows)
    assert workspace.run("extract", "customers").exit_code == 0


def segment(workspace: Workspace, *members: str) -> None:
    """The published file as far as an extraction reads it: who is in the segment."""
    path = workspace.root / "data" / "engagement.duckdb"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.segment_members (segment_id varchar, account_id varchar);"
            "create table marts.segments as select 'stale' as segment_id"
        )
        connection.executemany(
            "insert into marts.segment_members values ('stale', ?)", [[member] for member in members]
        )


def extract(workspace: Workspace) -> None:
    result = workspace.run("extract", "leadspace")
    assert result.exit_code == 0, result.output


def a_hundred_days_pass(workspace: Workspace) -> None:
    with duckdb.connect(str(workspace.private_file)) as connection:
        for table, columns in {
            "leadspace_responses": ["received_at"],
            "leadspace_batches": ["sent_at", "settled_at"],
            "leadspace_accounts": ["listed_from_at", "listed_to_at"],
            "leadspace_listings": ["listed_at"],
        }.items():
            for column in columns:
                connection.execute(f"update raw.{table} set {column} = {column} - interval 100 day")


def rows(workspace: Workspace, query: str) -> list[tuple[Any, ...]]:
    return workspace.query(query)


def test_each_run_says_what_it_did_with_whom(lived: Workspace, service: Handle) -> None:
    assert rows(
        lived,
        "select accounts_count, processed_changed_count, processed_unchanged_count, not_matched_count,"
        " not_processed_count, lookups_count from marts.leadspace_runs order by listed_at",
    ) == [(4, 2, 0, 2, 0, 4), (4, 1, 1, 2, 0, 4), (3, 0, 0, 3, 0, 3), (3, 0, 0, 0, 3, 0)]
    assert service.spent == 11


def test_what_was_known_stands_with_its_time(lived: Workspace) -> None:
    assert rows(
        lived,
        "select account_id, industry, employees_count, match_verdict, is_enriched, known_to_at is null"
        " from marts.company_history order by account_id, known_from_at",
    ) == [
        ("A1", "Chemicals", 80, "accept", True, False),
        ("A1", "Paints", None, "accept", True, True),
        # The answer that said the same again begins no row; the one to another name ends what was known.
        ("A2", "Foods", 7, "accept", True, False),
        ("A2", None, None, None, False, True),
    ]
    assert rows(
        lived,
        "select industry from marts.company_history where account_id = 'A1'"
        " and known_from_at <= now()::timestamp - interval 150 day"
        " and (known_to_at is null or known_to_at > now()::timestamp - interval 150 day)",
    ) == [("Chemicals",)]


def test_what_changed_is_said_value_by_value(lived: Workspace) -> None:
    found = rows(
        lived,
        "select attribute, value_before, value_after, change_kind from marts.company_changes"
        " where account_id = 'A1' and change_kind != 'learned' order by attribute",
    )
    assert found == [
        ("employees_count", "80", None, "lost"),
        ("employees_range", "51-200", None, "lost"),
        ("industry", "Chemicals", "Paints", "changed"),
    ]
    kinds = rows(
        lived,
        "select account_id, change_kind, count(*) > 3 from marts.company_changes where account_id != 'A1'"
        " group by all order by all",
    )
    assert kinds == [("A2", "learned", True), ("A2", "lost", True)]


def test_who_left_keeps_what_was_known_and_a_rejected_match_enriches_nothing(lived: Workspace) -> None:
    assert rows(
        lived,
        "select account_id, lookup_status, match_verdict, company_name, is_in_dataset, is_refreshed"
        " from marts.account_lookups order by account_id",
    ) == [
        ("A1", "enriched", "accept", "Contoso Works", False, False),
        ("A2", "not_enriched", None, None, True, True),
        ("A3", "not_enriched", None, None, True, True),
        ("A4", "rejected", "reject", None, True, True),
    ]
    assert rows(
        lived,
        "select account_id, answered_name, match_verdict, is_enriched from marts.account_matches order by 1",
    ) == [("A1", "Contoso Works", "accept", True), ("A4", "Zeta Works", "reject", False)]


def test_a_person_may_decide_otherwise(lived: Workspace, tmp_path: Path) -> None:
    """What match_decisions says goes before the rules, for this company and this account."""
    [(company_id,)] = rows(lived, "select company_id from marts.account_matches where account_id = 'A4'")
    with duckdb.connect(str(lived.private_file)) as connection:
        connection.execute(
            "insert into seeds.match_decisions values ('A4', ?, 'accept', date '2026-01-31', 'Moved to Japan')",
            [company_id],
        )
    try:
        run_dbt(
            "run",
            "--select",
            "+leadspace_companies +account_matches",
            "--exclude",
            "match_decisions",
            target=lived.root / "target",
            private_file=lived.settings().private_file,
        )
        assert rows(
            lived,
            "select match_verdict, match_reason, is_decided_by_person, is_enriched from marts.account_matches"
            " where account_id = 'A4'",
        ) == [("accept", "Moved to Japan", True, True)]
        assert rows(lived, "select industry from marts.leadspace_companies where account_id = 'A4'") == [
            ("Steel",)
        ]
    finally:
        with duckdb.connect(str(lived.private_file)) as connection:
            connection.execute("delete from seeds.match_decisions")


def test_an_answer_is_compared_anew_where_the_rules_of_comparing_change(lived: Workspace) -> None:
    with duckdb.connect(str(lived.private_file)) as connection:
        connection.execute("update raw.leadspace_comparisons set rules = 'others', is_name_equal = false")
    extract(lived)
    assert rows(
        lived, "select count(*), count(distinct (fingerprint, batch_id)) from raw.leadspace_comparisons"
    ) == [(11, 11)]
    assert rows(lived, "select count(*) from raw.leadspace_comparisons where rules = 'others'") == [(0,)]
