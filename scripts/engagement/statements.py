"""The statement of an enrichment: what is read or leaves, to where, under whose responsibility, in plain words.

It is made from the configuration and holds what matters to whoever agrees, and nothing else: its hash is what a consent
is given to. So a changed word, mapping, destination, list or retention asks again, and a renamed table, another
refresh or a deactivated enrichment does not. No address stands in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from engagement.errors import ConfigurationError

if TYPE_CHECKING:
    from engagement.configuration.customers import ContactsFile
    from engagement.configuration.enrichments import (
        AnyEnrichment,
        LeadspaceContactsEnrichment,
        LeadspaceEnrichment,
        OfficeEnrichment,
    )
    from engagement.configuration.reporting import Reporting

HASH_BYTES = 16
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")

OFFICE = """\
What is read
  Of every e-mail and calendar entry in the mailboxes of the people listed, these properties and no other:
  e-mails: {messages}
  calendar: {meetings}
  directory: {users}
  They say who wrote to whom and when, who was invited, by whom and for how long, and who answered how.
Whose
  {people} (list {selection}); a group stands for whoever is in it at the time of a run.
  {opt_out}
  No other mailbox is read.
From where to where
  From {source} to the private file of this project on the machine where the command runs, which its owner alone can
  read. Addresses and ids of messages are replaced by keyed hashes before they are stored; domains stay readable.
  Nothing is sent to anybody else.
What is never read
  Subjects, texts, attachments, places. Private and confidential calendar entries are dropped before anything is stored.
For how long
  {retention} days back, to the month; a run deletes what is older. Where consent is withdrawn, what was read before
  stays in the private file until it is removed (`engagement remove`).
What is published
  Numbers by customer account: counts, dates, averages, a score. No e-mail, no address and no key of a person.
  {small_numbers}
  {user_table}
Who is responsible
  Your organisation. It decides that this is done, and answers for it to the people whose mail is counted: that they
  were told, and that works council and law allow it. Whoever agrees says that he may decide so.
How to withdraw
  `engagement consent NAME --withdraw`, with --as-administrator for the administrator's, at any time and without a
  reason. From then on nothing is read, and the next command takes what was made of it out of the published file."""

LEADSPACE = """\
What leaves
  Of every customer of the data set, these columns of your customer file and no other:
  {columns}
  Data set: {dataset}.
  Names of companies may be names of people (sole traders), so that personal data may be among them.
To where
  To Leadspace ({host}), a third party with its own terms. What leaves is outside of your own systems from then on: what
  Leadspace stores of it, where and for how long is between your organisation and Leadspace.
What comes back
  Company data, for example size, place, industry and revenue, kept as received in the private file of this project and
  published in columns beside your customers, with how sure the match is.
What never leaves
  Contacts, addresses of people, anything of mail and calendars, any other column of your files.
Who is responsible
  Your organisation. The data are sent at its instruction, and it has to make sure that Leadspace meets its obligations
  of privacy and security. Whoever agrees says that he may decide so.
How to withdraw
  `engagement consent NAME --withdraw`, at any time and without a reason. From then on nothing is sent, and the next
  command takes what was made of it out of the published file. What was sent before is with Leadspace: ask there.
  Its answers stay in the private file until they are removed (`engagement remove`)."""


LEADSPACE_CONTACTS = """\
What leaves
  Personal data: of every contact of your contact file these columns, and no other:
  {columns}
  and beside them the name of the contact's company (column {company} of your customer file). They are read from the
  file when they are sent; no name and no address is stored here. Who was erased is never sent, nor is anybody whose
  mail is read.
To where
  To Leadspace ({host}), a third party with its own terms. What leaves is outside of your own systems from then on: what
  Leadspace stores of it, where and for how long is between your organisation and Leadspace.
What comes back
  Of each contact title, department, level, a word for whether the e-mail address works and one for whether he still
  works there. These are kept in the private file of this project under the contact's id, and nothing else of the answer
  is: no name, address, telephone number or profile. A value that holds one is dropped.
  It is deleted where the contact leaves the contact file, or is erased (`engagement erase ADDRESS`).
What is published
  {published}
Who is responsible
  Your organisation. The data are sent at its instruction, and it answers for it to the contacts: that the law allows
  it, and that they were told what is sent to whom and what for. Whoever agrees says that this is so, and that he may
  decide it.
How to withdraw
  `engagement consent NAME --withdraw`, at any time and without a reason. From then on nothing is sent, and the next
  command takes what was made of it out of the published file. What was sent before is with Leadspace: ask there.
  Its answers stay in the private file until they are removed (`engagement remove`)."""


COMPANY_FILE = """\
What is read
  These columns of your file {file}, by the accounts' ids:
  {columns}
  Nothing leaves this machine, and nobody is asked.
What is published
  These values beside your customers, with the source of each.
Who is responsible
  Your organisation. Whoever agrees says that it may use these data so.
How to withdraw
  `engagement consent NAME --withdraw`, at any time and without a reason. From then on the file is not read, and the
  next command takes what was made of it out of the published file."""


# Where the section of a statement begins that says what is published, and where the one after it does.
_PUBLISHED, _AFTER_PUBLISHED = "\nWhat is published\n", "\nWho is responsible\n"


class Selection(NamedTuple):
    """Whom an office enrichment lists: how many addresses, and a fingerprint of them."""

    addresses: int
    fingerprint: str


class Statement(NamedTuple):
    """A statement's words and their hash."""

    text: str
    hash: str


def statement_of(
    enrichment: AnyEnrichment,
    reporting: Reporting,
    folder: Path,
    *,
    graph_url: str,
    leadspace_url: str,
    contacts: ContactsFile,
    company_name: str,
) -> Statement | None:
    """The statement of an enrichment; None where its list of addresses cannot be read, and so nobody's mail can be.

    `folder` is that of enrichments.yml, `company_name` the column of the accounts' names.
    """
    if enrichment.type == "leadspace":
        text = _leadspace(enrichment, leadspace_url)
    elif enrichment.type == "leadspace_contacts":
        text = _leadspace_contacts(enrichment, contacts, company_name, leadspace_url)
    elif enrichment.type == "company_file":
        text = COMPANY_FILE.format(
            file=Path(enrichment.path).name,
            columns="\n  ".join(
                f"{column} (as {name})" for name, column in sorted(enrichment.columns.items())
            ),
        )
    else:
        selection = selection_of(enrichment, folder)
        if selection is None:
            return None
        text = _office(enrichment, reporting, selection, graph_url)
    return Statement(text, blake2b(text.encode(), digest_size=HASH_BYTES).hexdigest())


def publishes(text: str) -> str:
    """What a statement says is published; empty where it says nothing of it."""
    return text.partition(_PUBLISHED)[2].partition(_AFTER_PUBLISHED)[0]


def selection_of(enrichment: OfficeEnrichment, folder: Path) -> Selection | None:
    """Whom it lists, whatever the order, the case and how often; None where the file of addresses is wrong."""
    # They import the configuration, which imports this.
    from engagement.office.mailboxes import addresses_of_file

    if isinstance(enrichment.addresses, tuple):
        listed: Sequence[str] = enrichment.addresses
    else:
        try:
            path = folder / Path(enrichment.addresses.path).expanduser()
            listed = [entry.asked for entry in addresses_of_file(path, "addresses.path")]
        except ConfigurationError:
            return None
    once = sorted({address.lower() for address in listed})
    return Selection(len(once), blake2b("\n".join(once).encode(), digest_size=6).hexdigest())


def _office(enrichment: OfficeEnrichment, reporting: Reporting, selection: Selection, graph_url: str) -> str:
    from engagement.office import graph

    source = f"Microsoft Graph ({_host(graph_url)})"
    if enrichment.export is not None:
        source = "the files of a Microsoft Graph Data Connect export, which your organisation made"
    shown = "Small numbers are shown as they are: a count may stand for one person."
    if reporting.small_numbers != "show":
        shown = (
            f"Numbers of people are shown in bands, none of fewer than {reporting.k}"
            f" (mode {reporting.small_numbers})."
        )
    return OFFICE.format(
        messages=graph.MESSAGE_SELECT.replace(",", ", "),
        meetings=graph.MEETING_SELECT.replace(",", ", "),
        users=graph.USER_SELECT.replace(",", ", "),
        people=f"{selection.addresses:,} listed {'address' if selection.addresses == 1 else 'addresses'}",
        selection=selection.fingerprint,
        opt_out="Nobody can opt out: no list of people who have is configured."
        if enrichment.opt_out is None
        else "Whoever stands in the list of people who opted out is never read.",
        source=source,
        retention=enrichment.retention,
        small_numbers=shown,
        user_table="The Entra ids of the chosen people, as a table of its own."
        if reporting.user_table
        else "The Entra ids of the chosen people are not published.",
    )


def _leadspace(enrichment: LeadspaceEnrichment, leadspace_url: str) -> str:
    mapping = enrichment.mapping.model_dump(exclude_none=True)
    return LEADSPACE.format(
        columns="\n  ".join(
            f"{column} (as the {name.replace('_', ' ')})"
            if name == "company_name"
            else f"{column} (as the company's {name})"
            for name, column in mapping.items()
        ),
        dataset="all customers of the file"
        if enrichment.segment is None
        else f"the members of the segment {enrichment.segment}, as last published",
        host=_host(leadspace_url),
    )


def _leadspace_contacts(
    enrichment: LeadspaceContactsEnrichment, contacts: ContactsFile, company_name: str, leadspace_url: str
) -> str:
    mapping = enrichment.mapping
    published = (
        "Nothing: what is known of a contact stays in the private file."
        if not enrichment.publish
        else "A table with a row per contact: his id, his account's id, and the five values above. No name and no"
        " address,\n  but whoever has your contact file knows who it is. Never where small numbers are shown in bands."
    )
    return LEADSPACE_CONTACTS.format(
        columns="\n  ".join(
            (
                f"{mapping.first_name} (as the first name)",
                f"{mapping.last_name} (as the last name)",
                f"{mapping.email or contacts.email} (as the e-mail address)",
            )
        ),
        company=company_name,
        host=_host(leadspace_url),
        published=published,
    )


def _host(url: str) -> str:
    """Whom a service's address leads to. A service of this machine is the same on every port."""
    parts = urlsplit(url)
    if parts.hostname in LOOPBACK_HOSTS:
        return "a service of this machine"
    return parts.netloc.rpartition("@")[2]
