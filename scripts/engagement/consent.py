"""`engagement consent`: shows what leaves, to where and under whose responsibility, asks, and records the answer.

Also the message to the tenant's administrator, the withdrawal, and which published outputs a withdrawal takes away.
"""

from __future__ import annotations

import getpass
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb

from engagement import audit, consents
from engagement.configuration.enrichments import OFFICE, AnyEnrichment, OfficeEnrichment
from engagement.configuration.settings import Settings
from engagement.consents import (
    ADMINISTRATOR,
    COMMAND,
    CONFIGURATION,
    CONFIGURER,
    GIVEN,
    WITHDRAWN,
    Block,
    Consents,
    Record,
    Standing,
)
from engagement.durable import FILE_MODE
from engagement.errors import ConfigurationError, EngagementError
from engagement.identifiers import slug
from engagement.outcome import Outcome
from engagement.run_state import instant_text, is_run_going_on
from engagement.warehouse import Connection, prepare_data_dir, utc_now

# Asks a person, by his name where it is known, whether he agrees: gives his name, or None for no.
Agree = Callable[[str | None], str | None]
# Where a statement is shown before it is asked about.
Show = Callable[[str], None]

# What stands in a file of one enrichment, whichever of its tables are empty.
_OUTPUTS = (
    "select enrichment_id from marts.office_overview",
    "select enrichment_id from marts.leadspace_overview",
    "select enrichment_id from marts.company_file_companies",
    "select enrichment_id from marts.original_user_entity",
    "select enrichment_id from marts.leadspace_contacts",
)
_PLAIN_ADDRESS = re.compile(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+")
_WHOSE = {CONFIGURER: "consent", ADMINISTRATOR: "the tenant administrator's consent"}


def overview(settings: Settings) -> Outcome:
    """How the consents of every enrichment stand."""
    outcome = Outcome(facts={"enrichments": []})
    for enrichment in settings.configuration.enrichments:
        given = settings.consents[enrichment.enrichment_id]
        outcome.facts["enrichments"].append(_facts(enrichment, given))
        outcome.lines.append(f"{enrichment.name} ({enrichment.type}): {given.state.replace('_', ' ')}")
        outcome.lines += [f"  {_in_words(standing)}" for standing in given.standings]
        if waits := settings.waits_for(enrichment):
            outcome.lines.append(f"  {waits}")
    return outcome


def give(
    settings: Settings, name: str, kind: str, *, by: str | None, agreed: bool, agree: Agree | None, show: Show
) -> Outcome:
    """Shows the statement and records the consent of whoever agrees to it.

    `agreed` stands for the answer of a person named `by`. ConfigurationError where nobody can be asked, or he says no.
    """
    enrichment = _found(settings, name, kind)
    given = settings.consents[enrichment.enrichment_id]
    statement = given.statement
    if statement is None:
        raise ConfigurationError(
            f"{enrichment.enrichment_id}: its list of addresses cannot be read, so there is nothing to agree to;"
            " correct it (`engagement check`)"
        )
    ledger = consents.read(settings.consents_file)
    standing = given.of(kind)
    show(f"{enrichment.name} ({enrichment.type})\n\n{statement.text}\n\nStatement {statement.hash}")
    if standing.state == GIVEN and standing.pending is None:
        return Outcome(
            lines=[f"nothing to do: {_in_words(standing)}"],
            facts=_facts(enrichment, given) | {"recorded": False},
        )
    if standing.record is not None and standing.state == consents.CHANGED:
        show(_difference(ledger.statements.get(standing.record.statement or ""), statement.text))
    if agreed and by is None:
        raise ConfigurationError("--yes: says nothing of who agrees; add --by NAME")
    if not agreed:
        if agree is None:
            raise ConfigurationError(
                f"{enrichment.enrichment_id}: there is no terminal to ask at; a person who has read the statement"
                " agrees with --yes --by NAME"
            )
        by = agree(by)
        if by is None:
            raise ConfigurationError(f"{enrichment.enrichment_id}: not agreed to; nothing is recorded")
    record = _record(enrichment, kind, GIVEN, by=by, statement=statement.hash)
    _add(settings, [record], {statement.hash: statement.text})
    return Outcome(
        lines=[f"recorded: {_WHOSE[kind]} to statement {statement.hash}"],
        facts={
            "enrichment_id": enrichment.enrichment_id,
            "kind": kind,
            "statement": statement.hash,
            "recorded": True,
        },
    )


def withdraw(settings: Settings, name: str, kind: str, *, by: str | None = None) -> Outcome:
    """Records that a consent is withdrawn."""
    enrichment = _found(settings, name, kind)
    standing = settings.consents[enrichment.enrichment_id].of(kind)
    recorded = _withdrawn(enrichment, standing, by)
    _add(settings, recorded)
    lines = [
        f"withdrawn: {_WHOSE[kind]}; nothing is requested for {enrichment.name} any more"
        if recorded
        else f"nothing to do: {_in_words(standing)}"
    ]
    if recorded:
        lines.append(
            "the next `engagement run` or `engagement publish` takes its outputs out of the published file"
        )
        lines.append(
            "what was read stays in the private file, which nobody else reads, until"
            f" `engagement remove {enrichment.enrichment_id}`"
        )
        if is_run_going_on(settings):
            lines.append("a run is going on that began before; end it with `engagement cancel`")
    return Outcome(
        lines=lines,
        facts={"enrichment_id": enrichment.enrichment_id, "kind": kind, "recorded": bool(recorded)},
    )


def withdraw_all(settings: Settings, enrichment_id: str) -> None:
    """Records that every consent of an enrichment is withdrawn, one that is configured no more included."""
    configured = {entry.enrichment_id: entry for entry in settings.configuration.enrichments}
    if enrichment_id in configured:
        enrichment = configured[enrichment_id]
        standings = settings.consents[enrichment_id].standings
        _add(settings, [r for standing in standings for r in _withdrawn(enrichment, standing, None)])
        return
    ledger = consents.read(settings.consents_file)
    newest = (ledger.newest(enrichment_id, kind) for kind in (CONFIGURER, ADMINISTRATOR))
    given = [record for record in newest if record is not None and record.action == GIVEN]
    _add(settings, [_taken_back(record, COMMAND) for record in given])


def settle(settings: Settings) -> None:
    """Records what enrichments.yml has given or taken back since the last command: its consents are pinned to the
    statements in force.
    """
    recorded: list[Record] = []
    statements: dict[str, str] = {}
    for enrichment in settings.configuration.enrichments:
        given = settings.consents[enrichment.enrichment_id]
        for standing in given.standings:
            if standing.pending == GIVEN and given.statement is not None and standing.block is not None:
                statements[given.statement.hash] = given.statement.text
                recorded.append(
                    Record(
                        enrichment.enrichment_id,
                        standing.kind,
                        GIVEN,
                        by=standing.block.by,
                        on=standing.block.on,
                        recorded_at=_now(),
                        statement=given.statement.hash,
                        source=CONFIGURATION,
                        block=standing.block,
                    )
                )
            elif standing.pending == WITHDRAWN and standing.record is not None:
                recorded.append(_taken_back(standing.record))
    _add(settings, recorded, statements)


def require_outputs(settings: Settings) -> None:
    """ConfigurationError where a consent was withdrawn since the settings were loaded."""
    ledger = consents.read(settings.consents_file)
    for enrichment in settings.configuration.enrichments:
        before = settings.consents[enrichment.enrichment_id]
        now = consents.consents_of(enrichment, before.statement, ledger)
        if before.has_outputs and not now.has_outputs:
            raise ConfigurationError(
                f"{enrichment.enrichment_id}: its consent was withdrawn while this was going on; nothing is published,"
                " run again to take out what is"
            )


def outputs(connection: Connection) -> set[str]:
    """The enrichments of which something stands in the marts of a file."""
    found: set[str] = set()
    for query in _OUTPUTS:
        try:
            found |= {row[0] for row in connection.execute(query).fetchall()}
        except duckdb.CatalogException:
            continue
    return found


def withdrawn_outputs(settings: Settings, path: Path) -> set[str]:
    """The enrichments without a consent of which something stands in a file (the published or the private one)."""
    without = {enrichment_id for enrichment_id, given in settings.consents.items() if not given.has_outputs}
    if not without or not path.is_file():
        return set()
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return without & outputs(connection)
    except duckdb.Error:
        return set()


def require_no_withdrawn(settings: Settings, connection: Connection) -> None:
    """ConfigurationError where something of an enrichment without a consent stands in the marts of a session."""
    without = {enrichment_id for enrichment_id, given in settings.consents.items() if not given.has_outputs}
    if withdrawn := without & outputs(connection):
        raise ConfigurationError(
            f"{', '.join(sorted(withdrawn))}: its consent was withdrawn since the marts were built; run `engagement"
            " extract customers`, `engagement raw-to-parquet` and `dbt build` again"
        )


# --- the message to the administrator


def request(settings: Settings, name: str, *, output: Path | None) -> Outcome:
    """Writes the message that asks the tenant's administrator: to `output`, or as the outcome's lines."""
    enrichment = _found(settings, name, ADMINISTRATOR)
    assert isinstance(enrichment, OfficeEnrichment)
    given = settings.consents[enrichment.enrichment_id]
    if given.statement is None:
        raise ConfigurationError(
            f"{enrichment.enrichment_id}: its list of addresses cannot be read; correct it (`engagement check`)"
        )
    text = "\n".join(_message(settings, enrichment, given.statement.text, given.statement.hash)) + "\n"
    facts = {"enrichment_id": enrichment.enrichment_id, "statement": given.statement.hash}
    audit.note(
        settings,
        audit.CONSENT_REQUESTED,
        enrichment_id=enrichment.enrichment_id,
        detail=f"{ADMINISTRATOR}, {_short(given.statement.hash)}",
    )
    if output is None:
        return Outcome(lines=text.splitlines(), facts=facts | {"message": text})
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, FILE_MODE)
            file.write(text)
    except OSError as error:
        raise ConfigurationError(
            f"--output: {output.name} cannot be written ({error.strerror}); choose another path"
        ) from None
    return Outcome(
        lines=[
            f"written: {output.name}; it names the listed people and groups, send it to the administrator alone"
        ],
        facts=facts | {"output": str(output)},
    )


def _message(
    settings: Settings, enrichment: OfficeEnrichment, statement: str, statement_hash: str
) -> Iterator[str]:
    # They import the extractors, which import this.
    from engagement import doctor
    from engagement.office import graph, mailboxes

    position = settings.configuration.enrichments.index(enrichment)
    listed = [entry.asked for entry in mailboxes.listed_addresses(settings, position, enrichment)]
    tenant, client_id = settings.tenant_id or "<tenant id>", settings.client_id or "<client id>"
    probe = [] if enrichment.probe_forbidden is None else [enrichment.probe_forbidden]
    yield f"Subject: Consent to the use of mail and calendar metadata: {enrichment.name}"
    yield ""
    yield (
        "We would like to count how much our organisation is in contact with each of its customers. For that an app of"
        " ours reads who wrote to whom and who met whom in the mailboxes listed below, never a subject or a text. It"
        " needs your consent as administrator of the tenant. What is done exactly, and who is responsible:"
    )
    yield ""
    yield statement
    yield ""
    yield f"Statement {statement_hash}"
    yield ""
    yield "Whose mailboxes (this message names them: treat it as confidential)"
    yield from (f"  {address}" for address in listed)
    yield ""
    if enrichment.export is not None:
        yield "What to grant"
        yield (
            "  No app and no permission: the data come from an export of Microsoft Graph Data Connect. Approve the"
            " request of its pipeline for these people only, without subject, body and location."
        )
        yield ""
    else:
        roles = (graph.MAIL_ROLE, graph.CALENDAR_ROLE)
        yield "1. In Entra: the directory, to resolve people and groups"
        yield f"  Application permissions of Microsoft Graph: {graph.USER_READ}, {graph.GROUP_READ}"
        yield f"  Only for groups that hide their members: {graph.HIDDEN_MEMBERS_PERMISSION}"
        yield "  The app registration must ask for these alone. Then open, as administrator, and accept:"
        yield f"  {settings.authority_url}/{tenant}/adminconsent?client_id={client_id}"
        yield ""
        yield "2. In Exchange Online: mail and calendars of the chosen people alone (RBAC for Applications)"
        yield f"  Roles: {', '.join(roles)}"
        if len(listed) == 1 and _PLAIN_ADDRESS.fullmatch(listed[0]):
            group = listed[0]
            yield "  The scope is the listed group; its people must be direct members of it."
        else:
            group = doctor.PEOPLE
            yield (
                "  Put the people above, and those of the groups above, as direct members into one mail-enabled"
                " security group: a scope does not look into groups inside it."
            )
        yield "  Exchange Online PowerShell, as an Exchange administrator (fill in what stands in < >):"
        yield "    Connect-ExchangeOnline"
        yield from (f"    {line}" for line in doctor.grant_lines(client_id, roles, group=group))
        yield ""
        yield f"  The trap: {doctor.TRAP}"
        yield ""
        yield "3. Check"
        yield "  InScope must be True for a chosen mailbox, and False for every other:"
        for address in ["<a chosen mailbox>", *(probe or ["<a mailbox that must be refused>"])]:
            shown = address if address.startswith("<") or _PLAIN_ADDRESS.fullmatch(address) else "<mailbox>"
            yield f'    Test-ServicePrincipalAuthorization -Identity "{client_id}" -Resource "{shown}"'
        yield f"  {doctor.WAIT}"
        yield "  `engagement doctor` tries it with the app itself, and notices a consent that undoes the scope."
        yield ""
    yield "Your answer"
    yield (
        "  Tell us that you agree to the statement above, with your name and the date. We record it with"
        f" `engagement consent {enrichment.enrichment_id} --as-administrator`; until then nothing is read."
    )
    yield ""
    yield "How to withdraw, at any time and without giving a reason"
    yield (
        f"  Tell us (`engagement consent {enrichment.enrichment_id} --as-administrator --withdraw`), or without us"
        + (": stop the export." if enrichment.export is not None else ":")
    )
    if enrichment.export is None:
        yield "    Connect-ExchangeOnline"
        yield from (f"    {line}" for line in doctor.withdraw_lines())
        yield "  and in Entra delete the app registration, or revoke its permissions (docs/permissions.md)."


# --- helpers


def _found(settings: Settings, name: str, kind: str) -> AnyEnrichment:
    """The enrichment with this name or id."""
    for enrichment in settings.configuration.enrichments:
        if name == enrichment.name or slug(name) == enrichment.enrichment_id:
            if kind not in enrichment.consents:
                raise ConfigurationError(
                    f"{enrichment.enrichment_id}: needs no administrator's consent; only {OFFICE} enrichments do"
                )
            return enrichment
    known = ", ".join(enrichment.enrichment_id for enrichment in settings.configuration.enrichments)
    raise ConfigurationError(f"engagement consent: no enrichment has this name or id; known: {known}")


def _record(
    enrichment: AnyEnrichment, kind: str, action: str, *, by: str | None, statement: str | None
) -> Record:
    """What the command records, with what stands in enrichments.yml beside it."""
    block = enrichment.consents[kind]
    return Record(
        enrichment.enrichment_id,
        kind,
        action,
        by=by,
        on=f"{utc_now():%Y-%m-%d}",
        recorded_at=_now(),
        statement=statement,
        source=COMMAND,
        block=None if block is None else Block(block.by, block.on.isoformat()),
    )


def _withdrawn(enrichment: AnyEnrichment, standing: Standing, by: str | None) -> list[Record]:
    """The withdrawal of one consent; none where there is nothing to withdraw."""
    if standing.pending == WITHDRAWN and standing.record is not None:
        return [_taken_back(standing.record)]
    if standing.state == WITHDRAWN or (standing.state == consents.MISSING and standing.block is None):
        return []
    statement = None if standing.record is None else standing.record.statement
    return [_record(enrichment, standing.kind, WITHDRAWN, by=by or _user(), statement=statement)]


def _taken_back(record: Record, source: str = CONFIGURATION) -> Record:
    """The withdrawal of a consent that stands in enrichments.yml no more; the same block does not give it again."""
    return Record(
        record.enrichment_id,
        record.kind,
        WITHDRAWN,
        by=None,
        on=f"{utc_now():%Y-%m-%d}",
        recorded_at=_now(),
        statement=record.statement,
        source=source,
        block=record.block,
    )


def _add(settings: Settings, records: list[Record], statements: dict[str, str] | None = None) -> None:
    """Records them, in the audit as well, which names nobody."""
    if not records:
        return
    prepare_data_dir(settings)
    for record in records:
        detail = [record.kind]
        detail += [_short(record.statement)] if record.statement else []
        detail += [CONFIGURATION] if record.source == CONFIGURATION else []
        audit.note(
            settings,
            audit.CONSENT_GIVEN if record.action == GIVEN else audit.CONSENT_WITHDRAWN,
            enrichment_id=record.enrichment_id,
            detail=", ".join(detail),
        )
    consents.add(settings.consents_file, records, statements or {})


def _short(statement: str) -> str:
    """A statement as the published record of events names it."""
    return f"statement {statement[:8]}"


def _facts(enrichment: AnyEnrichment, given: Consents) -> dict[str, Any]:
    return {
        "enrichment_id": enrichment.enrichment_id,
        "name": enrichment.name,
        "type": enrichment.type,
        "state": given.state,
        "statement": None if given.statement is None else given.statement.hash,
        "consents": [
            {
                "kind": standing.kind,
                "state": standing.state,
                "by": standing.record.by if standing.record else standing.block and standing.block.by,
                "on": standing.record.on if standing.record else standing.block and standing.block.on,
                "statement": standing.record.statement if standing.record else None,
                "source": standing.record.source if standing.record else standing.block and CONFIGURATION,
            }
            for standing in given.standings
        ],
    }


def _in_words(standing: Standing) -> str:
    """One consent in one line, for the person at the terminal."""
    if standing.pending == GIVEN and standing.block is not None:
        return f"{standing.kind}: given by {standing.block.by} on {standing.block.on} ({CONFIGURATION})"
    record = standing.record
    if standing.state == consents.MISSING or record is None:
        return f"{standing.kind}: not given"
    who = f" by {record.by}" if record.by else ""
    source = f" ({CONFIGURATION})" if record.source == CONFIGURATION else ""
    if standing.state == WITHDRAWN:
        when = (
            "taken out of enrichments.yml"
            if standing.pending == WITHDRAWN
            else f"withdrawn{who} on {record.on}"
        )
        return f"{standing.kind}: {when}"
    changed = ", to a statement that has changed since" if standing.state == consents.CHANGED else ""
    return f"{standing.kind}: given{who} on {record.on}{source}{changed}"


def _difference(before: str | None, now: str) -> str:
    """What has changed in a statement, line by line."""
    if before is None:
        return "It has changed since it was agreed to."
    old, new = before.splitlines(), now.splitlines()
    lines = [f"  - {line.strip()}" for line in old if line not in new]
    lines += [f"  + {line.strip()}" for line in new if line not in old]
    return "\n".join(["It has changed since it was agreed to:", *lines])


def _now() -> str:
    return instant_text(utc_now()) or ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise EngagementError("--by: nobody knows who you are; name yourself with --by NAME") from None
