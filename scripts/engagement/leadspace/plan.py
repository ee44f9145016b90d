"""Who has to be asked about, and what that costs: one plan, which an estimate prints and an extraction carries out.

All enrichments of a command are planned together and before anything is sent: an answer belongs to what was asked (its
fingerprint), so what the first asks, the second does not pay for again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from engagement.configuration.enrichments import LeadspaceEnrichment, LeadspaceLookups, place
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.high_water import lacks_lookups
from engagement.leadspace import contacts, dataset, ledger
from engagement.leadspace.client import Record
from engagement.leadspace.companies import Companies
from engagement.leadspace.contacts import Contacts
from engagement.leadspace.results import FAILED
from engagement.leadspace.subjects import Subjects
from engagement.warehouse import Connection, utc_now

# So often a record is sent that the service fails on, or has no result for, until max_age has passed.
MOST_FAILURES = 4
# What was ever sent, with the entry of the ledger that it left under.
_SENT = "raw.leadspace_requests as requests inner join raw.leadspace_batches as batches using (batch_id)"


@dataclass
class Plan:
    """What one enrichment asks, and what becomes of every customer (or contact) of its data set.

    `records` leave, each for one credit; customers of one input share theirs. Each of them is counted once: as not
    sendable, `current` (with an answer that is young enough), `waiting` (handed in, not yet fetched), `held` (may
    have been charged), `exhausted` (failed too often), `shared` (asked about by an enrichment before this one), `left`
    (for the next run, by max_lookups), or as one that is asked about.
    """

    position: int
    enrichment: LeadspaceLookups
    subjects: Subjects
    # Answers received before that are too old.
    oldest: datetime
    records: list[Record] = field(default_factory=list)
    current: int = 0
    waiting: int = 0
    held: int = 0
    exhausted: int = 0
    shared: int = 0
    left: int = 0

    @property
    def lookups(self) -> int:
        """Records that are sent, and so the credits that are spent where the service refuses none."""
        return len(self.records)

    def facts(self) -> dict[str, Any]:
        """The numbers, for machines."""
        return {
            "enrichment_id": self.enrichment.enrichment_id,
            f"{self.subjects.noun}s": len(self.subjects.asked),
            "current": self.current,
            "waiting": self.waiting,
            "held": self.held,
            "exhausted": self.exhausted,
            "shared": self.shared,
            "left_by_max_lookups": self.left,
            "not_sendable": self.subjects.not_sent,
            "lookups": self.lookups,
        }

    def line(self) -> str:
        """The numbers in words; what is zero is left out but for the lookups."""
        reasons = [
            (self.current, "current"),
            (self.waiting, "waiting for results"),
            (self.held, "held"),
            (self.exhausted, f"failed on {MOST_FAILURES} times"),
            (self.shared, "asked about by an enrichment before"),
            (self.left, "left for the next run, max_lookups"),
            (sum(self.subjects.not_sent.values()), "not sendable"),
        ]
        told = "".join(f", {count:,} {text}" for count, text in reasons if count)
        return (
            f"{self.lookups:,} lookup{'' if self.lookups == 1 else 's'} (credits) for"
            f" {len(self.subjects.asked):,} {self.subjects.noun}s ({self.enrichment.enrichment_id}){told}"
        )


class LookupsLost(ConfigurationError):
    """The private file knows nothing any more of lookups that were sent, and may be charged for them again."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"{where}: lookups that were sent are lost from the private file (its log was cut, or an older copy was put"
            " back), and may be charged again; `engagement extract leadspace --send-again` accepts that, until then"
            " nobody is asked about"
        )


Planned = Plan | ConfigurationError


def planned(
    settings: Settings,
    connection: Connection,
    enrichments: Iterable[tuple[int, LeadspaceLookups]],
    *,
    send_again: bool = False,
    most_lookups: int | None = None,
) -> list[Planned]:
    """The plan of each of these (position, enrichment), in this order; reads alone.

    Where one cannot be planned its ConfigurationError stands in its place, for its turn. `send_again` also asks about
    who is held, waiting or exhausted, and is needed where lookups were lost; `most_lookups` is for all of them.
    """
    if lacks_lookups(connection) and not send_again:
        return [LookupsLost(place(position, enrichment)) for position, enrichment in enrichments]
    found: list[Planned] = []
    asked: set[str] = set()
    left: list[tuple[Plan, Counter[str]]] = []
    for position, enrichment in enrichments:
        try:
            subjects = subjects_of(settings, connection, position, enrichment)
        except ConfigurationError as error:
            found.append(error)
            continue
        plan = Plan(position, enrichment, subjects, utc_now() - timedelta(days=enrichment.max_age))
        budget = None if most_lookups is None else most_lookups - len(asked)
        left.append((plan, _fill(connection, plan, asked, send_again=send_again, budget=budget)))
        asked.update(fingerprint for fingerprint, _ in plan.records)
        found.append(plan)
    for plan, customers_left in left:
        # A later enrichment may have no such limit.
        plan.left = sum(count for fingerprint, count in customers_left.items() if fingerprint not in asked)
    return found


def without_records(
    settings: Settings, connection: Connection, enrichments: Iterable[tuple[int, LeadspaceLookups]]
) -> list[Plan]:
    """For each type of record a plan of the first enrichment that sends nothing, by which what was handed in before
    can be collected. Raises ConfigurationError where nobody knows whose it is.
    """
    found: dict[str, Plan] = {}
    for position, enrichment in enrichments:
        subjects: Subjects
        if isinstance(enrichment, LeadspaceEnrichment):
            # An answer is kept whoever asked, and whether or not he is still in a data set.
            subjects = Companies(enrichment.enrichment_id, (), settings.project_dir)
        else:
            subjects = subjects_of(settings, connection, position, enrichment)
        found.setdefault(subjects.record_type, Plan(position, enrichment, subjects, utc_now()))
    return list(found.values())


def subjects_of(
    settings: Settings, connection: Connection, position: int, enrichment: LeadspaceLookups
) -> Subjects:
    """Those whom an enrichment asks about; ConfigurationError where nobody knows (yet)."""
    if isinstance(enrichment, LeadspaceEnrichment):
        customers = dataset.customers_of(settings, connection, position, enrichment)
        return Companies(enrichment.enrichment_id, customers, settings.project_dir)
    found = contacts.contacts_of(settings, connection, position, enrichment)
    return Contacts(enrichment.enrichment_id, found, enrichment.max_age)


def _fill(
    connection: Connection, plan: Plan, asked: set[str], *, send_again: bool, budget: int | None
) -> Counter[str]:
    """Sorts the customers of a plan; gives who is left out by max_lookups: customers by fingerprint."""

    def fingerprints(query: str) -> set[str]:
        return {row[0] for row in connection.execute(query, [plan.oldest]).fetchall()}

    answers = f"raw.{plan.subjects.answers}"
    current = fingerprints(
        f"select fingerprint from {answers} where received_at > ? and outcome != '{FAILED}'"
    ) | plan.subjects.also_current(connection, plan.oldest)
    waiting: set[str] = set()
    held: set[str] = set()
    exhausted: set[str] = set()
    if not send_again:
        waiting = {
            fingerprint
            for batch in ledger.submitted(connection, plan.subjects.record_type)
            for fingerprint in batch.fingerprints
        }
        held = fingerprints(
            f"select requests.fingerprint from {_SENT} where batches.sent_at > ? and batches.state in {ledger.HELD}"
        )
        # A finished answer without a result for a record may have been charged as well.
        exhausted = fingerprints(
            f"select requests.fingerprint from {_SENT}"
            f" left join {answers} as responses"
            " on responses.batch_id = requests.batch_id and responses.fingerprint = requests.fingerprint"
            f" where batches.sent_at > ? and batches.state = '{ledger.ANSWERED}'"
            f" and coalesce(responses.outcome, '{FAILED}') = '{FAILED}'"
            f" group by requests.fingerprint having count(*) >= {MOST_FAILURES}"
        )
    candidates: dict[str, Record] = {}
    customers_of: Counter[str] = Counter()
    for one in plan.subjects.asked:
        fingerprint, body = one.fingerprint, one.body
        if fingerprint is None or body is None:
            continue
        if fingerprint in current:
            plan.current += 1
        elif fingerprint in waiting:
            plan.waiting += 1
        elif fingerprint in held:
            plan.held += 1
        elif fingerprint in exhausted:
            plan.exhausted += 1
        elif fingerprint in asked:
            plan.shared += 1
        else:
            candidates[fingerprint] = (fingerprint, body)
            customers_of[fingerprint] += 1
    records = list(candidates.values())
    limit = plan.enrichment.max_lookups
    if limit is not None and limit < len(records):
        # Who was sent least goes first: those that the service fails on would else use up the limit of every run.
        sent: dict[str, int] = dict(
            connection.execute(
                f"select requests.fingerprint, count(*) from {_SENT}"
                f" where batches.sent_at > ? and batches.state != '{ledger.REFUSED}' group by all",
                [plan.oldest],
            ).fetchall()
        )
        records.sort(key=lambda record: sent.get(record[0], 0))
    within = records[:limit]
    plan.records = within if budget is None else within[: max(budget, 0)]
    return Counter({fingerprint: customers_of[fingerprint] for fingerprint, _ in records[len(within) :]})
