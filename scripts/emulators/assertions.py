"""How Entra takes a certificate's assertion in the place of a secret: verified whole, refused with its own codes.

Nothing of the client's library is used, so that the two check each other: the token is taken apart and its
signature verified here. Its times are compared with the real clock, as the life of tokens is.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
CLOCK_SKEW = 300.0  # seconds that a client's clock may be off
_PADDINGS: dict[str, Callable[[], padding.AsymmetricPadding]] = {
    "PS256": lambda: padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32),
    "RS256": padding.PKCS1v15,
}


class AssertionRefused(Exception):
    """What Entra answers to an assertion that it does not take: HTTP status, OAuth error, AADSTS code, text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.status, self.error = (400, "invalid_request") if code == 50027 else (401, "invalid_client")
        self.code = code
        self.text = text


def _malformed(why: str) -> AssertionRefused:
    return AssertionRefused(50027, f"JWT token is invalid or malformed. {why}")


def _decoded(part: str) -> bytes:
    if "=" in part or "+" in part or "/" in part:
        raise _malformed("A part of it is not base64url.")
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except ValueError:
        raise _malformed("A part of it is not base64url.") from None


def _object(part: str) -> dict[str, Any]:
    try:
        found = json.loads(_decoded(part))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _malformed("A part of it is no JSON object.")
    return found


def _thumbprint(certificate: x509.Certificate, algorithm: hashes.HashAlgorithm) -> str:
    return urlsafe_b64encode(certificate.fingerprint(algorithm)).rstrip(b"=").decode()


def _certificate_named(header: dict[str, Any], certificates: Sequence[bytes]) -> x509.Certificate:
    """Find the certificate that the header names by its thumbprint, among those in PEM that the app has."""
    algorithms = {"x5t#S256": hashes.SHA256(), "x5t": hashes.SHA1()}
    # Microsoft's own library sends it with its padding.
    given = {name: str(header[name]).rstrip("=") for name in algorithms if name in header}
    if not given:
        raise _malformed("No certificate thumbprint specified in token header.")
    for pem in certificates:
        certificate = x509.load_pem_x509_certificate(pem)
        if all(_thumbprint(certificate, algorithms[name]) == value for name, value in given.items()):
            return certificate
    raise AssertionRefused(
        700027,
        "The certificate with identifier used to sign the client assertion is not registered on application. "
        f"[Reason - The key was not found., Thumbprint of key used by client: '{next(iter(given.values()))}'].",
    )


def check_assertion(
    assertion: str,
    *,
    client_id: str,
    audience: str,
    certificates: Sequence[bytes],
    used: set[str],
    now: float,
) -> None:
    """Verify an assertion for the token endpoint `audience`, else raise `AssertionRefused`.

    `certificates` are those of the app registration, in PEM; `used` holds the `jti` of the assertions taken so
    far and gets this one's; `now` is in seconds since 1970.
    """
    parts = assertion.split(".")
    if len(parts) != 3:
        raise _malformed("It has not three parts.")
    header, claims = _object(parts[0]), _object(parts[1])
    make_padding = _PADDINGS.get(str(header.get("alg")))
    if make_padding is None or header.get("typ") != "JWT":
        raise _malformed("Its type or its algorithm is not accepted.")
    certificate = _certificate_named(header, certificates)
    public_key = certificate.public_key()
    assert isinstance(public_key, RSAPublicKey)
    try:
        public_key.verify(
            _decoded(parts[2]), f"{parts[0]}.{parts[1]}".encode(), make_padding(), hashes.SHA256()
        )
    except InvalidSignature:
        raise AssertionRefused(
            700027,
            "Client assertion failed signature validation. "
            "[Reason - The provided signature value did not match the expected signature value.].",
        ) from None
    moment = datetime.fromtimestamp(now, UTC)
    if not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        raise AssertionRefused(
            700027, "Client assertion contains an invalid signature. [Reason - The key used is expired.]."
        )
    for name in ("iss", "sub"):
        if str(claims.get(name)).lower() != client_id.lower():
            raise AssertionRefused(
                700021, "Client assertion application identifier doesn't match 'client_id' parameter."
            )
    if claims.get("aud") != audience:
        raise AssertionRefused(700023, "Client assertion audience claim does not match Realm issuer.")
    # Microsoft's own library leaves the beginning out and sends fractions of seconds.
    begins, ends = claims.get("nbf", now), claims.get("exp")
    if not isinstance(begins, int | float) or not isinstance(ends, int | float):
        raise _malformed("It does not say until when it is valid.")
    if not begins - CLOCK_SKEW <= now < ends + CLOCK_SKEW:
        raise AssertionRefused(700024, "Client assertion is not within its valid time range.")
    identifier = claims.get("jti")
    if not isinstance(identifier, str) or not identifier:
        raise _malformed("It has no 'jti'.")
    # No code of Entra's own for this is published, so it has that of a token that is wrong otherwise.
    if identifier in used:
        raise _malformed("Its 'jti' was used before.")
    used.add(identifier)
