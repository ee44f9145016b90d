"""The components of the score in words (docs/score.md says why each is there)."""

from __future__ import annotations

from engagement.pages import formats

# Name, and what earns points. A component of the customer's own making has its name alone.
_WORDS = {
    "contact_recency": (
        "Contact recency",
        "Few days since the last e-mail or meeting, in either direction.",
    ),
    "two_way_recency": ("Two-way recency", "Few days since the account itself last wrote or met."),
    "email_inbound": ("E-mail inbound", "Many e-mails from the account; older ones count less."),
    "email_outbound": ("E-mail outbound", "Many e-mails to the account; older ones count less."),
    "meeting_volume": ("Meeting volume", "Many meetings; older ones count less."),
    "reciprocity": ("Reciprocity", "An e-mail from the account for every e-mail to it."),
    "breadth": ("Breadth", "Many people on both sides."),
    "responsiveness": ("Responsiveness", "Many of our e-mails are answered."),
    "regularity": ("Regularity", "Contact in many weeks."),
}


def name(component: object) -> str:
    """What a component is called; a dash where there is none."""
    known = _WORDS.get(str(component))
    return known[0] if known else formats.words(component)


def meaning(component: object) -> str:
    """What earns points in a component; a dash where nobody has written it down."""
    known = _WORDS.get(str(component))
    return known[1] if known else formats.MISSING
