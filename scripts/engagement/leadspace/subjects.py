"""What an enrichment asks about, companies or contacts: what differs between them, and nothing that does not.

Planning, the ledger, sending and collecting are the same for both. What leaves for one of them, and what of an answer
is kept, are not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Protocol

from engagement.leadspace.client import Body
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection


class Asked(Protocol):
    """One of them: what is sent under which fingerprint, or why nothing is."""

    @property
    def fingerprint(self) -> str | None:
        """The id of what is sent; None where nothing is."""

    @property
    def body(self) -> Body | None:
        """What is sent."""

    @property
    def not_sent_reason(self) -> str | None:
        """Why nothing is sent; None where something is."""


# By fingerprint: the outcome of a record, and the result as received; none where a whole request was refused.
Landed = Mapping[str, tuple[str, bytes | None]]


class Subjects(ABC):
    """Those whom one enrichment asks about."""

    # As the ledger has it, and in words.
    record_type: ClassVar[str]
    noun: ClassVar[str]
    # The raw table of answers: fingerprint, batch_id, outcome, received_at, and what is kept.
    answers: ClassVar[str]

    def __init__(self, enrichment_id: str, asked: Sequence[Asked]) -> None:
        self.enrichment_id = enrichment_id
        self.asked = asked

    @property
    def not_sent(self) -> dict[str, int]:
        """Those that cannot be sent, by reason."""
        return dict(Counter(one.not_sent_reason for one in self.asked if one.not_sent_reason))

    @abstractmethod
    def begin(self, connection: Connection, run_id: str) -> None:
        """Notes whom today's data set has, before anything is sent."""

    @abstractmethod
    def store(
        self, connection: Connection, batch_id: str, landed: Landed, *, run_id: str, tombstones: Tombstones
    ) -> None:
        """Stores what is kept of answers; to be called inside a transaction."""

    @abstractmethod
    def end(self, connection: Connection) -> None:
        """Whatever follows from the answers that came, also where the extraction failed."""

    @abstractmethod
    def answered(self, connection: Connection, since: datetime) -> int:
        """How many have an answer received after that."""

    def also_current(self, connection: Connection, since: datetime) -> set[str]:
        """Fingerprints whose answers, received after that, stand under another one."""
        return set()

    def counts(self) -> dict[str, Any]:
        """What the result of an extraction tells of the data set beside its size."""
        return {}
