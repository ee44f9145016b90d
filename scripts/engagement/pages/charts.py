"""Charts as the pages draw them: axes with units, colours that the colour-blind tell apart, and the numbers beside.

Altair writes Vega-Lite, which the browser draws; Streamlit gives it the colours of the light or the dark theme (`theme`
in `command`), whose order is that of Okabe and Ito.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import formats
from engagement.pages.tables import Column, table

HEIGHT = 260
DASHES = [[1, 0], [7, 4], [2, 3], [9, 3, 2, 3], [14, 4], [1, 5], [5, 2, 1, 2, 1, 2]]
# Letters in a line of a name beside a chart.
NAME_WIDTH = 22
# Names of periods below bars: as many of them as there is room for.
SLANTED = altair.Axis(labelAngle=-40, labelOverlap=True)

altair.data_transformers.disable_max_rows()


def show(
    chart: Any,
    *,
    key: str,
    alt: str,
    numbers: pandas.DataFrame,
    columns: Sequence[Column],
    caption: str,
    has_table_beside: bool = False,
) -> None:
    """`chart` with `caption` above, `alt` for who cannot see it, and its `numbers` as a table to unfold; or without,
    where the same numbers stand beside it already.
    """
    st.markdown(f"**{formats.plain(caption)}**")
    st.altair_chart(chart, width="stretch", key=f"{key} chart", alt=alt)
    if has_table_beside:
        return
    with st.expander(f"{formats.plain(caption)}: the numbers"):
        table(numbers, columns, key=f"{key} numbers", caption=caption)


def wrapped(values: Iterable[Any]) -> list[str]:
    """Names as `names_axis` breaks them, so that the chart has room beside them on a phone too."""
    return ["\n".join(textwrap.wrap(formats.text(value), NAME_WIDTH) or [""]) for value in values]


def names_axis(name: str, **options: Any) -> altair.Y:
    """The axis of a column of `wrapped` names, in the order of the rows."""
    axis = altair.Axis(labelExpr="split(datum.label, '\\n')", labelLimit=160, labelOverlap=False)
    return altair.Y(f"{name}:N", axis=axis, **{"sort": None, "title": None, **options})


def height_of(bars: int, *, legend_rows: int = 1) -> int:
    """The height in pixels of a chart of so many bars with `wrapped` names, its axis and a legend of so many rows."""
    return 88 + 34 * bars + 22 * legend_rows


def dashes(name: str, **options: Any) -> altair.StrokeDash:
    """Tells lines apart without their colours."""
    return altair.StrokeDash(f"{name}:N", scale=altair.Scale(range=DASHES), **options)


def by_day(name: str, title: str) -> altair.X:
    """The time axis of a column of dates."""
    return altair.X(
        f"{name}:T", title=title, axis=altair.Axis(format="%d %b %Y", labelOverlap=True, tickCount=6)
    )


def whole_numbers() -> altair.Axis:
    """For counts: no half accounts between two ticks."""
    return altair.Axis(tickMinStep=1, format=",d")


def quantity(name: str, title: str, **options: Any) -> altair.Y:
    """The axis of a number, from zero; `title` says its unit."""
    return altair.Y(f"{name}:Q", title=title, **options)


def pair(first: str, second: str, *, name: str = "series") -> dict[str, Any]:
    """Encodings of two series in one chart of bars that are told apart without colours: side by side, the first
    filled, the second hollow, as the legend says.
    """
    domain = [first, second]
    legend = altair.Legend(
        title=None,
        orient="top",
        # One below the other, so that both are whole on a phone.
        columns=1,
        labelLimit=0,
        labelExpr="datum.label + (datum.index == 0 ? ' (filled)' : ' (hollow)')",
    )
    return {
        "xOffset": altair.XOffset(f"{name}:N", sort=domain),
        "color": altair.Color(f"{name}:N", sort=domain, legend=legend),
        "stroke": altair.Stroke(f"{name}:N", sort=domain, legend=legend),
        "fillOpacity": altair.condition(altair.datum[name] == first, altair.value(1), altair.value(0.12)),
    }
