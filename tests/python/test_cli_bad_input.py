"""Bad input at the command: one clear line each, the right exit code, the published file untouched."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from conftest import (
    ACCOUNTS,
    CONTACTS,
    OURS,
    ROOT,
    SENTINEL,
    Workspace,
    emulated,
    holding_open,
    small_tenant,
    write_csv,
)
from emulators.graph import Handle
from engagement import errors, run_state
from engagement.cli import cli
from engagement.warehouse import utc_now

# Ctrl-C and SIGTERM, as a shell counts them.
SIGNALS = (130, 143)

Spoil = Callable[[Workspace], object]


def unset(*names: str) -> Spoil:
    return lambda workspace: [workspace.environment.pop(name) for name in names]


def configured(**office: Any) -> Spoil:
    return lambda workspace: workspace.configure(**office)


def customers_with(table: str, rows: list[dict[str, str]], columns: dict[str, str]) -> Spoil:
    return lambda workspace: write_csv(workspace.root / f"{table}.csv", rows, list(columns))


BAD_INPUT: dict[str, tuple[Spoil, int, str]] = {
    "an unknown key": (
        configured(adresses=[]),
        2,
        "enrichments[0].adresses: unknown key; did you mean addresses?",
    ),
    "a missing file": (
        lambda workspace: (workspace.root / "contacts.csv").unlink(),
        2,
        "customers.contacts.path: 'contacts.csv' does not exist",
    ),
    "a wrong type": (
        configured(active="on"),
        2,
        "enrichments[0].active: 'on' is not allowed; allowed: true or false",
    ),
    "a missing secret": (
        unset("AZURE_CLIENT_SECRET"),
        2,
        "environment: AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH not set",
    ),
    "a secret and a certificate": (
        lambda workspace: workspace.environment.update(AZURE_CLIENT_CERTIFICATE_PATH="app.pem"),
        2,
        "environment: AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE_PATH are both set; keep one of them",
    ),
    "no configuration": (
        lambda workspace: (workspace.root / "enrichments.yml").unlink(),
        2,
        "enrichments.yml: no such file",
    ),
    "an account id twice": (
        customers_with("accounts", [*ACCOUNTS, ACCOUNTS[0]], ACCOUNTS[0]),
        2,
        "accounts.csv: 1 account id given more than once, first 'A1'",
    ),
    "an empty contact list": (customers_with("contacts", [], CONTACTS[0]), 2, "contacts.csv: has no rows"),
    "an empty account list": (customers_with("accounts", [], ACCOUNTS[0]), 2, "accounts.csv: has no rows"),
    "a missing column": (
        lambda workspace: workspace.configure(lambda raw: raw["customers"]["contacts"].update(email="mail")),
        2,
        "contacts.csv: has no column 'mail' (customers.contacts.email); it has contact_id, account_id, email",
    ),
    "too few people": (configured(addresses=[f"anna@{OURS}"]), 2, "resolve to 1 people; allowed: 2 to 2,500"),
    "no consent": (configured(tenant_consent=None), 2, "waits for tenant_consent"),
    "a wrong secret": (
        lambda workspace: workspace.environment.update(AZURE_CLIENT_SECRET="wrong"),
        3,
        "AADSTS7000215; AZURE_CLIENT_SECRET is wrong",
    ),
    "a service that is down": (
        lambda workspace: workspace.environment.update(
            ENGAGEMENT_AUTHORITY_URL="http://127.0.0.1:9", ENGAGEMENT_RETRY_SECONDS="1"
        ),
        4,
        "Microsoft sign-in: POST /{tenant}/oauth2/v2.0/token failed (no connection)",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_each_gets_a_clear_line_and_its_code(connected: Workspace, case: str) -> None:
    spoil, code, said = BAD_INPUT[case]
    connected.leave_sentinel()
    spoil(connected)
    done = connected.run("run")
    assert done.exit_code == code, done.stderr
    lines = [line for line in done.stderr.splitlines() if said in line]
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr and f"@{OURS}" not in done.stderr
    assert connected.published_file.read_bytes() == SENTINEL


def test_a_permission_that_is_missing(workspace: Workspace) -> None:
    workspace.leave_sentinel()
    with emulated(small_tenant(), workspace, missing_permissions={"group"}):
        done = workspace.run("run")
    assert done.exit_code == 3
    assert "grant the app the permission GroupMember.Read.All" in done.stderr
    assert workspace.published_file.read_bytes() == SENTINEL


def test_a_permission_for_mail_that_is_missing(workspace: Workspace) -> None:
    with emulated(small_tenant(), workspace, missing_permissions={"calendar"}):
        done = workspace.run("extract", "office")
    assert done.exit_code == 3
    assert "grant the app the role Application Calendars.Read over a management scope" in done.stderr


def test_too_much_unread_publishes_nothing(connected: Workspace, graph: Handle) -> None:
    connected.leave_sentinel()
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    graph.fail(f"{graph.tenant.people[1].id}/calendarView", times=10**6, status=503)
    done = connected.run("run")
    assert done.exit_code == 5
    assert "error: Microsoft Graph: too many mailboxes not read whole; nothing is published" in done.stderr
    assert connected.published_file.read_bytes() == SENTINEL


def test_another_run_is_going_on(connected: Workspace) -> None:
    connected.leave_sentinel()
    settings = connected.settings()
    with run_state.single_run(settings, command="run"):
        done = connected.run("run")
    assert done.exit_code == 8
    assert re.search(
        r"run\.lock: another run is going on \(`engagement run`, process \d+, started", done.stderr
    )
    assert connected.published_file.read_bytes() == SENTINEL


def test_somebody_has_the_private_file_open(connected: Workspace) -> None:
    assert connected.run("extract", "customers").exit_code == 0
    with subprocess.Popen(
        holding_open(connected.private_file),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "open\n"
        done = connected.run("extract", "customers")
        other.communicate("\n")
    assert done.exit_code == 8
    assert f"private.duckdb: process {other.pid} (python3" in done.stderr
    assert "has the private file open; close it there" in done.stderr


def test_what_is_odd_but_not_wrong_is_said_and_goes_on(connected: Workspace) -> None:
    connected.configure(addresses=[f"anna@{OURS}", f"sales@{OURS}", f"Anna@{OURS}"])
    write_csv(connected.root / "accounts.csv", [*ACCOUNTS, {**ACCOUNTS[0], "account_id": "A3", "name": ""}])
    write_csv(
        connected.root / "contacts.csv", [*CONTACTS, {**CONTACTS[0], "contact_id": "C4", "account_id": "A2"}]
    )
    done = connected.run("extract", "customers")
    assert done.exit_code == 0
    assert done.stderr.splitlines() == [
        "warning: enrichments[0].addresses[2]: the same address as addresses[0]; it counts once,"
        " remove one of them",
        "warning: 1 account without a name; they are kept, name them",
        "warning: 2 contacts with an address that stands in several accounts; it counts for each of them",
    ]


def test_an_enrichment_without_consent_is_skipped_where_another_has_it(
    connected: Workspace, graph: Handle
) -> None:
    def add(raw: dict[str, Any]) -> None:
        other = {key: value for key, value in raw["enrichments"][0].items() if key != "consent"}
        raw["enrichments"].append(
            {**other, "name": "Other", "output_table": "Other", "addresses": [f"eve@{OURS}", f"ben@{OURS}"]}
        )

    connected.configure(add)
    done = connected.run("extract", "office")
    assert done.exit_code == 0
    assert (
        "skipped: enrichments[1] (other): waits for consent; read and agree with `engagement consent other`"
        in done.stderr
    )
    assert connected.query("select distinct enrichment_id from raw.office_mailboxes") == [
        ("account-engagement",)
    ]


def test_without_consent_nothing_is_requested(connected: Workspace, graph: Handle) -> None:
    connected.configure(consent=None, tenant_consent=None)
    assert connected.run("run").exit_code == 2
    checked = connected.run("check")
    assert checked.exit_code == 0
    assert "waits for consent and tenant_consent" in checked.stdout
    assert connected.run("check", "--connect").exit_code == 2
    assert graph.requests == []


def test_an_unforeseen_error_is_one_line_without_its_text(connected: Workspace) -> None:
    """The text of a foreign error may hold anything: here a folder where the lock file belongs."""
    (connected.root / "data" / "run.lock").mkdir(parents=True)
    done = connected.run("extract", "customers")
    assert done.exit_code == 1
    assert re.fullmatch(
        r"error: unexpected IsADirectoryError in engagement\.run_state line \d+; .*\n", done.stderr
    )


# --- check


def test_check_connect_lists_every_group_with_its_count(connected: Workspace) -> None:
    done = connected.run("check", "--connect")
    assert done.exit_code == 0
    assert "  enrichments[0].addresses[0]: person, 1 person\n" in done.stdout
    assert "  enrichments[0].addresses[1]: group, 3 people\n" in done.stdout
    assert "  Account engagement: 4 people in all (allowed: 2 to 2,500)\n" in done.stdout
    assert not connected.private_file.exists()


def test_check_connect_refuses_too_few(connected: Workspace) -> None:
    connected.configure(addresses=[f"anna@{OURS}"])
    done = connected.run("check", "--connect", "--json")
    assert done.exit_code == 2
    answer = json.loads(done.stdout)
    assert answer["enrichments"][0]["people"] == 1
    assert "allowed: 2 to 2,500" in answer["errors"][0]


def test_check_connect_says_which_address_exists_nowhere(connected: Workspace) -> None:
    connected.configure(addresses=[f"nobody@{OURS}", f"sales@{OURS}"])
    done = connected.run("check", "--connect")
    assert done.exit_code == 9
    assert "enrichments[0].addresses[0]: the directory knows neither" in done.stdout
    assert "nobody" not in done.stdout + done.stderr


def test_errors_as_json(connected: Workspace) -> None:
    connected.configure(adresses=[], refresh="never")
    done = connected.run("check", "--json")
    answer = json.loads(done.stdout)
    assert done.exit_code == answer["exit_code"] == 2
    assert len(answer["errors"]) == 3


# --- if due


def state_of_a_published_run(workspace: Workspace, *, days_ago: float) -> None:
    workspace.leave_sentinel()
    began = (utc_now() - timedelta(days=days_ago)).isoformat(timespec="seconds") + "Z"
    workspace.settings().run_state_file.write_text(
        json.dumps({"run_id": "r1", "published_run_started_at": began})
    )


def test_nothing_happens_before_it_is_due(workspace: Workspace) -> None:
    """The service is down, so anything that contacts it fails."""
    state_of_a_published_run(workspace, days_ago=6.9)
    done = workspace.run("run", "--if-due")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith("not due before ")
    workspace.configure(refresh="daily")
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    assert workspace.run("run", "--if-due").exit_code == 4


@pytest.mark.parametrize(
    ("refresh", "days_ago", "due"), [("manual", 1000, False), ("weekly", 7, True), ("monthly", 29, False)]
)
def test_when_it_is_due(workspace: Workspace, refresh: str, days_ago: float, due: bool) -> None:
    workspace.configure(refresh=refresh)
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    state_of_a_published_run(workspace, days_ago=days_ago)
    assert workspace.run("run", "--if-due").exit_code == (4 if due else 0)


def test_it_is_due_where_nothing_was_published(workspace: Workspace) -> None:
    workspace.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    assert workspace.run("run", "--if-due").exit_code == 4


# --- what may not be published


@pytest.mark.long
def test_a_failing_data_test_publishes_nothing(connected: Workspace) -> None:
    """The project with one more data test, which always fails."""
    project = connected.root / "project"
    project.mkdir()
    for name in ("models", "macros", "seeds", "dbt_project.yml", "profiles.yml"):
        (project / name).symlink_to(ROOT / name)
    (project / "tests" / "singular").mkdir(parents=True)
    (project / "tests" / "generic").symlink_to(ROOT / "tests" / "generic")
    (project / "tests" / "singular" / "nothing_may_be_published.sql").write_text("select 1 as reason")
    connected.environment["ENGAGEMENT_PROJECT_DIR"] = str(project)
    connected.leave_sentinel()
    done = connected.run("run")
    assert done.exit_code == 6, done.stderr
    assert "  test nothing_may_be_published: Got 1 result, configured to fail if != 0" in done.stderr
    assert connected.published_file.read_bytes() == SENTINEL
    assert run_state.read_run_state(connected.settings())["step"] == "dbt"


# --- the documentation


def test_the_table_of_errors_is_the_code() -> None:
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    documented = {
        (int(code), name)
        for code, name in re.findall(
            r"^\| (\d+) \| `?(\w*)`? *\|", text.partition("## Bad input")[0], re.MULTILINE
        )
    }
    in_code = {(kind.exit_code, kind.__name__) for kind in errors.EngagementError.__subclasses__()}
    assert documented == in_code | {(0, ""), (1, "EngagementError"), (9, "")} | {
        (code, "")
        for code in (
            errors.CHECKS_FAILED,
            errors.RUNS_NEED_ATTENTION,
            errors.DONE_WITH_FAILED_EXPORTS,
            *SIGNALS,
        )
    }
    codes = {name: {int(code) for code in found.split(", ")} for name, found in re.findall(
        r"^\| ([^|]+?) \| [^|]+ \| (\d(?:, \d)*) \|$", text.partition("## Bad input")[2], re.MULTILINE
    )}  # fmt: skip
    for case, (_, code, _) in BAD_INPUT.items():
        assert case in codes, f"docs/errors.md lacks {case!r}"
        assert code in codes[case], case


def test_every_command_has_help_with_an_example() -> None:
    def commands(group: Any) -> list[Any]:
        found = []
        for command in group.commands.values():
            found += [command, *(commands(command) if hasattr(command, "commands") else [])]
        return found

    for command in [cli, *commands(cli)]:
        assert command.help is not None and "Example" in command.help, command.name
