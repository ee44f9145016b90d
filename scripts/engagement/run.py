"""A whole refresh, publishing, and the status; each prints nothing and returns its outcome."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engagement import audit, budget, consent, customers, service_findings
from engagement.build import build
from engagement.configuration.enrichments import (
    COMPANY_FILE,
    LEADSPACE,
    OFFICE,
    REFRESH_PERIODS,
    OfficeEnrichment,
)
from engagement.configuration.settings import Settings
from engagement.errors import EngagementError
from engagement.extract import (
    address_book,
    ask_leadspace,
    begin,
    customers_outcome,
    leadspace_outcome,
    office_outcome,
    read_company_files,
    read_office,
    ready_to_ask,
    require_consents,
    running,
)
from engagement.outcome import Outcome
from engagement.run_state import RunState, instant_of, read_run_state
from engagement.status import read_status
from engagement.warehouse import private_file, save_consents, utc_now

if TYPE_CHECKING:
    from engagement.publish import PublishResult

# A timer that fires a little early must not skip a whole period.
_DUE_SLACK = timedelta(minutes=5)


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
        if settings.is_ready(enrichment) and enrichment.refresh in REFRESH_PERIODS
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

    What was withdrawn since the last is taken out of the published file, at once and where nothing else is left to do.
    """
    withdrawn = consent.withdrawn_outputs(settings, settings.published_file)
    if if_due and not withdrawn:
        due = due_at(settings)
        if due is None:
            return Outcome(lines=["not due: every refresh is manual"], facts={"due": False, "next_due": None})
        if utc_now() + _DUE_SLACK < due:
            text = f"{due:%Y-%m-%d %H:%M} UTC"
            return Outcome(
                lines=[f"not due before {text}"], facts={"due": False, "next_due": due.isoformat() + "Z"}
            )
    require_consents(settings, OFFICE, LEADSPACE, COMPANY_FILE, is_removal=bool(withdrawn))
    book = address_book(settings)
    reads_office = bool(settings.ready(OfficeEnrichment))
    outcome = Outcome()
    with running(settings, "run") as state:
        outcome.facts["run_id"] = state.run_id
        with private_file(settings) as connection:
            begin(settings, connection, book, state)
            outcome.facts["budget"] = budget.require(settings, connection, state).facts()
            with state.timed("customers"):
                landed = customers.extract(settings, connection, book)
                service_findings.note_customers(connection, state.run_id, landed)
                files = read_company_files(settings, connection, state)
            outcome.add("customers", customers_outcome(landed, files, office_follows=reads_office))
            if reads_office:
                result = read_office(settings, connection, book, state, read_anew=False)
                outcome.add("office", office_outcome(result))
            if ready_to_ask(settings):
                results = ask_leadspace(settings, connection, state, may_wait=True)
                outcome.add("leadspace", leadspace_outcome(results))
            state.record(connection)
        with state.timed("dbt"):
            build(settings, as_of=as_of, verbose=verbose, tell=state.progress)
        with state.timed("publish"):
            # A past day was asked for by name, so it may stand in for a newer one; and so may what is left without
            # what was withdrawn.
            published = _publish(settings, state.run_id, allow_older=as_of is not None or bool(withdrawn))
        _note_published(settings, state)
        outcome.facts |= _published_facts(published)
        _export(settings, state, outcome)
        outcome.facts["steps"] = dict(state.steps)
        outcome.lines.append(
            "steps: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in state.steps.items())
        )
    if not quiet:
        outcome.summary = _summary_of(settings)
    return outcome


def publish_again(settings: Settings, state: RunState, *, what: str, verbose: bool = False) -> Outcome:
    """Builds and publishes after something was taken out of the private file; nothing where nothing was published.

    `what` says what is out, for the line beside an error: the published file still counts it then.
    """
    if not settings.published_file.exists():
        return Outcome(lines=["nothing was published yet, so there is nothing to publish again"])
    try:
        with state.timed("dbt"):
            build(settings, verbose=verbose, tell=state.progress)
        with state.timed("publish"):
            # What is out must go, though the day is an older one than that of a file made with --as-of.
            published = _publish(settings, state.run_id, allow_older=True)
    except EngagementError as error:
        raise type(error)(
            error.message,
            findings=[
                *error.findings,
                f"{what} of {settings.private_file.name}, but {settings.published_file.name} is still the one from"
                " before; correct the above, then `engagement run`",
            ],
        ) from None
    audit.note(settings, audit.PUBLICATION)
    state.note_published_again()
    return Outcome(
        lines=[f"published again: {settings.published_file.name}"], facts=_published_facts(published)
    )


def publish(settings: Settings, *, marts_from: Path | None = None) -> Outcome:
    """Publishes what dbt has built; builds anew first where what was withdrawn stands in it. `marts_from` names the
    folder with the marts that another engine has built, which then have to be free of it.
    """
    withdrawn = consent.withdrawn_outputs(settings, settings.published_file)
    with running(settings, "publish") as state:
        consent.settle(settings)
        if marts_from is None and consent.withdrawn_outputs(settings, settings.private_file):
            with state.timed("dbt"):
                _build_without_withdrawn(settings, state)
        with state.timed("publish"):
            published = _publish(settings, state.run_id, allow_older=bool(withdrawn), marts_from=marts_from)
        _note_published(settings, state)
    facts = _published_facts(published)
    return Outcome(lines=[f"published: {settings.published_file.name}"], facts=facts)


def _build_without_withdrawn(settings: Settings, state: RunState) -> None:
    with private_file(settings) as connection:
        save_consents(connection, settings)
        customers.refresh_issues_of_own_people(connection)
        state.record(connection)
        audit.record(connection, settings)
    build(settings, tell=state.progress)


def _publish(
    settings: Settings, run_id: str, *, allow_older: bool = False, marts_from: Path | None = None
) -> PublishResult:
    # Loaded only here: extracting needs nothing of it.
    from engagement.publish import publish

    consent.require_outputs(settings)
    return publish(settings, run_id=run_id, allow_older=allow_older, marts_from=marts_from)


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


def _export(settings: Settings, state: RunState, outcome: Outcome) -> None:
    """The exports that follow a run. One that fails undoes nothing: it is told, and the run has an exit code of its
    own.
    """
    if not any(export.after_run for export in settings.configuration.exports):
        return
    # Loaded only here: most runs export nothing.
    from engagement.exports.export import export_after_run

    with state.timed("exports"):
        exported = export_after_run(settings)
    outcome.lines += exported.lines
    outcome.facts["exports"] = exported.facts
    outcome.exit_code = exported.exit_code or outcome.exit_code


def _note_published(settings: Settings, state: RunState) -> None:
    audit.note(settings, audit.PUBLICATION)
    periods = refresh_periods(settings)
    state.note_published(state.started_at + min(periods) if periods else None)


def _published_facts(published: PublishResult) -> dict[str, Any]:
    return {
        "published": str(published.path),
        "as_of": None if published.as_of is None else str(published.as_of),
        "tables": published.tables,
        "size_bytes": published.size_bytes,
    }
