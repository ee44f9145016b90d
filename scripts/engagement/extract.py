"""The extractions as commands and as steps of a whole run: customer files, office, Leadspace."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict

import duckdb

from engagement import audit, budget, company_file, consent, customers, high_water, service_findings, stopping
from engagement.addresses import AddressBook, SenderPatterns, hasher_of
from engagement.company_file import CompanyFileResult
from engagement.configuration.enrichments import (
    LEADSPACE,
    OFFICE,
    CompanyFileEnrichment,
    LeadspaceContactsEnrichment,
    LeadspaceEnrichment,
    LeadspaceLookups,
    OfficeEnrichment,
)
from engagement.configuration.settings import Settings
from engagement.customers import CustomersResult
from engagement.errors import (
    DONE,
    DONE_WITH_UNREAD_MAILBOXES,
    ConfigurationError,
    EngagementError,
    IncompleteError,
)
from engagement.leadspace import enrich as leadspace
from engagement.leadspace import plan as planning
from engagement.leadspace.client import Access
from engagement.leadspace.dataset import SegmentNotPublished
from engagement.leadspace.enrich import LeadspaceResult
from engagement.leadspace.plan import LookupsLost, Plan
from engagement.office import extract as office
from engagement.office.extract import OfficeResult
from engagement.outcome import Outcome, counted
from engagement.run_state import CANCELLED, RunState, instant_text, single_run
from engagement.tombstones import Tombstones
from engagement.warehouse import (
    Connection,
    connect,
    note_patterns,
    patterns_changed,
    prepare_data_dir,
    private_file,
    require_current,
    save_settings,
)

log = logging.getLogger(__name__)


def address_book(settings: Settings) -> AddressBook:
    """Hashes and classes of this project: its key (made on the first run) and its patterns."""
    prepare_data_dir(settings)
    hasher = hasher_of(settings)
    return AddressBook(
        hasher, SenderPatterns.load(settings.sender_patterns_file), Tombstones.load(settings, hasher)
    )


@contextmanager
def running(settings: Settings, command: str) -> Iterator[RunState]:
    """One run at a time, its state on disk; a failure or a signal is noted there before it goes on its way."""
    with single_run(settings, command=command):
        state = RunState.begin(settings, command=command)

        def cancel(number: int) -> None:
            state.finish(state=CANCELLED, error=stopping.in_words(number))

        with stopping.noting(cancel):
            try:
                yield state
            except BaseException as error:
                number = stopping.number_of(error)
                if number is not None:
                    stopping.finally_(lambda: cancel(number))
                    raise
                text = error.message if isinstance(error, EngagementError) else type(error).__name__
                # On a full disk it stays `running` there, which reads as killed once the lock is free.
                with contextlib.suppress(OSError):
                    state.finish(state="failed", error=text)
                raise
            state.finish(state="done")


def extract_customers(settings: Settings) -> Outcome:
    """Lands the customer files."""
    book = address_book(settings)
    with running(settings, "extract customers") as state, private_file(settings) as connection:
        begin(settings, connection, book, state)
        with state.timed("customers"):
            result = customers.extract(settings, connection, book)
            service_findings.note_customers(connection, state.run_id, result)
            files = read_company_files(settings, connection, state)
        state.record(connection, state="done")
    return customers_outcome(result, files)


def begin(settings: Settings, connection: Connection, book: AddressBook, state: RunState) -> None:
    """What every command that extracts does first: settings and earlier runs for the models to see."""
    consent.settle(settings)
    if book.tombstones is not None:
        # Somebody may have been erased while this command waited for the lock.
        book.tombstones.reload()
        state.previous = book.tombstones.masked_value(state.previous)
    save_settings(connection, settings, key_check=book.hasher.key_check)
    state.record(connection)
    audit.record(connection, settings)


def read_company_files(
    settings: Settings, connection: Connection, state: RunState
) -> dict[str, CompanyFileResult]:
    """Every file of company data in turn, by enrichment_id."""
    results = {}
    for position, enrichment in settings.ready(CompanyFileEnrichment):
        with state.enriching(enrichment.enrichment_id) as entry:
            result = company_file.extract(settings, connection, position, enrichment)
            entry.selected, entry.processed = result.records, result.records - result.unknown
            warnings = result.warnings()
            entry.finish(warnings=bool(warnings), detail="; ".join(warnings) or None)
        for warning in warnings:
            log.warning("warning: %s: %s", enrichment.enrichment_id, warning)
        results[enrichment.enrichment_id] = result
    return results


def customers_outcome(
    result: CustomersResult, files: Mapping[str, CompanyFileResult], *, office_follows: bool = False
) -> Outcome:
    for issue, count in result.issues.items():
        # Who is ours is found anew, and said, once the mailboxes are known.
        if not (office_follows and issue in customers.OWN_PEOPLE_ISSUES):
            log.warning("warning: %s", customers.warning_of(issue, count))
    if result.erased:
        log.warning(
            "warning: %s of the contact file erased before; left out, remove them there",
            counted(result.erased, "contact"),
        )
    return Outcome(
        lines=[
            f"customers: {result.accounts:,} accounts, {result.contacts:,} contacts",
            *(
                f"company file: {file.records:,} records ({enrichment_id}), {file.records - file.unknown:,} of accounts"
                for enrichment_id, file in files.items()
            ),
        ],
        facts={
            "accounts": result.accounts,
            "contacts": result.contacts,
            "issues": result.issues,
            "erased": result.erased,
            "company_files": {enrichment_id: asdict(file) for enrichment_id, file in files.items()},
        },
    )


def extract_office(settings: Settings, *, read_anew: bool = False) -> Outcome:
    """Lands mail and calendars; IncompleteError beyond the tolerated share of unread mailboxes."""
    require_consents(settings, OFFICE)
    book = address_book(settings)
    with running(settings, "extract office") as state:
        with private_file(settings) as connection:
            begin(settings, connection, book, state)
            budget.require(settings, connection, state)
            result = read_office(settings, connection, book, state, read_anew=read_anew)
            state.record(connection, state="failed" if result.beyond_tolerance else "done")
        return office_outcome(result)


def require_consents(settings: Settings, *services: str, is_removal: bool = False) -> None:
    """Says who is skipped; ConfigurationError where nothing is left to do for these services.

    With `is_removal` there is: to take what was withdrawn out of the published file.
    """
    waiting = settings.waiting_for_consent()
    if not is_removal and not any(
        settings.is_ready(enrichment) and enrichment.service in services
        for enrichment in settings.configuration.enrichments
    ):
        raise ConfigurationError(
            f"enrichments: nothing to do; no {' or '.join(services)} enrichment is active and has its consents",
            findings=waiting,
        )
    for line in waiting:
        log.warning("skipped: %s", line)


def read_office(
    settings: Settings, connection: Connection, book: AddressBook, state: RunState, *, read_anew: bool
) -> OfficeResult:
    with state.timed("office"):
        fingerprint = book_fingerprint(settings)
        if patterns_changed(connection, fingerprint) and not read_anew:
            log.warning(
                "warning: automated_sender_patterns.csv changed; addresses already seen keep their"
                " class until"
                " `engagement extract office --anew` reads everything again"
            )
        with ExitStack() as stack:
            entries = {
                enrichment.enrichment_id: stack.enter_context(state.enriching(enrichment.enrichment_id))
                for _, enrichment in settings.ready(OfficeEnrichment)
            }
            result = office.extract(settings, connection, book, state, read_anew=read_anew)
            service_findings.note_office(connection, state.run_id, result)
            for enrichment_id, entry in entries.items():
                entry.selected, entry.processed = result.by_enrichment[enrichment_id]
                entry.read_to_at = instant_text(result.clocks.get(enrichment_id))
                if line := result.beyond_tolerance.get(enrichment_id):
                    entry.detail = line
                    continue
                unread = entry.selected - entry.processed
                entry.finish(
                    warnings=unread > 0,
                    detail=f"{unread:,} of {entry.selected:,} mailboxes not read" if unread else None,
                )
        # Only what was read whole is classed by today's patterns.
        if read_anew and not result.incomplete:
            note_patterns(connection, fingerprint)
        own = customers.refresh_issues_of_own_people(connection)
    for warning in [*result.warnings, *(customers.warning_of(issue, count) for issue, count in own.items())]:
        log.warning("warning: %s", warning)
    return result


def book_fingerprint(settings: Settings) -> str:
    """The fingerprint of the sender patterns in force."""
    return SenderPatterns.load(settings.sender_patterns_file).fingerprint


def office_outcome(result: OfficeResult) -> Outcome:
    """IncompleteError where too much stayed unread; code 9 where some mailboxes cannot be read."""
    if result.beyond_tolerance:
        raise IncompleteError(
            "Microsoft Graph: too many mailboxes not read whole; nothing is published, run again",
            findings=list(result.beyond_tolerance.values()),
        )
    return Outcome(
        exit_code=DONE_WITH_UNREAD_MAILBOXES if result.unreadable or result.incomplete else DONE,
        lines=[
            f"office: {result.read:,} of {result.selected:,} mailboxes read,"
            f" {result.messages:,} messages and {result.meetings:,} meetings in {result.units:,} slices"
        ],
        facts={
            "mailboxes_selected": result.selected,
            "mailboxes_read": result.read,
            "mailbox_states": result.states,
            "messages": result.messages,
            "meetings": result.meetings,
            "slices": result.units,
            "bad_dates": result.bad_dates,
            "opted_out": result.opted_out,
            "expired": result.expired,
            "clock": None if result.clock is None else result.clock.isoformat() + "Z",
        },
    )


def extract_leadspace(
    settings: Settings, *, send_again: bool = False, most_lookups: int | None = None
) -> Outcome:
    """Asks Leadspace about the customers landed before, each at most once; `send_again` asks about those whose
    answer was lost once more.
    """
    require_consents(settings, LEADSPACE)
    book = address_book(settings)
    with running(settings, "extract leadspace") as state, private_file(settings) as connection:
        begin(settings, connection, book, state)
        results = ask_leadspace(
            settings, connection, state, send_again=send_again, most_lookups=most_lookups, may_wait=False
        )
        state.record(connection, state="done")
    return leadspace_outcome(results)


def estimate_leadspace(settings: Settings, *, send_again: bool = False) -> Outcome:
    """What the next extraction of the customers landed last would ask, and so spend: nobody is contacted, nothing is
    stored. With `send_again` at most that, since results that are ready by then are fetched and not asked for.

    Raises ConfigurationError where nobody can be asked about (yet).
    """
    require_consents(settings, LEADSPACE)
    plans: list[Plan] = []
    with connect(settings, read_only=True) as connection:
        require_current(connection, settings)
        try:
            found = planning.planned(settings, connection, ready_to_ask(settings), send_again=send_again)
        except (duckdb.CatalogException, duckdb.BinderException):
            raise ConfigurationError(
                f"{settings.private_file.name}: holds no customers yet; run `engagement extract customers` first"
            ) from None
    for plan in found:
        if isinstance(plan, ConfigurationError):
            raise plan
        plans.append(plan)
    total = sum(plan.lookups for plan in plans)
    lines = [f"leadspace: {plan.line()}" for plan in plans]
    if len(plans) > 1:
        lines.append(f"leadspace: {total:,} lookups (credits) in all")
    return Outcome(lines=lines, facts={"lookups": total, "leadspace": [plan.facts() for plan in plans]})


def ready_to_ask(settings: Settings) -> list[tuple[int, LeadspaceLookups]]:
    """The enrichments that may ask Leadspace, those of companies before that of contacts."""
    return [*settings.ready(LeadspaceEnrichment), *settings.ready(LeadspaceContactsEnrichment)]


def ask_leadspace(
    settings: Settings,
    connection: Connection,
    state: RunState,
    *,
    may_wait: bool,
    send_again: bool = False,
    most_lookups: int | None = None,
) -> list[LeadspaceResult]:
    """Every Leadspace enrichment in turn, all planned before anything is sent. With `may_wait` one whose segment is yet
    to be published is left out, since the run itself will publish it; so is one that a person has to decide about.
    """
    results: list[LeadspaceResult] = []
    with state.timed("leadspace"):
        ready = ready_to_ask(settings)
        access = Access.of(settings)
        collected: dict[str, LeadspaceResult] = {}
        if send_again:
            high_water.accept_lost_lookups(connection)
            for nothing in planning.without_records(settings, connection, ready):
                collected[nothing.enrichment.enrichment_id] = leadspace.give_up(
                    settings, connection, nothing, run_id=state.run_id, access=access
                )
        plans = planning.planned(
            settings, connection, ready, send_again=send_again, most_lookups=most_lookups
        )
        for plan in plans:
            if isinstance(plan, Plan):
                log.info("leadspace: to be sent: %s", plan.line(), extra={"fields": plan.facts()})
        for (_, enrichment), plan in zip(ready, plans, strict=True):
            with state.enriching(enrichment.enrichment_id) as entry:
                if isinstance(plan, SegmentNotPublished | LookupsLost) and may_wait:
                    entry.state, entry.detail = "waiting", plan.message
                    log.warning("skipped: %s", plan.message)
                    continue
                if isinstance(plan, ConfigurationError):
                    raise plan
                result = leadspace.extract(
                    settings, connection, plan, run_id=state.run_id, access=access, tell=state.progress
                )
                if enrichment.enrichment_id in collected:
                    result.add(collected[enrichment.enrichment_id])
                warnings = result.warnings()
                entry.selected, entry.processed = result.customers, result.answered
                entry.requested = result.lookups
                entry.finish(warnings=bool(warnings), detail="; ".join(warnings) or None)
            for warning in warnings:
                log.warning("warning: %s: %s", enrichment.enrichment_id, warning)
            results.append(result)
            if most_lookups is not None and sum(one.lookups for one in results) >= most_lookups:
                break
    return results


def leadspace_outcome(results: Sequence[LeadspaceResult]) -> Outcome:
    return Outcome(
        lines=[
            f"leadspace: {result.lookups:,} lookups for {result.customers:,} {result.noun}s ({result.enrichment_id}),"
            f" {result.answered:,} with an answer, {result.current:,} of them from before"
            for result in results
        ],
        facts={"leadspace": [result.facts() for result in results]},
    )
