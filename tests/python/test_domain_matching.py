"""A whole run with and without domain matching over a small tenant, counted by hand; two accounts of one group."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pytest
import yaml

from conftest import NOW, OURS, Workspace, meeting, message, person, write_csv
from emulators.firmographics import Company
from emulators.graph import running
from emulators.leadspace import running as running_leadspace
from emulators.tenant import Attendee, Message, Person, Tenant

ACCOUNTS = [
    ("A1", "Contoso", "https://www.Contoso.example/de", ""),
    ("A2", "Fabrikam", "fabrikam.example", "A1"),
    ("A3", "Tailspin North", "https://tailspin.example", "A9"),
    ("A4", "Tailspin South", "www.tailspin.example", "A4"),
    ("A5", "One-man band", "gmail.com", ""),
    ("A6", "Ourselves", f"https://{OURS}", ""),
]
# The consultant is a contact of A1 whose address lies in the domain of A2.
CONTACTS = [("C1", "A1", "kim@contoso.example"), ("C2", "A1", "consultant@fabrikam.example")]
COMPANIES = [
    Company("Contoso", "contoso.example", "Germany", parent="Contoso Group"),
    Company("Fabrikam", "fabrikam.example", "Germany", parent="Contoso Group"),
    Company("Tailspin North", "tailspin.example", "Germany"),
]
ANNA, BEN = person("anna"), person("ben")
YEAR = "aggregation_level = 'year'"


def received(seed: str, sender: str, at: datetime, **changes: Any) -> Message:
    return message(ANNA, seed, at, from_address=sender, **changes)


def sent(owner: Person, seed: str, at: datetime, *recipients: str) -> Message:
    """Anna's message, in her Sent folder or as somebody's copy."""
    folder = "sentitems" if owner is ANNA else "inbox"
    return message(owner, seed, at, from_address=ANNA.mail, to=recipients, folder=folder)


def tenant() -> Tenant:
    days = [NOW.replace(hour=9) - timedelta(days=number) for number in range(20)]
    made = Tenant(now=NOW, people=[ANNA, BEN])
    made.messages[ANNA.id] = [
        received("1", "kim@contoso.example", days[1]),
        received("2", "stranger@contoso.example", days[2]),
        received("3", "consultant@fabrikam.example", days[3]),
        sent(ANNA, "4", days[4], "lee@fabrikam.example", "Pat@Fabrikam.example", BEN.mail),
        sent(ANNA, "5", days[5], "kim@contoso.example", "lee@fabrikam.example"),
        # a subdomain, a machine, a domain of two accounts, one of everybody, a colleague, and no account's domain
        received("6", "joe@mail.contoso.example", days[6]),
        received("7", "no-reply@contoso.example", days[7]),
        received("8", "joe@tailspin.example", days[8]),
        received("9", "joe@gmail.com", days[9]),
        received("10", f"colleague@{OURS}", days[10]),
        received("11", "joe@elsewhere.example", days[11]),
    ]
    made.messages[BEN.id] = [
        sent(BEN, "4", days[4], "lee@fabrikam.example", "pat@fabrikam.example", BEN.mail)
    ]
    made.events[ANNA.id] = [
        meeting(
            ANNA,
            "12",
            days[12],
            attendees=(
                Attendee(ANNA.mail, response="organizer"),
                Attendee("lee@fabrikam.example", response="accepted"),
                Attendee("pat@fabrikam.example", response="declined"),
            ),
        )
    ]
    return made


def configure(workspace: Workspace, leadspace_url: str, *, domain_matching: bool) -> None:
    workspace.enrich_companies(
        leadspace_url, office={"addresses": [ANNA.mail, BEN.mail], "domain_matching": domain_matching}
    )
    file = workspace.root / "enrichments.yml"
    configuration = yaml.safe_load(file.read_text("utf-8"))
    configuration["customers"]["accounts"] |= {"parent": "parent", "attributes": []}
    file.write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """After a run with domain matching; both services go on."""
    made = Workspace(tmp_path_factory.mktemp("domains"))
    columns = ("account_id", "name", "website", "parent", "country")
    write_csv(made.root / "accounts.csv", [dict(zip(columns, (*row, "DE"), strict=True)) for row in ACCOUNTS])
    columns = ("contact_id", "account_id", "email")
    write_csv(made.root / "contacts.csv", [dict(zip(columns, row, strict=True)) for row in CONTACTS])
    with running(tenant()) as graph, running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        made.connect_to(graph)
        configure(made, leadspace.url, domain_matching=True)
        run(made)
        yield made


def run(workspace: Workspace) -> str:
    process = workspace.start("run")
    _, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stderr


def published(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


COUNTS = (
    "select account_id, emails_to_account_count, emails_from_account_count, meetings_count,"
    " own_people_in_emails_count, account_people_in_emails_count, account_people_in_meetings_count"
    f" from marts.account_engagement where {YEAR} order by account_id"
)


def test_domains_count_for_the_one_account_that_has_them(workspace: Workspace) -> None:
    assert published(workspace, COUNTS) == [
        # to: 5; from: 1, 2 and 3, the stranger by his domain and the consultant by his address
        ("A1", 1, 3, 0, 1, 3, 0),
        # to: 4 and 5, lee and pat by their domain; the meeting with lee, pat has declined
        ("A2", 2, 0, 1, 2, 2, 1),
    ]


def test_traffic_says_what_rests_on_domains_and_on_one_person(workspace: Workspace) -> None:
    assert published(
        workspace,
        "select account_id, interactions_count, emails_matched_by_domain_count, meetings_matched_by_domain_count,"
        " contacts_count, top_contact_share_ratio, top_own_person_share_ratio, is_two_way, is_single_threaded,"
        " is_single_threaded_on_our_side from marts.account_traffic order by account_id",
    ) == [
        ("A1", 4, 1, 0, 3, 0.5, 1.0, True, False, True),
        ("A2", 3, 2, 1, 2, 1.0, 1.0, False, True, True),
    ]


def test_the_group_counts_once_what_its_accounts_share(workspace: Workspace) -> None:
    counts = (2, 2, 2, 3, 1, 1, 0, 2, 5)
    assert published(
        workspace,
        "select hierarchy_source, parent_account_id, hierarchy_name, accounts_count, accounts_engaged_count,"
        " emails_to_accounts_count, emails_from_accounts_count, meetings_count, meetings_to_accounts_count,"
        " meetings_from_accounts_count, own_people_count, contacts_count, is_top"
        " from marts.account_hierarchy_engagement order by all",
    ) == [
        ("customer_file", "A1", "Contoso", *counts, True),
        ("leadspace", None, "Contoso Group", *counts, True),
    ]


def test_what_matches_nobody_and_which_parents_cannot_be_are_findings(workspace: Workspace) -> None:
    found = published(workspace, "select issue, subject_id from marts.customer_issues order by all")
    assert found == [
        ("parent_cycle", "A4"),
        ("parent_unknown", "A3"),
        *(("website_domain_not_matched", account) for account in ("A3", "A4", "A5", "A6")),
    ]


def test_without_domain_matching_only_contacts_count(workspace: Workspace) -> None:
    """The last test of the module: the same rows, read again with the switch off."""
    configure(workspace, workspace.environment["ENGAGEMENT_LEADSPACE_URL"], domain_matching=False)
    stderr = run(workspace)
    assert "1 account with a parent that the account file does not have" in stderr
    assert published(workspace, COUNTS) == [("A1", 1, 2, 0, 1, 2, 0)]
    assert published(
        workspace,
        "select emails_matched_by_domain_count, contacts_count, top_contact_share_ratio from marts.account_traffic",
    ) == [(0, 2, pytest.approx(2 / 3))]
    assert published(workspace, "select distinct issue from marts.customer_issues order by all") == [
        ("parent_cycle",),
        ("parent_unknown",),
    ]
