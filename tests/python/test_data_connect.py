"""Exports of Microsoft Graph Data Connect: the same rows as through Graph, again, newer, broken."""

from __future__ import annotations

import json
import re
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import (
    NOW,
    ODD_ATTENDEES,
    OURS,
    ROOT,
    Workspace,
    declined_day,
    emulated,
    meeting,
    message,
    person,
    small_tenant,
)
from emulators.graph import BODY_TEXT, SUBJECT_TEXT, Handle
from emulators.tenant import Tenant
from engagement.addresses import Hasher, load_hash_key
from engagement.office import data_connect
from engagement.office.export_files import CALENDAR_VIEW, EVENT, MESSAGE, SENT_ITEM, USER, Export
from engagement.office.graph import Meeting, Message, User
from engagement.office.slices import MEETINGS, MESSAGES, whole_slices
from exports import CAMEL, FORMS, JSON_LINES, PARQUET, PASCAL, rows_of, write, write_lines
from project_fixtures import run_dbt

ANNA, BEN, CARL = person("anna"), person("ben"), person("carl")
LISTED = [f"{name}@{OURS}" for name in ("anna", "ben", "carl", "dora")]
MOMENT = NOW.replace(tzinfo=None)
FIRST_DAY = (NOW - timedelta(days=332)).replace(hour=0, minute=0)


def odd_tenant() -> Tenant:
    """The small tenant, with one of everything that is flagged, dropped or read with a default."""
    tenant = small_tenant()
    at = NOW - timedelta(days=5)
    tenant.messages[ANNA.id] += [
        message(
            ANNA,
            "one",
            at,
            to=(ANNA.mail, "LEE@contoso.example", None),
            cc=("lee+x@contoso.example",),
            bcc=("max@fabrikam.example",),
            sender_address=f"ben@{OURS}",
            folder="sentitems",
            sent_at=None,
        ),
        message(
            ANNA, "draft", at, is_draft=True, folder="drafts", internet_message_id=None, from_address=None
        ),
        message(ANNA, "meeting", at, odata_type="#microsoft.graph.eventMessageRequest"),
        message(ANNA, "searched", at, folder="search"),
        message(ANNA, "legacy", at, from_address="/O=EXCHANGELABS/OU=X/CN=Y"),
    ]
    start = NOW.replace(hour=0, minute=0) - timedelta(days=5)
    tenant.events[ANNA.id] += [
        declined_day(ANNA, "whole day", start),
        meeting(ANNA, "private", start, sensitivity="private"),
        meeting(ANNA, "confidential", start, sensitivity="confidential"),
        meeting(ANNA, "master", start - timedelta(days=7), type="seriesMaster"),
        meeting(ANNA, "occurrence", start, type="occurrence", attendees=ODD_ATTENDEES),
        meeting(ANNA, "reaching in", NOW - timedelta(days=395), end_at=NOW - timedelta(days=190)),
    ]
    # Between them they bound what the export covers, like the year that Graph is asked for.
    tenant.messages[ANNA.id].append(message(ANNA, "bound", FIRST_DAY))
    tenant.events[ANNA.id].append(meeting(ANNA, "bound", NOW - timedelta(days=250)))
    return tenant


def configure(workspace: Workspace, **office: Any) -> Workspace:
    """The workspace without anything of Graph's: no secrets, and addresses that nobody answers on."""
    workspace.environment = {
        name: value for name, value in workspace.environment.items() if not name.startswith("AZURE_")
    }
    office = {"addresses": LISTED, **office}
    workspace.configure(source={"data_connect": "exports"}, **office)
    return workspace


def exported(workspace: Workspace, tenant: Tenant, **form: Any) -> Path:
    return write(workspace.root / "exports", tenant, **form)


def extract(workspace: Workspace, *options: str, code: int = 0) -> str:
    done = workspace.run("extract", "office", *options)
    assert done.exit_code == code, done.stderr
    assert f"@{OURS}" not in done.stderr and "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def exporting(workspace: Workspace) -> Workspace:
    """The small tenant as an export, and a configuration that reads it."""
    exported(workspace, small_tenant())
    return configure(workspace)


def item_key(workspace: Workspace, item_id: str) -> int:
    return Hasher(load_hash_key(None, workspace.settings().hash_key_file)).item(item_id)


def everything(workspace: Workspace) -> dict[str, list[tuple[Any, ...]]]:
    tables = ("office_mailboxes", "office_messages", "office_meetings", "office_addresses", "office_units")
    return {table: workspace.query(f"select * from raw.{table} order by all") for table in tables}


# --- the same rows


@pytest.fixture(scope="module")
def through_graph(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    workspace = Workspace(tmp_path_factory.mktemp("graph"))
    workspace.environment["ENGAGEMENT_HASH_KEY"] = "one hash key for both sources"
    workspace.configure(addresses=LISTED)
    with emulated(odd_tenant(), workspace):
        assert workspace.run("extract", "office").exit_code == 0
    return workspace.office_rows()


@pytest.mark.parametrize(("file", "case"), FORMS)
def test_an_export_lands_the_rows_of_graph(
    workspace: Workspace, through_graph: dict[str, list[tuple[Any, ...]]], file: str, case: str
) -> None:
    exported(workspace, odd_tenant(), file=file, case=case)
    configure(workspace).environment["ENGAGEMENT_HASH_KEY"] = "one hash key for both sources"
    with emulated(odd_tenant(), workspace) as graph:
        extract(workspace)
        assert graph.requests == []
    rows = workspace.office_rows()
    # What began before the first day that was exported merely reaches into it.
    assert len(rows["office_messages"]) == 4 * 14 + 6
    for table in ("office_mailboxes", "office_messages", "office_addresses"):
        assert rows[table] == through_graph[table], table
    reaching = [row for row in through_graph["office_meetings"] if row not in rows["office_meetings"]]
    assert [row[3] for row in reaching] == [(NOW - timedelta(days=395)).replace(tzinfo=None)]
    assert sorted([*rows["office_meetings"], *reaching]) == sorted(through_graph["office_meetings"])


def test_nothing_of_the_content_is_stored(workspace: Workspace) -> None:
    folder = exported(workspace, odd_tenant())
    assert SUBJECT_TEXT in (folder / "BasicDataSet_v0.Message_v1" / "part-00000.json").read_text()
    configure(workspace)
    extract(workspace)
    with duckdb.connect(str(workspace.private_file), read_only=True) as connection:
        names = connection.execute(
            "select schema_name, table_name from duckdb_tables() where database_name = current_database()"
        ).fetchall()
        texts = [
            str(row)
            for schema, table in names
            for row in connection.execute(f'select * from {schema}."{table}"').fetchall()
        ]
    said = "\n".join(texts)
    assert SUBJECT_TEXT not in said and BODY_TEXT not in said and f"anna@{OURS}" not in said


def test_published_sample_rows_are_read(test_data: Path, tmp_path: Path) -> None:
    """Rows of Microsoft's own documentation: texts that hold Python literals, words in their type."""
    names = {
        MESSAGE: ("Message_v1", Message),
        SENT_ITEM: ("SentItems_v1", Message),
        EVENT: ("Event_v1", Meeting),
        CALENDAR_VIEW: ("CalendarView_v0", Meeting),
        USER: ("User_v1", User),
    }
    for name, _ in names.values():
        sample = json.loads((test_data / "graph_examples" / f"mgdc_{name}_rows.json").read_text())
        write_lines(tmp_path / f"{name}.json", sample["body"])
    export = Export.find(tmp_path)
    assert export.problems() == []
    items: dict[str, list[Any]] = {
        dataset: [row.typed(kind) for row in export.rows(dataset)] for dataset, (_, kind) in names.items()
    }
    sent = items[SENT_ITEM][0]
    assert len(sent.to_recipients) == 3
    assert [one.address for one in sent.cc_recipients] == ["James.Smith@outlook.com"]
    assert [item.type for item in items[EVENT]] == ["seriesMaster", "singleInstance", "seriesMaster"]
    assert items[EVENT][1].attendees[0].type == "required"
    assert items[CALENDAR_VIEW][0].response_status.response == "organizer"
    assert items[USER][0].proxy_addresses == ["SMTP:ChristieC@M365x723843.OnMicrosoft.com"]


def test_files_are_found_by_their_data_set(tmp_path: Path) -> None:
    for name in (
        "2026-07-01/Message_v1/part-0.json",
        "user-data/messages-1.jsonl.gz",
        "SentItem/x.parquet",
        "calendarview_v0.json",
        "Users.json",
        "Inbox_v1/part-0.json",
        "MessageTrace/part-0.json",
        "Message_v1/_SUCCESS",
        "Message_v1/metadata/job.json",
        "Event_v1/.part-0.json.crc",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = {
        dataset: [path.relative_to(tmp_path).as_posix() for path in paths]
        for dataset, paths in Export.find(tmp_path).files.items()
    }
    assert found == {
        MESSAGE: ["2026-07-01/Message_v1/part-0.json", "user-data/messages-1.jsonl.gz"],
        SENT_ITEM: ["SentItem/x.parquet"],
        CALENDAR_VIEW: ["calendarview_v0.json"],
        USER: ["Users.json"],
    }


# --- who


def test_who_is_not_in_the_export_is_reported(exporting: Workspace) -> None:
    """An address that nobody has, a group, and somebody of whom there is a row of User alone."""
    tenant = small_tenant()
    tenant.people.append(person("zoe"))
    exported(exporting, tenant)
    configure(exporting, addresses=[*LISTED, f"nobody@{OURS}", f"sales@{OURS}", f"zoe.alias@{OURS}"])
    said = extract(exporting, code=9)
    for index in (4, 5):
        assert f"enrichments[0].addresses[{index}]: no row of the data set User has this address" in said
    assert "(account-engagement): the export has nothing of 1 of 5 people" in said
    states = dict(exporting.query("select coalesce(entra_id, 'none'), state from raw.office_mailboxes"))
    assert (states[person("zoe").id], states[ANNA.id], states["none"]) == (
        "not_found",
        "readable",
        "not_found",
    )
    assert (
        exporting.query(
            "select distinct mailbox_id from raw.office_units except from (select mailbox_id from"
            " raw.office_mailboxes where state = 'readable')"
        )
        == []
    )


def test_of_who_is_not_chosen_nothing_is_read(exporting: Workspace) -> None:
    """Not even a line that could not be: eve and carl, who opted out."""
    folder = exporting.root / "exports"
    write_lines(
        folder / "Message_v1" / "more.json",
        [{"puser": person("eve").id, "id": 7}, {"puser": CARL.id, "id": 7}],
    )
    (exporting.root / "out.txt").write_text(f"carl.alias@{OURS}\n")
    configure(exporting, opt_out={"path": "out.txt"})
    extract(exporting)
    chosen = {row[0] for row in exporting.query("select entra_id from raw.office_mailboxes")}
    assert chosen == {ANNA.id, BEN.id, person("dora").id}


def test_too_few_people(exporting: Workspace) -> None:
    configure(exporting, addresses=[f"anna@{OURS}", f"nobody@{OURS}"])
    assert "resolve to 1 people (1 listed not found); allowed: 2 to 2,500" in extract(exporting, code=2)


def test_an_address_of_two_people_is_refused(exporting: Workspace) -> None:
    tenant = small_tenant()
    tenant.people.append(
        person("twin", mail=f"anna.alias@{OURS}", proxy_addresses=(f"smtp:ben.alias@{OURS}",))
    )
    exported(exporting, tenant)
    # The primary address of one beats the alias of the other.
    configure(exporting, addresses=[*LISTED, f"anna.alias@{OURS}"])
    extract(exporting, code=9)
    assert (person("twin").id,) in exporting.query("select entra_id from raw.office_mailboxes")
    configure(exporting, addresses=[*LISTED, f"ben.alias@{OURS}"])
    said = extract(exporting, code=2)
    assert "enrichments[0].addresses[4]: 2 people have this address in the directory" in said


def test_a_mailbox_has_one_source(exporting: Workspace) -> None:
    def add(raw: dict[str, Any]) -> None:
        raw["enrichments"][0] |= {"source": {"data_connect": "exports"}, "addresses": LISTED}
        raw["enrichments"].append(
            {
                **Workspace.configuration(exporting)["enrichments"][0],
                "name": "Other",
                "output_table": "Other",
                "addresses": [f"ben@{OURS}", f"eve@{OURS}"],
            }
        )

    tenant = small_tenant()
    exporting.environment |= {
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
    }
    exporting.configure(add)
    with emulated(tenant, exporting) as graph:
        said = extract(exporting, code=2)
        assert f"enrichments[1] (other): user {BEN.id} is also chosen by enrichments[0]" in said
        assert exporting.query("from raw.office_messages") == []
        # Both sources in one run, each with its people.
        exporting.configure(
            lambda raw: [
                add(raw),
                raw["enrichments"][1].update(addresses=[f"eve@{OURS}", f"dora@{OURS}"]),
                raw["enrichments"][0].update(addresses=LISTED[:3]),
            ]
        )
        extract(exporting)
        asked = {request.path.split("/")[3] for request in graph.requests if "/messages" in request.path}
    assert asked == {person("eve").id, person("dora").id}
    assert exporting.query(
        "select enrichment_id, count(*) from raw.office_mailboxes group by all order by all"
    ) == [
        ("account-engagement", 3),
        ("other", 2),
    ]
    assert exporting.query("select count(distinct mailbox_id) from raw.office_messages") == [(5,)]


# --- what is covered, and again


def test_whole_days_from_the_first_to_the_last_item_of_everybody(exporting: Workspace) -> None:
    tenant = small_tenant()
    # A quiet person is read like the others.
    tenant.messages[BEN.id] = tenant.messages[BEN.id][3:4]
    tenant.events[BEN.id] = []
    exported(exporting, tenant)
    extract(exporting)
    rows = exporting.query(
        "select mailbox_id, kind, min(slice_start), max(slice_end), max(read_to) filter (slice_start < read_at),"
        " count(*) from raw.office_units group by all"
    )
    assert len(rows) == 8
    midnight = MOMENT.replace(hour=0, minute=0)
    for _, kind, start, end, read_to, _ in rows:
        if kind == MESSAGES:
            # The last message came half an hour before midnight.
            assert (start, end, read_to) == (FIRST_DAY.replace(tzinfo=None), midnight, midnight)
        else:
            assert (start, end) == (midnight - timedelta(days=200), midnight + timedelta(days=6))
            assert read_to == MOMENT
    assert (
        exporting.query(
            "select count(*) from raw.office_units where slice_end - slice_start > interval 1 day"
        )[0][0]
        > 4 * 9
    )
    assert exporting.query("select sum(row_count) from raw.office_units where kind = 'messages'") == [
        (3 * 14 + 1,)
    ]


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # whole months of the past as months, what is cut as days, and the last weeks as days
        ((2026, 1, 31), (2026, 3, 2), [(1, 31, 1), (2, 1, 28), (3, 1, 1)]),
        ((2026, 4, 1), (2026, 5, 2), [(4, 1, 30), (5, 1, 1)]),
        ((2026, 5, 30), (2026, 6, 1), [(5, 30, 1), (5, 31, 1)]),
        ((2026, 2, 1), (2026, 2, 1), []),
    ],
)
def test_slices_of_an_export_claim_no_day_that_is_not_in_it(
    start: tuple[int, int, int], end: tuple[int, int, int], expected: list[tuple[int, int, int]]
) -> None:
    found = whole_slices(datetime(*start), datetime(*end), now=datetime(2026, 6, 20))
    assert [(one.start.month, one.start.day, (one.end - one.start).days) for one in found] == expected


def test_what_is_older_than_the_retention_or_far_ahead_is_left_out() -> None:
    covered = (datetime(2020, 1, 1), datetime(2030, 1, 1))
    for kind, end in ((MESSAGES, datetime(2026, 7, 2)), (MEETINGS, datetime(2026, 7, 16))):
        found = data_connect.covered_slices(kind, covered, moment=MOMENT, retention_days=400)
        assert (found[0].start, found[-1].end) == (datetime(2025, 5, 1), end)
    assert data_connect.covered_slices(MESSAGES, None, moment=MOMENT, retention_days=400) == []


@pytest.mark.parametrize("form", [(JSON_LINES, CAMEL), (PARQUET, PASCAL)])
def test_an_unchanged_export_changes_nothing(workspace: Workspace, form: tuple[str, str]) -> None:
    tenant = odd_tenant()
    exported(workspace, tenant, file=form[0], case=form[1])
    configure(workspace)
    extract(workspace)
    before = everything(workspace)
    landing_ids = workspace.query("select max(landing_id), count(distinct landing_id) from raw.office_units")
    assert landing_ids[0][0] >= 1
    assert "0 messages and 0 meetings in 0 slices" in workspace.run("extract", "office").stdout
    assert everything(workspace) == before
    assert (
        workspace.query("select max(landing_id), count(distinct landing_id) from raw.office_units")
        == landing_ids
    )
    # With --anew everything is landed again, and is the same.
    said = workspace.run("extract", "office", "--anew").stdout
    assert "62 messages" in said
    assert workspace.query("select * exclude (landing_id) from raw.office_messages order by all") == sorted(
        row[:-1] for row in before["office_messages"]
    )


def test_a_newer_export_of_overlapping_days_updates(exporting: Workspace) -> None:
    extract(exporting)
    before = {row[1]: row for row in exporting.query("from raw.office_messages")}
    units = exporting.query("select count(*) from raw.office_units")
    tenant = small_tenant()
    tenant.now = NOW + timedelta(days=2)
    since = NOW - timedelta(days=3)
    for owner in tenant.messages:
        tenant.messages[owner] = [one for one in tenant.messages[owner] if one.received_at > since]
        tenant.events[owner] = [
            one for one in tenant.events[owner] if one.start_at > since - timedelta(days=1)
        ]
    # One deleted, one come late, one new; a meeting that is gone before it began, one that became private.
    deleted = tenant.messages[ANNA.id].pop()
    late, new = message(ANNA, "late", NOW - timedelta(days=1)), message(ANNA, "new", NOW + timedelta(days=2))
    tenant.messages[ANNA.id] += [late, new]
    gone = tenant.events[BEN.id].pop()
    private = tenant.events[ANNA.id][0]
    tenant.events[ANNA.id][0] = replace(
        private, sensitivity="private", start_at=private.start_at + timedelta(days=1)
    )
    for path in sorted((exporting.root / "exports").rglob("*.*"), reverse=True):
        if path.is_file():
            path.unlink()
    exported(exporting, tenant)
    extract(exporting)
    moment = (NOW + timedelta(days=2)).replace(tzinfo=None)
    after = {row[1]: row for row in exporting.query("from raw.office_messages")}
    keys = {
        name: item_key(exporting, one.id) for name, one in (("gone", deleted), ("late", late), ("new", new))
    }
    assert set(after) - set(before) == {keys["late"], keys["new"]}
    assert {key for key, row in after.items() if row[13] is not None} == {keys["gone"]}
    assert after[keys["gone"]][13] == moment
    # What is older than the export is as it was.
    for key, row in before.items():
        if row[4] < datetime(2026, 6, 25):
            assert after[key] == row
    assert exporting.query(
        f"select start_at > gone_at, gone_at from raw.office_meetings where item_key = {item_key(exporting, gone.id)}"
    ) == [(True, moment)]
    assert (
        exporting.query(f"from raw.office_meetings where item_key = {item_key(exporting, private.id)}") == []
    )
    assert exporting.query("select max(least(read_to, read_at)) from raw.office_units") == [(moment,)]
    # three more days of mail of four people
    assert exporting.query("select count(*) from raw.office_units") == [(units[0][0] + 4 * 3,)]


def test_an_older_export_does_not_undo_a_newer_one(exporting: Workspace) -> None:
    older = exporting.root / "exports"
    tenant = small_tenant()
    tenant.now = NOW + timedelta(hours=5)
    tenant.events[ANNA.id].pop()
    newer = write(exporting.root / "newer", tenant)
    exporting.configure(source={"data_connect": newer.name}, addresses=LISTED)
    extract(exporting)
    before = everything(exporting)
    exporting.configure(source={"data_connect": older.name}, addresses=LISTED)
    extract(exporting)
    after = everything(exporting)
    assert after["office_messages"] == before["office_messages"]
    assert after["office_meetings"] == before["office_meetings"]


def test_of_an_item_in_several_files_the_last_changed_one_counts(exporting: Workspace) -> None:
    rows = rows_of(small_tenant())["Message_v1"]
    [row] = [row for row in rows if row["id"] == message(ANNA, "anna:3", NOW).id]
    folder = exporting.root / "exports"
    earlier, later = (
        {**row, "lastModifiedDateTime": at} for at in ("2026-06-01T00:00:00Z", "2026-07-01T06:00:00Z")
    )
    write_lines(folder / "Message_v1" / "a.json", [{**later, "isDraft": True}])
    write_lines(folder / "SentItems_v1" / "z.json", [{**earlier, "isDraft": False}])
    extract(exporting)
    key = item_key(exporting, row["id"])
    assert exporting.query(f"select is_draft from raw.office_messages where item_key = {key}") == [(True,)]


def test_an_item_without_a_readable_date_is_kept_and_said(exporting: Workspace) -> None:
    rows = rows_of(small_tenant())
    folder = exporting.root / "exports"
    undated = {**rows["Message_v1"][0], "id": "undated", "receivedDateTime": "1601-01-01T00:00:00Z"}
    entry = {**rows["CalendarView_v0"][0], "id": "undated entry", "start": None}
    write_lines(folder / "Message_v1" / "a.json", [undated])
    write_lines(folder / "CalendarView_v0" / "a.json", [entry])
    assert "2 items with an unreadable date" in extract(exporting)
    before = everything(exporting)
    assert exporting.query("select count(*) from raw.office_messages where received_at is null") == [(1,)]
    assert exporting.query("select count(*) from raw.office_meetings where start_at is null") == [(1,)]
    extract(exporting)
    assert everything(exporting) == before


# --- consents, check, status


def test_without_consent_no_file_is_opened(exporting: Workspace) -> None:
    (exporting.root / "exports" / "Message_v1.json").write_text("broken\n")
    configure(exporting, tenant_consent=None)
    checked = exporting.run("check")
    assert checked.exit_code == 0, checked.stderr
    assert "waits for tenant_consent" in checked.stdout
    assert "waits for tenant_consent" in extract(exporting, code=2)
    assert not exporting.private_file.exists() or exporting.query("from raw.office_mailboxes") == []


def test_check_names_what_is_there(exporting: Workspace) -> None:
    done = exporting.run("check", "--connect")
    assert done.exit_code == 0, done.stderr
    assert (
        "from an export: Message (2), SentItem (2), Event (2), CalendarView (2), User (2), MailFolder (2)"
        in done.stdout
    )
    assert "  enrichments[0].addresses[0]: person, 1 person\n" in done.stdout
    assert "  Account engagement: 4 people in all (allowed: 2 to 2,500)\n" in done.stdout
    assert not exporting.private_file.exists()


def test_check_connect_says_who_is_in_no_row(exporting: Workspace) -> None:
    configure(exporting, addresses=[*LISTED, f"sales@{OURS}"])
    done = exporting.run("check", "--connect")
    assert done.exit_code == 9
    assert "enrichments[0].addresses[4]: no row of the data set User has this address" in done.stdout


def test_models_know_up_to_which_day_the_export_is_complete(exporting: Workspace, graph: Handle) -> None:
    exporting.connect_to(graph)
    done = exporting.run("extract", "office", "--json")
    assert done.exit_code == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["mailboxes_read"], facts["clock"]) == (4, "2026-07-01T05:30:00Z")
    assert exporting.query("select read_to_at from raw.enrichment_runs") == [(MOMENT,)]
    assert graph.requests == []
    run_dbt(
        "run", "--select", "+as_of", target=exporting.root / "target", private_file=exporting.private_file
    )
    assert exporting.query("select as_of_date from intermediate.as_of") == [(date(2026, 6, 30),)]


# --- what is broken: one line that says what, where and what to do; nothing is stored


def _folder(workspace: Workspace, dataset: str) -> Path:
    return workspace.root / "exports" / f"BasicDataSet_v0.{dataset}"


def _without(dataset: str) -> Callable[[Workspace], object]:
    def spoil(workspace: Workspace) -> None:
        for path in _folder(workspace, dataset).iterdir():
            path.unlink()

    return spoil


def _without_calendars(workspace: Workspace) -> None:
    _without("Event_v1")(workspace)
    _without("CalendarView_v0")(workspace)


def _lines(dataset: str, *rows: object) -> Callable[[Workspace], object]:
    """One more file, of these lines: bytes as they are, the others as JSON."""

    def spoil(workspace: Workspace) -> None:
        lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        (_folder(workspace, dataset) / "spoilt.json").write_bytes(b"\n".join(lines) + b"\n")

    return spoil


def _column_gone(dataset: str, column: str) -> Callable[[Workspace], object]:
    def spoil(workspace: Workspace) -> None:
        _without(dataset)(workspace)
        rows = [{k: v for k, v in row.items() if k != column} for row in rows_of(small_tenant())[dataset]]
        write_lines(_folder(workspace, dataset) / "part-00000.json", rows)

    return spoil


def _parquet_column_gone(workspace: Workspace) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"copy (select 'x' as \"Id\", 'y' as mail, 'z' as \"userPrincipalName\") to"
            f" '{_folder(workspace, 'User_v1') / 'more.parquet'}' (format parquet)"
        )


def _deep(workspace: Workspace, spoilt: bytes, *, compressed: bool = False) -> None:
    """Beyond what is looked at first: 300 good lines, then this."""
    good = rows_of(small_tenant())["Message_v1"]
    path = write_lines(_folder(workspace, "Message_v1") / "part-00009.json.gz", (good * 10)[:300])
    if compressed:
        path.write_bytes(path.read_bytes()[:-2000])
        return
    path.unlink()
    lines = [json.dumps(row).encode() for row in (good * 10)[:300]]
    path.with_suffix("").write_bytes(b"\n".join([*lines, spoilt]) + b"\n")


ANNAS = {"puser": ANNA.id, "id": "x"}
BROKEN: dict[str, tuple[Callable[[Workspace], object], str]] = {
    "an export that is no folder": (
        lambda workspace: workspace.configure(source={"data_connect": "accounts.csv"}),
        "enrichments[0].source.data_connect: 'accounts.csv' is no folder; put the export there",
    ),
    "a forbidden mailbox for an export": (
        lambda workspace: configure(workspace, probe_forbidden=f"eve@{OURS}"),
        "enrichments[0].probe_forbidden: asks Microsoft Graph, which nobody does for an export; remove it",
    ),
    "a data set that is missing": (
        _without("User_v1"),
        "exports: has no data set User (a folder or files named User_v1 or alike); put it there, or add it",
    ),
    "an export without calendars": (_without_calendars, "exports: has no data set CalendarView or Event"),
    "a column that is missing": (
        _column_gone("Message_v1", "receivedDateTime"),
        "exports: the data set Message has no column receivedDateTime; choose it in the app's registration",
    ),
    "sensitivity that is missing": (
        _column_gone("CalendarView_v0", "sensitivity"),
        "exports: the data set CalendarView has no column sensitivity;",
    ),
    "a column of a Parquet file that is missing": (
        _parquet_column_gone,
        "exports/BasicDataSet_v0.User_v1/more.parquet has no column proxyAddresses;",
    ),
    "a broken line": (
        _lines("Message_v1", {**ANNAS}, b'{"puser": "' + ANNA.id.encode() + b'", "id": '),
        "exports/BasicDataSet_v0.Message_v1/spoilt.json line 2: not one whole JSON object; restore the file",
    ),
    "a broken line far down": (
        lambda workspace: _deep(workspace, b'{"half": '),
        "exports/BasicDataSet_v0.Message_v1/part-00009.json line 301: not one whole JSON object;",
    ),
    "a line that is not UTF-8": (
        _lines("Message_v1", b'{"puser": "\xff\xfe", "id": "x"}'),
        "spoilt.json line 1: not one whole JSON object;",
    ),
    "an array instead of lines": (
        _lines("Message_v1", [ANNAS]),
        "spoilt.json line 1: not one whole JSON object;",
    ),
    "a row without an owner": (
        lambda workspace: _deep(workspace, b'{"id": "x"}'),
        "part-00009.json line 301: puser is missing, so nobody knows whose it is;",
    ),
    "a row without an id": (
        lambda workspace: _deep(workspace, json.dumps({"puser": ANNA.id}).encode()),
        "part-00009.json line 301: id is missing or of another shape than in Microsoft Graph;",
    ),
    "a column of another shape": (
        lambda workspace: _deep(workspace, json.dumps({**ANNAS, "toRecipients": {"a": 1}}).encode()),
        "part-00009.json line 301: toRecipients is missing or of another shape",
    ),
    "a text that holds nothing": (
        lambda workspace: _deep(workspace, json.dumps({**ANNAS, "toRecipients": "secret@x y("}).encode()),
        "part-00009.json line 301: toRecipients holds a text that is no JSON;",
    ),
    "a file cut short": (
        lambda workspace: _deep(workspace, b"", compressed=True),
        "exports/BasicDataSet_v0.Message_v1/part-00009.json.gz: cannot be read after line",
    ),
    "a file that is no Parquet": (
        lambda workspace: (_folder(workspace, "Event_v1") / "x.parquet").write_text("nonsense"),
        "exports/BasicDataSet_v0.Event_v1/x.parquet: cannot be read as Parquet (",
    ),
    "a file of another form": (
        lambda workspace: (_folder(workspace, "Event_v1") / "x.csv").write_text("id\n"),
        "exports/BasicDataSet_v0.Event_v1/x.csv: neither JSON lines (.json, .jsonl, .ndjson, also with .gz) nor",
    ),
    "a calendar in another time zone": (
        _lines(
            "Event_v1",
            {**ANNAS, "start": {"dateTime": "2026-06-01T09:00:00", "timeZone": "Pacific Standard Time"}},
        ),
        "spoilt.json line 1: start or end is in another time zone than UTC, and only UTC is read;",
    ),
    "an export of others": (
        lambda workspace: [
            _lines(
                "User_v1",
                *(
                    {"id": name, "mail": f"{name}@{OURS}", "userPrincipalName": None, "proxyAddresses": None}
                    for name in ("x", "y")
                ),
            )(workspace),
            configure(workspace, addresses=[f"x@{OURS}", f"y@{OURS}"]),
        ],
        "enrichments[0] (account-engagement): the export has no message and no entry of the people chosen;",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_one_line_and_nothing_is_stored(exporting: Workspace, case: str) -> None:
    spoil, said = BROKEN[case]
    exporting.leave_sentinel()
    spoil(exporting)
    stderr = extract(exporting, code=2)
    lines = [line for line in stderr.splitlines() if said in line]
    assert len(lines) == 1, stderr
    assert "secret@x" not in stderr
    if exporting.private_file.exists():
        rows = everything(exporting)
        assert not any(rows.values())


def test_a_broken_export_leaves_what_was_landed(exporting: Workspace) -> None:
    extract(exporting)
    before = everything(exporting)
    BROKEN["a broken line far down"][0](exporting)
    extract(exporting, code=2)
    assert everything(exporting) == before


def test_check_says_all_that_is_missing_at_once(exporting: Workspace) -> None:
    _column_gone("CalendarView_v0", "iCalUId")(exporting)
    _without("User_v1")(exporting)
    BROKEN["a broken line"][0](exporting)
    done = exporting.run("check", "--json")
    assert done.exit_code == 2
    errors = json.loads(done.stdout)["errors"]
    assert errors[0].startswith(
        "enrichments[0] (account-engagement): 3 findings in the export; correct and run"
    )
    assert [re.sub(r"(line \d+|column \w+|data set User).*", r"\1", line) for line in sorted(errors[1:])] == [
        "exports/BasicDataSet_v0.Message_v1/spoilt.json line 2",
        "exports: has no data set User",
        "exports: the data set CalendarView has no column iCalUId",
    ]
    assert not exporting.private_file.exists()


def test_an_empty_folder(exporting: Workspace) -> None:
    (exporting.root / "empty").mkdir()
    exporting.configure(source={"data_connect": "empty"}, addresses=LISTED)
    said = extract(exporting, code=2)
    for dataset in ("Message", "CalendarView or Event", "User"):
        assert f"empty: has no data set {dataset} (a folder or files named" in said


def test_event_alone_is_said_to_lack_occurrences(exporting: Workspace) -> None:
    _without("CalendarView_v0")(exporting)
    assert "the export has no data set CalendarView; Event has no occurrences of series" in extract(exporting)
    assert exporting.query("select count(*) from raw.office_meetings") == [(16,)]


def test_the_errors_of_exports_are_documented() -> None:
    text = (ROOT / "docs" / "errors.md").read_text("utf-8")
    for case in BROKEN:
        assert f"| {case} |" in text, case


def test_a_large_file_is_read_in_flat_memory(tmp_path: Path) -> None:
    """A file of 30 MB, of which a row at a time is held."""
    row = {**rows_of(small_tenant())["Message_v1"][0], "body": "x" * 10_000}
    line = json.dumps(row).encode() + b"\n"
    with (tmp_path / "Message_v1.json").open("wb") as file:
        for _ in range(3_000):
            file.write(line)
    export = Export.find(tmp_path)
    tracemalloc.start()
    count = sum(1 for _ in export.rows(MESSAGE, {row["puser"]}))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 3_000 and peak < 2_000_000


# --- who opted out, who was erased


@pytest.mark.parametrize("before", ["never read", "read before"])
def test_who_opted_out_is_not_read_from_an_export_either(exporting: Workspace, before: str) -> None:
    mailbox_id = Hasher(load_hash_key(None, exporting.settings().hash_key_file)).mailbox(CARL.id)
    if before == "read before":
        extract(exporting)
        assert exporting.query(f"select 1 from raw.office_messages where mailbox_id = {mailbox_id}") != []
    (exporting.root / "out.txt").write_text(f"carl.alias@{OURS}\n")
    configure(exporting, opt_out={"path": "out.txt"})
    extract(exporting)
    for table in ("office_mailboxes", "office_messages", "office_meetings", "office_units"):
        rows = exporting.query(f"select distinct mailbox_id from raw.{table}")
        assert len(rows) == 3 and (mailbox_id,) not in rows, table


def test_who_was_erased_is_not_read_from_an_export_either(exporting: Workspace) -> None:
    extract(exporting)
    assert exporting.run("erase", f"carl.alias@{OURS}", "--yes").exit_code == 0
    assert "1 listed person erased before" in extract(exporting)
    extract(exporting, "--anew")
    hasher = Hasher(load_hash_key(None, exporting.settings().hash_key_file))
    keys = [hasher.address(text) for text in (CARL.mail, f"carl.alias@{OURS}")]
    assert (
        exporting.query(f"select 1 from raw.office_addresses where list_contains({keys}, address_key)") == []
    )
    assert exporting.query("select count(*) from raw.office_mailboxes") == [(3,)]
    assert CARL.id.encode() not in exporting.private_file.read_bytes()
