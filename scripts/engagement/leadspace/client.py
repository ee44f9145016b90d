"""The Leadspace enrichment API: the single and the bulk endpoint.

Leadspace publishes no SDK and no OpenAPI; paths, statuses and limits are those of its help-centre articles
"Single Direct API v4" and "Bulk API v4 - Technical Specifications". What they leave open is tolerated in every
variant: links relative or whole, `status` in any case, unknown fields, results in any order.

A lookup costs a credit and cannot be taken back, so a submit is repeated only where the service said no (429,
500, 503, or any 5xx with its own tracking id) or was never reached. Where the connection broke with the request
under way, or a gateway gave up on it (502, 504), nobody knows: AnswerLost.

    RequestRefused   400: too little or unreadable input; nothing was looked up
    AnswerLost       the request may have been processed, and its answer is gone
    ResultsGone      404: the service has no such results (any more)
    NotSent          the client was told to send no more before the request left
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from engagement import logs
from engagement.configuration.settings import Settings
from engagement.errors import AuthenticationError, CreditsError, ServiceError
from engagement.http import (
    RETRIED_STATUSES,
    Patience,
    client_timeout,
    network_reason,
    origin_of,
    say_waiting,
    seconds_asked,
    trusted_certificates,
    whole_characters,
)
from engagement.leadspace.pace import Pace
from engagement.leadspace.sign_in import Auth, auth_of

LEADSPACE = "Leadspace"
SINGLE_PATH = "/enrichment/enrich/single"
BULK_PATH = "/enrichment/enrich/bulk"
RESULTS_PATH = "/v3/enrichment/results/{id}"
LARGEST_BULK = 500
# An id that no bulk has: asking for its results costs nothing and tells whether the token is accepted.
NO_SUCH_BULK = "00000000-0000-0000-0000-000000000000"

LONGEST_LINK = 2_000
# A gateway's own words: whether the request got through is not known.
GATEWAY_STATUSES = (502, 504)

# What is sent for one customer or contact: the `company` of a record, the `person`, or both; under an id of our own.
Body = Mapping[str, Any]
Record = tuple[str, Body]

_NEVER_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class RequestRefused(Exception):
    """The service looked nothing up: the input was too little, or not readable to it."""


class AnswerLost(Exception):
    """The request may have been processed, but its answer did not come whole. `reason` is in our own words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ResultsGone(Exception):
    """The service has no results under this id; `is_json` tells its own 404 from any web server's."""

    def __init__(self, *, is_json: bool = True) -> None:
        super().__init__()
        self.is_json = is_json


class NotSent(Exception):
    """The client was told to send no more, and the request had not left."""


class _Accepted(msgspec.Struct):
    id: str


class _Results(msgspec.Struct):
    results: list[msgspec.Raw]


# Called in the thread of the request just before it leaves.
Gone = Callable[[], object]


class _Departure:
    """A request on its way out: it waits for its turn once the connection stands, so that neither connecting nor a
    thread that came late makes it leave beside others.
    """

    def __init__(self, pace: Pace, gone: Gone, closed: threading.Event | None) -> None:
        self._pace = pace
        self._gone = gone
        self._closed = closed
        self._is_leaving = False

    def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        """Hears what the library does with the request (its `trace` extension)."""
        # The CONNECT by which a proxy is asked for a tunnel is no call.
        if event == "http11.send_request_headers.started" and info["request"].method != b"CONNECT":
            self._require_open()
            self._pace.enter()
            self._is_leaving = True
            # Before the look at what says to stop: whoever says so, and then finds that it had not gone, knows that it
            # never will.
            self._gone()
            self._require_open()
        elif event == "http11.send_request_body.complete":
            self.end()

    def _require_open(self) -> None:
        if self._closed is not None and self._closed.is_set():
            raise NotSent

    def end(self) -> None:
        """The request has left, or will not."""
        if self._is_leaving:
            self._is_leaving = False
            self._pace.left()


def _nothing() -> None:
    """Nobody wants to know when the request leaves."""


@dataclass(frozen=True)
class Access:
    """What all clients of one command share: how they sign in, how long they try, and how fast they call."""

    url: str
    auth: Auth
    patience: Patience
    pace: Pace

    @classmethod
    def of(cls, settings: Settings) -> Access:
        """That of these settings, whose secrets the caller has made sure of."""
        patience = Patience(seconds=settings.retry_seconds)
        return cls(settings.leadspace_url, auth_of(settings, patience), patience, Pace(sleep=patience.sleep))


class LeadspaceClient:
    """Requests to Leadspace, from any number of threads. Raises what the module names, AuthenticationError,
    CreditsError or ServiceError.
    """

    def __init__(self, access: Access) -> None:
        logs.quiet_loggers()
        self._url = access.url
        self._hint = access.auth.hint
        self._patience = access.patience
        self._pace = access.pace
        self._closed = threading.Event()
        self._client = httpx.Client(
            verify=trusted_certificates(),
            timeout=client_timeout(),
            # A connection that was kept and closed meanwhile looks like a lost answer, so none is kept.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            headers={"Accept": "application/json"},
            auth=access.auth,
        )

    def send_no_more(self) -> None:
        """Submits that have not left yet end with NotSent; results can still be fetched."""
        self._closed.set()

    def __enter__(self) -> LeadspaceClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def single(self, record: Record, *, gone: Gone = _nothing) -> bytes:
        """Look one record up: its result as received, an object in JSON. `gone` hears, in this thread, that the
        request leaves now.
        """
        request_id, body = record
        response = self._submit(SINGLE_PATH, {**body, "external_id": request_id}, gone)
        return _whole_object(response)

    def bulk(self, records: Sequence[Record], *, gone: Gone = _nothing) -> str:
        """Hand in up to 500 records: the path under which their results can be fetched."""
        data = [{**body, "external_id": request_id} for request_id, body in records]
        response = self._submit(BULK_PATH, {"data": data}, gone)
        try:
            link = msgspec.json.decode(_readable(response.content), type=_Accepted).id
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise AnswerLost("an answer that is not the expected JSON") from None
        return self._place(link)

    def _place(self, link: str) -> str:
        """Where a link of the service leads, as path and query below our base address.

        Documented is "/v3/enrichment/results/<id>"; a whole address or a bare id would do as well, but never one
        on another host, which would get the token.
        """
        if "/" not in link:
            link = _results_path(link) if link.strip() else ""
        try:
            if "://" in link or link.startswith("//"):
                whole = httpx.URL(urljoin(self._url, link))
                if origin_of(str(whole)) != origin_of(self._url):
                    raise AnswerLost("results on another host")
                link = whole.raw_path.decode().removeprefix(urlsplit(self._url).path)
            httpx.URL(self._url + link)
        except (ValueError, httpx.InvalidURL):
            raise AnswerLost("results at no valid address") from None
        if not 1 < len(link) <= LONGEST_LINK or not link.startswith("/"):
            raise AnswerLost("results at no valid address")
        return link

    def results(self, path: str, *, gone: Gone = _nothing) -> list[bytes] | None:
        """The results of a bulk as received, each an object in JSON; None while it is being processed."""
        response = self._ask(
            "GET", self._url + path, RESULTS_PATH, None, gone, ok=(200, 204), decoded=_decoded_results
        )
        return None if response is None else [bytes(result) for result in response.results]

    def accepts_token(self) -> bool | None:
        """Whether the token is accepted, without a lookup; None where that cannot be told.

        No call for this is documented. Asking for results that do not exist is answered with 404 where the
        token is good and with 401 where it is not (inferred from the documented statuses). A 404 that is not
        in JSON may be any web server's.
        """
        try:
            self.results(_results_path(NO_SUCH_BULK))
        except ResultsGone as gone:
            return True if gone.is_json else None
        except AuthenticationError:
            return False
        except RequestRefused:
            return None
        return True

    def _submit(self, path: str, body: Any, gone: Gone) -> httpx.Response:
        url = self._url + path
        response = self._ask("POST", url, path, body, gone, ok=(200, 202), decoded=lambda response: response)
        assert isinstance(response, httpx.Response)
        return response

    def _ask(
        self,
        method: str,
        url: str,
        path: str,
        body: Any,
        gone: Gone,
        *,
        ok: tuple[int, ...],
        decoded: Callable[[httpx.Response], Any],
    ) -> Any:
        """One call, repeated while that is harmless and the patience lasts; None for an empty answer (204).

        `path` is the path as it may stand in a message.
        """
        what = f"{LEADSPACE}: {method} {path}"
        content = None if body is None else msgspec.json.encode(body)
        headers = {} if content is None else {"Content-Type": "application/json"}
        began = self._patience.clock()
        attempt = 0
        while True:
            asked: float | None = None
            status: int | None = None
            departure = _Departure(self._pace, gone, self._closed if method == "POST" else None)
            try:
                response = self._client.request(
                    method, url, content=content, headers=headers, extensions={"trace": departure}
                )
            except httpx.HTTPError as error:
                reason = network_reason(error)
                if method == "POST" and not isinstance(error, _NEVER_SENT):
                    raise AnswerLost(reason) from None
            else:
                status = response.status_code
                if status != 429:
                    self._pace.quiet()
                if status == 204 and status in ok:
                    return None
                if status in ok:
                    try:
                        return decoded(response)
                    except (msgspec.MsgspecError, UnicodeDecodeError):
                        reason = "an answer that is not the expected JSON"
                elif status in RETRIED_STATUSES:
                    asked = seconds_asked(response)
                    reason = f"status {status}"
                    if method == "POST" and status in GATEWAY_STATUSES and not _has_tracking_id(response):
                        raise AnswerLost(reason)
                else:
                    raise self._refused(what, response, is_results=method == "GET")
            finally:
                departure.end()
            seconds = self._patience.next_wait(attempt=attempt, asked=asked, began=began)
            if seconds is None:
                raise ServiceError(
                    f"{what} failed ({reason}) after {attempt + 1} attempts; run again later, what was"
                    " answered is kept and nothing is sent twice"
                )
            if status == 429:
                # What the service asks for holds for all calls, since the limit is the program's.
                self._pace.throttled(asked or 0.0)
            say_waiting(seconds, path=path, reason=reason)
            self._patience.sleep(seconds)
            attempt += 1
            if method == "POST" and self._closed.is_set():
                raise NotSent

    def _refused(self, what: str, response: httpx.Response, *, is_results: bool) -> Exception:
        """What an answer that no repetition mends means (the error table of the articles)."""
        status = response.status_code
        if (status == 403 and _is_page(response)) or status == 407:
            return ServiceError(
                f"{what} answered status {status} with a page that is not Leadspace's; check the proxy or firewall on"
                " the way (HTTPS_PROXY)"
            )
        if status in (401, 403):
            return AuthenticationError(f"{what} answered status {status}; {self._hint}")
        return _refusal(what, response, is_results=is_results)


def _refusal(what: str, response: httpx.Response, *, is_results: bool) -> Exception:
    """What the other answers mean that no repetition mends."""
    status = response.status_code
    if status == 427:
        return CreditsError(
            f"{what} answered status 427: the credits of your Leadspace program are used up (or the program"
            " is not known); buy credits and run again, or set active: false to go on without"
        )
    if status in (400, 413):
        return RequestRefused()
    if status == 404 and is_results:
        return ResultsGone(is_json=_envelope(response) is not None)
    if status == 404 or 300 <= status < 400:
        return ServiceError(f"{what} answered status {status}; check ENGAGEMENT_LEADSPACE_URL")
    return ServiceError(f"{what} answered status {status}; this is no passing fault, please report this line")


def _results_path(bulk_id: str) -> str:
    return RESULTS_PATH.format(id=bulk_id)


def _envelope(response: httpx.Response) -> dict[str, Any] | None:
    """The service's own error body, which may be missing."""
    try:
        body = msgspec.json.decode(response.content)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return body if isinstance(body, dict) else None


def _is_page(response: httpx.Response) -> bool:
    """Whether it is a page of HTML, which the service itself never sends."""
    return "html" in response.headers.get("Content-Type", "").lower() or response.content.lstrip()[
        :1
    ].startswith(b"<")


def _has_tracking_id(response: httpx.Response) -> bool:
    return bool((_envelope(response) or {}).get("tracking_id"))


def _readable(content: bytes) -> bytes:
    """JSON without the byte order mark that some servers put before it, and without halves of characters, which would
    make a text of JSON that DuckDB does not read.
    """
    return whole_characters(content.removeprefix(b"\xef\xbb\xbf"))


def _decoded_results(response: httpx.Response) -> _Results:
    return msgspec.json.decode(_readable(response.content), type=_Results)


def _whole_object(response: httpx.Response) -> bytes:
    """The body where it is a whole JSON object. What only our strict reader refuses (a number beyond all doubles,
    half a character) is an answer all the same: its record is found unreadable, the others go on.
    """
    content = _readable(response.content)
    try:
        if isinstance(json.loads(content), dict):
            return content
    except (ValueError, RecursionError):
        pass
    raise AnswerLost("an answer that is not the expected JSON")
