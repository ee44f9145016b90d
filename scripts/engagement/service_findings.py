"""What an extraction noticed of what a service or a file gave it, as raw.service_findings: for the watch on the data.

Names of properties and counts only. What a finding means, and from when on it is one, the models of
models/intermediate/watch decide.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from engagement.customers import CustomersResult
from engagement.office.extract import OfficeResult
from engagement.warehouse import Connection, append, transaction, utc_now

GRAPH, CUSTOMER_FILES = "graph", "customer_files"
READ, UNASKED, UNREADABLE_DATE, ROWS = "read", "unasked", "unreadable_date", "rows"
LONGEST_NAME = 64
# A service that invents names of properties fills neither the file nor a screen.
MOST_NAMES = 20
OTHERS, NO_NAME = "(others)", "(no name of a property)"
KEPT_FOR = timedelta(days=760)

_FOREIGN = re.compile(r"[^A-Za-z0-9_.@-]")
# What annotates a property, as receivedDateTime@odata.type; anything else around an @ may be an address.
_ANNOTATED = re.compile(r"[A-Za-z0-9_.-]*@odata\.[A-Za-z]+")


def property_name(name: str) -> str:
    """A property's name as it may be told: cut, without foreign characters, and never an address."""
    cleaned = _FOREIGN.sub("_", name)[:LONGEST_NAME]
    if "@" in cleaned:
        # The gate would take it for an address where something stands before the @.
        return cleaned.replace("@", ".").lstrip(".") if _ANNOTATED.fullmatch(cleaned) else NO_NAME
    return cleaned or NO_NAME


def note_office(connection: Connection, run_id: str, result: OfficeResult) -> None:
    """What Microsoft Graph, or an export, gave beside what was asked for."""
    unasked: Counter[str] = Counter()
    for name, count in result.unasked.most_common():
        known = property_name(name)
        unasked[known if known in unasked or len(unasked) < MOST_NAMES else OTHERS] += count
    _note(
        connection,
        run_id,
        GRAPH,
        {
            (READ, "items"): result.messages + result.meetings,
            (UNREADABLE_DATE, "dates"): result.bad_dates,
            **{(UNASKED, name): count for name, count in unasked.items()},
        },
    )


def note_customers(connection: Connection, run_id: str, result: CustomersResult) -> None:
    """How many rows the customer files have."""
    _note(
        connection,
        run_id,
        CUSTOMER_FILES,
        {(ROWS, "accounts"): result.accounts, (ROWS, "contacts"): result.contacts},
    )


def _note(connection: Connection, run_id: str, service: str, counts: Mapping[tuple[str, str], int]) -> None:
    now = utc_now()
    with transaction(connection):
        connection.execute(
            "delete from raw.service_findings where (run_id = ? and service = ?) or found_at < ?",
            [run_id, service, now - KEPT_FOR],
        )
        append(
            connection,
            "service_findings",
            [(run_id, service, kind, name, count, now) for (kind, name), count in counts.items()],
        )
