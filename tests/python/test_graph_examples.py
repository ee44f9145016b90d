"""The 42 published or captured answers of the real service, through the extractor's own decoding.

Each file is served over HTTP on loopback to the real client, as the answer to the request that would get it; what
comes out stands in EXPECTED. What we never ask for is served as well, to the request nearest to it, to see that
nothing is made of it that we do not know of. The files are no part of the project: without ENGAGEMENT_TEST_DATA the
tests skip.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from conftest import ROOT, Workspace
from engagement.addresses import AddressBook, Hasher, SenderPatterns
from engagement.configuration.enrichments import OfficeEnrichment
from engagement.errors import AuthenticationError, ConfigurationError, ServiceError
from engagement.office import mailboxes, meetings, messages
from engagement.office.client import GraphClient, MailboxUnreadable, PermissionMissing, StartAgain
from engagement.office.graph import MEETING_REQUIRED, MESSAGE_REQUIRED, Service
from engagement.office.rows import Read
from test_http import Waits, answering, reply

FOLDER = Path(os.environ.get("ENGAGEMENT_TEST_DATA", "")) / "graph_examples"
needs_examples = pytest.mark.skipif(
    "ENGAGEMENT_TEST_DATA" not in os.environ,
    reason="ENGAGEMENT_TEST_DATA is not set: the service's published answers are not here to replay",
)

OWNER = "00000000-0000-0000-0000-00000000000a"
MAILBOX_ID = 7
START, END = datetime(2010, 1, 1), datetime(2030, 1, 1)
MICROSOFT = b"https://graph.microsoft.com"

# Why a file is no answer to anything that we ask.
DELTA = "not asked for: deltas are per folder, refuse $select for calendars, and lose moved items"
BATCH = "not asked for: only GET is ever sent, and a batch against one mailbox throttles itself"
DATA_CONNECT = "not asked for: files of Data Connect are not read by this version"
OTHER_LIST = "not asked for: only calendarView is read, in UTC"
ONE_ITEM = "not asked for: items come in lists alone"
TRACE = "not asked for: a message trace has no threads and no calendars, and cannot leave the subject out"
GROUP_CAST = "not asked for: members are cast to people, never to groups"
ROLES = "not asked for: memberships of a person, and his roles"


def book() -> AddressBook:
    return AddressBook(
        Hasher(b"k" * 32), SenderPatterns.load(ROOT / "seeds" / "automated_sender_patterns.csv")
    )


def example(name: str) -> dict[str, Any]:
    """A file: `status`, `headers` and `body`."""
    answer: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return answer


@dataclass(frozen=True)
class Answer:
    """One answer of the service, byte by byte."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
        return cls(status, b"" if status == 204 else json.dumps(body).encode(), headers or {})


TOKEN = Answer.of({"access_token": "x", "expires_in": 3599})
NO_SUCH = Answer.of({"error": {"code": "Request_ResourceNotFound", "message": "x"}}, 404)


@dataclass
class Replay:
    """A client at work: `requests` are the paths asked for, `tokens` what it signed with, `waits` its waits."""

    client: GraphClient
    waits: Waits
    workspace: Workspace
    requests: list[str]
    tokens: list[str]


@contextmanager
def replaying(
    workspace: Workspace,
    answers: Mapping[str, Sequence[Answer]],
    *,
    token: Answer = TOKEN,
    rehost: bool = False,
) -> Iterator[Replay]:
    """The real client, and a server that answers a path's last part in turn, its last answer ever again.

    `rehost` lets links to Microsoft's host lead to ours, so that they are followed.
    """
    left = {name: list(given) for name, given in answers.items()}
    requests: list[str] = []
    tokens: list[str] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(request.path).path)
        if request.command == "POST":
            request.rfile.read(int(request.headers["Content-Length"]))
            chosen = token
        else:
            requests.append(path)
            tokens.append(request.headers["Authorization"])
            # What our reading of calendars and of ids rests on.
            assert request.headers["Prefer"] == 'IdType="ImmutableId", outlook.timezone="UTC"'
            waiting = next((left[name] for name in left if f"/{name}" in f"{path}/"), [NO_SUCH])
            chosen = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        host = f"http://{request.headers['Host']}".encode()
        body = chosen.body.replace(MICROSOFT, host) if rehost else chosen.body
        reply(request, body, chosen.status, chosen.headers)

    waits = Waits(seconds=20.0)
    with answering(answer) as url:
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": url, "ENGAGEMENT_GRAPH_URL": url}
        with Service(workspace.settings(), waits).client() as client:
            yield Replay(client, waits, workspace, requests, tokens)


def page_of(body: Any, required: str = "") -> Any:
    """A page as it is; one item, or the rows of Data Connect, as a page of their own.

    The files were answers to other questions than ours, so an item is given a null for what we ask for (`required`)
    and it lacks: the service leaves out what was not selected, and nothing else.
    """
    if not (isinstance(body, dict) and "value" in body):
        body = {"value": body if isinstance(body, list) else [body]}
    lacking = dict.fromkeys(filter(None, required.split(",")))
    return body | {"value": [lacking | item for item in body["value"]]}


def ending(body: Any, text: str, key: str = "id") -> str:
    """The one value of `key` in a page that ends so: ids are long."""
    [found] = {item[key] for item in page_of(body)["value"] if str(item.get(key, "")).endswith(text)}
    return str(found)


def moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def read_messages(client: GraphClient, into: AddressBook) -> Read:
    return messages.read(
        client, into, entra_id=OWNER, mailbox_id=MAILBOX_ID, start=START, end=END,
        search_folder_ids=frozenset(),
    )  # fmt: skip


def read_meetings(client: GraphClient, into: AddressBook) -> Read:
    return meetings.read(client, into, entra_id=OWNER, mailbox_id=MAILBOX_ID, start=START, end=END)


# --- what a file may come to


class Expectation(ABC):
    """What one file, or a part of it, comes to; `why` where it is nothing that we ask for."""

    why: str

    @abstractmethod
    def check(self, name: str, workspace: Workspace) -> None:
        """Replays the file and asserts what it comes to."""


def whole(body: Any) -> Any:
    return body


Part = Callable[[Any], Any]


def response(number: str) -> Part:
    """One answer within a batch: its status, headers and body."""
    return lambda body: next(part for part in body["responses"] if part["id"] == number)


@dataclass(frozen=True)
class M:
    """A message that comes out. `id` and the like end so; `thread` is in hexadecimal, None where the message is a
    thread of its own; addresses in their normalised form.
    """

    id: str
    message_id: str | None = None
    thread: str | None = None
    received: str | None = None
    sent: str | None = None
    sender: str | None = None  # both from and sender, unless `from_` says otherwise
    from_: str | None = "as sender"
    to: tuple[str, ...] = ()
    draft: bool = False
    meeting_mail: bool = False


@dataclass(frozen=True)
class Messages(Expectation):
    """The rows of raw.office_messages; `then` are the files of the pages that follow."""

    rows: tuple[M, ...]
    why: str = ""
    then: tuple[str, ...] = ()
    part: Part = whole

    def check(self, name: str, workspace: Workspace) -> None:
        bodies = [self.part(example(name)["body"]), *(example(each)["body"] for each in self.then)]
        bodies = [page_of(body, MESSAGE_REQUIRED) for body in bodies]
        into = book()
        with replaying(
            workspace, {"messages": [Answer.of(body) for body in bodies]}, rehost=bool(self.then)
        ) as replay:
            read = read_messages(replay.client, into)
            assert len(replay.requests) == len(bodies)
        everything = {"value": [item for body in bodies for item in body["value"]]}
        assert read.rows == [self._row(row, into, everything) for row in self.rows]
        assert len(read.undated_keys) == sum(row.received is None for row in self.rows)
        assert read.moments == [moment(row.received) for row in self.rows if row.received]

    @staticmethod
    def _row(row: M, into: AddressBook, page: Any) -> tuple[Any, ...]:
        hasher = into.hasher
        item_id = ending(page, row.id)
        thread = bytes.fromhex(row.thread) if row.thread else f"{MAILBOX_ID}//{item_id}".encode()
        from_ = row.sender if row.from_ == "as sender" else row.from_
        return (
            MAILBOX_ID,
            hasher.item(item_id),
            hasher.message(row.message_id or item_id),
            hasher.thread(thread),
            moment(row.received),
            moment(row.sent),
            None if from_ is None else hasher.address(from_),
            None if row.sender is None else hasher.address(row.sender),
            [hasher.address(address) for address in row.to],
            row.draft,
            row.meeting_mail,
            False,
        )


@dataclass(frozen=True)
class E:
    """A calendar entry that comes out; attendees as (address, type, response)."""

    id: str
    start: str | None
    end: str | None
    uid: str | None = None
    organizer: str | None = None
    attendees: tuple[tuple[str, str, str], ...] = ()
    is_organizer: bool = False
    response: str = "none"


@dataclass(frozen=True)
class Meetings(Expectation):
    """The rows of raw.office_meetings, and the ends of the ids of what is seen but not kept."""

    rows: tuple[E, ...] = ()
    dropped: tuple[str, ...] = ()
    why: str = ""
    then: tuple[str, ...] = ()
    part: Part = whole

    def check(self, name: str, workspace: Workspace) -> None:
        bodies = [self.part(example(name)["body"]), *(example(each)["body"] for each in self.then)]
        bodies = [page_of(body, MEETING_REQUIRED) for body in bodies]
        into = book()
        # More than one page without a count is read until two reads agree.
        twice = bodies * 2 if len(bodies) > 1 else bodies
        with replaying(
            workspace, {"calendarView": [Answer.of(body) for body in twice]}, rehost=bool(self.then)
        ) as replay:
            read = read_meetings(replay.client, into)
            assert len(replay.requests) == len(twice)
        page = {"value": [item for body in bodies for item in body["value"]]}
        hasher = into.hasher
        assert read.rows == [
            (
                MAILBOX_ID,
                hasher.item(ending(page, row.id)),
                hasher.ical(ending(page, row.uid, "iCalUId") if row.uid else ending(page, row.id)),
                moment(row.start),
                moment(row.end),
                False,
                False,
                row.is_organizer,
                row.response,
                None if row.organizer is None else hasher.address(row.organizer),
                [hasher.address(address) for address, _, _ in row.attendees],
                [kind for _, kind, _ in row.attendees],
                [given for _, _, given in row.attendees],
            )
            for row in self.rows
        ]
        assert read.dropped_keys == [hasher.item(ending(page, end)) for end in self.dropped]
        assert len(read.undated_keys) == sum(row.start is None or row.end is None for row in self.rows)


@dataclass(frozen=True)
class People(Expectation):
    """The people of a group, by Entra id, with their addresses, when the file is its list of members."""

    people: Mapping[str, tuple[str, ...]]
    why: str = ""
    part: Part = whole

    def check(self, name: str, workspace: Workspace) -> None:
        members = Answer.of(page_of(self.part(example(name)["body"])))
        workspace.configure(addresses=["group@northwind.example"])
        answers = {
            "users/group@northwind.example": [NO_SUCH],
            "users/": [Answer.of({"value": []})],
            "groups/G/transitiveMembers": [members],
            "groups/": [Answer.of({"value": [{"id": "G", "mail": "group@northwind.example"}]})],
        }
        with replaying(workspace, answers) as replay:
            settings = workspace.settings()
            [(position, enrichment)] = settings.enrichments(OfficeEnrichment)
            selection = mailboxes.resolve(replay.client, settings, position, enrichment)
        assert {person.entra_id: person.addresses for person in selection.people.values()} == self.people
        assert [(count.kind, count.people) for count in selection.counts] == [("group", len(self.people))]


@dataclass(frozen=True)
class Groups(Expectation):
    """The groups found by an address when the file is the answer."""

    ids: tuple[str, ...]
    why: str = ""

    def check(self, name: str, workspace: Workspace) -> None:
        with replaying(workspace, {"groups/": [Answer.of(example(name)["body"])]}) as replay:
            found = mailboxes.groups_of(replay.client, listed())
        assert tuple(group.id for group in found) == self.ids


@dataclass(frozen=True)
class SearchFolders(Expectation):
    """The folders that hold copies alone."""

    ids: frozenset[str]
    why: str = ""

    def check(self, name: str, workspace: Workspace) -> None:
        with replaying(workspace, {"mailFolders": [Answer.of(example(name)["body"])]}) as replay:
            assert messages.search_folders(replay.client, OWNER) == self.ids


def listed() -> mailboxes.ListedAddress:
    found = mailboxes.ListedAddress.of("anna@northwind.example", "enrichments[0].addresses[0]")
    assert found is not None
    return found


REQUESTS: dict[str, Callable[[GraphClient], Any]] = {
    "messages": lambda client: read_messages(client, book()),
    "calendarView": lambda client: read_meetings(client, book()),
    "mailFolders": lambda client: messages.search_folders(client, OWNER),
    "groups": lambda client: mailboxes.groups_of(client, listed()),
    "users": lambda client: mailboxes.user_of(client, listed()),
}

REQUIRED = {"messages": MESSAGE_REQUIRED, "calendarView": MEETING_REQUIRED}
NOT_JSON = r"failed \(an answer that is not the expected JSON\) after 5 attempts; run again later"
OTHER_HOST = "points to another host for its next page; refused"
OTHER_ZONE = "answered in another time zone than UTC, which was asked for"


@dataclass(frozen=True)
class Refused(Expectation):
    """The file's body as the answer to `request` is refused, and how; what is no JSON of ours is asked for again until
    patience ends. The mailbox is then incomplete, and its slices are read by the next run.
    """

    request: str
    said: str
    why: str = ""
    kind: type[Exception] = ServiceError
    part: Part = whole

    def check(self, name: str, workspace: Workspace) -> None:
        answers = {
            "users/anna@northwind.example": [NO_SUCH],
            f"{self.request}/": [Answer.of(self._body(name))],
        }
        with replaying(workspace, answers) as replay:
            with pytest.raises(self.kind, match=self.said):
                REQUESTS[self.request](replay.client)
            assert bool(replay.waits.waited) == (self.said == NOT_JSON)

    def _body(self, name: str) -> Any:
        body = self.part(example(name)["body"])
        is_page = isinstance(body, dict) and "value" in body
        return page_of(body, REQUIRED.get(self.request, "")) if is_page else body


@dataclass(frozen=True)
class Failing(Expectation):
    """An answer with an error: what it means for a mailbox, and for a question to the directory. `asked` is how often
    one such question is sent.
    """

    mailbox: tuple[type[Exception], str]
    directory: tuple[type[Exception], str]
    part: Part | None = None
    why: str = ""
    asked: int = 1

    def check(self, name: str, workspace: Workspace) -> None:
        given = example(name)
        given = given if self.part is None else self.part(given["body"])
        answer = Answer.of(given.get("body"), given["status"], given.get("headers"))
        for request, (kind, said) in (("messages", self.mailbox), ("groups", self.directory)):
            with replaying(workspace, {f"{request}/": [answer]}) as replay:
                with pytest.raises(kind, match=said):
                    REQUESTS[request](replay.client)
                assert len(replay.requests) == self.asked
                assert replay.waits.waited == []


@dataclass(frozen=True)
class Throttled(Expectation):
    """Waits so many seconds, then asks again and goes on."""

    seconds: float
    why: str = ""

    def check(self, name: str, workspace: Workspace) -> None:
        given = example(name)
        too_many = Answer.of(given["body"], given["status"], given["headers"])
        item = {"id": "m", "receivedDateTime": "2026-06-30T10:00:00Z"}
        page = Answer.of(page_of(item, MESSAGE_REQUIRED))
        with replaying(workspace, {"messages": [too_many, page]}) as replay:
            assert len(read_messages(replay.client, book()).rows) == 1
            assert replay.waits.waited == [self.seconds]


@dataclass(frozen=True)
class SignsIn(Expectation):
    """The token is put on requests, and asked for anew five minutes before its end."""

    token: str
    seconds: float
    why: str = ""

    def check(self, name: str, workspace: Workspace) -> None:
        empty = Answer.of({"value": []})
        given = Answer.of(example(name)["body"])
        with replaying(workspace, {"mailFolders": [empty]}, token=given) as replay:
            messages.search_folders(replay.client, OWNER)
            assert replay.tokens == [f"Bearer {self.token}"]
        with replaying(workspace, {}, token=given) as replay:
            waits = Waits()
            tokens = Service(workspace.settings(), waits)._tokens
            tokens.current()
            tokens._token = "kept"
            waits.waited.append(self.seconds - 301)
            assert tokens.current() == "kept"
            waits.waited.append(2)
            assert tokens.current() == self.token


DENIED = (MailboxUnreadable, "^denied$")
NO_PERMISSION = (PermissionMissing, r"grant the app the permission GroupMember\.Read\.All")
DANA, SAMANTHA = "danas@contoso.onmicrosoft.com", "samanthab@contoso.onmicrosoft.com"
DELTA_MESSAGES = (
    M("AAASq35xAAA=", sender=DANA, from_=None),
    M("AAAVRMKAAAAA==", sender=SAMANTHA, from_=None),
    M("AQMkADNkNAAAgWkAAAA", sender="elliot-hyde@tailspintoys.com", from_=None),
    M("AQMkADNkNAAAgWJAAAA", sender="randiw@contoso.onmicrosoft.com", from_=None),
    M("AAMkADk0MGFkODE3LWEAAA=", sender="jodie.sharp@contoso.com", from_=None),
)


def in_sample(name: str) -> str:
    """An address of the tenant that Data Connect's samples come from."""
    return f"{name}@m365x723843.onmicrosoft.com"


def in_samples(*names: str) -> tuple[str, ...]:
    return tuple(in_sample(name) for name in names)


def attendee(name: str, response: str, kind: str = "required") -> tuple[str, str, str]:
    """As Data Connect writes them: its enumerations are kept as they come."""
    return (
        in_sample(name), f"microsoft.graph.attendeeType'{kind}'", f"microsoft.graph.responseType'{response}'"
    )  # fmt: skip


ORGANIZER = "microsoft.graph.responseType'organizer'"
ACCEPTED = "microsoft.graph.responseType'accepted'"

EXPECTED: dict[str, tuple[Expectation, ...]] = {
    # mail
    "messages_list_select": (Messages((M("TW09AAA=", sender="noreply@planner.office365.com", from_=None),)),),
    "real_message_full": (
        Messages(
            (
                M(
                    "EwbDEWAAA=",
                    "<PH0PR04MB728549C32966F13F99565FFEBCB0A@PH0PR04MB7285.namprd04.prod.outlook.com>",
                    "12c450273f05f1438e435b4dbc4d85d8",
                    "2023-11-16T05:42:47",
                    "2023-11-16T05:42:46",
                    "johannal@test-tenant.onmicrosoft.com",
                    to=(
                        "pradeepg@test-tenant.onmicrosoft.com",
                        "leeg@test-tenant.onmicrosoft.com",
                        "henriettam@test-tenant.onmicrosoft.com",
                        "nestorw@test-tenant.onmicrosoft.com",
                        "diegos@test-tenant.onmicrosoft.com",
                    ),
                ),
            )
        ),
    ),
    "real_message_nested": (
        Messages(
            (
                M(
                    "FnbV-qAAA=",
                    "<SJ0PR04MB729409CE8C191E01151C110DBC472@SJ0PR04MB7294.namprd04.prod.outlook.com>",
                    "8bf6ff8447c03849865a815793d31376",
                    "2024-02-05T09:33:46",
                    "2024-02-05T09:33:45",
                    "johannal@10rqc2.onmicrosoft.com",
                    to=("pradeepg@10rqc2.onmicrosoft.com",),
                ),
            )
        ),
    ),
    "message_full_as_item_attachment": (
        Messages(
            (
                M(
                    "",
                    "<BY2PR15MB05189A084C01F466709E414F9CA40@BY2PR15MB0518.namprd15.prod.outlook.com>",
                    "c1be35208c06a74aacb6b612647f94ed",
                    "2017-07-21T00:19:55",
                    "2017-07-21T00:19:52",
                    "adelev@contoso.onmicrosoft.com",
                    to=("alexw@contoso.onmicrosoft.com", "adelev@contoso.onmicrosoft.com"),
                ),
            ),
            why=ONE_ITEM,
        ),
    ),
    "eventmessage_meeting_request": (
        Messages(
            (
                # Its conversationId was shortened by the documentation's editors, so the index has to do.
                M(
                    "ImV_lAAA=",
                    "<MWHPR1301MB2110DCFC@MWHPR1301MB2110.namprd13.prod.outlook.com>",
                    "aa5e0df4596b4f428a94e24635d03915",
                    "2017-12-27T21:58:36",
                    "2017-12-27T21:58:36",
                    "admin@contoso.onmicrosoft.com",
                    to=("alexw@contoso.onmicrosoft.com",),
                    meeting_mail=True,
                ),
            )
        ),
    ),
    "real_eventmessage_with_event": (
        Messages(
            (
                M(
                    "FZU-vfAAA=",
                    "<PH0PR04MB7285DDED30186B1D8E1BD2AABC6C2@PH0PR04MB7285.namprd04.prod.outlook.com>",
                    "1a08505cf307224c96d2686ed612009d",
                    "2024-01-15T11:26:41",
                    "2024-01-15T11:26:41",
                    "johannal@10rqc2.onmicrosoft.com",
                    to=("pradeepg@10rqc2.onmicrosoft.com",),
                    meeting_mail=True,
                ),
            )
        ),
        Meetings(dropped=("FZU--pAAA=",), part=lambda body: body["event"]),
    ),
    "messages_delta_page1_nextlink": (
        Refused("messages", OTHER_HOST, why=DELTA),
        Messages(
            DELTA_MESSAGES,
            why=DELTA,
            then=("messages_delta_page2_nextlink", "messages_delta_page3_deltalink"),
        ),
    ),
    "messages_delta_page2_nextlink": (
        Refused("messages", OTHER_HOST, why=DELTA),
        Messages(DELTA_MESSAGES[2:], why=DELTA, then=("messages_delta_page3_deltalink",)),
    ),
    "messages_delta_page3_deltalink": (Messages(DELTA_MESSAGES[4:], why=DELTA),),
    # What was removed there would be a message without a date, counted in the bucket unreadable_date.
    "messages_delta_nextround_removed": (Messages((M("KnLuxoAAA="), DELTA_MESSAGES[0]), why=DELTA),),
    "message_trace_list": (Messages((M("196330437ae6", received="2025-06-13T10:30:00"),), why=TRACE),),
    "mailfolders_list_with_searchfolder": (SearchFolders(frozenset({"AAMkADYRAAAZg1yTAAA="})),),
    "mailfolders_delta": (Refused("mailFolders", NOT_JSON, why=DELTA),),
    # calendars
    "calendarview_list": (
        # The documentation's sample leaves out the id, which the service never does.
        Refused("calendarView", "answers with id of another form than documented"),
    ),
    "calendarview_delta_page1_nextlink": (
        Refused("calendarView", OTHER_HOST, why=DELTA),
        Meetings(
            (
                E("ADNVxRAAA=", "2016-12-09T20:30:00", "2016-12-09T22:00:00", organizer=SAMANTHA),
                E("ADVxSAAA=", "2016-12-10T01:00:00", "2016-12-10T02:00:00", organizer=SAMANTHA),
                E("ADj1HuAAA=", "2016-12-12T02:00:00", "2016-12-12T07:30:00", organizer=SAMANTHA),
            ),
            why=DELTA,
            then=("calendarview_delta_page3_deltalink",),
        ),
    ),
    "calendarview_delta_page3_deltalink": (
        Meetings(
            (E("ADj1HuAAA=", "2016-12-12T02:00:00", "2016-12-12T07:30:00", organizer=SAMANTHA),),
            why=DELTA,
        ),
    ),
    "calendarview_delta_nextround_removed": (
        Meetings(
            (
                E("vAADb6ytyAAA=", None, None),
                E("ADj1HvAAA=", "2016-12-25T06:00:00", "2016-12-25T07:30:00", organizer=SAMANTHA),
            ),
            why=DELTA,
        ),
    ),
    "event_instances_occurrences_exception": (
        Meetings(
            (
                E("I1sE1TatAAEYAAAAAlNFb2CNPe0ucP9you", "2019-04-16T20:30:00", "2019-04-16T21:00:00"),
                E("I1ru1JMcAAEYAAAAAlNFb2CNPe0ucP9you", "2019-04-08T20:30:00", "2019-04-08T21:00:00"),
                E("I1sa1do_AAEYAAAAAlNFb2CNPe0ucP9you", "2019-04-22T20:30:00", "2019-04-22T21:00:00"),
                E("I1sw1n3PAAEYAAAAAlNFb2CNPe0ucP9you", "2019-04-29T20:30:00", "2019-04-29T21:00:00"),
            ),
            why=OTHER_LIST,
        ),
    ),
    # A local time taken for UTC would move meetings by hours, so another zone than the one asked for is refused.
    "events_list": (Refused("calendarView", OTHER_ZONE, why=OTHER_LIST),),
    "event_get_attendees": (Refused("calendarView", OTHER_ZONE, why=ONE_ITEM, part=page_of),),
    "event_online_meeting": (Refused("calendarView", OTHER_ZONE, why=ONE_ITEM, part=page_of),),
    "event_recurring_seriesmaster": (Meetings(dropped=("AAMkADQwMD",), why=ONE_ITEM),),
    # people and groups
    "users_list": (
        Refused(
            "users",
            r"addresses\[0\]: 2 people have this address in the directory; list one that is unique",
            kind=ConfigurationError,
        ),
        People(
            {
                "6ea91a8d-e32e-41a1-b7bd-d2d185eed0e0": ("adams@contoso.com",),
                "4562bcc8-c436-4f95-b7c0-4f8ce89dca5e": ("admin@contoso.com",),
            }
        ),
    ),
    "users_delta": (Refused("users", OTHER_HOST, why=DELTA),),
    "groups_list": (
        Groups(("45b7d2e7-b882-4a80-ba97-10b7a63b8fa4", "d7797254-3084-44d0-99c9-a3b5ab149538")),
    ),
    "group_delta_members": (Refused("groups", NOT_JSON, why=DELTA),),
    "group_transitive_members": (People({"11111111-2222-3333-4444-555555555555": ("group1@contoso.com",)}),),
    "group_transitive_members_cast_count": (
        # Nothing in these rows says that they are groups: as people they would be mailboxes that are not found.
        People(
            {
                "4d0ef681-e88f-42a3-a2db-e6bf1e249e10": ("executives@contoso.com",),
                "d9fb0c47-c783-40a1-bce1-53b52ada51fc": ("falcon@contoso.com",),
            },
            why=GROUP_CAST,
        ),
    ),
    # sign-in, errors, batches
    "token_response": (SignsIn("eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiIsIng1dCI6Ik1uQ19WWmNBVGZNNXBP...", 3599),),
    "error_403_application_access_policy": (Failing(DENIED, NO_PERMISSION),),
    "error_410_syncstatenotfound": (
        Failing(
            (StartAgain, r"status 410 SyncStateNotFound whenever it was begun anew"),
            (ServiceError, r"status 410 SyncStateNotFound; this is no passing fault"),
            why=DELTA,
        ),
    ),
    "error_429_generic": (Throttled(2.128),),
    "error_429_mailboxconcurrency": (Throttled(1.0),),
    "error_501_notimplemented": (
        Failing(
            (ServiceError, r"status 501 NotImplemented; this is no passing fault"),
            (ServiceError, r"status 501 NotImplemented; this is no passing fault"),
            why=DELTA,
        ),
    ),
    "batch_response_old": (
        Refused("messages", NOT_JSON, why=BATCH),
        Failing(
            (ServiceError, "status 302; this is no passing fault"),
            (ServiceError, "status 302; this is no passing fault"),
            part=response("1"),
            why=BATCH,
        ),
        Messages((), part=lambda body: response("2")(body)["body"], why=BATCH),
        Failing(
            (AuthenticationError, "status 401 Forbidden to a new token"),
            (AuthenticationError, "status 401 Forbidden to a new token"),
            part=response("3"),
            why=BATCH,
            asked=2,
        ),
        Failing(
            (ServiceError, "status 204; this is no passing fault"),
            (ServiceError, "status 204; this is no passing fault"),
            part=response("4"),
            why=BATCH,
        ),
        People(
            {"071cc716-8147-4397-a5ba-b2105951cc0b": ("adelev@contoso.com",)},
            part=lambda body: response("5")(body)["body"],
            why=BATCH,
        ),
    ),
    "batch_response_2025": (
        Refused("messages", NOT_JSON, why=BATCH),
        Refused("groups", OTHER_HOST, part=lambda body: response("1")(body)["body"], why=ROLES),
        Failing(DENIED, NO_PERMISSION, part=response("2"), why=BATCH),
        Failing(
            (PermissionMissing, "grant the app the role Application Mail.ReadBasic over a management scope"),
            NO_PERMISSION,
            part=response("3"),
            why=BATCH,
        ),
        People(
            {"10a1d484-cd1a-4162-a5a4-832370bac356": ("lynner@contoso.com",)},
            part=lambda body: response("5")(body)["body"],
            why=BATCH,
        ),
    ),
    # Data Connect: bare rows, which no answer of Graph is; as a page of Graph's they come out as any other
    "mgdc_Message_v1_rows": (
        Refused("messages", NOT_JSON, why=DATA_CONNECT),
        Messages(
            (
                M(
                    "AIFgAAAAA==",
                    "<8b683185-842a-4b01-9f14-a9453bb4a37f@DM6NAM12FT007.eop-nam12.prod.protection.outlook.com>",
                    "41f75ef554a4d24fb7fd34a4a45643ed",
                    "2021-02-03T00:37:46",
                    "2021-02-03T00:37:41",
                    "noreply@email.teams.microsoft.com",
                    to=in_samples("pattif"),
                ),
                M(
                    "AgmKAAAA",
                    "<1ebaef20f4db47bb90d8b42cdd85a58f@BN8PR19MB3412.namprd19.prod.outlook.com>",
                    "44efc4e362f8064eb4b4bfc30fab7439",
                    "2021-02-03T00:10:59",
                    "2021-02-03T00:10:57",
                    in_sample("isaiahl"),
                    to=in_samples("christiec"),
                ),
                M(
                    "AINhwAAAA==",
                    "<cd829e3d0e5c4ddb839f06bcf65fe535@BY2SR01MB607.namsdf01.sdf.exchangelabs.com>",
                    "80eedb24466b6f4da81515d22d9314bb",
                    "2021-02-02T02:18:31",
                    "2021-02-02T02:18:31",
                    in_sample("pattif"),
                    to=in_samples("diegos"),
                ),
            ),
            why=DATA_CONNECT,
        ),
    ),
    "mgdc_SentItems_v1_rows": (
        Refused("messages", NOT_JSON, why=DATA_CONNECT),
        # Its first row has a text that holds JSON where Graph has a list.
        Refused(
            "messages",
            "answers with ccRecipients of another form than documented",
            why=DATA_CONNECT,
            part=page_of,
        ),
        Messages(
            (
                M(
                    "AAOtPAAA=",
                    "<6a8e7658524b41cda7cdc3f23c1074a5@SN2SR01MB001.namsdf01.sdf.exchangelabs.com>",
                    "8b01119a76e54a44941c8b2d44051fa4",
                    "2021-01-30T11:02:12",
                    "2021-01-30T11:02:12",
                    in_sample("lidiah"),
                    to=in_samples("meganb", "jonis", "diegos", "nestorw", "legal", "executives"),
                ),
                M(
                    "AAOtOAAA=",
                    "<d839a6ee92004f788b8eeeb09059e7ea@SN2SR01MB001.namsdf01.sdf.exchangelabs.com>",
                    "a5468919c9df0948b352cbeb34e44da6",
                    "2021-02-02T11:42:11",
                    "2021-02-02T11:42:11",
                    in_sample("lidiah"),
                    to=in_samples("isaiahl", "diegos", "pradeepg"),
                ),
            ),
            why=DATA_CONNECT,
            part=lambda body: body[1:],
        ),
    ),
    "mgdc_Event_v1_rows": (
        Refused("calendarView", NOT_JSON, why=DATA_CONNECT),
        Meetings(
            (
                E(
                    "Aq8YAAAA",
                    "2021-02-09T19:30:00",
                    "2021-02-09T20:00:00",
                    "D502259",
                    in_sample("design"),
                    attendees=(
                        attendee("design", "none"),
                        attendee("meganb", "accepted"),
                        attendee("alexw", "accepted"),
                        attendee("alland", "accepted"),
                        attendee("johannal", "accepted"),
                        attendee("admin", "accepted"),
                    ),
                    response=ACCEPTED,
                ),
            ),
            dropped=("AALvhAAA=", "AQY0AAA="),
            why=DATA_CONNECT,
        ),
    ),
    "mgdc_CalendarView_v0_rows": (
        Refused("calendarView", NOT_JSON, why=DATA_CONNECT),
        Meetings(
            (
                E(
                    "EGLAAAEA==",
                    "2020-02-03T18:00:00",
                    "2020-02-03T19:30:00",
                    "946CEB9B8",
                    in_sample("lynner"),
                    is_organizer=True,
                    response=ORGANIZER,
                ),
                # Its iCalUId has the day in the organiser's own zone (07E40C09): a day before.
                E(
                    "EGKgAAEA==",
                    "2020-12-10T00:00:00",
                    "2020-12-10T01:30:00",
                    "700B566A3",
                    in_sample("lynner"),
                    is_organizer=True,
                    response=ORGANIZER,
                ),
                E(
                    "DIZAAAEA==",
                    "2021-05-04T21:00:00",
                    "2021-05-04T22:00:00",
                    "15BEB7B5",
                    in_sample("lidiah"),
                    attendees=(
                        attendee("lidiah", "none"),
                        attendee("meganb", "accepted"),
                        attendee("lynner", "none"),
                        attendee("brianj", "none"),
                        attendee("jonis", "tentativelyAccepted", "optional"),
                    ),
                    response=ACCEPTED,
                ),
            ),
            why=DATA_CONNECT,
        ),
    ),
    "mgdc_User_v1_rows": (
        Refused("users", NOT_JSON, why=DATA_CONNECT),
        People(
            {
                "1715c984-a1ce-4483-b109-643041ef4469": in_samples("christiec"),
                "18dd806f-9613-4865-8664-6523e72a3e68": in_samples("baker"),
                "3853937f-6f46-4fff-a141-1a18be24944e": in_samples("diegos"),
            },
            why=DATA_CONNECT,
        ),
    ),
    "mgdc_GroupMembers_v0_rows": (
        Refused("users", NOT_JSON, why=DATA_CONNECT),
        # One member, once for every group that holds him.
        People(
            {"e530bf91-e844-4369-a808-e0d12b1008cd": ("contosouser21@contosotest21.onmicrosoft.com",)},
            why=DATA_CONNECT,
        ),
    ),
}


def test_the_table_names_42_files() -> None:
    assert len(EXPECTED) == 42
    for expectations in EXPECTED.values():
        assert expectations
        assert all(each.why == "" or each.why.startswith("not asked for: ") for each in expectations)


@needs_examples
def test_every_file_is_in_the_table() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(EXPECTED)


@needs_examples
@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_answer_comes_to_what_the_table_says(workspace: Workspace, name: str) -> None:
    for expectation in EXPECTED[name]:
        expectation.check(name, workspace)


@needs_examples
def test_what_is_not_asked_for_is_not_asked_for(workspace: Workspace) -> None:
    """Every list that a run reads, against the deltas, batches, traces and single items that the table says it does
    not.
    """
    answers = {"users/anna@northwind.example": [NO_SUCH]}
    answers |= {name: [Answer.of({"value": []})] for name in ("messages", "calendarView", "mailFolders")}
    answers |= {name: [Answer.of({"value": []})] for name in ("groups/", "users/")}
    with replaying(workspace, answers) as replay:
        for request in REQUESTS.values():
            request(replay.client)
        asked = set(replay.requests)
    assert asked == {
        f"/v1.0/users/{OWNER}/messages",
        f"/v1.0/users/{OWNER}/calendarView",
        f"/v1.0/users/{OWNER}/mailFolders",
        "/v1.0/groups",
        "/v1.0/users",
        "/v1.0/users/anna@northwind.example",
    }
