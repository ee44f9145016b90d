"""What can be enriched: for each type what it adds, needs, sends and may, and the lines that switch it on.

Nothing is said here that stands elsewhere: the lines are read as enrichments.yml is, the statement is the one that
would be agreed to for them, and limits are those that the code keeps to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from engagement import consents
from engagement.configuration.customers import ContactsFile
from engagement.configuration.enrichments import (
    LARGEST_SELECTION,
    SMALLEST_SELECTION,
    AnyEnrichment,
    Enrichment,
)
from engagement.configuration.reporting import Reporting
from engagement.configuration.sign_in import GRAPH_SECRETS, LEADSPACE_SECRETS
from engagement.configuration.urls import DEFAULT_GRAPH_URL, DEFAULT_LEADSPACE_URL
from engagement.leadspace.client import LARGEST_BULK
from engagement.leadspace.pace import CALLS_PER_WINDOW
from engagement.pages.enrichments import COMPANY_FILE, LEADSPACE, LEADSPACE_CONTACTS, OFFICE
from engagement.statements import statement_of

_EXAMPLES = Path(__file__).parent / "examples"
# The columns that a contact file has in the examples, as in the enrichments.yml that is shipped.
_CONTACTS = ContactsFile(path="contacts.csv", id="contact_id", account="account_id", email="email")

_ADDS = {
    OFFICE: (
        "E-mails and meetings with every customer by year, month and week, an engagement score from 0 to 100, and "
        "who has gone silent. From the mailboxes and calendars of chosen people at Microsoft 365."
    ),
    LEADSPACE: "Size, industry, place, revenue, technologies, intent and family tree of every customer.",
    LEADSPACE_CONTACTS: (
        "Title, department and level of your contacts, and whether their addresses and employment still hold."
    ),
    COMPANY_FILE: "What a file of your own knows about customers, under their account ids: nothing has to be matched.",
}

_LEAVES = {
    OFFICE: "Nothing leaves. What is read stays on the machine where runs take place; counts are published.",
    LEADSPACE: "Name, website and country of customers leave for Leadspace, a third party. Contacts never do.",
    LEADSPACE_CONTACTS: (
        "Names and e-mail addresses of contacts leave for Leadspace, a third party: these are personal data."
    ),
    COMPANY_FILE: "Nothing leaves.",
}

_LIMITS = {
    OFFICE: (
        f"{SMALLEST_SELECTION} to {LARGEST_SELECTION:,} people in all; groups are resolved.",
        "The score and the customer card look at the last 365 days.",
    ),
    LEADSPACE: (
        "The company's name, and at most website and country beside it.",
        f"{CALLS_PER_WINDOW} calls a second, each for one customer or for up to {LARGEST_BULK}.",
        "A lookup costs a credit; the estimate of `engagement extract leadspace --estimate` costs none.",
    ),
    LEADSPACE_CONTACTS: (
        f"{CALLS_PER_WINDOW} calls a second, each for one contact or for up to {LARGEST_BULK}.",
        "A lookup costs a credit.",
        "Nothing is published of a person unless `publish` is true.",
    ),
    COMPANY_FILE: ("CSV, Parquet or a table of a DuckDB file.",),
}

_SECRETS: dict[str, tuple[str, ...]] = {
    OFFICE: GRAPH_SECRETS,
    LEADSPACE: LEADSPACE_SECRETS,
    LEADSPACE_CONTACTS: LEADSPACE_SECRETS,
    COMPANY_FILE: (),
}

_CONSENTS = {
    consents.CONFIGURER: "yours, as the one who sets it up",
    consents.ADMINISTRATOR: "that of the Microsoft 365 tenant administrator",
}


@dataclass(frozen=True)
class Type:
    """One type of enrichment. `statement` is by heading what is agreed to for the lines of `example`, `consents` says
    whose agreement it takes, `secrets` are the variables of the environment that it needs.
    """

    name: str
    adds: str
    leaves: str
    limits: tuple[str, ...]
    consents: tuple[str, ...]
    secrets: tuple[str, ...]
    example: str
    statement: Mapping[str, str]


@cache
def types() -> tuple[Type, ...]:
    """All of them, in the order of the original's tiles, our own after them."""
    return tuple(_type(name) for name in (OFFICE, LEADSPACE, LEADSPACE_CONTACTS, COMPANY_FILE))


def enrichment_of(example: str) -> AnyEnrichment:
    """The enrichment that these lines configure; pydantic's ValidationError where enrichments.yml would refuse them."""
    [entry] = yaml.safe_load(example)
    enrichment: AnyEnrichment = TypeAdapter(Enrichment).validate_python(entry)
    return enrichment


def _type(name: str) -> Type:
    example = (_EXAMPLES / f"{name}.yml").read_text("utf-8")
    enrichment = enrichment_of(example)
    statement = statement_of(
        enrichment,
        Reporting(),
        _EXAMPLES,
        graph_url=DEFAULT_GRAPH_URL,
        leadspace_url=DEFAULT_LEADSPACE_URL,
        contacts=_CONTACTS,
        company_name="name",
    )
    return Type(
        name=name,
        adds=_ADDS[name],
        leaves=_LEAVES[name],
        limits=_LIMITS[name],
        consents=tuple(_CONSENTS[kind] for kind in enrichment.consents),
        secrets=_SECRETS[name],
        example=example,
        statement=_by_heading(statement.text if statement else ""),
    )


def _by_heading(text: str) -> dict[str, str]:
    """A statement's sections: headings begin their lines, what stands below them is set in."""
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith(" "):
            sections[next(reversed(sections))].append(line.strip())
        else:
            sections[line] = []
    return {heading: "\n".join(lines) for heading, lines in sections.items()}
