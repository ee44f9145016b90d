"""Parts of a page that stand without one another."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

import streamlit as st

from engagement.pages.published import OlderFile

P = ParamSpec("P")


def part(draw: Callable[P, None]) -> Callable[P, None]:
    """`draw`, which says so where the file is too old for it, while the rest of the page is shown.

    Below st.fragment, which lets no exception through to the page.
    """

    @functools.wraps(draw)
    def drawn(*arguments: P.args, **options: P.kwargs) -> None:
        try:
            draw(*arguments, **options)
        except OlderFile as older:
            st.info(str(older), icon=":material/info:")

    return drawn
