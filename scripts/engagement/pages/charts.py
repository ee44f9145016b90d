"""Charts as the pages draw them: axes with units, colours that the colour-blind tell apart, and the numbers beside.

Altair writes Vega-Lite, which the browser draws; Streamlit gives it the colours of the light or the dark theme (`theme`
in `command`), whose order is that of Okabe and Ito.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import formats
from engagement.pages.tables import Column, table

HEIGHT = 260

altair.data_transformers.disable_max_rows()


def show(
    chart: Any,
    *,
    key: str,
    alt: str,
    numbers: pandas.DataFrame,
    columns: Sequence[Column],
    caption: str,
) -> None:
    """`chart` with `caption` above, `alt` for who cannot see it, and its `numbers` as a table to unfold."""
    st.markdown(f"**{formats.plain(caption)}**")
    st.altair_chart(chart, width="stretch", key=f"{key} chart", alt=alt)
    with st.expander(f"{formats.plain(caption)}: the numbers"):
        table(numbers, columns, key=f"{key} numbers", caption=caption)


def by_day(name: str, title: str) -> altair.X:
    """The time axis of a column of dates."""
    return altair.X(
        f"{name}:T", title=title, axis=altair.Axis(format="%d %b %Y", labelOverlap=True, tickCount=6)
    )


def by_name(name: str, order: Sequence[str]) -> altair.Y:
    """The axis of things that have names, from the top in this order; nothing of a name is cut."""
    return altair.Y(
        f"{name}:N", title=None, sort=list(order), axis=altair.Axis(labelLimit=320, labelOverlap=False)
    )


def height_of(bars: int, *, legend_rows: int = 0) -> int:
    """The height in pixels of a chart of so many bars, one below the other, with its axis and a legend below."""
    return 26 * bars + 70 + (30 + 22 * legend_rows if legend_rows else 0)


def quantity(name: str, title: str, **options: Any) -> altair.Y:
    """The axis of a number, from zero; `title` says its unit."""
    return altair.Y(f"{name}:Q", title=title, **options)
