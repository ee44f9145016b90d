"""The segments that a customer is in, why, and which it was in before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

# Without an office enrichment an account is judged as `none`.
SEGMENTS = """
    select segment_id, segment_name, reason, entered_on, is_entry_seen
    from segment_members
    where account_id = $account and enrichment_id = $enrichment
    order by segment_name
"""

STAYS = """
    select segment_id, segment_name, entered_on, is_entry_seen, entered_reason, left_on, left_reason
    from segment_history
    where account_id = $account and enrichment_id = $enrichment
    order by left_on desc nulls first, entered_on desc, segment_name
    limit 200
"""


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """A row per segment it is in, with the reason; the history to unfold."""
    whose = {"account": card["account_id"], "enrichment": card["office_enrichment_id"] or "none"}
    table(
        reader.frame(SEGMENTS, **whose),
        [
            Column("segment_name", "Segment"),
            Column("reason", "Because"),
            Column("entered_on", "Since", row_form=_since),
        ],
        key="segments",
        caption="Segments it is in",
        leads_to=links.segment_href,
        id_column="segment_id",
        empty="it is in no segment.",
    )
    stays = reader.frame(STAYS, **whose)
    with st.expander(f"Segments over time ({formats.count(len(stays))})"):
        table(
            stays,
            [
                Column("segment_name", "Segment"),
                Column("entered_on", "Entered on", row_form=_since),
                Column("entered_reason", "Because"),
                Column(
                    "left_on",
                    "Left on",
                    row_form=lambda row: (
                        "still in it" if formats.is_missing(row["left_on"]) else formats.day(row["left_on"])
                    ),
                ),
                Column("left_reason", "Because of"),
            ],
            key="stays",
            caption="Segments it was in",
            leads_to=links.segment_href,
            id_column="segment_id",
            empty="it has been in no segment.",
        )


def _since(row: Mapping[str, Any]) -> str:
    return formats.day(row["entered_on"]) + ("" if row["is_entry_seen"] else " or before")
