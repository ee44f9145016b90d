"""Contacts looked up at Leadspace: what leaves, the little that is kept, and that nothing else of a person is anywhere.

Names and addresses of the contacts here stand nowhere else, so that a search for them through every file finds each
place to which one has come. What was paid for is counted on the emulator's side.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import click.testing
import duckdb
import pytest
import yaml

from conftest import LEADSPACE_TOKEN, ROOT, Workspace, write_csv
from emulators.firmographics import Company
from emulators.leadspace import Handle, running
from emulators.leadspace_people import PersonInput, person_of
from engagement.addresses import DIGITS_OF_A_CONTACT, hasher_of
from engagement.leadspace import contacts, enrich

CONSENT = {"by": "Configurer", "on": date(2026, 1, 5)}
COMPANIES = [
    Company("Contoso", "contoso.example", "Germany", industry="Chemicals"),
    Company("Fabrikam", "fabrikam.example", "France", industry="Foods"),
]
COLUMNS = ["contact_id", "account_id", "email", "given", "family", "second_mail"]
MANY = enrich.MOST_SINGLES + 1
# In lower case: of every contact here and of every answer about one.
CANARIES = (
    b"zqfirst",
    b"zqlast",
    b"zqmail",
    b"linkedin.com/in",
    b"+1 555",
    b"+1 556",
    b"canaryville",
    b"canary street",
    b"canary function",
)
ANSWERED = "title, department, level, email_verification, employment_verification"


def a_person(number: int, **changes: str) -> dict[str, str]:
    return {
        "contact_id": f"C{number:04d}",
        "account_id": "A1" if number % 2 else "A2",
        "email": f"zqmail{number}@contoso.example",
        "given": f"Zqfirst{number}",
        "family": f"Zqlast{number}",
        "second_mail": "",
    } | changes


def write_contacts(workspace: Workspace, rows: Sequence[dict[str, str]], *, land: bool = True) -> None:
    write_csv(workspace.root / "contacts.csv", rows, COLUMNS)
    if land:
        workspace.land_customers()


def enrich_contacts(
    workspace: Workspace,
    service: Handle,
    *,
    companies: bool = False,
    reporting: dict[str, Any] | None = None,
    more: Callable[[dict[str, Any]], object] | None = None,
    **keys: Any,
) -> None:
    """Configures an enrichment of contacts with its consent; keys that are None are left out."""
    entry = {
        "type": "leadspace_contacts",
        "name": "Contact data",
        "output_table": "LeadspaceContacts",
        "consent": CONSENT,
        "mapping": {"first_name": "given", "last_name": "family"},
        **keys,
    }
    entry = {key: value for key, value in entry.items() if value is not None}
    company = {
        "type": "leadspace",
        "name": "Company data",
        "output_table": "Leadspace",
        "consent": CONSENT,
        "mapping": {"company_name": "name", "website": "website", "country": "country"},
    }
    workspace.environment |= {"ENGAGEMENT_LEADSPACE_URL": service.url, "LEADSPACE_TOKEN": LEADSPACE_TOKEN}

    def change(raw: dict[str, Any]) -> None:
        raw["enrichments"] = [*([company] if companies else []), entry]
        raw["reporting"] |= reporting or {}
        if more is not None:
            more(raw)

    workspace.configure(change)


@pytest.fixture(scope="module")
def module_service() -> Iterator[Handle]:
    with running(COMPANIES) as handle:
        yield handle


@pytest.fixture
def service(module_service: Handle) -> Handle:
    module_service.reset()
    module_service.switches.polls_before_done = 0
    module_service.switches.everybody_known = True
    return module_service


@pytest.fixture
def ready(workspace: Workspace, service: Handle) -> Workspace:
    """Three contacts, landed and ready to be asked about."""
    enrich_contacts(workspace, service)
    write_contacts(workspace, [a_person(number) for number in (1, 2, 3)])
    return workspace


def extract(
    workspace: Workspace, service: Handle, *arguments: str, code: int = 0, exact: bool = True
) -> dict[str, Any]:
    """An extraction that cost what was estimated before; its facts about contacts."""
    asked, spent = len(service.requests), service.spent
    estimated = workspace.run("extract", "leadspace", "--estimate", "--json", *arguments)
    assert len(service.requests) == asked, "an estimate contacts nobody"
    done = workspace.run("extract", "leadspace", "--json", *arguments)
    assert done.exit_code == code, done.stdout + done.stderr
    says_nothing_of_a_person(done)
    if code:
        return {"stderr": done.stderr}
    found = json.loads(done.stdout)["leadspace"]
    if exact:
        lookups = sum(one["lookups"] for one in found)
        assert json.loads(estimated.stdout)["lookups"] == lookups == service.spent - spent
    facts = found[-1]
    assert isinstance(facts, dict)
    return facts


def says_nothing_of_a_person(done: click.testing.Result) -> None:
    printed = (done.stdout + done.stderr).lower().encode()
    assert not [canary for canary in CANARIES if canary in printed], printed


def answers(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    return {
        row[0]: row[1:]
        for row in workspace.query(f"select contact_id, {ANSWERED} from raw.leadspace_contact_answers")
    }


def expected(row: dict[str, str]) -> tuple[str, ...]:
    """What the emulator knows of a contact, in the words that are kept."""
    known = person_of(PersonInput(row["given"], row["family"], row["email"]), everybody=True)
    assert known is not None

    def word(text: str) -> str:
        return text.lower().replace(" ", "_").replace("-", "_")

    return (
        known.title,
        known.department,
        word(known.level),
        word(known.email_word),
        word(known.employment_word),
    )


def states(workspace: Workspace) -> list[tuple[Any, ...]]:
    return workspace.query("select endpoint, record_type, state from raw.leadspace_batches order by all")


def places_of(workspace: Workspace, needles: Sequence[bytes] = CANARIES) -> list[str]:
    """Files of the workspace whose bytes or values hold one, but for the customer's own."""
    found = []
    for path in sorted(workspace.root.rglob("*")):
        if not path.is_file() or path.name in ("contacts.csv", "enrichments.yml"):
            continue
        content = path.read_bytes().lower()
        found += [f"{path.name}: {needle.decode()}" for needle in needles if needle in content]
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                for schema, table in connection.execute(
                    "select schema_name, table_name from duckdb_tables() where not internal"
                ).fetchall():
                    for row in connection.execute(f'select * from "{schema}"."{table}"').fetchall():
                        text = str(row).lower().encode()
                        found += [f"{path.name} {schema}.{table}" for needle in needles if needle in text]
    return found


# --- off unless somebody switches it on and agrees


def test_it_is_off_by_default(workspace: Workspace, service: Handle) -> None:
    example = yaml.safe_load((ROOT / "enrichments.yml").read_text("utf-8"))
    assert [entry["type"] for entry in example["enrichments"]] == ["office"]
    workspace.enrich_companies(service.url)
    write_contacts(workspace, [a_person(1)])
    assert workspace.run("extract", "leadspace").exit_code == 0
    assert (service.spent, service.people_looked_up) == (2, {})


def test_without_its_own_consent_nobody_is_sent(workspace: Workspace, service: Handle) -> None:
    enrich_contacts(workspace, service, consent=None)
    write_contacts(workspace, [a_person(1)])
    done = workspace.run("extract", "leadspace")
    assert done.exit_code == 2
    assert "enrichments[0] (contact-data): waits for consent; read and agree with" in done.stderr
    enrich_contacts(workspace, service, consent=None, companies=True)
    done = workspace.run("extract", "leadspace")
    assert done.exit_code == 0
    assert "skipped: enrichments[1] (contact-data): waits for consent" in done.stderr
    assert (service.spent, service.people_looked_up) == (2, {})


def test_the_statement_says_what_leaves_and_asks_again_when_that_changes(
    workspace: Workspace, service: Handle
) -> None:
    enrich_contacts(workspace, service, consent=None)
    shown = workspace.run("consent", "contact-data", "--yes", "--by", "Jane Doe")
    assert shown.exit_code == 0, shown.stderr
    for words in (
        "given (as the first name)",
        "family (as the last name)",
        "email (as the e-mail address)",
        "column name of your customer file",
        "Nothing: what is known of a contact stays in the private file.",
        "that they were told",
        "engagement erase",
        "--withdraw",
    ):
        assert words in shown.stdout
    write_contacts(workspace, [a_person(1)])
    # What does not matter asks nobody.
    enrich_contacts(workspace, service, consent=None, output_table="Other", max_age="7 days", max_lookups=5)
    assert extract(workspace, service)["lookups"] == 1
    for change in (
        {"publish": True},
        {"mapping": {"first_name": "family", "last_name": "given"}},
        {"mapping": {"first_name": "given", "last_name": "family", "email": "second_mail"}},
    ):
        enrich_contacts(workspace, service, consent=None, **change)
        done = workspace.run("extract", "leadspace")
        assert done.exit_code == 2
        assert "consent was given to another statement than today's" in done.stderr
    assert service.spent == 1
    done = workspace.run("consent", "contact-data", "--withdraw")
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"mapping": {"first_name": "given"}}, "enrichments[0].mapping.last_name: missing; add it"),
        (
            {"mapping": {"first_name": "given", "last_name": "family", "phone": "x"}},
            "enrichments[0].mapping.phone: unknown key; allowed: first_name, last_name, email",
        ),
        ({"publish": "yes"}, "enrichments[0].publish: 'yes' is not allowed; allowed: true or false"),
        ({"dataset": "customers"}, "enrichments[0].dataset: unknown key"),
        (
            {"publish": True, "reporting": {"small_numbers": "band"}},
            "enrichments[0].publish: true is not allowed with reporting.small_numbers: band, since it shows single"
            " people; set it to false, or small_numbers to show",
        ),
        (
            {
                "more": lambda raw: raw["enrichments"].append(
                    raw["enrichments"][0] | {"name": "More", "output_table": "More"}
                )
            },
            "enrichments[1].type: enrichments[0] is of type leadspace_contacts already, and one asks about every"
            " contact; remove one of them",
        ),
    ],
)
def test_what_cannot_be_configured_is_said(
    workspace: Workspace, service: Handle, keys: dict[str, Any], line: str
) -> None:
    enrich_contacts(workspace, service, **keys)
    done = workspace.run("check")
    assert done.exit_code == 2
    assert line in done.stderr


def test_check_reads_the_mapped_columns(ready: Workspace, service: Handle) -> None:
    done = ready.run("check")
    assert done.exit_code == 0, done.stderr
    assert (
        "Contact data (leadspace_contacts, active, publishes LeadspaceContacts): not published" in done.stdout
    )
    enrich_contacts(ready, service, mapping={"first_name": "forename", "last_name": "family"})
    for command in (("check",), ("extract", "leadspace"), ("extract", "leadspace", "--estimate")):
        done = ready.run(*command)
        assert done.exit_code == 2
        assert "enrichments[0] (contact-data): the contact file cannot be used" in done.stderr
        assert "contacts.csv: has no column 'forename' (enrichments[0].mapping.first_name)" in done.stderr
        says_nothing_of_a_person(done)
    assert service.requests == []


# --- what leaves, and what is kept


@pytest.mark.parametrize(("count", "endpoint"), [(3, "single"), (MANY, "bulk")])
def test_names_and_addresses_leave_and_five_words_are_kept(
    ready: Workspace, service: Handle, count: int, endpoint: str
) -> None:
    rows = [a_person(number) for number in range(count)]
    write_contacts(ready, rows)
    facts = extract(ready, service)
    assert (facts["contacts"], facts["lookups"], facts["answered"], facts["warnings"]) == (
        count,
        count,
        count,
        [],
    )
    assert dict(service.people_looked_up) == {(row["given"], row["family"], row["email"]): 1 for row in rows}
    assert set(states(ready)) == {(endpoint, "person", "answered")}
    assert answers(ready) == {row["contact_id"]: expected(row) for row in rows}
    assert ready.query(
        "select distinct outcome, account_id from raw.leadspace_contact_answers order by all"
    ) == [
        ("result", "A1"),
        ("result", "A2"),
    ]
    assert ready.query("select count(*) from raw.leadspace_responses") == [(0,)]
    assert extract(ready, service)["lookups"] == 0
    assert places_of(ready) == []


def test_the_company_goes_with_the_person_and_the_id_tells_nothing(ready: Workspace, service: Handle) -> None:
    seen: list[Any] = []
    look_up = service.emulator.look_up

    def noted(record: Any, *arguments: Any) -> Any:
        seen.append(record)
        return look_up(record, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(service.emulator, "look_up", noted)
        extract(ready, service)
    assert sorted((record.person.key[0], record.name) for record in seen) == [
        ("Zqfirst1", "Contoso"),
        ("Zqfirst2", "Fabrikam"),
        ("Zqfirst3", "Contoso"),
    ]
    hasher = hasher_of(ready.settings())
    ids = {record.person.key[0]: record.external_id for record in seen}
    assert ids["Zqfirst1"][:DIGITS_OF_A_CONTACT] == hasher.requests_of("C0001")
    assert len({*ids.values()}) == 3 and all(len(value) == 32 for value in ids.values())


def test_companies_are_asked_about_first_and_neither_takes_the_others_results(
    ready: Workspace, service: Handle
) -> None:
    enrich_contacts(ready, service, companies=True, endpoint="bulk")
    service.switches.polls_before_done = 10**6
    ready.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
    facts = extract(ready, service)
    assert (facts["lookups"], facts["waiting"]) == (3, 3)
    for bulk in service.emulator.bulks.values():
        bulk.polls_left = 0
    # With the contacts' consent withdrawn nobody fetches theirs, and --send-again does not give them up.
    enrich_contacts(ready, service, companies=True, consent=None)
    assert ready.run("extract", "leadspace", "--send-again").exit_code == 0
    assert ("bulk", "person", "submitted") in states(ready)
    assert ready.query("select count(*) from raw.leadspace_responses") == [(2,)]
    enrich_contacts(ready, service, companies=True)
    assert extract(ready, service)["answered"] == 3
    assert service.spent == 5
    assert len(answers(ready)) == 3


@pytest.mark.parametrize(
    ("switches", "kept"),
    [
        ({"person_words": "lower"}, 5),
        ({"person_words": "upper"}, 5),
        ({"person_words": "unknown"}, "partly_known"),
        ({"person_words": "null", "missing": "null"}, 2),
        ({"person_words": "empty", "missing": "empty"}, 2),
        ({"person_words": "absent"}, 2),
        ({"person_status": "both"}, 5),
        ({"enrichment_status_case": "upper"}, 5),
        ({"person_object": "absent"}, 0),
        ({"person_object": "null"}, 0),
        ({"person_object": "empty"}, 0),
        ({"person_object": "list"}, 0),
        ({"person_object": "text"}, 0),
        ({"title_holds": "email"}, "no title"),
        ({"title_holds": "name"}, "no title"),
        ({"title_holds": "run_together"}, "no title"),
        ({"title_holds": "phone"}, "no title"),
        ({"title_holds": "profile"}, "no title"),
        ({"extra_unknown_fields": True, "status_case": "upper"}, 5),
    ],
)
def test_every_variant_of_an_answer(
    ready: Workspace, service: Handle, switches: dict[str, Any], kept: int | str
) -> None:
    for name, value in switches.items():
        setattr(service.switches, name, value)
    facts = extract(ready, service)
    assert (facts["answered"], facts["unreadable_results"]) == (3, 0)
    for number in (1, 2, 3):
        words = expected(a_person(number))
        found = answers(ready)[f"C{number:04d}"]
        if kept == "partly_known":
            assert found == (*words[:2], *["partly_known"] * 3)
        elif kept == "no title":
            assert found == (None, *words[1:])
        else:
            assert isinstance(kept, int)
            assert found == (*words[:kept], *[None] * (5 - kept))
    assert places_of(ready) == []
    assert extract(ready, service)["lookups"] == 0, "an answer that says nothing is one too"


SENT = {"person": {"first_name": "Jo-Ann", "last_name": "de la Cruz", "email": "joann@contoso.example"}}


@pytest.mark.parametrize(
    ("title", "is_kept"),
    [
        ("Head of Sales, EMEA", True),
        ("Leiterin Einkauf", True),
        ("ASP.NET Developer (C#)", True),
        ("VP 2nd line support 24/7", True),
        ("  Chief\u00a0Engineer\t", True),
        ("Owner of Cruzar Ltd", True),
        ("", False),
        ("---", False),
        ("Sales of CRUZ", False),
        ("Assistant to Jo-Ann", False),
        ("Ann's deputy", False),
        ("joanndelacruz", False),
        ("JoAnn_DeLaCruz/Sales", False),
        ("Sales <someone@fabrikam.example>", False),
        ("Sales \uff20 fabrikam", False),
        ("/o=exchange/ou=x/cn=y", False),
        ("see https://pages.example", False),
        ("www.pages.example", False),
        ("linkedin.com/in/somebody", False),
        ("call 0171 / 23 45 67 8", False),
        ("x" * 201, False),
        (7, False),
        (["Head of Sales"], False),
        (None, False),
    ],
)
def test_a_title_is_kept_unless_it_tells_who_it_is(title: object, is_kept: bool) -> None:
    data = {"enrichment_status": "Person Enriched", "person": {"title": title, "level": title}}
    found = contacts.kept(json.dumps({"data": data}).encode(), SENT)
    assert (found[0] is not None, found[1]) == (is_kept, None)
    # A word goes the same way, and is no longer than a word.
    assert (found[2] is not None) == is_kept


def test_names_with_accents_and_of_other_scripts_are_found() -> None:
    def title_of(first: str, last: str, title: str) -> str | None:
        answer = {"data": {"person": {"title": title}}}
        return contacts.kept(
            json.dumps(answer).encode(), {"person": {"first_name": first, "last_name": last}}
        )[0]

    assert title_of("Zoë", "Müller", "Team Muller") is None
    assert title_of("Zoe", "Muller", "MÜLLER & Co") is None
    assert title_of("伟", "李", "工程师李伟") is None
    assert title_of("伟", "李", "工程师") == "工程师"
    assert title_of("Владимир", "Петров", "Директор Петров") is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b'{"data": []}',
        b'{"data": null}',
        b'{"data": {"person": 7}}',
        b'{"data": {"enrichment_status": "Not Enriched", "person": {"title": "Buyer"}}}',
        b'{"data": {"enrichment_status": "COMPANY ENRICHED", "person": {"title": "Buyer"}}}',
    ],
)
def test_nothing_is_kept_of_what_is_no_answer_about_a_person(raw: bytes) -> None:
    assert contacts.kept(raw, SENT) == contacts.NOTHING


def test_who_is_not_known_is_asked_about_once(ready: Workspace, service: Handle) -> None:
    service.switches.everybody_known = False
    write_contacts(ready, [a_person(number) for number in range(40)])
    assert extract(ready, service)["answered"] == 40
    unknown = [number for number in range(40) if answers(ready)[f"C{number:04d}"] == (None,) * 5]
    assert 0 < len(unknown) < 20
    assert extract(ready, service)["lookups"] == 0


# --- who is sent


def test_who_cannot_be_sent_is_counted_and_not_named(ready: Workspace, service: Handle) -> None:
    write_contacts(
        ready,
        [
            a_person(1),
            a_person(2, given=""),
            a_person(3, family="zqmail3@contoso.example"),
            a_person(4, family="Z" * 301),
            a_person(5, email="zqmail5"),
            a_person(6, account_id="A9"),
            a_person(7, email="Zq Mail <zqmail7+tag@Contoso.example>", given="  Zqfirst7\t\x01 "),
        ],
    )
    done = ready.run("extract", "leadspace")
    assert done.exit_code == 0
    for line in (
        "2 contacts without first and last name; not sent, name them",
        "1 contact with a name of more than 300 characters; not sent, shorten it",
        "2 contacts without a usable address or a known account, or not landed yet; not sent",
    ):
        assert f"warning: contact-data: {line}" in done.stderr
    says_nothing_of_a_person(done)
    assert dict(service.people_looked_up) == {
        ("Zqfirst1", "Zqlast1", "zqmail1@contoso.example"): 1,
        ("Zqfirst7", "Zqlast7", "zqmail7+tag@contoso.example"): 1,
    }


def test_a_contact_of_several_accounts_and_addresses_costs_one_lookup(
    ready: Workspace, service: Handle
) -> None:
    rows = [
        a_person(1, account_id="A2"),
        a_person(1, account_id="A1", email="zqmail1.private@mail.example"),
        a_person(1, account_id="A1", given=""),
    ]
    write_contacts(ready, rows)
    assert extract(ready, service)["lookups"] == 1
    assert ready.query("select contact_id, account_id from raw.leadspace_contact_answers") == [
        ("C0001", "A1")
    ]
    write_contacts(ready, rows[::-1])
    assert extract(ready, service)["lookups"] == 0


def test_another_column_may_hold_the_address_that_is_sent(ready: Workspace, service: Handle) -> None:
    mapping = {"first_name": "given", "last_name": "family", "email": "second_mail"}
    enrich_contacts(ready, service, mapping=mapping)
    write_contacts(ready, [a_person(1, second_mail="zqmail1@mail.example"), a_person(2)])
    extract(ready, service)
    assert set(service.people_looked_up) == {
        ("Zqfirst1", "Zqlast1", "zqmail1@mail.example"),
        ("Zqfirst2", "Zqlast2", ""),
    }


def test_names_of_every_kind_arrive_as_they_are(ready: Workspace, service: Handle) -> None:
    names = ["O'Brien\"; drop table raw.contacts", "李", "Åse-Märta", "\\u0041", "{}", "Null", "-1", "=cmd()"]
    rows = [
        a_person(number, given=name if any(char.isalpha() for char in name) else "Zqfirst", family=name)
        for number, name in enumerate(names)
    ]
    write_contacts(ready, rows)
    facts = extract(ready, service)
    sent = {key[1] for key in service.people_looked_up}
    assert sent == {name for name in names if any(char.isalpha() for char in name)}
    assert facts["not_sent"] == {"no_name": 2}


def test_an_answer_is_asked_for_again_when_it_is_old_or_the_contact_changed(
    ready: Workspace, service: Handle
) -> None:
    extract(ready, service)
    write_contacts(ready, [a_person(1, family="Zqlastnew"), a_person(2), a_person(3)])
    assert extract(ready, service)["lookups"] == 1
    with duckdb.connect(str(ready.private_file)) as connection:
        connection.execute(
            "update raw.leadspace_contact_answers set received_at = received_at - interval 179 day"
        )
    assert extract(ready, service)["lookups"] == 0
    with duckdb.connect(str(ready.private_file)) as connection:
        connection.execute(
            "update raw.leadspace_contact_answers set received_at = received_at - interval 2 day"
        )
    assert extract(ready, service)["lookups"] == 3
    # Of what is too old nothing stays where a newer answer is there.
    assert ready.query(
        "select contact_id, count(*) from raw.leadspace_contact_answers group by all order by all"
    ) == [("C0001", 1), ("C0002", 1), ("C0003", 1)]


def test_people_whose_mail_is_counted_are_not_sent(ready: Workspace, service: Handle) -> None:
    key = hasher_of(ready.settings()).address("zqmail1@contoso.example")
    with duckdb.connect(str(ready.private_file)) as connection:
        connection.execute(
            "insert into raw.office_mailboxes (enrichment_id, mailbox_id, address_keys) values ('sales', 1, [?])",
            [key],
        )
    facts = extract(ready, service)
    assert facts["not_sent"] == {"own_person": 1}
    assert facts["warnings"] == [
        "1 contact who are people of ours; not sent, remove them from the contact file"
    ]
    assert {key[0] for key in service.people_looked_up} == {"Zqfirst2", "Zqfirst3"}


@pytest.mark.parametrize(
    "fault", ["none", "refused", "lost", "not json", "no credits", "wrong token", "down"]
)
@pytest.mark.parametrize("endpoint", ["single", "bulk"])
def test_no_log_and_no_message_names_anybody(
    ready: Workspace, service: Handle, caplog: pytest.LogCaptureFixture, endpoint: str, fault: str
) -> None:
    enrich_contacts(ready, service, endpoint=endpoint)
    ready.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    path = f"/enrich/{endpoint}"
    service.switches.envelope = fault != "lost"
    if fault in ("refused", "lost", "wrong token", "down"):
        status = {"refused": 400, "lost": 502, "wrong token": 401, "down": 503}[fault]
        service.fail(path, times=9, status=status)
    elif fault == "not json":
        service.fail(path, times=9, status=200, body=b"zqfirst1 zqlast1 zqmail1@contoso.example")
    elif fault == "no credits":
        service.switches.credits = 0
    caplog.set_level("DEBUG")
    for name in ("httpx", "httpcore", "engagement"):
        caplog.set_level("DEBUG", logger=name)
    done = ready.run("extract", "leadspace", "--verbose")
    assert (done.exit_code == 0) == (fault in ("none", "refused")), done.stderr
    says_nothing_of_a_person(done)
    assert not [canary for canary in CANARIES if canary.decode() in caplog.text.lower()]
    assert places_of(ready) == []


def test_max_lookups_limits_a_run(ready: Workspace, service: Handle) -> None:
    enrich_contacts(ready, service, max_lookups=2)
    facts = extract(ready, service)
    assert (facts["lookups"], facts["left"]) == (2, 1)
    assert extract(ready, service)["lookups"] == 1
    assert len(answers(ready)) == 3


def test_under_another_name_nobody_is_paid_for_twice(ready: Workspace, service: Handle) -> None:
    extract(ready, service)
    enrich_contacts(ready, service, name="People", output_table="People")
    facts = extract(ready, service)
    assert (facts["enrichment_id"], facts["lookups"], facts["answered"]) == ("people", 0, 3)
    assert ready.query(
        "select distinct enrichment_id from raw.leadspace_contact_answers"
        " union select distinct enrichment_id from raw.leadspace_batches"
    ) == [("people",)]


def test_who_left_the_contact_file_leaves_nothing_behind(ready: Workspace, service: Handle) -> None:
    extract(ready, service)
    write_contacts(ready, [a_person(1)])
    assert set(answers(ready)) == {"C0001"}


def test_an_answer_about_somebody_who_has_left_meanwhile_is_not_kept(
    ready: Workspace, service: Handle
) -> None:
    enrich_contacts(ready, service, endpoint="bulk")
    service.switches.polls_before_done = 10**6
    ready.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
    extract(ready, service)
    for bulk in service.emulator.bulks.values():
        bulk.polls_left = 0
    write_contacts(ready, [a_person(1)])
    extract(ready, service)
    assert set(answers(ready)) == {"C0001"}
    assert states(ready) == [("bulk", "person", "answered")]


# --- money


def nobody_paid_twice(service: Handle) -> bool:
    return set(service.people_looked_up.values()) <= {1}


def killed_when(workspace: Workspace, condition: Callable[[], object]) -> None:
    process = workspace.start("extract", "leadspace")
    deadline = time.monotonic() + 60
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.faults
@pytest.mark.parametrize("endpoint", ["single", "bulk"])
def test_killed_with_lookups_under_way_nobody_is_paid_for_twice(
    ready: Workspace, service: Handle, endpoint: str
) -> None:
    enrich_contacts(ready, service, endpoint=endpoint)
    write_contacts(ready, [a_person(number) for number in range(30)])
    service.switches.hold_after_accept = 0.5 if endpoint == "single" else 5.0
    killed_when(ready, lambda: len(service.people_looked_up) >= 4)
    service.switches.hold_after_accept = 0.0
    time.sleep(0.2)  # a request that was on its way has arrived
    held = extract(ready, service)["held"]
    assert nobody_paid_twice(service)
    assert held == 30 if endpoint == "bulk" else 1 <= held <= 4 + enrich.MOST_NOT_LEFT
    assert len(answers(ready)) == 30 - held
    facts = extract(ready, service, "--send-again")
    assert (facts["lookups"], facts["answered"]) == (held, 30)
    assert extract(ready, service)["lookups"] == 0
    assert places_of(ready) == []


@pytest.mark.faults
def test_killed_while_waiting_for_results_they_are_fetched(ready: Workspace, service: Handle) -> None:
    write_contacts(ready, [a_person(number) for number in range(MANY)])
    service.switches.polls_before_done = 10**6
    killed_when(ready, lambda: any(request.method == "GET" for request in service.requests))
    assert states(ready) == [("bulk", "person", "submitted")]
    for bulk in service.emulator.bulks.values():
        bulk.polls_left = 0
    facts = extract(ready, service)
    assert (facts["lookups"], facts["answered"], service.spent) == (0, MANY, MANY)
    assert nobody_paid_twice(service)


def test_no_credits(ready: Workspace, service: Handle) -> None:
    service.switches.credits = 1
    found = extract(ready, service, code=10)
    assert "status 427" in found["stderr"]
    assert len(answers(ready)) == 1
    service.switches.credits = None
    assert extract(ready, service)["answered"] == 3
    assert nobody_paid_twice(service)


def test_a_lost_answer_is_held(ready: Workspace, service: Handle) -> None:
    service.switches.envelope = False  # a gateway, and not the service, gives up
    service.fail("/enrich/single", times=1, delay=0.0, status=502)
    found = extract(ready, service, code=4)
    assert "the answer to 1 contact was lost" in found["stderr"]
    facts = extract(ready, service)
    assert (facts["held"], facts["lookups"]) == (1, 2)
    assert extract(ready, service, "--send-again")["answered"] == 3


def test_what_the_service_fails_on_or_cannot_read(ready: Workspace, service: Handle) -> None:
    service.switches.failing = {"Zqfirst1": 1100, "Zqfirst2": 1200}
    facts = extract(ready, service)
    assert (facts["failed"], facts["invalid"], facts["answered"]) == (1, 1, 1)
    assert all("contact" in line and "customer" not in line for line in facts["warnings"])
    service.switches.failing = {}
    facts = extract(ready, service)
    assert (facts["lookups"], facts["answered"]) == (1, 2)
    assert ready.query(
        "select outcome, count(*), count(title) from raw.leadspace_contact_answers group by 1 order by 1"
    ) == [("failed", 1, 0), ("invalid", 1, 0), ("result", 2, 2)]


def test_an_estimate_before_anything_was_landed(workspace: Workspace, service: Handle) -> None:
    enrich_contacts(workspace, service)
    write_contacts(workspace, [a_person(1)], land=False)
    done = workspace.run("extract", "leadspace", "--estimate")
    assert done.exit_code == 2 and not (workspace.root / "data" / "hash_key").exists()
    done = workspace.run("extract", "leadspace")
    assert done.exit_code == 2
    assert "raw.accounts: no customers landed; run `engagement extract customers` first" in done.stderr


def test_estimates_count_both_kinds(ready: Workspace, service: Handle) -> None:
    enrich_contacts(ready, service, companies=True)
    done = ready.run("extract", "leadspace", "--estimate")
    assert "leadspace: 3 lookups (credits) for 3 contacts (contact-data)" in done.stdout
    assert "leadspace: 5 lookups (credits) in all" in done.stdout
    extract(ready, service)


# --- people


def test_who_was_erased_is_not_sent_and_what_was_known_goes(ready: Workspace, service: Handle) -> None:
    extract(ready, service)
    told = ready.run("access", "zqmail1@contoso.example")
    assert told.exit_code == 0
    words = expected(a_person(1))
    assert f"of contact C0001 (contact-data): title: {words[0]}, department: {words[1]}" in told.stdout
    assert "raw.leadspace_contact_answers: 1 row" in told.stdout
    prefix = hasher_of(ready.settings()).requests_of("C0001")
    assert prefix.encode() in ready.private_file.read_bytes() or ready.query(
        f"select 1 from raw.leadspace_requests where starts_with(fingerprint, '{prefix}')"
    ) == [(1,)]
    done = ready.run("erase", "zqmail1@contoso.example", "--yes")
    assert done.exit_code == 0, done.stderr
    assert set(answers(ready)) == {"C0002", "C0003"}
    assert ready.query(
        f"select count(*) from raw.leadspace_requests where starts_with(fingerprint, '{prefix}')"
    ) == [(0,)]
    assert prefix.encode() not in ready.private_file.read_bytes()
    # Still in the contact file, under a second address as well.
    rows = [a_person(number) for number in (1, 2, 3)] + [a_person(1, email="zqmail1.new@contoso.example")]
    write_contacts(ready, [row | {"family": f"{row['family']}new"} for row in rows])
    facts = extract(ready, service)
    assert (facts["contacts"], facts["lookups"]) == (2, 2)
    assert not any(key[0] == "Zqfirst1" and key[1].endswith("new") for key in service.people_looked_up)
    told = ready.run("access", "zqmail1@contoso.example", "--json")
    assert json.loads(told.stdout)["contact_answers"] == []


def test_the_address_that_is_sent_counts_for_an_erasure_too(ready: Workspace, service: Handle) -> None:
    mapping = {"first_name": "given", "last_name": "family", "email": "second_mail"}
    enrich_contacts(ready, service, mapping=mapping)
    assert ready.run("erase", "zqmail1@mail.example", "--yes").exit_code == 0
    write_contacts(ready, [a_person(1, second_mail="ZqMail1@mail.example"), a_person(2)])
    extract(ready, service)
    assert {key[0] for key in service.people_looked_up} == {"Zqfirst2"}


def test_access_of_a_private_file_of_an_earlier_version(ready: Workspace) -> None:
    with duckdb.connect(str(ready.private_file)) as connection:
        connection.execute("drop table raw.leadspace_contact_answers")
    told = ready.run("access", "zqmail1@contoso.example", "--json")
    assert json.loads(told.stdout)["contacts"] == [{"contact_id": "C0001", "account_id": "A1"}]


def test_another_hash_key_takes_the_ids_of_requests_and_costs_nothing(
    ready: Workspace, service: Handle
) -> None:
    enrich_contacts(ready, service, companies=True)
    extract(ready, service)
    before = answers(ready)
    ids = [row[0].encode() for row in ready.query("select fingerprint from raw.leadspace_contact_answers")]
    done = ready.run("rotate-key", "--yes")
    assert done.exit_code == 0, done.stderr
    assert answers(ready) == before
    assert not any(value in ready.private_file.read_bytes() for value in ids)
    assert states(ready) == [("single", "company", "answered")] * 2
    write_contacts(ready, [a_person(number) for number in (1, 2, 3, 4)])
    facts = extract(ready, service)
    assert (facts["lookups"], facts["answered"]) == (1, 4)
    assert nobody_paid_twice(service)


# --- the published file


@pytest.fixture(scope="module")
def published(module_service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A whole run with companies and contacts, these published."""
    module_service.reset()
    module_service.switches.everybody_known = True
    workspace = Workspace(tmp_path_factory.mktemp("published"))
    enrich_contacts(workspace, module_service, companies=True, publish=True)
    write_contacts(workspace, [a_person(number) for number in (1, 2, 3)], land=False)
    done = workspace.run("run", "--verbose")
    assert done.exit_code == 0, done.output
    says_nothing_of_a_person(done)
    (workspace.root / "printed.txt").write_text(done.stdout + done.stderr, "utf-8")
    return workspace


@pytest.fixture
def copy(published: Workspace, service: Handle, tmp_path: Path) -> Workspace:
    """The same with files of its own."""
    root = tmp_path / "copy"
    shutil.copytree(published.root, root)
    environment = {
        name: value.replace(str(published.root), str(root)) for name, value in published.environment.items()
    }
    return Workspace(root, environment, configured=published.configured)


@pytest.fixture
def configured_copy(copy: Workspace, service: Handle) -> Workspace:
    # Making a workspace writes its files anew.
    enrich_contacts(copy, service, companies=True, publish=True)
    write_contacts(copy, [a_person(number) for number in (1, 2, 3)], land=False)
    return copy


def in_published(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def has_output_table(workspace: Workspace) -> bool:
    return in_published(
        workspace, "select 1 from duckdb_views() where view_name = 'LeadspaceContacts' and not internal"
    ) == [(1,)]


def verified(workspace: Workspace) -> click.testing.Result:
    return workspace.run("verify", str(workspace.published_file))


@pytest.mark.long
def test_where_it_is_published_it_stands_under_the_contacts_ids(published: Workspace) -> None:
    wanted = [(row["contact_id"], *expected(row)) for row in (a_person(1), a_person(2), a_person(3))]
    assert (
        in_published(
            published, f"select contact_id, {ANSWERED} from marts.leadspace_contacts order by contact_id"
        )
        == wanted
    )
    assert (
        in_published(
            published,
            f'select contact_id, {ANSWERED} from enrichment."LeadspaceContacts" order by contact_id',
        )
        == wanted
    )
    assert published.query("select count(*) from intermediate.int_contact_answers_dated") == [(3,)]
    done = verified(published)
    assert done.exit_code == 0, done.stderr


@pytest.mark.long
def test_no_name_address_number_or_profile_is_anywhere(published: Workspace) -> None:
    assert (published.root / "data" / "run_state.json").exists()
    assert places_of(published) == []


@pytest.mark.long
def test_what_is_not_switched_on_is_not_in_the_file(configured_copy: Workspace, service: Handle) -> None:
    enrich_contacts(configured_copy, service, companies=True)
    done = configured_copy.run("run")
    assert done.exit_code == 0, done.output
    assert service.spent == 0, "nothing new was asked"
    assert in_published(configured_copy, "select count(*) from marts.leadspace_contacts") == [(0,)]
    assert not has_output_table(configured_copy)
    words = [word for number in (1, 2, 3) for word in expected(a_person(number))[:1]]
    with duckdb.connect(str(configured_copy.published_file), read_only=True) as connection:
        tables = connection.execute("select table_name from duckdb_tables() where not internal").fetchall()
        text = str([connection.execute(f'select * from marts."{table}"').fetchall() for (table,) in tables])
    assert not any(word in text for word in words)
    assert configured_copy.query("select count(*) from intermediate.int_contact_answers_dated") == [(3,)]
    assert verified(configured_copy).exit_code == 0


@pytest.mark.faults
def test_rows_that_no_output_table_announces_are_refused(copy: Workspace) -> None:
    with duckdb.connect(str(copy.published_file)) as connection:
        connection.execute('drop view enrichment."LeadspaceContacts"')
    done = verified(copy)
    assert done.exit_code == 7
    assert "people: rows of an enrichment that does not publish them" in done.stderr


@pytest.mark.faults
def test_a_banded_file_shows_no_single_person(copy: Workspace) -> None:
    with duckdb.connect(str(copy.published_file)) as connection:
        connection.execute("update marts.publication set small_numbers = 'band', smallest_group = 5")
    done = verified(copy)
    assert done.exit_code == 7
    assert "table marts.leadspace_contacts, column contact_id: small_numbers: a row about one person" in (
        done.stderr
    )


@pytest.mark.long
def test_a_withdrawn_consent_takes_it_out(configured_copy: Workspace) -> None:
    done = configured_copy.run("consent", "contact-data", "--withdraw")
    assert done.exit_code == 0, done.stderr
    done = configured_copy.run("publish")
    assert done.exit_code == 0, done.output
    assert in_published(configured_copy, "select count(*) from marts.leadspace_contacts") == [(0,)]
    assert not has_output_table(configured_copy)
    assert in_published(configured_copy, "select count(*) from marts.leadspace_companies") == [(2,)]
    assert verified(configured_copy).exit_code == 0
    assert len(answers(configured_copy)) == 3


@pytest.mark.long
def test_who_is_erased_goes_out_of_the_published_file(configured_copy: Workspace) -> None:
    done = configured_copy.run("erase", "zqmail2@contoso.example", "--yes")
    assert done.exit_code == 0, done.output
    assert in_published(
        configured_copy, "select contact_id from marts.leadspace_contacts order by contact_id"
    ) == [("C0001",), ("C0003",)]
    assert places_of(configured_copy) == []


@pytest.mark.long
def test_removing_it_removes_everything_of_it(configured_copy: Workspace, service: Handle) -> None:
    enrich_contacts(configured_copy, service, companies=True, publish=True, active=False)
    done = configured_copy.run("remove", "Contact data", "--yes")
    assert done.exit_code == 0, done.output
    assert answers(configured_copy) == {}
    assert configured_copy.query(
        "select distinct enrichment_id from raw.leadspace_batches"
        " union select distinct enrichment_id from raw.leadspace_requests"
    ) == [("company-data",)]
    assert in_published(configured_copy, "select count(*) from marts.leadspace_contacts") == [(0,)]
    assert in_published(configured_copy, "select count(*) from marts.leadspace_companies") == [(2,)]
