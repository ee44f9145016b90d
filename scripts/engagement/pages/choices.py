"""One of several things to look at, chosen by the reader or by the address of the page."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from engagement.pages import formats


def choose(label: str, names: Mapping[str, str], *, parameter: str, nothing: str | None = None) -> str | None:
    """Which of `names` (by their ids) is looked at: a select box, kept in the address as `parameter`.

    Where the address says nothing, `nothing` (what it is called) is chosen and None returned, or without it the first.
    The only one of its kind is chosen without asking. None where there is none.
    """
    key = f"choice of {parameter}"
    asked = st.query_params.get(parameter)
    if asked is not None and asked not in names:
        st.info(
            formats.plain(f"There is no {label.lower()} {asked!r} here. Choose another."),
            icon=":material/info:",
        )
    if not names or (len(names) == 1 and nothing is None):
        return next(iter(names), None)
    # Not None, which a select box shows as nothing chosen.
    options = ([] if nothing is None else [""]) + list(names)
    # Before the select box is drawn: whoever follows a link to another one sees that.
    st.session_state[key] = asked if asked in names else options[0]
    chosen = st.selectbox(
        label,
        options,
        format_func=lambda one: formats.text(names[one]) if one else str(nothing),
        key=key,
        on_change=_keep_in_address,
        args=(key, parameter),
    )
    return chosen or None


def _keep_in_address(key: str, parameter: str) -> None:
    chosen = st.session_state[key]
    if chosen:
        st.query_params[parameter] = chosen
    else:
        st.query_params.pop(parameter, None)
