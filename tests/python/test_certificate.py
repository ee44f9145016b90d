"""Sign-in with a certificate: every form of its file, every error, and what Entra makes of an assertion."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import os
import re
import stat
import time
import traceback
from collections.abc import Callable
from functools import lru_cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

from conftest import OURS, SENTINEL, Workspace
from emulators.graph import Handle
from emulators.tenant import Tenant
from engagement import certificate
from engagement.errors import AuthenticationError, ConfigurationError
from engagement.office.graph import Service
from engagement.publish import secret_values
from test_http import Waits, answering, reply

PASSWORD = "pass-word-of-the-file"
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@lru_cache
def key_of(name: str) -> Key:
    """A key of its own for every name; made once, since that takes a moment."""
    if name == "elliptic":
        return ec.generate_private_key(ec.SECP256R1())
    return rsa.generate_private_key(65537, 1024 if name == "short" else 2048)


@lru_cache
def certificate_of(
    name: str, *, begins_in: float = -86_400, ends_in: float = 365 * 86_400
) -> x509.Certificate:
    """A self-signed certificate of the key of that name, valid between two moments in seconds from now."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    key = key_of(name)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + dt.timedelta(seconds=begins_in))
        .not_valid_after(now + dt.timedelta(seconds=ends_in))
        .sign(key, hashes.SHA256())
    )


def as_pem(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.PEM)


def key_pem(name: str, *, password: str = "", traditional: bool = False) -> bytes:
    """The key of that name as text; `traditional` is the older of the two forms (BEGIN RSA PRIVATE KEY)."""
    form = (
        serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
    )
    return key_of(name).private_bytes(serialization.Encoding.PEM, form, encryption(password))


def encryption(password: str) -> serialization.KeySerializationEncryption:
    if not password:
        return serialization.NoEncryption()
    return serialization.BestAvailableEncryption(password.encode())


def pfx(*, password: str = "", key: str | None = "ours", others: tuple[str, ...] = ()) -> bytes:
    chain = [certificate_of(name) for name in others]
    private = None if key is None else key_of(key)
    return pkcs12.serialize_key_and_certificates(
        b"app", private, certificate_of("ours"), chain, encryption(password)
    )


def sign_in_with(
    workspace: Workspace, content: bytes, *, name: str = "app.pem", password: str = "", mode: int = 0o600
) -> Path:
    """Puts the file into the workspace and names it in the environment, in the place of the secret."""
    path = workspace.root / name
    path.write_bytes(content)
    path.chmod(mode)
    workspace.environment.pop("AZURE_CLIENT_SECRET", None)
    workspace.environment["AZURE_CLIENT_CERTIFICATE_PATH"] = str(path)
    workspace.environment.pop("AZURE_CLIENT_CERTIFICATE_PASSWORD", None)
    if password:
        workspace.environment["AZURE_CLIENT_CERTIFICATE_PASSWORD"] = password
    return path


@pytest.fixture
def tenant(tenant: Tenant) -> Tenant:
    """The small tenant, whose app registration has our certificate beside an older one."""
    tenant.client_certificates = [as_pem(certificate_of("older")), as_pem(certificate_of("ours"))]
    return tenant


@pytest.fixture
def ours() -> bytes:
    return as_pem(certificate_of("ours")) + key_pem("ours")


# ---------------------------------------------------------------------------------------------------
# the file


FORMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "certificate, then key": (lambda: as_pem(certificate_of("ours")) + key_pem("ours"), ""),
    "key, then certificate": (lambda: key_pem("ours") + as_pem(certificate_of("ours")), ""),
    "a text around them": (
        lambda: b"Bag Attributes\n  friendlyName: app\n" + as_pem(certificate_of("ours")) + key_pem("ours"),
        "",
    ),
    "lines that end as on Windows": (
        lambda: (as_pem(certificate_of("ours")) + key_pem("ours")).replace(b"\n", b"\r\n"),
        "",
    ),
    "a chain in another order": (
        lambda: as_pem(certificate_of("older")) + as_pem(certificate_of("ours")) + key_pem("ours"),
        "",
    ),
    "an older form of key": (
        lambda: as_pem(certificate_of("ours")) + key_pem("ours", traditional=True),
        "",
    ),
    "an encrypted key": (
        lambda: as_pem(certificate_of("ours")) + key_pem("ours", password=PASSWORD),
        PASSWORD,
    ),
    "an encrypted key of the older form": (
        lambda: as_pem(certificate_of("ours")) + key_pem("ours", password=PASSWORD, traditional=True),
        PASSWORD,
    ),
    "a password that nothing needs": (lambda: as_pem(certificate_of("ours")) + key_pem("ours"), PASSWORD),
    "PKCS#12": (lambda: pfx(password=PASSWORD), PASSWORD),
    "PKCS#12 with its chain": (lambda: pfx(password=PASSWORD, others=("older",)), PASSWORD),
    "PKCS#12 without a password": (pfx, ""),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_file_signs_in(connected: Workspace, graph: Handle, form: str) -> None:
    content, password = FORMS[form]
    # The name says nothing: the content decides.
    sign_in_with(connected, content(), name="app.certificate", password=password)
    Service(connected.settings(), Waits()).sign_in()
    assert [request.status for request in graph.requests] == [200]
    assert len(graph.emulator.used_assertions) == 1


def test_a_relative_path_starts_at_the_current_folder(connected: Workspace, ours: bytes) -> None:
    sign_in_with(connected, ours)
    connected.environment["AZURE_CLIENT_CERTIFICATE_PATH"] = "app.pem"
    Service(connected.settings(), Waits()).sign_in()


def without_key() -> bytes:
    return as_pem(certificate_of("ours"))


def dated(name: str, **seconds: float) -> bytes:
    return as_pem(certificate_of(name, **seconds)) + key_pem(name)


def damaged(content: bytes, marker: bytes) -> bytes:
    """The content with the first letters after a marker changed."""
    before, found, after = content.partition(marker)
    return before + found + b"AAAA" + after[4:]


NAMED = "AZURE_CLIENT_CERTIFICATE_PATH: app.pem "
DATE = r"\d{4}-\d{2}-\d{2}"
WRONG: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "expired": (
        lambda: dated("late", begins_in=-9e5, ends_in=-5),
        "",
        f"{NAMED}has expired on {DATE}; make a new",
    ),
    "not valid yet": (
        lambda: dated("early", begins_in=9e5, ends_in=9e6),
        "",
        f"{NAMED}is not valid before {DATE}; ",
    ),
    "no private key": (without_key, "", f"{NAMED}has no private key; export the certificate together"),
    "the public part of Windows": (
        lambda: certificate_of("ours").public_bytes(serialization.Encoding.DER),
        "",
        f"{NAMED}has no private key; ",
    ),
    "PKCS#12 without a key": (lambda: pfx(key=None), "", f"{NAMED}has no private key; "),
    "no certificate": (lambda: key_pem("ours"), "", f"{NAMED}has no certificate; put it into the file"),
    "the key of another": (
        lambda: as_pem(certificate_of("ours")) + key_pem("older"),
        "",
        f"{NAMED}has a private key of another certificate; ",
    ),
    "a wrong password": (
        lambda: as_pem(certificate_of("ours")) + key_pem("ours", password="another"),
        PASSWORD,
        "AZURE_CLIENT_CERTIFICATE_PASSWORD: does not open app.pem; correct the password",
    ),
    "no password": (
        lambda: as_pem(certificate_of("ours")) + key_pem("ours", password=PASSWORD),
        "",
        f"{NAMED}has an encrypted private key; set AZURE_CLIENT_CERTIFICATE_PASSWORD to its password",
    ),
    "a wrong password of PKCS#12": (
        lambda: pfx(password="another"),
        PASSWORD,
        "AZURE_CLIENT_CERTIFICATE_PASSWORD: does not open app.pem; correct the password",
    ),
    "no password of PKCS#12": (
        lambda: pfx(password=PASSWORD),
        "",
        f"{NAMED}cannot be opened without a password; set AZURE_CLIENT_CERTIFICATE_PASSWORD",
    ),
    "another kind of key": (lambda: dated("elliptic"), "", f"{NAMED}has no RSA key of at least 2,048 bits"),
    "a short key": (
        lambda: as_pem(certificate_of("short")) + key_pem("short"),
        "",
        f"{NAMED}has no RSA key of at least 2,048 bits",
    ),
    "a damaged key": (
        lambda: damaged(as_pem(certificate_of("ours")) + key_pem("ours"), b"PRIVATE KEY-----\n"),
        "",
        f"{NAMED}has a damaged private key; export it anew",
    ),
    "a damaged certificate": (
        lambda: damaged(as_pem(certificate_of("ours")) + key_pem("ours"), b"CERTIFICATE-----\n"),
        "",
        f"{NAMED}has a damaged certificate; export it anew",
    ),
    "half a PKCS#12": (
        lambda: pfx()[:400],
        "",
        f"{NAMED}cannot be opened without a password; .* or export it anew",
    ),
    "something else": (lambda: b"to be replaced\n", "", f"{NAMED}is neither PEM nor PKCS#12; "),
    "nothing": (bytes, "", f"{NAMED}is neither PEM nor PKCS#12; "),
    "two megabytes": (lambda: b"x" * 2_000_000, "", f"{NAMED}is neither PEM nor PKCS#12; "),
}


def one_finding(workspace: Workspace) -> str:
    """The one line that the settings are refused with; nothing of the file or the machine stands in it."""
    with pytest.raises(ConfigurationError) as caught:
        workspace.settings()
    [found] = caught.value.findings
    told = found + "".join(traceback.format_exception(caught.value))
    assert "\n" not in found and str(workspace.root) not in found
    assert caught.value.exit_code == 2
    for hidden in (PASSWORD, "PRIVATE KEY-----", *key_pem("ours").decode().splitlines()[1:3]):
        assert hidden not in told
    return found


@pytest.mark.parametrize("case", WRONG)
def test_one_line_says_what_is_wrong_with_the_file(workspace: Workspace, case: str) -> None:
    content, password, said = WRONG[case]
    sign_in_with(workspace, content(), password=password)
    found = one_finding(workspace)
    assert re.match(said, found), found
    assert "; " in found, "what to do is missing"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_file_that_others_may_read_is_refused(workspace: Workspace, ours: bytes, mode: int) -> None:
    path = sign_in_with(workspace, ours, mode=mode)
    assert one_finding(workspace) == f"{NAMED}holds a private key that others may read; run chmod 600 on it"
    path.chmod(0o400)
    assert workspace.settings().certificate is not None


def test_files_that_are_none(workspace: Workspace, ours: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sign_in_with(workspace, ours)
    path.unlink()
    assert one_finding(workspace).startswith(f"{NAMED}does not exist; ")
    path.mkdir()
    assert one_finding(workspace).startswith(f"{NAMED}is no file; ")
    path.rmdir()
    # Whoever opens a pipe that nobody writes to waits for ever.
    os.mkfifo(path, 0o600)
    assert one_finding(workspace).startswith(f"{NAMED}is no file; ")
    path.unlink()
    path.write_bytes(ours)

    def denied(self: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    # By hand, since root may read everything.
    monkeypatch.setattr(certificate.Path, "open", denied)
    with pytest.raises(ConfigurationError) as caught:
        certificate.read(path, None)
    assert caught.value.message == f"{NAMED}cannot be read; give this user the right to read it"
    assert str(path.parent) not in "".join(traceback.format_exception(caught.value, limit=0))


def test_a_secret_and_a_certificate_are_one_too_many(workspace: Workspace, ours: bytes) -> None:
    secret = workspace.environment["AZURE_CLIENT_SECRET"]
    sign_in_with(workspace, ours)
    workspace.environment["AZURE_CLIENT_SECRET"] = secret
    assert one_finding(workspace) == (
        "environment: AZURE_CLIENT_SECRET and AZURE_CLIENT_CERTIFICATE_PATH are both set; keep one of them"
    )
    # An empty variable is none.
    workspace.environment["AZURE_CLIENT_SECRET"] = ""
    assert workspace.settings().certificate is not None
    # Where nothing is contacted, nothing of it is read.
    workspace.environment |= {"AZURE_CLIENT_SECRET": secret, "AZURE_CLIENT_CERTIFICATE_PATH": "gone.pem"}
    assert workspace.settings(services=()).certificate is None
    workspace.configure(tenant_consent=None)
    assert workspace.settings().certificate is None


def test_neither_a_secret_nor_a_certificate(workspace: Workspace) -> None:
    del workspace.environment["AZURE_CLIENT_SECRET"]
    assert one_finding(workspace).startswith(
        "environment: AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH not set; set it to the app"
    )
    workspace.environment["AZURE_CLIENT_CERTIFICATE_PATH"] = ""
    assert "AZURE_CLIENT_CERTIFICATE_PATH not set" in one_finding(workspace)


def test_a_certificate_that_will_end_soon_is_warned_of(workspace: Workspace, ours: bytes) -> None:
    sign_in_with(workspace, ours)
    assert workspace.settings().warnings == ()
    day = 86_400.0
    sign_in_with(workspace, dated("soon", ends_in=29 * day))
    [warning] = workspace.settings().warnings
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=29)
    assert warning.startswith(f"{NAMED}expires on {ends:%Y-%m-%d}; ")
    sign_in_with(workspace, dated("later", ends_in=31 * day))
    assert workspace.settings().warnings == ()


def test_of_a_renewed_certificate_the_newer_one_signs(workspace: Workspace) -> None:
    renewed = certificate_of("ours", ends_in=700 * 86_400)
    content = as_pem(renewed) + as_pem(certificate_of("ours")) + key_pem("ours")
    path = sign_in_with(workspace, content)
    assert certificate.read(path, None).ends_at == renewed.not_valid_after_utc


# ---------------------------------------------------------------------------------------------------
# the assertion


def test_the_assertion_is_as_documented(workspace: Workspace, ours: bytes) -> None:
    path = sign_in_with(workspace, ours)
    url = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
    before = time.time()
    form = certificate.read(path, None).proof("client", url)
    assert set(form) == {"client_assertion_type", "client_assertion"}
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    header = jwt.get_unverified_header(form["client_assertion"])
    assert set(header) == {"alg", "typ", "x5t#S256"}
    assert (header["alg"], header["typ"]) == ("PS256", "JWT")
    fingerprint = certificate_of("ours").fingerprint(hashes.SHA256())
    assert jwt.utils.base64url_decode(header["x5t#S256"]) == fingerprint
    public_key: Any = certificate_of("ours").public_key()
    claims = jwt.decode(form["client_assertion"], public_key, algorithms=["PS256"], audience=url)
    assert set(claims) == {"aud", "iss", "sub", "jti", "iat", "nbf", "exp"}
    assert claims["iss"] == claims["sub"] == "client"
    # no more than ten minutes, now in their middle
    assert claims["exp"] - claims["nbf"] == 600
    assert before - 1 <= claims["nbf"] + 300 <= time.time()


def test_every_request_has_an_assertion_of_its_own(workspace: Workspace, ours: bytes) -> None:
    """Also one that is repeated because the service failed."""
    forms: list[dict[str, list[str]]] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        forms.append(parse_qs(request.rfile.read(int(request.headers["Content-Length"])).decode()))
        body = b'{"access_token": "x", "expires_in": 3599}'
        reply(request, body, 503 if len(forms) < 3 else 200)

    sign_in_with(workspace, ours)
    with answering(answer) as url:
        workspace.environment["ENGAGEMENT_AUTHORITY_URL"] = url
        Service(workspace.settings(), Waits()).sign_in()
    assert len(forms) == 3
    assert all("client_secret" not in form and form["grant_type"] == ["client_credentials"] for form in forms)
    unverified = {"verify_signature": False}
    claims = [jwt.decode(form["client_assertion"][0], options=unverified) for form in forms]  # type: ignore[arg-type]
    assert len({one["jti"] for one in claims}) == 3
    assert {one["aud"] for one in claims} == {
        f"{url}/{Tenant(now=dt.datetime.now()).tenant_id}/oauth2/v2.0/token"
    }


def test_a_token_that_ends_is_renewed_with_another_assertion(
    connected: Workspace, graph: Handle, ours: bytes
) -> None:
    sign_in_with(connected, ours)
    service = Service(connected.settings(), Waits())
    with service.client() as client:
        for _ in range(2):
            client.get(
                "/users/{id}", lambda body: body, permission="User", ids={"id": graph.tenant.people[0].id}
            )
            graph.expire_tokens()
    assert len(graph.emulator.used_assertions) == 2
    assert [request.status for request in graph.requests] == [200, 200, 401, 200, 200]


@pytest.mark.parametrize("seconds", [-595, -300, 300, 595])
def test_a_clock_that_is_off_by_minutes_signs_in(
    connected: Workspace, ours: bytes, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The half of it that our own times allow for, and the half that the service does."""
    sign_in_with(connected, ours)
    settings = connected.settings()
    monkeypatch.setattr(certificate, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    Service(settings, Waits()).sign_in()


@pytest.mark.parametrize("seconds", [-605, 605])
def test_a_clock_that_is_off_by_more_is_named(
    connected: Workspace, ours: bytes, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_in_with(connected, ours)
    settings = connected.settings()
    monkeypatch.setattr(certificate, "time", SimpleNamespace(time=lambda: time.time() + seconds))
    with pytest.raises(
        AuthenticationError, match="status 401 AADSTS700024; the clock of this machine is off"
    ):
        Service(settings, Waits()).sign_in()


def test_a_certificate_that_the_app_does_not_have(
    connected: Workspace, graph: Handle, ours: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    graph.tenant.client_certificates.pop()
    connected.leave_sentinel()
    sign_in_with(connected, ours)
    done = connected.run("run")
    assert done.exit_code == 3
    assert (
        "refused with status 401 AADSTS700027; AZURE_CLIENT_CERTIFICATE_PATH names a certificate"
        in done.stderr
    )
    assert connected.published_file.read_bytes() == SENTINEL
    assert_nothing_secret(done.stderr + done.stdout + caplog.text)


def test_a_certificate_that_is_wrong_ends_the_command_with_one_line(
    connected: Workspace, graph: Handle
) -> None:
    connected.leave_sentinel()
    sign_in_with(connected, dated("late", begins_in=-9e5, ends_in=-5), password=PASSWORD)
    done = connected.run("run", "--json")
    assert done.exit_code == 2
    lines = [line for line in json.loads(done.stdout)["errors"] if "CERTIFICATE" in line]
    assert len(lines) == 1 and lines[0].startswith(f"{NAMED}has expired on")
    assert graph.requests == []
    assert connected.published_file.read_bytes() == SENTINEL


def assert_nothing_secret(text: str) -> None:
    """Neither the key nor the password nor an assertion (whose parts all begin with `{"` in base64url)."""
    assert PASSWORD not in text
    assert "eyJ" not in text and "client_assertion" not in text
    numbers: Any = key_of("ours")
    assert str(numbers.private_numbers().d) not in text
    for line in key_pem("ours").decode().splitlines():
        assert line not in text


def test_messages_logs_and_representations_hold_nothing_secret(
    workspace: Workspace, ours: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Not even where the service sends back what it was sent."""
    caplog.set_level(logging.DEBUG)

    def answer(request: BaseHTTPRequestHandler) -> None:
        sent = request.rfile.read(int(request.headers["Content-Length"])).decode()
        body = json.dumps({"error": sent, "error_description": sent, "error_codes": [50027]}).encode()
        reply(request, body, 400)

    sign_in_with(workspace, pfx(password=PASSWORD), password=PASSWORD)
    settings = workspace.settings()
    with answering(answer) as url:
        settings = dataclasses.replace(settings, authority_url=url)
        with pytest.raises(AuthenticationError, match="AADSTS50027") as caught:
            Service(settings, Waits()).sign_in()
    told = "".join(traceback.format_exception(caught.value))
    assert_nothing_secret(told.replace("client_assertion", "") + repr(settings) + caplog.text)
    assert "RSAPrivateKey" not in repr(settings.certificate)


@pytest.mark.parametrize(("password", "searched"), [(PASSWORD, True), ("test", False)])
def test_the_gate_searches_for_a_password_that_cannot_stand_in_a_text(
    workspace: Workspace, password: str, searched: bool
) -> None:
    sign_in_with(workspace, pfx(password=password), password=password)
    assert (password in secret_values(workspace.settings(services=()))) is searched


@pytest.mark.long
def test_a_whole_run_signed_in_by_certificate(
    connected: Workspace, graph: Handle, caplog: pytest.LogCaptureFixture
) -> None:
    """From the command to the published file, and nothing secret in anything that it leaves."""
    caplog.set_level(logging.DEBUG)
    sign_in_with(connected, pfx(password=PASSWORD), name="app.pfx", password=PASSWORD)
    process = connected.start("run")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert connected.published_file.is_file()
    assert len(graph.emulator.used_assertions) == 1
    assert connected.query("select count(*) > 0 from raw.office_messages") == [(True,)]
    assert_nothing_secret(stdout + stderr)
    looked_at = 0
    for path in connected.root.rglob("*"):
        if path.is_file() and path.name != "app.pfx":
            looked_at += 1
            content = path.read_bytes()
            assert PASSWORD.encode() not in content, path
            assert b"client_assertion" not in content, path
    assert looked_at > 20
    assert stat.S_IMODE((connected.root / "app.pfx").stat().st_mode) == 0o600


# ---------------------------------------------------------------------------------------------------
# what the emulator makes of an assertion


def ask(graph: Handle, assertion: str, **changes: str | None) -> httpx.Response:
    """One token request with this assertion; a change of None takes a field out."""
    form: dict[str, str | None] = {
        "client_id": graph.tenant.client_id,
        "grant_type": "client_credentials",
        "scope": "https://graph.microsoft.com/.default",
        "client_assertion_type": certificate.ASSERTION_TYPE,
        "client_assertion": assertion,
        **changes,
    }
    data = {name: value for name, value in form.items() if value is not None}
    return httpx.post(token_url(graph), data=data, trust_env=False, verify=False)


def token_url(graph: Handle) -> str:
    return f"{graph.url}/{graph.tenant.tenant_id}/oauth2/v2.0/token"


def signed(
    graph: Handle,
    *,
    signer: str = "ours",
    algorithm: str = "PS256",
    header: dict[str, str] | None = None,
    without: str = "",
    **changes: Any,
) -> str:
    """An assertion that is right, but for the changes."""
    now = int(time.time())
    claims = {
        "aud": token_url(graph),
        "iss": graph.tenant.client_id,
        "sub": graph.tenant.client_id,
        "jti": f"one-{time.monotonic_ns()}",
        "nbf": now,
        "exp": now + 300,
        **changes,
    }
    claims.pop(without, None)
    key: Any = key_of(signer)
    named = {"x5t#S256": thumbprint("ours", hashes.SHA256())} if header is None else header
    return jwt.encode(claims, key, algorithm=algorithm, headers=named)


def thumbprint(name: str, algorithm: hashes.HashAlgorithm) -> str:
    return jwt.utils.base64url_encode(certificate_of(name).fingerprint(algorithm)).decode()


def test_the_emulator_takes_what_entra_takes(graph: Handle) -> None:
    older = {"x5t": thumbprint("ours", hashes.SHA1())}
    # The last is as MSAL 1.39 makes it: a padded thumbprint, no beginning, a fraction of a second.
    padded = {"x5t#S256": thumbprint("ours", hashes.SHA256()) + "="}
    msal = signed(graph, header=padded, without="nbf", exp=time.time() + 600)
    for assertion in (signed(graph), signed(graph, algorithm="RS256", header=older), msal):
        answer = ask(graph, assertion)
        assert answer.status_code == 200, answer.text
        assert answer.json()["token_type"] == "Bearer"


Make = Callable[[Handle], str]
REFUSED: dict[str, tuple[Make, int, str, int]] = {
    "signed by another": (lambda g: signed(g, signer="older"), 401, "invalid_client", 700027),
    "of an unknown certificate": (
        lambda g: signed(g, signer="unknown", header={"x5t#S256": thumbprint("unknown", hashes.SHA256())}),
        401,
        "invalid_client",
        700027,
    ),
    "of two certificates": (
        lambda g: signed(
            g,
            header={
                "x5t#S256": thumbprint("ours", hashes.SHA256()),
                "x5t": thumbprint("older", hashes.SHA1()),
            },
        ),
        401,
        "invalid_client",
        700027,
    ),
    "changed on the way": (
        lambda g: signed(g, jti="a").rsplit(".", 1)[0] + "." + signed(g).rsplit(".", 1)[1],
        401,
        "invalid_client",
        700027,
    ),
    "of another app": (lambda g: signed(g, iss="another"), 401, "invalid_client", 700021),
    "about another app": (lambda g: signed(g, sub="another"), 401, "invalid_client", 700021),
    "for another address": (lambda g: signed(g, aud=f"{g.url}/token"), 401, "invalid_client", 700023),
    "for several addresses": (lambda g: signed(g, aud=[token_url(g)]), 401, "invalid_client", 700023),
    "expired": (lambda g: signed(g, exp=int(time.time()) - 310), 401, "invalid_client", 700024),
    "not valid yet": (lambda g: signed(g, nbf=int(time.time()) + 310), 401, "invalid_client", 700024),
    "without an end": (lambda g: signed(g, without="exp"), 400, "invalid_request", 50027),
    "with a word for a beginning": (lambda g: signed(g, nbf="now"), 400, "invalid_request", 50027),
    "without an id": (lambda g: signed(g, without="jti"), 400, "invalid_request", 50027),
    "without a thumbprint": (lambda g: signed(g, header={}), 400, "invalid_request", 50027),
    "signed in another way": (lambda g: signed(g, algorithm="RS512"), 400, "invalid_request", 50027),
    "not signed": (lambda g: jwt.encode({}, "", algorithm="none"), 400, "invalid_request", 50027),
    "of two parts": (lambda g: "eyJ9.eyJ9", 400, "invalid_request", 50027),
    "no base64": (lambda g: "ä.b.c", 400, "invalid_request", 50027),
    "no JSON": (lambda g: "AAAA.AAAA.AAAA", 400, "invalid_request", 50027),
}


@pytest.mark.parametrize("case", REFUSED)
def test_the_emulator_refuses_a_wrong_assertion(graph: Handle, case: str) -> None:
    make, status, error, code = REFUSED[case]
    answer = ask(graph, make(graph))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == (
        status,
        error,
        [code],
    )
    body = answer.json()
    assert body["error_description"].startswith(f"AADSTS{code}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= set(body)
    assert graph.emulator.used_assertions == set()


def test_the_emulator_takes_an_assertion_once(graph: Handle) -> None:
    assertion = signed(graph)
    assert ask(graph, assertion).status_code == 200
    again = ask(graph, assertion)
    assert (again.status_code, again.json()["error_codes"]) == (400, [50027])
    assert "used before" in again.json()["error_description"]


def test_the_emulator_refuses_a_certificate_that_has_expired(graph: Handle) -> None:
    late = certificate_of("late", begins_in=-9e5, ends_in=-5)
    graph.tenant.client_certificates.append(as_pem(late))
    named = jwt.utils.base64url_encode(late.fingerprint(hashes.SHA256())).decode()
    answer = ask(graph, signed(graph, signer="late", header={"x5t#S256": named}))
    assert (answer.status_code, answer.json()["error_codes"]) == (401, [700027])
    assert "expired" in answer.json()["error_description"]


def test_the_emulator_wants_one_proof_of_a_known_kind(graph: Handle) -> None:
    nothing = ask(graph, "", client_assertion=None, client_assertion_type=None)
    assert (nothing.status_code, nothing.json()["error_codes"]) == (401, [7000218])
    for changes in ({"client_secret": graph.tenant.client_secret}, {"client_assertion_type": "saml"}):
        answer = ask(graph, signed(graph), **changes)
        assert (answer.status_code, answer.json()["error"]["code"]) == (501, "NotImplemented")
    assert graph.emulator.used_assertions == set()


def test_an_app_registration_without_certificates_takes_none(graph: Handle) -> None:
    graph.tenant.client_certificates.clear()
    assert ask(graph, signed(graph)).json()["error_codes"] == [700027]
    assert OURS not in ask(graph, signed(graph)).text
