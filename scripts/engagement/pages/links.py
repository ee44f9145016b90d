"""The addresses of the pages, and the ways between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

import streamlit as st

HUB, RESULTS, CUSTOMER, SCORE, SEGMENTS = "enrichments", "results", "customer", "score", "segments"
# The parameter of the customers' page that names the one whose card is asked for.
ACCOUNT = "account"


class Place(NamedTuple):
    """A page and the parameters of its address."""

    path: str
    parameters: dict[str, str]


def use(pages: Mapping[str, Any]) -> None:
    """The pages of this session, by their paths."""
    st.session_state["pages"] = pages


def href(path: str, **parameters: str) -> str:
    """The address of a page, for another tab; relative, so that it holds behind a proxy's prefix."""
    # The first page stands at the root, and nowhere else.
    path = "./" if path == HUB else path
    return f"{path}?{urlencode(parameters)}" if parameters else path


def account_href(account_id: str) -> str:
    """The address of an account's card."""
    return href(CUSTOMER, **{ACCOUNT: account_id})


def go(path: str, **parameters: str) -> None:
    """Another page, in this tab; does not return."""
    here = Place(st.session_state["at"], st.query_params.to_dict())
    _travel(here, Place(path, parameters))


def _travel(start: Place, end: Place) -> None:
    st.session_state["journey"] = (start, end)
    st.switch_page(st.session_state["pages"][end.path], query_params=end.parameters)


def at(path: str) -> None:
    """A page is drawn. Where `go` was to lead elsewhere, that is gone to now, and this does not return.

    Of two requests that it has not begun yet Streamlit makes one, with the address of the later one. A fragment that
    runs every few seconds may ask between `st.switch_page` and the run that this asks for, with the address of before
    (`ScriptRequests.request_rerun` of Streamlit 1.67). Then the page of before is drawn, or that of after with the
    parameters of before.
    """
    st.session_state["at"] = path
    if (journey := st.session_state.pop("journey", None)) is None:
        return
    start, end = journey
    here = Place(path, st.query_params.to_dict())
    is_between = path in (start.path, end.path) and here.parameters in (start.parameters, end.parameters)
    if is_between and here != end:
        _travel(start, end)


def stay() -> None:
    """Somebody chose anew, so where he wanted to go before no longer counts."""
    st.session_state.pop("journey", None)


def page_link(path: str, label: str, **parameters: str) -> None:
    """A link to another page, whose `label` is Markdown."""
    st.page_link(st.session_state["pages"][path], label=label, query_params=parameters or None)


def open_account(account_id: str) -> None:
    """An account's card, in this tab; does not return."""
    go(CUSTOMER, **{ACCOUNT: account_id})


def segment_href(segment_id: str) -> str:
    """The address of a segment, judged by the same enrichment."""
    return href(SEGMENTS, **_of_segment(segment_id))


def open_segment(segment_id: str) -> None:
    """A segment, in this tab; does not return."""
    go(SEGMENTS, **_of_segment(segment_id))


def _of_segment(segment_id: str) -> dict[str, str]:
    parameters = {"segment": segment_id}
    if enrichment := st.query_params.get("enrichment"):
        parameters["enrichment"] = enrichment
    return parameters


class Link(NamedTuple):
    """Where the rows of a table lead by their ids: `opens` goes there in this tab, `href` says it for another."""

    opens: Callable[[str], None]
    href: Callable[[str], str]


TO_ACCOUNT = Link(open_account, account_href)
TO_SEGMENT = Link(open_segment, segment_href)
TO_RESULTS = Link(
    lambda enrichment_id: go(RESULTS, enrichment=enrichment_id),
    lambda enrichment_id: href(RESULTS, enrichment=enrichment_id),
)
