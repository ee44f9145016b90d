"""The extractor against everything that Microsoft Graph is known to do wrong: the numbers are those of the fault
list (16 to 37, and 42). A fault that passes leaves the rows of a run without it.

Most tests begin where a run of a month ago ended, and so have little to read.
"""

from __future__ import annotations

import inspect
import random
import shutil
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest

from conftest import NOW, OURS, ROOT, Workspace, emulated, meeting, message, person, small_tenant
from emulators.graph import Handle, running
from emulators.misbehaviour import MISHAPS
from emulators.server import LoggedRequest
from emulators.tenant import Message, Tenant
from engagement import certificate, http
from engagement.addresses import Hasher, load_hash_key
from engagement.http import Patience
from test_certificate import as_pem, certificate_of, key_pem, sign_in_with

pytestmark = pytest.mark.faults

KEY = "a hash key for every workspace of these tests"
ANNA, BEN, CARL, DORA = PEOPLE = [person(name) for name in ("anna", "ben", "carl", "dora")]
ITEMS = ("office_messages", "office_meetings", "office_units")
EVERY_LIST = ("/messages", "/calendarView", "/mailFolders")
FOR_EVER = 10**6
DONE, REFUSED, SERVICE_FAILED, SOME_UNREAD = 0, 3, 4, 9

Rows = dict[str, list[tuple[Any, ...]]]


@dataclass
class Hurry:
    """How fast waiting goes, by how much sooner it ends; the clock of the waits goes as fast where `clock_too`.

    `waited` holds every wait that was meant.
    """

    speed: float = 100.0
    clock_too: bool = True
    answer_seconds: float | None = None
    waited: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        time.sleep(seconds / self.speed)

    def clock(self) -> float:
        return time.monotonic() * (self.speed if self.clock_too else 1.0)


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> Hurry:
    """Minutes of waiting pass in a second, also inside of the command."""
    hurry = Hurry()
    begin = Patience.__init__
    known = inspect.signature(begin).parameters

    def begin_in_a_hurry(self: Patience, **given: Any) -> None:
        ours: dict[str, Any] = {"sleep": hurry.sleep, "clock": hurry.clock}
        if hurry.answer_seconds is not None and "answer_seconds" in known:
            ours["answer_seconds"] = hurry.answer_seconds
        begin(self, **{**given, **ours})

    monkeypatch.setattr(Patience, "__init__", begin_in_a_hurry)
    return hurry


def busy_tenant() -> Tenant:
    """The small tenant, each of whose mailboxes has two dozen messages more of the last days, and a dozen meetings
    of one day: lists of some pages, where a page is small.
    """
    tenant = small_tenant()
    for owner in PEOPLE:
        moments = [NOW - timedelta(hours=5 * n + 2) for n in range(12)]
        moments += [NOW - timedelta(days=10, hours=n) for n in range(12)]
        tenant.messages[owner.id] += [
            message(owner, f"{owner.mail}:busy:{number}", moment, cc=("lee@contoso.example",))
            for number, moment in enumerate(moments)
        ]
        morning = NOW.replace(hour=0, minute=0) - timedelta(days=9)
        tenant.events[owner.id] += [
            meeting(owner, f"{owner.mail}:busy:{number}", morning + timedelta(hours=number))
            for number in range(12)
        ]
    return tenant


def prepared(workspace: Workspace, **office: Any) -> Workspace:
    """A workspace whose rows can be compared with another's, which tolerates one unread mailbox of four."""
    workspace.environment |= {"ENGAGEMENT_HASH_KEY": KEY, "ENGAGEMENT_RETRY_SECONDS": "300"}
    workspace.configure(**{"retention": "366 days", "tolerated_failures": 0.25, **office})
    return workspace


@pytest.fixture(scope="module")
def server() -> Iterator[Handle]:
    with running(busy_tenant()) as handle:
        yield handle


@pytest.fixture
def tenant() -> Tenant:
    return busy_tenant()


@pytest.fixture
def graph(server: Handle, tenant: Tenant) -> Handle:
    """The emulator over the busy tenant; one server for all tests, each of which begins anew with it."""
    server.reset(tenant)
    return server


@dataclass(frozen=True)
class History:
    """A data folder a month ago, what it holds, and what a run without a fault then makes of it."""

    data: Path
    rows: Rows
    faultless: Rows


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    workspace = prepared(Workspace(tmp_path_factory.mktemp("history")))
    tenant = busy_tenant()
    tenant.now = NOW - timedelta(days=30)
    rows = faultless_rows(workspace, tenant)
    kept = workspace.root / "kept"
    shutil.copytree(workspace.root / "data", kept)
    return History(kept, rows, faultless_rows(workspace, busy_tenant()))


@pytest.fixture
def connected(connected: Workspace, history: History) -> Workspace:
    """The workspace of a month ago, pointed at the emulator."""
    shutil.copytree(history.data, connected.root / "data")
    return prepared(connected)


@pytest.fixture
def faultless(history: History) -> Rows:
    """What a run without a fault leaves."""
    return history.faultless


@pytest.fixture
def before(history: History) -> Rows:
    """What was there before the run."""
    return history.rows


def faultless_rows(workspace: Workspace, tenant: Tenant) -> Rows:
    """What a run without a fault lands of a tenant."""
    with emulated(tenant, workspace):
        read(workspace)
    rows = rows_of(workspace)
    assert rows["office_messages"] and rows["office_meetings"]
    return rows


def read(workspace: Workspace, *options: str, code: int = DONE) -> str:
    """Runs the extraction; what it says, in which nothing personal and no secret ever stands."""
    done = workspace.run("extract", "office", *options)
    assert done.exit_code == code, done.stderr
    said = done.stderr + done.stdout
    assert "@" not in said and OURS not in said and "emulated." not in said
    assert "Bearer" not in said and "$filter" not in said and "Traceback" not in said
    for name in ("AZURE_CLIENT_SECRET", "ENGAGEMENT_HASH_KEY"):
        assert workspace.environment.get(name, "\0") not in said
    return said


def rows_of(workspace: Workspace) -> Rows:
    """What an extraction landed, of the ledger what it covers: a range that was read in parts stands there in parts.

    Of every mailbox and kind: the stretches that were read without a gap, and how many items they have.
    """
    rows = workspace.office_rows()
    stretches: dict[tuple[int, str], list[list[Any]]] = {}
    for mailbox_id, kind, start, _, read_to, row_count in sorted(rows["office_units"]):
        known = stretches.setdefault((mailbox_id, kind), [])
        if known and start <= known[-1][1]:
            known[-1][1:] = max(known[-1][1], read_to), known[-1][2] + row_count
        else:
            known.append([start, read_to, row_count])
    rows["office_units"] = [(*key, *stretch) for key, found in stretches.items() for stretch in found]
    return rows


def assert_same(workspace: Workspace, expected: Rows, *, but: str | None = None) -> None:
    """That the rows are those expected: all, or those of every mailbox but one (an owner's id)."""
    landed = rows_of(workspace)
    tables = list(landed) if but is None else list(ITEMS)
    left_out = None if but is None else key_of(workspace, but)
    for table in tables:
        there, wanted = (
            [row for row in rows[table] if but is None or row[0] != left_out] for rows in (landed, expected)
        )
        missing, more = Counter(map(str, wanted)), Counter(map(str, there))
        assert more == missing, f"{table}: missing {missing - more}, too many {more - missing}"


def key_of(workspace: Workspace, owner_id: str) -> int:
    return Hasher(load_hash_key(KEY, workspace.settings().hash_key_file)).mailbox(owner_id)


def states(workspace: Workspace) -> dict[str, str]:
    """The states of the mailboxes by their owner's name."""
    names = {one.id: one.mail.split("@")[0] for one in PEOPLE}
    return {
        names[entra_id]: state
        for entra_id, state in workspace.query("select entra_id, state from raw.office_mailboxes")
    }


def all_but_ben(state: str) -> dict[str, str]:
    return {"anna": "readable", "ben": state, "carl": "readable", "dora": "readable"}


def landed_of(workspace: Workspace, owner_id: str, table: str) -> list[tuple[Any, ...]]:
    return only_of(workspace, owner_id, rows_of(workspace)[table])


def only_of(workspace: Workspace, owner_id: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Those of one mailbox of the rows of a table of items or of the ledger."""
    key = key_of(workspace, owner_id)
    return [row for row in rows if row[0] == key]


def assert_nothing_landed(workspace: Workspace, owner_id: str, table: str, before: Rows) -> None:
    """That of a mailbox a table holds what it held, and the ledger no more of this kind; what has come to be older than
    the retention is no longer in it.
    """
    assert landed_of(workspace, owner_id, table) == only_of(workspace, owner_id, before[table])
    kind = table.removeprefix("office_")
    ledgers = (landed_of(workspace, owner_id, "office_units"), before["office_units"])
    now, then = ([row for row in only_of(workspace, owner_id, rows) if kind in row] for rows in ledgers)
    # mailbox and kind, from where, to where, and how many items
    assert [row[:2] + row[3:] for row in now] == [row[:2] + row[3:] for row in then]
    assert all(one[2] >= other[2] for one, other in zip(now, then, strict=True))


def asked(graph: Handle, *parts: str) -> list[LoggedRequest]:
    """The requests whose path holds one of these parts, oldest first."""
    return [request for request in graph.requests if any(part in request.path for part in parts)]


def service_error(code: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": f"{code} of anna@{OURS}."}}


# --- 16 to 18: throttling


@pytest.mark.parametrize("form", ["seconds", "fraction", "date"])
def test_fault_16_a_wait_that_is_asked_for_is_that_mailboxs_alone(
    connected: Workspace, graph: Handle, faultless: Rows, hurry: Hurry, form: str
) -> None:
    # The others get a second for what four may have under way anyhow, so that a busy machine lets them go on.
    hurry.speed = 40
    date = format_datetime(NOW + timedelta(seconds=40), usegmt=True)
    header = {"seconds": "40", "fraction": "40.128", "date": date}[form]
    graph.fail(f"{BEN.id}/messages", status=429, headers={"Retry-After": header})
    read(connected)
    assert_same(connected, faultless)
    requests = asked(graph, "/users/")
    (refused,) = [position for position, one in enumerate(requests) if one.status == 429]
    again = next(
        position
        for position, one in enumerate(requests)
        if position > refused and (one.path, one.query) == (requests[refused].path, requests[refused].query)
    )
    assert (requests[again].at - requests[refused].at) * hurry.speed >= 39.5
    # Where he was asked last of all, nobody is left to go on.
    left = sum(BEN.id not in one.path for one in requests[refused:])
    assert sum(BEN.id not in one.path for one in requests[refused:again]) >= min(5, left)


def test_fault_16_the_window_of_requests_of_a_mailbox(
    connected: Workspace, graph: Handle, faultless: Rows, hurry: Hurry
) -> None:
    """10,000 requests in ten minutes on a small scale: three in a minute."""
    graph.switches.mailbox_window = 3
    graph.switches.mailbox_window_seconds = 60 / hurry.speed
    read(connected)
    assert_same(connected, faultless)
    assert [one for one in graph.requests if one.status == 429]


@pytest.mark.parametrize("form", ["none", "seconds", "MailboxConcurrency"])
def test_fault_17_a_mailbox_throttled_for_ever_is_given_up_alone(
    connected: Workspace, graph: Handle, faultless: Rows, hurry: Hurry, form: Any
) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "60"
    if form == "MailboxConcurrency":
        body = {"error": {"code": "ApplicationThrottled", "message": "Application is over its limit."}}
        for match in EVERY_LIST:
            graph.fail(
                f"{BEN.id}{match}", times=FOR_EVER, status=429, headers={"Retry-After": "1"}, body=body
            )
    else:
        graph.switches.throttled_share = 1.0
        graph.switches.throttled_mailboxes = {BEN.id}
        graph.switches.throttled_answer = form
    said = read(connected, code=SOME_UNREAD)
    assert f"user {BEN.id}: Microsoft Graph" in said
    assert_same(connected, faultless, but=BEN.id)
    # few requests, whose distance grows and is never twice the same
    assert len(asked(graph, BEN.id)) < 60
    waits = [wait for wait in hurry.waited if wait > 0.5]
    assert max(waits) >= 8
    assert len({round(wait, 3) for wait in waits}) > 5
    assert states(connected) == all_but_ben("throttled")


def test_fault_18_a_storm_of_ten_minutes_is_no_flood_of_ours(
    workspace: Workspace, tmp_path: Path, hurry: Hurry
) -> None:
    hurry.speed, hurry.answer_seconds = 600.0, 3_600.0
    people = [person(f"p{number}") for number in range(12)]
    tenant = Tenant(now=NOW, people=people)
    for owner in people:
        tenant.messages[owner.id] = [message(owner, f"{owner.id}:1", NOW - timedelta(days=2))]
        tenant.events[owner.id] = [meeting(owner, f"{owner.id}:1", NOW - timedelta(days=2))]
    listed = [one.mail for one in people]
    prepared(workspace, addresses=listed).environment["ENGAGEMENT_RETRY_SECONDS"] = "3600"
    expected = faultless_rows(prepared(Workspace(tmp_path / "other"), addresses=listed), tenant)
    storm = 600 / hurry.speed
    with emulated(tenant, workspace, latency=0.01) as graph:
        graph.switches.throttled_share = 1.0
        graph.switches.throttled_mailboxes = {one.id for one in people}
        graph.switches.throttled_for = storm
        read(workspace)
        refused = [one for one in graph.requests if one.status == 429]
    assert_same(workspace, expected)
    # a request a second would be 600
    assert 5 <= len(refused) <= 150
    # and though the service asks for a second each time, waits grow
    assert max(hurry.waited) >= 8
    began = refused[0].at
    assert {one.under_way for one in refused if one.at > began + storm / 2} == {1}


@pytest.mark.parametrize("form", ["seconds", "none"])
def test_fault_18_a_half_of_all_requests_throttled_costs_time_alone(
    connected: Workspace, graph: Handle, faultless: Rows, form: Any
) -> None:
    graph.switches.throttled_share = 0.5
    graph.switches.throttled_answer = form
    read(connected)
    assert_same(connected, faultless)
    assert Counter(one.status for one in graph.requests)[429] >= 20


# --- 19 and 20: the service and the network


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_fault_19_bursts_of_server_errors_pass(
    connected: Workspace, graph: Handle, faultless: Rows, status: int
) -> None:
    faults = [graph.fail(match, times=5, status=status) for match in (*EVERY_LIST, "/groups", "/users?")]
    read(connected)
    assert_same(connected, faultless)
    assert all(fault.used == 5 for fault in faults)


def test_fault_19_pages_that_are_too_large_are_halved(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    graph.switches.largest_top = 100
    read(connected)
    assert_same(connected, faultless)
    answered = [one for one in asked(graph, "/messages", "/calendarView") if one.status == 200]
    assert answered and all(int(one.query["$top"]) <= 100 for one in answered)
    assert all(int(one.query["$top"]) >= 25 for one in answered)


def test_fault_19_an_item_that_cannot_be_read_costs_its_minute_alone(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    poisoned = graph.tenant.messages[BEN.id][20]
    entry = graph.tenant.events[BEN.id][8]
    graph.switches.poisoned = {poisoned.id, entry.id}
    said = read(connected, code=SOME_UNREAD)
    assert f"user {BEN.id}" in said
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    ids = Hasher(load_hash_key(KEY, connected.settings().hash_key_file))
    for table, item in (("office_messages", poisoned), ("office_meetings", entry)):
        wanted = {
            row[1]
            for row in faultless[table]
            if row[0] == key_of(connected, BEN.id) and row[1] != ids.item(item.id)
        }
        assert {row[1] for row in landed_of(connected, BEN.id, table)} == wanted
    # each minute of the hour that the entry takes is asked for
    assert len(asked(graph, BEN.id)) < 800
    # once it can be read, the next run has it
    graph.switches.poisoned = set()
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize("kind", ["reset", "cut_connection"])
def test_fault_20_broken_connections_are_made_anew(
    connected: Workspace, graph: Handle, faultless: Rows, kind: Any
) -> None:
    faults = [
        graph.fail(match, times=3, kind=kind) for match in (*EVERY_LIST, "oauth2", "/groups", "/users?")
    ]
    read(connected)
    assert_same(connected, faultless)
    assert all(fault.used == 3 for fault in faults)


def test_fault_20_names_that_are_not_found_for_a_while(
    connected: Workspace, graph: Handle, faultless: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = socket.getaddrinfo, Counter[str]()

    def find(*arguments: Any, **options: Any) -> Any:
        failures["asked"] += 1
        if failures["asked"] % 3:
            failures["failed"] += 1
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real(*arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", find)
    read(connected)
    assert_same(connected, faultless)
    assert failures["failed"] >= 4


def test_fault_20_a_handshake_that_fails_ends_with_the_budget(
    connected: Workspace, graph: Handle, hurry: Hurry
) -> None:
    """The emulator does not speak TLS."""
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "20"
    for name in ("ENGAGEMENT_GRAPH_URL", "ENGAGEMENT_AUTHORITY_URL"):
        connected.environment[name] = graph.url.replace("http:", "https:")
    assert "(no connection)" in read(connected, code=SERVICE_FAILED)
    assert graph.requests == [] and 2 <= len(hurry.waited) <= 6


def test_fault_20_a_service_that_is_gone_in_the_midst(
    connected: Workspace, graph: Handle, before: Rows
) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "20"
    graph.fail("/messages", times=FOR_EVER, kind="reset")
    graph.fail("/calendarView", times=FOR_EVER, kind="reset")
    assert "(connection broken)" in read(connected, code=SERVICE_FAILED)
    assert_same(connected, {**before, "office_mailboxes": rows_of(connected)["office_mailboxes"]})


@pytest.mark.parametrize("kind", ["stall", "drip"])
@pytest.mark.parametrize("match", ["/messages", "/users?"])
def test_fault_20_an_answer_that_does_not_end_is_left(
    connected: Workspace,
    graph: Handle,
    faultless: Rows,
    hurry: Hurry,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    match: str,
) -> None:
    """Before the service ends it: the client waits neither for the next byte nor for the last one too long."""
    hurry.clock_too, hurry.answer_seconds = False, 0.4
    monkeypatch.setattr(http, "client_timeout", lambda *_: httpx.Timeout(0.4), raising=False)
    fault = graph.fail(match, kind=kind, lasting=2.5)
    read(connected)
    assert_same(connected, faultless)
    assert (fault.used, fault.abandoned) == (1, 1)


# --- 21 and 22: answers that are none


@pytest.mark.parametrize("kind", ["truncated_json", "invalid_utf8", "cut_gzip", "html"])
def test_fault_21_and_22_what_is_not_whole_json_is_asked_for_again(
    connected: Workspace, graph: Handle, faultless: Rows, kind: Any
) -> None:
    faults = [
        graph.fail(match, times=3, kind=kind) for match in (*EVERY_LIST, "oauth2", "/groups", "/users?")
    ]
    read(connected)
    assert_same(connected, faultless)
    assert all(fault.used == 3 for fault in faults)


@pytest.mark.parametrize("kind", ["truncated_json", "invalid_utf8", "cut_gzip", "html"])
def test_fault_21_what_stays_broken_is_never_stored(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows, kind: Any
) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "5"
    graph.fail(f"{BEN.id}/messages", times=FOR_EVER, kind=kind)
    said = read(connected, code=SOME_UNREAD)
    assert "not the expected JSON" in said or "connection broken" in said
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    assert_nothing_landed(connected, BEN.id, "office_messages", before)


def test_fault_22_an_error_under_status_200_is_no_empty_list(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    faults = [
        graph.fail(match, times=3, status=200, body=service_error("UnknownError"))
        for match in (*EVERY_LIST, "/groups", "/users?")
    ]
    read(connected)
    assert_same(connected, faultless)
    assert all(fault.used == 3 for fault in faults)


def test_fault_22_an_error_under_status_200_that_stays_is_a_failure(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows
) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "5"
    graph.fail(f"{BEN.id}/calendarView", times=FOR_EVER, status=200, body=service_error("UnknownError"))
    read(connected, code=SOME_UNREAD)
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    assert_nothing_landed(connected, BEN.id, "office_meetings", before)


# --- 23 and 24: who we are


def test_fault_23_a_token_that_ends_between_pages_is_renewed_once(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    graph.switches.page_limit = 4
    graph.switches.token_requests = 20
    read(connected)
    assert_same(connected, faultless)
    counted = Counter(one.status for one in asked(graph, *EVERY_LIST))
    tokens = len(asked(graph, "oauth2"))
    assert counted[401] >= 2 and set(counted) == {200, 401}
    # one for every 20 requests and one at the beginning, however many threads were refused
    assert tokens <= (counted.total() + 20) / 20 + 1


def test_fault_23_a_token_that_ends_while_a_page_is_under_way(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    graph.switches.page_limit = 4
    fault = graph.fail("$skip=4", times=1, status=401)
    read(connected)
    assert_same(connected, faultless)
    (refused,) = [position for position, one in enumerate(graph.requests) if one.status == 401]
    same = [one for one in graph.requests if one.path == graph.requests[refused].path]
    repeated = [one for one in same if one.query == graph.requests[refused].query]
    assert fault.used == 1 and [one.status for one in repeated] == [401, 200]
    assert len(asked(graph, "oauth2")) == 2


@pytest.mark.parametrize("match", ["/users/", "/messages"])
def test_fault_23_a_second_401_ends_the_run(connected: Workspace, graph: Handle, match: str) -> None:
    """Of the directory, and of a mailbox."""
    graph.fail(match, times=FOR_EVER, status=401)
    connected.leave_sentinel()
    assert "status 401" in read(connected, code=REFUSED)
    assert len(asked(graph, "oauth2")) <= 9
    # a request and its repetition for each thread that was at work
    assert len(asked(graph, match)) <= 18


def test_fault_24_a_secret_that_has_expired(connected: Workspace, graph: Handle, hurry: Hurry) -> None:
    graph.switches.secret_expired = True
    said = read(connected, code=REFUSED)
    assert "AADSTS7000222; AZURE_CLIENT_SECRET has expired; make a new secret" in said
    assert len(graph.requests) == 1 and hurry.waited == []


def test_fault_24_a_secret_that_expires_in_the_midst(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    """What was landed until then stays, and the next run with a new one needs no more than the rest."""
    graph.switches.token_requests = 20
    # the first token is there: the next one is refused
    with at_request(graph, 5, lambda: setattr(graph.switches, "secret_expired", True)):
        said = read(connected, code=REFUSED)
    assert "AADSTS7000222" in said
    assert len(asked(graph, "oauth2")) <= 9
    graph.switches.secret_expired, graph.switches.token_requests = False, None
    read(connected)
    assert_same(connected, faultless)


@contextmanager
def at_request(graph: Handle, number: int, act: Callable[[], object]) -> Iterator[None]:
    """Lets something happen when the request of this number comes."""
    note = graph.emulator.mischief.note
    first = graph.emulator.mischief.calls

    def note_and_act(mailbox: str | None) -> timedelta:
        jumped = note(mailbox)
        if graph.emulator.mischief.calls == first + number:
            act()
        return jumped

    graph.emulator.mischief.note = note_and_act  # type: ignore[method-assign]
    try:
        yield
    finally:
        graph.emulator.mischief.note = note  # type: ignore[method-assign]


@pytest.mark.parametrize("seconds", [-590, 590])
@pytest.mark.parametrize("proof", ["secret", "certificate"])
def test_fault_24_a_clock_ten_minutes_off_does_no_harm(
    connected: Workspace,
    graph: Handle,
    faultless: Rows,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    proof: str,
) -> None:
    if proof == "certificate":
        graph.tenant.client_certificates = [as_pem(certificate_of("ours"))]
        sign_in_with(connected, as_pem(certificate_of("ours")) + key_pem("ours"))
        monkeypatch.setattr(certificate, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    else:
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + seconds)
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize("seconds", [-700, 700])
def test_fault_24_a_clock_further_off_is_named(
    connected: Workspace, graph: Handle, monkeypatch: pytest.MonkeyPatch, hurry: Hurry, seconds: float
) -> None:
    graph.tenant.client_certificates = [as_pem(certificate_of("ours"))]
    sign_in_with(connected, as_pem(certificate_of("ours")) + key_pem("ours"))
    monkeypatch.setattr(certificate, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    assert "the clock of this machine is off by many minutes; set it" in read(connected, code=REFUSED)
    assert len(graph.requests) == 1 and hurry.waited == []


def test_fault_24_a_certificate_that_has_expired(connected: Workspace, graph: Handle, hurry: Hurry) -> None:
    late = certificate_of("late", begins_in=-9e5, ends_in=-5)
    sign_in_with(connected, as_pem(late) + key_pem("late"))
    assert "AZURE_CLIENT_CERTIFICATE_PATH: app.pem has expired on" in read(connected, code=2)
    assert graph.requests == [] and hurry.waited == []


# --- 25 and 26: mailboxes that cannot be read


@pytest.mark.parametrize("code", ["ErrorAccessDenied", "ErrorQuotaExceeded"])
def test_fault_25_a_mailbox_that_is_denied_is_counted_and_left(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows, hurry: Hurry, code: str
) -> None:
    graph.fail(f"{BEN.id}/", times=FOR_EVER, status=403, body=service_error(code))
    assert "1 mailbox refused to the app" in read(connected, code=SOME_UNREAD)
    assert states(connected) == all_but_ben("denied")
    assert_same(connected, faultless, but=BEN.id)
    for table in ("office_messages", "office_meetings"):
        assert_nothing_landed(connected, BEN.id, table, before)
    # nothing more is asked of it
    assert hurry.waited == [] and len(asked(graph, BEN.id)) <= 2


@pytest.mark.parametrize(
    ("mailbox_state", "state"),
    [
        ("denied", "denied"),
        ("none", "not_found"),
        ("on_premises", "on_premises"),
        ("soft_deleted", "on_premises"),
    ],
)
def test_fault_26_a_mailbox_that_ends_in_the_midst_keeps_what_was_read_before(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows, mailbox_state: str, state: str
) -> None:
    graph.switches.mailbox_turns = {BEN.id: (3, mailbox_state)}
    read(connected, code=SOME_UNREAD)
    assert states(connected) == all_but_ben(state)
    for table in ("office_messages", "office_meetings"):
        kept = set(map(str, landed_of(connected, BEN.id, table)))
        assert kept >= set(map(str, only_of(connected, BEN.id, before[table])))
    # it turns with the third request, and nothing more is asked of it
    assert len(asked(graph, BEN.id)) <= 4
    # back again all is as if nothing had been
    graph.switches.mailbox_turns = {}
    read(connected)
    assert_same(connected, faultless)


# --- 27 to 33: paging


@pytest.mark.parametrize("times", [1, 2])
def test_fault_27_a_list_that_the_service_forgets_is_begun_anew(
    connected: Workspace, graph: Handle, faultless: Rows, times: int
) -> None:
    graph.switches.page_limit = 4
    graph.switches.misbehaving = {BEN.id}
    graph.switches.lost_sync_states = times
    read(connected)
    assert_same(connected, faultless)
    lost = [one for one in graph.requests if one.status == 410]
    assert len(lost) == times
    # the first page again
    for one in lost:
        first = {name: value for name, value in one.query.items() if not name.startswith("$skip")}
        begun = [other for other in graph.requests if other.path == one.path and other.query == first]
        assert len(begun) >= 2


def test_fault_27_old_rows_stay_until_the_new_read_is_complete(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    read(connected)  # so that there are old rows of every list
    graph.switches.page_limit = 4
    graph.switches.misbehaving = {BEN.id}
    graph.switches.lost_sync_states = FOR_EVER
    read(connected, code=SOME_UNREAD)
    assert states(connected) == all_but_ben("incomplete")
    # the states of the mailboxes are others
    assert_same(connected, {**faultless, "office_mailboxes": rows_of(connected)["office_mailboxes"]})


@pytest.mark.parametrize("switch", ["repeat_next_link", "next_link_loop"])
def test_fault_28_links_that_lead_in_circles_are_an_error(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows, switch: str
) -> None:
    """Of every list that has a second page; those of one page are read."""
    graph.switches.page_limit = 4
    graph.switches.misbehaving = {BEN.id}
    setattr(graph.switches, switch, True)
    assert "repeats a page without end" in read(connected, code=SOME_UNREAD)
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    assert_nothing_landed(connected, BEN.id, "office_messages", before)
    pages = Counter((one.path, str(sorted(one.query.items()))) for one in asked(graph, BEN.id))
    assert max(pages.values()) <= 3
    # mended, the next run has everything
    setattr(graph.switches, switch, False)
    read(connected)
    assert_same(connected, faultless)


def test_fault_29_fifty_empty_pages_are_followed_to_the_data(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    graph.switches.misbehaving = {BEN.id}
    graph.switches.empty_pages = 50
    read(connected)
    assert_same(connected, faultless)
    assert len([one for one in asked(graph, BEN.id) if "$skiptoken" in one.query]) >= 50


@pytest.mark.parametrize("listed", EVERY_LIST[:2])
@pytest.mark.parametrize("lost_after", [1, 2])
def test_fault_30_a_link_that_is_missing_early_is_noticed_by_the_count(
    connected: Workspace, graph: Handle, faultless: Rows, lost_after: int, listed: str
) -> None:
    """A range that is read in halves has fewer pages, and in the end no gap."""
    graph.switches.page_limit = 4
    graph.switches.misbehaving = {BEN.id}
    graph.switches.misbehaving_lists = (listed,)
    graph.switches.next_link_lost_after = lost_after
    read(connected)
    assert_same(connected, faultless)
    assert len(asked(graph, BEN.id)) < 400


@pytest.mark.parametrize("switch", ["pages_twice", "items_twice", "pages_reversed"])
def test_fault_31_what_comes_twice_or_in_another_order_counts_once(
    connected: Workspace, graph: Handle, faultless: Rows, switch: str
) -> None:
    graph.switches.page_limit = 4
    setattr(graph.switches, switch, True)
    read(connected)
    assert_same(connected, faultless)


def test_fault_31_all_of_it_at_once(connected: Workspace, graph: Handle, faultless: Rows) -> None:
    graph.switches.page_limit = 4
    for switch in ("pages_twice", "items_twice", "pages_reversed"):
        setattr(graph.switches, switch, True)
    graph.switches.empty_pages = 2
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize("times", [1, 2])
def test_fault_32_an_item_that_moves_between_pages_and_back_hides_none(
    connected: Workspace, graph: Handle, faultless: Rows, times: int
) -> None:
    # one list after another: the first page of another one would bring the item back too soon
    connected.environment["ENGAGEMENT_REQUESTS_PER_MAILBOX"] = "1"
    graph.switches.page_limit = 4
    graph.switches.moves_while_paging = times
    read(connected)
    assert_same(connected, faultless)
    moved = [one for held in graph.tenant.messages.values() for one in held if one.folder == "archive"]
    assert len(moved) >= 4


def test_fault_32_an_item_that_was_moved_out_and_is_back_is_there(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    """Also where a run came between: not deleted, and counted once."""
    read(connected)
    held = graph.tenant.messages[BEN.id]
    moved = max(held, key=lambda one: one.received_at)
    graph.tenant.messages[BEN.id] = [one for one in held if one is not moved]
    read(connected)
    graph.tenant.messages[BEN.id].append(replace(moved, folder="archive"))
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize("origin", ["another host", "another port", "https", "no address"])
def test_fault_33_a_link_that_leads_away_is_refused_and_never_gets_the_token(
    connected: Workspace, graph: Handle, faultless: Rows, origin: str
) -> None:
    graph.switches.page_limit = 4
    graph.switches.misbehaving = {BEN.id}
    with running(busy_tenant()) as foreign:
        graph.switches.next_link_origin = {
            "another host": foreign.url.replace("127.0.0.1", "localhost"),
            "another port": foreign.url,
            "https": graph.url.replace("http:", "https:"),
            "no address": "http://[",
        }[origin]
        said = read(connected, code=SOME_UNREAD)
        assert foreign.requests == []
    assert "refused" in said or "no valid address" in said
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    assert {one.status for one in asked(graph, *EVERY_LIST)} == {200}


def test_fault_33_the_directory_may_not_lead_away_either(workspace: Workspace) -> None:
    people = [person(f"p{number}") for number in range(1200)]
    tenant = busy_tenant()
    tenant.people += people
    tenant.groups[0] = replace(tenant.groups[0], members=tuple(one.id for one in people))
    with running(Tenant(now=NOW)) as foreign:
        with emulated(tenant, prepared(workspace), next_link_origin=foreign.url):
            assert "points to another host" in read(workspace, code=SERVICE_FAILED)
        assert foreign.requests == []


def test_fault_33_a_redirection_is_not_followed(connected: Workspace, graph: Handle, faultless: Rows) -> None:
    with running(busy_tenant()) as foreign:
        graph.fail(
            f"{BEN.id}/messages", times=FOR_EVER, status=302, headers={"Location": f"{foreign.url}/v1.0/x"}
        )
        assert "status 302" in read(connected, code=SOME_UNREAD)
        assert foreign.requests == []
    assert_same(connected, faultless, but=BEN.id)


# --- 34 to 36: much, large, late


def test_fault_34_a_mailbox_with_too_much_in_an_hour_is_read_in_parts(
    workspace: Workspace, tenant: Tenant
) -> None:
    many = list(crowded(30_000, NOW - timedelta(days=5)))
    tenant.messages = {BEN.id: many}
    tenant.events = {}
    with emulated(tenant, prepared(workspace)) as graph:
        read(workspace)
        asked_of = {
            one.id: Counter(request.query["$filter"] for request in asked(graph, f"{one.id}/messages"))
            for one in (ANNA, BEN)
        }
    key = key_of(workspace, BEN.id)
    assert workspace.query(
        f"select count(*), count(distinct item_key) from raw.office_messages where mailbox_id = {key}"
    ) == [(30_000, 30_000)]
    # halves of halves, where others need one list
    assert len(asked_of[BEN.id]) > len(asked_of[ANNA.id])
    # pages of a thousand: no range is read of which more than 25,000 would be held at once
    assert max(asked_of[BEN.id].values()) <= 25


def crowded(count: int, start: datetime) -> Iterator[Message]:
    """So many messages of one hour, which differ in little."""
    one = message(BEN, "crowd", start)
    for number in range(count):
        yield replace(
            one,
            id=f"{one.id[:-8]}{number:07d}=",
            internet_message_id=f"<{number}@mail.example>",
            received_at=start + timedelta(milliseconds=3_600_000 * number // count),
        )


def test_fault_35_five_thousand_recipients_and_a_name_of_a_megabyte(
    workspace: Workspace, tenant: Tenant
) -> None:
    crowd = tuple(f"guest{number}@elsewhere.example" for number in range(5_000))
    at = NOW - timedelta(days=3)
    tenant.messages[BEN.id] = [
        message(BEN, "many", at, to=crowd[:3_000], cc=crowd[3_000:]),
        message(BEN, "long", at, from_address="long@elsewhere.example"),
    ]
    names = {"long@elsewhere.example": "x" * 1_000_000}
    with emulated(tenant, prepared(workspace), shown_names=names):
        said = read(workspace)
    rows = workspace.query(
        "select len(recipient_keys), len(list_distinct(recipient_keys)) from raw.office_messages where"
        f" mailbox_id = {key_of(workspace, BEN.id)} order by all"
    )
    assert rows == [(1, 1), (5_000, 5_000)]
    assert workspace.private_file.stat().st_size < 20e6 and len(said) < 2_000


def test_fault_35_a_series_of_ten_thousand_occurrences(workspace: Workspace, tenant: Tenant) -> None:
    begin = NOW.replace(hour=0, minute=0) - timedelta(days=9)
    first = meeting(BEN, "series", begin, type="occurrence", series_master_id="master")
    tenant.events = {
        BEN.id: [
            replace(
                first,
                id=f"{first.id[:-8]}{number:07d}=",
                start_at=begin + timedelta(minutes=number),
                end_at=begin + timedelta(minutes=number + 1),
            )
            for number in range(10_000)
        ]
    }
    with emulated(tenant, prepared(workspace)):
        read(workspace)
    assert workspace.query("select count(*), count(distinct start_at) from raw.office_meetings") == [
        (10_000, 10_000)
    ]


def test_fault_36_mail_that_appears_a_day_late_is_found_by_the_overlap(
    connected: Workspace, graph: Handle
) -> None:
    assert late_found(connected, graph, late=timedelta(days=1), days_ago=[2], runs_on=[0, 1, 2]) == {2: 1}


def test_fault_36_mail_that_appears_a_week_late_is_found_by_reading_old_mail_again(
    connected: Workspace, graph: Handle
) -> None:
    """A part of it in every run: within twelve weekly runs all of it."""
    found = late_found(
        connected, graph, late=timedelta(days=7), days_ago=[8, 20, 80, 200], runs_on=range(0, 85, 7)
    )
    assert set(found) == {8, 20, 80, 200}


def late_found(
    workspace: Workspace, graph: Handle, *, late: timedelta, days_ago: Sequence[int], runs_on: Iterable[int]
) -> dict[int, int]:
    """By how many days ago messages were received that appear so late from now: on what day they were found."""
    hasher = Hasher(load_hash_key(KEY, workspace.settings().hash_key_file))
    messages = {days: message(BEN, f"late:{days}", NOW - timedelta(days=days, hours=1)) for days in days_ago}
    keys = {hasher.item(one.id): days for days, one in messages.items()}
    graph.tenant.messages[BEN.id] += messages.values()
    graph.switches.appears_at = {one.id: NOW + late for one in messages.values()}
    found: dict[int, int] = {}
    for day in runs_on:
        graph.tenant.now = NOW + timedelta(days=day)
        read(workspace)
        for (item_key,) in workspace.query("select item_key from raw.office_messages where gone_at is null"):
            if item_key in keys:
                found.setdefault(keys[item_key], day)
        if len(found) == len(keys):
            break
    return found


# --- 37: the schema


def test_fault_37_a_new_property_is_dropped_and_reported(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    graph.switches.new_properties = {"sensitivityLabel": {"assignedTo": f"anna@{OURS}"}}
    said = read(connected)
    assert_same(connected, faultless)
    (line,) = [line for line in said.splitlines() if "sensitivityLabel" in line]
    assert "warning" in line and "assignedTo" not in line


DRIFTS: dict[str, dict[str, Any]] = {
    "the date is missing": {"missing_properties": {"receivedDateTime", "start"}},
    "the sender is missing": {"missing_properties": {"from", "organizer"}},
    "a flag is missing": {"missing_properties": {"isDraft"}},
    "the recipients are renamed": {
        "renamed_properties": {"toRecipients": "recipients", "attendees": "guests"}
    },
    "the date is renamed": {"renamed_properties": {"receivedDateTime": "received", "start": "begin"}},
    "the date is a number": {
        "changed_properties": {"receivedDateTime": 1_782_883_800, "start": 1_782_883_800}
    },
    "the sender is a text": {"changed_properties": {"from": "kim@contoso.example", "organizer": "kim"}},
    "a flag is a text": {"changed_properties": {"isDraft": "false"}},
    "the id is missing": {"missing_properties": {"id"}},
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_fault_37_a_property_that_is_not_as_documented_lands_nothing(
    connected: Workspace, graph: Handle, faultless: Rows, before: Rows, hurry: Hurry, drift: str
) -> None:
    connected.environment["ENGAGEMENT_RETRY_SECONDS"] = "60"
    graph.switches.misbehaving = {BEN.id}
    for switch, value in DRIFTS[drift].items():
        setattr(graph.switches, switch, value)
    said = read(connected, code=SOME_UNREAD)
    assert f"user {BEN.id}" in said
    assert states(connected) == all_but_ben("incomplete")
    assert_same(connected, faultless, but=BEN.id)
    assert_nothing_landed(connected, BEN.id, "office_messages", before)
    # no repetition mends it
    assert sum(hurry.waited) < 30 and len(asked(graph, BEN.id)) < 30
    for switch in DRIFTS[drift]:
        setattr(graph.switches, switch, type(DRIFTS[drift][switch])())
    read(connected)
    assert_same(connected, faultless)


# --- 42: the clock


@pytest.mark.parametrize("hours", [-24, 24])
def test_fault_42_a_clock_that_jumps_in_the_midst_changes_nothing(
    connected: Workspace, graph: Handle, faultless: Rows, hours: int
) -> None:
    """The range is taken once, at the beginning, from the service's own date."""
    graph.switches.clock_jumps = {number: timedelta(hours=hours) for number in (4, 10)}
    read(connected)
    assert_same(connected, faultless)


@pytest.mark.parametrize("days", [-1, 1, 400])
def test_fault_42_our_own_clock_may_say_what_it_likes(
    connected: Workspace, graph: Handle, faultless: Rows, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    real, jumped = time.time, Counter[str]()

    def jump() -> None:
        monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
        jumped["times"] += 1

    with at_request(graph, 15, jump):
        read(connected)
    assert jumped["times"] == 1
    assert_same(connected, faultless)


def test_fault_42_a_clock_that_jumps_between_runs_loses_and_doubles_nothing(
    connected: Workspace, graph: Handle, faultless: Rows
) -> None:
    for days in (0, -1, 1, 0):
        graph.tenant.now = NOW + timedelta(days=days)
        read(connected)
    expected, landed = faultless["office_messages"], rows_of(connected)["office_messages"]
    assert len(landed) == len({row[:2] for row in landed})
    # of what had been received by then, whatever was believed to be the time
    assert {row[:2] for row in landed} >= {row[:2] for row in expected}
    gone = connected.query("select count(*) from raw.office_messages where gone_at is not null")
    assert gone == [(0,)]


# --- all of them


@contextmanager
def in_a_process(
    workspace: Workspace, tenant_function: str, switches: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """The emulator on the other core, with the workspace pointed at it."""
    url_file = workspace.root / "emulator-url"
    command = [sys.executable, "-m", "emulators.graph", "--tenant", f"test_faults:{tenant_function}"]
    command += ["--switches", msgspec.json.encode(switches or {}).decode()]
    command += ["--url-file", str(url_file), "--until-input-ends"]
    path = f"{ROOT / 'scripts'}:{ROOT / 'tests' / 'python'}"
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env={"PYTHONPATH": path}, cwd=ROOT
    )
    try:
        deadline = time.monotonic() + 60
        while not url_file.exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        url = url_file.read_text("utf-8")
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": url, "ENGAGEMENT_GRAPH_URL": url}
        yield
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=20)
        url_file.unlink(missing_ok=True)


PATIENT = {"ENGAGEMENT_RETRY_SECONDS": "7200", "ENGAGEMENT_MAILBOX_SECONDS": "864000"}


def office_of(size: int) -> Tenant:
    """So many people, each with some mail and some meetings of the last hundred days."""
    dice = random.Random(f"an office of {size}")
    tenant = Tenant(now=NOW, people=[person(f"p{number}") for number in range(size)])
    for owner in tenant.people:
        tenant.messages[owner.id] = [
            message(owner, f"{owner.id}:{n}", NOW - timedelta(minutes=dice.randrange(60, 60 * 24 * 99)))
            for n in range(dice.randrange(5, 25))
        ]
        tenant.events[owner.id] = [
            meeting(owner, f"{owner.id}:{n}", NOW - timedelta(hours=dice.randrange(-200, 24 * 99)))
            for n in range(dice.randrange(2, 10))
        ]
    return tenant


def office_of_20() -> Tenant:
    return office_of(20)


def office_of_300() -> Tenant:
    return office_of(300)


def runs_equal(root: Path, size: int, hurry: Hurry, switches: Mapping[str, Any]) -> None:
    """A run with faults beside one without; no patience ends, so that it is the faults that are tested."""
    hurry.speed, hurry.answer_seconds = 200.0, 36_000.0
    addresses = [f"p{number}@{OURS}" for number in range(size)]
    landed = {}
    for name, changed in (("faultless", {}), ("faulty", switches)):
        workspace = prepared(Workspace(root / name), addresses=addresses, tolerated_failures=0.0)
        workspace.environment |= PATIENT
        with in_a_process(workspace, f"office_of_{size}", changed):
            said = read(workspace)
        assert f"{size} of {size} mailboxes read" in said
        landed[name] = workspace
    assert_same(landed["faulty"], rows_of(landed["faultless"]))
    assert landed["faulty"].query("select distinct state from raw.office_mailboxes") == [("readable",)]


def test_20_mailboxes_with_a_fifth_of_all_requests_failing_equal_a_faultless_run(
    tmp_path: Path, hurry: Hurry
) -> None:
    runs_equal(tmp_path, 20, hurry, {"fault_rate": 0.2, "fault_seed": 1, "page_limit": 5})
    assert len(hurry.waited) > 20


@pytest.mark.long
def test_300_mailboxes_with_a_fifth_of_all_requests_failing_equal_a_faultless_run(
    tmp_path: Path, hurry: Hurry
) -> None:
    runs_equal(tmp_path, 300, hurry, {"fault_rate": 0.2, "fault_seed": 3, "page_limit": 5})
    assert len(hurry.waited) > 500


@pytest.mark.parametrize("mishap", MISHAPS)
@pytest.mark.long
def test_each_mishap_alone_in_a_half_of_all_requests(
    connected: Workspace, graph: Handle, faultless: Rows, hurry: Hurry, mishap: Any
) -> None:
    hurry.speed, hurry.answer_seconds = 200.0, 36_000.0
    connected.environment |= PATIENT
    graph.switches.page_limit = 6
    graph.switches.fault_rate, graph.switches.fault_kinds = 0.5, (mishap,)
    read(connected)
    assert_same(connected, faultless)
