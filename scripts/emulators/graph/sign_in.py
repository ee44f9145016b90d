"""The token endpoint of Microsoft sign-in."""

from __future__ import annotations

import time
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from emulators.assertions import ASSERTION_TYPE, AssertionRefused, check_assertion
from emulators.graph.refusals import not_implemented
from emulators.graph.service import Emulator, emulator_of
from emulators.identifiers import seeded_guid


def _token_error(emulator: Emulator, status: int, error: str, code: int, text: str) -> Response:
    trace, correlation = seeded_guid(f"trace:{code}"), seeded_guid(f"correlation:{code}")
    stamp = emulator.now.strftime("%Y-%m-%d %H:%M:%SZ")
    body = {
        "error": error,
        "error_description": (
            f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    return Response(
        msgspec.json.encode(body), status, headers={"content-type": "application/json; charset=utf-8"}
    )


async def token(request: Request) -> Response:
    """Answer the client credentials flow, with a secret or with a certificate's assertion."""
    emulator = emulator_of(request)
    tenant = emulator.tenant
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != "application/x-www-form-urlencoded":
        return _token_error(
            emulator,
            400,
            "invalid_request",
            900144,
            "The request body must contain the following parameter: 'grant_type'.",
        )
    given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    for name in ("grant_type", "client_id", "scope"):
        if name not in given:
            return _token_error(
                emulator,
                400,
                "invalid_request",
                900144,
                f"The request body must contain the following parameter: '{name}'.",
            )
    if "client_assertion" in given and "client_secret" in given:
        raise not_implemented("client_assertion and client_secret in one request")
    if "client_assertion" in given and given.get("client_assertion_type") != ASSERTION_TYPE:
        raise not_implemented("a client_assertion_type other than jwt-bearer")
    if given["grant_type"] != "client_credentials":
        return _token_error(
            emulator,
            400,
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{given['grant_type']}'.",
        )
    if request.path_params["tenant"].lower() != tenant.tenant_id.lower():
        return _token_error(
            emulator,
            400,
            "invalid_request",
            90002,
            f"Tenant '{request.path_params['tenant']}' not found. Check that you have the correct tenant ID.",
        )
    if given["client_id"].lower() != tenant.client_id.lower():
        return _token_error(
            emulator,
            400,
            "unauthorized_client",
            700016,
            f"Application with identifier '{given['client_id']}' was not found in the directory.",
        )
    if "client_assertion" in given:
        try:
            check_assertion(
                given["client_assertion"],
                client_id=tenant.client_id,
                audience=f"{request.url.scheme}://{request.url.netloc}{request.url.path}",
                certificates=tenant.client_certificates,
                used=emulator.used_assertions,
                now=time.time(),
            )
        except AssertionRefused as refused:
            return _token_error(emulator, refused.status, refused.error, refused.code, refused.text)
    elif "client_secret" not in given:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    elif given["client_secret"] != tenant.client_secret:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client "
            f"secret value, not the client secret ID, for a secret added to app '{given['client_id']}'.",
        )
    elif emulator.switches.secret_expired:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000222,
            f"The provided client secret keys for app '{given['client_id']}' are expired.",
        )
    base = f"{request.url.scheme}://{request.url.netloc}"
    if not given["scope"].endswith("/.default"):
        return _token_error(
            emulator,
            400,
            "invalid_scope",
            1002012,
            f"The provided value for scope {given['scope']} is not valid. Client credential flows must have "
            "a scope value with /.default suffixed to the resource identifier (application ID URI).",
        )
    if given["scope"] not in ("https://graph.microsoft.com/.default", f"{base}/.default"):
        return _token_error(
            emulator,
            400,
            "invalid_scope",
            70011,
            "The provided request must include a 'scope' input parameter. The provided value "
            f"'{given['scope']}' is not valid.",
        )
    lifetime = int(emulator.switches.token_lifetime)
    body = {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": emulator.issue_token(),
    }
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store, no-cache"}
    return Response(msgspec.json.encode(body), headers=headers)
