"""A whole refresh by the real command, carried out once in a test session, for all who look at what it left."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from conftest import OURS, Workspace, person, small_tenant
from emulators.firmographics import Company
from emulators.graph import Handle, running
from emulators.leadspace import Handle as LeadspaceHandle
from emulators.leadspace import running as running_leadspace
from engagement.errors import DONE_WITH_UNREAD_MAILBOXES
from made_once import made_once, session_folder
from quick_dbt import logged_whole

# Three entries for five people; the mailbox of fred is refused to the app.
ADDRESSES = [f"anna@{OURS}", f"sales@{OURS}", f"fred@{OURS}"]
COMPANIES = [
    Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals", employees=1200),
    Company("Nobody's Customer", "nobody.example", "France"),
]


@dataclass(frozen=True)
class Refreshed:
    """A workspace after one refresh, which nobody may change, and what the command printed."""

    workspace: Workspace
    stdout: str
    stderr: str


@contextmanager
def mail_service() -> Iterator[Handle]:
    tenant = small_tenant()
    tenant.people.append(person("fred", mailbox_state="denied"))
    with running(tenant) as handle:
        yield handle


@contextmanager
def company_service() -> Iterator[LeadspaceHandle]:
    with running_leadspace(COMPANIES, polls_before_done=0) as handle:
        yield handle


def configure(workspace: Workspace, mail_url: str, company_url: str) -> None:
    """Mail, calendars and company data, from services at these addresses."""
    workspace.environment["ENGAGEMENT_AUTHORITY_URL"] = mail_url
    workspace.environment["ENGAGEMENT_GRAPH_URL"] = mail_url
    workspace.enrich_companies(company_url, office={"addresses": ADDRESSES})


def refreshed_once(base: Path) -> Refreshed:
    """The refresh; `base` is pytest's folder (`getbasetemp`). Its services have ended."""

    def refresh(made: Path) -> None:
        workspace = Workspace(made / "workspace")
        with contextlib.ExitStack() as stack:
            mail, companies = stack.enter_context(mail_service()), stack.enter_context(company_service())
            configure(workspace, mail.url, companies.url)
            with logged_whole():
                done = workspace.run("run")
        assert done.exit_code == DONE_WITH_UNREAD_MAILBOXES, done.stderr
        assert set(companies.looked_up.values()) == {1}, "a customer was sent twice"
        left = {"environment": workspace.environment, "stdout": done.stdout, "stderr": done.stderr}
        (made / "left.json").write_text(json.dumps(left), encoding="utf-8")

    made = made_once(session_folder(base), "refreshed", refresh)
    left = json.loads((made / "left.json").read_text(encoding="utf-8"))
    return Refreshed(Workspace.found(made / "workspace", left["environment"]), left["stdout"], left["stderr"])
