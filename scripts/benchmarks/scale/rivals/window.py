"""What is counted: the enrichments, the time zone, the as-of date and the periods of a folder of raw tables.

A few thousand rows of settings, whatever the size of the tenant, so that all rivals leave them to plain Python.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from pathlib import Path
from zoneinfo import ZoneInfo

PERSONAL_MAIL_DOMAINS = Path(__file__).resolve().parents[4] / "seeds" / "personal_mail_domains.csv"
NEVER = datetime(9999, 12, 31)
REPLY_LIMIT_MILLISECONDS = 720 * 3_600_000
STATES_TO_WAIT_FOR = ("readable", "incomplete", "throttled")


@dataclass(frozen=True)
class Period:
    """A year, month or week, and the days of it that count."""

    number: int
    level: str
    starts_on: date
    counts_from_on: date
    counts_to_on: date

    @property
    def days(self) -> list[date]:
        """The days that count."""
        return [
            self.counts_from_on + timedelta(days=number)
            for number in range((self.counts_to_on - self.counts_from_on).days + 1)
        ]


@dataclass(frozen=True)
class Window:
    """`enrichments` has the id of each and whether it matches domains; `ends_before_at` is UTC without saying so."""

    time_zone: str
    as_of_on: date
    year_starts_on: date
    ends_before_at: datetime
    enrichments: list[tuple[str, bool]]
    periods: list[Period]

    @property
    def pieces(self) -> list[tuple[date, int]]:
        """Each day of the year with the number of its piece: days of one week and one month are in the same periods."""
        periods_of: dict[date, tuple[int, ...]] = defaultdict(tuple)
        for period in self.periods:
            for day in period.days:
                periods_of[day] = (*periods_of[day], period.number)
        numbers = {periods: number for number, periods in enumerate(sorted(set(periods_of.values())))}
        return [(day, numbers[periods]) for day, periods in periods_of.items()]


def window_of(
    settings: Iterable[tuple[str, str, str | None]],
    mailboxes: Iterable[tuple[str, int, str, datetime | None]],
    read_to: Iterable[tuple[int, str, datetime]],
) -> Window:
    """The window of raw tables.

    `settings` are rows of (enrichment_id, key, value), `mailboxes` of (enrichment_id, mailbox_id, state, monitored_to),
    `read_to` of (mailbox_id, kind, the newest of the lesser of read_to and read_at). ValueError where small numbers are
    banded, which the rivals do not know, and where no day has been read by every mailbox.
    """
    values: dict[str, dict[str, str | None]] = defaultdict(dict)
    for enrichment_id, key, value in settings:
        values[enrichment_id][key] = value

    def set_to(enrichment_id: str, key: str, default: str) -> str:
        return values[enrichment_id].get(key) or default

    if set_to("", "reporting.small_numbers", "show") != "show":
        raise ValueError(
            "small numbers are banded in these tables; the rivals count only where they are shown"
        )
    offices = [
        enrichment_id
        for enrichment_id in sorted(values)
        if set_to(enrichment_id, "type", "") == "office"
        and set_to(enrichment_id, "has_outputs", "true") == "true"
    ]
    read = [
        enrichment_id
        for enrichment_id in offices
        if set_to(enrichment_id, "active", "true") == "true"
        and set_to(enrichment_id, "consent_state", "given") == "given"
    ]
    waited_for = read or offices

    kinds: dict[int, list[datetime]] = defaultdict(list)
    for mailbox_id, _, instant in read_to:
        kinds[mailbox_id].append(instant)
    instants = sorted(
        min(kinds[mailbox_id]) if len(kinds[mailbox_id]) == 2 else datetime.min
        for mailbox_id in {
            mailbox_id
            for enrichment_id, mailbox_id, state, monitored_to in mailboxes
            if enrichment_id in waited_for and state in STATES_TO_WAIT_FOR and monitored_to is None
        }
    )
    tolerated = min((float(set_to(each, "tolerated_failures", "0")) for each in waited_for), default=0.0)
    complete = instants[math.floor(len(instants) * tolerated + 0.000001) :]
    if not complete or complete[0] == datetime.min:
        raise ValueError("no day has been read by every mailbox, so that there is nothing to count")

    zone = ZoneInfo(set_to("", "reporting.time_zone", "UTC"))
    as_of_on = complete[0].replace(tzinfo=UTC).astimezone(zone).date() - timedelta(days=1)
    year_starts_on = as_of_on - timedelta(days=364)
    ends_before_at = datetime.combine(as_of_on + timedelta(days=1), time_of_day(), zone)
    return Window(
        time_zone=zone.key,
        as_of_on=as_of_on,
        year_starts_on=year_starts_on,
        ends_before_at=ends_before_at.astimezone(UTC).replace(tzinfo=None),
        enrichments=[(each, set_to(each, "domain_matching", "false") == "true") for each in offices],
        periods=_periods(year_starts_on, as_of_on),
    )


def _periods(year_starts_on: date, as_of_on: date) -> list[Period]:
    days: dict[tuple[str, date], list[date]] = defaultdict(list)
    day = year_starts_on
    while day <= as_of_on:
        days["year", year_starts_on].append(day)
        days["month", day.replace(day=1)].append(day)
        days["week", day - timedelta(days=day.weekday())].append(day)
        day += timedelta(days=1)
    return [
        Period(number, level, starts_on, counted[0], counted[-1])
        for number, ((level, starts_on), counted) in enumerate(days.items())
    ]


@dataclass
class Steps:
    """The seconds of each step, one after another."""

    seconds: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.perf_counter)

    def done(self, step: str) -> None:
        """The step has ended, and the next begins."""
        now = time.perf_counter()
        self.seconds[step] = round(now - self.began, 3)
        self.began = now


def run(description: str | None, compute: Callable[[Path, Path, int | None, int], Steps]) -> None:
    """The command line of a rival: what it prints last is one line of JSON, the seconds of each step.

    `compute` is given the folder of raw tables, the Parquet file to write, the memory in MB and the threads.
    """
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--raw", type=Path, required=True, help="folder with TABLE/*.parquet of every raw table"
    )
    parser.add_argument("--result", type=Path, required=True, help="the Parquet file to write")
    parser.add_argument("--memory-limit-mb", type=int, help="what the tool may take, where it can be told")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    steps = compute(given.raw, given.result, given.memory_limit_mb, given.threads)
    print(json.dumps(steps.seconds))
