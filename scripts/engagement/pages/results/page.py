"""The results of one enrichment: how it stands, how many customers it knows, and what it found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engagement.pages import enrichments, formats
from engagement.pages.reader import Reader
from engagement.pages.results import files, leadspace, office, over_time
from engagement.pages.sections import part_of

CHOICE = "enrichment"


def body(reader: Reader) -> None:
    """The choice, and the results of what is chosen."""
    entries = enrichments.listed(reader)
    if not entries:
        st.info(
            "No enrichment is configured; the tab Discover of Enrichments says what there is.",
            icon=":material/info:",
        )
        return
    entry = _chosen(entries)
    _standing(entry)
    enrichment_id, kind = entry["enrichment_id"], entry["enrichment_type"]
    if kind in (enrichments.OFFICE, enrichments.LEADSPACE):
        over_time.show(reader, enrichment_id)
    if kind == enrichments.OFFICE:
        office.show(reader, enrichment_id)
    elif kind == enrichments.LEADSPACE:
        leadspace.show(reader, enrichment_id)
        files.show_changes(reader, enrichment_id)
    elif kind == enrichments.LEADSPACE_CONTACTS:
        files.show_contacts(reader, enrichment_id)
    else:
        files.show_companies(reader, entry)
        files.show_changes(reader, enrichment_id)
    _commands(entry)


def _chosen(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The one that the address names; the first where it names none."""
    by_id = {entry["enrichment_id"]: entry for entry in entries}
    asked = st.query_params.get(CHOICE)
    if asked and asked not in by_id:
        st.info(f"There is no enrichment {formats.plain(asked)}; here is another.", icon=":material/info:")
    # An address that was followed goes before what was chosen on the page before.
    st.session_state[CHOICE] = asked if asked in by_id else next(iter(by_id))

    def keep() -> None:
        st.query_params[CHOICE] = st.session_state[CHOICE]

    chosen = st.selectbox(
        "Enrichment",
        list(by_id),
        format_func=lambda enrichment_id: str(by_id[enrichment_id]["enrichment_name"]),
        key=CHOICE,
        on_change=keep,
    )
    return by_id[str(chosen)]


def _standing(entry: dict[str, Any]) -> None:
    """Type, state, status, when refreshed and due: in a line; what to know about it below."""
    parts = [
        enrichments.type_in_words(entry["enrichment_type"]),
        formats.words(entry["enrichment_state"]),
        enrichments.status_in_words(entry["enrichment_status"]),
    ]
    if entry["accounts_count"]:
        known = part_of(entry["accounts_enriched_count"], entry["accounts_count"])
        parts.append(f"{known} customers enriched")
    if entry["last_updated_at"] is not None:
        refreshed = formats.instant(entry["last_updated_at"])
        parts.append(f"refreshed {formats.ago(entry['last_updated_at'])} ({refreshed})")
    if entry["next_due_at"] is not None:
        parts.append(f"next due {enrichments.next_due_in_words(entry).lower()}")
    st.markdown(formats.plain(" · ".join(parts)))
    enrichments.show_note(entry)


def _commands(entry: dict[str, Any]) -> None:
    """What else can be done with it; the pages themselves change nothing."""
    enrichment_id = entry["enrichment_id"]
    with st.expander("Run, deactivate, remove"):
        st.markdown(
            "These pages only show. Who runs the project can:\n\n"
            "- **run** it: `engagement run`\n"
            "- **deactivate** it: `active: false` in enrichments.yml; its last data stay\n"
            f"- **withdraw the consent**: `engagement consent {enrichment_id} --withdraw`\n"
            f"- **remove** it with its data: `engagement remove {enrichment_id}`\n"
            "- **make a segment** of what it found: `engagement segment new`"
        )
