"""The block `notify`: who is notified of runs, and after which."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr

from engagement.configuration.part import Part, Text, refuse
from engagement.configuration.urls import url_problem

# How a run may end, and after which ends somebody is notified unless enrichments.yml says otherwise.
RunEnd = Literal["failed", "cancelled", "incomplete", "warnings", "done"]
RUN_ENDS: tuple[RunEnd, ...] = ("failed", "cancelled", "incomplete", "warnings", "done")
RUN_ENDS_NOTIFIED = RUN_ENDS[:-1]
# In the place of the webhook's address, where that is a secret.
IN_ENVIRONMENT = "environment"
_GRACE = re.compile(r"([0-9]{1,4}) (minute|hour|day)s?")


def _grace(value: object) -> object:
    match = _GRACE.fullmatch(value) if isinstance(value, str) else None
    grace = dt.timedelta(**{f"{match.group(2)}s": int(match.group(1))}) if match else dt.timedelta(0)
    if not dt.timedelta(minutes=1) <= grace <= dt.timedelta(days=365):
        raise refuse("'N minutes', 'N hours' or 'N days', at most 365 days, for example '12 hours'")
    return grace


def _webhook(value: object) -> object:
    if isinstance(value, str) and value != IN_ENVIRONMENT and (problem := webhook_problem(value)):
        raise refuse(f"{problem}; or the word {IN_ENVIRONMENT}, and the address in ENGAGEMENT_WEBHOOK_URL")
    return value


class Notify(Part):
    """Who is notified of runs: a program that gets the message on its standard input, a webhook that it is posted to.

    `on` says after which runs; None in `overdue_after` is half of the shortest refresh period.
    """

    command: Annotated[tuple[Text, ...], Field(strict=False, min_length=1)] | None = None
    webhook: Annotated[SecretStr, BeforeValidator(_webhook)] | None = None
    on: Annotated[tuple[RunEnd, ...], Field(strict=False)] = RUN_ENDS_NOTIFIED
    overdue_after: Annotated[dt.timedelta, BeforeValidator(_grace)] | None = None


def webhook_problem(url: str, *, may_have_query: bool = False) -> str | None:
    """What is allowed, where this is not. A query is for the environment alone, since it often holds a secret."""
    try:
        parts = urlsplit(url)
        allowed = (
            url_problem(url) is None
            and parts.port != 0
            and not (parts.username or parts.password or parts.fragment)
            and (may_have_query or not parts.query)
            and url.isascii()
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        allowed = False
    if allowed:
        return None
    without = "a user or a fragment" if may_have_query else "a user, a query or a fragment"
    return f"an https address (plain http only for 127.0.0.1 and localhost) without {without}"
