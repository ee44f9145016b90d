"""Odd mail and calendar entries through the whole refresh: each is accepted or counted in a bucket, none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from conftest import NOW, OURS, Workspace, meeting, message, person
from emulators.graph import Handle, running
from emulators.tenant import Attendee, Event, Message, Tenant
from engagement.office.graph import MESSAGE_REQUIRED

ANNA, BEN = person("anna"), person("ben")
AT = NOW - timedelta(days=5)
TEN = AT.replace(hour=10, minute=0)
YEAR_BEGINS = datetime(2025, 7, 1, tzinfo=UTC)
KIM = (Attendee(ANNA.mail, response="organizer"), Attendee("kim@contoso.example", response="accepted"))


def odd_messages() -> list[tuple[str, Message]]:
    """Messages of anna's mailbox, each with the bucket that it belongs to."""
    crowd = tuple(f"guest{number}@guests.example" for number in range(4_999))
    from_ours = {"from_address": ANNA.mail, "folder": "sentitems"}
    return [
        ("counted_from_account", message(ANNA, "plain", AT)),
        # without an id of its own each copy is a message
        ("counted_from_account", message(ANNA, "id none", AT, internet_message_id=None)),
        ("counted_from_account", message(ANNA, "id empty", AT, internet_message_id="")),
        ("counted_from_account", message(ANNA, "id blank", AT, internet_message_id="  ")),
        ("counted_to_account", message(ANNA, "crowd", AT, to=(*crowd, "kim@contoso.example"), **from_ours)),
        ("own_to_unknown", message(ANNA, "crowd only", AT, to=crowd, **from_ours)),
        ("without_recipients", message(ANNA, "to none", AT, to=(None,), **from_ours)),
        ("without_recipients", message(ANNA, "to texts", AT, to=("", "Kim", "@", "kim@"), **from_ours)),
        ("internal", message(ANNA, "to one usable", AT, to=(None, "", BEN.mail), **from_ours)),
        ("sender_missing", message(ANNA, "from none", AT, from_address=None)),
        ("sender_missing", message(ANNA, "from text", AT, from_address="Kim Smith")),
        ("sender_unresolved", message(ANNA, "from x500", AT, from_address="/O=EXCHANGELABS/OU=X/CN=Y")),
        ("from_unknown", message(ANNA, "from odd domain", AT, from_address="kim@x/o=y/cn=z")),
        ("automated_sender", message(ANNA, "from machine", AT, from_address="noreply@contoso.example")),
        ("draft", message(ANNA, "draft", AT, is_draft=True, folder="drafts")),
        ("meeting_mail", message(ANNA, "invitation", AT, odata_type="#microsoft.graph.eventMessageRequest")),
        ("search_folder_copy", message(ANNA, "found", AT, folder="search")),
    ]


def odd_events() -> list[tuple[str, Event]]:
    """Entries of anna's calendar, each with the bucket that it belongs to."""
    return [
        ("unreadable_date", meeting(ANNA, "year 1601", datetime(1601, 2, 1, tzinfo=UTC), end_at=TEN)),
        ("unreadable_date", meeting(ANNA, "year 9999", TEN, end_at=datetime(9999, 12, 31, tzinfo=UTC))),
        ("counted", meeting(ANNA, "backwards", TEN, end_at=TEN - timedelta(hours=1))),
        ("counted", meeting(ANNA, "a year long", YEAR_BEGINS, end_at=YEAR_BEGINS + timedelta(days=365))),
        ("not_ended_yet", meeting(ANNA, "longer", YEAR_BEGINS, end_at=YEAR_BEGINS + timedelta(days=366))),
        ("counted", meeting(ANNA, "uid none", TEN, ical_uid=None)),
        ("counted", meeting(ANNA, "uid blank", TEN, ical_uid=" ")),
        ("counted", meeting(ANNA, "attendee none", TEN, attendees=(Attendee(None), *KIM))),
        ("appointment", meeting(ANNA, "nobody", TEN, attendees=(Attendee(None),), organizer=None)),
    ]


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    tenant = Tenant(now=NOW, people=[ANNA, BEN])
    tenant.messages[ANNA.id] = [item for _, item in odd_messages()]
    tenant.events[ANNA.id] = [item for _, item in odd_events()]
    with running(tenant) as handle:
        undated = [
            {"id": "1601", "receivedDateTime": "1601-01-01T00:00:00Z"},
            {"id": "9999", "receivedDateTime": "9999-12-31T23:59:59Z"},
        ]
        # Everything that is asked for comes, if only as a null.
        undated = [dict.fromkeys(MESSAGE_REQUIRED.split(",")) | item for item in undated]
        handle.fail(f"{BEN.id}/messages", status=200, body={"value": undated})
        yield handle


@pytest.fixture(scope="module")
def refreshed(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    workspace = Workspace(tmp_path_factory.mktemp("odd"))
    workspace.connect_to(service)
    workspace.configure(addresses=[ANNA.mail, BEN.mail])
    process = workspace.start("run")
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == 0, stderr
    return workspace, stderr


def published(refreshed: tuple[Workspace, str], sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(refreshed[0].published_file), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_every_odd_item_is_in_its_bucket(refreshed: tuple[Workspace, str]) -> None:
    expected: dict[tuple[object, ...], int] = {("message", "unreadable_date"): 2}
    for kind, items in (("message", odd_messages()), ("meeting", odd_events())):
        for bucket, _ in items:
            expected[kind, bucket] = expected.get((kind, bucket), 0) + 1
    found = published(refreshed, "select kind, bucket, items_count from marts.office_coverage")
    assert {(kind, bucket): count for kind, bucket, count in found} == expected
    assert "4 items with an unreadable date" in refreshed[1]


def test_odd_items_count_with_what_is_known_of_them(refreshed: tuple[Workspace, str]) -> None:
    """The meeting that ends before it starts has no duration, the year-long one has its own."""
    minutes = (365 * 24 * 60 + 3 * 60) / 4
    assert published(
        refreshed,
        "select emails_to_account_count, emails_from_account_count, meetings_count, meeting_duration_mean_minutes"
        " from marts.account_engagement where aggregation_level = 'year'",
    ) == [(1, 4, 5, minutes)]


def test_every_recipient_of_a_crowd_is_kept(refreshed: tuple[Workspace, str]) -> None:
    assert refreshed[0].query(
        "select max(len(recipient_keys)), count(*) from raw.office_messages where len(recipient_keys) > 100"
    ) == [(5_000, 2)]


def test_what_cannot_be_a_domain_is_counted_without_being_shown(refreshed: tuple[Workspace, str]) -> None:
    assert published(
        refreshed,
        "select mail_domain, reason, messages_from_count, messages_to_count, addresses_count"
        " from marts.unmatched_domains order by all",
    ) == [
        ("(no name of a domain)", "no_name_of_a_domain", 1, 0, 1),
        ("contoso.example", "automated_senders_only", 1, 0, 1),
        ("guests.example", "no_contact_has_it", 0, 2, 4_999),
    ]
    assert f"@{OURS}" not in refreshed[1]
