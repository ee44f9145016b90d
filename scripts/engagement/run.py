"""The verbs of the command as functions: check, extract, run, publish; each prints nothing and returns its
outcome.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engagement import customers
from engagement.addresses import AddressBook, Hasher, SenderPatterns, load_hash_key
from engagement.config import OfficeEnrichment, Settings
from engagement.customers import CustomersResult
from engagement.errors import (
    DONE,
    DONE_WITH_UNREAD_MAILBOXES,
    ConfigurationError,
    DataTestError,
    EngagementError,
    IncompleteError,
)
from engagement.office import extract as office
from engagement.office import mailboxes
from engagement.office.extract import OfficeResult
from engagement.office.graph import Service
from engagement.progress import progress
from engagement.warehouse import (
    Connection,
    RunState,
    note_patterns,
    patterns_changed,
    prepare_data_dir,
    private_file,
    read_run_state,
    save_settings,
    single_run,
    utc_now,
)

if TYPE_CHECKING:
    from engagement.publish import PublishResult

log = logging.getLogger(__name__)

PERIODS = {
    "hourly": timedelta(hours=1),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
}
# A timer that fires a little early must not skip a whole period.
_DUE_SLACK = timedelta(minutes=5)

Say = Callable[[str], None]


@dataclass
class Outcome:
    """What a command did: lines for a person, facts for --json, and its exit code."""

    exit_code: int = DONE
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    summary: Callable[[], None] | None = None


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


def check(settings: Settings, *, connect: bool) -> Outcome:
    """What is configured, the customer files read; with `connect` also whom the listed addresses resolve to.

    Stores nothing.
    """
    outcome = Outcome()
    facts: list[dict[str, Any]] = []
    accounts, contacts = customers.read(settings)
    outcome.lines.append(f"customer files: {len(accounts):,} accounts, {len(contacts):,} contacts")
    for position, enrichment in enumerate(settings.configuration.enrichments):
        state = "active" if enrichment.active else "inactive"
        line = f"{enrichment.name} ({enrichment.type}, {state}, publishes {enrichment.output_table})"
        fact: dict[str, Any] = {
            "enrichment_id": enrichment.enrichment_id,
            "type": enrichment.type,
            "active": enrichment.active,
            "output_table": enrichment.output_table,
        }
        if isinstance(enrichment, OfficeEnrichment):
            fact["waits_for"] = list(enrichment.missing_consents)
            listed = mailboxes.listed_addresses(settings, position, enrichment)
            fact["addresses"] = len(listed)
            noun = "address" if len(listed) == 1 else "addresses"
            line += f": {len(listed)} {noun}, {enrichment.retention} days, refreshed {enrichment.refresh}"
        outcome.lines.append(line)
        facts.append(fact)
    outcome.lines += office.waiting_for_consent(settings)
    outcome.facts = {
        "accounts": len(accounts),
        "contacts": len(contacts),
        "enrichments": facts,
        "warnings": list(settings.warnings),
    }
    if connect:
        _check_directory(settings, outcome, facts)
    else:
        outcome.lines.append("valid; next: engagement check --connect")
    return outcome


def _check_directory(settings: Settings, outcome: Outcome, facts: Sequence[dict[str, Any]]) -> None:
    chosen = office.enrichments_to_extract(settings)
    if not chosen:
        outcome.exit_code = ConfigurationError.exit_code
        outcome.lines.append("nothing to contact: no active office enrichment has both consents")
        return
    service = Service(settings)
    now = service.sign_in()
    refused: list[str] = []
    with service.client() as client:
        for position, enrichment in chosen:
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


# --- extract


def extract_customers(settings: Settings) -> Outcome:
    """Lands the customer files."""
    book = address_book(settings)
    with running(settings, "extract customers") as state, private_file(settings) as connection:
        save_settings(connection, settings, key_check=book.hasher.key_check)
        with state.timed("customers"):
            result = customers.extract(settings, connection, book)
    return _customers_outcome(result)


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
    _require_consents(settings)
    book = address_book(settings)
    with running(settings, "extract office") as state:
        with private_file(settings) as connection:
            save_settings(connection, settings, key_check=book.hasher.key_check)
            result = _office(settings, connection, book, state, read_anew=read_anew)
        return _office_outcome(result)


def _require_consents(settings: Settings) -> None:
    """Says who is skipped; ConfigurationError where nothing is left to do."""
    waiting = office.waiting_for_consent(settings)
    if not office.enrichments_to_extract(settings):
        raise ConfigurationError(
            "enrichments: nothing to extract; no active office enrichment has both consents", findings=waiting
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
        result = office.extract(settings, connection, book, state, read_anew=read_anew)
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
            findings=result.beyond_tolerance,
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


# --- run


def due_at(settings: Settings) -> datetime | None:
    """When the next run is due: the shortest refresh of the active enrichments after the last published run's
    start.

    datetime.min where nothing was published yet; None where every refresh is manual.
    """
    periods = [
        PERIODS[enrichment.refresh]
        for _, enrichment in office.enrichments_to_extract(settings)
        if enrichment.refresh in PERIODS
    ]
    if not periods:
        return None
    began = read_run_state(settings).get("published_run_started_at")
    if not isinstance(began, str) or not settings.published_file.exists():
        return datetime.min
    try:
        return datetime.fromisoformat(began.removesuffix("Z")) + min(periods)
    except ValueError:
        return datetime.min


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
    _require_consents(settings)
    book = address_book(settings)
    with running(settings, "run") as state:
        with private_file(settings) as connection:
            save_settings(connection, settings, key_check=book.hasher.key_check)
            with state.timed("customers"):
                landed = customers.extract(settings, connection, book)
            customers_outcome = _customers_outcome(landed, office_follows=True)
            result = _office(settings, connection, book, state, read_anew=False)
        outcome = _office_outcome(result)
        outcome.lines = customers_outcome.lines + outcome.lines
        outcome.facts = {
            "customers": customers_outcome.facts,
            "office": outcome.facts,
            "run_id": state.run_id,
        }
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
        outcome.summary = _summary_of(settings, published)
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


def _summary_of(settings: Settings, published: PublishResult) -> Callable[[], None]:
    def show() -> None:
        from engagement.report import print_summary

        print_summary(settings, published)

    return show


def _note_published(settings: Settings, state: RunState) -> None:
    state.published_at = utc_now().isoformat(timespec="seconds") + "Z"
    state.published_run_started_at = state.started_at.isoformat(timespec="seconds") + "Z"
    state.save()
    due = due_at(settings)
    state.next_due = None if due is None or due == datetime.min else due.isoformat(timespec="seconds") + "Z"
    state.save()


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
