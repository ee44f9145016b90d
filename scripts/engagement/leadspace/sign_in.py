"""Signing in at Leadspace: with the perpetual token, or by OAuth with the program's id and secret.

OAuth is that of the article "API v4 OAuth 2.0 Diagram": POST /oauth/authorize gives a token, a refresh token and
`expiration`, an absolute epoch second; PUT with the refresh token gives the same anew. Whether a refresh changes the
refresh token, how long that lives, and what a refusal says is not documented: a refresh that fails for whatever reason
is followed by a POST. Tokens live in the memory of this process alone.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Generator, Mapping
from typing import Any

import httpx
import msgspec

from engagement.configuration.settings import Settings
from engagement.errors import AuthenticationError, ServiceError
from engagement.http import (
    RETRIED_STATUSES,
    Patience,
    TokenAuth,
    client_timeout,
    date_of,
    network_reason,
    seconds_asked,
    trusted_certificates,
)

SIGN_IN = "Leadspace sign-in"
AUTHORIZE_PATH = "/oauth/authorize"
AUDIENCE = "API_GATEWAY"
TOKEN_HINT = "LEADSPACE_TOKEN is wrong or has expired; set it to the perpetual key of your program"
PROGRAM_HINT = (
    "LEADSPACE_PROGRAM_ID or LEADSPACE_SECRET is wrong; set them to what Leadspace sent you for your program"
)
# The documented life of a token, for where its answer does not say.
DOCUMENTED_LIFE = 24 * 3600.0
_RENEW_SECONDS_BEFORE_EXPIRY = 300.0
# Epoch seconds of today have ten digits: what is larger is in milliseconds, what is smaller no date.
_SMALLEST_EPOCH, _LARGEST_EPOCH = 1e9, 1e11


class PerpetualToken(httpx.Auth):
    """The key that is the token itself; nothing renews it."""

    hint = TOKEN_HINT

    def __init__(self, token: str) -> None:
        self._token = token

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


class ProgramAuth(TokenAuth):
    """OAuth: the token of the program on every request, which after a 401 is repeated once with a new one. A request
    that was answered with 401 was looked up by nobody, a POST neither.
    """

    hint = PROGRAM_HINT


class ProgramTokens:
    """The program's token, shared by all threads: asked for once, renewed before it expires or after a 401."""

    def __init__(self, *, url: str, program_id: str, secret: str, patience: Patience) -> None:
        self._url = url + AUTHORIZE_PATH
        self._program_id = program_id
        self._secret = secret
        self._patience = patience
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh_token: str | None = None
        self._renew_at = 0.0

    def current(self) -> str:
        """A token that is still good for a while; AuthenticationError or ServiceError where there is none."""
        with self._lock:
            if self._token is None or self._patience.clock() >= self._renew_at:
                self._renew()
            assert self._token is not None
            return self._token

    def renewed(self, refused: str) -> str:
        """A token after `refused` was answered with 401; asked for once for all threads."""
        with self._lock:
            if self._token is None or self._token == refused:
                self._renew()
            assert self._token is not None
            return self._token

    def _renew(self) -> None:
        if self._refresh_token is None or not self._refresh(self._refresh_token):
            self._ask()

    def _refresh(self, refresh_token: str) -> bool:
        """Whether a refresh gave a token. Where it did not, the refresh token is worth nothing any more."""
        self._refresh_token = None
        sent_at = self._patience.clock()
        try:
            response = self._send("PUT", {"user": self._program_id, "refreshToken": refresh_token})
        except httpx.HTTPError:
            return False
        # Who does not rotate it may leave it out of the answer.
        return response.status_code == 200 and self._keep(response, sent_at, refresh_token)

    def _ask(self) -> None:
        what = f"{SIGN_IN}: POST {AUTHORIZE_PATH}"
        began = self._patience.clock()
        attempt = 0
        while True:
            asked = None
            sent_at = self._patience.clock()
            body = {"user": self._program_id, "pass": self._secret, "audience": AUDIENCE}
            try:
                response = self._send("POST", body)
            except httpx.HTTPError as error:
                reason = network_reason(error)
            else:
                status = response.status_code
                if status == 200 and self._keep(response, sent_at, None):
                    return
                if status in (400, 401, 403):
                    raise AuthenticationError(f"{what} answered status {status}; {PROGRAM_HINT}")
                if status != 200 and status not in RETRIED_STATUSES:
                    raise ServiceError(f"{what} answered status {status}; check ENGAGEMENT_LEADSPACE_URL")
                reason = "an answer without a token" if status == 200 else f"status {status}"
                asked = seconds_asked(response)
            if not self._patience.wait(
                attempt=attempt, asked=asked, began=began, path=AUTHORIZE_PATH, reason=reason
            ):
                raise ServiceError(
                    f"{what} failed ({reason}) after {attempt + 1} attempts; check the network and"
                    " ENGAGEMENT_LEADSPACE_URL, then run again"
                )
            attempt += 1

    def _send(self, method: str, body: Mapping[str, str]) -> httpx.Response:
        with httpx.Client(timeout=client_timeout(), verify=trusted_certificates()) as client:
            return client.request(
                method,
                self._url,
                content=msgspec.json.encode(body),
                headers={"Content-Type": "application/json", "Accept": "application/json"},
            )

    def _keep(self, response: httpx.Response, sent_at: float, refresh_token: str | None) -> bool:
        try:
            answer = response.json()
        except ValueError:
            return False
        token = answer.get("token") if isinstance(answer, dict) else None
        # What no header can hold is no token.
        if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
            return False
        given = answer.get("refreshToken")
        self._token = token
        self._refresh_token = given if isinstance(given, str) and given else refresh_token
        # By the service's own clock where it says its time, so that a wrong clock here does no harm; and counted on
        # the monotonic one, which nobody sets.
        served_at = date_of(response.headers.get("Date", ""))
        now = time.time() if served_at is None else served_at.timestamp()
        expires = epoch_of(answer.get("expiration"))
        life = DOCUMENTED_LIFE if expires is None or expires <= now else expires - now
        self._renew_at = sent_at + max(life - _RENEW_SECONDS_BEFORE_EXPIRY, life * 0.8)
        return True


def epoch_of(expiration: Any) -> float | None:
    """`expiration` in epoch seconds: documented as such, tolerated in milliseconds, as text, and as a date of ISO
    8601; None where it says nothing, also where it is a number that is no date.
    """
    if isinstance(expiration, bool) or not isinstance(expiration, int | float | str):
        return None
    try:
        epoch = float(expiration)
    except (ValueError, OverflowError):
        try:
            moment = dt.datetime.fromisoformat(str(expiration).strip())
        except ValueError:
            return None
        epoch = (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
    if epoch >= _LARGEST_EPOCH:
        epoch /= 1000
    return epoch if _SMALLEST_EPOCH <= epoch < _LARGEST_EPOCH else None


Auth = PerpetualToken | ProgramAuth


def auth_of(settings: Settings, patience: Patience) -> Auth:
    """What signs requests by these settings, whose secrets the caller has made sure of."""
    if settings.leadspace_token is not None:
        return PerpetualToken(settings.leadspace_token.get_secret_value())
    assert settings.leadspace_program_id is not None and settings.leadspace_secret is not None
    return ProgramAuth(
        ProgramTokens(
            url=settings.leadspace_url,
            program_id=settings.leadspace_program_id,
            secret=settings.leadspace_secret.get_secret_value(),
            patience=patience,
        )
    )
