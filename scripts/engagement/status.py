"""The hub: every enrichment, what was published of it, and what the last run did or is doing.

Reads enrichments.yml, the published file and run_state.json alone, never the private file, so that it answers
while a run holds that one.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

import duckdb

from engagement.configuration.settings import Settings
from engagement.consents import GIVEN, WITHDRAWN
from engagement.run_state import CANCELLED, RunFiles, instant_of, read_last_run

PUBLICATION = "select run_id, as_of_date, published_at from marts.publication"

PUBLISHED_ENRICHMENTS = """
    select
        enrichment_id, enrichment_status, status_detail, accounts_enriched_count, accounts_count, last_updated_at,
        next_due_at
    from marts.enrichments
"""

# Warnings first, the newest of them first.
WATCH = """
    select enrichment_id, check_name, subject, severity, finding, day_on, since_on
    from marts.data_watch
    order by severity desc, coalesce(day_on, since_on) desc nulls last, enrichment_id nulls first, check_name, subject
"""


def read_status(settings: Settings) -> dict[str, Any]:
    """`published` (null before the first), `enrichments` in the order of enrichments.yml, what the `watch` on the data
    found, and the last `run`.

    Of an enrichment the status is that of the newest run that touched it, published or not.
    """
    published, rows, watch = _published(settings)
    run = last_run(settings)
    newer = newest_of_enrichments(runs_since(run, (published or {}).get("run_id")))
    enrichments = []
    for enrichment in settings.configuration.enrichments:
        enrichment_id = enrichment.enrichment_id
        row = rows.get(enrichment_id)
        entry: dict[str, Any] = {
            "enrichment_id": enrichment_id,
            "name": enrichment.name,
            "type": enrichment.type,
            "output_table": enrichment.output_table,
            "state": "active" if enrichment.active else "inactive",
            "status": row["enrichment_status"] if row else "never_run",
            "detail": row["status_detail"] if row else None,
            "accounts_enriched": row["accounts_enriched_count"] if row else None,
            "accounts": row["accounts_count"] if row else None,
            "last_updated_at": row["last_updated_at"] if row else None,
            "next_due_at": row["next_due_at"] if row else None,
        }
        if latest := newer.get(enrichment_id):
            entry["status"], entry["detail"] = latest
        state = settings.consents[enrichment_id].state
        if state == WITHDRAWN or (enrichment.active and state != GIVEN):
            entry["status"] = state
            entry["detail"] = settings.waits_for(enrichment)
            if not settings.consents[enrichment_id].has_outputs and entry["accounts_enriched"]:
                entry["detail"] += "; the next `engagement run` takes out what is still published of it"
        if not settings.is_ready(enrichment):
            entry["next_due_at"] = None
        enrichments.append(entry)
    return {
        "published": published,
        "enrichments": enrichments,
        "watch": watch,
        "run": {name: value for name, value in run.items() if name not in ("previous", "enrichments")}
        or None,
    }


def _published(
    settings: Settings,
) -> tuple[dict[str, Any] | None, dict[str, dict[str, Any]], list[dict[str, Any]]]:
    """What the published file says of itself, of each enrichment and of the data; None where there is none to read."""
    if not settings.published_file.is_file():
        return None, {}, []
    name = settings.published_file.name
    try:
        with duckdb.connect(str(settings.published_file), read_only=True) as connection:
            [publication] = _records(connection, PUBLICATION)
            rows = {row["enrichment_id"]: row for row in _records_if_there(connection, PUBLISHED_ENRICHMENTS)}
            watch = _records_if_there(connection, WATCH)
    except (duckdb.Error, ValueError):
        return {"file": name, "is_readable": False}, {}, []
    return {"file": name, "is_readable": True, **publication}, rows, watch


def _records_if_there(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    try:
        return _records(connection, query)
    except (duckdb.CatalogException, duckdb.BinderException):
        # A file of an earlier version; the next run's has it.
        return []


def _records(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    result = connection.execute(query)
    names = [column[0] for column in result.description or ()]
    return [
        {name: _as_text(value) for name, value in zip(names, row, strict=True)} for row in result.fetchall()
    ]


def _as_text(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds") + "Z"
    return value.isoformat() if isinstance(value, date) else value


def last_run(files: RunFiles) -> dict[str, Any]:
    """The last run, with those before it as `previous`; how far it is only while it goes on. Empty before the first."""
    run = read_last_run(files)
    if run.get("state") != "running":
        run.pop("progress", None)
    return run


def runs_since(run: dict[str, Any], published_run_id: str | None) -> list[dict[str, Any]]:
    """Of `last_run`, the runs after the published one, newest first, the published one itself left out."""
    newer = []
    for candidate in [run, *(run.get("previous") or [])] if run else []:
        if candidate.get("run_id") == published_run_id:
            break
        newer.append(candidate)
    return newer


def newest_of_enrichments(runs: Iterable[dict[str, Any]]) -> dict[str, tuple[str, str | None]]:
    """By enrichment_id, status and detail in the first of `runs` that touched it."""
    newest: dict[str, tuple[str, str | None]] = {}
    for run in runs:
        for enrichment_id, entry in (run.get("enrichments") or {}).items():
            has_died = entry["state"] == "running" and run.get("state") != "running"
            newest.setdefault(enrichment_id, ("failed" if has_died else entry["state"], entry.get("detail")))
    return newest


def ago(text: str | None, now: datetime) -> str:
    """How long ago an instant was, or in what time it is, as a person says it: '2 hours ago', 'in 6 days'."""
    instant = instant_of(text)
    if instant is None:
        return "-"
    seconds = (now - instant).total_seconds()
    size = abs(seconds)
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if size >= length:
            count = int(size // length)
            words = f"{count} {unit}{'' if count == 1 else 's'}"
            return f"{words} ago" if seconds > 0 else f"in {words}"
    return "just now" if seconds >= 0 else "now"


def run_in_words(run: dict[str, Any] | None, now: datetime) -> str:
    """The last run in one line."""
    if not run:
        return "No run yet: `engagement run` makes the first."
    steps = ", ".join(f"{step} {seconds:.1f} s" for step, seconds in (run.get("steps") or {}).items())
    command, step = f"`engagement {run.get('command')}`", run.get("step")
    began = instant_of(run.get("started_at"))
    ended = instant_of(run.get("finished_at"))
    took = f" in {(ended - began).total_seconds():.0f} s" if began and ended else ""
    state = run.get("state")
    if state == "running":
        lasted = f"{(now - began).total_seconds():.0f} s" if began else "some time"
        how_far = (run.get("progress") or {}).get("text")
        beside = [how_far if isinstance(how_far, str) else "", f"after {steps}" if steps else ""]
        details = "; ".join(filter(None, beside))
        return (
            f"Going on for {lasted}: {command}, process {run.get('pid')}, in step {step or 'begin'}"
            f"{f' ({details})' if details else ''}."
        )
    if state == "done":
        return f"Last run: {command} done {ago(run.get('finished_at'), now)}{took}{f' ({steps})' if steps else ''}."
    if state == "killed":
        return (
            f"Last run: {command}, begun {ago(run.get('started_at'), now)}, was killed in step {step or 'begin'};"
            " run again, it goes on from there."
        )
    if state == CANCELLED:
        return (
            f"Last run: {command} {run.get('error')} {ago(run.get('finished_at'), now)} in step {step or 'begin'};"
            " run again, it goes on from there."
        )
    return (
        f"Last run: {command} failed {ago(run.get('finished_at'), now)} in step {step or 'begin'}:"
        f" {run.get('error')}"
    )
