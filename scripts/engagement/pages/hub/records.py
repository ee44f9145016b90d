"""What is wrong in the customer files, and what was done with what is held."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.sections import ROWS_LISTED, note_of_rows, section
from engagement.pages.tables import Column, table

ISSUES = f"""
    select issue, subject_id as account_id, detail, count(*) over () as rows_count
    from customer_issues
    where (subject_type = 'account') = $is_about_accounts
    order by issue, subject_id
    limit {ROWS_LISTED}
"""

EVENTS = f"""
    select audit_events.happened_at, audit_events.action,
        coalesce(enrichments.enrichment_name, audit_events.enrichment_id) as enrichment_name, audit_events.detail,
        count(*) over () as rows_count
    from audit_events
    left join enrichments on audit_events.enrichment_id = enrichments.enrichment_id
    order by audit_events.happened_at desc, audit_events.event_id
    limit {ROWS_LISTED}
"""

_ACTIONS = {
    "access": "Somebody was told what is held on him",
    "erasure": "A person was erased",
    "removal": "An enrichment was removed with its data",
    "publication": "This file was published",
    "export": "Tables were exported",
    "key_rotation": "The key of the hashes was changed",
    "backup": "A copy was made",
    "restoration": "A copy was put back",
}


def action_in_words(value: Any) -> str:
    """What was done."""
    return _ACTIONS.get(value) or formats.words(value)


def show(reader: Reader) -> None:
    """Findings in the customer files, for who sees all of them, and the record of what was done."""
    with section("Customer files"):
        _issues(reader)
    with section("What was done with what is held"):
        events = reader.frame(EVENTS)
        table(
            events,
            [
                Column(
                    "happened_at", "When", formats.instant, detail=lambda row: formats.ago(row["happened_at"])
                ),
                Column("action", "What", action_in_words),
                Column("enrichment_name", "Enrichment"),
                Column("detail", "Details"),
            ],
            key="events",
            caption="Consents, accesses, erasures, removals, exports, publications",
        )
        note_of_rows(events, "the newest first", "the table audit_events of the published file")
        st.caption("Nobody is named here: who gave a consent stands with the owner of the data.")


def _issues(reader: Reader) -> None:
    if reader.owners is not None:
        st.markdown("Findings name customers of all owners, so they are shown to who sees all accounts.")
        return
    columns = [
        Column("account_id", "Id"),
        Column("issue", "Finding", formats.words),
        Column("detail", "What to do"),
    ]
    for is_about_accounts, caption in ((True, "Findings about accounts"), (False, "Findings about contacts")):
        found = reader.frame(ISSUES, is_about_accounts=is_about_accounts)
        table(
            found,
            columns,
            key=caption,
            caption=caption,
            leads_to=links.account_href if is_about_accounts else None,
        )
        note_of_rows(found, "by finding", "the table customer_issues of the published file")
