"""How a customer looks to the provider of company data: what was sent, what came back, and how far they agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engagement.pages import formats
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

LOOKUP = """
    select lookup_status, not_sent_reason, is_in_dataset, is_refreshed, answered_at
    from account_lookups
    where enrichment_id = $enrichment and account_id = $account
"""

MATCH = """
    select
        answered_name, match_verdict, match_reason, match_confidence, name_similarity_ratio, is_decided_by_person,
        answered_at
    from account_matches
    where enrichment_id = $enrichment and account_id = $account
"""

FIELDS = """
    select field, sent_value, answered_value, sent_compared, answered_compared, agreement
    from account_match_fields
    where enrichment_id = $enrichment and account_id = $account
    order by list_position(['name', 'website', 'country'], field)
"""

LOOKUPS = {
    "enriched": "Enriched: the provider knows this company.",
    "rejected": "Not enriched: the company that the provider answered is another one.",
    "not_enriched": "Not enriched: the provider does not know this company, or not surely enough.",
    "not_sent": "Not sent to the provider.",
    "invalid": "Not enriched: the provider refused what was sent as invalid.",
    "waiting": "The provider's answer is not ready yet.",
    "held": "The provider's answer was lost. It is not asked again by itself, since it may have been charged.",
    "not_answered": "Not answered yet.",
}
NOT_SENT = {
    "no_name": "The customer file has no name for it; add one, and the next run sends it.",
    "name_too_long": "Its name in the customer file is too long to be sent; shorten it.",
}
VERDICTS = {
    "accept": "Accepted: it is the company",
    "review": "To be looked at by a person",
    "reject": "Rejected: it is another company",
}
AGREEMENTS = {
    "equal": "equal",
    "equal_word": "equal, a single word",
    "similar": "similar in spelling",
    "contained": "one contains the other",
    "acronym": "one is the initials of the other",
    "same": "same",
    "related": "same name, another ending",
    "named": "only one is there, and bears the name",
    "different": "different",
    "unknown": "cannot be compared",
}


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """What became of the lookup; then the verdict, and the fields beside each other."""
    if card["leadspace_enrichment_id"] is None:
        st.caption(
            "This customer was not looked up: there is no Leadspace enrichment, or it is not in its data set. "
            "Page Enrichments, Discover, says how to add one."
        )
        return
    whose = {"enrichment": card["leadspace_enrichment_id"], "account": card["account_id"]}
    lookup = reader.record(LOOKUP, **whose)
    if lookup:
        said = LOOKUPS.get(lookup["lookup_status"], formats.words(lookup["lookup_status"]))
        said += f" {NOT_SENT[lookup['not_sent_reason']]}" if lookup["not_sent_reason"] in NOT_SENT else ""
        if lookup["answered_at"] is not None:
            said += f" Answered {formats.instant(lookup['answered_at'])}."
        if lookup["lookup_status"] == "enriched" and not lookup["is_refreshed"]:
            said += " What is shown is kept from before."
        st.markdown(formats.plain(said))
    match = reader.record(MATCH, **whose)
    if match is None:
        st.caption("There is no match to compare.")
        return
    verdict, confidence = st.columns(2)
    verdict.metric(
        "Verdict",
        formats.plain(VERDICTS.get(match["match_verdict"], formats.words(match["match_verdict"]))),
    )
    verdict.caption(
        formats.plain(
            f"{formats.text(match['match_reason'])}."
            + (" Decided by a person." if match["is_decided_by_person"] else "")
        )
    )
    confidence.metric("The provider's confidence", formats.plain(formats.words(match["match_confidence"])))
    confidence.caption(
        formats.plain(f"Names are alike to {formats.ratio(match['name_similarity_ratio'])}")
        if match["name_similarity_ratio"] is not None
        else "The names cannot be compared"
    )
    table(
        reader.frame(FIELDS, **whose),
        [
            Column("field", "Field", formats.words),
            Column("sent_value", "We sent"),
            Column("answered_value", "The provider has"),
            Column("agreement", "They are", lambda value: AGREEMENTS.get(str(value), formats.words(value))),
            Column("sent_compared", "Compared", row_form=_compared),
        ],
        key="match fields",
        caption="What we sent and what came back",
        is_sortable=False,
    )


def _compared(row: Mapping[str, Any]) -> str:
    return f"{formats.text(row['sent_compared'])} with {formats.text(row['answered_compared'])}"
