"""Signing in at Microsoft as an app: the token, its renewal, and what a refusal means."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import quote, urlsplit

import httpx

from engagement.errors import AuthenticationError, ServiceError
from engagement.http import (
    RETRIED_STATUSES,
    Patience,
    client_timeout,
    date_of,
    network_reason,
    seconds_asked,
    trusted_certificates,
)

SIGN_IN = "Microsoft sign-in"
SCOPE = "https://graph.microsoft.com/.default"
_RENEW_SECONDS_BEFORE_EXPIRY = 300.0
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

# Of the client id and the token endpoint's address: the fields of one token request that hold a secret or an
# assertion.
Proof = Callable[[str, str], Mapping[str, str]]


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
            self.service_time = date_of(response.headers.get("Date", ""))
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
