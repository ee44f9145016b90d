"""What each component of the score measures, in words (docs/score.md has the reasons)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engagement.pages import formats

MEANINGS = {
    "contact_recency": "days since the last e-mail or meeting, in either direction",
    "two_way_recency": "days since the customer last wrote or met",
    "email_inbound": "messages from the customer; older ones count less",
    "email_outbound": "messages to the customer; older ones count less",
    "meeting_volume": "meetings; older ones count less",
    "reciprocity": "messages from the customer for one to it",
    "breadth": "people on both sides (geometric mean)",
    "responsiveness": "replies of the customer for one message to it",
    "regularity": "weeks with any contact",
}


def meaning(component: Any) -> str:
    """Empty for a component that somebody added."""
    return MEANINGS.get(str(component), "")


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
