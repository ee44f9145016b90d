"""Company data from a file of the customer's own, or of a provider that delivers files: keyed by our account ids, so
that nothing has to be matched and nothing leaves the machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engagement.configuration.enrichments import CompanyFileEnrichment, place
from engagement.configuration.settings import Settings
from engagement.configuration.source import source_of
from engagement.errors import ConfigurationError
from engagement.outcome import counted
from engagement.tabular import read_texts
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, append, transaction, utc_now


@dataclass(frozen=True)
class CompanyFileResult:
    """What was landed: records of the file, and how many of them are of no account of the account file."""

    records: int
    unknown: int

    def warnings(self) -> list[str]:
        """What a person should know, one line each."""
        return (
            [f"{counted(self.unknown, 'record')} of no account of the account file"] if self.unknown else []
        )


def read(settings: Settings, position: int, enrichment: CompanyFileEnrichment) -> list[tuple[str, str]]:
    """The file's rows as (account_id, JSON of attribute and value); a row without any value is left out.

    Raises ConfigurationError with all findings.
    """
    where = f"enrichments[{position}]"
    named = {f"{where}.id": enrichment.id} | {
        f"{where}.columns.{attribute}": column for attribute, column in enrichment.columns.items()
    }
    findings: list[str] = []
    source = source_of(settings.resolved(enrichment.path))
    rows = read_texts(source, where, named, findings, "account", unique=True)
    if findings:
        raise ConfigurationError(
            f"{place(position, enrichment)}: the file cannot be used; correct it, then run again",
            findings=findings,
        )
    records = []
    for account_id, *values in rows:
        if record := {name: value for name, value in zip(enrichment.columns, values, strict=True) if value}:
            records.append((account_id, msgspec.json.encode(record).decode()))
    return records


def extract(
    settings: Settings, connection: Connection, position: int, enrichment: CompanyFileEnrichment
) -> CompanyFileResult:
    """Replaces what was landed of the file. Raises ConfigurationError where it cannot be used; nothing changes then."""
    now = utc_now()
    masked = Tombstones.load(settings).masked
    rows = [
        (enrichment.enrichment_id, account_id, masked(record), now)
        for account_id, record in read(settings, position, enrichment)
    ]
    with transaction(connection):
        connection.execute(
            "delete from raw.company_file_records where enrichment_id = ?", [enrichment.enrichment_id]
        )
        append(connection, "company_file_records", rows)
    known = {row[0] for row in connection.execute("select account_id from raw.accounts").fetchall()}
    return CompanyFileResult(len(rows), sum(1 for row in rows if row[1] not in known))
