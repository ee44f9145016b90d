"""The whole way of the data on the Enron corpus, compared with an oracle that reads the corpus itself."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

import corpus
import oracle
from corpus_run import (
    CHECKOUT,
    CorpusRun,
    comparison,
    differing_cells,
    published_year_rows,
    rebuilt_year_rows,
    run_corpus,
)

pytestmark = pytest.mark.skipif(
    "ENGAGEMENT_TEST_DATA" not in os.environ, reason="ENGAGEMENT_TEST_DATA is not set: no real mail to run on"
)

COUNTED_COLUMNS = (
    "NoOfEmails_ToAccount",
    "NoOfEmails_FromAccount",
    "NoOfContactsInvolved_Emails",
    "NoOfAccountContactsInvolved_Emails",
    "EngagementStartDate",
    "DaysSinceLastEmail",
)


@pytest.fixture(scope="session")
def mail_run(tmp_path_factory: pytest.TempPathFactory) -> CorpusRun:
    run = run_corpus(
        "corpus:enron",
        corpus.write_enron,
        tmp_path_factory.mktemp("enron"),
        companies=corpus.data_directory() / "firmographics.parquet",
    )
    assert run.exit_code == 0, run.output
    return run


@pytest.fixture(scope="session")
def accounts() -> set[str]:
    with (corpus.data_directory() / "enron" / "accounts.csv").open(encoding="utf-8", newline="") as file:
        return {row["account_id"] for row in csv.DictReader(file)}


def _stored(file: str, condition: str) -> Counter[str]:
    """Count rows of a file of the corpus, by the Entra id of the mailbox."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            f"select mailbox, count(*) from read_parquet($file) where {condition} group by mailbox",
            {"file": str(corpus.data_directory() / "enron" / file)},
        ).fetchall()
    names = {mailbox.name: mailbox.guid for mailbox in corpus.enron_mailboxes()}
    return Counter({names[name]: number for name, number in rows})


def _landed(run: CorpusRun, table: str) -> Counter[str]:
    return Counter(
        dict(
            run.query(
                run.private_file,
                f"""
                select mailboxes.entra_id, count(*)
                from raw.{table} as items
                join raw.office_mailboxes as mailboxes using (mailbox_id)
                group by mailboxes.entra_id
                """,
            )
        )
    )


@pytest.mark.long
def test_the_day_is_the_last_whole_one_before_the_clock_of_the_service(mail_run: CorpusRun) -> None:
    assert mail_run.facts["as_of"] == str(corpus.ENRON_DAY)


@pytest.mark.long
def test_every_copy_that_had_been_received_is_landed_in_its_mailbox(mail_run: CorpusRun) -> None:
    received = f"sent_at < timestamp '{corpus.ENRON_NOW - timedelta(minutes=10):%Y-%m-%d %H:%M:%S}'"
    expected = _stored("messages.parquet", received)
    assert expected.total() > 100_000
    assert _landed(mail_run, "office_messages") == expected
    meeting_mails = mail_run.query(
        mail_run.private_file, "select count(*) from raw.office_messages where is_meeting_mail"
    )
    assert meeting_mails == [(_stored("messages.parquet", f"{received} and is_meeting_mail").total(),)]


@pytest.mark.long
def test_every_calendar_entry_up_to_two_weeks_ahead_is_landed_in_its_mailbox(mail_run: CorpusRun) -> None:
    # the day that the fortnight ends in is read whole
    end = (corpus.ENRON_NOW + timedelta(days=15)).date()
    expected = _stored("meetings.parquet", f"start_utc < date '{end}'")
    assert expected.total() > 100
    assert _landed(mail_run, "office_meetings") == expected


@pytest.mark.long
def test_copies_of_one_message_share_its_key_and_its_thread(mail_run: CorpusRun) -> None:
    with duckdb.connect() as connection:
        expected = connection.execute(
            """
            select count(distinct internet_message_id), count(distinct thread)
            from read_parquet($file) where sent_at < $end
            """,
            {
                "file": str(corpus.data_directory() / "enron" / "messages.parquet"),
                "end": (corpus.ENRON_NOW - timedelta(minutes=10)).replace(tzinfo=None),
            },
        ).fetchall()
    landed = mail_run.query(
        mail_run.private_file,
        "select count(distinct message_key), count(distinct thread_key) from raw.office_messages",
    )
    assert landed == expected


@pytest.mark.long
def test_every_cell_of_every_account_is_what_the_oracle_counts(
    mail_run: CorpusRun, accounts: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    expected = oracle.enron_year_rows(corpus.data_directory(), CHECKOUT / "seeds", corpus.ENRON_DAY)
    result = comparison(published_year_rows(mail_run), expected, accounts)
    note = {key: value for key, value in result.items() if key != "differing"} | mail_run.measurements()
    (mail_run.folder / "comparison.json").write_text(json.dumps(result | note, indent=2), encoding="utf-8")
    with capsys.disabled():
        print(f"\nreal mail: {json.dumps(note)}")
    assert result["differing"] == []
    # the comparison has something to compare: mail both ways, first contacts before the year and in it
    assert all(any(row[column] for row in expected.values()) for column in COUNTED_COLUMNS)
    first, last = oracle.dates_of_all(expected.values())
    assert first < min(row["AggregationStartDate"] for row in expected.values()) < last
    assert accounts - set(expected), "no account without contact"


@pytest.mark.long
def test_everything_read_is_in_the_bucket_that_the_oracle_gives_it(
    mail_run: CorpusRun, capsys: pytest.CaptureFixture[str]
) -> None:
    buckets, domains = oracle.enron_coverage(corpus.data_directory(), CHECKOUT / "seeds", corpus.ENRON_DAY)
    published = {
        (row[0], row[1]): row[2:]
        for row in mail_run.query(
            mail_run.published_file,
            "select kind, bucket, items_count, copies_count, items_in_year_count, first_on, last_on"
            " from marts.office_coverage",
        )
    }
    counts = {" ".join(key): row[0] for key, row in sorted(published.items(), key=lambda item: -item[1][0])}
    with capsys.disabled():
        print(f"\nreal mail by bucket: {json.dumps(counts)}")
    assert published == buckets
    assert len(buckets) > 10
    queue = {
        row[0]: row[1:]
        for row in mail_run.query(
            mail_run.published_file,
            "select mail_domain, reason, messages_from_count, messages_to_count, meetings_count,"
            " addresses_count, first_on, last_on from marts.unmatched_domains",
        )
    }
    reasons = Counter(row[0] for row in queue.values())
    with capsys.disabled():
        print(f"real unmatched domains: {json.dumps(reasons)}")
    assert queue == domains
    assert min(reasons[reason] for reason in ("personal_mail_domain", "no_contact_has_it")) > 10


@pytest.mark.long
def test_companies_are_matched_with_the_public_lists(
    mail_run: CorpusRun, accounts: set[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """453 accounts against 72,373 companies behind the emulator, by name, website and country."""
    rows = mail_run.query(
        mail_run.published_file,
        "select account_name, lookup_status, match_confidence, company_name from marts.account_lookups",
    )
    # some organisations stand there twice, with another website each
    lookups = {row[0]: row[1:] for row in rows}
    counted = Counter((status, confidence) for _, status, confidence, _ in rows)
    with capsys.disabled():
        print(f"\nreal companies: {dict(counted)}")
    assert sum(counted.values()) == len(accounts)
    assert {status for status, _ in counted} == {"enriched", "not_enriched", "rejected"}
    assert counted["enriched", "high"] > 100
    for name, company in (
        ("American Electric Power", "American Electric Power"),
        ("Deutsche Bank", "Deutsche Bank Aktiengesellschaft"),
        ("Merrill Lynch", "Merrill Lynch"),
    ):
        assert lookups[name] == ("enriched", "high", company)
    # Each has a namesake in the lists that is another company.
    for name in ("Summit Energy Services", "Ocean Energy", "Panda Energy"):
        assert lookups[name] == ("not_enriched", None, None)
    [row] = mail_run.query(
        mail_run.published_file,
        "select count(*), count(*) filter (where lookup_status = 'enriched' and engagement_score is not null),"
        " count(kind) from marts.enriched_customers",
    )
    assert row[0] == len(accounts) == row[2]
    assert row[1] > 50, "known to Leadspace and in contact"


@pytest.mark.long
@pytest.mark.parametrize("day", [date(2000, 7, 31), date(2000, 12, 31), date(2001, 6, 30)])
def test_a_past_day_is_rebuilt_from_what_had_been_received(
    mail_run: CorpusRun, accounts: set[str], tmp_path: Path, day: date
) -> None:
    expected = oracle.enron_year_rows(corpus.data_directory(), CHECKOUT / "seeds", day)
    assert len(expected) > 100
    assert differing_cells(rebuilt_year_rows(mail_run, day, tmp_path), expected, accounts) == []
