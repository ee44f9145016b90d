"""The enrichments as the pages name them, and how each stands: as published, or as a newer run has left it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engagement.pages import formats, site
from engagement.pages.reader import Reader
from engagement.status import last_run, newest_of_enrichments, runs_since

ENRICHMENTS = """
    select
        enrichment_id, enrichment_name, enrichment_type, output_table, enrichment_state, enrichment_status,
        status_detail, refresh_frequency, accounts_enriched_count, accounts_count, accounts_enriched_ratio,
        last_updated_at, next_due_at, (select max(run_id) from publication) as published_run_id
    from enrichments
    order by enrichment_name, enrichment_id
"""

OFFICE, LEADSPACE, LEADSPACE_CONTACTS, COMPANY_FILE = (
    "office",
    "leadspace",
    "leadspace_contacts",
    "company_file",
)

TYPES = {
    OFFICE: "E-mail and calendars",
    LEADSPACE: "Leadspace companies",
    LEADSPACE_CONTACTS: "Leadspace contacts",
    COMPANY_FILE: "Company file",
}

STATUSES = {
    "successful": "Successful",
    "completed_with_warnings": "Completed with warnings",
    "failed": "Failed",
    "cancelled": "Cancelled",
    "waiting": "Waiting for its segment",
    "waiting_for_consent": "Waiting for consent",
    "waiting_for_administrator": "Waiting for the administrator's consent",
    "withdrawn": "Consent withdrawn",
    "running": "Running now",
    "never_run": "Never run",
}

# What a person can do about it; ID stands for the enrichment's id.
_ADVICE = {
    "failed": "What was published before still stands. Correct the cause, then `engagement run`.",
    "cancelled": "What was published before still stands. The next `engagement run` goes on from there.",
    "waiting": "Its segment is published by the first run that has engagement to tell of; the next run enriches it.",
    "waiting_for_consent": "Nothing is requested for it until somebody agrees: `engagement consent ID` shows to what.",
    "waiting_for_administrator": (
        "Nothing is read until the tenant administrator agrees: `engagement consent ID --request` writes to him, "
        "`engagement consent ID --as-administrator` records his answer."
    ),
    "withdrawn": (
        "Nothing of it is requested or published. `engagement consent ID` gives consent again, "
        "`engagement remove ID` deletes what was kept."
    ),
    "never_run": "`engagement run` enriches for the first time.",
}


def listed(reader: Reader) -> list[dict[str, Any]]:
    """One record per enrichment, by name: what was published, with status and detail of a newer run where one touched
    it. Raises OlderFile.
    """
    entries = reader.records(ENRICHMENTS)
    published = entries[0]["published_run_id"] if entries else None
    newer = newest_of_enrichments(runs_since(last_run(site.current()), published))
    for entry in entries:
        if latest := newer.get(entry["enrichment_id"]):
            entry["enrichment_status"], entry["status_detail"] = latest
    return entries


def type_in_words(value: Any) -> str:
    """E-mail and calendars; a type that nobody knows as it is called."""
    return TYPES.get(value) or formats.words(value)


def status_in_words(value: Any) -> str:
    """Completed with warnings."""
    return STATUSES.get(value) or formats.words(value)


def note(entry: dict[str, Any]) -> str:
    """What a person should know and can do about how an enrichment stands, as Markdown; empty where that is nothing."""
    parts = []
    if entry["enrichment_state"] == "inactive":
        parts.append("Deactivated: runs leave it out, and its last data stay.")
    if entry["status_detail"]:
        parts.append(formats.with_commands(formats.sentence(entry["status_detail"])))
    if advice := _ADVICE.get(entry["enrichment_status"]):
        parts.append(advice.replace("ID", entry["enrichment_id"]))
    return " ".join(parts)


def next_due_in_words(entry: dict[str, Any]) -> str:
    """In 6 days; due now; or why it is not due by itself."""
    if formats.is_missing(entry["next_due_at"]):
        return "Only by hand" if entry["refresh_frequency"] == "manual" else formats.MISSING
    words = formats.ago(entry["next_due_at"])
    return words if words.startswith("in ") else "Due now"


def show_note(entry: dict[str, Any], *, with_name: bool = False) -> None:
    """What `note` says, as loudly as the status asks for; nothing where it says nothing."""
    words = note(entry)
    if not words:
        return
    text = f"**{formats.plain(entry['enrichment_name'])}**: {words}" if with_name else words
    if entry["enrichment_status"] == "failed":
        st.error(text, icon=":material/error:")
    elif entry["enrichment_status"] in ("completed_with_warnings", "cancelled"):
        st.warning(text, icon=":material/warning:")
    else:
        st.info(text, icon=":material/info:")
