"""Calendar slices: what a unit of work is, and which have to be read. Pure functions over naive UTC instants.

A slice is a whole month for history that ended before the first of the month of (now - 35 days), a whole day
from there on. A read covers neighbouring slices in one series of requests; the ledger has one row per slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

MESSAGES = "messages"
MEETINGS = "meetings"

DAYS_KEPT_AS_DAYS = timedelta(days=35)
MESSAGE_LAG = timedelta(minutes=10)
MESSAGE_OVERLAP = timedelta(days=3)
MEETING_OVERLAP = timedelta(days=35)
MEETINGS_AHEAD = timedelta(days=14)
LONGEST_READ = timedelta(days=31)


class Slice(NamedTuple):
    """[start, end)."""

    start: datetime
    end: datetime


class Covered(NamedTuple):
    """What the ledger says of one slice: [start, read_to) is complete."""

    start: datetime
    read_to: datetime


@dataclass(frozen=True)
class Plan:
    """What one kind needs in this run: the whole range, and the part of it that is read again in any case."""

    kind: str
    start: datetime
    end: datetime
    again_from: datetime
    now: datetime

    @classmethod
    def of(cls, kind: str, *, now: datetime, retention_days: int) -> Plan:
        start = now - timedelta(days=retention_days)
        if kind == MESSAGES:
            return cls(kind, start, now - MESSAGE_LAG, now - MESSAGE_OVERLAP, now)
        return cls(kind, start, now + MEETINGS_AHEAD, now - MEETING_OVERLAP, now)

    @property
    def read_end(self) -> datetime:
        """Where requests end: mail that may still be on its way is left to the next run, calendar days are
        whole.
        """
        return self.end if self.kind == MESSAGES else datetime.max

    def slices(self) -> list[Slice]:
        """All slices of the range, oldest first; the first is the whole piece that holds the start."""
        return list(calendar_slices(self.start, self.end, now=self.now))

    def read_to(self, piece: Slice) -> datetime:
        """Up to where a slice is complete once it has been read now."""
        moment = self.end if self.kind == MESSAGES else self.now
        return min(piece.end, moment) if piece.start < moment else piece.end

    def needed(self, ledger: Iterable[Covered]) -> list[Slice]:
        """The slices that the ledger does not cover whole, and those to be read again; newest first."""
        complete = merged(ledger)
        needed = [
            piece
            for piece in self.slices()
            if piece.end > self.again_from or not covers(complete, piece.start, piece.end)
        ]
        return needed[::-1]


def first_of_month(moment: datetime) -> datetime:
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def next_month(moment: datetime) -> datetime:
    return first_of_month(first_of_month(moment) + timedelta(days=32))


def midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def calendar_slices(start: datetime, end: datetime, *, now: datetime) -> Iterator[Slice]:
    """Months, then days, from the piece that holds `start` to the piece that holds the last instant before
    `end`.
    """
    days_from = first_of_month(now - DAYS_KEPT_AS_DAYS)
    at = first_of_month(start) if start < days_from else midnight(start)
    while at < end:
        following = next_month(at) if at < days_from else at + timedelta(days=1)
        yield Slice(at, following)
        at = following


def whole_slices(start: datetime, end: datetime, *, now: datetime) -> Iterator[Slice]:
    """The days from that of `start` to the one that ends at `end`, as months where a whole month lies in them.

    Nothing before or after them is claimed, unlike by `calendar_slices`.
    """
    days_from = first_of_month(now - DAYS_KEPT_AS_DAYS)
    at = midnight(start)
    while at < end:
        following = next_month(at)
        if at != first_of_month(at) or following > min(end, days_from):
            following = at + timedelta(days=1)
        yield Slice(at, following)
        at = following


def merged(ledger: Iterable[Covered]) -> list[Slice]:
    """The ledger's intervals with touching ones joined, oldest first."""
    joined: list[Slice] = []
    for start, read_to in sorted(ledger):
        if joined and start <= joined[-1].end:
            joined[-1] = Slice(joined[-1].start, max(joined[-1].end, read_to))
        else:
            joined.append(Slice(start, read_to))
    return joined


def covers(complete: Sequence[Slice], start: datetime, end: datetime) -> bool:
    """Whether one of the merged intervals holds [start, end) whole."""
    return any(piece.start <= start and end <= piece.end for piece in complete)


def reads(needed: Sequence[Slice]) -> list[list[Slice]]:
    """Needed slices (newest first) as series of neighbours, at most a month long; newest first, each oldest
    first.
    """
    series: list[list[Slice]] = []
    for piece in needed:
        if series and series[-1][0].start == piece.end and series[-1][-1].end - piece.start <= LONGEST_READ:
            series[-1].insert(0, piece)
        else:
            series.append([piece])
    return series
