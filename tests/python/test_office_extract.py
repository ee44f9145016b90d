"""The office extraction over the emulator: who is chosen, what is landed, what a second run reads, kills."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from conftest import (
    NOW,
    OURS,
    Workspace,
    declined_day,
    emulated,
    meeting,
    message,
    person,
    small_tenant,
    write_csv,
)
from emulators.graph import Handle
from emulators.graph import calendars as emulated_calendars
from emulators.identifiers import exchange_base64, seeded_guid, thread_guid, topic_thread
from emulators.tenant import Group, Tenant
from engagement import run_state, warehouse
from engagement.addresses import Hasher, load_hash_key
from engagement.configuration.enrichments import OfficeEnrichment
from engagement.errors import ConfigurationError, EngagementError
from engagement.office import extract, landing, mailboxes, messages
from engagement.office import graph as office_graph
from engagement.office.graph import Service, instant
from engagement.office.landing import land
from engagement.office.rows import Landing, Read
from engagement.office.slices import MEETINGS, MESSAGES, Slice

ANNA, BEN = person("anna"), person("ben")


def extract_office(workspace: Workspace, *options: str, code: int = 0) -> str:
    done = workspace.run("extract", "office", *options)
    assert done.exit_code == code, done.stderr
    return done.stderr


def hasher(workspace: Workspace) -> Hasher:
    return Hasher(load_hash_key(None, workspace.settings().hash_key_file))


def outlook_requests(graph: Handle) -> list[tuple[str, str]]:
    return [
        (request.path.rsplit("/", 1)[-1], request.path.split("/")[3])
        for request in graph.requests
        if request.path.endswith(("/messages", "/calendarView"))
    ]


# --- who


def test_people_of_groups_are_chosen_once(connected: Workspace) -> None:
    extract_office(connected)
    rows = connected.query(
        "select entra_id, via_group, state, len(address_keys), monitored_from, monitored_to from"
        " raw.office_mailboxes"
    )
    by_id = {row[0]: row[1:] for row in rows}
    assert set(by_id) == {person(name).id for name in ("anna", "ben", "carl", "dora")}
    assert by_id[ANNA.id] == (None, "readable", 2, NOW.replace(tzinfo=None), None)
    # carl is only in the group inside the group: the listed one is named
    assert by_id[person("carl").id][0] == seeded_guid("group:sales")


def test_listed_directly_beats_through_a_group(connected: Workspace) -> None:
    connected.configure(addresses=[f"sales@{OURS}", f"ben@{OURS}", f"dora.alias@{OURS}"])
    extract_office(connected)
    rows = connected.query("select entra_id from raw.office_mailboxes where via_group is null order by all")
    assert rows == sorted([(BEN.id,), (person("dora").id,)])


def resolved(workspace: Workspace, tenant: Tenant, addresses: list[str]) -> mailboxes.Selection:
    workspace.configure(addresses=addresses)
    with emulated(tenant, workspace):
        settings = workspace.settings()
        [(position, enrichment)] = settings.enrichments(OfficeEnrichment)
        with Service(settings).client() as client:
            selection = mailboxes.resolve(client, settings, position, enrichment)
        mailboxes.check_size(selection, position)
        return selection


def crowd(size: int) -> Tenant:
    people = [person(f"p{number}") for number in range(size)]
    inner = Group(
        seeded_guid("inner"), f"inner@{OURS}", "Inner", tuple(one.id for one in people[: size // 2])
    )
    outer = Group(
        seeded_guid("outer"), f"outer@{OURS}", "Outer", (inner.id, *(one.id for one in people[size // 3 :]))
    )
    return Tenant(now=NOW, people=people, groups=[outer, inner])


@pytest.mark.parametrize("size", [2, 2500])
def test_2_and_2500_people_are_accepted(workspace: Workspace, size: int) -> None:
    assert len(resolved(workspace, crowd(size), [f"outer@{OURS}", f"p0@{OURS}"]).people) == size


@pytest.mark.parametrize(("size", "said"), [(1, "list more people or groups"), (2501, "list fewer")])
def test_1_and_2501_people_are_refused(workspace: Workspace, size: int, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolved(workspace, crowd(size), [f"outer@{OURS}", f"p0@{OURS}"])
    assert f"resolve to {size:,} people; allowed: 2 to 2,500, {said}" in caught.value.message


def test_addresses_and_opt_outs_from_files(connected: Workspace) -> None:
    write_csv(
        connected.root / "list.csv",
        [{"name": "x", "email": f"anna@{OURS}"}, {"name": "y", "email": f"SALES@{OURS}"}],
    )
    (connected.root / "out.txt").write_text(f"carl.alias@{OURS}\n\n")
    connected.configure(addresses={"path": "list.csv"}, opt_out={"path": "out.txt"})
    extract_office(connected)
    assert person("carl").id not in [
        row[0] for row in connected.query("select entra_id from raw.office_mailboxes")
    ]
    keys = hasher(connected)
    assert (
        connected.query(f"from raw.office_messages where mailbox_id = {keys.mailbox(person('carl').id)}")
        == []
    )


def test_a_wrong_line_of_a_list_is_named(connected: Workspace) -> None:
    (connected.root / "list.txt").write_text(f"anna@{OURS}\nnonsense\n")
    connected.configure(addresses={"path": "list.txt"})
    assert "list.txt line 2: not an e-mail address (enrichments[0].addresses.path)" in extract_office(
        connected, code=2
    )


def test_guests_are_left_out_and_an_empty_group_is_said(workspace: Workspace) -> None:
    tenant = small_tenant()
    tenant.people.append(person("guest", user_type="Guest"))
    tenant.groups.append(Group(seeded_guid("g"), f"guests@{OURS}", "Guests", (person("guest").id,)))
    selection = resolved(workspace, tenant, [f"guests@{OURS}", f"anna@{OURS}", f"ben@{OURS}"])
    assert len(selection.people) == 2
    assert "the group has no people" in selection.warnings[0]


def test_an_address_of_two_people_counts_for_one(workspace: Workspace) -> None:
    tenant = Tenant(now=NOW, people=[person("anna"), person("ben", proxy_addresses=(f"smtp:anna@{OURS}",))])
    with emulated(tenant, workspace):
        workspace.configure(addresses=[f"anna@{OURS}", f"ben@{OURS}"])
        assert f"is also one of user {ANNA.id}" in extract_office(workspace)
    keys = workspace.query("select unnest(address_keys) from raw.office_mailboxes")
    assert len(keys) == len(set(keys))


def test_who_leaves_the_list_and_returns(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    connected.configure(addresses=[f"anna@{OURS}", f"ben@{OURS}"])
    graph.tenant.now = NOW + timedelta(days=1)
    extract_office(connected)
    left = connected.query(
        "select monitored_from, monitored_to from raw.office_mailboxes where monitored_to is not null"
    )
    assert left == [(NOW.replace(tzinfo=None), (NOW + timedelta(days=1)).replace(tzinfo=None))] * 2
    connected.configure()
    extract_office(connected)
    assert connected.query("select count(*) from raw.office_mailboxes where monitored_to is null") == [(4,)]
    assert connected.query("select distinct monitored_from from raw.office_mailboxes") == [
        (NOW.replace(tzinfo=None),)
    ]


def test_the_forbidden_mailbox_must_be_refused(workspace: Workspace, tenant: Tenant) -> None:
    workspace.configure(probe_forbidden=f"eve@{OURS}")
    with emulated(tenant, workspace):
        assert "enrichments[0].probe_forbidden: the app can read this mailbox" in extract_office(
            workspace, code=2
        )
    assert workspace.query("from raw.office_mailboxes") == []
    tenant.people = [
        replace(one, mailbox_state="denied") if one.mail.startswith("eve") else one for one in tenant.people
    ]
    with emulated(tenant, workspace):
        extract_office(workspace)


@pytest.mark.parametrize(
    ("not_denied", "named"), [({"calendar"}, "(calendar)"), ({"mail"}, "(mail)"), (set(), "")]
)
def test_the_forbidden_mailbox_must_be_refused_for_mail_and_for_calendar(
    workspace: Workspace, tenant: Tenant, not_denied: set[str], named: str
) -> None:
    """Access policies limit mail without limiting Calendars.ReadBasic.All."""
    eve = replace(person("eve"), mailbox_state="denied")
    tenant.people = [eve if one.id == eve.id else one for one in tenant.people]
    workspace.configure(probe_forbidden=eve.mail)
    with emulated(tenant, workspace, not_denied=not_denied) as handle:
        said = extract_office(workspace, code=2 if not_denied else 0)
        probed = {request.path for request in handle.requests if eve.id in request.path}
    assert f"though it must not {named}" in said if not_denied else "probe_forbidden" not in said
    assert probed == {f"/v1.0/users/{eve.id}/messages", f"/v1.0/users/{eve.id}/calendarView"}


def test_a_tagged_address_is_not_the_one_without_its_tag(workspace: Workspace, tenant: Tenant) -> None:
    tagged = person("zoe", mail=f"news+zoe@{OURS}", user_principal_name=f"zoe@{OURS}", proxy_addresses=())
    tenant.people.append(tagged)
    chosen = [f"anna+jobs@{OURS}", f"ben@{OURS}", f"carl@{OURS}", f" News+Zoe@{OURS} "]
    selection = resolved(workspace, tenant, chosen)
    assert set(selection.people) == {BEN.id, person("carl").id, tagged.id}
    assert [listed.where for listed in selection.unknown] == ["enrichments[0].addresses[0]"]


def test_unknown_tagged_addresses_are_one_row_without_a_persons_key(connected: Workspace) -> None:
    (connected.root / "list.txt").write_text(f"anna@{OURS}\nben@{OURS}\nanna+a@{OURS}\nanna+b@{OURS}\n")
    connected.configure(addresses={"path": "list.txt"})
    extract_office(connected, code=9)
    assert connected.query("select state, address_keys from raw.office_mailboxes where entra_id is null") == [
        ("not_found", [])
    ]


def test_a_group_that_is_gone_when_its_members_are_asked_for_is_unknown(
    connected: Workspace, graph: Handle
) -> None:
    connected.configure(addresses=[f"anna@{OURS}", f"ben@{OURS}", f"sales@{OURS}"])
    graph.fail("transitiveMembers", status=404)
    said = extract_office(connected, code=9)
    assert "enrichments[0].addresses[2]: the directory knows neither a person nor a group" in said


def test_two_enrichments_read_a_mailbox_once(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    once = sorted(outlook_requests(graph))
    graph.requests.clear()
    connected.configure(
        lambda raw: raw["enrichments"].append(
            {**raw["enrichments"][0], "name": "Other", "output_table": "Other", "addresses": [f"emea@{OURS}"]}
        )
    )
    extract_office(connected, "--anew")
    assert sorted(outlook_requests(graph)) == once
    assert connected.query(
        "select enrichment_id, count(*) from raw.office_mailboxes group by 1 order by 1"
    ) == [
        ("account-engagement", 4),
        ("other", 2),
    ]


# --- what


def test_a_message_becomes_keys_and_flags(workspace: Workspace, tenant: Tenant) -> None:
    at = NOW - timedelta(days=5)
    copy = message(
        ANNA,
        "one",
        at,
        to=(ANNA.mail, "LEE@contoso.example", None),
        cc=("lee+x@contoso.example",),
        bcc=("max@fabrikam.example",),
        sender_address=f"ben@{OURS}",
        folder="sentitems",
        sent_at=None,
    )
    tenant.messages = {
        ANNA.id: [
            copy,
            message(ANNA, "draft", at, is_draft=True, folder="drafts", internet_message_id=None),
            message(ANNA, "meeting", at, odata_type="#microsoft.graph.eventMessageRequest"),
            message(ANNA, "searched", at, folder="search"),
            message(ANNA, "legacy", at, from_address="/O=EXCHANGELABS/OU=X/CN=Y"),
        ]
    }
    with emulated(tenant, workspace):
        extract_office(workspace)
    keys = hasher(workspace)
    rows = workspace.query(
        "select item_key, message_key, thread_key, received_at, sent_at, from_key, sender_key,"
        " recipient_keys,"
        " is_draft, is_meeting_mail, is_search_folder_copy, read_at, gone_at from raw.office_messages"
    )
    by_item = {row[0]: row[1:] for row in rows}
    assert copy.internet_message_id is not None
    naive = NOW.replace(tzinfo=None)
    assert by_item[keys.item(copy.id)] == (
        keys.message(copy.internet_message_id),
        keys.thread(thread_guid("one")),
        at.replace(tzinfo=None),
        None,
        keys.address("kim@contoso.example"),
        keys.address(f"ben@{OURS}"),
        [keys.address(ANNA.mail), keys.address("lee@contoso.example"), keys.address("max@fabrikam.example")],
        False,
        False,
        False,
        naive,
        None,
    )
    flags = {
        seed: by_item[keys.item(message(ANNA, seed, at).id)][7:10]
        for seed in ("draft", "meeting", "searched")
    }
    assert flags == {
        "draft": (True, False, False),
        "meeting": (False, True, False),
        "searched": (False, False, True),
    }
    draft = message(ANNA, "draft", at)
    assert by_item[keys.item(draft.id)][0] == keys.message(draft.id)
    legacy = keys.address("/o=exchangelabs/ou=x/cn=y")
    assert workspace.query(
        f"select domain, local_part_class from raw.office_addresses where address_key = {legacy}"
    ) == [(None, "x500")]


def test_a_meeting_becomes_keys_and_answers(workspace: Workspace, tenant: Tenant) -> None:
    at = NOW.replace(hour=0, minute=0) - timedelta(days=5)
    kept = declined_day(ANNA, "kept", at)
    tenant.events = {
        ANNA.id: [
            kept,
            meeting(ANNA, "private", at, sensitivity="private"),
            meeting(ANNA, "confidential", at, sensitivity="confidential"),
            meeting(ANNA, "draft", at, is_draft=True),
        ]
    }
    with emulated(tenant, workspace):
        extract_office(workspace)
    keys = hasher(workspace)
    assert workspace.query(
        "select * exclude (mailbox_id, read_at, gone_at, landing_id) from raw.office_meetings"
    ) == [
        (
            keys.item(kept.id),
            keys.ical(kept.id),
            at.replace(tzinfo=None),
            (at + timedelta(days=1)).replace(tzinfo=None),
            True,
            True,
            False,
            "declined",
            None,
            [keys.address("kim@contoso.example"), keys.address(f"room@{OURS}")],
            ["optional", "resource"],
            ["tentativelyAccepted", "none"],
        )
    ]


def test_a_meeting_made_private_is_removed(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    before = connected.query("select count(*) from raw.office_meetings")
    events = graph.tenant.events[ANNA.id]
    graph.tenant.events[ANNA.id] = [
        replace(event, sensitivity="private") if event.start_at > NOW - timedelta(days=10) else event
        for event in events
    ]
    extract_office(connected)
    assert connected.query("select count(*) from raw.office_meetings") == [(before[0][0] - 2,)]


def test_what_is_not_kept_is_never_asked_for(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    listed = [request for request in graph.requests if request.path.endswith(("/messages", "/calendarView"))]
    assert listed
    for request in listed:
        names = set(request.query["$select"].split(","))
        assert not names & {
            "subject",
            "body",
            "bodyPreview",
            "uniqueBody",
            "location",
            "locations",
            "webLink",
            "hasAttachments",
        }
    assert seeded_guid("person:eve") not in "".join(request.path for request in graph.requests)


def test_threads() -> None:
    thread = thread_guid("t")
    index = "AQ" + "A" * 38 + "="
    full = exchange_base64(b"\x00\x04\x24\x00" + b"m" * 36 + b"\x00\x10\x00" + thread)
    assert messages.thread_of(full, None, 1, "item") == thread
    assert messages.thread_of(full, "AAAA", 2, "item") == thread
    assert (
        messages.thread_of("short", index, 1, "item") == messages.thread_of(None, index, 2, "item") != thread
    )
    assert (
        messages.thread_of("short", "AAAA", 1, "item")
        == b"1/short"
        != messages.thread_of("short", None, 2, "item")
    )
    assert (
        messages.thread_of(None, None, 1, "item") == b"1//item" != messages.thread_of(None, None, 1, "other")
    )
    # a tail with the letters that differ between the alphabets
    tricky = b"\0\0" + b"\xfb\xef\xbe" * 2 + b"\xff\xff\xff" * 2 + b"\0\0"
    coded = exchange_base64(b"\x00\x04\x24\x00" + b"m" * 36 + b"\x00\x10\x00" + tricky)
    assert "-" in coded and "_" in coded
    assert messages.thread_of(coded, None, 1, "item") == tricky
    assert len(topic_thread("Hello")) == 16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-07-01T05:30:00Z", datetime(2026, 7, 1, 5, 30)),
        ("2017-08-29T04:00:00.0000000", datetime(2017, 8, 29, 4)),
        ("2026-07-01T05:30:00+02:00", datetime(2026, 7, 1, 3, 30)),
        ("0001-01-01T00:00:00Z", None),
        ("1601-01-01T00:00:00Z", None),
        ("9999-12-31T23:59:59-01:00", None),
        ("2026-13-01T00:00:00Z", None),
        ("yesterday", None),
        ("", None),
        (None, None),
    ],
)
def test_instants(text: str | None, expected: datetime | None) -> None:
    assert instant(text) == expected


def test_an_unreadable_date_is_kept_as_none_until_it_can_be_read(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    ledger = connected.query("select kind, sum(row_count) from raw.office_units group by all order by all")
    moment = {"dateTime": "2026-06-20T10:00:00", "timeZone": "UTC"}
    events: list[dict[str, Any]] = [
        {"id": "start", "start": {"dateTime": "2026-99-01T00:00:00", "timeZone": "UTC"}, "end": moment},
        {"id": "end", "start": moment, "end": {"dateTime": "9999-12-31T00:00:00", "timeZone": "UTC"}},
        {"id": "neither"},
        {"id": "private", "sensitivity": "private"},
    ]
    mails: list[dict[str, Any]] = [
        {"id": "year 1601", "receivedDateTime": "1601-01-01T00:00:00Z"},
        {"id": "year 9999", "receivedDateTime": "9999-12-31T23:59:59Z"},
        {"id": "no date", "isDraft": True},
    ]
    # The emulator's own items have every property; so have these.
    events = [dict.fromkeys(office_graph.MEETING_REQUIRED.split(",")) | event for event in events]
    mails = [dict.fromkeys(office_graph.MESSAGE_REQUIRED.split(",")) | mail for mail in mails]
    # one series of mail is read again, two of the calendar: the second time the entries come again
    for _ in range(2):
        graph.fail(f"{ANNA.id}/calendarView", status=200, body={"value": events})
    graph.fail(f"{ANNA.id}/messages", status=200, body={"value": mails})
    assert "6 items with an unreadable date" in extract_office(connected)
    assert connected.query(
        "select start_at is null, end_at is null, count(*), count(gone_at) from raw.office_meetings"
        " where start_at is null or end_at is null group by all order by all"
    ) == [(False, True, 1, 0), (True, False, 1, 0), (True, True, 1, 0)]
    assert connected.query(
        "select is_draft, count(*), count(gone_at) from raw.office_messages where received_at is null"
        " group by all order by all"
    ) == [(False, 2, 0), (True, 1, 0)]
    # the next run reads what the service then says of them
    for kept in mails:
        kept["receivedDateTime"] = "2026-06-30T10:00:00Z"
    graph.fail(f"{ANNA.id}/messages", status=200, body={"value": mails})
    assert "unreadable" not in extract_office(connected)
    assert connected.query("select * from raw.office_messages where received_at is null") == []
    assert connected.query(
        "select count(*) from raw.office_messages where received_at = '2026-06-30 10:00:00'"
    ) == [(3,)]
    extract_office(connected)
    assert (
        connected.query("select kind, sum(row_count) from raw.office_units group by all order by all")
        == ledger
    )


# --- again


def test_a_second_run_reads_only_what_is_new(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    first = connected.office_rows()
    graph.requests.clear()
    extract_office(connected)
    # per mailbox one series for three days of mail, two for 50 days of calendar
    assert sorted(kind for kind, _ in outlook_requests(graph)) == ["calendarView"] * 8 + ["messages"] * 4
    assert connected.office_rows() == first
    graph.requests.clear()
    graph.tenant.now = NOW + timedelta(days=2)
    late = message(ANNA, "late", NOW - timedelta(days=20))
    graph.tenant.messages[ANNA.id] += [message(ANNA, "new", NOW + timedelta(days=1)), late]
    extract_office(connected)
    keys = hasher(connected)
    landed = {row[0] for row in connected.query("select item_key from raw.office_messages")}
    assert keys.item(message(ANNA, "new", NOW).id) in landed
    # older than the overlap: it waits for a re-read
    assert keys.item(late.id) not in landed
    extract_office(connected, "--anew")
    assert (keys.item(late.id),) in connected.query("select item_key from raw.office_messages")


def test_what_is_gone_is_marked_and_kept_and_comes_back(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    count = connected.query("select count(*) from raw.office_messages")
    kept = graph.tenant.messages[ANNA.id]
    gone = next(item for item in kept if item.received_at > NOW - timedelta(hours=8))
    graph.tenant.messages[ANNA.id] = [item for item in kept if item is not gone]
    graph.tenant.now = NOW + timedelta(hours=1)
    extract_office(connected)
    marked = connected.query("select item_key, gone_at from raw.office_messages where gone_at is not null")
    at = (NOW + timedelta(hours=1)).replace(tzinfo=None)
    assert marked == [(hasher(connected).item(gone.id), at)]
    graph.tenant.now = NOW + timedelta(hours=2)
    extract_office(connected)
    assert connected.query("select distinct gone_at from raw.office_messages where gone_at is not null") == [
        (at,)
    ]
    graph.tenant.messages[ANNA.id] = kept
    extract_office(connected)
    assert connected.query("select * from raw.office_messages where gone_at is not null") == []
    assert connected.query("select count(*) from raw.office_messages") == count


def test_a_moved_meeting_is_one_row(connected: Workspace, graph: Handle) -> None:
    extract_office(connected)
    count = connected.query("select count(*) from raw.office_meetings")
    moved = graph.tenant.events[ANNA.id][3]
    later = moved.start_at + timedelta(days=2)
    graph.tenant.events[ANNA.id][3] = replace(moved, start_at=later, end_at=later + timedelta(hours=1))
    extract_office(connected)
    assert connected.query("select count(*) from raw.office_meetings") == count
    key = hasher(connected).item(moved.id)
    assert connected.query(f"select start_at, gone_at from raw.office_meetings where item_key = {key}") == [
        (later.replace(tzinfo=None), None)
    ]


def test_days_become_a_month_without_being_read_again(connected: Workspace, graph: Handle) -> None:
    """Runs every three weeks for half a year: nothing is read twice but the overlap, nothing is left out."""
    for week in range(0, 27, 3):
        graph.tenant.now = NOW + timedelta(weeks=week)
        graph.requests.clear()
        extract_office(connected)
    reads = [request for request in graph.requests if request.path == f"/v1.0/users/{ANNA.id}/messages"]
    # three weeks and the overlap, and the month whose turn it is
    assert len(reads) == 2
    gaps = connected.query(
        """
        with ordered as (
            select mailbox_id, kind, slice_start, lag(max(slice_end)) over (
                partition by mailbox_id, kind order by slice_start) as before
            from raw.office_units group by mailbox_id, kind, slice_start
        )
        select * from ordered where before < slice_start
        """
    )
    assert gaps == []


# --- failures


def test_a_refused_mailbox_is_reported_and_the_others_are_read(connected: Workspace, graph: Handle) -> None:
    graph.tenant.people[:] = [
        replace(
            one,
            mailbox_state={"ben": "denied", "carl": "on_premises"}.get(one.mail.split("@")[0], "readable"),
        )
        for one in graph.tenant.people
    ]
    said = extract_office(connected, code=9)
    assert "1 mailbox refused to the app" in said and "1 mailbox inactive or on premises" in said
    states = dict(connected.query("select entra_id, state from raw.office_mailboxes"))
    assert (states[BEN.id], states[person("carl").id], states[ANNA.id]) == (
        "denied",
        "on_premises",
        "readable",
    )
    assert connected.query("select state, selected, processed, detail from raw.enrichment_runs") == [
        ("completed_with_warnings", 4, 2, "2 of 4 mailboxes not read")
    ]


def test_an_address_that_exists_nowhere_is_reported(connected: Workspace) -> None:
    connected.configure(addresses=[f"anna@{OURS}", f"nobody@{OURS}", f"sales@{OURS}"])
    said = extract_office(connected, code=9)
    assert "enrichments[0].addresses[1]: the directory knows neither a person nor a group" in said
    assert "nobody" not in said
    assert connected.query("select state, entra_id from raw.office_mailboxes where entra_id is null") == [
        ("not_found", None)
    ]


def test_unread_mailboxes_beyond_tolerance(connected: Workspace, graph: Handle) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    graph.fail(f"{BEN.id}/messages", times=10**6, status=503)
    said = extract_office(connected, code=5)
    assert "1 of 4 mailboxes not read whole, tolerated 2%" in said
    assert f"user {BEN.id}: Microsoft Graph: GET /users/{{id}}/messages failed (status 503)" in said
    states = dict(connected.query("select entra_id, state from raw.office_mailboxes"))
    assert (states[BEN.id], states[ANNA.id]) == ("incomplete", "readable")
    assert connected.query("select state from raw.runs") == [("failed",)]
    assert connected.query("select state, selected, processed from raw.enrichment_runs") == [("failed", 4, 3)]
    graph.emulator.faults.clear()
    extract_office(connected)
    assert connected.query("select distinct state from raw.office_mailboxes") == [("readable",)]


def test_unread_mailboxes_within_tolerance(connected: Workspace, graph: Handle) -> None:
    connected.configure(tolerated_failures=0.25)
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    graph.fail(f"{BEN.id}/messages", times=10**6, status=503)
    extract_office(connected, code=9)
    assert connected.query("select state from raw.runs") == [("done",)]
    assert connected.query("select state from raw.enrichment_runs") == [("completed_with_warnings",)]


def test_a_service_that_goes_down_is_not_asked_mailbox_by_mailbox(workspace: Workspace) -> None:
    workspace.environment |= {"ENGAGEMENT_RETRY_SECONDS": "0", "ENGAGEMENT_WORKERS": "1"}
    workspace.configure(addresses=[f"outer@{OURS}"])
    with emulated(crowd(30), workspace) as handle:
        handle.fail("/mailFolders", times=10**6, status=503)
        assert "failed (status 503)" in extract_office(workspace, code=4)
        # three in a row, and what the reader did until it was stopped
        assert len([request for request in handle.requests if "/mailFolders" in request.path]) < 15


@pytest.mark.parametrize(("tolerated", "code"), [(0.2, 9), (0.1, 4)])
def test_failures_in_a_row_end_the_run_only_beyond_what_is_tolerated(
    workspace: Workspace, tolerated: float, code: int
) -> None:
    tenant = crowd(20)
    workspace.environment |= {"ENGAGEMENT_RETRY_SECONDS": "0", "ENGAGEMENT_WORKERS": "1"}
    workspace.configure(addresses=[one.mail for one in tenant.people], tolerated_failures=tolerated)
    with emulated(tenant, workspace) as handle:
        for one in tenant.people[10:13]:
            handle.fail(f"{one.id}/messages", times=10**6, status=503)
        extract_office(workspace, code=code)
    states = dict(workspace.query("select state, count(*) from raw.office_mailboxes group by state"))
    if code == 9:
        assert states == {"readable": 17, "incomplete": 3}
    else:
        # What came before the third failure is kept.
        assert workspace.query("select count(distinct mailbox_id) >= 10 from raw.office_units") == [(True,)]


@pytest.mark.parametrize(
    ("count", "share", "expected"),
    [(100, 0.29, 29), (100, 0.28, 28), (20, 0.2, 4), (4, 0.2, 0), (49, 0.02, 0)],
)
def test_the_tolerated_share_is_not_lost_to_rounding(count: int, share: float, expected: int) -> None:
    assert extract.tolerated_of(count, share) == expected


def test_incomplete_mailboxes_are_counted() -> None:
    result = extract.OfficeResult(states={"readable": 5, "incomplete": 2, "denied": 1})
    assert (result.incomplete, result.unreadable) == (2, 1)


@pytest.mark.parametrize("failing", ["messages?$filter=receivedDateTime ge 2026-06", "mailFolders?"])
def test_what_fails_does_not_keep_the_rest_of_a_mailbox_from_being_read(
    connected: Workspace, graph: Handle, failing: str
) -> None:
    connected.configure(tolerated_failures=0.25)
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "0"
    graph.fail(f"{BEN.id}/{failing}", times=10**6, status=503)
    extract_office(connected, code=9)
    mailbox = hasher(connected).mailbox(BEN.id)
    months = connected.query(
        f"select distinct strftime(slice_start, '%Y-%m') from raw.office_units where mailbox_id = {mailbox}"
        " and kind = 'messages'"
    )
    assert connected.query(f"select count(*) from raw.office_meetings where mailbox_id = {mailbox}") == [(4,)]
    if failing.startswith("messages"):
        assert len(months) >= 12 and ("2026-06",) not in months
    else:
        assert months == []
    states = dict(connected.query("select entra_id, state from raw.office_mailboxes"))
    assert (states[BEN.id], states[ANNA.id]) == ("incomplete", "readable")


@pytest.mark.parametrize("counted", [True, False])
def test_a_meeting_that_slips_while_paging_is_not_lost(
    connected: Workspace, graph: Handle, monkeypatch: pytest.MonkeyPatch, counted: bool
) -> None:
    """One entry of the first page is deleted before the second is asked for: the rest move up by one."""
    begin = NOW.replace(hour=0) - timedelta(days=150)
    events = [meeting(ANNA, f"slip:{n}", begin + timedelta(hours=n)) for n in range(30)]
    graph.tenant.events[ANNA.id] = list(events)
    monkeypatch.setattr(office_graph, "LARGEST_PAGE", 10)
    real = emulated_calendars.outlook_list
    waiting = [events[0]]

    def answer(
        request: Any, context: str, options: Any, page: Any, count: int, rows: Any, applied: Any = ()
    ) -> Any:
        if "calendarView" in context and ANNA.id in context:
            options = options if counted else {**options, "$count": "false"}
            if count == 30 and page.skip == 0 and waiting:
                graph.tenant.events[ANNA.id].remove(waiting.pop())
        return real(request, context, options, page, count, rows, applied)

    monkeypatch.setattr(emulated_calendars, "outlook_list", answer)
    extract_office(connected)
    keys = hasher(connected)
    landed = connected.query(
        f"select item_key from raw.office_meetings where mailbox_id = {keys.mailbox(ANNA.id)}"
    )
    assert not waiting
    assert {row[0] for row in landed} == {keys.item(event.id) for event in events[1:]}


def test_fewer_messages_than_counted_are_read_again(connected: Workspace, graph: Handle) -> None:
    graph.fail(f"{ANNA.id}/messages", status=200, body={"@odata.count": 3, "value": []})
    extract_office(connected)
    assert connected.query(
        f"select count(*) from raw.office_messages where mailbox_id = {hasher(connected).mailbox(ANNA.id)}"
    ) == [(14,)]


def test_landing_is_all_or_nothing(workspace: Workspace) -> None:
    """What fails after a landing, before its transaction ends: no row, no ledger row, no address stays."""
    settings = workspace.settings()
    at = datetime(2026, 6, 1, 12)
    row = (1, 2, 3, 4, at, at, 5, 5, [6], False, False, False)
    good = Landing(
        1, MESSAGES, (Slice(datetime(2026, 6, 1), datetime(2026, 6, 2)),), (at,), Read([row], [at])
    )
    with warehouse.private_file(settings) as connection:
        with pytest.raises(Exception, match="boom"), warehouse.transaction(connection):
            warehouse.upsert_addresses(connection, [(6, "x.example", "person")])
            land(connection, [good], run_id="r", now=at)
            raise RuntimeError("boom")
        for table in ("office_messages", "office_units", "office_addresses"):
            assert connection.execute(f"from raw.{table}").fetchall() == []


def test_a_landing_of_more_rows_than_a_row_group_lands_them_all(workspace: Workspace) -> None:
    at = datetime(2026, 6, 30, 10)
    june = Slice(datetime(2026, 6, 1), datetime(2026, 7, 1))
    row_count = 130_000
    rows = [(1, item, item, 4, at, at, 5, 5, [6], False, False, False) for item in range(row_count)]
    with warehouse.private_file(workspace.settings()) as connection:
        for _ in range(2):
            with warehouse.transaction(connection):
                # One item twice, as when it moved while its mailbox was read.
                landings = [
                    Landing(1, MESSAGES, (june,), (june.end,), Read(rows, [at] * row_count)),
                    Landing(1, MESSAGES, (june,), (june.end,), Read(rows[:1], [at])),
                ]
                land(connection, landings, run_id="r", now=at)
            found = connection.execute("select count(*), count(distinct item_key) from raw.office_messages")
            assert found.fetchall() == [(row_count, row_count)]


def test_a_landing_that_loses_a_row_is_none(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the database does not give back is noticed before the transaction ends."""
    at = datetime(2026, 6, 30, 10)
    june = Slice(datetime(2026, 6, 1), datetime(2026, 7, 1))
    rows = [(1, item, item, 4, at, at, 5, 5, [6], False, False, False) for item in (2, 3)]
    real = landing.append

    def forgetful(connection: Any, table: str, given: Any, *, schema: str = "raw") -> None:
        real(connection, table, given[:-1] if table == "incoming_office_messages" else given, schema=schema)

    monkeypatch.setattr(landing, "append", forgetful)
    with warehouse.private_file(workspace.settings()) as connection:
        read = Landing(1, MESSAGES, (june,), (june.end,), Read(rows, [at] * 2))
        with (
            pytest.raises(
                EngagementError, match=r"raw\.office_messages: 1 of 2 rows were written, and so none"
            ),
            warehouse.transaction(connection),
        ):
            land(connection, [read], run_id="r", now=at)
        assert connection.execute("select count(*) from raw.office_units").fetchall() == [(0,)]


def test_a_landing_has_a_number_by_which_a_refresh_finds_what_is_new(workspace: Workspace) -> None:
    """What is read again as it was known keeps its own; of what is another now the old key is remembered."""
    at = datetime(2026, 6, 1, 12)
    june = Slice(datetime(2026, 6, 1), datetime(2026, 7, 1))

    def mail(item: int, message: int, sender: int = 5) -> tuple[Any, ...]:
        return (1, item, message, 4, at, at, sender, sender, [6], False, False, False)

    def entry(item: int, start: datetime) -> tuple[Any, ...]:
        answers = ([6], ["required"], ["none"])
        return (1, item, 9, start, start, False, False, False, "none", 5, *answers)

    def numbers(connection: warehouse.Connection, table: str) -> dict[int, int]:
        return dict(connection.execute(f"select item_key, landing_id from raw.{table}").fetchall())

    with warehouse.private_file(workspace.settings()) as connection:
        for number, read in enumerate(
            (
                Read([mail(1, 11), mail(2, 12), mail(3, 13), mail(4, 14)], [at] * 4),
                # 1 as it was, 2 of another sender, 3 another message, 4 private now
                Read([mail(1, 11), mail(2, 12, sender=7), mail(3, 99)], [at] * 3, dropped_keys=[4]),
            ),
            start=1,
        ):
            landing = Landing(1, MESSAGES, (june,), (at,), read)
            land(connection, [landing], run_id="r", now=at)
            assert connection.execute("select max(landing_id) from raw.office_units").fetchall() == [
                (number,)
            ]
        assert numbers(connection, "office_messages") == {1: 1, 2: 2, 3: 2}
        assert connection.execute("from raw.office_replaced order by key").fetchall() == [
            ("messages", 13, None, 2),
            ("messages", 14, None, 2),
        ]
        # A refresh has seen more landings than the ledger still tells of.
        connection.execute("insert into raw.refreshes (landing_id) values (40)")
        for start in (at, at, at + timedelta(days=1)):
            landing = Landing(1, MEETINGS, (june,), (at,), Read([entry(1, start)], [start]))
            land(connection, [landing], run_id="r", now=at)
        # Of meetings the newest read speaks, so every one is new.
        assert numbers(connection, "office_meetings") == {1: 43}
        assert connection.execute("from raw.office_replaced where kind = 'meetings'").fetchall() == [
            ("meetings", 9, at, 43)
        ]
        # What a read no longer sees is another, too.
        landing = Landing(1, MEETINGS, (june,), (at,), Read([], []))
        land(connection, [landing], run_id="r", now=at)
        assert numbers(connection, "office_meetings") == {1: 44}


@pytest.mark.faults
def test_sigkill_in_the_midst_then_a_clean_run_equals_an_undisturbed_one(
    workspace: Workspace, tmp_path: Path
) -> None:
    tenant = small_tenant()
    undisturbed = Workspace(tmp_path / "other")
    key = "a hash key for both workspaces"
    for one in (workspace, undisturbed):
        one.environment |= {"ENGAGEMENT_HASH_KEY": key, "ENGAGEMENT_WORKERS": "2"}
    with emulated(tenant, undisturbed):
        extract_office(undisturbed)
    with emulated(tenant, workspace, latency=0.05) as handle:
        for reads_before_the_kill in (2, 6, 11):
            handle.requests.clear()
            process = workspace.start("extract", "office")
            deadline = time.monotonic() + 30
            while len(outlook_requests(handle)) < reads_before_the_kill and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.communicate()
        handle.switches.latency = 0
        extract_office(workspace)
    assert workspace.office_rows() == undisturbed.office_rows()
    states = [row[0] for row in workspace.query("select state from raw.runs order by started_at, state")]
    assert states[-1] == "done" and set(states[:-1]) == {"killed"}


def test_sigterm_ends_it_and_says_so_by_its_code(workspace: Workspace) -> None:
    with emulated(small_tenant(), workspace, latency=0.2) as handle:
        process = workspace.start("extract", "office")
        while not outlook_requests(handle) and process.poll() is None:
            time.sleep(0.005)
        began = time.monotonic()
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    assert time.monotonic() - began < 15
    assert run_state.read_run_state(workspace.settings())["state"] == "cancelled"
