"""What all requests to services have in common: how long to go on trying, what failed in words of our own, and
that nothing personal ever reaches a log or a message.
"""

from __future__ import annotations

import email.utils
import logging
import random
import re
import ssl
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import httpcore
import httpx
import msgspec

log = logging.getLogger(__name__)

RETRIED_STATUSES = (429, 500, 502, 503, 504)
LONGEST_BACKOFF = 60.0

T = TypeVar("T")


class Interrupted(Exception):
    """The run was told to end while it waited."""


class Patience:
    """How long to go on trying: a budget per request, the waiting function, and the spread of waits.

    `answer_seconds` is how long one answer may take from its first byte asked for to its last received. A
    `stopped` that is set ends every wait with Interrupted.
    """

    def __init__(
        self,
        *,
        seconds: float = 300.0,
        answer_seconds: float = 180.0,
        sleep: Callable[[float], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
        stopped: threading.Event | None = None,
    ) -> None:
        self.seconds = seconds
        self.answer_seconds = answer_seconds
        self.stopped = stopped or threading.Event()
        self.clock = clock
        self.spread = spread
        self._sleep = sleep or self.stopped.wait

    def with_seconds(self, seconds: float) -> Patience:
        """The same with another budget."""
        return Patience(
            seconds=seconds,
            answer_seconds=self.answer_seconds,
            sleep=self._sleep,
            clock=self.clock,
            spread=self.spread,
            stopped=self.stopped,
        )

    def sleep(self, seconds: float) -> None:
        """Waits so long; Interrupted when the run is told to end meanwhile."""
        self._sleep(seconds)
        if self.stopped.is_set():
            raise Interrupted("the run was ended while it waited for a service")

    def next_wait(self, *, attempt: int, asked: float | None, began: float) -> float | None:
        """Seconds to wait before the next attempt; None when the budget would not last that long.

        Never shorter than asked, since a call that comes too early counts against us, and never shorter than
        the backoff, since a service in trouble also asks for no wait at all.
        """
        backoff = min(2.0**attempt, LONGEST_BACKOFF) * (0.5 + self.spread() / 2)
        seconds = backoff if asked is None else max(asked, backoff)
        return None if self.clock() - began + seconds > self.seconds else seconds

    def wait(self, *, attempt: int, asked: float | None, began: float, path: str, reason: str) -> bool:
        """Waits before the next attempt; False when the budget would not last that long."""
        seconds = self.next_wait(attempt=attempt, asked=asked, began=began)
        if seconds is None:
            return False
        say_waiting(seconds, path=path, reason=reason)
        self.sleep(seconds)
        return True


def say_waiting(seconds: float, *, path: str, reason: str) -> None:
    """A line about a wait that somebody may wonder at."""
    if seconds >= 5:
        log.info("waiting %.0f s: %s (%s)", seconds, reason, path)


class Tokens(Protocol):
    """Where the token of a service comes from; threads may ask at once."""

    def current(self) -> str:
        """A token that is still good."""
        ...

    def renewed(self, refused: str) -> str:
        """A token after `refused` was answered with 401."""
        ...


class TokenAuth(httpx.Auth):
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


class Answer(Protocol):
    """What is looked at of an answer that is no success."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> httpx.Headers: ...

    def json(self) -> Any: ...


def seconds_asked(response: Answer) -> float | None:
    """Retry-After in seconds: whole, fractional or a date, counted from the answer's own Date; None where
    absent.
    """
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = date_of(value)
        if moment is None:
            return None
        seconds = (moment - (date_of(response.headers.get("Date", "")) or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if seconds == seconds else None


def date_of(value: str) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def error_code(response: Answer) -> str:
    """The service's error code, or empty: bodies may be empty, HTML, or of another shape."""
    try:
        error = response.json()["error"]
        code = error["code"]
    except (ValueError, KeyError, TypeError):
        return ""
    text = str(code)
    return text if len(text) <= 80 and text.replace("-", "").replace("_", "").isalnum() else ""


def client_timeout(answer_seconds: float = 100.0) -> httpx.Timeout:
    """How long to wait for a connection, and for the next bytes of an answer."""
    return httpx.Timeout(min(100.0, answer_seconds), connect=min(15.0, answer_seconds))


@lru_cache(maxsize=1)
def trusted_certificates() -> ssl.SSLContext:
    """The certificates that are trusted: reading them takes a third of a second, so once for all clients."""
    return httpx.create_ssl_context()


# A page of mail is a megabyte, and each read of a part of it goes through a dozen calls.
httpcore.HTTP11Connection.READ_NUM_BYTES = 256 * 1024


def network_reason(error: httpx.HTTPError) -> str:
    """What failed in words of our own: the library's text may hold the URL."""
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.ProxyError):
        return "no connection through the proxy"
    return "connection broken"


def origin_of(url: str) -> tuple[str, str | None, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ("", None, None)
    return (parts.scheme, parts.hostname, port or {"https": 443, "http": 80}.get(parts.scheme))


# An escaped backslash, a whole pair, or half a character.
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


def whole_characters(content: bytes) -> bytes:
    """JSON with the replacement character for every escape that is half a character (an emoji that somebody cut in
    two): no text can hold one, and readers of JSON refuse all that stands around it.
    """
    # Nearly every answer has none, and looking for two strings is a hundred times as fast.
    if b"\\ud" not in content and b"\\uD" not in content:
        return content
    return _ESCAPES.sub(lambda found: found[0] if found[1] is None else b"\\ufffd", content)


def decoder(kind: type[T]) -> Callable[[bytes], T]:
    """A decoder of typed JSON that ignores what was not asked for."""
    typed: Any = msgspec.json.Decoder(kind)
    decode: Callable[[bytes], T] = typed.decode
    return decode
