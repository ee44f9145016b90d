"""Settings: what a command knows of enrichments.yml and the environment, once both were found right."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from engagement import consents
from engagement.configuration.destination import Destination
from engagement.configuration.enrichments import (
    REFRESH_PERIODS,
    AnyEnrichment,
    E,
    LeadspaceContactsEnrichment,
    LeadspaceEnrichment,
    OfficeEnrichment,
    place,
)
from engagement.configuration.model import Configuration
from engagement.configuration.urls import DEFAULT_AUTHORITY_URL, DEFAULT_GRAPH_URL, DEFAULT_LEADSPACE_URL
from engagement.consents import Consents
from engagement.locations import consents_file_of, run_lock_of, watch_state_of

if TYPE_CHECKING:
    from engagement.certificate import Certificate

# The keys under which models learn how the consents of an enrichment stand.
CONSENT_STATE, HAS_OUTPUTS = CONSENT_KEYS = ("consent_state", "has_outputs")


@dataclass(frozen=True)
class Settings:
    """Everything that a command needs to know; secrets never show in its representation."""

    configuration: Configuration
    configuration_file: Path
    project_dir: Path
    # Where dbt leaves its target and its logs.
    dbt_dir: Path
    data_dir: Path
    private_file: Path
    published_file: Path
    # Where the raw tables are written as Parquet, for engines that are not DuckDB.
    raw_parquet_folder: Path
    authority_url: str = DEFAULT_AUTHORITY_URL
    graph_url: str = DEFAULT_GRAPH_URL
    leadspace_url: str = DEFAULT_LEADSPACE_URL
    tenant_id: str | None = None
    client_id: str | None = None
    client_secret: SecretStr | None = None
    # Read only where Graph will be contacted.
    certificate: Certificate | None = None
    certificate_password: SecretStr | None = None
    leadspace_token: SecretStr | None = None
    leadspace_token_issued_on: dt.date | None = None
    leadspace_program_id: str | None = None
    leadspace_secret: SecretStr | None = None
    hash_key: SecretStr | None = None
    tombstone_key: SecretStr | None = None
    # Of the destinations of exports, by the names of their variables.
    export_secrets: Mapping[str, SecretStr] = field(default_factory=dict)
    # None where enrichments.yml says nothing of notifying.
    destination: Destination | None = None
    retry_seconds: float = 300.0
    leadspace_wait_seconds: float = 3600.0
    workers: int = 8
    requests_per_mailbox: int = 4
    mailbox_seconds: float = 3600.0
    # How long another process that has the private file open is waited for.
    file_wait_seconds: float = 60.0
    # Of the private file, as DuckDB reads it; None: four fifths of the machine's.
    memory_limit: str | None = None
    warnings: tuple[str, ...] = field(default=())
    # By enrichment_id: how its consents stood when this was loaded.
    consents: Mapping[str, Consents] = field(default_factory=dict)

    @property
    def run_lock_file(self) -> Path:
        return run_lock_of(self.data_dir)

    @property
    def run_state_file(self) -> Path:
        return self.data_dir / "run_state.json"

    @property
    def audit_file(self) -> Path:
        return self.data_dir / "audit.jsonl"

    @property
    def watch_state_file(self) -> Path:
        return watch_state_of(self.data_dir)

    @property
    def consents_file(self) -> Path:
        return consents_file_of(self.data_dir)

    @property
    def hash_key_file(self) -> Path:
        return self.data_dir / "hash_key"

    @property
    def tombstones_file(self) -> Path:
        return self.data_dir / "tombstones.json"

    @property
    def tombstone_key_file(self) -> Path:
        return self.data_dir / "tombstone_key"

    @property
    def sender_patterns_file(self) -> Path:
        return self.project_dir / "seeds" / "automated_sender_patterns.csv"

    def resolved(self, path: str) -> Path:
        """A path of enrichments.yml: relative ones start at the folder of that file."""
        return self.configuration_file.parent / Path(path).expanduser()

    def enrichments(self, kind: type[E]) -> Iterator[tuple[int, E]]:
        """Every enrichment of one type with its position in the list."""
        for position, enrichment in enumerate(self.configuration.enrichments):
            if isinstance(enrichment, kind):
                yield position, enrichment

    def ready(self, kind: type[E]) -> list[tuple[int, E]]:
        """The active enrichments of one type that have every consent: those that may be contacted."""
        return [
            (position, enrichment)
            for position, enrichment in self.enrichments(kind)
            if self.is_ready(enrichment)
        ]

    def is_ready(self, enrichment: AnyEnrichment) -> bool:
        """Whether it may be contacted: active, with every consent."""
        return is_ready(enrichment, self.consents)

    def waiting_for_consent(self) -> list[str]:
        """One line for every active enrichment that lacks a consent and so is not contacted."""
        return [
            f"{place(position, enrichment)}: {line}"
            for position, enrichment in enumerate(self.configuration.enrichments)
            if (line := self.waits_for(enrichment)) and enrichment.active
        ]

    def waits_for(self, enrichment: AnyEnrichment) -> str:
        """The consents that an enrichment waits for, and what to do; empty where it has them all."""
        given = self.consents[enrichment.enrichment_id]
        if not given.missing:
            return ""
        command = f"engagement consent {enrichment.enrichment_id}"
        if given.state == consents.WAITING_FOR_ADMINISTRATOR:
            waiting = "waits for tenant_consent, the administrator's"
            advice = f"ask him with `{command} --request`, record it with `{command} --as-administrator`"
        else:
            waiting = f"waits for {' and '.join(given.missing)}"
            advice = f"read and agree with `{command}`"
        problem = f" ({given.problem})" if given.problem else ""
        return f"{waiting}{problem}; {advice}, until then nothing is requested for it"

    def rows(self) -> list[tuple[str, str, str | None]]:
        """What models may know of the settings: (enrichment_id, key, value) as raw.settings holds them."""
        reporting = self.configuration.reporting
        rows: list[tuple[str, str, str | None]] = [
            ("", "reporting.time_zone", reporting.time_zone),
            ("", "reporting.small_numbers", reporting.small_numbers),
            ("", "reporting.k", str(reporting.k)),
            ("", "reporting.user_table", _boolean(reporting.user_table)),
        ]
        for position, enrichment in enumerate(self.configuration.enrichments):
            values: dict[str, str | None] = {
                "type": enrichment.type,
                "name": enrichment.name,
                "output_table": enrichment.output_table,
                "active": _boolean(enrichment.active),
                "position": str(position),
                "refresh": enrichment.refresh,
                "refresh_hours": _hours(REFRESH_PERIODS.get(enrichment.refresh)),
                CONSENT_STATE: self.consents[enrichment.enrichment_id].state,
                HAS_OUTPUTS: _boolean(self.consents[enrichment.enrichment_id].has_outputs),
            }
            if isinstance(enrichment, OfficeEnrichment):
                values |= {
                    "domain_matching": _boolean(enrichment.domain_matching),
                    "retention_days": str(enrichment.retention),
                    "tolerated_failures": str(enrichment.tolerated_failures),
                }
            elif isinstance(enrichment, LeadspaceEnrichment):
                values |= {"dataset": enrichment.dataset, "max_age_days": str(enrichment.max_age)}
            elif isinstance(enrichment, LeadspaceContactsEnrichment):
                values |= {"max_age_days": str(enrichment.max_age), "publish": _boolean(enrichment.publish)}
            rows += [(enrichment.enrichment_id, key, value) for key, value in values.items()]
        return rows


def is_ready(enrichment: AnyEnrichment, given: Mapping[str, Consents]) -> bool:
    """Whether an enrichment may be contacted, where its consents stand as `given` says by its id."""
    return enrichment.active and given[enrichment.enrichment_id].state == consents.GIVEN


def _hours(period: dt.timedelta | None) -> str | None:
    return None if period is None else str(int(period.total_seconds() // 3600))


def _boolean(value: bool) -> str:
    return "true" if value else "false"
