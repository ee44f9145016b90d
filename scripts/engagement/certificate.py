"""Sign-in with a certificate: the file that holds it with its private key, and the assertions that the key signs.

An assertion is a JSON web token in the place of a client secret. It says who we are (`iss`, `sub`), for which
address it is meant (`aud`), once (`jti`), for a few minutes (`nbf`, `exp`); it is signed with PS256, and
`x5t#S256` names the certificate whose public part the app registration holds.

No message holds more of the file than its name, and none anything of the key, the password or an assertion.
"""

from __future__ import annotations

import datetime as dt
import os
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12

from engagement.errors import ConfigurationError

PATH_VARIABLE = "AZURE_CLIENT_CERTIFICATE_PATH"
PASSWORD_VARIABLE = "AZURE_CLIENT_CERTIFICATE_PASSWORD"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
# Seconds around now in which an assertion is good: our clock may be off by as much to either side, and Microsoft
# asks for no more than ten minutes between the two ends.
CLOCK_SKEW = 300
# Days before its end from which on a certificate is warned of.
WARNED_DAYS = 30
SHORTEST_KEY_BITS = 2048
# Certificates have a few thousand bytes, so whatever is larger is something else and not read whole.
_LARGEST_FILE_BYTES = 1 << 20
# The first byte of everything in DER, as PKCS#12 files and certificates of Windows are.
_DER = b"\x30"


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, which never shows in its representation."""

    file_name: str
    thumbprint: str  # SHA-256 of the certificate's DER, in base64url without padding
    ends_at: dt.datetime  # UTC
    key: RSAPrivateKey = field(repr=False)

    def proof(self, client_id: str, token_url: str) -> dict[str, str]:
        """The fields of one token request that stand in the place of a secret; every call signs a new assertion."""
        now = int(time.time())
        claims = {
            "aud": token_url,
            "iss": client_id,
            "sub": client_id,
            "jti": str(uuid.uuid4()),
            # The time of issue too, since a verifier may refuse one that its own clock has not reached.
            "iat": now - CLOCK_SKEW,
            "nbf": now - CLOCK_SKEW,
            "exp": now + CLOCK_SKEW,
        }
        assertion = jwt.encode(claims, self.key, algorithm="PS256", headers={"x5t#S256": self.thumbprint})
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}

    def warnings(self) -> list[str]:
        """One line where it ends within the next `WARNED_DAYS` days."""
        if self.ends_at - _now() > dt.timedelta(days=WARNED_DAYS):
            return []
        return [
            f"{PATH_VARIABLE}: {self.file_name} expires on {self.ends_at:%Y-%m-%d}; make a new certificate"
            " in time and upload it to the app registration"
        ]


def read(path: Path, password: str | None) -> Certificate:
    """The certificate of a PEM or PKCS#12 file, ready to sign; ConfigurationError with one line where it is not."""
    content = _content(path)
    try:
        if b"-----BEGIN " in content:
            key, certificates = _of_pem(content, path.name, password)
        elif content.startswith(_DER):
            key, certificates = _of_pkcs12(content, path.name, password)
        else:
            raise _problem(path.name, "is neither PEM nor PKCS#12; export the certificate as one of the two")
    except UnsupportedAlgorithm:
        # "from None", here and below: the library's text may quote the file.
        raise _problem(path.name, "uses an algorithm that is not supported; export it anew") from None
    if key is None:
        raise _problem(path.name, "has no private key; export the certificate together with its private key")
    if not isinstance(key, RSAPrivateKey) or key.key_size < SHORTEST_KEY_BITS:
        raise _problem(
            path.name,
            f"has no RSA key of at least {SHORTEST_KEY_BITS:,} bits, which Microsoft's sign-in asks for;"
            " make a certificate with one",
        )
    if not certificates:
        raise _problem(path.name, "has no certificate; put it into the file beside its private key")
    # A file may hold the whole chain, in any order.
    own = [one for one in certificates if one.public_key() == key.public_key()]
    if not own:
        raise _problem(path.name, "has a private key of another certificate; put the two together that match")
    # Of a renewed certificate with the same key, the newer one.
    certificate = max(own, key=lambda one: one.not_valid_after_utc)
    _check_dates(certificate, path.name)
    return Certificate(
        file_name=path.name,
        thumbprint=urlsafe_b64encode(certificate.fingerprint(hashes.SHA256())).rstrip(b"=").decode(),
        ends_at=certificate.not_valid_after_utc,
        key=key,
    )


def _now() -> dt.datetime:
    return dt.datetime.fromtimestamp(time.time(), dt.UTC)


def _problem(name: str, what: str) -> ConfigurationError:
    return ConfigurationError(f"{PATH_VARIABLE}: {name} {what}")


def _content(path: Path) -> bytes:
    """The bytes of a file that its owner alone may read; ConfigurationError for any other."""
    try:
        if not path.exists():
            raise _problem(path.name, "does not exist; set it to the file with certificate and private key")
        # A pipe would be waited for, and a folder has no bytes.
        if not path.is_file():
            raise _problem(path.name, "is no file; set it to the file with certificate and private key")
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise _problem(path.name, "holds a private key that others may read; run chmod 600 on it")
            return file.read(_LARGEST_FILE_BYTES)
    except OSError:
        raise _problem(path.name, "cannot be read; give this user the right to read it") from None


def _of_pem(
    content: bytes, name: str, password: str | None
) -> tuple[object | None, Sequence[x509.Certificate]]:
    """The private key, None where there is none, and the certificates of a PEM file."""
    certificates: Sequence[x509.Certificate] = []
    key: object | None = None
    # Both forms of an encrypted key say so in plain text.
    encrypted = b"ENCRYPTED" in content
    if encrypted and not password:
        raise _problem(name, f"has an encrypted private key; set {PASSWORD_VARIABLE} to its password")
    if b"PRIVATE KEY-----" in content:
        try:
            # A password that nothing needs does no harm; the library would refuse it.
            key = serialization.load_pem_private_key(
                content, password.encode() if password and encrypted else None
            )
        except (ValueError, TypeError):
            if encrypted:
                raise _wrong_password(name) from None
            raise _problem(name, "has a damaged private key; export it anew") from None
    if b"BEGIN CERTIFICATE" in content:
        try:
            certificates = x509.load_pem_x509_certificates(content)
        except ValueError:
            raise _problem(name, "has a damaged certificate; export it anew") from None
    return key, certificates


def _of_pkcs12(
    content: bytes, name: str, password: str | None
) -> tuple[object | None, Sequence[x509.Certificate]]:
    """The private key, None where there is none, and the certificates of a PKCS#12 file."""
    try:
        store = pkcs12.load_pkcs12(content, password.encode() if password else None)
    except ValueError:
        try:
            # The public part alone (.cer) is taken for the whole easily.
            return None, [x509.load_der_x509_certificate(content)]
        except ValueError:
            pass
        if password:
            raise _wrong_password(name) from None
        raise _problem(
            name, f"cannot be opened without a password; set {PASSWORD_VARIABLE} to it, or export it anew"
        ) from None
    found = [store.cert, *store.additional_certs]
    return store.key, [one.certificate for one in found if one is not None]


def _wrong_password(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{PASSWORD_VARIABLE}: does not open {name}; correct the password, or export the file anew if it is damaged"
    )


def _check_dates(certificate: x509.Certificate, name: str) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if ends <= _now():
        raise _problem(
            name,
            f"has expired on {ends:%Y-%m-%d}; make a new certificate and upload it to the app registration",
        )
    # One that another machine has just made may begin a little after our own clock.
    if begins > _now() + dt.timedelta(seconds=CLOCK_SKEW):
        raise _problem(
            name, f"is not valid before {begins:%Y-%m-%d}; wait until then, or set this machine's clock"
        )
