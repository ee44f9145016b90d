"""The limits that the environment sets: of time, of requests at once, of memory."""

from __future__ import annotations

import re
from collections.abc import Mapping

_MEMORY = re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})? ?([KMGT]i?B|%)")


def number(
    environment: Mapping[str, str], name: str, default: float, low: float, high: float, findings: list[str]
) -> float:
    """A variable that is a number; its default where it is not set or a finding says what is wrong."""
    given = environment.get(name)
    if not given:
        return default
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        findings.append(f"{name}: {given!r} is not allowed; a number from {low:g} to {high:g}")
        return default
    return value


def memory_limit_of(environment: Mapping[str, str], findings: list[str]) -> str | None:
    """The memory that the private file may use, as DuckDB reads it; None where it is not set."""
    memory_limit = environment.get("ENGAGEMENT_MEMORY_LIMIT") or None
    if memory_limit is not None and not _MEMORY.fullmatch(memory_limit):
        findings.append(
            "ENGAGEMENT_MEMORY_LIMIT: not allowed; a number and its unit (MB, GB, MiB, GiB or %), for example 4GB"
        )
    return memory_limit
