"""The environment variables that hold secrets: which they are, what a key must look like, and who is not told them."""

from __future__ import annotations

from collections.abc import Mapping

from engagement.exports import definitions as exporting

# What no process that we start, dbt included, has any business with.
SECRET_VARIABLES = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PASSWORD",
    "LEADSPACE_TOKEN",
    "LEADSPACE_SECRET",
    "ENGAGEMENT_HASH_KEY",
    "ENGAGEMENT_TOMBSTONE_KEY",
    "ENGAGEMENT_WEBHOOK_URL",
    "ENGAGEMENT_WEBHOOK_TOKEN",
    *exporting.SECRET_VARIABLES,
)
# Shorter, the gate would find it in every second text.
SHORTEST_TOKEN = 8


def is_key(text: str) -> bool:
    """Whether it can stand in the header of a request, and is long enough to be looked for elsewhere."""
    return text.isascii() and text.isprintable() and " " not in text and len(text) >= SHORTEST_TOKEN


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a program that we start: what it needs of our secrets it is told."""
    return {name: value for name, value in environment.items() if name not in SECRET_VARIABLES}
