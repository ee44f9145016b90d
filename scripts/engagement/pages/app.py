"""The pages, their navigation, and what stands on each of them.

Streamlit runs this file for every change in a browser.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from engagement import logs
from engagement.errors import innermost
from engagement.pages import formats, links
from engagement.pages.customer import page as customer
from engagement.pages.hub import page as hub
from engagement.pages.published import NothingToShow
from engagement.pages.reader import Reader, has_changed, open_reader
from engagement.pages.results import page as results
from engagement.pages.score import page as score
from engagement.pages.segments import page as segments

# Often enough that a new file is shown within five seconds (docs/pages.md), drawing included.
SECONDS_BETWEEN_LOOKS = 2

# A file of our own: a named icon would be fetched from elsewhere.
ICON = Path(__file__).with_name("icon.svg")

Body = Callable[[Reader], None]

PAGES: dict[str, tuple[str, Body]] = {
    links.HUB: ("Enrichments", hub.body),
    links.RESULTS: ("Results", results.body),
    links.CUSTOMER: ("Customer", customer.body),
    links.SCORE: ("Score", score.body),
    links.SEGMENTS: ("Segments", segments.body),
}

ABOUT = "select small_numbers, smallest_group, as_of_date, published_at from publication"


def main() -> None:
    """Every page, with the navigation between them."""
    st.set_page_config(page_title="Account engagement", page_icon=str(ICON), layout="wide")
    pages = {
        path: st.Page(
            functools.partial(page, path),
            title=title,
            url_path="first" if path == links.HUB else path,
            default=path == links.HUB,
        )
        for path, (title, _) in PAGES.items()
    }
    links.use(pages)
    # The first page stands at the root, whatever its name; whoever asks for it by name finds it as well.
    named = st.Page(
        functools.partial(page, links.HUB),
        title=PAGES[links.HUB][0],
        url_path=links.HUB,
        visibility="hidden",
    )
    st.navigation([*pages.values(), named], position="top").run()


def page(path: str) -> None:
    """One page, for whoever looks; what prevents it is said in its place."""
    title, body = PAGES[path]
    st.title(title)
    try:
        reader = open_reader()
        [about] = reader.records(ABOUT)
        st.caption(_about(about, reader))
        _look_for_another(reader)
        body(reader)
    except NothingToShow as nothing:
        st.info(str(nothing), icon=":material/info:")
    except Exception as error:
        # What an unforeseen error says may hold anything, so only its kind and place are told.
        kind = f"{type(error).__name__} in {innermost(error)}"
        logs.log.error("error: the page %s: unexpected %s", path, kind)
        st.error(
            f"This page has failed ({kind}). Tell whoever runs the pages; the other pages go on.",
            icon=":material/error:",
        )


def _about(about: dict[str, object], reader: Reader) -> str:
    """What the numbers of every page refer to, in a line."""
    parts = [
        f"As of {formats.day(about['as_of_date'])}",
        f"published {formats.ago(about['published_at'])}",
    ]
    if about["small_numbers"] == "band":
        parts.append(f"numbers of people below {formats.count(about['smallest_group'])} stand as bands")
    if reader.user is not None:
        seen = (
            "all accounts" if reader.owners is None else "the accounts of " + ", ".join(sorted(reader.owners))
        )
        parts.append(formats.plain(f"{reader.user} sees {seen}; totals are over all accounts"))
    return " · ".join(parts)


@st.fragment(run_every=SECONDS_BETWEEN_LOOKS)
def _look_for_another(reader: Reader) -> None:
    """Shows the page anew when another file has been published."""
    if has_changed(reader):
        st.rerun()


if __name__ == "__main__":
    main()
