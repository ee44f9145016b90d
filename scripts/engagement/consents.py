"""Who consented to what, and when: `consents.json` beside the private file, and what follows from it for an enrichment.

A consent is given to the hash of a statement, by `engagement consent` or by a block of enrichments.yml. The first
command that extracts or publishes notes the hash that such a block stands for. Records are only ever added. A file that
cannot be read is an error, since without it nobody has consented.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from engagement import durable
from engagement.durable import FILE_MODE
from engagement.errors import ConfigurationError, EngagementError
from engagement.statements import Statement, publishes

if TYPE_CHECKING:
    from engagement.configuration.enrichments import AnyEnrichment, Consent

# The kinds of consent: the configurer's own, and the tenant administrator's. They are keys of enrichments.yml.
CONFIGURER, ADMINISTRATOR = "consent", "tenant_consent"
GIVEN, WITHDRAWN = "given", "withdrawn"
COMMAND, CONFIGURATION = "command", "enrichments.yml"
# What a consent can be besides given and withdrawn: never given, or given to a statement that has changed since.
MISSING, CHANGED = "missing", "changed"
# The states of an enrichment that is not contacted.
WAITING, WAITING_FOR_ADMINISTRATOR = "waiting_for_consent", "waiting_for_administrator"


class Block(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A consent as enrichments.yml has it."""

    by: str
    on: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One consent given or withdrawn. `block` is what stood in enrichments.yml then."""

    enrichment_id: str
    kind: str
    action: str
    by: str | None
    on: str
    recorded_at: str
    statement: str | None
    source: str
    block: Block | None = None


class Ledger(msgspec.Struct, forbid_unknown_fields=True):
    """All records, oldest first, and the words of every statement that was agreed to, by hash."""

    records: list[Record] = []
    statements: dict[str, str] = {}

    def newest(self, enrichment_id: str, kind: str) -> Record | None:
        """The record that holds."""
        found = [
            record for record in self.records if (record.enrichment_id, record.kind) == (enrichment_id, kind)
        ]
        return found[-1] if found else None


class Standing(NamedTuple):
    """How one consent stands.

    `record` is the newest; `pending` is what enrichments.yml says and nobody has recorded yet (given or withdrawn);
    `has_other_hash` tells that enrichments.yml names the hash of another statement, `publishes_otherwise` that what is
    published was agreed to otherwise.
    """

    kind: str
    state: str
    record: Record | None
    block: Block | None
    pending: str | None = None
    has_other_hash: bool = False
    publishes_otherwise: bool = False


@dataclass(frozen=True)
class Consents:
    """How the consents of an enrichment stand, and to which statement; none is known where its list is wrong."""

    standings: tuple[Standing, ...]
    statement: Statement | None

    def of(self, kind: str) -> Standing:
        """One of them."""
        return next(standing for standing in self.standings if standing.kind == kind)

    @property
    def missing(self) -> tuple[str, ...]:
        """The kinds of those that do not hold; nothing is contacted before all do (L11, E16, E9, E23)."""
        return tuple(standing.kind for standing in self.standings if standing.state != GIVEN)

    @property
    def state(self) -> str:
        """given, withdrawn, waiting_for_consent, or waiting_for_administrator where his alone is missing."""
        if not self.missing:
            return GIVEN
        if any(standing.state == WITHDRAWN for standing in self.standings):
            return WITHDRAWN
        return WAITING_FOR_ADMINISTRATOR if self.missing == (ADMINISTRATOR,) else WAITING

    @property
    def has_outputs(self) -> bool:
        """Whether what was made of it may stand in the published file: every consent was given, if to another
        statement that says the same of what is published, and none was withdrawn.
        """
        return all(
            standing.state in (GIVEN, CHANGED) and not standing.publishes_otherwise
            for standing in self.standings
        )

    @property
    def problem(self) -> str:
        """What is missing, in words; empty where nothing is."""
        parts = []
        for state, words in (
            (WITHDRAWN, "was withdrawn"),
            (CHANGED, "was given to another statement than today's"),
        ):
            if kinds := [standing.kind for standing in self.standings if standing.state == state]:
                parts.append(f"{' and '.join(kinds)} {words}")
        parts += [
            f"{standing.kind}.statement is the hash of another statement"
            for standing in self.standings
            if standing.has_other_hash and standing.state != GIVEN
        ]
        return "; ".join(parts)


def consents_of(enrichment: AnyEnrichment, statement: Statement | None, ledger: Ledger) -> Consents:
    """How all consents of an enrichment stand."""
    return Consents(
        tuple(
            _standing(
                kind, given, statement, ledger.newest(enrichment.enrichment_id, kind), ledger.statements
            )
            for kind, given in enrichment.consents.items()
        ),
        statement,
    )


def _standing(
    kind: str,
    given: Consent | None,
    statement: Statement | None,
    record: Record | None,
    statements: Mapping[str, str],
) -> Standing:
    block = None if given is None else Block(given.by, given.on.isoformat())
    named = None if given is None else given.statement
    # Where the statement is not known, nothing can be requested, and its list is what is wrong.
    today = None if statement is None else statement.hash
    other = named is not None and today is not None and named != today
    is_new = block is not None and (record is None or block != record.block)
    was_given = record is not None and record.action == GIVEN
    if record is not None and was_given:
        if record.source == CONFIGURATION and block is None:
            return Standing(kind, WITHDRAWN, record, block, WITHDRAWN)
        is_current = today is None or record.statement == today
        if is_current and not (other and record.source == CONFIGURATION):
            return Standing(kind, GIVEN, record, block, GIVEN if is_new and not other and today else None)
        # The hash that enrichments.yml names is agreed to by whoever wrote it there.
        if (is_new or named is not None) and not other:
            return Standing(kind, GIVEN, record, block, GIVEN)
        agreed = publishes(statements.get(record.statement or "", ""))
        otherwise = statement is not None and publishes(statement.text) != agreed
        return Standing(kind, CHANGED, record, block, has_other_hash=other, publishes_otherwise=otherwise)
    if is_new and not other:
        return Standing(kind, GIVEN, record, block, GIVEN if today else None)
    state = MISSING if record is None else WITHDRAWN
    return Standing(kind, state, record, block, has_other_hash=other)


# --- the file


def read(path: Path) -> Ledger:
    """All records; none where there is no file. ConfigurationError where it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Ledger)
    except FileNotFoundError:
        return Ledger()
    except (OSError, msgspec.DecodeError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not what was written there"
        raise ConfigurationError(
            f"{path.name}: cannot be read ({reason}), so nobody has consented; restore it, or move it away and"
            " give every consent again (`engagement consent`)"
        ) from None


def add(path: Path, records: list[Record], statements: Mapping[str, str]) -> None:
    """Adds records, on the disk when this returns. The folder must be there."""
    try:
        with _locked(path):
            ledger = read(path)
            ledger = Ledger(ledger.records + records, ledger.statements | dict(statements))
            durable.write(path, msgspec.json.format(msgspec.json.encode(ledger), indent=2) + b"\n")
    except OSError as error:
        raise EngagementError(
            f"{path.name}: cannot be written ({error.strerror}); correct its rights or make room, then run again"
        ) from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Two commands that add at once add one after the other."""
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
