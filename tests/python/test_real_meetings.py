"""The whole way of the data on the calendars of open working groups, compared with what really took place."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import pytest

import corpus
import oracle
from corpus_run import (
    CorpusRun,
    comparison,
    differing_cells,
    published_year_rows,
    rebuilt_year_rows,
    run_corpus,
)

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        "ENGAGEMENT_TEST_DATA" not in os.environ,
        reason="ENGAGEMENT_TEST_DATA is not set: no real meetings to run on",
    ),
]

# the retention reaches into this month, and a month is read whole
KEPT_FROM = (corpus.GROUPS_NOW - timedelta(days=corpus.GROUPS_RETENTION_DAYS)).date().replace(day=1)


@pytest.fixture(scope="session")
def meeting_run(tmp_path_factory: pytest.TempPathFactory) -> CorpusRun:
    run = run_corpus("corpus:working_groups", corpus.write_working_groups, tmp_path_factory.mktemp("groups"))
    assert run.exit_code == 0, run.output
    return run


def _occurrences() -> list[oracle.Occurrence]:
    def person(attendance: corpus.Attendance) -> oracle.Person:
        return oracle.Person(
            attendance.key, attendance.organisation, attendance.is_ours, attendance.response == "declined"
        )

    return [
        oracle.Occurrence(
            gathering.start_at,
            gathering.end_at,
            gathering.is_all_day,
            gathering.is_cancelled,
            tuple(person(one) for one in gathering.people),
            None if gathering.organizer is None else person(gathering.organizer),
        )
        for gathering in corpus.gatherings()
    ]


def _accounts(folder_of: CorpusRun) -> set[str]:
    with (folder_of.folder / "accounts.csv").open(encoding="utf-8", newline="") as file:
        return {row["account_id"] for row in csv.DictReader(file)}


def _expected(day: date) -> dict[str, oracle.Row]:
    return oracle.gatherings_year_rows(
        _occurrences(), day=day, time_zone=corpus.GROUPS_TIME_ZONE, kept_from=KEPT_FROM
    )


def test_the_calendars_hold_what_makes_counting_hard() -> None:
    gatherings = corpus.gatherings()
    organizers = Counter(
        "other" if one.organizer is None else "ours" if one.organizer.is_ours else "account"
        for one in gatherings
    )
    assert min(organizers[kind] for kind in ("ours", "account", "other")) >= 10
    assert sum(one.is_all_day for one in gatherings) >= 10
    assert sum(one.is_cancelled for one in gatherings) >= 5
    assert any(
        one.end_at.date() == corpus.GROUPS_DAY + timedelta(days=1) and one.is_all_day for one in gatherings
    )
    assert any(one.start_at.date() == corpus.GROUPS_DAY + timedelta(days=1) for one in gatherings)
    assert any(one.start_at.date() < KEPT_FROM for one in gatherings)
    people = [person for one in gatherings for person in one.people]
    assert {person.is_ours for person in people if person.response == "declined"} == {True, False}
    assert any(not person.invited_by_name for person in people)
    assert any(not person.keeps_copy for person in people)
    # copies of one meeting that contradict each other
    said: dict[str | None, set[bool]] = {}
    for event in (event for events in corpus.working_groups().events.values() for event in events):
        said.setdefault(event.ical_uid, set()).add(event.is_cancelled)
    assert sum(len(words) == 2 for words in said.values()) >= 10


def test_the_day_is_the_last_whole_one_in_the_reporting_time_zone(meeting_run: CorpusRun) -> None:
    assert meeting_run.facts["as_of"] == str(corpus.GROUPS_DAY)


def test_every_calendar_entry_of_the_retention_is_landed_in_its_mailbox(meeting_run: CorpusRun) -> None:
    end: date = (corpus.GROUPS_NOW + timedelta(days=15)).date()
    tenant = corpus.working_groups()
    expected = {
        person.id: sum(KEPT_FROM <= event.start_at.date() < end for event in tenant.events.get(person.id, []))
        for person in tenant.people
    }
    landed = dict(
        meeting_run.query(
            meeting_run.private_file,
            """
            select mailboxes.entra_id, count(items.item_key)
            from raw.office_mailboxes as mailboxes
            left join raw.office_meetings as items using (mailbox_id)
            group by mailboxes.entra_id
            """,
        )
    )
    assert landed == expected


def test_every_cell_of_every_account_is_what_really_took_place(
    meeting_run: CorpusRun, capsys: pytest.CaptureFixture[str]
) -> None:
    expected, accounts = _expected(corpus.GROUPS_DAY), _accounts(meeting_run)
    result = comparison(published_year_rows(meeting_run), expected, accounts)
    note = {key: value for key, value in result.items() if key != "differing"} | meeting_run.measurements()
    (meeting_run.folder / "comparison.json").write_text(json.dumps(result | note, indent=2), encoding="utf-8")
    with capsys.disabled():
        print(f"\nreal meetings: {json.dumps(note)}")
    assert result["differing"] == []
    assert all(
        any(row[column] for row in expected.values())
        for column in ("NoOfMeetings_ToAccount", "NoOfMeetings_FromAccount", "AverageDuration_Of_Meetings")
    )
    assert any(
        row["meetings_count"] > row["NoOfMeetings_ToAccount"] + row["NoOfMeetings_FromAccount"]
        for row in expected.values()
    )
    first, last = oracle.dates_of_all(expected.values())
    assert first < min(row["AggregationStartDate"] for row in expected.values()) < last
    assert accounts - set(expected), "no account without contact"


def test_every_gathering_read_is_in_the_bucket_that_the_oracle_gives_it(
    meeting_run: CorpusRun, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = oracle.gatherings_buckets(
        _occurrences(),
        day=corpus.GROUPS_DAY,
        time_zone=corpus.GROUPS_TIME_ZONE,
        kept_from=KEPT_FROM,
    )
    published = dict(
        meeting_run.query(
            meeting_run.published_file,
            "select bucket, items_count from marts.office_coverage where kind = 'meeting'",
        )
    )
    with capsys.disabled():
        print(f"\nreal meetings by bucket: {json.dumps(published)}")
    assert published == expected
    assert {"counted", "cancelled", "with_unknown", "declined_by_ours"} <= set(expected)


@pytest.mark.long
@pytest.mark.parametrize("day", [date(2020, 6, 30), date(2021, 8, 5), date(2023, 2, 1)])
def test_a_past_day_is_rebuilt_from_what_had_taken_place(
    meeting_run: CorpusRun, tmp_path: Path, day: date
) -> None:
    expected = _expected(day)
    assert len(expected) > 10
    assert (
        differing_cells(rebuilt_year_rows(meeting_run, day, tmp_path), expected, _accounts(meeting_run)) == []
    )
