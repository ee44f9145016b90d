"""The page Customer: a search, and the card of one customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from engagement.pages import formats, links
from engagement.pages.customer import (
    activity,
    company,
    family,
    head,
    match,
    measures,
    score,
    segments,
    signals,
)
from engagement.pages.customer import search as customer_search
from engagement.pages.reader import Reader
from engagement.pages.sections import let_the_top_be_drawn, unless_older

CARD = """
    select
        account_id, account_name, regexp_replace(website, '^https?://(www\\.)?|/$', '', 'g') as website_shown,
        country, account_owner, parent_account_id, parent_account_name,
        leadspace_enrichment_id, lookup_status, match_verdict, match_confidence, office_enrichment_id,
        engagement_score, score_band, score_rank, accounts_scored_count, score_confidence, anchored_score,
        score_change_points, score_change_component, component_change_points,
        emails_count, emails_to_account_count, emails_from_account_count, meetings_count,
        replies_count, reply_time_median_hours, contacts_listed_count, contacts_listed_band,
        child_accounts_count, days_since_last_email, days_since_last_meeting, rhythm_state, is_enriched,
        is_never_engaged, is_stale, last_email_on, last_meeting_on,
        greatest(coalesce(last_email_on, last_meeting_on), coalesce(last_meeting_on, last_email_on))
            as last_contact_on,
        as_of_date, (select bool_or(small_numbers = 'band') from publication) as is_banded
    from customer_cards
    where account_id = $account
"""

Card = Mapping[str, Any]
Part = Callable[[Reader, Card], None]

# Most important first, at once; the rest is asked for when its tab is opened.
PARTS: dict[str, Part] = {
    "Score": score.part,
    "E-mails and meetings": activity.part,
    "Segments": segments.part,
}
TABS: dict[str, Part] = {
    "Company": company.part,
    "Match": match.part,
    "Family": family.part,
    "Intent and technologies": signals.part,
    "Measures": measures.part,
}

# The open tab in the address.
TAB = "card_tab"


def body(reader: Reader) -> None:
    """The card of ?account=ID; without it, the list of customers."""
    account_id = st.query_params.get(links.ACCOUNT)
    if not account_id:
        customer_search.everybody(reader)
        return
    _begin(account_id)
    customer_search.another(reader)
    card = reader.record(CARD, account=account_id)
    if card is None:
        whose = "" if reader.owners is None else ", or it is none of yours"
        st.warning(
            f"There is no customer with the id {formats.plain(account_id)}{whose}. Search for it above.",
            icon=":material/search_off:",
        )
        return
    head.head(reader, card)
    let_the_top_be_drawn()
    for title, part in PARTS.items():
        st.header(title)
        with unless_older():
            part(reader, card)
    st.header("What is known")
    _tabs(reader, card)


def _begin(account_id: str) -> None:
    """A card is opened as its address says, whatever was chosen on the card before."""
    if st.session_state.get("card") == account_id:
        return
    st.session_state["card"] = account_id
    if customer_search.FIND not in st.query_params:
        st.session_state[customer_search.FIND] = ""
    if TAB not in st.query_params:
        st.session_state[TAB] = next(iter(TABS))
    if activity.BY_KEY not in st.query_params:
        st.session_state.pop(activity.BY_KEY, None)


@st.fragment
def _tabs(reader: Reader, card: Card) -> None:
    for tab, (title, part) in zip(
        st.tabs(list(TABS), key=TAB, bind="query-params"), TABS.items(), strict=True
    ):
        if tab.open:
            with tab:
                st.subheader(title)
                with unless_older():
                    part(reader, card)
