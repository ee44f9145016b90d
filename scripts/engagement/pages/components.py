"""The components of the score in words (docs/score.md says why each is there)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engagement.pages import formats


@dataclass(frozen=True)
class Words:
    """A component's `name`, what is `measured`, and what `earns` points in it."""

    name: str
    measured: str
    earns: str


# A component of the customer's own making has its name alone.
WORDS = {
    "contact_recency": Words(
        "Contact recency",
        "days since the last e-mail or meeting, in either direction",
        "Few days since the last e-mail or meeting, in either direction.",
    ),
    "two_way_recency": Words(
        "Two-way recency",
        "days since the customer last wrote or met",
        "Few days since the customer itself last wrote or met.",
    ),
    "email_inbound": Words(
        "E-mail inbound",
        "messages from the customer; older ones count less",
        "Many e-mails from the customer; older ones count less.",
    ),
    "email_outbound": Words(
        "E-mail outbound",
        "messages to the customer; older ones count less",
        "Many e-mails to the customer; older ones count less.",
    ),
    "meeting_volume": Words(
        "Meeting volume", "meetings; older ones count less", "Many meetings; older ones count less."
    ),
    "reciprocity": Words(
        "Reciprocity",
        "messages from the customer for one to it",
        "An e-mail from the customer for every e-mail to it.",
    ),
    "breadth": Words("Breadth", "people on both sides (geometric mean)", "Many people on both sides."),
    "responsiveness": Words(
        "Responsiveness", "replies of the customer for one message to it", "Many of our e-mails are answered."
    ),
    "regularity": Words("Regularity", "weeks with any contact", "Contact in many weeks."),
}


def name(component: object) -> str:
    """What a component is called; a dash where there is none."""
    known = WORDS.get(str(component))
    return known.name if known else formats.words(component)


def meaning(component: object) -> str:
    """What a component measures; empty where nobody has written it down."""
    known = WORDS.get(str(component))
    return known.measured if known else ""


def earning(component: object) -> str:
    """What earns points in a component; a dash where nobody has written it down."""
    known = WORDS.get(str(component))
    return known.earns if known else formats.MISSING


def measured(row: Mapping[str, Any]) -> str:
    """The raw value of a row of account_score_components, with its unit."""
    if formats.is_missing(row["points_earned"]):
        return "not measured"
    if formats.is_missing(row["raw_value"]):
        return "hidden: few people"
    value, unit = row["raw_value"], str(row["unit"])
    if unit in ("days", "weeks"):
        return f"{formats.count(value)} {unit}"
    if unit == "ratio":
        return formats.decimal(value, 2)
    return f"{formats.decimal(value)} {unit}"
