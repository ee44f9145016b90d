"""The verbs of the command as functions: check, extract, run, publish, status; each prints nothing and returns
its outcome.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engagement import customers
from engagement.addresses import AddressBook, Hasher, SenderPatterns, load_hash_key
from engagement.config import (
    LEADSPACE,
    OFFICE,
    REFRESH_PERIODS,
    LeadspaceEnrichment,
    OfficeEnrichment,
    Settings,
)
from engagement.customers import CustomersResult
from engagement.errors import (
    DONE,
    DONE_WITH_UNREAD_MAILBOXES,
    AuthenticationError,
    ConfigurationError,
    DataTestError,
    EngagementError,
    IncompleteError,
)
from engagement.http import Patience
from engagement.leadspace import enrich as leadspace
from engagement.leadspace.client import LeadspaceClient
from engagement.leadspace.dataset import SegmentNotPublished
from engagement.leadspace.enrich import LeadspaceResult
from engagement.office import extract as office
from engagement.office import mailboxes
from engagement.office.extract import OfficeResult
from engagement.office.graph import Service
from engagement.progress import progress
from engagement.run_state import RunState, instant_of, instant_text, read_run_state, single_run
from engagement.status import read_status
from engagement.warehouse import (
    Connection,
    note_patterns,
    patterns_changed,
    prepare_data_dir,
    private_file,
    save_settings,
    utc_now,
)

if TYPE_CHECKING:
    from engagement.publish import PublishResult

log = logging.getLogger(__name__)

# A timer that fires a little early must not skip a whole period.
_DUE_SLACK = timedelta(minutes=5)

# Asks a person a question that is answered with yes or no.
Confirm = Callable[[str], bool]


@dataclass
class Outcome:
    """What a command did: lines for a person, facts for --json, and its exit code."""

    exit_code: int = DONE
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: Callable[[], None] | None = None

    def add(self, step: str, other: Outcome) -> None:
        """Another step of the same command: its lines follow, its facts stand under its name."""
        self.lines += other.lines
        self.facts[step] = other.facts.get(step, other.facts)
        self.exit_code = self.exit_code or other.exit_code


def address_book(settings: Settings) -> AddressBook:
    """Hashes and classes of this project: its key (made on the first run) and its patterns."""
    prepare_data_dir(settings)
    given = None if settings.hash_key is None else settings.hash_key.get_secret_value()
    hasher = Hasher(load_hash_key(given, settings.hash_key_file))
    return AddressBook(hasher, SenderPatterns.load(settings.sender_patterns_file))


@contextmanager
def running(settings: Settings, command: str) -> Iterator[RunState]:
    """One run at a time, its state on disk; a failure is noted there before it goes on its way."""
    with single_run(settings, command=command):
        state = RunState.begin(settings, command=command)
        try:
            yield state
        except BaseException as error:
            text = error.message if isinstance(error, EngagementError) else type(error).__name__
            state.finish(state="failed", error=text)
            raise
        state.finish(state="done")


# --- check


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
            "waits_for": list(enrichment.missing_consents),
        }
        if isinstance(enrichment, OfficeEnrichment):
            listed = mailboxes.listed_addresses(settings, position, enrichment)
            fact["addresses"] = len(listed)
            noun = "address" if len(listed) == 1 else "addresses"
            line += f": {len(listed)} {noun}, {enrichment.retention} days, refreshed {enrichment.refresh}"
        else:
            fact["dataset"] = enrichment.dataset
            line += (
                f": {enrichment.dataset}, asked again after {enrichment.max_age} days,"
                f" refreshed {enrichment.refresh}"
            )
        outcome.lines.append(line)
        facts.append(fact)
    outcome.lines += settings.waiting_for_consent()
    outcome.facts = {
        "accounts": len(accounts),
        "contacts": len(contacts),
        "enrichments": facts,
        "warnings": list(settings.warnings),
    }
    if not connect:
        outcome.lines.append("valid; next: engagement check --connect")
        return outcome
    _require_consents(settings, OFFICE, LEADSPACE)
    if settings.ready(OfficeEnrichment):
        _check_directory(settings, outcome, facts)
    if settings.ready(LeadspaceEnrichment):
        _check_leadspace(settings, outcome, confirm)
    return outcome


def _check_directory(settings: Settings, outcome: Outcome, facts: Sequence[dict[str, Any]]) -> None:
    service = Service(settings)
    now = service.sign_in()
    refused: list[str] = []
    with service.client() as client:
        for position, enrichment in settings.ready(OfficeEnrichment):
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
                if warning := mailboxes.check_forbidden(client, position, enrichment, now):
                    outcome.lines.append(f"  {warning}")
            except ConfigurationError as error:
                refused.append(error.message)
            if selection.unknown and outcome.exit_code == DONE:
                outcome.exit_code = DONE_WITH_UNREAD_MAILBOXES
    if refused:
        outcome.exit_code = ConfigurationError.exit_code
        outcome.lines += refused
        outcome.facts["errors"] = refused


def _check_leadspace(settings: Settings, outcome: Outcome, confirm: Confirm | None) -> None:
    """Asks for results that do not exist, which costs nothing; a lookup only where that does not tell."""
    token = settings.leadspace_token
    assert token is not None
    with LeadspaceClient(
        url=settings.leadspace_url,
        token=token.get_secret_value(),
        patience=Patience(seconds=settings.retry_seconds),
    ) as client:
        accepted = client.accepts_token()
    outcome.facts["leadspace_token_accepted"] = accepted
    if accepted:
        outcome.lines.append("  Leadspace: the token is accepted (no credit was spent to learn that)")
        return
    if accepted is False:
        raise AuthenticationError(
            "Leadspace: LEADSPACE_TOKEN is wrong or has expired; set it to the perpetual key of your program"
        )
    question = "Leadspace: only a lookup can tell whether the token is accepted, and it costs one credit"
    if confirm is None or not confirm(f"{question}. Look one customer up?"):
        outcome.lines.append(f"  {question}; none was made")
        return
    extracted = extract_leadspace(settings, most_lookups=1)
    outcome.facts["leadspace_token_accepted"] = True
    outcome.lines += ["  Leadspace: the token is accepted", *(f"  {line}" for line in extracted.lines)]


# --- extract


def extract_customers(settings: Settings) -> Outcome:
    """Lands the customer files."""
    book = address_book(settings)
    with running(settings, "extract customers") as state, private_file(settings) as connection:
        _begin(settings, connection, book, state)
        with state.timed("customers"):
            result = customers.extract(settings, connection, book)
        state.record(connection, state="done")
    return _customers_outcome(result)


def _begin(settings: Settings, connection: Connection, book: AddressBook, state: RunState) -> None:
    """What every command that extracts does first: settings and earlier runs for the models to see."""
    save_settings(connection, settings, key_check=book.hasher.key_check)
    state.record(connection)


def _customers_outcome(result: CustomersResult, *, office_follows: bool = False) -> Outcome:
    for issue, count in result.issues.items():
        # Who is ours is found anew, and said, once the mailboxes are known.
        if not (office_follows and issue in customers.OWN_PEOPLE_ISSUES):
            log.warning("warning: %s", customers.warning_of(issue, count))
    return Outcome(
        lines=[f"customers: {result.accounts:,} accounts, {result.contacts:,} contacts"],
        facts={"accounts": result.accounts, "contacts": result.contacts, "issues": result.issues},
    )


def extract_office(settings: Settings, *, read_anew: bool = False) -> Outcome:
    """Lands mail and calendars; IncompleteError beyond the tolerated share of unread mailboxes."""
    _require_consents(settings, OFFICE)
    book = address_book(settings)
    with running(settings, "extract office") as state:
        with private_file(settings) as connection:
            _begin(settings, connection, book, state)
            result = _office(settings, connection, book, state, read_anew=read_anew)
            state.record(connection, state="failed" if result.beyond_tolerance else "done")
        return _office_outcome(result)


def _require_consents(settings: Settings, *services: str) -> None:
    """Says who is skipped; ConfigurationError where nothing is left to do for these services."""
    waiting = settings.waiting_for_consent()
    if not any(
        enrichment.is_ready and enrichment.type in services
        for enrichment in settings.configuration.enrichments
    ):
        raise ConfigurationError(
            f"enrichments: nothing to do; no {' or '.join(services)} enrichment is active and has its consents",
            findings=waiting,
        )
    for line in waiting:
        log.warning("skipped: %s", line)


def _office(
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
            for enrichment_id, entry in entries.items():
                entry.selected, entry.processed = result.by_enrichment[enrichment_id]
                entry.read_to_at = instant_text(result.clock)
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


def _office_outcome(result: OfficeResult) -> Outcome:
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
            "clock": None if result.clock is None else result.clock.isoformat() + "Z",
        },
    )


def extract_leadspace(
    settings: Settings, *, send_again: bool = False, most_lookups: int | None = None
) -> Outcome:
    """Asks Leadspace about the customers landed before, each at most once; `send_again` asks about those whose
    answer was lost once more.
    """
    _require_consents(settings, LEADSPACE)
    book = address_book(settings)
    with running(settings, "extract leadspace") as state, private_file(settings) as connection:
        _begin(settings, connection, book, state)
        results = _leadspace(
            settings, connection, state, send_again=send_again, most_lookups=most_lookups, may_wait=False
        )
        state.record(connection, state="done")
    return _leadspace_outcome(results)


def _leadspace(
    settings: Settings,
    connection: Connection,
    state: RunState,
    *,
    may_wait: bool,
    send_again: bool = False,
    most_lookups: int | None = None,
) -> list[LeadspaceResult]:
    """Every Leadspace enrichment in turn. With `may_wait` one whose segment is yet to be published is left out,
    since the run itself will publish it.
    """
    results = []
    with state.timed("leadspace"):
        for position, enrichment in settings.ready(LeadspaceEnrichment):
            with state.enriching(enrichment.enrichment_id) as entry:
                try:
                    result = leadspace.extract(
                        settings,
                        connection,
                        position,
                        enrichment,
                        run_id=state.run_id,
                        send_again=send_again,
                        most_lookups=most_lookups,
                    )
                except SegmentNotPublished as error:
                    if not may_wait:
                        raise
                    entry.state, entry.detail = "waiting", error.message
                    log.warning("skipped: %s", error.message)
                    continue
                warnings = result.warnings()
                entry.selected, entry.processed = result.customers, result.answered
                entry.requested = result.lookups
                entry.finish(warnings=bool(warnings), detail="; ".join(warnings) or None)
            for warning in warnings:
                log.warning("warning: %s: %s", enrichment.enrichment_id, warning)
            results.append(result)
    return results


def _leadspace_outcome(results: Sequence[LeadspaceResult]) -> Outcome:
    return Outcome(
        lines=[
            f"leadspace: {result.lookups:,} lookups for {result.customers:,} customers ({result.enrichment_id}),"
            f" {result.answered:,} with an answer, {result.current:,} of them from before"
            for result in results
        ],
        facts={"leadspace": [asdict(result) | {"warnings": result.warnings()} for result in results]},
    )


# --- run


def due_at(settings: Settings) -> datetime | None:
    """When the next run is due: the shortest refresh of the active enrichments after the last published run's
    start.

    datetime.min where nothing was published yet; None where every refresh is manual.
    """
    periods = refresh_periods(settings)
    if not periods:
        return None
    began = instant_of(read_run_state(settings).get("published_run_started_at"))
    if began is None or not settings.published_file.exists():
        return datetime.min
    return began + min(periods)


def refresh_periods(settings: Settings) -> list[timedelta]:
    """How often each enrichment that may be contacted is refreshed by itself."""
    return [
        REFRESH_PERIODS[enrichment.refresh]
        for enrichment in settings.configuration.enrichments
        if enrichment.is_ready and enrichment.refresh in REFRESH_PERIODS
    ]


def run(
    settings: Settings,
    *,
    as_of: date | None = None,
    if_due: bool = False,
    verbose: bool = False,
    quiet: bool = False,
) -> Outcome:
    """A whole refresh: customers, office, dbt build, publish. Any failure leaves the published file as it
    was.
    """
    if if_due:
        due = due_at(settings)
        if due is None:
            return Outcome(lines=["not due: every refresh is manual"], facts={"due": False, "next_due": None})
        if utc_now() + _DUE_SLACK < due:
            text = f"{due:%Y-%m-%d %H:%M} UTC"
            return Outcome(
                lines=[f"not due before {text}"], facts={"due": False, "next_due": due.isoformat() + "Z"}
            )
    _require_consents(settings, OFFICE, LEADSPACE)
    book = address_book(settings)
    reads_office = bool(settings.ready(OfficeEnrichment))
    outcome = Outcome()
    with running(settings, "run") as state:
        outcome.facts["run_id"] = state.run_id
        with private_file(settings) as connection:
            _begin(settings, connection, book, state)
            with state.timed("customers"):
                landed = customers.extract(settings, connection, book)
            outcome.add("customers", _customers_outcome(landed, office_follows=reads_office))
            if reads_office:
                result = _office(settings, connection, book, state, read_anew=False)
                outcome.add("office", _office_outcome(result))
            if settings.ready(LeadspaceEnrichment):
                results = _leadspace(settings, connection, state, may_wait=True)
                outcome.add("leadspace", _leadspace_outcome(results))
            state.record(connection)
        with state.timed("dbt"):
            build(settings, as_of=as_of, verbose=verbose)
        with state.timed("publish"):
            # A past day was asked for by name, so it may stand in for a newer one.
            published = _publish(settings, state.run_id, allow_older=as_of is not None)
        _note_published(settings, state)
        outcome.facts |= _published_facts(published)
        outcome.facts["steps"] = dict(state.steps)
        outcome.lines.append(
            "steps: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in state.steps.items())
        )
    if not quiet:
        outcome.summary = _summary_of(settings)
    return outcome


def publish(settings: Settings) -> Outcome:
    """Publishes what dbt has built."""
    with running(settings, "publish") as state:
        with state.timed("publish"):
            published = _publish(settings, state.run_id)
        _note_published(settings, state)
    facts = _published_facts(published)
    return Outcome(lines=[f"published: {settings.published_file.name}"], facts=facts)


def _publish(settings: Settings, run_id: str, *, allow_older: bool = False) -> PublishResult:
    # Loaded only here: extracting needs nothing of it.
    from engagement.publish import publish

    return publish(settings, run_id=run_id, allow_older=allow_older)


def _summary_of(settings: Settings) -> Callable[[], None]:
    def show() -> None:
        from engagement.report import print_summary

        print_summary(settings, read_status(settings), utc_now())

    return show


def status(settings: Settings) -> Outcome:
    """The hub and the last run, from the published file and the run state alone."""
    found = read_status(settings)

    def show() -> None:
        from engagement.report import console, print_status

        print_status(found, utc_now(), console())

    return Outcome(facts=found, summary=show)


def _note_published(settings: Settings, state: RunState) -> None:
    periods = refresh_periods(settings)
    state.note_published(state.started_at + min(periods) if periods else None)


def _published_facts(published: PublishResult) -> dict[str, Any]:
    return {
        "published": str(published.path),
        "as_of": str(published.as_of),
        "tables": published.tables,
        "size_bytes": published.size_bytes,
    }


# --- dbt


def build(settings: Settings, *, as_of: date | None = None, verbose: bool = False) -> None:
    """`dbt build` in this process, quiet unless `verbose`; DataTestError with one line per failed node.

    Unit tests are left out: they test the project, not the data. The private file must be closed.
    """
    from dbt.cli.main import dbtRunner

    arguments = [
        "build",
        "--exclude-resource-type",
        "unit_test",
        "--project-dir",
        str(settings.project_dir),
        "--profiles-dir",
        str(settings.project_dir),
        "--target",
        "private",
    ]
    if not verbose:
        # The line of a failed node is printed by us.
        arguments = ["--quiet", "--no-print", "--log-level", "none", *arguments]
    if as_of is not None:
        arguments += ["--vars", f"{{as_of_date: '{as_of.isoformat()}'}}"]
    with _environment(settings), progress("models and tests") as bar:

        def follow(event: Any) -> None:
            if event.info.name == "LogStartLine":
                bar.advance(to=int(event.data.index), total=int(event.data.total))

        outcome = dbtRunner(callbacks=[follow]).invoke(arguments)
    if isinstance(outcome.exception, SystemExit | KeyboardInterrupt):
        raise outcome.exception  # a signal, which dbt keeps to itself
    failed = _failed_nodes(outcome.result)
    if outcome.success and not failed:
        return
    if not failed:
        problem = _first_line(str(outcome.exception)) if outcome.exception is not None else "no reason given"
        raise DataTestError(
            f"dbt: the project cannot be built ({problem}); nothing is published, run `dbt build`"
        )
    raise DataTestError(
        f"dbt: {len(failed)} model{'s or tests' if len(failed) != 1 else ' or test'} failed;"
        " nothing is published,"
        " the last file stays",
        findings=failed,
    )


def _failed_nodes(result: Any) -> list[str]:
    failed = []
    for node in getattr(result, "results", None) or ():
        status = str(getattr(node.status, "value", node.status))
        if status in ("error", "fail", "runtime error", "partial success"):
            kind = str(getattr(node.node.resource_type, "value", node.node.resource_type))
            failed.append(f"{kind} {node.node.name}: {_first_line(node.message or status)}")
    return failed


def _first_line(text: str) -> str:
    """dbt's messages go over many lines, the first of which often only names the node."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].endswith(")") and " Error in " in lines[0]:
        lines = lines[1:]
    return lines[0][:300] if lines else "failed"


@contextmanager
def _environment(settings: Settings) -> Iterator[None]:
    """What profiles.yml reads, for as long as dbt runs; and the folder that its paths start at."""
    values = {
        "ENGAGEMENT_PRIVATE_FILE": str(settings.private_file.resolve()),
        "ENGAGEMENT_PUBLISHED_FILE": str(settings.published_file.resolve()),
        "ENGAGEMENT_DATA_DIR": str(settings.data_dir.resolve()),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    before = {name: os.environ.get(name) for name in values}
    folder = Path.cwd()
    os.environ.update(values)
    os.chdir(settings.project_dir)
    try:
        yield
    finally:
        os.chdir(folder)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
