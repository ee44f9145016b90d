"""A published file with tables, segments and what is known of their members, for the tests of exports."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from conftest import Workspace

AS_OF = "2026-06-30"
# What is below `to` unless `path` says otherwise.
BELOW = "{name}/2026/06/30"

_TABLES = """
    create schema marts;
    create schema enrichment;
    create table marts.publication as
        select 'run-1' as run_id, date '2026-06-30' as as_of_date, timestamp '2026-07-01 06:00:00' as published_at;
    create table marts.segments as
        from (values
            ('stale', 'Stale accounts', 'No contact for 60 days', 'ann', 'accounts', 'dynamic', true, null, 3),
            ('buyers', 'Buyers', 'Contacts who buy', 'ann', 'contacts', 'dynamic', true, null, 3),
            ('nobody', 'Nobody', 'Selects nobody', 'ann', 'accounts', 'dynamic', true, 'selects nobody', 0),
            ('asleep', 'Asleep', 'Not active', 'ann', 'accounts', 'static', false, null, 1),
            ('withheld', 'Withheld', 'Contacts in band mode', 'ann', 'contacts', 'dynamic', true,
             'contacts are not published where small numbers are banded', 1)
        ) as rows(segment_id, segment_name, description, owner, audience, membership, is_active, finding,
            members_count);
    create table marts.segment_members as
        from (values
            ('stale', 'Stale accounts', 'north', 'A1', '=HYPERLINK("x")', date '2026-06-01', 'silent'),
            ('stale', 'Stale accounts', 'south', 'A1', '=HYPERLINK("x")', date '2026-06-02', 'silent'),
            ('stale', 'Stale accounts', 'none', 'A2', 'Fabrikam; Söhne', date '2026-06-03', null),
            ('buyers', 'Buyers', 'north', 'A1', '=HYPERLINK("x")', date '2026-06-01', 'buys'),
            ('asleep', 'Asleep', 'none', 'A2', 'Fabrikam; Söhne', date '2025-01-01', null)
        ) as rows(segment_id, segment_name, enrichment_id, account_id, account_name, entered_on, reason);
    create table marts.segment_contacts as
        from (values
            ('buyers', 'north', 'A1', 'C1', date '2026-06-30'),
            ('buyers', 'north', 'A1', 'C2', date '2026-06-30'),
            ('buyers', 'north', 'A1', 'C9', date '2026-06-30')
        ) as rows(segment_id, enrichment_id, account_id, contact_id, as_of_date);
    create table marts.enriched_customers as
        from (values
            ('A1', '=HYPERLINK("x")', -5.25::double, 10::bigint, '1.5 m', true),
            ('A2', 'Fabrikam; Söhne', null, null, null, false)
        ) as rows(account_id, account_name, engagement_score, employees_count, "own.tier", is_stale);
    create table marts.customer_profiles as
        from (values ('A1', 'Contoso'), ('A2', 'Fabrikam')) as rows(account_id, company_name);
    create table marts.account_outlook as
        from (values ('north', 'A1', 7.0::double), ('south', 'A1', 21.0::double))
        as rows(enrichment_id, account_id, usual_gap_days);
    create table marts.account_traffic as
        from (values ('north', 'A1', 3::bigint)) as rows(enrichment_id, account_id, threads_count);
    create table marts.odd as
        select range as number, if(range % 3 = 0, '=1+' || range, 'text ' || range) as text from range(10);
    create view enrichment."Office" as select account_id as "CustomerId" from marts.enriched_customers;
"""


def publish_world(path: Path) -> None:
    """A published file at that path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(_TABLES)


def export_of(workspace: Workspace, *exports: dict[str, Any]) -> None:
    """enrichments.yml with these exports; each goes to the folder out unless it says otherwise."""
    entries = [{"name": "one", "to": "out", **export} for export in exports]
    workspace.configure(lambda raw: raw.update(exports=entries))


def rows_of(path: Path, **options: Any) -> list[tuple[Any, ...]]:
    """The rows of a part, all as text where it is CSV."""
    with duckdb.connect() as connection:
        if path.suffix == ".parquet":
            return connection.read_parquet(str(path)).fetchall()
        return connection.read_csv(str(path), all_varchar=True, header=True, **options).fetchall()


def names_below(folder: Path) -> Sequence[str]:
    """Every file and folder below a folder, hidden ones as well."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
