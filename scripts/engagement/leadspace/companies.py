"""Customers as companies to ask about: their answers are company data, and kept as received."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engagement.leadspace import comparing, listing
from engagement.leadspace.dataset import Customer
from engagement.leadspace.results import RESULT
from engagement.leadspace.subjects import Landed, Subjects
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, append, utc_now


class Companies(Subjects):
    """The customers of an enrichment's data set."""

    record_type, noun, answers = "company", "customer", "leadspace_responses"

    def __init__(self, enrichment_id: str, customers: Sequence[Customer], project_dir: Path) -> None:
        super().__init__(enrichment_id, customers)
        self._customers = customers
        self._project_dir = project_dir

    def begin(self, connection: Connection, run_id: str) -> None:
        listing.note(connection, self.enrichment_id, run_id, self._customers, utc_now())

    def store(
        self, connection: Connection, batch_id: str, landed: Landed, *, run_id: str, tombstones: Tombstones
    ) -> None:
        """As received but for people who were erased."""
        now = utc_now()
        append(
            connection,
            self.answers,
            [
                (
                    self.enrichment_id,
                    fingerprint,
                    batch_id,
                    outcome,
                    None if raw is None else tombstones.masked(raw.decode()),
                    now,
                    run_id,
                )
                for fingerprint, (outcome, raw) in landed.items()
            ],
        )

    def end(self, connection: Connection) -> None:
        comparing.note(connection, self._project_dir)

    def answered(self, connection: Connection, since: datetime) -> int:
        row = connection.execute(
            "select count(distinct account_id) from raw.leadspace_accounts as accounts"
            " inner join raw.leadspace_responses as responses using (fingerprint)"
            " where accounts.enrichment_id = ? and received_at > ? and outcome = ?",
            [self.enrichment_id, since, RESULT],
        ).fetchone()
        return int(row[0]) if row is not None else 0

    def counts(self) -> dict[str, Any]:
        return {
            "fields_left_out": sum(1 for customer in self._customers if customer.left_out),
            "personal_websites": sum(1 for customer in self._customers if customer.is_personal_website),
        }
