"""The Graph emulator's rules, over real HTTP: what it serves, what it refuses and in which words."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulators.graph import BODY_TEXT, SUBJECT_TEXT, Handle, running
from emulators.identifiers import (
    conversation_id,
    conversation_index,
    exchange_ical_uid,
    foreign_ical_uid,
    internet_message_id,
    item_id,
    seeded_guid,
    thread_guid,
    topic_thread,
)
from emulators.misbehaviour import MISHAPS
from emulators.tenant import Attendee, Event, Group, Message, Person, Tenant

NOW = datetime(2026, 3, 10, 6, 0, tzinfo=UTC)
ANNA, BEN, CARA = (seeded_guid(name) for name in ("anna", "ben", "cara"))
# plain HTTP needs neither a proxy nor certificates, whose loading takes longer than a test
LOOPBACK: dict[str, Any] = {"trust_env": False, "verify": False}
IMMUTABLE = {"Prefer": 'IdType="ImmutableId"'}
EVENTUAL = {"ConsistencyLevel": "eventual"}
WINDOW = "receivedDateTime ge 2026-03-01T00:00:00Z and receivedDateTime lt 2026-03-02T00:00:00Z"
SELECT = (
    "id,internetMessageId,conversationId,conversationIndex,parentFolderId,receivedDateTime,sentDateTime,from"
)


def make_message(number: int, owner: str = ANNA, **changed: Any) -> Message:
    """One message a minute from 2026-03-01 on."""
    thread = thread_guid(f"thread {number // 3}")
    at = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=number)
    message = Message(
        id=item_id(owner, str(number)),
        internet_message_id=internet_message_id(str(number), "acme.example"),
        conversation_id=conversation_id(owner, thread),
        conversation_index=conversation_index(thread, at, number % 3),
        received_at=at,
        sent_at=at - timedelta(seconds=3),
        from_address="joe@acme.example",
        to=("anna@ours.example",),
    )
    return replace(message, **changed)


def make_event(name: str, start: datetime, minutes: int = 60, **changed: Any) -> Event:
    event = Event(
        id=item_id(ANNA, name),
        ical_uid=exchange_ical_uid(name, NOW),
        start_at=start,
        end_at=start + timedelta(minutes=minutes),
        organizer="anna@ours.example",
        attendees=(Attendee("joe@acme.example", response="accepted"), Attendee(None)),
    )
    return replace(event, **changed)


def make_tenant() -> Tenant:
    def person(key: str, identifier: str, **changed: Any) -> Person:
        address = f"{key}@ours.example"
        return Person(identifier, address, address, (f"SMTP:{address}",), display_name=key.title(), **changed)

    tenant = Tenant(
        now=NOW,
        people=[
            replace(
                person("anna", ANNA),
                user_principal_name="a.smith@ours.example",
                proxy_addresses=(
                    "SMTP:anna@ours.example",
                    "smtp:Sales.Lead@ours.example",
                    "SIP:x@ours.example",
                ),
            ),
            person("ben", BEN),
            person("cara", CARA),
            person("denied", seeded_guid("denied"), mailbox_state="denied"),
            person("cellar", seeded_guid("cellar"), mailbox_state="on_premises"),
            person("gone", seeded_guid("gone"), mailbox_state="soft_deleted"),
            person("bare", seeded_guid("bare"), mailbox_state="none"),
        ],
        groups=[
            Group("g-outer", "team@ours.example", "Team", ("g-inner", ANNA)),
            Group("g-inner", "o'neill@ours.example", "Inner", (ANNA, BEN, CARA, "g-outer")),
            Group("g-large", "large@ours.example", "Large", tuple(seeded_guid(f"m{n}") for n in range(250))),
        ],
        messages={ANNA: [make_message(n) for n in range(25)], BEN: [make_message(n, BEN) for n in range(3)]},
    )
    tenant.people += [person(f"m{n}", seeded_guid(f"m{n}")) for n in range(250)]
    return tenant


class Graph:
    """A signed-in client of a running emulator."""

    def __init__(self, handle: Handle) -> None:
        self.handle = handle
        self.client = httpx.Client(base_url=handle.url, trust_env=False, verify=False)
        self.client.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def token(self, tenant_id: str | None = None, **changed: str) -> httpx.Response:
        tenant = self.handle.tenant
        form = {
            "client_id": tenant.client_id,
            "client_secret": tenant.client_secret,
            "grant_type": "client_credentials",
            "scope": "https://graph.microsoft.com/.default",
        }
        # without the client's own headers, as nobody is signed in when he asks for a token
        return httpx.post(
            f"{self.handle.url}/{tenant_id or tenant.tenant_id}/oauth2/v2.0/token",
            data=form | changed,
            **LOOPBACK,
        )

    def get(self, path: str, headers: dict[str, str] | None = None, **options: str) -> httpx.Response:
        query = {(k if k in ("startDateTime", "endDateTime", "includeHiddenFolders") else f"${k}"): v
                 for k, v in options.items()}  # fmt: skip
        return self.client.get(f"/v1.0{path}", params=query, headers=headers)

    def pages(self, path: str, headers: dict[str, str] | None = None, **options: str) -> list[dict[str, Any]]:
        answer = self.get(path, headers, **options)
        found = []
        while True:
            assert answer.status_code == 200, answer.text
            found.append(answer.json())
            if "@odata.nextLink" not in found[-1]:
                return found
            answer = self.client.get(found[-1]["@odata.nextLink"], headers=headers)


@pytest.fixture(scope="module")
def server() -> Iterator[Handle]:
    with running(make_tenant()) as handle:
        yield handle


@pytest.fixture
def graph(server: Handle) -> Graph:
    server.reset(make_tenant())
    return Graph(server)


def refused(answer: httpx.Response, status: int, code: str, words: str = "") -> dict[str, Any]:
    """Check an error answer: status, code, the shape of the body, and words in its message."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert set(error["innerError"]) == {"date", "request-id", "client-request-id"}
    assert error["innerError"]["request-id"] == answer.headers["request-id"]
    return error


def published(name: str) -> dict[str, Any]:
    """A published or captured answer of the real service."""
    root = os.environ.get("ENGAGEMENT_TEST_DATA")
    if not root:
        pytest.skip(
            "ENGAGEMENT_TEST_DATA is not set: the service's published answers are not here to compare"
        )
    answer: dict[str, Any] = json.loads((Path(root) / "graph_examples" / f"{name}.json").read_text("utf-8"))
    return answer


# ---------------------------------------------------------------------------------------------------
# tokens and transport


def test_token_has_the_services_shape(graph: Graph) -> None:
    answer = graph.token()
    assert answer.status_code == 200
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 3599
    assert answer.headers["date"] == "Tue, 10 Mar 2026 06:00:00 GMT"
    assert set(answer.json()) == set(published("token_response")["body"])


@pytest.mark.parametrize(
    ("changed", "status", "error", "code"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, 400, "unauthorized_client", 700016),
        ({"tenant_id": "00000000-0000-0000-0000-000000000000"}, 400, "invalid_request", 90002),
        ({"scope": "https://graph.microsoft.com/Mail.Read"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://other.example/.default"}, 400, "invalid_scope", 70011),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
def test_token_refusals(graph: Graph, changed: dict[str, str], status: int, error: str, code: int) -> None:
    answer = graph.token(**changed)
    assert answer.status_code == status
    body = answer.json()
    assert body["error"] == error
    assert body["error_codes"] == [code]
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"timestamp", "trace_id", "correlation_id"} <= set(body)


def test_requests_without_a_living_token_are_refused(graph: Graph) -> None:
    url = f"{graph.handle.url}/v1.0/users/{ANNA}"
    refused(httpx.get(url, **LOOPBACK), 401, "InvalidAuthenticationToken", "empty")
    bad = {"Authorization": "Bearer something"}
    refused(httpx.get(url, headers=bad, **LOOPBACK), 401, "InvalidAuthenticationToken")
    graph.handle.expire_tokens()
    refused(graph.get(f"/users/{ANNA}"), 401, "InvalidAuthenticationToken")


def test_token_expires_after_its_lifetime(graph: Graph) -> None:
    graph.handle.switches.token_lifetime = 0.2
    graph.client.headers["Authorization"] = f"Bearer {graph.token().json()['access_token']}"
    assert graph.get(f"/users/{ANNA}").status_code == 200
    threading.Event().wait(0.25)
    refused(graph.get(f"/users/{ANNA}"), 401, "InvalidAuthenticationToken", "expired")


def test_answers_carry_the_services_headers(graph: Graph) -> None:
    answer = graph.get(f"/users/{ANNA}", {"client-request-id": "my-own-id"})
    assert answer.headers["date"] == "Tue, 10 Mar 2026 06:00:00 GMT"
    assert answer.headers["client-request-id"] == "my-own-id"
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["request-id"])
    assert answer.headers["content-type"] == (
        "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    )
    graph.handle.tenant.now = datetime(2026, 3, 11, tzinfo=UTC)
    assert graph.get(f"/users/{ANNA}").headers["date"] == "Wed, 11 Mar 2026 00:00:00 GMT"


def test_log_holds_every_request(graph: Graph) -> None:
    graph.handle.requests.clear()
    graph.get(f"/users/{ANNA}/messages", IMMUTABLE, top="2")
    (logged,) = graph.handle.requests
    assert (logged.method, logged.path) == ("GET", f"/v1.0/users/{ANNA}/messages")
    assert logged.query == {"$top": "2"}
    assert logged.headers["prefer"] == 'IdType="ImmutableId"'
    assert logged.status == 200


@pytest.mark.parametrize(
    "path",
    ["/me", f"/users/{ANNA}/events", f"/users/{ANNA}/messages/delta", "/$batch", f"/users('{ANNA}')"],
)
def test_other_paths_are_not_implemented(graph: Graph, path: str) -> None:
    refused(graph.get(path), 501, "NotImplemented", path)
    assert set(published("error_501_notimplemented")["body"]["error"]) == {"code", "message", "innerError"}


def test_other_methods_are_not_implemented(graph: Graph) -> None:
    refused(graph.client.post(f"/v1.0/users/{ANNA}/messages"), 501, "NotImplemented", "POST")


# ---------------------------------------------------------------------------------------------------
# directory


def test_user_is_found_by_id_and_by_principal_name_but_not_by_mail(graph: Graph) -> None:
    by_id = graph.get(f"/users/{ANNA}", select="id,mail,userPrincipalName,proxyAddresses,accountEnabled")
    assert by_id.json()["proxyAddresses"][1] == "smtp:Sales.Lead@ours.example"
    assert by_id.json()["@odata.context"].endswith(
        "/v1.0/$metadata#users(id,mail,userPrincipalName,proxyAddresses,accountEnabled)/$entity"
    )
    assert graph.get("/users/A.Smith@ours.example").json()["id"] == ANNA
    assert "proxyAddresses" not in graph.get(f"/users/{ANNA}").json()
    refused(graph.get("/users/anna@ours.example"), 404, "Request_ResourceNotFound", "does not exist")
    graph.handle.switches.users_by_mail = True
    assert graph.get("/users/anna@ours.example").json()["id"] == ANNA


def test_unknown_user_and_unknown_property(graph: Graph) -> None:
    refused(graph.get("/users/nobody@ours.example"), 404, "Request_ResourceNotFound")
    refused(graph.get("/users/team@ours.example"), 404, "Request_ResourceNotFound")
    refused(graph.get(f"/users/{ANNA}", select="id,shoeSize"), 400, "Request_BadRequest", "shoeSize")


def test_user_by_mail_filter(graph: Graph) -> None:
    found = graph.get("/users", filter="mail eq 'ANNA@ours.example'", select="id").json()
    assert found["value"] == [{"id": ANNA}]
    assert graph.get("/users", filter="mail eq 'nobody@ours.example'").json()["value"] == []


def test_alias_filter_is_an_advanced_query(graph: Graph) -> None:
    alias = "proxyAddresses/any(x:x eq 'smtp:sales.lead@ours.example')"
    both = f"mail eq 'sales.lead@ours.example' or {alias}"
    for text in (alias, both):
        found = graph.get("/users", EVENTUAL, filter=text, count="true", select="id,mail").json()
        assert found["value"] == [{"id": ANNA, "mail": "anna@ours.example"}]
        assert found["@odata.count"] == 1
        refused(
            graph.get("/users", filter=text, count="true"), 400, "Request_UnsupportedQuery", "Consistency"
        )
        refused(graph.get("/users", EVENTUAL, filter=text), 400, "Request_UnsupportedQuery", "$count")


@pytest.mark.parametrize("text", ["startswith(mail,'a')", "displayName eq 'Anna'", "mail ne 'x'"])
def test_other_directory_filters_are_not_implemented(graph: Graph, text: str) -> None:
    refused(graph.get("/users", filter=text), 501, "NotImplemented", "$filter")


def test_group_by_mail_with_a_doubled_quote(graph: Graph) -> None:
    found = graph.get("/groups", filter="mail eq 'o''neill@ours.example'", select="id,mail").json()
    assert found["value"] == [{"id": "g-inner", "mail": "o'neill@ours.example"}]
    refused(graph.get("/groups", filter="mail eq 'o'neill@ours.example'"), 400, "BadRequest", "unterminated")


def test_group_list_has_the_published_properties(graph: Graph) -> None:
    (group,) = graph.get("/groups", filter="mail eq 'team@ours.example'").json()["value"]
    assert set(group) <= set(published("groups_list")["body"]["value"][0])


def test_nested_groups_are_flattened_and_each_person_comes_once(graph: Graph) -> None:
    path = "/groups/g-outer/transitiveMembers/microsoft.graph.user"
    (page,) = graph.pages(path, EVENTUAL, count="true", select="id")
    assert page["@odata.count"] == 3
    assert sorted(row["id"] for row in page["value"]) == sorted([ANNA, BEN, CARA])


def test_members_without_the_cast_are_mixed_and_typed(graph: Graph) -> None:
    (page,) = graph.pages("/groups/g-outer/transitiveMembers")
    types = [row["@odata.type"] for row in page["value"]]
    assert types == ["#microsoft.graph.user"] * 3 + ["#microsoft.graph.group"]
    example = published("group_transitive_members")["body"]["value"][0]
    assert set(example) <= set(page["value"][0])


def test_members_need_the_consistency_header_on_every_page(graph: Graph) -> None:
    path = "/groups/g-large/transitiveMembers/microsoft.graph.user"
    first = graph.get(path, EVENTUAL, count="true", select="id,mail", top="100")
    assert list(first.json()) == ["@odata.context", "@odata.count", "@odata.nextLink", "value"]
    assert {"@odata.context", "@odata.count", "value"} == set(
        published("group_transitive_members_cast_count")["body"]
    )
    link = first.json()["@odata.nextLink"]
    assert "$skiptoken=" in link and "$skip=" not in link
    refused(graph.client.get(link), 400, "Request_UnsupportedQuery", "ConsistencyLevel")
    second = graph.client.get(link, headers=EVENTUAL).json()
    assert "@odata.count" not in second
    third = graph.client.get(second["@odata.nextLink"], headers=EVENTUAL).json()
    assert "@odata.nextLink" not in third
    rows = [row["id"] for page in (first.json(), second, third) for row in page["value"]]
    assert len(rows) == len(set(rows)) == 250


def test_members_refusals(graph: Graph) -> None:
    path = "/groups/g-large/transitiveMembers/microsoft.graph.user"
    refused(graph.get(path, count="true"), 400, "Request_UnsupportedQuery", "ConsistencyLevel")
    refused(graph.get(path, EVENTUAL), 400, "Request_UnsupportedQuery", "$count")
    refused(graph.get(path, EVENTUAL, count="true", top="1000"), 400, "ErrorInvalidUrlQuery", "999")
    refused(graph.get(path, EVENTUAL, count="true", skip="3"), 501, "NotImplemented", "$skip")
    bad = graph.get(path, EVENTUAL, count="true", skiptoken="bm9wZQ==")
    refused(bad, 400, "Directory_ExpiredPageToken")
    unknown = "/groups/none/transitiveMembers/microsoft.graph.user"
    refused(graph.get(unknown, EVENTUAL, count="true"), 404, "Request_ResourceNotFound")


@pytest.mark.parametrize(
    ("area", "path"),
    [("user", "/users"), ("group", "/groups"), ("mail", f"/users/{ANNA}/messages"),
     ("calendar", f"/users/{ANNA}/calendarView")],
)  # fmt: skip
def test_missing_permission(graph: Graph, area: str, path: str) -> None:
    graph.handle.switches.missing_permissions.add(area)
    refused(graph.get(path), 403, "Authorization_RequestDenied", "Insufficient privileges")


# ---------------------------------------------------------------------------------------------------
# folders


def test_folders_come_ten_a_page_with_search_and_hidden_ones(graph: Graph) -> None:
    pages = graph.pages(f"/users/{ANNA}/mailFolders", includeHiddenFolders="true")
    assert [len(page["value"]) for page in pages] == [10, 1]
    rows = [row for page in pages for row in page["value"]]
    assert [row["isHidden"] for row in rows].count(True) == 1
    (search,) = [row for row in rows if row.get("@odata.type") == "#microsoft.graph.mailSearchFolder"]
    (visible,) = graph.pages(f"/users/{ANNA}/mailFolders", top="100", select="id")
    assert len(visible["value"]) == 10
    assert {"@odata.type": "#microsoft.graph.mailSearchFolder", "id": search["id"]} in visible["value"]
    examples = published("mailfolders_list_with_searchfolder")["body"]["value"]
    (example,) = [row for row in examples if "@odata.type" in row]
    assert set(example) <= set(search)
    assert set(examples[0]) <= set(rows[0])


def test_well_known_folder_whatever_its_shown_name(graph: Graph) -> None:
    graph.handle.switches.folder_language = "de"
    drafts = graph.get(f"/users/{ANNA}/mailFolders/drafts").json()
    assert drafts["displayName"] == "Entwürfe"
    by_id = graph.get(f"/users/{ANNA}/mailFolders/{drafts['id']}", select="displayName").json()
    assert by_id["displayName"] == "Entwürfe"
    refused(graph.get(f"/users/{ANNA}/mailFolders/entwürfe"), 404, "ErrorItemNotFound")
    assert graph.get(f"/users/{BEN}/mailFolders/drafts").json()["id"] != drafts["id"]


# ---------------------------------------------------------------------------------------------------
# messages


def test_message_has_the_selected_properties_only(graph: Graph) -> None:
    page = graph.get(f"/users/{ANNA}/messages", select="sender,subject", top="1").json()
    example = published("messages_list_select")["body"]
    assert set(page["value"][0]) == set(example["value"][0])
    assert page["@odata.context"].endswith(f"/v1.0/$metadata#users('{ANNA}')/messages(sender,subject)")
    assert page["value"][0]["sender"]["emailAddress"]["address"] == "joe@acme.example"


def test_message_without_select_has_everything_subject_too(graph: Graph) -> None:
    (row,) = graph.get(f"/users/{ANNA}/messages", top="1").json()["value"]
    assert row["subject"].startswith(SUBJECT_TEXT)
    assert BODY_TEXT in row["body"]["content"]
    example = published("real_message_full")["body"]
    assert set(example) - {"@odata.context", "attachments"} == set(row)
    assert {type(row[name]) for name in ("toRecipients", "categories")} == {list}


def test_messages_by_window_ascending(graph: Graph) -> None:
    pages = graph.pages(
        f"/users/{ANNA}/messages",
        IMMUTABLE,
        filter=WINDOW,
        orderby="receivedDateTime",
        select=SELECT,
        count="true",
    )
    assert [len(page["value"]) for page in pages] == [10, 10, 5]
    assert pages[0]["@odata.count"] == 25
    assert pages[0]["@odata.nextLink"].startswith(f"{graph.handle.url}/v1.0/users/{ANNA}/messages?")
    assert "$skip=10" in pages[0]["@odata.nextLink"]
    received = [row["receivedDateTime"] for page in pages for row in page["value"]]
    assert received == sorted(received)
    assert received[0] == "2026-03-01T00:00:00Z"


def test_window_is_closed_at_its_start_and_open_at_its_end(graph: Graph) -> None:
    narrow = "receivedDateTime ge 2026-03-01T00:03:00Z and receivedDateTime lt 2026-03-01T00:05:00Z"
    page = graph.get(f"/users/{ANNA}/messages", filter=narrow, orderby="receivedDateTime asc").json()
    assert [row["receivedDateTime"][14:16] for row in page["value"]] == ["03", "04"]
    newest = graph.get(f"/users/{ANNA}/messages", filter=narrow, orderby="receivedDateTime desc").json()
    assert [row["receivedDateTime"][14:16] for row in newest["value"]] == ["04", "03"]
    empty = "receivedDateTime ge 2026-03-03T00:00:00Z and receivedDateTime lt 2026-03-02T00:00:00Z"
    assert graph.get(f"/users/{ANNA}/messages", filter=empty, count="true").json()["@odata.count"] == 0


def test_pages_are_cut_from_the_live_set(graph: Graph) -> None:
    options: dict[str, Any] = {"filter": WINDOW, "orderby": "receivedDateTime", "select": "id"}
    first = graph.get(f"/users/{ANNA}/messages", IMMUTABLE, **options).json()
    graph.handle.tenant.messages[ANNA].insert(
        0, make_message(99, received_at=datetime(2026, 3, 1, tzinfo=UTC))
    )
    second = graph.client.get(first["@odata.nextLink"], headers=IMMUTABLE).json()
    assert second["value"][0]["id"] == first["value"][-1]["id"]
    graph.handle.tenant.messages[ANNA][5] = make_message(5, internet_message_id="<changed@acme.example>")
    rows = graph.get(f"/users/{ANNA}/messages", filter=WINDOW, select="internetMessageId", top="50").json()
    assert "<changed@acme.example>" in [row["internetMessageId"] for row in rows["value"]]


@pytest.mark.parametrize(
    ("options", "status", "code", "words"),
    [
        ({"top": "0"}, 400, "ErrorInvalidUrlQuery", "1 to 1000"),
        ({"top": "1001"}, 400, "ErrorInvalidUrlQuery", "1 to 1000"),
        ({"top": "many"}, 400, "BadRequest", "$top"),
        ({"select": "id,colour"}, 400, "RequestBroker--ParseUri", "colour"),
        ({"select": "internetMessageHeaders"}, 501, "NotImplemented", "internetMessageHeaders"),
        ({"search": '"contract"'}, 501, "NotImplemented", "$search"),
        ({"expand": "attachments"}, 501, "NotImplemented", "$expand"),
        (
            {"filter": "isDraft eq false", "orderby": "receivedDateTime"},
            400,
            "InefficientFilter",
            "too complex",
        ),
        (
            {"filter": f"isDraft eq false and {WINDOW}", "orderby": "receivedDateTime"},
            400,
            "InefficientFilter",
            "",
        ),
        ({"filter": WINDOW, "orderby": "sentDateTime"}, 400, "InefficientFilter", "too complex"),
        ({"filter": WINDOW, "orderby": "receivedDateTime sideways"}, 400, "BadRequest", "$orderby"),
        ({"filter": "isDraft eq false"}, 501, "NotImplemented", "$filter"),
        (
            {"filter": "receivedDateTime ge '2026-03-01T00:00:00Z'"},
            400,
            "ErrorInvalidUrlQuery",
            "DateTimeOffset",
        ),
        ({"filter": "receivedDateTime gt 2026-03-01T00:00:00Z"}, 501, "NotImplemented", "$filter"),
        ({"orderby": "subject"}, 501, "NotImplemented", "$orderby"),
    ],
)
def test_message_list_refusals(
    graph: Graph, options: dict[str, Any], status: int, code: str, words: str
) -> None:
    refused(graph.get(f"/users/{ANNA}/messages", **options), status, code, words)


def test_ids_differ_without_the_immutable_preference(graph: Graph) -> None:
    immutable = graph.get(f"/users/{ANNA}/messages", IMMUTABLE, select="id", top="1")
    assert immutable.headers["preference-applied"] == 'IdType="ImmutableId"'
    assert immutable.json()["value"][0]["id"] == make_message(24).id
    changeable = graph.get(f"/users/{ANNA}/messages", select="id", top="1")
    assert "preference-applied" not in changeable.headers
    before = changeable.json()["value"][0]["id"]
    graph.handle.tenant.messages[ANNA][24] = make_message(24, folder="archive")
    moved = graph.get(f"/users/{ANNA}/messages", select="id", top="1").json()["value"][0]["id"]
    assert len({before, moved, make_message(24).id}) == 3
    refused(
        graph.get(f"/users/{ANNA}/messages", {"Prefer": 'IdType="Other"'}), 501, "NotImplemented", "IdType"
    )


def test_drafts_meeting_mails_delegates_and_unresolved_recipients(graph: Graph) -> None:
    graph.handle.tenant.messages[ANNA] = [
        make_message(
            0, is_draft=True, folder="drafts", sent_at=None, from_address=None, internet_message_id=None
        ),
        make_message(1, odata_type="#microsoft.graph.eventMessageRequest"),
        make_message(2, sender_address="ben@ours.example", to=(None,), bcc=("hidden@acme.example",)),
    ]
    select = SELECT + ",sender,toRecipients,ccRecipients,bccRecipients,isDraft"
    rows = graph.get(
        f"/users/{ANNA}/messages", filter=WINDOW, orderby="receivedDateTime", select=select
    ).json()["value"]  # fmt: skip
    assert [rows[0][n] for n in ("from", "sender", "sentDateTime", "internetMessageId")] == [None] * 4
    assert rows[0]["isDraft"] is True
    assert rows[0]["parentFolderId"] == graph.get(f"/users/{ANNA}/mailFolders/drafts").json()["id"]
    assert [row.get("@odata.type") for row in rows] == [None, "#microsoft.graph.eventMessageRequest", None]
    assert rows[2]["sender"]["emailAddress"]["address"] == "ben@ours.example"
    assert rows[2]["from"]["emailAddress"]["address"] == "joe@acme.example"
    assert rows[2]["toRecipients"] == [{"emailAddress": {"name": "Unresolved"}}]
    assert rows[2]["bccRecipients"][0]["emailAddress"]["address"] == "hidden@acme.example"
    example = published("eventmessage_meeting_request")["body"]
    assert example["@odata.type"] == rows[1]["@odata.type"]
    assert set(rows[1]) - {"@odata.etag"} <= set(example)


def test_extra_properties_come_by_a_switch(graph: Graph) -> None:
    def properties() -> set[str]:
        rows = graph.get(f"/users/{ANNA}/messages", select="id", top="50").json()["value"]
        return {name for row in rows for name in row}

    assert properties() == {"id", "@odata.etag"}
    graph.handle.switches.extra_properties = True
    assert properties() == {"id", "@odata.etag", "unknownFutureProperty"}


def test_mailbox_states(graph: Graph) -> None:
    denied = [graph.get("/users/denied@ours.example/messages") for _ in range(2)]
    for answer in denied:
        refused(answer, 403, "ErrorAccessDenied", "Access to OData is disabled")
    assert "[RAOP]" not in denied[0].text and "[RAOP]" in denied[1].text
    example = published("error_403_application_access_policy")["body"]["error"]
    assert denied[0].json()["error"]["message"] == example["message"]
    for key in ("cellar", "gone"):
        answer = graph.get(f"/users/{key}@ours.example/mailFolders")
        refused(answer, 404, "MailboxNotEnabledForRESTAPI", "hosted on-premise")
    for name in ("bare@ours.example", "nobody@ours.example", "team@ours.example"):
        refused(graph.get(f"/users/{name}/messages"), 404, "ErrorInvalidUser", name)
    assert graph.get("/users/sales.lead@ours.example/messages", top="1").status_code == 200


# ---------------------------------------------------------------------------------------------------
# calendar

DAY: dict[str, Any] = {"startDateTime": "2026-03-02T00:00:00Z", "endDateTime": "2026-03-03T00:00:00Z"}


def names_of(graph: Graph, **window: Any) -> list[str]:
    answer = graph.get(f"/users/{ANNA}/calendarView", IMMUTABLE, top="100", select="id", **window)
    assert answer.status_code == 200, answer.text
    ids = {
        item_id(ANNA, name): name
        for name in ("early", "late", "over", "touching", "zero", "weekly", "master")
    }
    return [ids[row["id"]] for row in answer.json()["value"]]


def test_calendar_view_overlap_order_and_masters(graph: Graph) -> None:
    at = datetime(2026, 3, 2, tzinfo=UTC)
    graph.handle.tenant.events[ANNA] = [
        make_event("weekly", at + timedelta(hours=8), type="occurrence", series_master_id="m"),
        make_event("master", at + timedelta(hours=8), type="seriesMaster"),
        make_event("late", at + timedelta(hours=20)),
        make_event("early", at + timedelta(hours=7)),
        make_event("over", at - timedelta(hours=1), 120),
        make_event("touching", at - timedelta(hours=1), 60),
        make_event("zero", at, 0),
    ]
    # single instances first, then occurrences: not in the order of time
    assert names_of(graph, **DAY) == ["over", "zero", "early", "late", "weekly"]
    # an offset in the window is honoured, no offset means UTC
    offset = {"startDateTime": "2026-03-02T22:00:00+02:00", "endDateTime": "2026-03-02T23:30:00+02:00"}
    assert names_of(graph, **offset) == ["late"]
    naive = {"startDateTime": "2026-03-02T20:00:00.0000000", "endDateTime": "2026-03-02T21:00:00"}
    assert names_of(graph, **naive) == ["late"]


def test_calendar_view_shapes(graph: Graph) -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    graph.handle.tenant.events[ANNA] = [
        make_event("one", start, own_response="organizer", is_organizer=True),
        make_event("visit", datetime(2026, 3, 2, tzinfo=UTC), 24 * 60, is_all_day=True, organizer=None),
    ]
    answer = graph.get(f"/users/{ANNA}/calendarView", {"Prefer": 'outlook.timezone="UTC"'}, **DAY)
    assert answer.headers["preference-applied"] == 'outlook.timezone="UTC"'
    visit, one = answer.json()["value"]
    assert one["start"] == {"dateTime": "2026-03-02T09:00:00.0000000", "timeZone": "UTC"}
    assert one["responseStatus"] == {"response": "organizer", "time": "0001-01-01T00:00:00Z"}
    accepted, unresolved = one["attendees"]
    assert accepted["status"]["response"] == "accepted" and accepted["status"]["time"] > "2026"
    assert unresolved["emailAddress"]["address"] is None
    assert unresolved["status"]["time"] == "0001-01-01T00:00:00Z"
    assert (visit["start"]["dateTime"], visit["end"]["dateTime"]) == (
        "2026-03-02T00:00:00.0000000", "2026-03-03T00:00:00.0000000",
    )  # fmt: skip
    assert visit["organizer"] is None
    assert one["subject"].startswith(SUBJECT_TEXT) and BODY_TEXT in one["location"]["displayName"]
    assert not {"createdDateTime", "lastModifiedDateTime", "uid"} & set(one)
    example = published("real_eventmessage_with_event")["body"]["event"]
    # captured properties that the service adds beyond its own schema, the refused dates, and navigation
    assert set(one) - set(example) <= {"originalStart"}
    attendee = published("event_get_attendees")["body"]["attendees"][0]
    assert set(accepted) == set(attendee)


def test_calendar_view_pages(graph: Graph) -> None:
    start = datetime(2026, 3, 2, 9, tzinfo=UTC)
    graph.handle.tenant.events[ANNA] = [make_event(f"e{n}", start + timedelta(minutes=n)) for n in range(25)]
    path = f"/users/{ANNA}/calendarView"
    assert [len(p["value"]) for p in graph.pages(path, **DAY)] == [10, 10, 5]
    assert [len(p["value"]) for p in graph.pages(path, top="25", **DAY)] == [25]
    graph.handle.switches.trailing_link = True
    assert [len(p["value"]) for p in graph.pages(path, top="25", **DAY)] == [25, 0]


@pytest.mark.parametrize(
    ("options", "headers", "status", "code", "words"),
    [
        ({"startDateTime": "2026-03-02T00:00:00Z"}, {}, 400, "ErrorInvalidParameter", "EndDateTime"),
        ({"endDateTime": "2026-03-02T00:00:00Z"}, {}, 400, "ErrorInvalidParameter", "StartDateTime"),
        ({**DAY, "startDateTime": "yesterday"}, {}, 400, "ErrorInvalidParameter", "yesterday"),
        ({**DAY, "endDateTime": "2026-03-01"}, {}, 400, "ErrorCalendarEndDateIsEarlierThanStartDate", ""),
        ({**DAY, "select": "id,createdDateTime"}, {}, 400, "ErrorInvalidProperty", "createdDateTime"),
        (
            {**DAY, "select": "id,lastModifiedDateTime"},
            {},
            400,
            "ErrorInvalidProperty",
            "lastModifiedDateTime",
        ),
        ({**DAY, "select": "id,uid"}, {}, 400, "RequestBroker--ParseUri", "uid"),
        ({**DAY, "top": "1001"}, {}, 400, "ErrorInvalidUrlQuery", "1000"),
        ({**DAY, "filter": "isAllDay eq true"}, {}, 501, "NotImplemented", "$filter"),
        ({**DAY, "orderby": "start/dateTime"}, {}, 501, "NotImplemented", "$orderby"),
        (DAY, {"Prefer": 'outlook.timezone="Tokyo Standard Time"'}, 501, "NotImplemented", "Tokyo"),
    ],
)
def test_calendar_view_refusals(
    graph: Graph, options: dict[str, Any], headers: dict[str, str], status: int, code: str, words: str
) -> None:
    refused(graph.get(f"/users/{ANNA}/calendarView", headers, **options), status, code, words)


# ---------------------------------------------------------------------------------------------------
# throttling and faults


def test_a_fifth_request_at_once_to_a_mailbox_is_throttled(graph: Graph) -> None:
    graph.handle.switches.latency = 0.3
    answers: list[httpx.Response] = []
    threads = [
        threading.Thread(
            target=lambda name: answers.append(graph.get(f"/users/{name}/messages")), args=(name,)
        )
        for name in (ANNA, ANNA, ANNA, "anna@ours.example", ANNA, ANNA, BEN)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429] * 2
    example = published("error_429_mailboxconcurrency")
    for answer in answers:
        if answer.status_code == 429:
            assert answer.headers["retry-after"] == example["headers"]["retry-after"] == "1"
            error = refused(answer, 429, "ApplicationThrottled")
            assert error["message"] == example["body"]["error"]["message"]
    assert graph.handle.most_in_flight[ANNA] >= 5 and graph.handle.most_in_flight[BEN] == 1
    graph.handle.switches.latency = 0
    assert graph.get(f"/users/{ANNA}/messages").status_code == 200


def test_faults_hit_the_next_matching_requests(graph: Graph) -> None:
    fault = graph.handle.fail("/messages", times=2, status=429, headers={"Retry-After": "2.128"})
    assert graph.get(f"/users/{ANNA}").status_code == 200
    for _ in range(2):
        answer = graph.get(f"/users/{ANNA}/messages")
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "2.128")
        assert answer.json()["error"]["code"] == "TooManyRequests"
    assert graph.get(f"/users/{ANNA}/messages").status_code == 200
    assert fault.used == 2
    graph.handle.fail("$skip=10", status=503)
    (first, *_) = [graph.get(f"/users/{ANNA}/messages")]
    broken = graph.client.get(first.json()["@odata.nextLink"])
    assert (broken.status_code, broken.content) == (503, b"")
    graph.handle.fail(status=504)
    assert graph.get("/groups").json()["error"] | {"innerError": 0} == {
        "code": "UnknownError", "message": "", "innerError": 0,
    }  # fmt: skip
    graph.handle.fail("oauth2", status=400, body={"error": "temporarily_unavailable"})
    assert graph.token().json() == {"error": "temporarily_unavailable"}


def test_faults_of_the_connection(graph: Graph) -> None:
    graph.handle.fail(kind="reset")
    with pytest.raises(httpx.ReadError):
        graph.get("/groups")
    assert graph.handle.requests[-1].status == 0
    graph.handle.fail(kind="cut_connection")
    with pytest.raises(httpx.RemoteProtocolError):
        graph.get("/groups")
    graph.handle.fail(kind="truncated_json")
    answer = graph.get("/groups")
    assert answer.status_code == 200
    with pytest.raises(ValueError):
        answer.json()
    graph.handle.fail(kind="html")
    assert graph.get("/groups").headers["content-type"] == "text/html"
    assert graph.get("/groups").status_code == 200


def test_known_bugs_of_paging_by_switch(graph: Graph) -> None:
    graph.handle.switches.repeat_next_link = True
    first = graph.get(f"/users/{ANNA}/messages").json()
    second = graph.client.get(first["@odata.nextLink"]).json()
    assert second["@odata.nextLink"] == first["@odata.nextLink"]
    assert second["value"] == first["value"]
    graph.handle.switches.next_link_origin = "https://elsewhere.example"
    assert (
        graph.get(f"/users/{ANNA}/messages")
        .json()["@odata.nextLink"]
        .startswith("https://elsewhere.example/v1.0/")
    )
    graph.handle.switches.lower_case_inner_error = True
    assert "innererror" in graph.get("/users/nobody@ours.example").json()["error"]


def test_faults_of_the_body(graph: Graph) -> None:
    graph.handle.fail(kind="cut_gzip")
    with pytest.raises(ValueError):
        graph.get("/groups").json()
    graph.handle.fail(kind="invalid_utf8")
    answer = graph.get("/groups")
    assert (answer.status_code, answer.headers["content-type"][:16]) == (200, "application/json")
    with pytest.raises(UnicodeDecodeError):
        answer.content.decode()
    graph.handle.fail(status=200)
    assert graph.get("/groups").json()["error"]["code"] == "UnknownError"


@pytest.mark.parametrize("kind", ["stall", "drip"])
def test_answers_that_do_not_end(graph: Graph, kind: Any) -> None:
    fault = graph.handle.fail(kind=kind, lasting=0.3, pause=0.01)
    came = b""
    with (
        pytest.raises(httpx.RemoteProtocolError),
        graph.client.stream("GET", "/v1.0/groups", timeout=0.2 if kind == "drip" else 5) as answer,
    ):
        for part in answer.iter_raw():
            came += part
    assert came.startswith(b'{"value":[') and (len(came) > 15) == (kind == "drip")
    assert fault.abandoned == 0
    left = graph.handle.fail(kind=kind, lasting=10, pause=0.01)
    with graph.client.stream("GET", "/v1.0/groups"):
        pass
    deadline = time.monotonic() + 5
    while not left.abandoned and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left.abandoned == 1


def test_log_tells_when_and_beside_how_many_others(graph: Graph) -> None:
    graph.get("/groups")
    graph.get("/groups")
    first, second = graph.handle.requests[-2:]
    assert first.at < second.at and (first.under_way, second.under_way) == (1, 1)


@pytest.mark.parametrize(
    ("form", "header"),
    [("seconds", "7"), ("fraction", "7.250"), ("date", "Tue, 10 Mar 2026 06:00:07 GMT"), ("none", None)],
)
def test_throttling_of_chosen_mailboxes_for_a_while(graph: Graph, form: Any, header: str | None) -> None:
    switches = graph.handle.switches
    switches.throttled_share, switches.throttled_mailboxes, switches.throttled_for = 1.0, {ANNA}, 0.2
    switches.throttled_answer, switches.throttled_seconds = form, 7.25
    answer = graph.get(f"/users/{ANNA}/messages")
    refused(answer, 429, "TooManyRequests")
    assert answer.headers.get("retry-after") == header
    assert graph.get(f"/users/{BEN}/messages").status_code == graph.get("/groups").status_code == 200
    time.sleep(0.2)
    assert graph.get(f"/users/{ANNA}/messages").status_code == 200


def test_throttling_of_a_share_of_all_requests(graph: Graph) -> None:
    graph.handle.switches.throttled_share = 0.5
    counted = [graph.get("/groups").status_code for _ in range(60)]
    assert 15 <= counted.count(429) <= 45 and counted.count(429) + counted.count(200) == 60


def test_requests_beyond_the_window_of_a_mailbox(graph: Graph) -> None:
    assert graph.handle.switches.mailbox_window == 10_000
    graph.handle.switches.mailbox_window, graph.handle.switches.mailbox_window_seconds = 3, 0.3
    counted = [graph.get(f"/users/{ANNA}/messages") for _ in range(4)]
    assert [answer.status_code for answer in counted] == [200, 200, 200, 429]
    assert counted[-1].headers["retry-after"] == "1"
    assert graph.get(f"/users/{BEN}/messages").status_code == 200
    time.sleep(0.3)
    assert graph.get(f"/users/{ANNA}/messages").status_code == 200


def test_pages_too_heavy(graph: Graph) -> None:
    switches = graph.handle.switches
    switches.largest_top = 20
    assert graph.get(f"/users/{ANNA}/messages", top="21").status_code == 504
    assert len(graph.get(f"/users/{ANNA}/messages", top="20").json()["value"]) == 20
    assert graph.get(f"/users/{ANNA}/mailFolders", top="250").status_code == 200
    switches.page_limit = 7
    pages = graph.pages(f"/users/{ANNA}/messages", top="20")
    assert [len(page["value"]) for page in pages] == [7, 7, 7, 4]
    switches.page_limit, switches.poisoned = None, {item_id(ANNA, "12")}
    refused(graph.get(f"/users/{ANNA}/messages", top="20"), 500, "ErrorCorruptData")
    assert graph.get(f"/users/{ANNA}/messages", top="10").status_code == 200


def test_tokens_of_few_requests_and_an_expired_secret(graph: Graph) -> None:
    graph.handle.switches.token_requests = 2
    assert [graph.get("/groups").status_code for _ in range(4)] == [200, 200, 401, 401]
    graph.handle.switches.secret_expired = True
    assert graph.token().json()["error_codes"] == [7000222]


def test_a_mailbox_that_turns(graph: Graph) -> None:
    graph.handle.switches.mailbox_turns = {ANNA: (3, "on_premises")}
    counted = [graph.get(f"/users/{ANNA}/messages").status_code for _ in range(4)]
    assert counted == [200, 200, 404, 404]
    assert graph.get(f"/users/{BEN}/messages").status_code == 200


NUMBERS = [item_id(ANNA, str(n)) for n in range(25)]


def listed(graph: Graph) -> list[list[int]]:
    """The numbers of the messages on each page of ten, oldest first."""
    options = {"filter": "receivedDateTime ge 2026-01-01T00:00:00Z", "orderby": "receivedDateTime"}
    pages = graph.pages(f"/users/{ANNA}/messages", IMMUTABLE, **options)
    return [[NUMBERS.index(item["id"]) for item in page["value"]] for page in pages]


def test_lists_that_come_otherwise(graph: Graph) -> None:
    switches, plain = graph.handle.switches, [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert listed(graph) == plain
    for switch, value, expected in (
        ("empty_pages", 3, [[], [], [], *plain]),
        ("pages_twice", True, [page for page in plain for _ in range(2)]),
        ("items_twice", True, [[*page, page[0]] for page in plain]),
        ("pages_reversed", True, plain[::-1]),
        ("next_link_lost_after", 2, plain[:2]),
    ):
        usual = getattr(switches, switch)
        setattr(switches, switch, value)
        assert listed(graph) == expected, switch
        switches.misbehaving = {BEN}
        assert listed(graph) == plain, switch
        switches.misbehaving = None
        setattr(switches, switch, usual)
    assert listed(graph) == plain


def test_lists_that_are_lost_or_lead_in_circles(graph: Graph) -> None:
    graph.handle.switches.lost_sync_states = 1
    first = graph.get(f"/users/{ANNA}/messages").json()
    refused(graph.client.get(first["@odata.nextLink"]), 410, "SyncStateNotFound")
    second = graph.client.get(first["@odata.nextLink"]).json()
    graph.handle.switches.next_link_loop = True
    second = graph.client.get(first["@odata.nextLink"]).json()
    again = graph.client.get(second["@odata.nextLink"]).json()
    assert again["value"] == first["value"] and again["@odata.nextLink"] == first["@odata.nextLink"]


def test_a_message_that_moves_between_pages_and_back(graph: Graph) -> None:
    graph.handle.switches.moves_while_paging = 1
    pages = listed(graph)
    # number 10 has slipped to the end of the page that was read already
    assert [len(page) for page in pages] == [10, 10, 5] and 10 not in chain(*pages)
    assert listed(graph) == [list(range(10)), list(range(10, 20)), list(range(20, 25))]
    assert [m.folder for m in graph.handle.tenant.messages[ANNA] if m.id == NUMBERS[0]] == ["archive"]


def test_late_mail_and_long_names(graph: Graph) -> None:
    graph.handle.switches.appears_at = {NUMBERS[3]: NOW + timedelta(days=7)}
    graph.handle.switches.shown_names = {"joe@acme.example": "J" * 1_000_000}
    assert 3 not in chain(*listed(graph))
    graph.handle.tenant.now = NOW + timedelta(days=7)
    assert 3 in chain(*listed(graph))
    answer = graph.get(f"/users/{ANNA}/messages", select="from", top="1")
    assert len(answer.json()["value"][0]["from"]["emailAddress"]["name"]) == 1_000_000


def test_items_of_another_schema(graph: Graph) -> None:
    switches = graph.handle.switches
    switches.new_properties = {"sensitivityLabel": None}
    switches.missing_properties = {"subject"}
    switches.renamed_properties = {"toRecipients": "recipients"}
    switches.changed_properties = {"isDraft": "no"}
    item = graph.get(f"/users/{ANNA}/messages", select="subject,toRecipients,isDraft,from").json()["value"][0]
    assert set(item) == {"@odata.etag", "id", "recipients", "isDraft", "from", "sensitivityLabel"}
    assert item["isDraft"] == "no"
    assert "sensitivityLabel" not in graph.get(f"/users/{ANNA}/mailFolders").json()["value"][0]


def test_a_clock_that_jumps(graph: Graph) -> None:
    calls = graph.handle.emulator.mischief.calls
    graph.handle.switches.clock_jumps = {calls + 2: timedelta(days=-1), calls + 3: timedelta(days=2)}
    dates = [graph.get("/groups").headers["date"][5:11] for _ in range(3)]
    assert dates == ["10 Mar", "09 Mar", "11 Mar"]


def test_a_share_of_all_requests_fails_and_the_seed_says_which(graph: Graph) -> None:
    def outcomes(seed: int) -> list[str]:
        graph.handle.reset(make_tenant())
        switches = graph.handle.switches
        switches.fault_rate, switches.fault_seed = 0.4, seed
        graph.client.headers["Authorization"] = f"Bearer {graph.token().json()['access_token']}"
        found = []
        for _ in range(60):
            try:
                answer = graph.get(f"/users/{ANNA}/messages", top="25")
                found.append(
                    f"{answer.status_code} {answer.headers.get('retry-after')} {len(answer.content)}"
                )
            except httpx.HTTPError:
                found.append("broken")
        return found

    once, again, other = outcomes(1), outcomes(1), outcomes(2)
    assert once == again != other
    usual = max(set(once), key=once.count)
    # an expired token has to have been used, and one that is late is not seen here
    assert 25 <= once.count(usual) <= 50
    assert len(set(once + other)) >= 10


@pytest.mark.parametrize("mishap", MISHAPS)
def test_every_mishap_is_seen(graph: Graph, mishap: Any) -> None:
    switches = graph.handle.switches
    if mishap == "expired token":
        for _ in range(100):
            graph.get("/groups")
    switches.fault_rate, switches.fault_kinds = 1.0, (mishap,)
    if mishap in ("reset", "cut connection"):
        with pytest.raises(httpx.HTTPError):
            graph.get(f"/users/{ANNA}/messages")
        return
    answer = graph.get(f"/users/{ANNA}/messages")
    status = {"expired": 401}.get(mishap.split()[0], int(mishap[:3]) if mishap[:3].isdigit() else 200)
    assert answer.status_code == status
    if status == 429:
        form = mishap.split()[1]
        expected = {"seconds": "0", "fraction": "0.050", "date": answer.headers["date"], "none": None}[form]
        assert answer.headers.get("retry-after") == expected
    elif mishap == "503":
        assert answer.content == b""
    elif mishap == "item twice":
        ids = [item["id"] for item in answer.json()["value"]]
        assert (len(ids), len(set(ids))) == (11, 10)
    elif mishap == "empty page":
        assert answer.json()["value"] == [] and "empty-1" in answer.json()["@odata.nextLink"]
        switches.fault_rate = 0.0
        assert len(graph.client.get(answer.json()["@odata.nextLink"]).json()["value"]) == 10
        # of the directory a page is never empty in this way
        switches.fault_rate = 1.0
        assert graph.get("/groups").json()["value"]
    elif mishap == "error under 200":
        assert set(answer.json()) == {"error"}
    elif mishap == "late":
        assert len(answer.json()["value"]) == 10 and answer.elapsed.total_seconds() > 0.04


def test_stopping_refuses_connections() -> None:
    with running(make_tenant()) as handle:
        handle.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(handle.url, **LOOPBACK)


def test_unknown_switch_is_refused() -> None:
    with pytest.raises(TypeError, match="token_lifetime"), running(make_tenant(), token_live=3):
        pass


def test_runs_as_a_process_and_ends_with_its_parents_pipe(tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    scripts = Path(__file__).parents[2] / "scripts"
    process = subprocess.Popen(
        [sys.executable, "-m", "emulators.graph", "--tenant", "test_emulator:make_tenant",
         "--url-file", str(url_file), "--until-input-ends"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(scripts), str(Path(__file__).parent)])},
    )  # fmt: skip
    try:
        assert process.stdin is not None and process.stdout is not None
        line = process.stdout.readline()
        url = url_file.read_text()
        assert line == f"listening on {url}\n"
        answer = httpx.get(f"{url}/v1.0/users", **LOOPBACK)
        assert answer.status_code == 401
        process.stdin.close()
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.wait()


# ---------------------------------------------------------------------------------------------------
# identifiers


def decode(conversation: str) -> bytes:
    return base64.b64decode(conversation.replace("-", "/").replace("_", "+"))


def test_conversation_ids_agree_in_their_tail_only() -> None:
    thread = thread_guid("a")
    anna, ben = (decode(conversation_id(owner, thread)) for owner in (ANNA, BEN))
    assert len(anna) == len(ben) == 59
    assert anna[-16:] == ben[-16:] == thread
    assert anna[4:40].decode() == ANNA and ben[4:40].decode() == BEN


def test_conversation_index_grows_by_five_bytes_a_reply() -> None:
    thread = thread_guid("a")
    for outlook in (False, True):
        indexes = [conversation_index(thread, NOW, depth, outlook_header=outlook) for depth in range(4)]
        assert [len(index) for index in indexes] == [22, 27, 32, 37]
        assert all(later.startswith(earlier) for earlier, later in pairwise(indexes))
        assert all(index[6:22] == thread for index in indexes)
    assert conversation_index(thread, NOW)[:2] == b"\x01\x01"
    assert conversation_index(thread, NOW, outlook_header=True)[:2] == b"\x01\xdc"


def test_identifiers_have_the_layout_of_the_captured_ones() -> None:
    body = published("real_message_full")["body"]
    captured = decode(body["conversationId"])
    owner = captured[4:40].decode()
    assert conversation_id(owner, captured[-16:]) == body["conversationId"]
    index = base64.b64decode(body["conversationIndex"])
    assert len(index) == 22 and index[6:22] == captured[-16:]
    event = published("real_eventmessage_with_event")["body"]["event"]
    ours = exchange_ical_uid("a", NOW)
    assert len(ours) == len(event["iCalUId"])
    assert ours[:40] == event["iCalUId"][:40]
    assert ours[56:80] == event["iCalUId"][56:80]


def test_ical_uids_of_occurrences() -> None:
    occurrence = exchange_ical_uid("a", NOW, date(2020, 2, 3))
    assert occurrence[32:40] == "07E40203"
    assert occurrence[:32] + "00000000" + occurrence[40:] == exchange_ical_uid("a", NOW)
    assert foreign_ical_uid("a").endswith("@calendar.example")


def test_thread_by_topic_is_the_published_md5() -> None:
    # MS-OXOMSG 2.2.1.2: MD5 over the upper-cased topic in UTF-16LE
    assert topic_thread("hello") == topic_thread("HELLO")
    assert topic_thread("").hex() == "d41d8cd98f00b204e9800998ecf8427e"
