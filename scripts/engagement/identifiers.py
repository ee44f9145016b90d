"""The ids of enrichments."""

from __future__ import annotations

import re


def slug(name: str) -> str:
    """The id of an enrichment: its name in lower case, all but letters and digits as single hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
