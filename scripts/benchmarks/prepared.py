"""A Microsoft Graph of made-up mailboxes whose answers are bytes before the clock starts.

The emulator is strict and renders every message when it is asked, so a benchmark against it would measure the
emulator. Here every message is rendered once, when the service starts; an answer is one stretch of the mailbox's
bytes, cut where the asked time range and page begin and end, between a head and a tail of a few hundred bytes. It
answers what an extraction asks (token, people by address, folders, messages, calendars, which are empty) in the
shape in which the emulator answers it, and everything else with 501, so that nobody measures what he did not mean.

One thread a connection, plain sockets, zero copies: the work of an answer does not depend on its size.
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import re
import resource
import socket
import threading
import time
from array import array
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from emulators.identifiers import (
    conversation_id,
    conversation_index,
    exchange_base64,
    folder_id,
    seeded_bytes,
    seeded_guid,
)

NOW = datetime(2026, 7, 1, 5, 30, tzinfo=UTC)
OURS = "northwind.example"
# Messages are spread evenly over so many days before NOW; what came in the last minutes, nobody asks for.
DAYS = 365
_LAST_MINUTES = timedelta(minutes=15)
DOMAINS, ADDRESSES = 700, 20_000
# What a message is rendered with: a client that asks for anything else is refused.
PROPERTIES = (
    "id",
    "internetMessageId",
    "conversationId",
    "conversationIndex",
    "parentFolderId",
    "receivedDateTime",
    "sentDateTime",
    "isDraft",
    "from",
    "sender",
    "toRecipients",
    "ccRecipients",
    "bccRecipients",
)
FIGURES = "/figures"
# Asked of the figures, it begins the noted times anew.
BEGIN = "begin"
DEFAULT_PAGE, LARGEST_PAGE = 10, 1000

# Immutable ids of one mailbox begin alike; with what tells the messages apart they have 150 characters.
_ID_LENGTH = 150
_ID_BYTES, _ID_TEXT = 24, 32
_IMMUTABLE_PREFIX = b"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A"
_EXCHANGE_ALPHABET = bytes.maketrans(b"/+", b"-_")
# Recipients of a message: how many in To and in Cc, in turn; 2 in the mean.
_RECIPIENTS = ((1, 0), (2, 0), (1, 1), (1, 0), (3, 1), (1, 0), (1, 0), (5, 0), (1, 0), (1, 1))
_FIRST_NAMES = (
    "Anna",
    "Benedikt",
    "Carla",
    "Dmitri",
    "Eleonore",
    "Farid",
    "Giulia",
    "Henrik",
    "Ines",
    "Jakub",
)
_LAST_NAMES = ("Albrecht", "Bernardi", "Czerny", "Delacroix", "Eriksen", "Fischer", "Grabowski", "Haddad")

_MESSAGE = (
    b'{"@odata.etag":"W/\\"CQAAABYAAAB%b\\"","id":"%b","internetMessageId":"<%b@%b>","conversationId":"%b",'
    b'"conversationIndex":"%b","parentFolderId":"%b","receivedDateTime":"%bZ","sentDateTime":"%bZ",'
    b'"isDraft":false,"from":%b,"sender":%b,"toRecipients":[%b],"ccRecipients":[%b],"bccRecipients":[]}'
)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox's messages, oldest first: their JSON with a comma after each, where each begins (and the last
    ends), and when each was received, in seconds since 1970.
    """

    person_id: str
    address: str
    content: memoryview
    begins: array[int]
    received: array[int]


def _recipients(rng: random.Random) -> tuple[list[bytes], list[bytes]]:
    """Everyone that mail is exchanged with, as rendered recipients, and the domains of them."""
    domains = [f"firm{number}.example" for number in range(DOMAINS)]
    people = []
    for number in range(ADDRESSES):
        first, last = rng.choice(_FIRST_NAMES), rng.choice(_LAST_NAMES)
        address = f"{last.lower()}{number}@{domains[number % DOMAINS]}"
        people.append(_recipient(f"{first} {last}", address))
    return people, [domain.encode() for domain in domains]


def _recipient(name: str, address: str) -> bytes:
    return msgspec.json.encode({"emailAddress": {"name": name, "address": address}})


def address_of(number: int) -> str:
    """The address of a mailbox."""
    return f"person{number}@{OURS}"


def person_id_of(number: int) -> str:
    """The object id of a mailbox's owner."""
    return seeded_guid(f"prepared:{number}")


def prepare(mailboxes: int, messages: int) -> Iterator[Mailbox]:
    """Mailboxes with so many messages each; the same for the same numbers."""
    people, domains = _recipients(random.Random("people"))
    began = NOW - timedelta(days=DAYS)
    span = int((NOW - _LAST_MINUTES - began).total_seconds())
    first = int(began.timestamp())
    for number in range(mailboxes):
        yield _mailbox(number, messages, people, domains, first, span)


def _mailbox(
    number: int, messages: int, people: Sequence[bytes], domains: Sequence[bytes], first: int, span: int
) -> Mailbox:
    rng = random.Random(f"mailbox:{number}")
    person_id, address = person_id_of(number), address_of(number)
    owner = _recipient(f"Person {number}", address)
    folders = [folder_id(person_id, name).encode() for name in ("inbox", "sentitems")]
    common = exchange_base64(seeded_bytes(f"ids:{person_id}", 64)).encode()[
        : _ID_LENGTH - _ID_TEXT - len(_IMMUTABLE_PREFIX)
    ]
    prefix = _IMMUTABLE_PREFIX + common
    own = b64encode(rng.randbytes(_ID_BYTES * messages)).translate(_EXCHANGE_ALPHABET)
    hosts = rng.choices(domains, k=messages)
    threads = [rng.randbytes(16) for _ in range(max(1, messages // 3))]
    in_thread = rng.choices(range(len(threads)), k=messages)
    drawn = iter(rng.choices(people, k=6 * messages))
    content = bytearray()
    begins, received = array("Q", [0]), array("Q")
    for index in range(messages):
        seconds = first + index * span // messages
        moment = datetime.fromtimestamp(seconds, UTC)
        stamp = moment.isoformat()[:19].encode()
        item = own[_ID_TEXT * index : _ID_TEXT * (index + 1)]
        thread = threads[in_thread[index]]
        to, cc = _RECIPIENTS[index % len(_RECIPIENTS)]
        listed = [next(drawn) for _ in range(to + cc)]
        sent = index % 3 == 0
        if not sent:
            listed[0] = owner
        sender = owner if sent else next(drawn)
        content += _MESSAGE % (
            item[-20:],
            prefix + item,
            item[:28].replace(b"-", b"x"),
            hosts[index],
            conversation_id(person_id, thread).encode(),
            b64encode(conversation_index(thread, moment, depth=index % 4)),
            folders[sent],
            stamp,
            stamp,
            sender,
            sender,
            b",".join(listed[:to]),
            b",".join(listed[to:]),
        )
        content += b","
        begins.append(len(content))
        received.append(seconds)
    return Mailbox(person_id, address, memoryview(bytes(content)), begins, received)


# ---------------------------------------------------------------------------------------------------
# the service

Answer = tuple[int, Sequence[bytes | memoryview]]

_COMPARED = re.compile(r"receivedDateTime (ge|gt|le|lt) (\S+)")
_MAILBOX_PATH = re.compile(r"/v1\.0/users/([^/]+)(?:/(messages|mailFolders|calendarView))?")
_TOKEN_PATH = re.compile(r"/[^/]+/oauth2/v2\.0/token")
_SKIP = re.compile(r"[?&](?:%24|\$)skip=\d+")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_REASONS = {200: b"OK", 404: b"Not Found", 501: b"Not Implemented"}
_JSON_TYPE = (
    b"application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)


class NotPrepared(Exception):
    """A request for which there is no answer."""


class Prepared:
    """The answers of the service, and what it has answered so far."""

    def __init__(self, mailboxes: Sequence[Mailbox]) -> None:
        self._by_name: dict[str, Mailbox] = {}
        for mailbox in mailboxes:
            self._by_name[mailbox.person_id] = self._by_name[mailbox.address] = mailbox
        self.messages = sum(len(mailbox.received) for mailbox in mailboxes)
        self.bytes = sum(len(mailbox.content) for mailbox in mailboxes)
        self.url = ""
        self._requests = 0
        self._first_page_at: float | None = None
        self._last_page_at: float | None = None

    def answer(self, method: str, target: str) -> Answer:
        """Status and body of one request."""
        self._requests += 1
        path, _, query = target.partition("?")
        if path == FIGURES:
            if query == BEGIN:
                self._first_page_at = self._last_page_at = None
            return 200, [self._figures()]
        if method == "POST" and _TOKEN_PATH.fullmatch(path):
            return 200, [b'{"token_type":"Bearer","expires_in":3599,"access_token":"prepared"}']
        found = _MAILBOX_PATH.fullmatch(path)
        if method != "GET" or found is None:
            raise NotPrepared(f"{method} {path}")
        mailbox = self._by_name.get(unquote(found[1]))
        if mailbox is None:
            return 404, [b'{"error":{"code":"Request_ResourceNotFound","message":"no such person"}}']
        if found[2] == "messages":
            return 200, self._messages(mailbox, target, query)
        if found[2] == "mailFolders":
            inbox = folder_id(mailbox.person_id, "inbox").encode()
            return 200, [self._head(mailbox, found[2]), b'"value":[{"id":"%b"}]}' % inbox]
        if found[2] == "calendarView":
            return 200, [self._head(mailbox, found[2]), b'"value":[]}']
        return 200, [
            msgspec.json.encode(
                {
                    "id": mailbox.person_id,
                    "mail": mailbox.address,
                    "userPrincipalName": mailbox.address,
                    "proxyAddresses": [f"SMTP:{mailbox.address}"],
                    "userType": "Member",
                }
            )
        ]

    def _figures(self) -> bytes:
        used = resource.getrusage(resource.RUSAGE_SELF)
        return msgspec.json.encode(
            {
                "cpu_seconds": used.ru_utime + used.ru_stime,
                "requests": self._requests,
                "messages": self.messages,
                "bytes": self.bytes,
                # Of the clock that is one for all processes.
                "first_page_at": self._first_page_at,
                "last_page_at": self._last_page_at,
            }
        )

    def _head(self, mailbox: Mailbox, what: str) -> bytes:
        return b'{"@odata.context":"%b/v1.0/$metadata#users(\'%b\')/%b",' % (
            self.url.encode(),
            mailbox.person_id.encode(),
            what.encode(),
        )

    def _messages(self, mailbox: Mailbox, target: str, query: str) -> Sequence[bytes | memoryview]:
        now = time.monotonic()
        self._first_page_at = self._first_page_at or now
        self._last_page_at = now
        options = dict(parse_qsl(query))
        if sorted(options.pop("$select", "").split(",")) != sorted(PROPERTIES):
            raise NotPrepared("messages with another $select")
        if options.pop("$orderby", "receivedDateTime") not in ("receivedDateTime", "receivedDateTime asc"):
            raise NotPrepared("messages in another order")
        low, high = _range(mailbox.received, options.pop("$filter", ""))
        skip, top = int(options.pop("$skip", 0)), int(options.pop("$top", DEFAULT_PAGE))
        counted = options.pop("$count", "false") == "true"
        if options or not 1 <= top <= LARGEST_PAGE:
            raise NotPrepared(f"messages with {', '.join(options) or 'this $top'}")
        begin, end = min(low + skip, high), min(low + skip + top, high)
        head = self._head(mailbox, "messages")
        if counted:
            head += b'"@odata.count":%d,' % (high - low)
        # Without the comma after the last.
        stretch = mailbox.content[mailbox.begins[begin] : max(mailbox.begins[end] - 1, mailbox.begins[begin])]
        tail = b"]}"
        if end < high:
            link = f"{self.url}{_SKIP.sub('', target)}&%24skip={skip + top}"
            tail = b'],"@odata.nextLink":"%b"}' % link.encode()
        return [head + b'"value":[', stretch, tail]


def _range(received: array[int], text: str) -> tuple[int, int]:
    """First and last position of the messages that a $filter chooses."""
    low, high = 0, len(received)
    clauses = text.split(" and ") if text else []
    for clause in clauses:
        match = _COMPARED.fullmatch(clause)
        if match is None:
            raise NotPrepared("messages with this $filter")
        # Whole seconds: what is greater than a second is at least the next.
        seconds = int(datetime.fromisoformat(match[2]).timestamp())
        position = bisect_left(received, seconds + (match[1] in ("gt", "le")))
        if match[1] in ("ge", "gt"):
            low = max(low, position)
        else:
            high = min(high, position)
    return low, max(low, high)


class _Connection(threading.Thread):
    """Answers the requests of one connection, one after another, until it is closed."""

    def __init__(self, connection: socket.socket, prepared: Prepared) -> None:
        super().__init__(daemon=True)
        self._connection = connection
        self._prepared = prepared
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self) -> None:
        with self._connection:
            waiting = b""
            try:
                while True:
                    while (end := waiting.find(b"\r\n\r\n")) < 0:
                        received = self._connection.recv(65536)
                        if not received:
                            return
                        waiting += received
                    head, waiting = waiting[:end], waiting[end + 4 :]
                    # The body of a token request does not matter, but is in the way of the next request.
                    length = _LENGTH.search(head)
                    rest = int(length[1]) if length else 0
                    while len(waiting) < rest:
                        waiting += self._connection.recv(65536)
                    waiting = waiting[rest:]
                    self._answer(head)
            except OSError:
                return

    def _answer(self, head: bytes) -> None:
        method, target = head.partition(b"\r\n")[0].decode("latin-1").split(" ")[:2]
        parts = urlsplit(target)
        if parts.scheme:
            target = parts.path + (f"?{parts.query}" if parts.query else "")
        status: int
        body: Sequence[bytes | memoryview]
        try:
            status, body = self._prepared.answer(method, target)
        except (NotPrepared, ValueError) as error:
            status, body = (
                501,
                [msgspec.json.encode({"error": {"code": "NotPrepared", "message": str(error)}})],
            )
        first = b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ndate: %b\r\ncontent-length: %d\r\n\r\n" % (
            status,
            _REASONS[status],
            _JSON_TYPE,
            format_datetime(NOW, usegmt=True).encode(),
            sum(len(part) for part in body),
        )
        self._send([first + body[0], *body[1:]])

    def _send(self, parts: Sequence[bytes | memoryview]) -> None:
        """All parts in one call where the connection takes them."""
        sent = self._connection.sendmsg(parts)
        for part in parts:
            if sent >= len(part):
                sent -= len(part)
                continue
            self._connection.sendall(memoryview(part)[sent:])
            sent = 0


def _listen() -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    return listener


def _accept(listener: socket.socket, prepared: Prepared) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        _Connection(connection, prepared).start()


@contextmanager
def in_thread(mailboxes: Sequence[Mailbox]) -> Iterator[Prepared]:
    """Serves mailboxes in threads of this process: for tests."""
    prepared = Prepared(mailboxes)
    listener = _listen()
    prepared.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    threading.Thread(target=_accept, args=(listener, prepared), daemon=True).start()
    try:
        yield prepared
    finally:
        # A mere close would leave the waiting thread inside accept.
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def main(arguments: Sequence[str] | None = None, *, until: Callable[[], object] | None = None) -> None:
    """Serves until standard input ends, as a parent's death ends it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mailboxes", type=int, default=100)
    parser.add_argument("--messages", type=int, default=1000, help="of each mailbox")
    parser.add_argument("--url-file", type=Path, help="file that gets the address once the service listens")
    given = parser.parse_args(arguments)
    mailboxes = list(prepare(given.mailboxes, given.messages))
    gc.collect()
    gc.freeze()
    with in_thread(mailboxes) as prepared:
        if given.url_file is not None:
            unfinished = given.url_file.with_name(given.url_file.name + ".tmp")
            unfinished.write_text(prepared.url, encoding="utf-8")
            os.replace(unfinished, given.url_file)
        print(f"listening on {prepared.url}", flush=True)
        while os.read(0, 4096):
            pass


if __name__ == "__main__":
    main()
