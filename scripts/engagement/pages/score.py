"""The page score."""

from __future__ import annotations

import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

ACCOUNTS = "select account_id, account_name, engagement_score from customer_cards order by account_name"


def body(reader: Reader) -> None:
    """To be written."""
    st.caption(formats.plain(str(st.query_params.to_dict())))
    table(
        reader.frame(ACCOUNTS),
        [Column("account_name", "Account"), Column("engagement_score", "Score", formats.decimal)],
        key="accounts",
        caption="Accounts",
        opens=links.open_account,
        href=links.account_href,
    )
