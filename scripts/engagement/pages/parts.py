"""Parts of a page that stand or fall alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from engagement.pages.published import OlderFile


@contextmanager
def unless_older() -> Iterator[None]:
    """Says it where the file is too old for what is drawn within, so that the rest of the page is still shown.

    Streamlit hands no exception out of a fragment, so each fragment needs one of its own.
    """
    try:
        yield
    except OlderFile as older:
        st.info(str(older), icon=":material/info:")
