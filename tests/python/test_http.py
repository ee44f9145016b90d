"""Requests over real HTTP on loopback: sign-in, retries, pages, and what messages may say."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import pytest

from conftest import NOW, OURS, Workspace, emulated, message, person, small_tenant
from emulators.graph import Handle
from emulators.tenant import Tenant
from engagement.errors import AuthenticationError, ServiceError
from engagement.http import Patience
from engagement.office import client as office_client
from engagement.office import graph as ours
from engagement.office.client import GatewayTimeout, GraphClient, MailboxUnreadable, ResourceMissing
from engagement.office.graph import Service

ANNA = person("anna")
MAIL = "/users/{id}/messages"


class Waits(Patience):
    """Patience whose clock is moved by waiting alone; `waited` holds the waits."""

    def __init__(self, *, seconds: float = 300.0) -> None:
        self.waited: list[float] = []
        super().__init__(
            seconds=seconds, sleep=self.waited.append, clock=lambda: sum(self.waited), spread=lambda: 1.0
        )


@pytest.fixture
def waits() -> Waits:
    return Waits()


@pytest.fixture
def client(connected: Workspace, waits: Waits) -> Iterator[GraphClient]:
    with Service(connected.settings(), waits).client() as graph_client:
        yield graph_client


def read_messages(client: GraphClient, **changes: str) -> list[str]:
    params = {"$select": ours.MESSAGE_SELECT, "$top": "5"} | changes
    pages = client.pages(
        MAIL, ours.decode_messages, permission="Mail", ids={"id": ANNA.id}, params=params, mailbox=True
    )
    return [item.id for page in pages for item in page.value]


def statuses(handle: Handle) -> list[int]:
    return [request.status for request in handle.requests if "oauth2" not in request.path]


def test_every_page_is_read_with_the_same_headers(client: GraphClient, graph: Handle) -> None:
    assert len(set(read_messages(client))) == 14
    listed = [request for request in graph.requests if request.path.endswith("/messages")]
    assert len(listed) == 3
    for request in listed:
        assert 'IdType="ImmutableId"' in request.headers["prefer"]
        assert 'outlook.timezone="UTC"' in request.headers["prefer"]
        assert request.headers["authorization"].startswith("Bearer ")


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (429, {"Retry-After": "7"}, 7.0),
        (429, {"Retry-After": "2.128"}, 2.128),
        (429, {"Retry-After": format_datetime(NOW + timedelta(seconds=9), usegmt=True)}, 9.0),
        (429, {"Retry-After": "200"}, 200.0),
        (429, {"Retry-After": "0"}, 1.0),
        (503, {"Retry-After": "0.2"}, 1.0),
        (429, {"Retry-After": format_datetime(NOW - timedelta(hours=1), usegmt=True)}, 1.0),
        (429, {"Retry-After": "soon"}, 1.0),
        (429, {}, 1.0),
        (500, {}, 1.0),
        (502, {}, 1.0),
        (503, {}, 1.0),
        (504, {}, 1.0),
    ],
)
def test_waits_as_asked_then_goes_on(
    client: GraphClient, graph: Handle, waits: Waits, status: int, headers: dict[str, str], expected: float
) -> None:
    graph.fail("/messages", status=status, headers=headers)
    assert len(read_messages(client)) == 14
    assert waits.waited == [pytest.approx(expected)]


def test_waits_grow_where_nothing_is_asked_and_end_with_the_budget(
    client: GraphClient, graph: Handle, waits: Waits
) -> None:
    graph.fail("/messages", times=100, status=503)
    with pytest.raises(
        ServiceError, match=r"GET /users/\{id\}/messages failed \(status 503\) after \d+ attempts"
    ):
        read_messages(client)
    assert waits.waited[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert sum(waits.waited) <= 300


def test_no_wait_asked_for_is_no_leave_to_hammer(client: GraphClient, graph: Handle, waits: Waits) -> None:
    graph.fail("/messages", times=100, status=429, headers={"Retry-After": "0"})
    with pytest.raises(ServiceError, match="status 429"):
        read_messages(client)
    assert waits.waited[:7] == [1, 2, 4, 8, 16, 32, 60]


@pytest.mark.parametrize("asked", ["301", "100000", "inf"])
def test_a_wait_beyond_the_budget_gives_up_at_once(
    client: GraphClient, graph: Handle, waits: Waits, asked: str
) -> None:
    graph.fail("/messages", times=100, status=429, headers={"Retry-After": asked})
    with pytest.raises(ServiceError, match="after 1 attempts"):
        read_messages(client)
    assert waits.waited == []
    assert len([request for request in graph.requests if request.path.endswith("/messages")]) == 1


@pytest.mark.parametrize("kind", ["reset", "cut_connection", "truncated_json", "html"])
def test_broken_answers_are_asked_for_again(
    client: GraphClient, graph: Handle, waits: Waits, kind: Any
) -> None:
    graph.fail("/messages", times=2, kind=kind)
    assert len(set(read_messages(client))) == 14
    assert len(waits.waited) == 2


def test_a_broken_later_page_is_repeated_alone(client: GraphClient, graph: Handle) -> None:
    graph.fail("$skip=5", kind="truncated_json")
    assert len(set(read_messages(client))) == 14
    assert len([request for request in graph.requests if request.path.endswith("/messages")]) == 4


def test_an_error_body_under_status_200_is_no_empty_page(
    client: GraphClient, graph: Handle, waits: Waits
) -> None:
    graph.fail("/messages", status=200, body={"error": {"code": "UnknownError", "message": "x"}})
    assert len(read_messages(client)) == 14
    assert len(waits.waited) == 1


def test_our_own_mistake_ends_it_at_once(client: GraphClient, graph: Handle, waits: Waits) -> None:
    with pytest.raises(ServiceError, match="status 400"):
        read_messages(client, **{"$top": "5000"})
    assert waits.waited == []


def test_two_gateway_timeouts_ask_for_smaller_pages(client: GraphClient, graph: Handle) -> None:
    graph.fail("/messages", times=2, status=504)
    pages = client.pages(
        MAIL,
        ours.decode_messages,
        permission="Mail",
        ids={"id": ANNA.id},
        params={"$select": "id"},
        mailbox=True,
        can_shrink=True,
    )
    with pytest.raises(GatewayTimeout):
        next(pages)


def test_gateway_timeouts_are_repeated_where_nothing_can_be_smaller(
    client: GraphClient, graph: Handle, waits: Waits
) -> None:
    graph.fail("/messages", times=3, status=504)
    assert len(read_messages(client)) == 14
    assert waits.waited == [1, 2, 4]


def test_a_token_that_ends_is_renewed_once_and_the_page_repeated(client: GraphClient, graph: Handle) -> None:
    pages = client.pages(
        MAIL,
        ours.decode_messages,
        permission="Mail",
        ids={"id": ANNA.id},
        params={"$select": ours.MESSAGE_SELECT},
        mailbox=True,
    )
    seen = [item.id for item in next(iter(pages)).value]
    graph.expire_tokens()
    seen += [item.id for page in pages for item in page.value]
    assert len(seen) == 14
    assert len([request for request in graph.requests if "oauth2" in request.path]) == 2


def test_a_short_lived_token_is_renewed_before_it_ends(workspace: Workspace, tenant: Tenant) -> None:
    with emulated(tenant, workspace, token_lifetime=100) as handle:
        waits = Waits()
        service = Service(workspace.settings(), waits)
        with service.client() as client:
            read_messages(client)
            waits.waited.append(79.0)
            read_messages(client)
            assert len([request for request in handle.requests if "oauth2" in request.path]) == 1
            waits.waited.append(2.0)
            read_messages(client)
        assert len([request for request in handle.requests if "oauth2" in request.path]) == 2
        assert 401 not in statuses(handle)


def test_a_token_of_an_hour_is_renewed_five_minutes_before_it_ends(
    client: GraphClient, graph: Handle, waits: Waits
) -> None:
    read_messages(client)
    for seconds, asked in ((3298.0, 1), (1.5, 2), (3298.0, 2), (1.5, 3)):
        waits.waited.append(seconds)
        read_messages(client)
        assert len([request for request in graph.requests if "oauth2" in request.path]) == asked
    assert 401 not in statuses(graph)


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_wall_clock_that_is_wrong_or_set_does_not_touch_the_token(
    connected: Workspace, graph: Handle, days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The life of a token counts on the monotonic clock; the service's `Date` is of another year anyway."""
    service = Service(connected.settings())
    with service.client() as client:
        read_messages(client)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)
        read_messages(client)
        monkeypatch.undo()
        read_messages(client)
    assert len([request for request in graph.requests if "oauth2" in request.path]) == 1
    assert 401 not in statuses(graph)


@pytest.mark.parametrize(("life", "asked"), [(3599, 1), (100, 2)])
def test_the_life_of_a_token_counts_from_the_request_that_asked_for_it(
    workspace: Workspace, waits: Waits, life: int, asked: int
) -> None:
    """An answer that takes 75 seconds leaves five of the eighty that a token of a hundred is used for."""
    count = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal count
        body = b'{"value": []}'
        if request.command == "POST":
            request.rfile.read(int(request.headers["Content-Length"]))
            count += 1
            waits.waited.append(75.0)
            body = json.dumps({"access_token": f"token {count}", "expires_in": life}).encode()
        reply(request, body)

    with answering(answer) as url:
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": url, "ENGAGEMENT_GRAPH_URL": url}
        service = Service(workspace.settings(), waits)
        service.sign_in()
        with service.client() as client:
            for seconds in (4.0, 2.0):
                waits.waited.append(seconds)
                client.get("/users/{id}", ours.decode_users, permission="User", ids={"id": "1"})
    assert count == asked


def test_one_renewal_serves_all_threads(connected: Workspace, graph: Handle) -> None:
    service = Service(connected.settings())
    service.sign_in()
    graph.expire_tokens()

    def work() -> None:
        with service.client() as client:
            read_messages(client)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([request for request in graph.requests if "oauth2" in request.path]) == 2


def test_a_second_401_is_a_matter_for_the_administrator(client: GraphClient, graph: Handle) -> None:
    graph.fail("/messages", times=2, status=401)
    with pytest.raises(AuthenticationError, match="status 401"):
        read_messages(client)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AZURE_CLIENT_SECRET", "wrong-secret", "AADSTS7000215; AZURE_CLIENT_SECRET is wrong"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000000", "AADSTS700016; AZURE_CLIENT_ID"),
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000000", "AADSTS90002; AZURE_TENANT_ID"),
    ],
)
def test_a_refused_sign_in_says_which_value_is_wrong(
    connected: Workspace, waits: Waits, name: str, value: str, said: str
) -> None:
    connected.environment[name] = value
    with pytest.raises(AuthenticationError) as caught:
        Service(connected.settings(), waits).sign_in()
    assert said in caught.value.message
    assert value not in caught.value.message
    assert waits.waited == []


def test_a_sign_in_that_fails_for_a_moment_is_repeated(
    connected: Workspace, graph: Handle, waits: Waits
) -> None:
    graph.fail("/token", times=2, status=503)
    service = Service(connected.settings(), waits)
    assert service.sign_in() == NOW.replace(tzinfo=None)
    assert waits.waited == [1, 2]


def test_no_service_at_all(workspace: Workspace, waits: Waits) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        workspace.environment["ENGAGEMENT_AUTHORITY_URL"] = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ServiceError, match=r"Microsoft sign-in: .* failed \(no connection\)"):
        Service(workspace.settings(), waits).sign_in()
    # a wrong address is told within half a minute
    assert sum(waits.waited) <= 30


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "ErrorAccessDenied", "denied"),
        (403, "ErrorQuotaExceeded", "denied"),
        (404, "MailboxNotEnabledForRESTAPI", "on_premises"),
        (404, "ErrorInvalidUser", "not_found"),
        (404, "Request_ResourceNotFound", "not_found"),
    ],
)
def test_what_a_mailbox_cannot(
    client: GraphClient, graph: Handle, status: int, code: str, expected: str
) -> None:
    graph.fail("/messages", status=status, body={"error": {"code": code, "message": "x"}})
    with pytest.raises(MailboxUnreadable) as caught:
        read_messages(client)
    assert caught.value.state == expected


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b'{"error": {"code": null}}'])
def test_error_bodies_of_any_shape(client: GraphClient, graph: Handle, body: bytes) -> None:
    graph.fail("/messages", status=403, body=body or b" ")
    with pytest.raises(MailboxUnreadable):
        read_messages(client)


def test_a_permission_that_was_not_granted_is_named(
    workspace: Workspace, tenant: Tenant, waits: Waits
) -> None:
    with (
        emulated(tenant, workspace, missing_permissions={"mail"}),
        Service(workspace.settings(), waits).client() as client,
        pytest.raises(AuthenticationError, match=r"grant the app Mail \(docs/permissions\.md\)"),
    ):
        read_messages(client)


def test_an_unknown_directory_object_is_no_failure(client: GraphClient) -> None:
    with pytest.raises(ResourceMissing):
        client.get("/users/{id}", ours.decode_user, permission="User", ids={"id": f"nobody@{OURS}"})


@pytest.mark.parametrize("switch", [{"repeat_next_link": True}, {"next_link_origin": "http://127.0.0.2:1"}])
def test_links_that_loop_or_lead_away_are_refused(
    workspace: Workspace, tenant: Tenant, waits: Waits, switch: dict[str, Any]
) -> None:
    said = "without end" if "repeat_next_link" in switch else "another host"
    with (
        emulated(tenant, workspace, **switch),
        Service(workspace.settings(), waits).client() as client,
        pytest.raises(ServiceError, match=said),
    ):
        read_messages(client)


def test_empty_last_pages_are_followed(workspace: Workspace, tenant: Tenant, waits: Waits) -> None:
    with (
        emulated(tenant, workspace, trailing_link=True),
        Service(workspace.settings(), waits).client() as client,
    ):
        assert len(read_messages(client, **{"$top": "7"})) == 14


def test_unknown_properties_are_ignored(workspace: Workspace, tenant: Tenant, waits: Waits) -> None:
    with (
        emulated(tenant, workspace, extra_properties=True, lower_case_inner_error=True),
        Service(workspace.settings(), waits).client() as client,
    ):
        assert len(read_messages(client)) == 14


def test_messages_and_logs_hold_nothing_personal(
    connected: Workspace, graph: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """Addresses stand in paths and filters, the secret in the form: none may reach a log."""
    caplog.set_level(logging.DEBUG)
    patience = Patience(seconds=0.2)
    service = Service(connected.settings(), patience)
    with service.client() as client:
        caplog.set_level(logging.DEBUG, "engagement")
        graph.fail("/users/", times=50, status=503)
        with pytest.raises(ServiceError) as caught:
            client.get("/users/{id}", ours.decode_user, permission="User", ids={"id": f"anna@{OURS}"})
    text = caught.value.message + "\n".join(
        record.getMessage()
        for record in caplog.records
        if record.name.startswith(("engagement", "httpx", "httpcore"))
    )
    for secret in (OURS, "anna", "Bearer", connected.environment["AZURE_CLIENT_SECRET"]):
        assert secret not in text


def test_a_page_too_heavy_is_read_in_smaller_ones(workspace: Workspace) -> None:
    from engagement.addresses import AddressBook, Hasher, SenderPatterns
    from engagement.office import messages

    tenant = small_tenant()
    tenant.messages[ANNA.id] = [message(ANNA, f"m{n}", NOW - timedelta(minutes=n + 60)) for n in range(300)]
    with emulated(tenant, workspace) as handle:
        handle.fail("$top=1000", times=1000, status=504)
        handle.fail("$top=500", times=1000, status=504)
        handle.fail("$top=250", times=1000, status=504)
        settings = workspace.settings()
        book = AddressBook(Hasher(b"k" * 32), SenderPatterns.load(settings.sender_patterns_file))
        with Service(settings, Waits()).client() as client:
            read = messages.read(
                client,
                book,
                entra_id=ANNA.id,
                mailbox_id=1,
                start=(NOW - timedelta(days=2)).replace(tzinfo=None),
                end=NOW.replace(tzinfo=None),
                search_folder_ids=frozenset(),
            )
        assert len(read.rows) == 300
        sizes = [request.query["$top"] for request in handle.requests if request.path.endswith("/messages")]
        assert sizes[:6] == ["1000", "1000", "500", "500", "250", "250"] and set(sizes[6:]) == {"125"}


def test_gateway_timeouts_of_the_smallest_page_are_repeated(connected: Workspace, graph: Handle) -> None:
    from engagement.addresses import AddressBook, Hasher, SenderPatterns
    from engagement.office import meetings

    settings = connected.settings()
    book = AddressBook(Hasher(b"k" * 32), SenderPatterns.load(settings.sender_patterns_file))
    for top in (1000, 500, 250, 125, 62, 31):
        graph.fail(f"$top={top}&", times=1000, status=504)
    graph.fail("$top=25&", times=3, status=504)
    with Service(settings, Waits()).client() as client:
        read = meetings.read(
            client,
            book,
            entra_id=ANNA.id,
            mailbox_id=1,
            start=(NOW - timedelta(days=41)).replace(tzinfo=None),
            end=(NOW + timedelta(days=14)).replace(tzinfo=None),
        )
    assert len(read.rows) == 3
    sizes = [request.query["$top"] for request in graph.requests if request.path.endswith("/calendarView")]
    assert sizes == [
        "1000",
        "1000",
        "500",
        "500",
        "250",
        "250",
        "125",
        "125",
        "62",
        "62",
        "31",
        "31",
        "25",
        "25",
        "25",
        "25",
    ]


def reply(
    request: BaseHTTPRequestHandler, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> None:
    """Answers a request of a bare server."""
    request.send_response(status)
    for name, value in (headers or {}).items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A bare server for what the emulator has no business doing."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("body", [b"{}", b'{"access_token": null, "expires_in": 3599}', b"<html>", b""])
def test_an_answer_without_a_token_is_no_token(workspace: Workspace, waits: Waits, body: bytes) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        reply(request, body)

    with answering(answer) as url:
        workspace.environment["ENGAGEMENT_AUTHORITY_URL"] = url
        with pytest.raises(ServiceError, match="an answer without a token"):
            Service(workspace.settings(), waits).sign_in()


def test_the_clock_is_the_local_one_where_the_service_says_nothing(
    workspace: Workspace, waits: Waits
) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers["Content-Length"]))
        body = b'{"access_token": "x", "expires_in": 3599}'
        request.send_response_only(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    with answering(answer) as url:
        workspace.environment["ENGAGEMENT_AUTHORITY_URL"] = url
        moment = Service(workspace.settings(), waits).sign_in()
    assert abs(moment.timestamp() - time.mktime(time.gmtime())) < 60


def listing(body_of: Callable[[int, str], bytes], waits: Waits, workspace: Workspace) -> int:
    """The number of pages of a list whose page `n` is `body_of(n, url)`; ends at 1,500."""
    count = 0

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal count
        body = b'{"access_token": "x", "expires_in": 3599}'
        if request.command == "POST":
            request.rfile.read(int(request.headers["Content-Length"]))
        else:
            count += 1
            body = body_of(count, f"http://{request.headers['Host']}/v1.0/x?page={count}")
        reply(request, body)

    with answering(answer) as url:
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": url, "ENGAGEMENT_GRAPH_URL": url}
        with Service(workspace.settings(), waits).client() as client:
            pages = client.pages("/users/{id}/x", ours.decode_users, permission="User", ids={"id": "1"})
            return len(list(islice(pages, 1500)))


def page_of(ids: list[str], link: str | None) -> bytes:
    return json.dumps(
        {"value": [{"id": name} for name in ids], **({"@odata.nextLink": link} if link else {})}
    ).encode()


def test_ever_new_links_without_a_new_item_end(workspace: Workspace, waits: Waits) -> None:
    with pytest.raises(ServiceError, match="repeats a page without end"):
        # an empty page between does not make it better
        listing(lambda n, link: page_of(["same"] if n % 2 else [], link), waits, workspace)
    assert waits.waited == []


def test_empty_pages_without_end_end(
    workspace: Workspace, waits: Waits, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert office_client.EMPTY_PAGES >= 1000
    monkeypatch.setattr(office_client, "EMPTY_PAGES", 100)
    with pytest.raises(ServiceError, match="repeats a page without end"):
        listing(lambda n, link: page_of([], link), waits, workspace)


def test_pages_that_repeat_a_part_or_are_empty_are_followed(workspace: Workspace, waits: Waits) -> None:
    def body(number: int, link: str) -> bytes:
        ids = [] if 10 < number < 60 else [str(number // 3), "always"]
        return page_of(ids, link if number < 80 else None)

    assert listing(body, waits, workspace) == 80


def test_text_that_is_not_utf8_is_asked_for_again(workspace: Workspace, waits: Waits) -> None:
    broken = b'{"value": [{"id": "1", "mail": "\xff\xfe"}]}'
    assert listing(lambda n, _: broken if n < 3 else page_of(["1"], None), waits, workspace) == 1
    assert waits.waited == [1, 2]
    with pytest.raises(ServiceError, match="not the expected JSON"):
        listing(lambda n, _: broken, Waits(), workspace)


@pytest.mark.parametrize("tail", ["\x01", "\x7f", "x" * 70_000])
def test_a_link_that_is_no_address_is_the_services_fault(
    workspace: Workspace, waits: Waits, tail: str
) -> None:
    with pytest.raises(ServiceError, match="no valid address for its next page"):
        listing(lambda _, link: page_of(["1"], link + tail), waits, workspace)
