"""Tables that everybody can read: real HTML tables, sorted on the server, with links to accounts.

Streamlit's own grid is drawn on a canvas: links in it open another window, and screen readers get the visible part of
it alone. So rows are drawn by a component of a few lines, which sets text and never markup.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas
import streamlit as st

from engagement.contract import quoted
from engagement.exports.formulas import as_text
from engagement.pages import formats

ROWS_AT_FIRST, ROWS_MORE = 25, 100

_HERE = Path(__file__).parent
_component = st.components.v2.component(
    "engagement_table",
    css=(_HERE / "table.css").read_text("utf-8"),
    js=(_HERE / "table.js").read_text("utf-8"),
)

Format = Callable[[Any], str]
# Broken over two lines they are hard to read.
_UNBROKEN: frozenset[Format] = frozenset({formats.day, formats.ago})
_NUMBERS: frozenset[Format] = frozenset(
    {
        formats.count,
        formats.decimal,
        formats.points,
        formats.signed,
        formats.signed_count,
        formats.thousandth,
        formats.signed_thousandth,
        formats.ratio,
        formats.money,
        formats.duration,
    }
)


@dataclass(frozen=True)
class Column:
    """A column of a query as a table shows it: `label` with its unit, `form` one of `formats` (numbers stand right),
    or a function of the whole row. What `detail` makes of the row stands smaller below, where it is not empty.
    `is_right` is for numbers that are written already.
    """

    name: str
    label: str
    form: Format = formats.text
    help: str = ""
    row_form: Callable[[Mapping[str, Any]], str] | None = None
    detail: Callable[[Mapping[str, Any]], str] | None = None
    is_right: bool = False

    @property
    def is_number(self) -> bool:
        return self.is_right or self.form in _NUMBERS


def table(
    frame: pandas.DataFrame,
    columns: Sequence[Column],
    *,
    key: str,
    caption: str,
    leads_to: Callable[[str], str] | None = None,
    id_column: str = "account_id",
    is_sortable: bool = True,
    rows_at_first: int = ROWS_AT_FIRST,
    empty: str = "None.",
    indent: Callable[[Mapping[str, Any]], int] | None = None,
) -> None:
    """`frame` under `caption`, a row per row of it, sorted by a click on a header and lengthened by "Show more".

    The first cell of a row `leads_to` the address for its `id_column`; a row without one leads nowhere. Without rows,
    `empty` stands there instead. `indent` is how many steps a row's first cell stands to the right, for a tree.
    """
    if frame.empty:
        st.caption(f"{formats.plain(caption)}: {empty}")
        return
    state = st.session_state.setdefault(f"table {key}", {"sort": None, "rows": rows_at_first})
    ordered = _sorted(frame, state["sort"]) if is_sortable else frame
    shown = ordered.head(state["rows"])

    def id_of(row: Mapping[str, Any]) -> str:
        return "" if leads_to is None or formats.is_missing(row[id_column]) else str(row[id_column])

    rows = [
        {
            "cells": [
                column.row_form(row) if column.row_form else column.form(row[column.name])
                for column in columns
            ],
            "details": [column.detail(row) if column.detail else "" for column in columns],
            "indent": indent(row) if indent else 0,
            "href": leads_to(id_of(row)) if leads_to and id_of(row) else "",
        }
        for row in shown.to_dict("records")
    ]
    left = len(frame) - len(shown)
    numbers = frozenset(column.name for column in columns if column.is_number)
    _component(
        key=key,
        data={
            "caption": caption,
            "columns": [
                {
                    "name": column.name,
                    "label": column.label,
                    "is_number": column.is_number,
                    "is_unbroken": column.form in _UNBROKEN,
                    "help": column.help,
                    "is_sortable": is_sortable and len(frame) > 1,
                }
                for column in columns
            ],
            "rows": rows,
            "sort": state["sort"],
            "note": f"{formats.count(len(shown))} of {formats.count(len(frame))} rows." if left else "",
            "more": f"Show {formats.count(min(left, ROWS_MORE))} more" if left else "",
        },
        on_sort_change=lambda: _sort(key, numbers),
        on_more_change=lambda: _lengthen(key),
    )


def download(frame: pandas.DataFrame, columns: Sequence[Column], *, name: str, key: str) -> None:
    """A button that saves all rows of `frame` as a CSV file, with the names of the query's columns and values as they
    stand in the file. What a spreadsheet would compute is made text.
    """

    names = list(dict.fromkeys(column.name for column in columns))

    st.download_button(
        f"Download {formats.count(len(frame))} rows as CSV",
        data=lambda: _as_csv(frame[names]),
        file_name=f"{name}.csv",
        mime="text/csv",
        key=key,
        on_click="ignore",
    )


def _as_csv(frame: pandas.DataFrame) -> bytes:
    with duckdb.connect(":memory:") as connection:
        connection.register("shown", frame)
        texts = {
            name for name, kind, *_ in connection.execute("describe shown").fetchall() if kind == "VARCHAR"
        }
        cells = [
            f"{as_text(quoted(name))} as {quoted(name)}" if name in texts else quoted(name)
            for name in frame.columns
        ]
        safe = connection.execute(f"select {', '.join(cells)} from shown").df()
    # The mark by which spreadsheets know UTF-8.
    return bytes(safe.to_csv(index=False).encode("utf-8-sig"))


def _sort(key: str, numbers: frozenset[str]) -> None:
    name = st.session_state[key].sort
    state = st.session_state[f"table {key}"]
    before = state["sort"]
    # The first click shows the largest numbers, and names from A; the next one turns it.
    is_again = before and before["name"] == name
    state["sort"] = {
        "name": name,
        "is_descending": not before["is_descending"] if is_again else name in numbers,
    }


def _lengthen(key: str) -> None:
    st.session_state[f"table {key}"]["rows"] += ROWS_MORE


def _sorted(frame: pandas.DataFrame, sort: Mapping[str, Any] | None) -> pandas.DataFrame:
    """Stable, nulls last in both directions; text without regard to case."""
    if not sort or sort["name"] not in frame.columns:
        return frame
    return frame.sort_values(
        sort["name"],
        ascending=not sort["is_descending"],
        kind="stable",
        na_position="last",
        key=lambda values: values.str.casefold() if pandas.api.types.is_string_dtype(values) else values,
    )
