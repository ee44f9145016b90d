"""A published file with as little in it as `engagement status` reads, for tests that need no build."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

AS_OF = "2026-06-30"
AT = datetime(2026, 7, 1, 6, 0)


def publish_little(
    path: Path,
    run_id: str,
    *,
    accounts: tuple[int, int] = (1, 2),
    watch: Sequence[tuple[Any, ...]] | None = None,
    enrichment_id: str = "account-engagement",
) -> None:
    """`accounts` enriched of how many; `watch` are rows of marts.data_watch, which is not there without them."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema marts")
        connection.execute(
            "create table marts.publication as select ?::varchar as run_id, ?::date as as_of_date,"
            " ?::timestamp as published_at",
            [run_id, AS_OF, AT],
        )
        connection.execute(
            "create table marts.enrichments as select ?::varchar as enrichment_id, 'successful' as enrichment_status,"
            " null::varchar as status_detail, ?::bigint as accounts_enriched_count, ?::bigint as accounts_count,"
            " ?::timestamp as last_updated_at, ?::timestamp as next_due_at",
            [enrichment_id, *accounts, AT, AT],
        )
        if watch is not None:
            connection.execute(
                "create table marts.data_watch (enrichment_id varchar, subject varchar, check_name varchar,"
                " severity varchar, day_on date, finding varchar)"
            )
            for row in watch:
                connection.execute("insert into marts.data_watch values (?, ?, ?, ?, ?, ?)", list(row))
