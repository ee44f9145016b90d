"""A second provider from a file: landed, checked, published, first in the waterfall; and which value survives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import duckdb
import pytest

from conftest import Workspace, write_csv
from emulators.firmographics import Company
from emulators.leadspace import Handle, running

CONSENT = {"by": "Configurer", "on": date(2026, 1, 5)}
ACCOUNTS = [
    {"account_id": "A1", "name": "Contoso Works", "website": "", "country": "DE", "tier": "1", "sector": ""},
    {"account_id": "A2", "name": "Fabrikam Foods", "website": "", "country": "FR", "tier": "1", "sector": "Baking"},
    {"account_id": "A3", "name": "Northwind Traders", "website": "", "country": "NO", "tier": "1", "sector": ""},
]  # fmt: skip
FILE = [
    {"id": "A1", "headcount": "1,200", "trade": "Chemicals", "mail": "Write to kim@contoso.example"},
    {"id": "A2", "headcount": "80.0", "trade": "Foods", "mail": ""},
    {"id": "A9", "headcount": "5", "trade": "Nothing", "mail": ""},
    {"id": "A3", "headcount": "", "trade": "", "mail": ""},
]
COLUMNS = {"employees_count": "headcount", "industry": "trade", "company_description": "mail"}


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    companies = [
        Company("Contoso Works", "contoso.example", "Germany", industry="Steel", city="Ulm"),
        Company("Fabrikam Foods", "fabrikam.example", "France", industry="Steel", city="Lyon"),
        Company(
            "Northwind Traders", "northwind.example", "Norway", industry="Trade", city="Bergen", employees=9
        ),
    ]
    with running(companies, polls_before_done=0) as handle:
        yield handle


def configure(
    workspace: Workspace, service: Handle, *, file: Mapping[str, Any] | None = None, **leadspace: Any
) -> None:
    """A Leadspace enrichment and the file, with these keys of each changed."""
    workspace.enrich_companies(service.url, **leadspace)

    def change(configuration: dict[str, Any]) -> None:
        lookup = {
            "type": "leadspace", "name": "Company data", "output_table": "Leadspace", "consent": CONSENT,
            "mapping": {"company_name": "name", "website": "website", "country": "country"}, **leadspace,
        }  # fmt: skip
        house = {
            "type": "company_file", "name": "House data", "output_table": "HouseData", "consent": CONSENT,
            "path": "house.csv", "id": "id", "columns": COLUMNS, **(file or {}),
        }  # fmt: skip
        configuration["enrichments"] = [lookup, house]
        configuration["customers"]["accounts"]["company"] = {"industry": "sector"}

    workspace.configure(change)
    write_csv(workspace.root / "accounts.csv", ACCOUNTS)
    write_csv(workspace.root / "house.csv", FILE)


@pytest.fixture(scope="module")
def refreshed(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("house"))
    configure(workspace, service, unless_known_by=["House data"])
    result = workspace.run("run")
    assert result.exit_code == 0, result.output
    assert "company file: 3 records (house-data), 2 of accounts" in result.stdout
    assert "house-data: 1 record of no account of the account file" in result.stderr
    return workspace


@pytest.mark.long
def test_whom_the_file_knows_costs_no_credit(refreshed: Workspace, service: Handle) -> None:
    assert set(service.looked_up) == {("Northwind Traders", "", "NO")}
    assert refreshed.query(
        "select account_id, lookup_status, not_sent_reason from marts.account_lookups order by account_id"
    ) == [
        ("A1", "not_sent", "known_by_other"),
        ("A2", "not_sent", "known_by_other"),
        ("A3", "enriched", None),
    ]


@pytest.mark.long
def test_every_attribute_has_the_value_of_the_best_source_and_names_it(refreshed: Workspace) -> None:
    with duckdb.connect(str(refreshed.published_file), read_only=True) as connection:
        assert connection.execute(
            "select account_id, company_name, company_name_source, industry, industry_source, employees_count,"
            " employees_count_source, company_city, company_city_source from marts.customer_profiles order by 1"
        ).fetchall() == [
            # 1,200 is no number that can be read without guessing, and nobody else knows one.
            ("A1", "Contoso Works", "customer-file", "Chemicals", "house-data", None, None, None, None),
            # What the customer file says is never overwritten.
            ("A2", "Fabrikam Foods", "customer-file", "Baking", "customer-file", 80, "house-data", None, None),
            ("A3", "Northwind Traders", "customer-file", "Trade", "company-data", 9, "company-data", "Bergen",
             "company-data"),
        ]  # fmt: skip
        assert connection.execute(
            "select attribute, source_name, value_text, is_chosen from marts.company_values where account_id = 'A2'"
            " and attribute = 'industry' order by is_chosen desc"
        ).fetchall() == [
            ("industry", "customers", "Baking", True),
            ("industry", "company_file", "Foods", False),
        ]
        # Address-like text is masked here as everywhere.
        assert connection.execute(
            "select company_description from marts.customer_profiles where account_id = 'A1'"
        ).fetchall() == [("Write to [address]",)]


@pytest.mark.long
def test_it_is_an_enrichment_like_any_other(refreshed: Workspace) -> None:
    with duckdb.connect(str(refreshed.published_file), read_only=True) as connection:
        assert connection.execute(
            'select "CustomerId", industry, employees_count from enrichment."HouseData" order by 1'
        ).fetchall() == [("A1", "Chemicals", None), ("A2", "Foods", 80)]
        assert connection.execute(
            "select enrichment_type, enrichment_status, accounts_enriched_count, accounts_count, selected_count"
            " from marts.enrichments where enrichment_id = 'house-data'"
        ).fetchall() == [("company_file", "completed_with_warnings", 2, 3, 3)]
    checked = refreshed.run("check")
    assert "House data (company_file, active, publishes HouseData): 3 records, 3 columns" in checked.stdout
    statement = refreshed.run("consent", "house-data")
    assert (
        "Nothing leaves this machine" in statement.stdout
        and "headcount (as employees_count)" in statement.stdout
    )


@pytest.mark.long
def test_without_consent_it_is_not_read_and_withdrawn_it_is_published_no_more(
    workspace: Workspace, service: Handle
) -> None:
    configure(workspace, service)
    workspace.agrees_anew = False
    assert workspace.run("run").exit_code == 0
    assert "withdrawn" in workspace.run("consent", "house-data", "--withdraw").output
    result = workspace.run("run")
    assert result.exit_code == 0, result.output
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        assert connection.execute(
            "select count(*) from marts.company_values where source_name = 'company_file'"
        ).fetchone() == (0,)
        assert connection.execute(
            "select count(*) from information_schema.tables where table_name = 'HouseData'"
        ).fetchone() == (0,)


@pytest.mark.parametrize(
    ("change", "lines", "code"),
    [
        ({"columns": {"industri": "trade"}}, ["'industri' is nothing that is known of a company; did you mean"], 2),
        ({"columns": {}}, ["enrichments[1].columns"], 2),
        ({"columns": {"industry": "branch"}}, ["has no column 'branch' (enrichments[1].columns.industry)"], 2),
        ({"id": "key"}, ["house.csv: has no column 'key' (enrichments[1].id)"], 2),
        ({"path": "nowhere.csv"}, ["enrichments[1].path: 'nowhere.csv' does not exist"], 2),
    ],
)  # fmt: skip
def test_what_is_wrong_with_it_is_said_in_a_line(
    workspace: Workspace, service: Handle, change: dict[str, Any], lines: list[str], code: int
) -> None:
    configure(workspace, service, file=change)
    result = workspace.run("check")
    assert result.exit_code == code, result.output
    for line in lines:
        assert line in result.stderr


def test_an_account_twice_and_a_waterfall_of_nothing_are_refused(
    workspace: Workspace, service: Handle
) -> None:
    configure(workspace, service, unless_known_by=["Mouse data"])
    refused = workspace.run("check")
    assert refused.exit_code == 2
    assert (
        "unless_known_by[0]: 'Mouse data' is no enrichment of type company_file; known: House data"
        in refused.stderr
    )
    configure(workspace, service)
    write_csv(workspace.root / "house.csv", [*FILE, FILE[0]])
    refused = workspace.run("extract", "customers")
    assert refused.exit_code == 2
    assert "house.csv: 1 account id given more than once, first 'A1' (enrichments[1].id)" in refused.stderr
    assert workspace.query("select count(*) from raw.company_file_records") == [(0,)]


def test_one_column_may_say_two_things(workspace: Workspace, service: Handle) -> None:
    configure(workspace, service, file={"columns": {"industry": "trade", "sub_industry": "trade"}})
    done = workspace.run("extract", "customers")
    assert done.exit_code == 0, done.output
    assert workspace.query("select record from raw.company_file_records where account_id = 'A2'") == [
        ('{"industry":"Foods","sub_industry":"Foods"}',)
    ]
