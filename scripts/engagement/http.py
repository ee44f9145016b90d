"""Requests to services: how long to go on trying, what failed in words of our own, and all of Microsoft
Graph: sign-in, throttling, pages. Nothing personal ever reaches a log or message.

MailboxUnreadable   one mailbox cannot be read (denied, not_found, on_premises): note it and go on
PermissionMissing   403: the app was not granted a permission that the request needs
ResourceMissing     404 of a directory object
GatewayTimeout      504 twice in a row for a page that can be smaller: ask for less
"""

from __future__ import annotations

import email.utils
import logging
import random
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from engagement.errors import AuthenticationError, ServiceError

log = logging.getLogger(__name__)

GRAPH = "Microsoft Graph"
SIGN_IN = "Microsoft sign-in"
SCOPE = "https://graph.microsoft.com/.default"
RETRIED_STATUSES = (429, 500, 502, 503, 504)
LONGEST_BACKOFF = 60.0
# Pages in a row that hold only what was already seen, and pages in a row that hold nothing: the latter are
# legal where the service filters late.
STALE_PAGES = 5
EMPTY_PAGES = 1_000
_RENEW_SECONDS_BEFORE_EXPIRY = 300.0
_PREFER = 'IdType="ImmutableId", outlook.timezone="UTC"'
_TOKEN_HINTS = {
    7000215: "AZURE_CLIENT_SECRET is wrong; set it to the secret's value, not to its id",
    7000222: "AZURE_CLIENT_SECRET has expired; make a new secret in the app registration",
    700027: "AZURE_CLIENT_CERTIFICATE_PATH names a certificate that the app registration does not have, or that"
    " has expired there; upload its public part",
    1000502: "AZURE_CLIENT_CERTIFICATE_PATH names a certificate outside its dates; make a new one and upload it",
    700024: "the clock of this machine is off by many minutes; set it",
    700023: "the certificate's sign-in was meant for another address; check ENGAGEMENT_AUTHORITY_URL and"
    " AZURE_TENANT_ID",
    700016: "AZURE_CLIENT_ID is not known in this tenant; compare it with the app registration",
    90002: "AZURE_TENANT_ID names no tenant; compare it with the app registration",
    900023: "AZURE_TENANT_ID is neither a tenant id nor a domain; compare it with the app registration",
    1002012: "the scope was refused; ENGAGEMENT_AUTHORITY_URL and ENGAGEMENT_GRAPH_URL must be of one cloud",
    70011: "the scope was refused; ENGAGEMENT_AUTHORITY_URL and ENGAGEMENT_GRAPH_URL must be of one cloud",
}
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
# Of the client id and the token endpoint's address: the fields of one token request that hold a secret or an
# assertion.
Proof = Callable[[str, str], Mapping[str, str]]


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


def quiet_loggers() -> None:
    """httpx writes whole URLs at INFO, addresses in them included."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


class Patience:
    """How long to go on trying: a budget per request, the waiting function, and the spread of waits."""

    def __init__(
        self,
        *,
        seconds: float = 300.0,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.seconds = seconds
        self.sleep = sleep
        self.clock = clock
        self.spread = spread

    def shorter(self, share: float) -> Patience:
        """The same with a part of the budget."""
        return Patience(seconds=self.seconds * share, sleep=self.sleep, clock=self.clock, spread=self.spread)

    def wait(self, *, attempt: int, asked: float | None, began: float, path: str, reason: str) -> bool:
        """Waits before the next attempt; False when the budget would not last that long.

        Never shorter than asked, since a call that comes too early counts against us, and never shorter than
        the backoff, since a service in trouble also asks for no wait at all.
        """
        backoff = min(2.0**attempt, LONGEST_BACKOFF) * (0.5 + self.spread() / 2)
        seconds = backoff if asked is None else max(asked, backoff)
        if self.clock() - began + seconds > self.seconds:
            return False
        if seconds >= 5:
            log.info("waiting %.0f s: %s (%s)", seconds, reason, path)
        self.sleep(seconds)
        return True


def seconds_asked(response: httpx.Response) -> float | None:
    """Retry-After in seconds: whole, fractional or a date, counted from the answer's own Date; None where
    absent.
    """
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = _date(value)
        if moment is None:
            return None
        seconds = (moment - (_date(response.headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if seconds == seconds else None


def _date(value: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_code(response: httpx.Response) -> str:
    """The service's error code, or empty: bodies may be empty, HTML, or of another shape."""
    try:
        error = response.json()["error"]
        code = error["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = str(code)
    return text if len(text) <= 80 and text.replace("-", "").replace("_", "").isalnum() else ""


class Tokens:
    """The app's token, shared by all threads: asked for once, renewed before it expires or after a 401.

    `prove` gives the part of the form that proves who we are, anew for every request.
    """

    def __init__(
        self,
        *,
        authority_url: str,
        tenant_id: str,
        client_id: str,
        prove: Proof,
        patience: Patience,
        graph_url: str = "https://graph.microsoft.com",
    ) -> None:
        self._url = f"{authority_url}/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
        host = urlsplit(graph_url)
        # Sovereign clouds have a scope of their own; a loopback emulator speaks for the global one.
        scope = f"{graph_url}/.default" if host.scheme == "https" else SCOPE
        self._form = {
            "client_id": client_id,
            "grant_type": "client_credentials",
            "scope": scope,
        }
        self._client_id = client_id
        self._prove = prove
        self._patience = patience
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at = 0.0
        self.service_time: datetime | None = None

    def current(self) -> str:
        """A token that is still good for a while; AuthenticationError or ServiceError where there is none."""
        with self._lock:
            if self._token is None or self._patience.clock() >= self._renew_at:
                self._ask()
            assert self._token is not None
            return self._token

    def renewed(self, refused: str) -> str:
        """A token after `refused` was answered with 401; asked for once for all threads."""
        with self._lock:
            if self._token is None or self._token == refused:
                self._ask()
            assert self._token is not None
            return self._token

    def _ask(self) -> None:
        began = self._patience.clock()
        attempt = 0
        while True:
            reason, asked = "", None
            # Anew for every attempt: an assertion may be used once.
            form = {**self._form, **self._prove(self._client_id, self._url)}
            sent_at = self._patience.clock()
            try:
                with httpx.Client(timeout=client_timeout(), verify=trusted_certificates()) as client:
                    response = client.post(self._url, data=form)
            except httpx.HTTPError as error:
                reason = network_reason(error)
            else:
                if response.status_code == 200 and self._keep(response, sent_at):
                    return
                if response.status_code in (400, 401, 403, 404):
                    raise AuthenticationError(self._refusal(response))
                reason = f"status {response.status_code}"
                if response.status_code == 200:
                    reason = "an answer without a token"
                elif response.status_code not in RETRIED_STATUSES:
                    raise ServiceError(
                        f"{SIGN_IN}: POST /{{tenant}}/oauth2/v2.0/token answered {reason};"
                        " check ENGAGEMENT_AUTHORITY_URL"
                    )
                asked = seconds_asked(response)
            if not self._patience.wait(
                attempt=attempt, asked=asked, began=began, path="/{tenant}/oauth2/v2.0/token", reason=reason
            ):
                raise ServiceError(
                    f"{SIGN_IN}: POST /{{tenant}}/oauth2/v2.0/token failed ({reason}) after"
                    f" {attempt + 1} attempts;"
                    " check the network and ENGAGEMENT_AUTHORITY_URL, then run again"
                )
            attempt += 1

    def _keep(self, response: httpx.Response, sent_at: float) -> bool:
        try:
            answer = response.json()
            token, life = answer["access_token"], float(answer["expires_in"])
        except (ValueError, KeyError, TypeError):
            return False
        if not isinstance(token, str) or not token:
            return False
        self._token = token
        # Counted on our own monotonic clock, which no wrong date and no set clock disturbs, and from the request
        # on, since the life begins before the answer arrives. A short-lived token is renewed at four fifths of it.
        self._renew_at = sent_at + max(life - _RENEW_SECONDS_BEFORE_EXPIRY, life * 0.8)
        if self.service_time is None:
            self.service_time = _date(response.headers.get("Date", ""))
        return True

    @staticmethod
    def _refusal(response: httpx.Response) -> str:
        try:
            numbers = [int(number) for number in response.json().get("error_codes", [])]
        except (ValueError, TypeError, AttributeError):
            numbers = []
        hint = next(
            (_TOKEN_HINTS[number] for number in numbers if number in _TOKEN_HINTS),
            "check AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH",
        )
        codes = "".join(f" AADSTS{number}" for number in numbers)
        return f"{SIGN_IN}: refused with status {response.status_code}{codes}; {hint}"


class GraphAuth(httpx.Auth):
    """Puts the token on a request; after a 401 asks once for a new one and repeats the request."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        token = self._tokens.current()
        request.headers["Authorization"] = f"Bearer {token}"
        response = yield request
        if response.status_code == 401:
            request.headers["Authorization"] = f"Bearer {self._tokens.renewed(token)}"
            yield request


def client_timeout() -> httpx.Timeout:
    return httpx.Timeout(100.0, connect=15.0)


@lru_cache(maxsize=1)
def trusted_certificates() -> ssl.SSLContext:
    """The certificates that are trusted: reading them takes a third of a second, so once for all clients."""
    return httpx.create_ssl_context()


def network_reason(error: httpx.HTTPError) -> str:
    """What failed in words of our own: the library's text may hold the URL."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    return "connection broken"


class GraphClient:
    """GET requests to Graph for one thread: retried, decoded, followed page by page.

    `permission` of a request says in words what the administrator has to grant when Graph denies it for want of
    permission: "the permission User.Read.All".
    """

    # Set after a request was given up: the next ones get a tenth of the budget, so that a service that is
    # down is not waited for once per request.
    impatient = False

    def __init__(self, *, graph_url: str, tokens: Tokens, patience: Patience) -> None:
        quiet_loggers()
        self._url = graph_url
        self._origin = origin_of(graph_url)
        self._patience = patience
        self._client = httpx.Client(
            auth=GraphAuth(tokens),
            verify=trusted_certificates(),
            timeout=client_timeout(),
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
        filled = path.format(**{name: quote(value, safe="") for name, value in (ids or {}).items()})
        url = httpx.URL(f"{self._url}/v1.0{filled}", params=dict(params or {}) or None)
        return self._get(
            url,
            path,
            decode,
            permission=permission,
            headers=headers,
            mailbox=mailbox,
            can_shrink=can_shrink,
        )

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
        page = self.get(
            path,
            decode,
            permission=permission,
            ids=ids,
            params=params,
            headers=headers,
            mailbox=mailbox,
            can_shrink=can_shrink,
        )
        endless = ServiceError(f"{GRAPH}: GET {path} repeats a page without end; run again later")
        followed: set[str] = set()
        seen: set[str] = set()
        stale = empty = 0
        while True:
            item_ids = {item.id for item in page.value}
            empty = 0 if item_ids else empty + 1
            if item_ids:
                stale = stale + 1 if item_ids <= seen else 0
            if stale >= STALE_PAGES or empty >= EMPTY_PAGES:
                raise endless
            seen |= item_ids
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
            page = self._get(
                url,
                path,
                decode,
                permission=permission,
                headers=headers,
                mailbox=mailbox,
                can_shrink=can_shrink,
            )

    def _get(
        self,
        url: httpx.URL,
        path: str,
        decode: Callable[[bytes], T],
        *,
        permission: str,
        headers: Mapping[str, str] | None,
        mailbox: bool,
        can_shrink: bool,
    ) -> T:
        patience = self._patience.shorter(0.1) if self.impatient else self._patience
        began = patience.clock()
        attempt = timeouts = 0
        while True:
            asked: float | None = None
            try:
                response = self._client.get(
                    url, headers={**(headers or {}), "client-request-id": str(uuid.uuid4())}
                )
            except httpx.HTTPError as error:
                reason = network_reason(error)
            else:
                status = response.status_code
                if status == 200:
                    try:
                        return decode(response.content)
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        # Cut short, a proxy's page of HTML under status 200, or text that is not UTF-8.
                        reason = "an answer that is not the expected JSON"
                elif status in RETRIED_STATUSES:
                    asked = seconds_asked(response)
                    reason = f"status {status}"
                    timeouts = timeouts + 1 if status == 504 else 0
                    if can_shrink and timeouts >= 2:
                        raise GatewayTimeout(
                            f"{GRAPH}: GET {path} answered status 504 twice; run again later, what"
                            " was read is kept"
                        )
                else:
                    raise _refused(response, path, permission, mailbox)
            if not patience.wait(attempt=attempt, asked=asked, began=began, path=path, reason=reason):
                raise ServiceError(
                    f"{GRAPH}: GET {path} failed ({reason}) after {attempt + 1} attempts;"
                    " run again later, what was read is kept"
                )
            attempt += 1


def _refused(response: httpx.Response, path: str, permission: str, mailbox: bool) -> Exception:
    """What an answer that no repetition mends means."""
    status, code = response.status_code, error_code(response)
    answer = f"status {status}{f' {code}' if code else ''}"
    what = f"{GRAPH}: GET {path} answered {answer}"
    if status == 401:
        return AuthenticationError(
            f"{what} to a new token; check that ENGAGEMENT_GRAPH_URL and ENGAGEMENT_AUTHORITY_URL"
            " belong together"
        )
    if status == 403 and (not mailbox or code == "Authorization_RequestDenied"):
        return PermissionMissing(
            f"{what}; grant the app {permission} (docs/permissions.md)", permission=permission, answer=answer
        )
    if status == 403:
        return MailboxUnreadable("denied", answer)
    if status == 404 and mailbox:
        return MailboxUnreadable(_MAILBOX_STATES.get(code, "not_found"), answer)
    if status == 404:
        return ResourceMissing(path)
    return ServiceError(f"{what}; this is no passing fault, please report it with this line")


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", None, None)
    return (parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme))


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """A decoder of typed JSON that ignores what was not asked for."""
    typed: Any = msgspec.json.Decoder(kind)
    decode: Callable[[bytes], T] = typed.decode
    return decode
