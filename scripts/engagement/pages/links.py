"""The addresses of the pages.

From page to page goes the browser, by an address, as when somebody goes back. `st.switch_page` is used nowhere: while
the server is on its way to another page, a fragment that runs every few seconds may ask once more for the page of
before, and Streamlit 1.67 then shows that one, or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

HUB, RESULTS, CUSTOMER, SCORE, SEGMENTS = "enrichments", "results", "customer", "score", "segments"
# The parameter of the customers' page that names the one whose card is asked for.
ACCOUNT = "account"


def use(pages: Mapping[str, Any]) -> None:
    """The pages of this session, by their paths."""
    st.session_state["pages"] = pages


def href(path: str, **parameters: str) -> str:
    """The address of a page; relative, so that it holds behind a proxy's prefix."""
    # The first page stands at the root, and nowhere else.
    path = "./" if path == HUB else path
    return f"{path}?{urlencode(parameters)}" if parameters else path


def account_href(account_id: str) -> str:
    """The address of an account's card."""
    return href(CUSTOMER, **{ACCOUNT: account_id})


def page_link(path: str, label: str, **parameters: str) -> None:
    """A link to another page, whose `label` is Markdown."""
    st.page_link(st.session_state["pages"][path], label=label, query_params=parameters or None)


def segment_href(segment_id: str) -> str:
    """The address of a segment, judged by the same enrichment."""
    enrichment = st.query_params.get("enrichment")
    return href(SEGMENTS, segment=segment_id, **({"enrichment": enrichment} if enrichment else {}))


def results_href(enrichment_id: str) -> str:
    """The address of the results of an enrichment."""
    return href(RESULTS, enrichment=enrichment_id)


def run_href(run_id: str) -> str:
    """The address of a run's steps, on the page that shows its table: the first page stands at two addresses, and to
    Streamlit what is open on the one says nothing of the other.
    """
    return f"?{urlencode({'view': 'Runs', 'run': run_id})}"
