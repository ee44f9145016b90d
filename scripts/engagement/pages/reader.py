"""Asks the published file on behalf of whoever looks: the one way from a page to a number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas
import streamlit as st

from engagement.pages import formats
from engagement.pages.published import Identity, NothingToShow, PublishedFile, identity_of
from engagement.pages.site import Site, current

# Answers kept over all viewers; each holds as long as its file is the published one.
ANSWERS_KEPT = 500


class Reader:
    """The published file as one viewer sees it."""

    def __init__(self, file: PublishedFile, owners: frozenset[str] | None, user: str | None) -> None:
        self.file = file
        self.owners = owners
        self.user = user

    def frame(self, sql: str, **parameters: Any) -> pandas.DataFrame:
        """The rows that `sql` answers; its tables are those of `marts`, `$name` its parameters. Raises OlderFile where
        the file lacks what it asks for.
        """
        return _answer(self.file.identity, self.owners, sql, tuple(sorted(parameters.items())), self.file)

    def records(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        """The same as dictionaries, with None where a value is missing."""
        return records_of(self.frame(sql, **parameters))

    def record(self, sql: str, **parameters: Any) -> dict[str, Any] | None:
        """The only row, or None where there is none."""
        rows = self.records(sql, **parameters)
        return rows[0] if rows else None


def records_of(frame: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame as dictionaries, with None where a value is missing."""
    return [
        {str(name): None if formats.is_missing(value) else value for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


@st.cache_data(max_entries=ANSWERS_KEPT, show_spinner=False)
def _answer(
    identity: Identity,
    owners: frozenset[str] | None,
    sql: str,
    parameters: tuple[tuple[str, Any], ...],
    _file: PublishedFile,
) -> pandas.DataFrame:
    return _file.frame(sql, dict(parameters), owners)


@st.cache_resource(max_entries=2, show_spinner=False)
def _opened(identity: Identity | None, path: Path) -> PublishedFile:
    return PublishedFile(path)


def open_reader() -> Reader:
    """The published file for whoever looks now. Raises NothingToShow where there is none, or he may see nothing."""
    site = current()
    user, owners = _viewer(site)
    return Reader(_opened(identity_of(site.published_file), site.published_file), owners, user)


def has_changed(reader: Reader) -> bool:
    """Whether another file has taken the place of the one that is read."""
    return identity_of(current().published_file) not in (None, reader.file.identity)


def _viewer(site: Site) -> tuple[str | None, frozenset[str] | None]:
    """Who looks, and the owners whose accounts he sees; (None, None) where everybody sees all.

    The header is believed from the proxies alone: anybody who reaches the port could write it.
    """
    if site.user_header is None:
        return None, None
    # Streamlit answers None for this machine.
    peer = st.context.ip_address
    if peer is not None and peer not in site.proxies:
        raise NothingToShow(
            "These pages are reached through the sign-in of a reverse proxy only. Open them at its address."
        )
    user = (st.context.headers.get(site.user_header) or "").strip()
    if not user:
        raise NothingToShow(
            f"Nobody is signed in: the reverse proxy sent no header {site.user_header}. Sign in there first."
        )
    return user, site.owners_of(user)
