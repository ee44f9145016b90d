"""GET requests to Microsoft Graph: throttled, retried, decoded, followed page by page.

MailboxUnreadable   one mailbox cannot be read (denied, not_found, on_premises): note it and go on
PermissionMissing   403: the app was not granted a permission that the request needs
ResourceMissing     404 of a directory object
GatewayTimeout      504 twice in a row for a page that can be smaller: ask for less
StartAgain          410: the service has forgotten where the list was; begin it anew
CorruptItem         an item that the service itself cannot read: read around it
SchemaDrift         an answer that is not what the service documents: nothing of it may be stored
Throttled           the service asked to wait longer than there is time
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from engagement import logs
from engagement.concurrency import Concurrency
from engagement.errors import AuthenticationError, ServiceError
from engagement.http import (
    RETRIED_STATUSES,
    Patience,
    TokenAuth,
    client_timeout,
    error_code,
    network_reason,
    origin_of,
    say_waiting,
    seconds_asked,
    trusted_certificates,
    whole_characters,
)
from engagement.office.sign_in import Tokens

GRAPH = "Microsoft Graph"
# Pages in a row that hold only what was already seen, and pages in a row that hold nothing: the latter are
# legal where the service filters late.
STALE_PAGES = 5
# Before that many pages nobody looks whether they bring anything new: most lists are shorter.
PAGES_TRUSTED = 10
EMPTY_PAGES = 1_000
# Answers that say an item is corrupt, before the item is believed to be.
CORRUPT_ANSWERS = 3
# Of the budget of a request: what is left to a mailbox's next one after it was given up, so that a service that
# is down is not waited for once per request; and what all requests of a mailbox may wait together.
IMPATIENT_SHARE, MAILBOX_SHARE = 0.1, 4.0
_PREFER = 'IdType="ImmutableId", outlook.timezone="UTC"'
_MAILBOX_STATES = {"MailboxNotEnabledForRESTAPI": "on_premises"}

T = TypeVar("T")


class Item(Protocol):
    """What a page holds."""

    @property
    def id(self) -> str: ...


class Page(Protocol):
    """A decoded page of a list; next_link is absent on the last."""

    next_link: str | None

    @property
    def value(self) -> Sequence[Item]: ...


P = TypeVar("P", bound=Page)


class MailboxUnreadable(Exception):
    """One mailbox cannot be read; `state` is its word in raw.office_mailboxes, `answer` what was said: "status
    403 ErrorAccessDenied".
    """

    def __init__(self, state: str, answer: str = "") -> None:
        super().__init__(state)
        self.state = state
        self.answer = answer


class PermissionMissing(AuthenticationError):
    """The app lacks what `permission` says in words; `answer` is what was said: "status 403
    Authorization_RequestDenied".
    """

    def __init__(self, message: str, *, permission: str, answer: str) -> None:
        super().__init__(message)
        self.permission = permission
        self.answer = answer


class ResourceMissing(Exception):
    """The directory has no such object."""


class GatewayTimeout(ServiceError):
    """The service gave up on a page twice: it may be too heavy."""


class StartAgain(ServiceError):
    """The service no longer knows where in a list it was."""


class CorruptItem(ServiceError):
    """Something in a list cannot be read by the service itself."""


class SchemaDrift(ServiceError):
    """An answer is not what the service documents; said of `what`."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{GRAPH}: answers with {what}; nothing of it was stored, update this project or report it with"
            " this line"
        )


class Throttled(ServiceError):
    """The service asked to wait longer than the budget of a request or mailbox allows."""


class Allowance:
    """What one mailbox may cost in a run, shared by all threads that read it.

    All waits together are at most `waiting_seconds`, and all work on it `working_seconds`, so that one bad
    mailbox never holds up a run. `impatient` is set once a request was given up, until one succeeds.
    """

    def __init__(self, mailbox: str, *, waiting_seconds: float, working_seconds: float) -> None:
        self.mailbox = mailbox
        self.impatient = False
        self._waiting_seconds = waiting_seconds
        self._working_seconds = working_seconds
        self._lock = threading.Lock()

    def may_wait(self, seconds: float) -> bool:
        """Takes so much of the waiting, where there is that much left."""
        with self._lock:
            if seconds > self._waiting_seconds:
                return False
            self._waiting_seconds -= seconds
            return True

    def note(self, seconds: float) -> None:
        """So much more time was spent on the mailbox."""
        with self._lock:
            self._working_seconds -= seconds

    @property
    def is_used_up(self) -> bool:
        """Whether the mailbox has had its time."""
        return self._working_seconds < 0


class _Answer(NamedTuple):
    """An answer read whole."""

    status_code: int
    headers: httpx.Headers
    content: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.content)


@dataclass(frozen=True)
class _Question(Generic[T]):
    """How a request and its repetitions are made: `path` as it may stand in a message, what decodes the answer, and
    what a refusal means.
    """

    path: str
    decode: Callable[[bytes], T]
    permission: str
    headers: Mapping[str, str] | None
    mailbox: bool
    can_shrink: bool


class GraphClient:
    """Requests of one thread, with a connection of its own: many at once over one client are slower.

    `permission` of a request says in words what the administrator has to grant when Graph denies it for want of
    permission: "the permission User.Read.All". `allowance` is that of the mailbox at work, or None; `impatient`
    says that requests have been given up already, so that the next ones are given up sooner, and
    `knows_of_corrupt_item` that the service has said often enough that it cannot read something here.
    """

    def __init__(
        self, *, graph_url: str, tokens: Tokens, patience: Patience, concurrency: Concurrency
    ) -> None:
        logs.quiet_loggers()
        self.allowance: Allowance | None = None
        self.impatient = False
        self.knows_of_corrupt_item = False
        self._url = graph_url
        self._origin = origin_of(graph_url)
        self._patience = patience
        self._concurrency = concurrency
        self._client = httpx.Client(
            auth=TokenAuth(tokens),
            verify=trusted_certificates(),
            timeout=client_timeout(patience.answer_seconds),
            headers={"Prefer": _PREFER, "Accept": "application/json"},
        )

    def __enter__(self) -> GraphClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(
        self,
        path: str,
        decode: Callable[[bytes], T],
        *,
        permission: str,
        ids: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        mailbox: bool = False,
        can_shrink: bool = False,
    ) -> T:
        """One answer. `path` is a template as it may stand in a message; `ids` fill it in.

        With `can_shrink` two 504 in a row raise GatewayTimeout, so that the caller asks for less; without,
        they are repeated as any passing fault.
        """
        question = _Question(path, decode, permission, headers, mailbox, can_shrink)
        return self._get(self._url_of(path, ids, params), question)

    def pages(
        self,
        path: str,
        decode: Callable[[bytes], P],
        *,
        permission: str,
        ids: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        mailbox: bool = False,
        can_shrink: bool = False,
    ) -> Iterator[P]:
        """Every page of a list. Links are followed as they are, on our own host only; a repeated one is an
        error, and so are ever new ones that bring nothing new.
        """
        question = _Question(path, decode, permission, headers, mailbox, can_shrink)
        page = self._get(self._url_of(path, ids, params), question)
        endless = ServiceError(f"{GRAPH}: GET {path} repeats a page without end; run again later")
        followed: set[str] = set()
        seen: set[str] = set()
        number = stale = empty = 0
        while True:
            number += 1
            empty = 0 if page.value else empty + 1
            if page.value and number > PAGES_TRUSTED:
                item_ids = {item.id for item in page.value}
                stale = stale + 1 if item_ids <= seen else 0
                seen |= item_ids
            if stale >= STALE_PAGES or empty >= EMPTY_PAGES:
                raise endless
            yield page
            link = page.next_link
            if not link:
                return
            if link in followed:
                raise endless
            followed.add(link)
            if origin_of(link) != self._origin:
                raise ServiceError(
                    f"{GRAPH}: GET {path} points to another host for its next page; refused,"
                    " check ENGAGEMENT_GRAPH_URL"
                )
            try:
                url = httpx.URL(link)
            except httpx.InvalidURL:
                # "from None": the library's text may hold the address.
                raise ServiceError(
                    f"{GRAPH}: GET {path} gives no valid address for its next page; run again later, what"
                    " was read is kept"
                ) from None
            page = self._get(url, question)

    def _url_of(
        self, path: str, ids: Mapping[str, str] | None, params: Mapping[str, str] | None
    ) -> httpx.URL:
        filled = path.format(**{name: quote(value, safe="") for name, value in (ids or {}).items()})
        return httpx.URL(f"{self._url}/v1.0{filled}", params=dict(params or {}) or None)

    def _get(self, url: httpx.URL, question: _Question[T]) -> T:
        path = question.path
        allowance = self.allowance
        patience = self._patience
        if self.impatient or (allowance is not None and allowance.impatient):
            patience = patience.with_seconds(patience.seconds * IMPATIENT_SHARE)
        box = None if allowance is None else allowance.mailbox
        began = patience.clock()
        attempt = timeouts = corrupt = 0
        while True:
            asked: float | None = None
            throttled = False
            if allowance is not None and allowance.is_used_up:
                raise ServiceError(
                    f"{GRAPH}: GET {path} was not asked, since the mailbox has had its time"
                    " (ENGAGEMENT_MAILBOX_SECONDS); run again, what was read is kept"
                )
            try:
                with self._concurrency.slot(box), _timed(allowance, patience):
                    answer = self._answer(url, question.headers)
                    if answer.status_code == 200:
                        decoded = _decoded(question, answer.content)
                        self._concurrency.quiet(box)
                        if allowance is not None:
                            allowance.impatient = False
                        return decoded
            except httpx.HTTPError as error:
                reason = network_reason(error)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                # Cut short, a proxy's page of HTML under status 200, or text that is not UTF-8.
                reason = "an answer that is not the expected JSON"
            else:
                status = answer.status_code
                if status not in RETRIED_STATUSES:
                    raise _refused(answer, question)
                asked = seconds_asked(answer)
                reason = f"status {status}"
                throttled = status == 429 or (status == 503 and asked is not None)
                timeouts = timeouts + 1 if status == 504 else 0
                corrupt += status == 500 and error_code(answer) == "ErrorCorruptData"
                if question.can_shrink and timeouts >= 2:
                    raise GatewayTimeout(
                        f"{GRAPH}: GET {path} answered status 504 twice; run again later, what"
                        " was read is kept"
                    )
                if question.mailbox and corrupt >= (1 if self.knows_of_corrupt_item else CORRUPT_ANSWERS):
                    raise CorruptItem(
                        f"{GRAPH}: GET {path} answered status 500 ErrorCorruptData; the service cannot read an"
                        " item of this mailbox, everything around it is kept"
                    )
            seconds = patience.next_wait(attempt=attempt, asked=asked, began=began)
            attempt += 1
            if seconds is None or not (allowance is None or allowance.may_wait(seconds)):
                raise (Throttled if throttled else ServiceError)(
                    f"{GRAPH}: GET {path} failed ({reason}) after {attempt} attempts;"
                    " run again later, what was read is kept"
                )
            say_waiting(seconds, path=path, reason=reason)
            if throttled:
                # Whoever asks the same mailbox has to wait as well; a slot is only given when that is over.
                self._concurrency.throttled(box, seconds)
            patience.sleep(seconds)

    def _answer(self, url: httpx.URL, headers: Mapping[str, str] | None) -> _Answer:
        """The answer whole. httpx.ReadTimeout where it comes so slowly that it would never end: the library's
        own limit is between two bytes.
        """
        clock = self._patience.clock
        until = clock() + self._patience.answer_seconds
        request_headers = {**(headers or {}), "client-request-id": str(uuid.uuid4())}
        with self._client.stream("GET", url, headers=request_headers) as response:
            chunks = []
            for chunk in response.iter_bytes():
                chunks.append(chunk)
                if clock() > until:
                    raise httpx.ReadTimeout("the answer drips", request=response.request)
            return _Answer(response.status_code, response.headers, b"".join(chunks))


@contextmanager
def _timed(allowance: Allowance | None, patience: Patience) -> Iterator[None]:
    """Notes the time of a request against its mailbox."""
    began = patience.clock()
    try:
        yield
    finally:
        if allowance is not None:
            allowance.note(patience.clock() - began)


def _decoded(question: _Question[T], content: bytes) -> T:
    try:
        return question.decode(content)
    except msgspec.MsgspecError:
        repaired = whole_characters(content)
        if repaired == content:
            raise
        return question.decode(repaired)


def _refused(answer: _Answer, question: _Question[Any]) -> Exception:
    """What an answer that no repetition mends means."""
    permission, mailbox = question.permission, question.mailbox
    status, code = answer.status_code, error_code(answer)
    said = f"status {status}{f' {code}' if code else ''}"
    what = f"{GRAPH}: GET {question.path} answered {said}"
    if status == 401:
        return AuthenticationError(
            f"{what} to a new token; check that ENGAGEMENT_GRAPH_URL and ENGAGEMENT_AUTHORITY_URL"
            " belong together"
        )
    if status == 403 and (not mailbox or code == "Authorization_RequestDenied"):
        return PermissionMissing(
            f"{what}; grant the app {permission} (docs/permissions.md)", permission=permission, answer=said
        )
    if status == 403:
        return MailboxUnreadable("denied", said)
    if status == 404 and mailbox:
        return MailboxUnreadable(_MAILBOX_STATES.get(code, "not_found"), said)
    if status == 404:
        return ResourceMissing(question.path)
    if status == 410 and mailbox:
        return StartAgain(f"{what} whenever it was begun anew; run again later, what was read is kept")
    return ServiceError(f"{what}; this is no passing fault, please report it with this line")
