"""What a notification says: aggregates of the run and of the published file, and nothing of anybody.

The message is made of run_state.json and the published file alone, and every text in it is searched once more for
addresses, ids, secrets and queries before it leaves. Its schema stands in docs/notifications.md.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from engagement import small_numbers
from engagement.configuration.enrichments import LEADSPACE_CONTACTS, OFFICE
from engagement.configuration.secret_variables import SECRET_VARIABLES, SHORTEST_TOKEN
from engagement.configuration.settings import Settings
from engagement.gate import ADDRESS_PATTERN, X500_PATTERN
from engagement.identifiers import slug
from engagement.logs import printable
from engagement.run_state import instant_of, instant_text, read_run_state
from engagement.status import read_status
from engagement.warehouse import utc_now

VERSION = 1
# What a chat shows of a text, and what anybody reads of a list.
LONGEST_TEXT, MOST_FINDINGS, MOST_FINDINGS_IN_WORDS = 2000, 50, 3

# How much a type of enrichment selects and processes, where that is a number of people.
_PEOPLE = {OFFICE: "mailboxes", LEADSPACE_CONTACTS: "contacts"}

_ADDRESS = re.compile(ADDRESS_PATTERN)
_X500 = re.compile(X500_PATTERN + r"\S*")
_GUID = re.compile(r"(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
_QUERY = re.compile(r"(?i)(\bhttps?://[^\s?#]*)[?#]\S*")
_COUNT_OF_PEOPLE = re.compile(
    r"(?i)\b\d[\d,]*(?: of \d[\d,]*)? (?=(?:mailbox(?:es)?|people|persons?|contacts?|addresses|users?|members?)\b)"
)


def message(
    event: str,
    text: str,
    *,
    run: Mapping[str, Any] | None = None,
    exit_code: int | None = None,
    settings: Settings | None = None,
    incidents: Sequence[str] = (),
    recovered: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole message, fit to leave. Without `settings` (they cannot be loaded) it has its text alone."""
    body: dict[str, Any] = {
        "version": VERSION,
        "message_id": secrets.token_hex(8),
        "event": event,
        "at": instant_text(utc_now()),
        "text": text,
        "exit_code": exit_code,
        "run": None if run is None else _run(run),
        "enrichments": [],
        "published": None,
        "watch": [],
        "incidents": list(incidents),
        "recovered": list(recovered),
    }
    if settings is not None:
        status = read_status(settings)
        body["enrichments"] = _enrichments(settings, status, run or {})
        body["published"] = _published(settings, status)
        body["watch"] = status["watch"][:MOST_FINDINGS]
    clean: dict[str, Any] = Guard(settings).clean(body)
    return clean


def _run(run: Mapping[str, Any]) -> dict[str, Any]:
    began, ended = instant_of(run.get("started_at")), instant_of(run.get("finished_at"))
    return {
        "run_id": run.get("run_id"),
        "command": run.get("command"),
        "state": run.get("state"),
        "step": run.get("step"),
        "error": run.get("error"),
        "started_at": run.get("started_at"),
        "finished_at": run.get("finished_at"),
        "seconds": round((ended - began).total_seconds(), 1) if began and ended else None,
        "steps": [{"step": step, "seconds": seconds} for step, seconds in (run.get("steps") or {}).items()],
    }


def _enrichments(
    settings: Settings, status: Mapping[str, Any], run: Mapping[str, Any]
) -> list[dict[str, Any]]:
    done = run.get("enrichments") or {}
    is_banded = settings.configuration.reporting.small_numbers == small_numbers.BAND
    return [
        {
            "enrichment_id": entry["enrichment_id"],
            "type": entry["type"],
            "state": entry["state"],
            "status": entry["status"],
            # In words there may be a small number of people.
            "detail": None if is_banded else entry["detail"],
            "accounts_enriched": entry["accounts_enriched"],
            "accounts": entry["accounts"],
            "last_updated_at": entry["last_updated_at"],
            "next_due_at": entry["next_due_at"],
            **_people(settings, entry["type"], done.get(entry["enrichment_id"]) or {}),
        }
        for entry in status["enrichments"]
    ]


def _people(settings: Settings, kind: str, done: Mapping[str, Any]) -> dict[str, int | None]:
    """How many mailboxes or contacts the run selected and processed, where these are people; null where the mode for
    small numbers hides one of them, or what is left between them.
    """
    noun = _PEOPLE.get(kind)
    if noun is None:
        return {}
    counts = [done.get("selected"), done.get("processed")]
    known = [count for count in counts if isinstance(count, int) and not isinstance(count, bool)]
    selected, processed = known if len(known) == 2 else (None, None)
    reporting = settings.configuration.reporting
    if selected is not None and processed is not None and reporting.small_numbers == small_numbers.BAND:
        parts = (selected, processed, selected - processed)
        if any(0 < part < reporting.k for part in parts):
            selected = processed = None
    return {f"{noun}_selected": selected, f"{noun}_processed": processed}


def _published(settings: Settings, status: Mapping[str, Any]) -> dict[str, Any] | None:
    found = status["published"]
    if found is None:
        return None
    return {
        "is_readable": found["is_readable"],
        "run_id": found.get("run_id"),
        "as_of_date": found.get("as_of_date"),
        "published_at": found.get("published_at"),
        "next_due_at": read_run_state(settings).get("next_due"),
    }


class Guard:
    """Takes out of every text what must not leave: addresses, ids of people, secrets, queries of addresses."""

    def __init__(self, settings: Settings | None) -> None:
        known = {name: value for name, value in os.environ.items() if name in SECRET_VARIABLES and value}
        found = {value for value in known.values() if len(value) >= SHORTEST_TOKEN}
        names: dict[str, str] = {}
        self._is_banded = False
        if settings is not None:
            # Loaded only here: it needs the gate and all that publishes.
            from engagement.publish import secret_values

            found |= set(secret_values(settings))
            reporting = settings.configuration.reporting
            self._is_banded = reporting.small_numbers == small_numbers.BAND
            for position, enrichment in enumerate(settings.configuration.enrichments):
                if _ADDRESS.search(enrichment.name) or _X500.search(enrichment.name):
                    # The id is made of the name, and has lost its @ only.
                    names[enrichment.enrichment_id] = f"enrichments[{position}]"
        words = dict.fromkeys(found, "[secret]")
        words |= {slug(value): "[secret]" for value in found if len(slug(value)) >= SHORTEST_TOKEN}
        words |= names
        self._words = [
            (re.compile(re.escape(word), re.IGNORECASE), instead)
            for word, instead in sorted(words.items(), key=lambda pair: -len(pair[0]))
        ]

    def clean(self, value: Any) -> Any:
        """The same with every text of it made fit to leave."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            # Keys are words of ours.
            return {name: self.clean(one) for name, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(one) for one in value]
        return value

    def text(self, text: str) -> str:
        """One text, on one line."""
        for pattern, instead in self._words:
            text = pattern.sub(instead, text)
        text = _QUERY.sub(r"\1", text)
        text = _X500.sub("[address]", _ADDRESS.sub("[address]", text))
        text = _GUID.sub("[id]", text)
        if self._is_banded:
            text = _COUNT_OF_PEOPLE.sub("some ", text)
        text = printable(text)
        return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."


# --- in words


def moment(text: str | None) -> str:
    """An instant as a message says it: '2026-07-01 05:30 UTC'."""
    instant = instant_of(text)
    return "an unknown time" if instant is None else moment_of(instant)


def moment_of(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def state_of_publication(settings: Settings, *, run_id: str | None) -> str:
    """A sentence or two on what is published: by this run, or as it was before."""
    status = read_status(settings)
    published = status["published"]
    if published is None:
        return "Nothing is published yet."
    if not published["is_readable"]:
        return f"{published['file']} cannot be read."
    day = f"as of {published['as_of_date']}" if published["as_of_date"] else "without mail"
    if published["run_id"] != run_id or run_id is None:
        return f"What is published stays as it was: {day}, published {moment(published['published_at'])}."
    counts = ", ".join(
        f"{entry['enrichment_id']} {entry['accounts_enriched']:,} of {entry['accounts']:,} accounts"
        for entry in status["enrichments"]
        if entry["accounts_enriched"] is not None and entry["accounts"] is not None
    )
    due = read_run_state(settings).get("next_due")
    sentences = [f"Published {day}{f': {counts}' if counts else ''}."]
    if due:
        sentences.append(f"Next due {moment(due)}.")
    warnings = [
        row["finding"]
        for row in status["watch"][:MOST_FINDINGS]
        if row["severity"] == "warning" and row["finding"]
    ]
    if warnings:
        shown = " ".join(warnings[:MOST_FINDINGS_IN_WORDS])
        more = len(warnings) - MOST_FINDINGS_IN_WORDS
        sentences.append(f"Watch: {shown}{f' And {more} more (marts.data_watch).' if more > 0 else ''}")
    return " ".join(sentences)


def run_in_words(run: Mapping[str, Any], how: str) -> str:
    """'`engagement run` failed after 12 s in step office: why'."""
    began, ended = instant_of(run.get("started_at")), instant_of(run.get("finished_at"))
    took = f" after {(ended - began).total_seconds():.0f} s" if began and ended and ended >= began else ""
    where = f" in step {run['step']}" if run.get("step") else ""
    why = f": {run['error']}" if run.get("error") else ""
    return f"`engagement {run.get('command')}` {how}{took}{where}{why}."
