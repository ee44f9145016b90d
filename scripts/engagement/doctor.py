"""Whether Microsoft lets the app do what a run needs and refuses what it must not have; for what is wrong, what to
grant or to take back.

What the service's answers mean, and that grants of Exchange and consents of Entra add up, is from Microsoft's
documentation (microsoft-graph-docs-contrib: concepts/auth-limit-mailbox-access.md, concepts/errors.md). The lines for
Exchange Online PowerShell follow its reference and were not run against a live tenant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engagement.configuration.enrichments import OFFICE, OfficeEnrichment, place
from engagement.configuration.settings import Settings
from engagement.errors import (
    CHECKS_FAILED,
    DONE,
    AuthenticationError,
    ConfigurationError,
    EngagementError,
    ServiceError,
)
from engagement.extract import require_consents
from engagement.office import graph, mailboxes, meetings, messages
from engagement.office.client import GraphClient, MailboxUnreadable, PermissionMissing
from engagement.office.graph import Service
from engagement.outcome import Outcome, counted

PASSED, FAILED, UNANSWERED, NOT_ASKED = "passed", "failed", "unanswered", "not asked"
# A mailbox that does not exist says nothing of permissions: the next one is asked, so many in all.
MOST_MAILBOXES = 5
ITEMS_ASKED_FOR = 10
DAYS_ASKED_FOR = 7
SCOPE_NAME = "Account engagement"
PEOPLE = "<mail-enabled security group of the chosen people>"

TRAP = (
    "Roles of Exchange and consents in Entra add up: with a tenant-wide Mail.Read (or any other Mail.* or"
    " Calendars.* application permission) consented to in Entra, the app reads every mailbox whatever the scope in"
    " Exchange says. Grant mail and calendars in Exchange only, and remove such a consent in Entra."
)
WAIT = "A change in Exchange takes half an hour to two hours; Test-ServicePrincipalAuthorization shows it at once."
_MISSING_MAILBOX = {
    mailboxes.ON_PREMISES: (
        "the mailbox is inactive, soft-deleted or on premises, which Graph cannot read; no permission changes that:"
        " take it off the list, or move it to Exchange Online"
    ),
    mailboxes.NOT_FOUND: (
        "there is no such mailbox: it has no licence, or is not set up yet; give it one, or take it off the list"
    ),
}
_ROLES = {mailboxes.MAIL: graph.MAIL_ROLE, mailboxes.CALENDAR: graph.CALENDAR_ROLE}


@dataclass(frozen=True)
class Check:
    """One question to the service: what was asked, the result (a word of this module's), and what was found, with
    what to do about it where it failed. No text holds an address.
    """

    asked: str
    result: str
    found: str

    @property
    def line(self) -> str:
        return f"{self.result}: {self.asked}: {self.found}"


@dataclass
class _Report:
    """The checks so far, and what they say is to be granted or taken back."""

    checks: list[Check] = field(default_factory=list)
    roles: dict[str, None] = field(default_factory=dict)  # of Exchange, in the order of need
    consents: dict[str, None] = field(default_factory=dict)  # permissions of Entra
    # Entra ids of mailboxes that must be in the scope, and of those that must not.
    refused_ids: dict[str, None] = field(default_factory=dict)
    readable_ids: dict[str, None] = field(default_factory=dict)

    def add(self, asked: str, result: str, found: str) -> None:
        self.checks.append(Check(asked, result, found))

    def note(self, asked: str, error: EngagementError) -> None:
        """A check that ended with an error: unanswered where the service is the reason, else failed."""
        if isinstance(error, PermissionMissing):
            self.need(error.permission)
        self.add(asked, UNANSWERED if isinstance(error, ServiceError) else FAILED, error.message)

    def need(self, permission: str) -> None:
        """Remembers what to grant, by the words of a request's permission."""
        if permission == graph.MAIL_PERMISSION:
            self.roles[graph.MAIL_ROLE] = None
        elif permission == graph.CALENDAR_PERMISSION:
            self.roles[graph.CALENDAR_ROLE] = None
        elif permission == graph.USER_PERMISSION:
            self.consents[graph.USER_READ] = None
        elif permission == graph.GROUP_PERMISSION:
            self.consents[graph.GROUP_READ] = None

    @property
    def exit_code(self) -> int:
        """0 where all passed; 11 where a check failed; 4 where the service left one unanswered."""
        results = {check.result for check in self.checks}
        if FAILED in results:
            return CHECKS_FAILED
        return ServiceError.exit_code if UNANSWERED in results else DONE


def doctor(settings: Settings) -> Outcome:
    """Signs in and asks for what a run asks for, a little of each; one line for every check.

    Stores nothing. Exit codes: 0, 4 (the service did not answer) or 11 (a check failed). ConfigurationError where
    no active office enrichment has both consents, or a list of addresses is wrong: then nothing is asked.
    """
    require_consents(settings, OFFICE)
    chosen = settings.ready(OfficeEnrichment)
    for position, enrichment in chosen:
        # Wrong files are told before anything is asked.
        mailboxes.listed_addresses(settings, position, enrichment)
        mailboxes.opt_out_of(settings, position, enrichment)
    report = _Report()
    asked = [(position, enrichment) for position, enrichment in chosen if enrichment.export is None]
    if asked:
        _ask_graph(settings, asked, report)
    for position, enrichment in chosen:
        if enrichment.export is not None:
            report.add(
                place(position, enrichment), NOT_ASKED, "it reads an export, and Graph is not asked for it"
            )
    advice = list(_advice(report, settings.client_id or "<client id>"))
    facts: dict[str, Any] = {"checks": [asdict(check) for check in report.checks], "advice": advice}
    if errors := [check.line for check in report.checks if check.result in (FAILED, UNANSWERED)]:
        facts["errors"] = errors
    results = [check.result for check in report.checks]
    summary = ", ".join(
        f"{results.count(result)} {result}"
        for result in (PASSED, FAILED, UNANSWERED, NOT_ASKED)
        if result in results
    )
    lines = [check.line for check in report.checks]
    return Outcome(
        report.exit_code, [*lines, *advice, f"{counted(len(report.checks), 'check')}: {summary}"], facts
    )


def _ask_graph(settings: Settings, asked: Sequence[tuple[int, OfficeEnrichment]], report: _Report) -> None:
    """Signs in, and examines every enrichment that is read from Graph."""
    service = Service(settings)
    sign_in = f"sign-in as app {settings.client_id} in tenant {settings.tenant_id}"
    try:
        now = service.sign_in()
    except (AuthenticationError, ServiceError) as error:
        report.note(sign_in, error)
        for position, enrichment in asked:
            report.add(place(position, enrichment), NOT_ASKED, "nobody is signed in")
        return
    report.add(sign_in, PASSED, "a token was given")
    with service.client() as client:
        for position, enrichment in asked:
            _examine(client, settings, position, enrichment, now, report)


def _examine(
    client: GraphClient,
    settings: Settings,
    position: int,
    enrichment: OfficeEnrichment,
    now: datetime,
    report: _Report,
) -> None:
    """All checks of one enrichment: its people, one mailbox of them, and the one that must be refused."""
    selection = _resolve(client, settings, position, enrichment, report)
    candidates = [(f"user {entra_id}", entra_id) for entra_id in selection.people]
    if not candidates:
        # Mail and calendar can be tried by address as well, so that one call of the doctor finds all there is.
        listed = mailboxes.listed_addresses(settings, position, enrichment)
        candidates = [(entry.where, entry.asked) for entry in listed]
    where = place(position, enrichment)
    _read_one_mailbox(client, where, candidates, now, report, by_address=not selection.people)
    _ask_forbidden(client, position, enrichment, selection, now, report)


def _resolve(
    client: GraphClient, settings: Settings, position: int, enrichment: OfficeEnrichment, report: _Report
) -> mailboxes.Selection:
    """The people of an enrichment, as far as its addresses could be asked about."""
    # What went wrong, with the addresses it went wrong for: a missing permission is the same for all of them.
    failures: dict[str, tuple[EngagementError, list[mailboxes.ListedAddress]]] = {}

    def failed(listed: mailboxes.ListedAddress, error: EngagementError) -> None:
        client.impatient = client.impatient or isinstance(error, ServiceError)
        failures.setdefault(error.message, (error, []))[1].append(listed)

    selection = mailboxes.resolve(client, settings, position, enrichment, failed=failed)
    for count in selection.counts:
        asked = f"{count.where}, the person or group with this address"
        if count.kind == "unknown":
            report.add(asked, FAILED, "the directory knows neither; correct the address or remove it")
        elif count.kind == "group" and not count.people:
            report.consents[graph.HIDDEN_MEMBERS_PERMISSION] = None
            report.add(
                asked,
                FAILED,
                "a group without people; it is empty, or hides its members: then grant the app the permission"
                f" {graph.HIDDEN_MEMBERS_PERMISSION} with the administrator's consent in Entra"
                " (docs/permissions.md)",
            )
        else:
            people = f"{count.people:,} {'person' if count.people == 1 else 'people'}"
            report.add(asked, PASSED, "a person" if count.kind == "person" else f"a group, {people}")
    for error, listed in failures.values():
        more = f" and {len(listed) - 1:,} more" if len(listed) > 1 else ""
        report.note(f"{listed[0].where}{more}, the person or group with this address", error)
    without_people = [
        listed[0]
        for error, listed in failures.values()
        if isinstance(error, PermissionMissing) and error.permission == graph.USER_PERMISSION
    ]
    for listed_address in without_people[:1]:
        # Groups are asked for only once no person was found: without this the next call would find the next lack.
        try:
            mailboxes.groups_of(client, listed_address)
        except EngagementError as error:
            report.note(f"{listed_address.where}, a group with this address", error)
    total = f"{place(position, enrichment)}, people in all"
    if failures:
        report.add(total, NOT_ASKED, "not every address could be asked about")
    else:
        try:
            mailboxes.check_size(selection, position)
        except ConfigurationError as error:
            report.note(total, error)
        else:
            opted_out = f", {selection.opted_out:,} opted out" if selection.opted_out else ""
            report.add(total, PASSED, f"{len(selection.people):,}{opted_out} (allowed: 2 to 2,500)")
    return selection


def _read_one_mailbox(
    client: GraphClient,
    where: str,
    candidates: list[tuple[str, str]],
    now: datetime,
    report: _Report,
    *,
    by_address: bool,
) -> None:
    """A page of messages and one of the calendar of the first mailbox that there is.

    `candidates` are (name for messages, id or address). Asked for by address, one that is not found may as well be
    a group, which says nothing.
    """
    for name, mailbox in candidates[:MOST_MAILBOXES]:
        asked = f"{where}, a page of messages of {name}"
        state = _read_page(client, mailboxes.MAIL, mailbox, now, report, asked, by_address=by_address)
        if state in _MISSING_MAILBOX:
            continue
        asked = f"{where}, a page of the calendar of {name}"
        _read_page(client, mailboxes.CALENDAR, mailbox, now, report, asked, by_address=by_address)
        return
    report.add(f"{where}, mail and calendar", NOT_ASKED, "no listed mailbox was found to ask for")


def _read_page(
    client: GraphClient,
    area: str,
    mailbox: str,
    now: datetime,
    report: _Report,
    asked: str,
    *,
    by_address: bool,
) -> str:
    """Reads as a run does, a few items; the state of a mailbox: readable, denied, not_found, on_premises, or
    incomplete where that could not be learned.
    """
    start = now - timedelta(days=DAYS_ASKED_FOR)
    try:
        if area == mailboxes.MAIL:
            mail_page = client.get(
                "/users/{id}/messages",
                graph.decode_messages,
                permission=graph.MAIL_PERMISSION,
                ids={"id": mailbox},
                params=messages.query(start, now, ITEMS_ASKED_FOR),
                mailbox=True,
            )
            count = len(mail_page.value)
        else:
            calendar_page = client.get(
                "/users/{id}/calendarView",
                graph.decode_meetings,
                permission=graph.CALENDAR_PERMISSION,
                ids={"id": mailbox},
                params=meetings.query(start, now, ITEMS_ASKED_FOR),
                mailbox=True,
            )
            count = len(calendar_page.value)
    except MailboxUnreadable as unreadable:
        if unreadable.state == mailboxes.DENIED:
            _deny(area, mailbox, unreadable.answer, report, asked, by_address=by_address)
        elif not (by_address and area == mailboxes.MAIL and unreadable.state == mailboxes.NOT_FOUND):
            report.add(asked, FAILED, f"{unreadable.answer}: {_MISSING_MAILBOX[unreadable.state]}")
        return unreadable.state
    except PermissionMissing as error:
        _deny(area, mailbox, error.answer, report, asked, by_address=by_address)
        return mailboxes.DENIED
    except (AuthenticationError, ServiceError) as error:
        client.impatient = client.impatient or isinstance(error, ServiceError)
        report.note(asked, error)
        return mailboxes.INCOMPLETE
    report.add(asked, PASSED, f"readable, {counted(count, 'item')} of the last {DAYS_ASKED_FOR} days")
    return mailboxes.READABLE


def _deny(area: str, mailbox: str, answer: str, report: _Report, asked: str, *, by_address: bool) -> None:
    """The same answer comes where the role is missing and where the mailbox is outside of its scope."""
    role = _ROLES[area]
    report.roles[role] = None
    if not by_address:
        report.refused_ids[mailbox] = None
    report.add(
        asked,
        FAILED,
        f"{answer}: refused to the app; grant it the role {role} in Exchange, or extend the role's management scope"
        " to this mailbox (docs/permissions.md)",
    )


def _ask_forbidden(
    client: GraphClient,
    position: int,
    enrichment: OfficeEnrichment,
    selection: mailboxes.Selection,
    now: datetime,
    report: _Report,
) -> None:
    """The mailbox that must be refused: its mail and its calendar, which are limited each for itself."""
    where = f"enrichments[{position}].probe_forbidden"
    if enrichment.probe_forbidden is None:
        report.add(
            where,
            NOT_ASKED,
            "not configured; name a mailbox outside of the scope, or nothing shows that there is one",
        )
        return
    try:
        user = mailboxes.forbidden_person(client, position, enrichment)
    except EngagementError as error:
        client.impatient = client.impatient or isinstance(error, ServiceError)
        report.note(f"{where}, the person with this address", error)
        return
    assert user is not None
    if user.id in selection.people:
        report.add(
            f"{where}, user {user.id}",
            FAILED,
            "is one of the listed people, whose mailboxes must be readable; name somebody else",
        )
        return
    for area in (mailboxes.MAIL, mailboxes.CALENDAR):
        asked = f"{where}, that {area} of user {user.id} is refused"
        try:
            state = mailboxes.forbidden_state(client, area, user.id, now)
        except EngagementError as error:
            client.impatient = client.impatient or isinstance(error, ServiceError)
            report.note(asked, error)
            continue
        if state == mailboxes.DENIED:
            report.add(asked, PASSED, "refused")
        elif state == mailboxes.READABLE:
            report.readable_ids[user.id] = None
            report.add(
                asked,
                FAILED,
                f"the app can read it; limit the role {_ROLES[area]} to a management scope in Exchange and remove"
                f" every tenant-wide {'Mail.*' if area == mailboxes.MAIL else 'Calendars.*'} consent in Entra"
                " (docs/permissions.md)",
            )
        else:
            report.add(
                asked, FAILED, f"it has no mailbox ({state}), so it proves nothing; name one that exists"
            )


def _advice(report: _Report, client_id: str) -> Iterator[str]:
    """What an administrator does about the failures, as lines to copy."""
    if report.roles:
        yield "To grant in Exchange Online PowerShell, as an Exchange administrator (fill in what stands in < >):"
        yield "  Connect-ExchangeOnline"
        yield from (f"  {line}" for line in grant_lines(client_id, tuple(report.roles)))
        for entra_id in report.refused_ids or ("<a mailbox of the list>",):
            yield f'  Test-ServicePrincipalAuthorization -Identity "{client_id}" -Resource "{entra_id}"'
        yield "  No row for the role in its answer: not granted. InScope False: the mailbox is outside the scope."
        yield f"  {WAIT}"
    if report.consents:
        yield (
            f"To grant in Entra: App registrations, app {client_id}, API permissions, Microsoft Graph, Application"
            f" permissions: add {', '.join(report.consents)}; then Grant admin consent."
        )
    if report.readable_ids:
        yield "To take back, so that the mailbox that must be refused is refused:"
        yield (
            f"  Entra: Enterprise applications, app {client_id}, Permissions: revoke every Mail.* and Calendars.*"
            " application permission."
        )
        yield "  Exchange Online PowerShell: see which role reaches the mailbox (InScope), and limit or remove it:"
        for entra_id in report.readable_ids:
            yield f'  Test-ServicePrincipalAuthorization -Identity "{client_id}" -Resource "{entra_id}"'
        yield '  Remove-ManagementRoleAssignment -Identity "<name of the assignment without a scope>"'
        yield ("  An application access policy does not limit Calendars.ReadBasic: use roles.")
        if not report.roles:
            yield f"  {WAIT}"
    if report.roles or report.readable_ids:
        yield TRAP


def grant_lines(client_id: str, roles: tuple[str, ...], *, group: str = PEOPLE) -> list[str]:
    """Exchange Online PowerShell that lets the app use `roles` on the members of one group; < > is to be filled in."""
    return [
        f'New-ServicePrincipal -AppId "{client_id}" -ObjectId "<object id of the enterprise application>"'
        f' -DisplayName "{SCOPE_NAME}"',
        f'$people = Get-DistributionGroup -Identity "{group}"',
        f'New-ManagementScope -Name "{SCOPE_NAME}" -RecipientRestrictionFilter'
        " \"MemberOfGroup -eq '$($people.DistinguishedName)'\"",
        *(
            f'New-ManagementRoleAssignment -App "{client_id}" -Role "{role}" -CustomResourceScope "{SCOPE_NAME}"'
            for role in roles
        ),
    ]


def withdraw_lines() -> list[str]:
    """Exchange Online PowerShell that takes back what `grant_lines` grants; < > is to be filled in."""
    app = "<object id of the enterprise application>"
    return [
        f'Get-ManagementRoleAssignment | Where-Object {{ $_.App -eq "{app}" }} | Remove-ManagementRoleAssignment',
        f'Remove-ManagementScope -Identity "{SCOPE_NAME}"',
        f'Remove-ServicePrincipal -Identity "{app}"',
    ]
