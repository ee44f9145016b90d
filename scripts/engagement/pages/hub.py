"""The hub: what can be enriched, and what is."""

from __future__ import annotations

import streamlit as st

from engagement.pages import formats
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

ENRICHMENTS = """
    select
        enrichment_id, enrichment_name, enrichment_type, enrichment_state, enrichment_status, accounts_enriched_count,
        accounts_count, last_updated_at, next_due_at
    from enrichments
    order by enrichment_name
"""


def body(reader: Reader) -> None:
    """My enrichments and Discover."""
    table(
        reader.frame(ENRICHMENTS),
        [
            Column("enrichment_name", "Name"),
            Column("enrichment_type", "Type"),
            Column("enrichment_status", "Status", formats.words),
            Column("accounts_enriched_count", "Customers enriched", formats.count),
            Column("last_updated_at", "Refreshed", formats.ago),
        ],
        key="enrichments",
        caption="My enrichments",
        id_column="enrichment_id",
    )
    st.write("")
