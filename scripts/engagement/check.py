"""What is configured and what is wrong with it; with `connect` also what the services say to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import date
from typing import Any

from engagement import company_file, customers
from engagement.configuration.enrichments import (
    LEADSPACE,
    OFFICE,
    CompanyFileEnrichment,
    LeadspaceContactsEnrichment,
    OfficeEnrichment,
)
from engagement.configuration.settings import Settings
from engagement.configuration.sign_in import leadspace_token_warnings
from engagement.errors import DONE, DONE_WITH_UNREAD_MAILBOXES, AuthenticationError, ConfigurationError
from engagement.extract import extract_leadspace, ready_to_ask, require_consents
from engagement.init import INSTALLED_MODELS
from engagement.leadspace import contacts as leadspace_contacts
from engagement.leadspace.client import Access, LeadspaceClient
from engagement.office import data_connect, mailboxes
from engagement.office.export_files import Export, described
from engagement.office.graph import Service
from engagement.outcome import Outcome

# Asks a person a question that is answered with yes or no.
Confirm = Callable[[str], bool]


def check(settings: Settings, *, connect: bool, confirm: Confirm | None = None) -> Outcome:
    """What is configured, the customer files read; with `connect` also whom the listed addresses resolve to,
    and whether Leadspace accepts the token.

    Stores nothing, but the answer to a lookup that `confirm` agreed to pay for.
    """
    outcome = Outcome()
    facts: list[dict[str, Any]] = []
    files = customers.read(settings)
    accounts, contacts = files.accounts, files.contacts
    outcome.lines.append(f"customer files: {len(accounts):,} accounts, {len(contacts):,} contacts")
    for position, enrichment in enumerate(settings.configuration.enrichments):
        state = "active" if enrichment.active else "inactive"
        line = f"{enrichment.name} ({enrichment.type}, {state}, publishes {enrichment.output_table})"
        fact: dict[str, Any] = {
            "enrichment_id": enrichment.enrichment_id,
            "type": enrichment.type,
            "active": enrichment.active,
            "output_table": enrichment.output_table,
            "waits_for": list(settings.consents[enrichment.enrichment_id].missing),
        }
        if isinstance(enrichment, OfficeEnrichment):
            listed = mailboxes.listed_addresses(settings, position, enrichment)
            fact["addresses"] = len(listed)
            noun = "address" if len(listed) == 1 else "addresses"
            line += f": {len(listed)} {noun}, {enrichment.retention} days, refreshed {enrichment.refresh}"
            if enrichment.export is not None and enrichment.active:
                fact["export"] = _export(settings, position, enrichment)
                line += f", from an export: {', '.join(fact['export'])}"
        elif isinstance(enrichment, CompanyFileEnrichment):
            fact["records"] = len(company_file.read(settings, position, enrichment))
            line += f": {fact['records']:,} records, {len(enrichment.columns)} columns, refreshed {enrichment.refresh}"
        elif isinstance(enrichment, LeadspaceContactsEnrichment):
            if enrichment.active:
                leadspace_contacts.check(settings, position, enrichment)
            fact["publish"] = enrichment.publish
            line += (
                f": {'published' if enrichment.publish else 'not published'}, asked again after {enrichment.max_age}"
                f" days, refreshed {enrichment.refresh}"
            )
        else:
            fact["dataset"] = enrichment.dataset
            line += (
                f": {enrichment.dataset}, asked again after {enrichment.max_age} days,"
                f" refreshed {enrichment.refresh}"
            )
        outcome.lines.append(line)
        facts.append(fact)
    outcome.lines += settings.waiting_for_consent()
    # With models of its own the folder is where dbt leaves what it makes of them.
    has_own_models = settings.dbt_dir == settings.project_dir
    if not has_own_models:
        outcome.lines.append(INSTALLED_MODELS)
    if any(
        enrichment.active and enrichment.service == LEADSPACE
        for enrichment in settings.configuration.enrichments
    ):
        outcome.lines += _signing_in(settings, connect=connect)
    outcome.facts = {
        "accounts": len(accounts),
        "contacts": len(contacts),
        "enrichments": facts,
        "models": "own" if has_own_models else "installed",
        "warnings": list(settings.warnings),
    }
    if not connect:
        outcome.lines.append("valid; next: engagement check --connect")
        return outcome
    require_consents(settings, OFFICE, LEADSPACE)
    if settings.ready(OfficeEnrichment):
        _check_directory(settings, outcome, facts)
    if ready_to_ask(settings):
        _check_leadspace(settings, outcome, confirm)
    return outcome


def _export(settings: Settings, position: int, enrichment: OfficeEnrichment) -> list[str]:
    """The data sets of an export with the number of their files; ConfigurationError where it cannot be used.

    Before both consents are there no file of it is opened, as no request is sent.
    """
    if settings.is_ready(enrichment):
        return list(described(data_connect.opened(settings, position, enrichment)))
    assert enrichment.export is not None
    export = Export.find(settings.resolved(enrichment.export))
    data_connect.require(position, enrichment, list(export.missing()))
    return list(described(export))


def _check_directory(settings: Settings, outcome: Outcome, facts: Sequence[dict[str, Any]]) -> None:
    """Whom the listed addresses resolve to, in Graph's directory or in an export, for which nobody is asked."""
    refused: list[str] = []
    with ExitStack() as stack:
        service: Service | None = None
        for position, enrichment in settings.ready(OfficeEnrichment):
            if enrichment.export is not None:
                export = data_connect.opened(settings, position, enrichment)
                selection = data_connect.resolve(export, settings, position, enrichment)
            else:
                if service is None:
                    service = Service(settings)
                    now = service.sign_in()
                    client = stack.enter_context(service.client())
                selection = mailboxes.resolve(client, settings, position, enrichment)
            outcome.lines += [
                f"  {count.where}: {count.kind}, {count.people:,}"
                f" {'person' if count.people == 1 else 'people'}"
                for count in selection.counts
            ]
            opted_out = f", {selection.opted_out} opted out" if selection.opted_out else ""
            outcome.lines.append(
                f"  {enrichment.name}: {len(selection.people):,} people in all (allowed: 2 to"
                f" 2,500){opted_out}"
            )
            outcome.lines += [f"  {warning}" for warning in selection.warnings]
            facts[position]["people"] = len(selection.people)
            facts[position]["listed"] = [
                {"where": count.where, "kind": count.kind, "people": count.people}
                for count in selection.counts
            ]
            try:
                mailboxes.check_size(selection, position)
                # Without a mailbox that must be refused there is nothing to ask.
                if enrichment.probe_forbidden is not None and (
                    warning := mailboxes.check_forbidden(client, position, enrichment, now)
                ):
                    outcome.lines.append(f"  {warning}")
            except ConfigurationError as error:
                refused.append(error.message)
            if selection.unknown and outcome.exit_code == DONE:
                outcome.exit_code = DONE_WITH_UNREAD_MAILBOXES
    if refused:
        outcome.exit_code = ConfigurationError.exit_code
        outcome.lines += refused
        outcome.facts["errors"] = refused


def _signing_in(settings: Settings, *, connect: bool) -> list[str]:
    """How requests to Leadspace are signed, and how old its perpetual key is; nothing where none is set."""
    if settings.leadspace_token is None:
        return ["Leadspace: signs in by OAuth (LEADSPACE_PROGRAM_ID)"] if settings.leadspace_secret else []
    issued_on = settings.leadspace_token_issued_on
    if issued_on is None:
        return [
            "Leadspace: the age of LEADSPACE_TOKEN is not known; set LEADSPACE_TOKEN_ISSUED_ON (yyyy-mm-dd) to the day"
            " it was made"
        ]
    age = (date.today() - issued_on).days
    lines = [f"Leadspace: LEADSPACE_TOKEN is {age} day{'' if age == 1 else 's'} old (made on {issued_on})"]
    # Connecting, the command has said so already.
    return lines if connect else [*lines, *(f"  {line}" for line in leadspace_token_warnings(issued_on))]


def _check_leadspace(settings: Settings, outcome: Outcome, confirm: Confirm | None) -> None:
    """Asks for results that do not exist, which costs nothing; a lookup only where that does not tell."""
    access = Access.of(settings)
    with LeadspaceClient(access) as client:
        accepted = client.accepts_token()
    outcome.facts["leadspace_token_accepted"] = accepted
    if accepted:
        outcome.lines.append("  Leadspace: the token is accepted (no credit was spent to learn that)")
        return
    if accepted is False:
        raise AuthenticationError(f"Leadspace: {access.auth.hint}")
    question = "Leadspace: only a lookup can tell whether the token is accepted, and it costs one credit"
    if confirm is None or not confirm(f"{question}. Look one customer up?"):
        outcome.lines.append(f"  {question}; none was made")
        return
    extracted = extract_leadspace(settings, most_lookups=1)
    if not any(result["lookups"] for result in extracted.facts["leadspace"]):
        outcome.lines.append("  Leadspace: nobody had to be asked about, so the token was not tried")
        return
    outcome.facts["leadspace_token_accepted"] = True
    outcome.lines += ["  Leadspace: the token is accepted", *(f"  {line}" for line in extracted.lines)]
