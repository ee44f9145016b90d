"""What a run will need of the disk and of time: said before anything is contacted, and refused where it cannot do.

Estimates, from what the private file holds and what the last runs took; a first run is estimated from the number of
listed addresses, a group counting as one person.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from engagement import room
from engagement.configuration.enrichments import AddressFile, OfficeEnrichment
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.office.mailboxes import listed_addresses
from engagement.run_state import RunState, seconds_taken
from engagement.warehouse import Connection, utc_now

log = logging.getLogger(__name__)

# 30,000 to 60,000 messages of a mailbox and year (reliability: "2,500 mailboxes x 30-60 k").
MESSAGES_PER_MAILBOX_DAY = 45_000 / 365
# A message copy with all that the models make of it; that of a file with enough rows is measured there.
BYTES_PER_MESSAGE, ENOUGH_MESSAGES = 200, 100_000
# Tables without rows, dbt's artifacts, logs.
FIXED_BYTES = 100_000_000
# Parquet, the file that is to be published and its uncompressed twin, beside the file that is published.
TIMES_PUBLISHED = 8
RUNS_COMPARED = 5
# A page of a thousand messages or a month of a calendar, answered in a second; dbt and publishing after it.
SECONDS_PER_REQUEST, SECONDS_AFTER_READING = 1.0, 90.0
DAYS_PER_SLICE = 30.4


@dataclass(frozen=True)
class Budget:
    """What a run needs. `bytes_least` is what is written for certain, `bytes_needed` also the second copies that a
    build and a publication make; `seconds` are the least, the usual and the most.
    """

    bytes_least: int
    bytes_needed: int
    bytes_free: int
    seconds: tuple[float, float, float]
    runs_compared: int

    def line(self) -> str:
        """In words."""
        least, usual, most = self.seconds
        if self.runs_compared:
            runs = "the last run" if self.runs_compared == 1 else f"the last {self.runs_compared} runs"
            took = (
                duration(most)
                if duration(least) == duration(most)
                else f"{duration(least)} to {duration(most)}"
            )
            time = f"{duration(usual)} ({runs} took {took})"
        else:
            time = f"{duration(usual)} or more (a first run)"
        return f"budget: up to {room.size(self.bytes_needed)} of disk ({room.size(self.bytes_free)} free), about {time}"

    def facts(self) -> dict[str, Any]:
        """For --json and --json-logs."""
        return {
            "bytes_needed": self.bytes_needed,
            "bytes_free": self.bytes_free,
            "seconds_expected": round(self.seconds[1], 1),
            "runs_compared": self.runs_compared,
        }


def require(settings: Settings, connection: Connection, state: RunState) -> Budget:
    """Says what a run will need. Raises ResourcesError where there is not even room for what is to be read; warns
    where there may not be enough for the rest.
    """
    budget = estimate(settings, connection, state)
    log.info("%s", budget.line(), extra={"fields": budget.facts()})
    folder = settings.private_file.parent.name
    room.require(
        settings.private_file.parent,
        budget.bytes_least,
        what=folder,
        advice="make room, or choose another folder with ENGAGEMENT_DATA_DIR, then run again, nothing was contacted",
    )
    if budget.bytes_free < budget.bytes_needed:
        log.warning(
            "warning: %s: %s of disk may be needed and %s are free; make room in time",
            folder,
            room.size(budget.bytes_needed),
            room.size(budget.bytes_free),
        )
    return budget


def estimate(settings: Settings, connection: Connection, state: RunState) -> Budget:
    """What a run will need, from the private file and the runs before this one (`state.previous`)."""
    private, published = _size_of(settings.private_file), _size_of(settings.published_file)
    days, messages = _to_read(settings, connection)
    known = connection.execute("select count(*) from raw.office_messages").fetchone()
    copies = 0 if known is None else known[0]
    per_message = max(private / copies, 50.0) if copies >= ENOUGH_MESSAGES else BYTES_PER_MESSAGE
    least = math.ceil(messages * per_message) + FIXED_BYTES
    # A clock that was set back in the midst tells nothing.
    took = [seconds for seconds in seconds_taken(state.previous, state.command) if seconds >= 0][
        :RUNS_COMPARED
    ]
    if took:
        seconds = (min(took), median(took), max(took))
    else:
        requests = 2 * days / DAYS_PER_SLICE
        first = requests * SECONDS_PER_REQUEST / settings.workers + SECONDS_AFTER_READING
        seconds = (first, first, first)
    return Budget(
        bytes_least=least,
        bytes_needed=least + private + TIMES_PUBLISHED * published,
        bytes_free=room.free(settings.private_file.parent),
        seconds=seconds,
        runs_compared=len(took),
    )


def _to_read(settings: Settings, connection: Connection) -> tuple[float, float]:
    """Days of mailboxes that are yet to be read, and about how many messages these have."""
    days = 0.0
    for position, enrichment in settings.ready(OfficeEnrichment):
        read_to = dict(
            connection.execute(
                "select mailbox_id, max(units.read_to) from raw.office_mailboxes as mailboxes"
                " left join raw.office_units as units using (mailbox_id)"
                " where mailboxes.enrichment_id = ? and mailboxes.monitored_to is null group by all",
                [enrichment.enrichment_id],
            ).fetchall()
        )
        now = utc_now()
        for newest in read_to.values():
            days += _days_since(newest, now, enrichment.retention)
        days += max(0, _listed(settings, position, enrichment) - len(read_to)) * enrichment.retention
    row = connection.execute(
        "select sum(row_count), sum(date_diff('hour', slice_start, least(slice_end, read_to))) / 24.0"
        " from raw.office_units where kind = 'messages'"
    ).fetchone()
    per_day = MESSAGES_PER_MAILBOX_DAY
    if row is not None and row[1]:
        per_day = row[0] / row[1]
    return days, days * per_day


def _days_since(newest: datetime | None, now: datetime, retention_days: int) -> float:
    if newest is None:
        return float(retention_days)
    return min(max((now - newest).total_seconds() / 86_400, 0.0), float(retention_days))


def _listed(settings: Settings, position: int, enrichment: OfficeEnrichment) -> int:
    if isinstance(enrichment.addresses, AddressFile):
        try:
            return len(listed_addresses(settings, position, enrichment))
        except ConfigurationError:
            # It is said where the list is read.
            return 0
    return len(enrichment.addresses)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def duration(seconds: float) -> str:
    """Seconds as a person says them: '45 s', '3 min', '2.5 h'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
