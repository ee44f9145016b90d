"""The customer files: checked whole, landed whole, addresses only as hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ACCOUNTS, CONTACTS, OURS, Workspace, write_csv
from engagement import customers, extract, warehouse
from engagement.customers import CustomersResult
from engagement.errors import ConfigurationError


def extracted(workspace: Workspace) -> CustomersResult:
    settings = workspace.settings(services=())
    book = extract.address_book(settings)
    with warehouse.private_file(settings) as connection:
        return customers.extract(settings, connection, book)


def refused(workspace: Workspace) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        extracted(workspace)
    assert caught.value.exit_code == 2
    return caught.value.findings


def contact(number: int, account: str, email: str) -> dict[str, str]:
    return {"contact_id": f"C{number}", "account_id": account, "email": email}


Rows = Sequence[Mapping[str, str]]


def write(workspace: Workspace, *, accounts: Rows = ACCOUNTS, contacts: Rows = CONTACTS) -> None:
    write_csv(workspace.root / "accounts.csv", accounts, list(ACCOUNTS[0]))
    write_csv(workspace.root / "contacts.csv", contacts, list(CONTACTS[0]))


def test_accounts_and_contacts_are_landed(workspace: Workspace) -> None:
    result = extracted(workspace)
    assert (result.accounts, result.contacts, result.issues) == (2, 3, {})
    assert workspace.query("select * from raw.accounts order by all")[0] == (
        "A1", "Contoso", "https://contoso.example", "contoso.example", "DE", None, '{"tier":1}', None,
    )  # fmt: skip
    rows = workspace.query("select contact_id, account_id, domain from raw.contacts order by all")
    assert rows[0] == ("C1", "A1", "contoso.example")
    assert workspace.query(
        "select domain, local_part_class from raw.office_addresses join raw.contacts using"
        " (address_key, domain)"
        " order by all limit 1"
    ) == [("contoso.example", "person")]


def test_the_domain_of_the_website_stands_beside_it(workspace: Workspace) -> None:
    websites = ["https://www.B\u00fccher.example/de", "kim@contoso.example", "n/a", ""]
    rows = [
        {**ACCOUNTS[0], "account_id": f"A{n}", "website": website}
        for n, website in enumerate(websites, start=1)
    ]
    write(workspace, accounts=rows, contacts=CONTACTS[:1])
    extracted(workspace)
    assert workspace.query("select website, website_domain from raw.accounts order by account_id") == [
        (websites[0], "xn--bcher-kva.example"), (websites[1], None), (websites[2], None), (None, None),
    ]  # fmt: skip


def test_no_address_is_kept(workspace: Workspace) -> None:
    extracted(workspace)
    content = workspace.private_file.read_bytes()
    assert b"kim@" not in content and b"lee@" not in content


def test_everything_is_replaced(workspace: Workspace) -> None:
    extracted(workspace)
    write(workspace, accounts=ACCOUNTS[:1], contacts=CONTACTS[:1])
    extracted(workspace)
    assert workspace.query("select account_id from raw.accounts") == [("A1",)]
    assert workspace.query("select contact_id from raw.contacts") == [("C1",)]


def test_ids_stay_text_and_attributes_keep_their_types(workspace: Workspace) -> None:
    (workspace.root / "accounts.csv").write_text(
        "account_id,name,website,country,tier,worth,since,key account\n"
        "007,Contoso,,DE,A,1200.5,2020-02-01,true\n008,Fabrikam,,,B,,,\n"
    )
    (workspace.root / "contacts.csv").write_text("contact_id,account_id,email\n01,007,kim@contoso.example\n")
    attributes = ["tier", "worth", "since", "key account"]
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(attributes=attributes))
    extracted(workspace)
    rows = workspace.query("select account_id, country, attributes from raw.accounts order by all")
    assert [row[0] for row in rows] == ["007", "008"]
    assert rows[1][1] is None
    assert json.loads(rows[0][2]) == {
        "tier": "A",
        "worth": 1200.5,
        "since": "2020-02-01",
        "key account": True,
    }
    assert workspace.query("select contact_id, account_id from raw.contacts") == [("01", "007")]


@pytest.mark.parametrize("kind", ["parquet", "duckdb"])
def test_other_forms_land_the_same_rows(workspace: Workspace, tmp_path: Path, kind: str) -> None:
    extracted(workspace)
    expected = [workspace.query(f"from raw.{table} order by all") for table in ("accounts", "contacts")]
    paths: dict[str, str] = {}
    for table in ("accounts", "contacts"):
        select = f"from read_csv('{workspace.root / table}.csv')"
        if kind == "parquet":
            duckdb.connect().execute(f"copy ({select}) to '{tmp_path / table}.parquet'")
            paths[table] = f"{table}.parquet"
        else:
            with duckdb.connect(str(tmp_path / "crm.duckdb")) as connection:
                connection.execute("create schema if not exists sales")
                connection.execute(f"create table sales.{table} as {select}")
            paths[table] = f"crm.duckdb#sales.{table}"
    workspace.configure(
        lambda raw: [raw["customers"][table].update(path=path) for table, path in paths.items()]
    )
    extracted(workspace)
    assert [
        workspace.query(f"from raw.{table} order by all") for table in ("accounts", "contacts")
    ] == expected


@pytest.mark.parametrize(
    ("accounts", "contacts", "said"),
    [
        ([*ACCOUNTS, ACCOUNTS[0]], CONTACTS, "accounts.csv: 1 account id given more than once, first 'A1'"),
        ([], CONTACTS, "accounts.csv: has no rows; at least one account is needed"),
        (ACCOUNTS, [], "contacts.csv: has no rows; at least one contact is needed"),
        (
            [*ACCOUNTS, {**ACCOUNTS[0], "account_id": ""}],
            CONTACTS,
            "accounts.csv line 4: account without an id (1 in all",
        ),
        (
            [{**ACCOUNTS[0], "account_id": "x@y.example"}],
            CONTACTS,
            "accounts.csv line 2: the account's id looks like",
        ),
        (
            ACCOUNTS,
            [contact(1, "A1", "a@b.example"), {**CONTACTS[0], "contact_id": ""}],
            "contacts.csv line 3: contact",
        ),
        (
            ACCOUNTS,
            [{**CONTACTS[0], "contact_id": "x@y.example"}],
            "contacts.csv line 2: the contact's id looks like",
        ),
    ],
)
def test_what_stops_a_run(workspace: Workspace, accounts: Any, contacts: Any, said: str) -> None:
    extracted(workspace)
    before = workspace.query("from raw.accounts")
    write(workspace, accounts=accounts, contacts=contacts)
    [found] = refused(workspace)
    assert said in found
    assert "x@y.example" not in found
    assert workspace.query("from raw.accounts") == before


def test_both_files_are_checked_at_once(workspace: Workspace) -> None:
    write(workspace, accounts=[*ACCOUNTS, ACCOUNTS[0]], contacts=[])
    assert len(refused(workspace)) == 2


def test_a_missing_column_says_what_there_is(workspace: Workspace) -> None:
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(id="id", attributes=["owner"]))
    assert refused(workspace) == (
        "accounts.csv: has no column 'id' (customers.accounts.id); it has account_id, name,"
        " website, country, tier",
        "accounts.csv: has no column 'owner' (customers.accounts.attributes[0]); it has account_id,"
        " name, website,"
        " country, tier",
    )


@pytest.mark.parametrize("name", ["contacts.parquet", "contacts.duckdb#main.contacts"])
def test_a_file_that_cannot_be_read(workspace: Workspace, name: str) -> None:
    (workspace.root / name.partition("#")[0]).write_text("neither of them " * 1000)
    workspace.configure(lambda raw: raw["customers"]["contacts"].update(path=name))
    [found] = refused(workspace)
    assert found.startswith(f"{name}: cannot be read as")


def test_findings_that_do_not_stop_a_run(workspace: Workspace) -> None:
    write(
        workspace,
        accounts=[*ACCOUNTS, {**ACCOUNTS[0], "account_id": "A3", "name": "  "}],
        contacts=[
            contact(1, "A1", "Kim@Contoso.example"),
            contact(2, "A2", "kim+x@contoso.example"),
            contact(3, "A1", ""),
            contact(4, "A1", "none"),
            contact(5, "A9", "lee@contoso.example"),
            contact(6, "", "max@contoso.example"),
            contact(7, "A2", "max@contoso.example"),
            contact(7, "A2", "max@contoso.example"),
        ],
    )
    result = extracted(workspace)
    assert result.contacts == 3
    assert result.issues == {
        "account_without_name": 1,
        "contact_address_in_several_accounts": 2,
        "contact_of_unknown_account": 2,
        "contact_without_address": 2,
    }
    rows = workspace.query(
        "select issue, subject_type, subject_id, detail from raw.customer_issues order by all"
    )
    assert rows[0][:3] == ("account_without_name", "account", "A3")
    assert not any("@" in row[3] for row in rows)


def test_parents_that_cannot_be_are_findings(workspace: Workspace) -> None:
    """B is its own parent, C and D are each other's, E to G go round; H hangs below a cycle, I below nobody."""
    parents = {
        "A": "Z",
        "B": "B",
        "C": "D",
        "D": "C",
        "E": "F",
        "F": "G",
        "G": "E",
        "H": "E",
        "I": "",
        "J": "I",
        "K": "H",
    }
    rows = [
        {**ACCOUNTS[0], "account_id": account, "parent": parent}
        for account, parent in sorted(parents.items(), reverse=True)
    ]
    write_csv(workspace.root / "accounts.csv", rows)
    write_csv(workspace.root / "contacts.csv", [contact(1, "A", "kim@contoso.example")])
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(parent="parent"))
    result = extracted(workspace)
    assert result.issues == {"parent_cycle": 6, "parent_unknown": 1}
    found = workspace.query("select issue, subject_type, subject_id from raw.customer_issues order by all")
    assert found == [("parent_cycle", "account", account) for account in "BCDEFG"] + [
        ("parent_unknown", "account", "A")
    ]
    assert dict(workspace.query("select account_id, parent_account_id from raw.accounts"))["B"] == "B"
    done = workspace.run("extract", "customers")
    assert "1 account with a parent that the account file does not have; rolled up without it" in done.stderr
    assert (
        "6 accounts whose parents lead back to the account itself; their parents are ignored" in done.stderr
    )


def test_a_long_line_of_parents_is_no_finding(workspace: Workspace) -> None:
    count = 3000
    rows = [
        {**ACCOUNTS[0], "account_id": f"A{n}", "parent": f"A{n + 1}" if n < count else ""}
        for n in range(1, count + 1)
    ]
    write_csv(workspace.root / "accounts.csv", rows)
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(parent="parent"))
    assert extracted(workspace).issues == {}


def test_contacts_that_are_ours_are_found_once_the_mailboxes_are_known(connected: Workspace) -> None:
    write(
        connected,
        contacts=[*CONTACTS, contact(8, "A1", f"anna.alias@{OURS}"), contact(9, "A1", f"stranger@{OURS}")],
    )
    assert connected.run("extract", "customers").exit_code == 0
    assert connected.query("from raw.customer_issues") == []
    done = connected.run("extract", "office")
    assert done.exit_code == 0, done.stderr
    assert connected.query("select issue, subject_id from raw.customer_issues order by all") == [
        ("contact_in_own_domain", "C9"),
        ("contact_is_monitored", "C8"),
    ]
    assert "1 contact in our own domain" in done.stderr
    # also when the customer files are read again without the mailboxes
    assert connected.run("extract", "customers").exit_code == 0
    assert len(connected.query("from raw.customer_issues")) == 2


def test_a_file_without_a_header_line_shows_no_address(workspace: Workspace) -> None:
    (workspace.root / "contacts.csv").write_text(
        "C1,A1,kim@contoso.example\nC2,A1,lee@contoso.example\n", "utf-8"
    )
    result = workspace.run("check")
    assert result.exit_code == 2
    assert "its first line holds an address, so a header line is missing" in result.stderr
    assert "kim@" not in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "2"], "bigint"),
        (["1.5", "2"], "double"),
        (["123456789012.345", "2"], "double"),
        (["1234567890123.456", "2"], "string"),
        (["12345678901234567890", "2"], "decimal(38,0)"),
        (["1e5", "2"], "string"),
        (["2020-02-01", ""], "date"),
        (["true", "false"], "boolean"),
        (["2020-02-01 10:00:00", ""], "timestamp"),
        (["0049123", "2x"], "string"),
    ],
)
def test_own_columns_keep_every_digit(workspace: Workspace, values: list[str], expected: str) -> None:
    rows = [{**account, "tier": value} for account, value in zip(ACCOUNTS, values, strict=True)]
    write(workspace, accounts=rows)
    extracted(workspace)
    assert workspace.query("select data_type from raw.account_attributes") == [(expected,)]


def test_decimals_of_a_parquet_file_stay_decimals(workspace: Workspace) -> None:
    duckdb.connect().execute(
        f"copy (select 'A1' as account_id, 'Contoso' as name, '' as website, '' as country,"
        f" 1234567890123456.78::decimal(18, 2) as tier) to '{workspace.root / 'accounts.parquet'}' (format parquet)"
    )
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(path="accounts.parquet"))
    write_csv(workspace.root / "contacts.csv", CONTACTS[:1])
    extracted(workspace)
    assert workspace.query("select data_type, attributes from raw.account_attributes, raw.accounts") == [
        ("decimal(18,2)", '{"tier":"1234567890123456.78"}')
    ]
