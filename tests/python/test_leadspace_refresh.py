"""A whole refresh of a company that reads nobody's mail: Leadspace alone, through the real command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from conftest import Workspace, write_csv
from emulators.firmographics import Company
from emulators.leadspace import Handle, running

ACCOUNTS = [
    {
        "account_id": "A1",
        "name": "Contoso",
        "website": "contoso.example",
        "country": "DE",
        "parent_account_id": "",
    },
    {"account_id": "A2", "name": "Fabrikam", "website": "", "country": "FR", "parent_account_id": "A1"},
    {"account_id": "A3", "name": "", "website": "", "country": "", "parent_account_id": ""},
]
# The customer's own columns: an address in one of them, one that no line fills, one with an odd name.
OWN = {
    "owner": ["kim@northwind.example /O=x/OU=y/cn=kim", "Lee", ""],
    "contract_value_eur": ["1200.50", "3", ""],
    "since": ["2020-02-01", "", ""],
    "key account": ["true", "false", ""],
    "a/b~c": ["1", "2", ""],
    "big": ["12345678901234567890", "2", ""],
    "empty": ["", "", ""],
}


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    with running([Company("Contoso Ltd", "contoso.example", "Germany", employees=80)]) as handle:
        yield handle


@pytest.fixture(scope="module")
def refreshed(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Workspace(tmp_path_factory.mktemp("refreshed"))
    workspace.enrich_companies(service.url, output_table="Companies", endpoint="bulk")
    rows = [{**row, **{name: values[n] for name, values in OWN.items()}} for n, row in enumerate(ACCOUNTS)]
    write_csv(workspace.root / "accounts.csv", rows)
    configuration = (workspace.root / "enrichments.yml").read_text(encoding="utf-8")
    listed = "".join(f"\n    - {name}" for name in OWN)
    (workspace.root / "enrichments.yml").write_text(
        re.sub(
            r"attributes:\n    - tier", f"parent: parent_account_id\n    attributes:{listed}", configuration
        ),
        encoding="utf-8",
    )
    process = workspace.start("run")
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    return workspace


@pytest.mark.long
def test_customers_are_enriched_without_anybodys_mail(refreshed: Workspace) -> None:
    with duckdb.connect(str(refreshed.published_file), read_only=True) as connection:
        assert connection.execute("select as_of_date from marts.publication").fetchall() == [(None,)]
        assert connection.execute(
            "select account_id, account_name, parent_account_id, lookup_status, company_name, employees_count,"
            " office_enrichment_id, engagement_score from marts.enriched_customers order by all"
        ).fetchall() == [
            ("A1", "Contoso", None, "enriched", "Contoso Ltd", 80, None, None),
            ("A2", "Fabrikam", "A1", "not_enriched", None, None, None, None),
            ("A3", None, None, "not_sent", None, None, None, None),
        ]
        assert connection.execute(
            'select "CustomerId", company_name from enrichment."Companies"'
        ).fetchall() == [("A1", "Contoso Ltd")]


@pytest.mark.long
def test_the_customers_own_columns_pass_through_typed_and_masked(refreshed: Workspace) -> None:
    with duckdb.connect(str(refreshed.published_file), read_only=True) as connection:
        names = ", ".join(f'"{name}"' for name in OWN)
        result = connection.execute(f"select {names} from marts.enriched_customers order by account_id")
        types = [str(column[1]) for column in result.description or ()]
        rows = result.fetchall()
    assert types == ["VARCHAR", "DOUBLE", "DATE", "BOOLEAN", "BIGINT", "DECIMAL(38,0)", "VARCHAR"]
    assert [tuple(str(value) for value in row) for row in rows] == [
        ("[address] [address]", "1200.5", "2020-02-01", "True", "1", "12345678901234567890", "None"),
        ("Lee", "3.0", "None", "False", "2", "2", "None"),
        ("None",) * 7,
    ]


@pytest.mark.long
def test_only_what_is_needed_was_sent(service: Handle, refreshed: Workspace) -> None:
    assert dict(service.looked_up) == {("Contoso", "contoso.example", "DE"): 1, ("Fabrikam", "", "FR"): 1}


@pytest.mark.long
def test_status_has_no_day_to_name(refreshed: Workspace) -> None:
    result = refreshed.run("status")
    assert re.search(r"My enrichments, published .*ago|just now", result.stdout)
    assert "as of" not in result.stdout
    assert re.search(
        r"Company data +leadspace +active +completed with warnings +1 of 3 \(33.3 %\)", result.stdout
    )


def test_own_columns_that_cannot_be_passed_through_are_refused(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    own = {"Industry": "1", "tier": "2", "a@b.example": "3"}
    rows = [{"account_id": "A1", "name": "x", "website": "", "country": "", "parent": "p@x.example", **own}]
    write_csv(workspace.root / "accounts.csv", rows)
    for attributes, line in (
        (["Industry"], "attributes[0]: 'Industry' is a column of the enriched customer table already"),
        (["tier", "TIER"], "attributes[1]: 'TIER' is listed twice (case does not count)"),
        (["tier", "a@b.example"], "attributes[1]: the name looks like an address or cannot be printed"),
        (["tier"], "accounts.csv: 1 parent account whose id looks like an e-mail address"),
    ):
        keys = {"attributes": attributes, "parent": "parent"}
        workspace.configure(lambda raw, keys=keys: raw["customers"]["accounts"].update(keys))  # type: ignore[misc]
        result = workspace.run("check")
        assert result.exit_code == 2
        assert line in result.stderr
        assert "@" not in result.stderr
