"""Consents: what is agreed to, by whom, what asks again, and what a withdrawal takes away."""

from __future__ import annotations

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from conftest import LEADSPACE_TOKEN, OURS, ROOT, Workspace, small_tenant
from emulators.firmographics import Company
from emulators.graph import Handle, running
from emulators.leadspace import Handle as LeadspaceHandle
from emulators.leadspace import running as running_leadspace
from engagement import audit, consent, consents, customers, doctor, statements, warehouse
from engagement.errors import ConfigurationError
from engagement.office import graph as graph_requests

OFFICE, COMPANIES = "account-engagement", "company-data"
AGREED = ("--yes", "--by", "Jane Doe")
CONTOSO = Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals", employees=1200)
# What tells of the history of runs and consents, and the hub, name every enrichment.
HISTORY = {"enrichments", "audit_events", "run_history", "run_steps"}


@pytest.fixture(scope="module")
def leadspace() -> Iterator[LeadspaceHandle]:
    with running_leadspace([CONTOSO], polls_before_done=0) as handle:
        yield handle


@pytest.fixture(scope="module")
def mail() -> Iterator[Handle]:
    with running(small_tenant()) as handle:
        yield handle


@pytest.fixture
def both(workspace: Workspace, mail: Handle, leadspace: LeadspaceHandle) -> Workspace:
    """Both types of enrichments without any consent, the services at hand."""
    workspace.agrees_anew = False
    workspace.connect_to(mail)
    configure(workspace, leadspace)
    mail.requests.clear()
    leadspace.requests.clear()
    return workspace


def configure(workspace: Workspace, leadspace: LeadspaceHandle, **changes: Any) -> None:
    """Writes enrichments.yml anew: `changes` are keys of the Leadspace enrichment, and `office` those of the other."""
    office = {"consent": None, "tenant_consent": None} | changes.pop("office", {})
    workspace.enrich_companies(leadspace.url, office=office, **{"consent": None, **changes})
    path = workspace.root / "enrichments.yml"
    raw = yaml.safe_load(path.read_text("utf-8"))
    raw["enrichments"] = [
        {key: value for key, value in entry.items() if value is not None} for entry in raw["enrichments"]
    ]
    path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")


def succeeds(workspace: Workspace, *arguments: str) -> Any:
    done = workspace.run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def state(workspace: Workspace, enrichment_id: str) -> str:
    return workspace.settings(services=()).consents[enrichment_id].state


def records(workspace: Workspace) -> list[dict[str, Any]]:
    return list(json.loads((workspace.root / "data" / "consents.json").read_text())["records"])


def agree_to_all(workspace: Workspace) -> None:
    succeeds(workspace, "consent", OFFICE, *AGREED)
    succeeds(workspace, "consent", OFFICE, "--as-administrator", *AGREED)
    succeeds(workspace, "consent", COMPANIES, *AGREED)


# --- asking


def test_it_is_shown_and_recorded(both: Workspace) -> None:
    done = both.run("consent", "Company data", *AGREED)
    assert done.exit_code == 0, done.output
    for words in (
        "name (as the company name)\n  website (as the company's website)\n  country (as the company's country)",
        "a third party",
        "Your organisation. The data are sent at its instruction",
        "all customers of the file",
    ):
        assert words in done.stdout
    statement = both.settings(services=()).consents[COMPANIES].statement
    assert statement is not None and statement.hash in done.stdout
    path = both.root / "data" / "consents.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    [record] = records(both)
    assert record.pop("recorded_at").startswith(record["on"])
    assert record == {
        "enrichment_id": COMPANIES,
        "kind": "consent",
        "action": "given",
        "by": "Jane Doe",
        "on": record["on"],
        "statement": statement.hash,
        "source": "command",
        "block": None,
    }
    assert json.loads(path.read_text())["statements"] == {statement.hash: statement.text}
    assert state(both, COMPANIES) == "given"
    again = both.run("consent", COMPANIES)
    assert again.exit_code == 0
    assert "nothing to do: consent: given by Jane Doe on" in again.stdout
    assert len(records(both)) == 1


def test_a_person_at_a_terminal_is_asked(both: Workspace) -> None:
    def asked(answers: bytes) -> subprocess.CompletedProcess[str]:
        ours, theirs = pty.openpty()
        os.write(ours, answers)
        process = subprocess.run(
            [sys.executable, "-m", "engagement", "consent", COMPANIES],
            env={"PYTHONPATH": str(ROOT / "scripts"), "PATH": os.environ["PATH"], **both.environment},
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        return process

    # Return alone is no.
    for answers in (b"\n", b"n\n"):
        refused = asked(answers)
        assert refused.returncode == 2
        assert "not agreed to; nothing is recorded" in refused.stderr
    assert not (both.root / "data" / "consents.json").exists()
    agreed = asked(b"y\nMax Roe\n")
    assert agreed.returncode == 0, agreed.stderr
    assert "I agree [y/N]" in agreed.stderr
    assert [record["by"] for record in records(both)] == ["Max Roe"]


def test_without_a_terminal_nobody_agrees(both: Workspace) -> None:
    for arguments, line in (
        ((), "there is no terminal to ask at"),
        (("--yes",), "--yes: says nothing of who agrees; add --by NAME"),
        (("--by", "Jane Doe"), "there is no terminal to ask at"),
    ):
        done = both.run("consent", COMPANIES, *arguments)
        assert done.exit_code == 2
        assert line in done.stderr
    assert not (both.root / "data" / "consents.json").exists()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("consent", "nonsense"),
            "no enrichment has this name or id; known: account-engagement, company-data",
        ),
        (("consent", COMPANIES, "--as-administrator"), "company-data: needs no administrator's consent"),
        (("consent", COMPANIES, "--request"), "company-data: needs no administrator's consent"),
        (("consent", OFFICE, "--output", "x"), "--output is where --request writes"),
        (("consent", "--withdraw"), "Name the enrichment"),
        (("consent", OFFICE, "--withdraw", "--yes"), "different things"),
    ],
)
def test_wrong_calls(both: Workspace, arguments: tuple[str, ...], line: str) -> None:
    done = both.run(*arguments)
    assert done.exit_code == 2
    assert line in done.stderr


def test_the_list_says_how_all_stand(both: Workspace) -> None:
    listed = succeeds(both, "consent")["enrichments"]
    assert [(entry["enrichment_id"], entry["state"]) for entry in listed] == [
        (OFFICE, "waiting_for_consent"),
        (COMPANIES, "waiting_for_consent"),
    ]
    succeeds(both, "consent", OFFICE, *AGREED)
    done = both.run("consent")
    assert "Account engagement (office): waiting for administrator" in done.stdout
    assert "consent: given by Jane Doe on" in done.stdout
    assert "tenant_consent: not given" in done.stdout
    assert f"ask him with `engagement consent {OFFICE} --request`" in done.stdout


# --- what asks again


def other_service(raw: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    environment["ENGAGEMENT_LEADSPACE_URL"] = "https://elsewhere.example"


def other_words(raw: dict[str, Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "LEADSPACE", statements.LEADSPACE + " Or so.")


Change = Callable[[dict[str, Any], dict[str, str], pytest.MonkeyPatch], object]


def in_companies(**keys: Any) -> Change:
    return lambda raw, environment, monkeypatch: raw["enrichments"][1].update(keys)


def in_office(**keys: Any) -> Change:
    return lambda raw, environment, monkeypatch: raw["enrichments"][0].update(keys)


def in_reporting(**keys: Any) -> Change:
    return lambda raw, environment, monkeypatch: raw["reporting"].update(keys)


def change(workspace: Workspace, how: Change, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace.root / "enrichments.yml"
    raw = yaml.safe_load(path.read_text("utf-8"))
    how(raw, workspace.environment, monkeypatch)
    path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")


@pytest.mark.parametrize(
    "how",
    [
        in_companies(mapping={"company_name": "name", "website": "website"}),
        in_companies(mapping={"company_name": "name", "website": "country", "country": "website"}),
        in_companies(dataset="segment:stale"),
        other_service,
        other_words,
    ],
)
def test_what_leaves_and_to_where_asks_again_and_nothing_is_sent(
    both: Workspace, leadspace: LeadspaceHandle, monkeypatch: pytest.MonkeyPatch, how: Change
) -> None:
    succeeds(both, "consent", COMPANIES, *AGREED)
    change(both, how, monkeypatch)
    assert succeeds(both, "extract", "customers")["accounts"] == 2
    done = both.run("extract", "leadspace")
    assert done.exit_code == 2
    assert "waits for consent (consent was given to another statement than today's)" in done.stderr
    assert both.run("check", "--connect").exit_code == 2
    assert leadspace.requests == []
    asked = both.run("consent", COMPANIES)
    assert asked.exit_code == 2
    assert "It has changed since it was agreed to:\n  - " in asked.stdout
    succeeds(both, "consent", COMPANIES, *AGREED)
    assert state(both, COMPANIES) == "given"


@pytest.mark.parametrize(
    "how",
    [
        in_companies(output_table="Firms"),
        in_companies(refresh="daily"),
        in_companies(active=False),
        in_companies(max_age="30 days", endpoint="bulk"),
        in_office(output_table="Mail"),
        in_office(addresses=[f"SALES@{OURS}", f"anna@{OURS}", f"sales@{OURS}"]),
        in_office(domain_matching=True, tolerated_failures=0.5, refresh="daily"),
        lambda raw, environment, monkeypatch: raw["reporting"].update(time_zone="Europe/Berlin"),
        lambda raw, environment, monkeypatch: environment.update(
            ENGAGEMENT_LEADSPACE_URL="http://localhost:1"
        ),
    ],
)
def test_what_does_not_matter_does_not_ask_again(
    both: Workspace, monkeypatch: pytest.MonkeyPatch, how: Change
) -> None:
    agree_to_all(both)
    change(both, how, monkeypatch)
    assert (state(both, OFFICE), state(both, COMPANIES)) == ("given", "given")


@pytest.mark.parametrize(
    "how",
    [
        in_office(addresses=[f"anna@{OURS}", f"emea@{OURS}"]),
        in_office(addresses=[f"anna@{OURS}", f"sales@{OURS}", f"eve@{OURS}"]),
        in_office(retention="760 days"),
        in_office(source={"data_connect": "exports"}),
        in_office(opt_out={"path": "accounts.csv"}),
        lambda raw, environment, monkeypatch: raw["reporting"].update(user_table=False),
        lambda raw, environment, monkeypatch: environment.update(
            ENGAGEMENT_GRAPH_URL="https://graph.example"
        ),
        lambda raw, environment, monkeypatch: monkeypatch.setattr(
            graph_requests, "MESSAGE_SELECT", graph_requests.MESSAGE_SELECT + ",subject"
        ),
    ],
)
def test_whose_mail_and_what_of_it_asks_again_and_nothing_is_requested(
    both: Workspace, mail: Handle, monkeypatch: pytest.MonkeyPatch, how: Change
) -> None:
    (both.root / "exports").mkdir()
    agree_to_all(both)
    change(both, how, monkeypatch)
    done = both.run("extract", "office")
    assert done.exit_code == 2
    assert "waits for consent and tenant_consent" in done.stderr
    assert both.run("doctor").exit_code == 2
    assert mail.requests == []


def test_what_would_be_published_otherwise_than_agreed_to_is_not(
    both: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(both, in_reporting(small_numbers="band", k=5, user_table=False), monkeypatch)
    agree_to_all(both)

    def has_outputs() -> tuple[str, bool]:
        given = both.settings(services=()).consents[OFFICE]
        return given.state, given.has_outputs

    assert has_outputs() == ("given", True)
    change(both, in_office(retention="760 days"), monkeypatch)
    assert has_outputs() == ("waiting_for_consent", True)
    for keys in ({"small_numbers": "show"}, {"small_numbers": "band", "k": 4}, {"k": 5, "user_table": True}):
        change(both, in_reporting(**keys), monkeypatch)
        assert has_outputs() == ("waiting_for_consent", False)
    change(both, in_reporting(user_table=False), monkeypatch)
    assert has_outputs() == ("waiting_for_consent", True)
    assert both.settings(services=()).consents[COMPANIES].has_outputs


def test_a_file_of_addresses_is_agreed_to_as_a_list_is(both: Workspace, leadspace: LeadspaceHandle) -> None:
    path = both.root / "people.csv"
    path.write_text(f"address\nanna@{OURS}\nsales@{OURS}\n")
    configure(both, leadspace, office={"addresses": {"path": "people.csv"}})
    agree_to_all(both)
    path.write_text(f"team,address\nx,sales@{OURS}\ny,Anna@{OURS}\n")
    assert state(both, OFFICE) == "given"
    path.write_text(f"address\nanna@{OURS}\nsales@{OURS}\neve@{OURS}\n")
    assert state(both, OFFICE) == "waiting_for_consent"
    # Where it cannot be read nobody's mail can be, and that is what is said.
    path.write_text("address\nnonsense\n")
    done = both.run("extract", "office")
    assert done.exit_code == 2
    assert "people.csv line 2: not an e-mail address" in done.stderr
    assert "nothing to agree to" in both.run("consent", OFFICE).stderr


# --- enrichments.yml


def block(day: int = 5, by: str = "Configurer", **also: str) -> dict[str, Any]:
    return {"by": by, "on": date(2026, 1, day), **also}


def test_a_block_is_pinned_to_the_statement_in_force(both: Workspace, leadspace: LeadspaceHandle) -> None:
    both.environment["LEADSPACE_TOKEN"] = LEADSPACE_TOKEN
    configure(both, leadspace, consent=block())
    # Looking stores nothing.
    assert both.run("check").exit_code == both.run("status").exit_code == 0
    assert not (both.root / "data" / "consents.json").exists()
    succeeds(both, "extract", "customers")
    [record] = records(both)
    assert (record["source"], record["by"], record["on"]) == ("enrichments.yml", "Configurer", "2026-01-05")
    mapping = {"company_name": "name"}
    configure(both, leadspace, consent=block(), mapping=mapping)
    assert state(both, COMPANIES) == "waiting_for_consent"
    assert both.run("extract", "leadspace").exit_code == 2
    assert leadspace.requests == []
    # Another date, another person or the statement's hash agree to it.
    statement = both.settings(services=()).consents[COMPANIES].statement
    assert statement is not None
    for given in (block(6), block(by="Other"), block(statement=statement.hash)):
        configure(both, leadspace, consent=given, mapping=mapping)
        assert state(both, COMPANIES) == "given"
    succeeds(both, "extract", "leadspace")
    assert len(records(both)) == 2
    # The way back asks again as well.
    configure(both, leadspace, consent=block(statement=statement.hash))
    assert state(both, COMPANIES) == "waiting_for_consent"
    configure(both, leadspace, consent=block())
    assert state(both, COMPANIES) == "waiting_for_consent"
    # `engagement consent` gives it in spite of the block.
    succeeds(both, "consent", COMPANIES, *AGREED)
    assert state(both, COMPANIES) == "given"


def test_a_block_that_was_there_before_a_change_does_not_agree_to_it(
    both: Workspace, leadspace: LeadspaceHandle
) -> None:
    succeeds(both, "consent", COMPANIES, *AGREED)
    configure(both, leadspace, consent=block())
    succeeds(both, "extract", "customers")
    configure(both, leadspace, consent=block(), mapping={"company_name": "name"})
    assert state(both, COMPANIES) == "waiting_for_consent"


def test_a_block_with_another_statement(both: Workspace, leadspace: LeadspaceHandle) -> None:
    configure(both, leadspace, consent=block(statement="0" * 32))
    done = both.run("extract", "leadspace")
    assert done.exit_code == 2
    assert "waits for consent (consent.statement is the hash of another statement)" in done.stderr
    assert leadspace.requests == []
    assert not both.settings(services=()).consents[COMPANIES].has_outputs
    configure(both, leadspace, consent=block(statement="soon"))
    with pytest.raises(ConfigurationError) as caught:
        both.settings()
    assert caught.value.findings == (
        "enrichments[1].consent.statement: 'soon' is not allowed; allowed: the hash of a statement, as"
        " `engagement consent` prints it",
    )


def test_a_block_that_is_taken_out_withdraws(both: Workspace, leadspace: LeadspaceHandle) -> None:
    configure(both, leadspace, consent=block())
    succeeds(both, "extract", "customers")
    configure(both, leadspace)
    assert state(both, COMPANIES) == "withdrawn"
    assert "taken out of enrichments.yml" in both.run("consent").stdout
    succeeds(both, "extract", "customers")
    assert [record["action"] for record in records(both)] == ["given", "withdrawn"]
    # The same block is the one that was withdrawn; another is another.
    configure(both, leadspace, consent=block())
    assert state(both, COMPANIES) == "withdrawn"
    configure(both, leadspace, consent=block(6))
    assert state(both, COMPANIES) == "given"
    # What the command gave is not taken back with the block.
    succeeds(both, "consent", COMPANIES, "--withdraw")
    assert state(both, COMPANIES) == "withdrawn"
    succeeds(both, "consent", COMPANIES, *AGREED)
    configure(both, leadspace)
    assert state(both, COMPANIES) == "given"


# --- the record


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"[]", b'{"records": [{"enrichment_id": "x"}]}', b"{" * 100_000, b"\xff"]
)
def test_a_damaged_record_is_no_consent(
    both: Workspace, mail: Handle, leadspace: LeadspaceHandle, content: bytes
) -> None:
    agree_to_all(both)
    path = both.root / "data" / "consents.json"
    path.write_bytes(content)
    for arguments in (
        ("run",),
        ("extract", "office"),
        ("publish",),
        ("consent", OFFICE, *AGREED),
        ("doctor",),
    ):
        done = both.run(*arguments)
        assert done.exit_code == 2
        assert (
            "consents.json: cannot be read (not what was written there), so nobody has consented"
            in done.stderr
        )
        assert len(done.stderr.splitlines()) == 2
    assert path.read_bytes() == content
    assert mail.requests == leadspace.requests == []


def test_the_audit_names_nobody(both: Workspace) -> None:
    agree_to_all(both)
    both.run("consent", OFFICE, "--request")
    succeeds(both, "consent", OFFICE, "--withdraw", "--by", "Jane Doe")
    settings = both.settings(services=())
    events = audit.events(settings)
    hashes = {key: given.statement.hash[:8] for key, given in settings.consents.items() if given.statement}
    assert [(event["action"], event["enrichment_id"], event["detail"]) for event in events] == [
        ("consent_given", OFFICE, f"consent, statement {hashes[OFFICE]}"),
        ("consent_given", OFFICE, f"tenant_consent, statement {hashes[OFFICE]}"),
        ("consent_given", COMPANIES, f"consent, statement {hashes[COMPANIES]}"),
        ("consent_requested", OFFICE, f"tenant_consent, statement {hashes[OFFICE]}"),
        ("consent_withdrawn", OFFICE, f"consent, statement {hashes[OFFICE]}"),
    ]
    assert "Jane" not in settings.audit_file.read_text()


def test_all_of_an_enrichment_is_withdrawn(both: Workspace, leadspace: LeadspaceHandle) -> None:
    agree_to_all(both)
    consent.withdraw_all(both.settings(services=()), OFFICE)
    assert [standing.state for standing in both.settings(services=()).consents[OFFICE].standings] == [
        "withdrawn",
        "withdrawn",
    ]
    consent.withdraw_all(both.settings(services=()), OFFICE)
    consent.withdraw_all(both.settings(services=()), "never-there")
    # Also of one that is configured no more.
    both.configure()
    consent.withdraw_all(both.settings(services=()), COMPANIES)
    ledger = consents.read(both.settings(services=()).consents_file)
    assert [record.action for record in ledger.records] == 3 * ["given"] + 3 * ["withdrawn"]


# --- the administrator


def test_the_message_to_the_administrator(both: Workspace) -> None:
    path = both.root / "message.txt"
    path.write_text("before")
    done = both.run("consent", OFFICE, "--request", "--output", str(path))
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    tenant, client = both.environment["AZURE_TENANT_ID"], both.environment["AZURE_CLIENT_ID"]
    statement = both.settings(services=()).consents[OFFICE].statement
    assert statement is not None
    for words in (
        statement.text,
        statement.hash,
        f"/{tenant}/adminconsent?client_id={client}",
        "User.Read.All, GroupMember.Read.All",
        "Application Mail.ReadBasic, Application Calendars.Read",
        *doctor.grant_lines(client, (graph_requests.MAIL_ROLE, graph_requests.CALENDAR_ROLE)),
        "New-ServicePrincipal",
        "New-ManagementScope",
        "New-ManagementRoleAssignment",
        "Test-ServicePrincipalAuthorization",
        doctor.TRAP,
        "engagement doctor",
        *doctor.withdraw_lines(),
        f"  anna@{OURS}\n  sales@{OURS}\n",
        "this message names them",
    ):
        assert words in text
    for secret in (both.environment["AZURE_CLIENT_SECRET"], LEADSPACE_TOKEN):
        assert secret not in text + done.output
    assert f"anna@{OURS}" not in done.output
    # The permissions and lines are those of the documentation.
    documented = (ROOT / "docs" / "permissions.md").read_text()
    for line in (
        *doctor.grant_lines("<client id>", (graph_requests.MAIL_ROLE, graph_requests.CALENDAR_ROLE)),
        *doctor.withdraw_lines(),
        graph_requests.USER_READ,
        graph_requests.GROUP_READ,
        graph_requests.HIDDEN_MEMBERS_PERMISSION,
    ):
        assert line in documented
    assert state(both, OFFICE) == "waiting_for_consent"


def test_the_message_without_ids_for_one_group_and_for_an_export(
    both: Workspace, leadspace: LeadspaceHandle
) -> None:
    del both.environment["AZURE_TENANT_ID"], both.environment["AZURE_CLIENT_ID"]
    del both.environment["ENGAGEMENT_AUTHORITY_URL"]
    configure(both, leadspace, office={"addresses": [f"sales@{OURS}"]})
    text = both.run("consent", OFFICE, "--request").stdout
    assert "https://login.microsoftonline.com/<tenant id>/adminconsent?client_id=<client id>" in text
    assert f'Get-DistributionGroup -Identity "sales@{OURS}"' in text
    (both.root / "exports").mkdir()
    configure(both, leadspace, office={"source": {"data_connect": "exports"}})
    text = both.run("consent", OFFICE, "--request").stdout
    assert "Microsoft Graph Data Connect" in text
    assert "New-ManagementScope" not in text and "adminconsent" not in text
    assert both.run("consent", OFFICE, "--request", "--output", "/nowhere/x").exit_code == 2


def test_the_hub_waits_for_the_administrator(both: Workspace, mail: Handle) -> None:
    succeeds(both, "consent", OFFICE, *AGREED)
    done = both.run("run")
    assert done.exit_code == 2
    assert "waits for tenant_consent, the administrator's; ask him with" in done.stderr
    assert mail.requests == []
    [office, companies] = succeeds(both, "status")["enrichments"]
    assert (office["status"], companies["status"]) == ("waiting_for_administrator", "waiting_for_consent")
    assert "the administrator's" in office["detail"]


# --- withdrawn


@pytest.fixture(scope="module")
def refreshed(
    mail: Handle, leadspace: LeadspaceHandle, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    """Both enrichments, consented to, after a whole refresh."""
    workspace = Workspace(tmp_path_factory.mktemp("refreshed"), agrees_anew=False)
    workspace.connect_to(mail)
    configure(workspace, leadspace)
    agree_to_all(workspace)
    process = workspace.start("run")
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    return workspace


@pytest.fixture
def published(refreshed: Workspace, mail: Handle, leadspace: LeadspaceHandle, tmp_path: Path) -> Workspace:
    """The same in a folder of its own."""
    copy = Workspace(tmp_path / "copy", agrees_anew=False)
    configure(copy, leadspace)
    copy.environment |= {
        name: value for name, value in refreshed.environment.items() if name.endswith("_URL")
    }
    for folder in ("data", "target"):
        shutil.copytree(refreshed.root / folder, copy.root / folder, dirs_exist_ok=True)
    mail.requests.clear()
    leadspace.requests.clear()
    return copy


def tables_with(workspace: Workspace, enrichment_id: str) -> dict[str, int]:
    """Every table and view of the published file that names an enrichment, with its rows of this one."""
    found = {}
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        for schema, table, column in connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns()"
            " where not internal and column_name like '%enrichment_id'"
        ).fetchall():
            row = connection.execute(
                f'select count(*) from "{schema}"."{table}" where "{column}" = ?', [enrichment_id]
            ).fetchone()
            assert row is not None
            if row[0]:
                found[table] = row[0]
    return found


def read(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def output_tables(workspace: Workspace) -> set[str]:
    return {
        row[0]
        for row in read(workspace, "select view_name from duckdb_views() where schema_name = 'enrichment'")
    }


@pytest.mark.long
def test_everything_is_there_before(published: Workspace) -> None:
    assert {"account_engagement", "office_coverage", "original_user_entity", "office_days"} <= set(
        tables_with(published, OFFICE)
    )
    assert {"account_lookups", "leadspace_companies", "enriched_customers"} <= set(
        tables_with(published, COMPANIES)
    )
    assert output_tables(published) == {"Office", "Office_UserEntity", "Leadspace"}


@pytest.mark.long
def test_a_run_takes_out_mail_that_is_consented_to_no_more(
    published: Workspace, mail: Handle, leadspace: LeadspaceHandle
) -> None:
    before = tables_with(published, OFFICE), tables_with(published, COMPANIES)
    done = published.run("consent", OFFICE, "--withdraw", "--as-administrator")
    assert done.exit_code == 0
    assert f"until `engagement remove {OFFICE}`" in done.stdout
    [office, _] = succeeds(published, "status")["enrichments"]
    assert office["status"] == "withdrawn"
    assert "the next `engagement run` takes out what is still published of it" in office["detail"]
    # A timer does not wait until it is due.
    done = published.run("run", "--if-due")
    assert done.exit_code == 0, done.stderr
    assert mail.requests == []
    assert set(tables_with(published, OFFICE)) <= HISTORY
    assert output_tables(published) == {"Leadspace"}
    assert read(published, "select enrichment_id, enrichment_status from marts.enrichments order by 1") == [
        (OFFICE, "withdrawn"),
        (COMPANIES, "successful"),
    ]
    assert read(
        published,
        "select count(*), count(lookup_status), count(engagement_score), count(last_email_on)"
        " from marts.enriched_customers",
    ) == [(2, 2, 0, 0)]
    assert set(tables_with(published, COMPANIES)) == set(before[1])
    # What was read stays in the private file.
    assert published.query("select count(*) > 0 from raw.office_messages") == [(True,)]
    [office, _] = succeeds(published, "status")["enrichments"]
    assert "takes out" not in office["detail"]
    assert published.run("run", "--if-due").stdout.startswith("not due before")
    # Given again, it is all back.
    succeeds(published, "consent", OFFICE, "--as-administrator", *AGREED)
    assert published.run("run").exit_code == 0
    after = tables_with(published, OFFICE)
    assert {table: rows for table, rows in after.items() if table not in HISTORY} == {
        table: rows + (table == "enriched_accounts_over_time")
        for table, rows in before[0].items()
        if table not in HISTORY
    }


@pytest.mark.long
def test_publishing_takes_out_company_data_that_is_consented_to_no_more(
    published: Workspace, leadspace: LeadspaceHandle
) -> None:
    before = tables_with(published, OFFICE)
    succeeds(published, "consent", COMPANIES, "--withdraw")
    done = published.run("publish")
    assert done.exit_code == 0, done.stderr
    assert leadspace.requests == []
    assert set(tables_with(published, COMPANIES)) <= HISTORY
    assert output_tables(published) == {"Office", "Office_UserEntity"}
    assert {
        table: rows for table, rows in tables_with(published, OFFICE).items() if table not in HISTORY
    } == {table: rows for table, rows in before.items() if table not in HISTORY}
    assert read(published, "select distinct lookup_status, industry from marts.enriched_customers") == [
        (None, None)
    ]
    assert read(published, "select enrichment_status, accounts_count from marts.enrichments") == [
        ("successful", 2),
        ("withdrawn", 0),
    ]
    assert published.query("select count(*) > 0 from raw.leadspace_responses") == [(True,)]


@pytest.mark.long
def test_where_nobody_consents_any_more_a_run_takes_out_all(
    published: Workspace, mail: Handle, leadspace: LeadspaceHandle
) -> None:
    succeeds(published, "consent", OFFICE, "--withdraw")
    succeeds(published, "consent", COMPANIES, "--withdraw")
    done = published.run("run")
    assert done.exit_code == 0, done.stderr
    assert mail.requests == leadspace.requests == []
    for enrichment_id in (OFFICE, COMPANIES):
        assert set(tables_with(published, enrichment_id)) <= HISTORY
    assert output_tables(published) == set()
    assert read(published, "select as_of_date from marts.publication") == [(None,)]
    assert read(published, "select count(*) from marts.audit_events where action = 'consent_withdrawn'") == [
        (2,)
    ]
    # Then there is nothing left to do.
    done = published.run("run")
    assert done.exit_code == 2
    assert "nothing to do; no office or leadspace enrichment is active" in done.stderr


@pytest.mark.long
def test_what_is_paused_or_asked_again_keeps_its_last_data(
    published: Workspace, leadspace: LeadspaceHandle
) -> None:
    before = tables_with(published, COMPANIES)
    configure(published, leadspace, mapping={"company_name": "name"}, office={"active": False})
    assert published.run("run").exit_code == 2
    # Whoever builds by himself publishes it as it was.
    assert published.run("publish").exit_code == 0
    assert tables_with(published, COMPANIES).keys() == before.keys()
    assert output_tables(published) == {"Office", "Office_UserEntity", "Leadspace"}
    [office, companies] = succeeds(published, "status")["enrichments"]
    assert (office["status"], companies["status"]) == ("successful", "waiting_for_consent")


def test_nothing_is_published_of_what_is_withdrawn_while_a_run_goes_on(both: Workspace) -> None:
    agree_to_all(both)
    settings = both.settings(services=())
    consent.require_outputs(settings)
    succeeds(both, "consent", OFFICE, "--withdraw")
    with pytest.raises(ConfigurationError, match="withdrawn while this was going on; nothing is published"):
        consent.require_outputs(settings)
    consent.require_outputs(both.settings(services=()))


def test_who_was_monitored_with_a_consent_that_is_gone_is_no_finding(both: Workspace) -> None:
    agree_to_all(both)

    def findings() -> list[tuple[Any, ...]]:
        settings = both.settings(services=())
        with warehouse.private_file(settings) as connection:
            warehouse.save_settings(connection, settings, key_check="k")
            customers.refresh_issues_of_own_people(connection)
            return connection.execute("select issue, subject_id from raw.customer_issues").fetchall()

    with warehouse.private_file(both.settings(services=())) as connection:
        connection.execute(
            "insert into raw.office_mailboxes (enrichment_id, mailbox_id, address_keys, state)"
            f" values ('{OFFICE}', 1, [7], 'readable')"
        )
        connection.execute(
            "insert into raw.contacts (contact_id, account_id, address_key) values ('C1', 'A1', 7)"
        )
    assert findings() == [("contact_is_monitored", "C1")]
    succeeds(both, "consent", OFFICE, "--withdraw")
    assert findings() == []
