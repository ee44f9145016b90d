"""Who is in a data set, with what would be sent for whom, and since when.

Nothing is overwritten: an account that leaves, or whose name, website or country changes, keeps its rows, so that what
was known of it stays and every past answer has the input that it answered beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from engagement.leadspace.dataset import Customer
from engagement.warehouse import Connection, append, empty_twin, transaction


def note(
    connection: Connection, enrichment_id: str, run_id: str, customers: Iterable[Customer], now: datetime
) -> None:
    """Brings raw.leadspace_accounts to today's data set, and notes that this run has looked at it."""
    rows = [
        (
            enrichment_id,
            customer.account_id,
            customer.fingerprint,
            customer.not_sent_reason,
            *sent_values(customer),
            now,
            None,
        )
        for customer in customers
    ]
    with transaction(connection):
        # Of an earlier version, which kept no history.
        connection.execute(
            "delete from raw.leadspace_accounts where enrichment_id = ? and listed_from_at is null",
            [enrichment_id],
        )
        twin = empty_twin(connection, "leadspace_accounts")
        append(connection, twin, rows, schema="temp")
        same = (
            "known.enrichment_id = today.enrichment_id and known.account_id = today.account_id"
            " and known.fingerprint is not distinct from today.fingerprint"
            " and known.not_sent_reason is not distinct from today.not_sent_reason"
        )
        connection.execute(
            "update raw.leadspace_accounts as known set listed_to_at = ?"
            " where known.enrichment_id = ? and known.listed_to_at is null"
            f' and not exists (select 1 from temp."{twin}" as today where {same})',
            [now, enrichment_id],
        )
        connection.execute(
            f'insert into raw.leadspace_accounts select today.* from temp."{twin}" as today'
            " where not exists (select 1 from raw.leadspace_accounts as known"
            f" where known.listed_to_at is null and {same})"
        )
        append(connection, "leadspace_listings", [(enrichment_id, run_id, now)])


def sent_values(customer: Customer) -> tuple[str | None, str | None, str | None]:
    """Name, website and country as they are sent; None for what is not."""
    company = customer.company or {}
    return company.get("name"), company.get("website"), company.get("address", {}).get("country")
