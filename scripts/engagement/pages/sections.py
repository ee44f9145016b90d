"""What pages are made of: sections that fail alone, lists that say how much of them is shown, figures."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pandas
import streamlit as st

from engagement.pages import formats
from engagement.pages.published import OlderFile

# So many rows of a long list are asked for; its query says in `rows_count` how many there are.
ROWS_LISTED = 200
BREATH_SECONDS = 0.12
# Two beside each other on a telephone; a figure that is longer takes the place of both.
FIGURE_PIXELS, GAP_PIXELS, LONGEST_NARROW = 164, 16, 10


@contextmanager
def section(title: str) -> Iterator[None]:
    """A part of a page under a heading of its own, `unless_older`."""
    st.header(title)
    with unless_older():
        yield


@contextmanager
def unless_older() -> Iterator[None]:
    """A part of a page, or around a function that draws one: where the file lacks what it needs, that is said in its
    place, and the rest still stands. Streamlit hands no exception out of a fragment, so each fragment needs its own.
    """
    try:
        yield
    except OlderFile as older:
        st.info(str(older), icon=":material/info:")


def let_the_top_be_drawn() -> None:
    """A browser draws what comes together at once, charts and all, before anybody sees the first line. A breath after
    the head of a long page shows it sooner, by more than the breath takes.
    """
    time.sleep(BREATH_SECONDS)


def note_of_rows(frame: pandas.DataFrame, by: str, where: str) -> None:
    """Below a list that was cut: how many there are, by what the shown ones were chosen, and `where` all stand."""
    total = 0 if frame.empty else int(frame["rows_count"].iloc[0])
    if total > len(frame):
        st.caption(
            f"The first {formats.count(len(frame))} of {formats.count(total)}, {formats.plain(by)}. "
            f"All stand in {formats.plain(where)}."
        )


def figures(named: Sequence[tuple[str, str, str]]) -> None:
    """Numbers side by side: label with unit, value, and what it means, which is unfolded below."""
    with st.container(horizontal=True):
        for label, value, _ in named:
            width = FIGURE_PIXELS if len(value) <= LONGEST_NARROW else 2 * FIGURE_PIXELS + GAP_PIXELS
            st.metric(label, value, width=width, border=True)
    with st.expander("What these figures mean"):
        st.markdown("\n".join(f"- **{formats.plain(label)}**: {meaning}" for label, _, meaning in named))


def part_of(part: Any, whole: Any) -> str:
    """How many of how many: 52 of 60; a dash where there is nothing to be a part of."""
    if formats.is_missing(whole) or not whole or formats.is_missing(part):
        return formats.MISSING
    return f"{formats.count(part)} of {formats.count(whole)}"
