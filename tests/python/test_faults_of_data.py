"""Data and time against everything that is known to go wrong with them: the numbers are those of the fault list (38 to
41). What is odd is accepted or counted as what it is, and the numbers are the same wherever the command runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import ACCOUNTS, NOW, OURS, Workspace, meeting, message, person, write_csv
from emulators.graph import Handle, running
from emulators.identifiers import exchange_ical_uid
from emulators.tenant import Attendee, Event, Message, Tenant
from engagement.office.graph import MESSAGE_REQUIRED

pytestmark = pytest.mark.faults

ANNA = person("anna")
SERIES_MAILBOXES = 30
PEOPLE = [person(f"p{number}") for number in range(SERIES_MAILBOXES)]
FIRST, SECOND = PEOPLE[:2]
ZONES = ("UTC", "Asia/Kolkata", "America/Los_Angeles")
# Its clocks went forward in the night to 29 March 2026.
REPORTING_ZONE = "Europe/Berlin"
LATIN, CYRILLIC = "paypal.example", "pаypal.example"  # noqa: RUF001  (that is the point)
IDN, IDN_ASCII = "münchen-chemie.example", "xn--mnchen-chemie-wob.example"
COMPANIES = [
    *ACCOUNTS,
    {
        "account_id": "A3",
        "name": "Chemie",
        "website": f"https://www.{IDN}/start",
        "country": "DE",
        "tier": "1",
    },
    {"account_id": "A4", "name": "Latin", "website": f"https://{LATIN}", "country": "US", "tier": "1"},
    {"account_id": "A5", "name": "Cyrillic", "website": f"https://{CYRILLIC}", "country": "US", "tier": "1"},
]


# --- 38: bad dates and missing parts


def page(*items: dict[str, Any]) -> dict[str, Any]:
    """A page of the service; everything that is asked for comes, if only as a null."""
    return {"value": [dict.fromkeys(MESSAGE_REQUIRED.split(",")) | item for item in items]}


@pytest.mark.parametrize(
    "received", ["1601-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-13-01T10:00:00Z", "yesterday"]
)
def test_fault_38_a_date_that_cannot_be_is_kept_apart_and_told(
    received: str, connected: Workspace, graph: Handle
) -> None:
    whole = {"id": "whole", "receivedDateTime": "2026-06-30T10:00:00Z", "internetMessageId": ""}
    graph.fail(
        f"{ANNA.id}/messages",
        times=1,
        status=200,
        body=page({"id": "odd", "receivedDateTime": received}, whole),
    )
    done = connected.run("extract", "office")
    assert done.exit_code == 0, done.stderr
    assert "1 item with an unreadable date, or one outside 1990 to 2100; not counted" in done.stderr
    rows = connected.query(
        "select received_at is null, item_key is null, message_key is null, from_key is null"
        " from raw.office_messages where received_at is null or from_key is null order by all"
    )
    # Neither has a sender; none is a row of nothing but nulls, and the one without an id has a key of its own.
    assert rows == [(False, False, False, True), (True, False, False, True)]


# --- 39: time zones, on our side and in the data


def test_fault_39_the_machines_time_zone_lands_the_same_rows(
    connected: Workspace, graph: Handle, tmp_path: Path
) -> None:
    landed = []
    for zone in ZONES:
        elsewhere = Workspace(tmp_path / zone.replace("/", "-"))
        elsewhere.connect_to(graph)
        elsewhere.environment |= {"TZ": zone, "ENGAGEMENT_HASH_KEY": "a hash key for every zone of this test"}
        process = elsewhere.start("extract", "office")
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        landed.append(elsewhere.office_rows())
    assert landed[0]["office_messages"] and landed[0]["office_meetings"]
    assert landed[0] == landed[1] == landed[2]


# --- the rest through a whole refresh


def mail_at_the_edges_of_days() -> Iterator[Message]:
    """From Fabrikam: half an hour before midnight UTC is a day later in Berlin, two hours before it only in summer."""
    for seed, at in (
        ("year", datetime(2025, 12, 31, 23, 30, tzinfo=UTC)),
        ("summer time begins", datetime(2026, 3, 28, 23, 30, tzinfo=UTC)),
        ("winter evening", datetime(2026, 2, 28, 22, 30, tzinfo=UTC)),
        ("summer evening", datetime(2026, 5, 31, 22, 30, tzinfo=UTC)),
        ("after the last day", datetime(2026, 6, 30, 22, 30, tzinfo=UTC)),
    ):
        yield message(FIRST, seed, at, from_address="max@fabrikam.example")


EDGES = [("2026-01-01", 1), ("2026-02-01", 1), ("2026-03-01", 1), ("2026-06-01", 1)]


def mail_of_odd_addresses() -> Iterator[tuple[str | None, Message]]:
    """With the account that it is of; None where it is nobody's."""
    at = NOW - timedelta(days=10)
    for account, address in (
        ("A1", "KIM@CONTOSO.EXAMPLE"),
        ("A1", "kim+newsletter@contoso.example"),
        ("A1", " kim@contoso.example. "),
        ("A3", f"hans@{IDN}"),
        ("A3", f"grete@{IDN_ASCII.upper()}"),
        ("A3", f"heidi@{IDN}."),
        ("A4", f"pat@{LATIN}"),
        ("A5", f"pat@{CYRILLIC}"),
        (None, "/O=EXCHANGELABS/OU=EXCHANGE ADMINISTRATIVE GROUP/CN=RECIPIENTS/CN=KIM"),
    ):
        yield account, message(FIRST, f"odd {address}", at, from_address=address)
    # Ours by an alias, to a contact.
    yield (
        "A1",
        message(
            SECOND,
            "alias",
            at,
            from_address=f"P1.ALIAS@{OURS}",
            to=("kim@contoso.example",),
            folder="sentitems",
        ),
    )


def series() -> Iterator[tuple[str, Event]]:
    """A series of four in every calendar, by its owner: the second was declined by one, the third was moved by two
    hours, the fourth is cancelled, which only the organiser's own copy says.
    """
    began = NOW.replace(hour=9, minute=0, second=0) - timedelta(days=28)
    uid = exchange_ical_uid("weekly", began)
    attendees = (
        *(Attendee(one.mail, response="accepted") for one in PEOPLE),
        Attendee("kim@contoso.example", response="accepted"),
    )
    for owner in PEOPLE:
        for week in range(4):
            start = began + timedelta(days=7 * week, hours=2 if week == 2 else 0)
            declines = week == 1 and owner is SECOND
            yield (
                owner.id,
                replace(
                    meeting(owner, f"weekly {week}", start),
                    ical_uid=uid,
                    type="exception" if week == 2 else "occurrence",
                    organizer=FIRST.mail,
                    is_organizer=owner is FIRST,
                    own_response="organizer" if owner is FIRST else "declined" if declines else "accepted",
                    attendees=attendees,
                    is_cancelled=week == 3 and owner is FIRST,
                ),
            )
        yield owner.id, replace(meeting(owner, "master", began), ical_uid=uid, type="seriesMaster")
    # An all-day entry of two days floats: it is the 28th and 29th of March everywhere.
    yield (
        FIRST.id,
        replace(
            meeting(FIRST, "fair", datetime(2026, 3, 28, tzinfo=UTC), is_all_day=True),
            end_at=datetime(2026, 3, 30, tzinfo=UTC),
            attendees=(
                Attendee(FIRST.mail, response="organizer"),
                Attendee("max@fabrikam.example", response="accepted"),
            ),
        ),
    )


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    tenant = Tenant(now=NOW, people=list(PEOPLE))
    tenant.messages = {one.id: [] for one in PEOPLE}
    tenant.events = {one.id: [] for one in PEOPLE}
    tenant.messages[FIRST.id] += mail_at_the_edges_of_days()
    for _, mail in mail_of_odd_addresses():
        tenant.messages[SECOND.id if mail.folder == "sentitems" else FIRST.id].append(mail)
    for owner_id, event in series():
        tenant.events[owner_id].append(event)
    with running(tenant) as handle:
        yield handle


def refreshed(service: Handle, root: Path, zone: str) -> Workspace:
    """A whole run on a machine of this time zone."""
    workspace = Workspace(root)
    workspace.connect_to(service)
    workspace.environment["TZ"] = zone
    write_csv(workspace.root / "accounts.csv", COMPANIES)
    workspace.configure(
        lambda raw: raw["reporting"].update(time_zone=REPORTING_ZONE),
        addresses=[one.mail for one in PEOPLE],
        domain_matching=True,
    )
    process = workspace.start("run")
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return workspace


@pytest.fixture(scope="module")
def in_india(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return refreshed(service, tmp_path_factory.mktemp("india"), "Asia/Kolkata")


def published(workspace: Workspace, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.long
def test_fault_39_days_are_those_of_the_reporting_time_zone(in_india: Workspace) -> None:
    months = published(
        in_india,
        "select cast(aggregation_starts_on as varchar), emails_from_account_count from marts.account_engagement"
        " where account_id = 'A2' and aggregation_level = 'month' and emails_from_account_count > 0 order by all",
    )
    assert months == EDGES
    assert published(in_india, "select as_of_date from marts.publication") == [
        (datetime(2026, 6, 30).date(),)
    ]
    weeks = published(
        in_india,
        "select cast(aggregation_starts_on as varchar), meetings_count from marts.account_engagement"
        " where account_id = 'A2' and aggregation_level = 'week' and meetings_count > 0",
    )
    assert weeks == [("2026-03-23", 1)], "an all-day entry is never shifted"


@pytest.mark.long
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles"])
def test_fault_39_the_machines_time_zone_publishes_the_same_numbers(
    zone: str, in_india: Workspace, service: Handle, tmp_path: Path
) -> None:
    elsewhere = refreshed(service, tmp_path / "elsewhere", zone)
    tables = [
        name
        for (name,) in published(
            in_india, "select table_name from duckdb_tables() where schema_name = 'marts'"
        )
    ]
    # What names the run, or tells when it was.
    clocks = {"publication", "run_history", "run_steps", "audit_events", "enrichments", "leadspace_runs"}
    compared = sorted(set(tables) - clocks)
    assert len(compared) > 20
    for table in compared:
        rows = [published(one, f"select * from marts.{table} order by all") for one in (in_india, elsewhere)]
        assert rows[0] == rows[1], table


@pytest.mark.long
def test_fault_40_a_series_in_thirty_calendars_is_its_occurrences(in_india: Workspace) -> None:
    [row] = published(
        in_india,
        "select meetings_count, meetings_to_account_count, own_people_in_meetings_count,"
        " account_people_in_meetings_count from marts.account_engagement"
        " where account_id = 'A1' and aggregation_level = 'year'",
    )
    assert row == (3, 3, SERIES_MAILBOXES, 1)
    weeks = published(
        in_india,
        "select meetings_count, own_people_in_meetings_count from marts.account_engagement"
        " where account_id = 'A1' and aggregation_level = 'week' and meetings_count > 0 order by aggregation_starts_on",
    )
    # Who declined the second was not in it.
    assert weeks == [(1, SERIES_MAILBOXES), (1, SERIES_MAILBOXES - 1), (1, SERIES_MAILBOXES)]


@pytest.mark.long
def test_fault_41_every_spelling_of_an_address_is_of_its_account_and_no_other(in_india: Workspace) -> None:
    found = published(
        in_india,
        "select account_id, emails_from_account_count, emails_to_account_count from marts.account_engagement"
        " where aggregation_level = 'year' and account_id != 'A2' order by all",
    )
    senders = [account for account, mail in mail_of_odd_addresses() if mail.folder != "sentitems"]
    expected = [
        (account, senders.count(account), 1 if account == "A1" else 0) for account in ("A1", "A3", "A4", "A5")
    ]
    assert found == expected
    assert published(
        in_india,
        "select bucket, items_count from marts.office_coverage where kind = 'message' and bucket like 'sender_%'",
    ) == [("sender_unresolved", senders.count(None))]
