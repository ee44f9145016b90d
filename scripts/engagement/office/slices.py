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
# Mail that comes with an old date (an import, a restored archive) is found by reading old months again, one of
# each kind and run, the one that was not looked at for longest; none more often than this.
SHORTEST_ROTATION = timedelta(days=28)
SHORTEST_SLICE = timedelta(minutes=1)


class Slice(NamedTuple):
    """[start, end)."""

    start: datetime
    end: datetime


class Covered(NamedTuple):
    """What the ledger says of one slice: [start, read_to) is complete, as it was at `read_at`."""

    start: datetime
    read_to: datetime
    read_at: datetime


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

    def needed(self, ledger: Sequence[Covered]) -> list[Slice]:
        """The slices that the ledger does not cover whole, those to be read again, and the month whose turn it is;
        newest first.
        """
        complete = merged(ledger)
        turn = set(self.whose_turn_it_is(ledger))
        needed = [
            piece
            for piece in self.slices()
            if piece.end > self.again_from or piece in turn or not covers(complete, piece.start, piece.end)
        ]
        return needed[::-1]

    def whose_turn_it_is(self, ledger: Sequence[Covered]) -> list[Slice]:
        """Of the months that are read already, the one that was read longest ago (its slices that are not due
        anyhow): it may have been given items since. Of several the newest; nothing where all were read of late.
        """
        complete = merged(ledger)
        months: dict[datetime, list[Slice]] = {}
        for piece in self.slices():
            if piece.end <= self.again_from and covers(complete, piece.start, piece.end):
                months.setdefault(first_of_month(piece.start), []).append(piece)
        turn: list[Slice] = []
        turn_read_at = self.now - SHORTEST_ROTATION
        for pieces in months.values():
            start, end = pieces[0].start, pieces[-1].end
            read_at = min(part.read_at for part in ledger if part.start < end and part.read_to > start)
            if read_at <= turn_read_at:
                turn, turn_read_at = pieces, read_at
        return turn


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
    for start, read_to, _ in sorted(ledger):
        if joined and start <= joined[-1].end:
            joined[-1] = Slice(joined[-1].start, max(joined[-1].end, read_to))
        else:
            joined.append(Slice(start, read_to))
    return joined


def covers(complete: Sequence[Slice], start: datetime, end: datetime) -> bool:
    """Whether one of the merged intervals holds [start, end) whole."""
    return any(piece.start <= start and end <= piece.end for piece in complete)


def halved(pieces: Sequence[Slice], read_end: datetime) -> tuple[tuple[Slice, ...], ...]:
    """The same range in two parts, the newer first: whole slices where there are several, else the halves of one
    up to where it is read, at a whole minute; nothing where it is too short for that.
    """
    if len(pieces) > 1:
        middle = len(pieces) // 2
        return (tuple(pieces[middle:]), tuple(pieces[:middle]))
    start, end = pieces[0]
    half = (min(end, read_end) - start) / 2
    cut = start + half // SHORTEST_SLICE * SHORTEST_SLICE
    if cut - start < SHORTEST_SLICE:
        return ()
    return ((Slice(cut, end),), (Slice(start, cut),))


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
