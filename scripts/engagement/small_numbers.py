"""The gate's part for small numbers: what a file that says `band` must not show."""

from __future__ import annotations

import duckdb

from engagement.refusal import Refusal


def check(connection: duckdb.DuckDBPyConnection) -> list[Refusal]:
    """What a published file in band mode shows though it is too small; the file is attached as `candidate`."""
    return []
