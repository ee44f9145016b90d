"""Slices: which calendar pieces there are, which have to be read, and how they are read together."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engagement.office.slices import (
    LONGEST_READ,
    MEETINGS,
    MESSAGES,
    Covered,
    Plan,
    Slice,
    calendar_slices,
    first_of_month,
    halved,
    merged,
    reads,
)

NOW = datetime(2026, 7, 1, 5, 30)
DAY = timedelta(days=1)
MOMENTS = st.datetimes(datetime(2001, 1, 1), datetime(2040, 1, 1))
KINDS = st.sampled_from([MESSAGES, MEETINGS])


def ledger_after(plan: Plan) -> list[Covered]:
    """What the ledger holds once everything that a plan needs has been read."""
    return [
        Covered(piece.start, min(plan.read_to(piece), plan.now), plan.now)
        for piece in plan.slices()
        if piece.start < plan.now
    ]


def test_months_before_the_first_of_the_month_35_days_ago_then_days() -> None:
    pieces = list(calendar_slices(datetime(2026, 3, 17, 8), NOW, now=NOW))
    # 35 days before 1 July is 27 May, so days begin on 1 May
    assert pieces[:2] == [
        Slice(datetime(2026, 3, 1), datetime(2026, 4, 1)),
        Slice(datetime(2026, 4, 1), datetime(2026, 5, 1)),
    ]
    assert pieces[2] == Slice(datetime(2026, 5, 1), datetime(2026, 5, 2))
    assert pieces[-1] == Slice(datetime(2026, 7, 1), datetime(2026, 7, 2))
    assert len(pieces) == 2 + 31 + 30 + 1


@given(MOMENTS, st.integers(366, 3650), KINDS)
def test_slices_cover_the_range_without_gap_or_overlap(now: datetime, retention: int, kind: str) -> None:
    plan = Plan.of(kind, now=now, retention_days=retention)
    pieces = plan.slices()
    assert pieces[0].start <= plan.start < pieces[0].end
    assert pieces[-1].start < plan.end <= pieces[-1].end
    assert all(one.end == other.start for one, other in pairwise(pieces))


@given(MOMENTS, st.integers(366, 800), KINDS)
def test_everything_is_needed_at_first_newest_first(now: datetime, retention: int, kind: str) -> None:
    plan = Plan.of(kind, now=now, retention_days=retention)
    assert plan.needed([]) == plan.slices()[::-1]


def test_what_was_read_is_not_read_again_but_for_the_overlap() -> None:
    messages = Plan.of(MESSAGES, now=NOW, retention_days=400)
    assert [piece.start.date().isoformat() for piece in messages.needed(ledger_after(messages))] == [
        "2026-07-01", "2026-06-30", "2026-06-29", "2026-06-28",
    ]  # fmt: skip
    meetings = Plan.of(MEETINGS, now=NOW, retention_days=400)
    needed = meetings.needed(ledger_after(meetings))
    assert needed[0].start == datetime(2026, 7, 15) and needed[-1].start == datetime(2026, 5, 27)
    assert len(needed) == 35 + 15


@given(MOMENTS, st.integers(0, 200), KINDS)
def test_after_a_pause_exactly_the_missing_days_the_overlap_and_one_turn_are_needed(
    then: datetime, pause: int, kind: str
) -> None:
    """Also where days have become months meanwhile: a month is covered if its days are."""
    before = Plan.of(kind, now=then, retention_days=400)
    after = Plan.of(kind, now=then + pause * DAY, retention_days=400)
    ledger = ledger_after(before)
    complete_to = max(entry.read_to for entry in ledger)  # inside the last day or at its end
    turn = after.whose_turn_it_is(ledger)
    assert bool(turn) == (pause >= 28)
    for piece in after.needed(ledger):
        assert piece in turn or piece.end > min(complete_to, after.again_from)
    untouched = set(after.slices()) - set(after.needed(ledger))
    assert all(piece.end <= complete_to and piece.end <= after.again_from for piece in untouched)


def test_a_day_read_only_in_part_keeps_its_month_from_being_covered() -> None:
    ledger = [Covered(datetime(2026, 2, day), datetime(2026, 2, day + 1), NOW) for day in range(1, 28)]
    plan = Plan.of(MESSAGES, now=NOW, retention_days=400)
    february = Slice(datetime(2026, 2, 1), datetime(2026, 3, 1))
    assert february in plan.needed([*ledger, Covered(datetime(2026, 2, 28), datetime(2026, 2, 28, 17), NOW)])
    assert february not in plan.needed([*ledger, Covered(datetime(2026, 2, 28), datetime(2026, 3, 1), NOW)])


def test_messages_end_ten_minutes_ago_and_a_slice_inside_which_that_lies_says_so() -> None:
    plan = Plan.of(MESSAGES, now=datetime(2026, 7, 1, 0, 5), retention_days=400)
    last = plan.slices()[-1]
    assert last.start == datetime(2026, 6, 30)
    assert plan.read_to(last) == datetime(2026, 6, 30, 23, 55)


def test_meetings_to_come_are_complete_as_of_now() -> None:
    plan = Plan.of(MEETINGS, now=NOW, retention_days=400)
    assert plan.read_to(Slice(datetime(2026, 7, 1), datetime(2026, 7, 2))) == NOW
    assert plan.read_to(Slice(datetime(2026, 7, 9), datetime(2026, 7, 10))) == datetime(2026, 7, 10)


@given(MOMENTS, st.integers(366, 800), KINDS)
def test_reads_are_neighbours_of_at_most_a_month_and_lose_nothing(
    now: datetime, retention: int, kind: str
) -> None:
    needed = Plan.of(kind, now=now, retention_days=retention).needed([])
    together = reads(needed)
    assert [piece for series in together for piece in reversed(series)] == needed
    for series in together:
        assert series[-1].end - series[0].start <= LONGEST_READ
        assert all(one.end == other.start for one, other in pairwise(series))


def test_reads_do_not_bridge_a_gap() -> None:
    days = [Slice(datetime(2026, 6, day), datetime(2026, 6, day + 1)) for day in (20, 19, 10)]
    assert reads(days) == [[days[1], days[0]], [days[2]]]


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        ([], []),
        ([(1, 2), (2, 3)], [(1, 3)]),
        ([(2, 3), (1, 2)], [(1, 3)]),
        ([(1, 4), (2, 3)], [(1, 4)]),
        ([(1, 2), (3, 4)], [(1, 2), (3, 4)]),
    ],
)
def test_merging(ledger: list[tuple[int, int]], expected: list[tuple[int, int]]) -> None:
    def day(number: int) -> datetime:
        return datetime(2026, 1, number)

    assert merged(Covered(day(a), day(b), day(b)) for a, b in ledger) == [
        Slice(day(a), day(b)) for a, b in expected
    ]


def test_old_months_are_read_again_in_turn() -> None:
    """A run a week: each comes round, the newest of equals first, and none that was read within 28 days."""
    plan = Plan.of(MESSAGES, now=NOW, retention_days=200)
    ledger = {entry.start: entry for entry in ledger_after(plan)}
    turns: list[tuple[datetime, datetime]] = []
    for week in range(1, 26):
        plan = Plan.of(MESSAGES, now=NOW + timedelta(weeks=week), retention_days=200)
        turn = plan.whose_turn_it_is(list(ledger.values()))
        assert bool(turn) == (week >= 4)
        if turn:
            assert set(turn) <= set(plan.needed(list(ledger.values())))
            month = first_of_month(turn[0].start)
            assert {first_of_month(piece.start) for piece in turn} == {month}
            turns.append((plan.now, month))
        for piece in plan.needed(list(ledger.values())):
            # As landing does: what is read takes the place of whatever it overlaps.
            ledger = {
                begin: entry
                for begin, entry in ledger.items()
                if begin >= piece.end or entry.read_to <= piece.start
            }
            ledger[piece.start] = Covered(piece.start, plan.read_to(piece), plan.now)
    assert [month for _, month in turns[:3]] == [
        datetime(2026, 6, 1),
        datetime(2026, 5, 1),
        datetime(2026, 4, 1),
    ]
    last: dict[datetime, datetime] = {}
    for now, month in turns:
        assert now - last.get(month, datetime.min) >= timedelta(days=28)
        last[month] = now
    assert len(last) >= 6


def test_a_month_read_in_parts_is_as_old_as_its_oldest_part() -> None:
    plan = Plan.of(MESSAGES, now=NOW, retention_days=100)
    old, recent = NOW - timedelta(days=28), NOW - timedelta(days=27)
    ledger = [Covered(piece.start, piece.end, recent) for piece in plan.slices()]
    assert plan.whose_turn_it_is(ledger) == []
    april = Slice(datetime(2026, 4, 1), datetime(2026, 5, 1))
    ledger = [entry for entry in ledger if entry.start != april.start]
    ledger += [
        Covered(april.start, datetime(2026, 4, 9), recent),
        Covered(datetime(2026, 4, 9), april.end, old),
    ]
    assert plan.whose_turn_it_is(ledger) == [april]


def test_halves_meet_and_hold_what_the_whole_held() -> None:
    april, may = (
        Slice(datetime(2026, 4, 1), datetime(2026, 5, 1)),
        Slice(datetime(2026, 5, 1), datetime(2026, 6, 1)),
    )
    assert halved((april, may), datetime.max) == ((may,), (april,))
    assert halved((april,), datetime.max) == (
        (Slice(datetime(2026, 4, 16), april.end),),
        (Slice(april.start, datetime(2026, 4, 16)),),
    )
    # A day of which only the morning is read is cut in the morning.
    day = Slice(datetime(2026, 7, 1), datetime(2026, 7, 2))
    assert halved((day,), datetime(2026, 7, 1, 5, 20)) == (
        (Slice(datetime(2026, 7, 1, 2, 40), day.end),),
        (Slice(day.start, datetime(2026, 7, 1, 2, 40)),),
    )
    two, one = (
        Slice(day.start, day.start + timedelta(minutes=2)),
        Slice(day.start, day.start + timedelta(minutes=1)),
    )
    assert len(halved((two,), datetime.max)) == 2
    assert halved((one,), datetime.max) == ()


@given(MOMENTS, st.integers(1, 60 * 24 * 40), st.integers(0, 60 * 24 * 40))
def test_halving_ends_and_loses_nothing(start: datetime, minutes: int, read_minutes: int) -> None:
    whole = Slice(start, start + timedelta(minutes=minutes))
    read_end = start + timedelta(minutes=min(max(read_minutes, 1), minutes))
    pieces, parts = [whole], []
    while pieces:
        halves = halved((pieces.pop(),), read_end)
        if not halves:
            continue
        (newer,), (older,) = halves
        assert older.end == newer.start and older.start < older.end
        parts += [newer, older]
        if len(parts) < 200:
            pieces.append(newer)
    assert all(piece.end - piece.start >= timedelta(minutes=1) for piece in parts)
