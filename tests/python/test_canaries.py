"""Nothing of what must not be kept or said is found anywhere, after runs that end well and runs that fail.

The emulated services send a canary, a text that stands nowhere else, in every place where a subject, a body, a name, a
token or an id can be, unasked too. Then every file of the workspace, every value of both databases and everything that
was printed is searched for each of them in many forms.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest

from conftest import ACCOUNTS, NOW, ROOT, Workspace, meeting, message, person, write_csv
from emulators.firmographics import Company
from emulators.graph import create_app
from emulators.leadspace import Handle as LeadspaceHandle
from emulators.leadspace import running as running_leadspace
from emulators.server import Handle, in_thread
from emulators.tenant import Attendee, Tenant

pytestmark = pytest.mark.faults


def canary(kind: str) -> str:
    """Letters and digits alone, so that no encoding of text changes it by halves."""
    return f"zq{kind}{hashlib.sha256(kind.encode()).hexdigest()[:16]}"


# Never kept and never said, in whatever form.
KINDS = (
    "subject", "body", "preview", "location", "attachment", "displayname", "token", "clientsecret",
    "leadspacetoken", "messageid", "internetid", "icaluid", "errormessage", "innererror", "redirect", "nextlink",
    "header", "weblink", "extra", "nested", "category",
)  # fmt: skip
SECRETS = {kind: canary(kind) for kind in KINDS}
# Input of the customer's own, which stays where he put it.
DOMAINS = {"anna": "northwind.example", "ben": "northwind.example", "kim": "contoso.example"} | {
    "stranger": "elsewhere.example",
    "delegate": "northwind.example",
}
ADDRESSES = {name: f"{canary(name)}@{domain}" for name, domain in DOMAINS.items()}
INPUT_FILES = ("contacts.csv", "enrichments.yml")


# --- searching


def forms(text: str, *, hashed: bool = False) -> set[bytes]:
    """The text as it might stand somewhere, all in lower case; `hashed` as a hash without a key as well."""
    raw = text.encode()
    # What the two orders of bytes share.
    found = {raw, text.encode("utf-16-le")[:-1], quote(text, safe="").encode(), raw.hex().encode()}
    for shift in range(3):
        # Inside a longer text it begins at any of the three places of a group; the groups at its ends are others then.
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            found.add(encode(b"\0" * shift + raw)[4 if shift else 0 : -4])
    for algorithm in ("md5", "sha1", "sha256", "sha512") if hashed else ():
        digest = hashlib.new(algorithm, raw)
        found |= {
            digest.hexdigest().encode(),
            base64.b64encode(digest.digest()).rstrip(b"="),
            digest.digest(),
        }
    return {form.lower() for form in found}


FORMS: dict[str, set[bytes]] = {
    **{kind: forms(text) for kind, text in SECRETS.items()},
    # Whole and without its domain, which may be kept.
    **{
        name: forms(address, hashed=True) | forms(address.partition("@")[0], hashed=True)
        for name, address in ADDRESSES.items()
    },
}


def found_in(data: bytes) -> set[str]:
    """Whose canaries stand in it."""
    lowered = data.lower()
    return {name for name, texts in FORMS.items() if any(text in lowered for text in texts)}


def texts_of(path: Path) -> bytes:
    """Every value of every table of a database, and every name and comment, as text."""
    parts: list[str] = []
    with duckdb.connect(str(path), read_only=True) as connection:
        for query in ("from duckdb_tables()", "from duckdb_columns()", "from duckdb_views()"):
            parts += map(str, connection.execute(query).fetchall())
        for schema, table in connection.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall():
            parts += map(str, connection.execute(f'from "{schema}"."{table}"').fetchall())
    return "\n".join(parts).encode()


def found_under(folder: Path) -> dict[str, set[str]]:
    """Every file with a canary in it, in its bytes or, of a database, in its values."""
    found: dict[str, set[str]] = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or (path.parent == folder and path.name in INPUT_FILES):
            continue
        names = found_in(path.read_bytes()) | found_in(str(path.relative_to(folder)).encode())
        if path.suffix == ".duckdb":
            names |= found_in(texts_of(path))
        if names:
            found[str(path.relative_to(folder))] = names
    return found


# --- services that say too much


class Canaries:
    """Around an emulator: every answer in JSON says more than it was asked for, everywhere."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.next_link: str | None = None
        self.sent: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # Every list of messages goes on with one more page, by a link whose end the emulator would refuse.
        query = scope["query_string"].decode()
        seen = f"&seen={SECRETS['nextlink']}"
        link = ""
        if scope["path"].endswith("/messages") and seen not in query:
            host = dict(scope["headers"])[b"host"].decode()
            link = f"http://{host}{scope['path']}?{query}{seen}"
        scope = {**scope, "query_string": query.replace(seen, "").encode()}
        start: MutableMapping[str, Any] = {}
        body = b""

        async def take(part: MutableMapping[str, Any]) -> None:
            nonlocal body
            if part["type"] == "http.response.start":
                start.update(part)
                return
            body += part.get("body", b"")
            if part.get("more_body"):
                return
            try:
                content = json.loads(body)
            except ValueError:
                content = None
            if isinstance(content, dict):
                is_token = "access_token" in content
                body = json.dumps(content if is_token else self.spoilt(content, link)).encode()
            headers = [(k, v) for k, v in start.get("headers", ()) if k.lower() != b"content-length"]
            for name in ("x-ms-ags-diagnostic", "x-subject", "set-cookie"):
                headers.append((name.encode(), SECRETS["header"].encode()))
            headers.append((b"content-length", str(len(body)).encode()))
            everything = body + b"".join(value for _, value in headers)
            self.sent |= {kind for kind, text in SECRETS.items() if text.encode() in everything}
            await send({**start, "headers": headers})
            await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, take)

    def spoilt(self, content: dict[str, Any], link: str) -> dict[str, Any]:
        for item in content.get("value", ()) if isinstance(content.get("value"), list) else ():
            item |= {
                "subject": SECRETS["subject"],
                "bodyPreview": SECRETS["preview"],
                "body": {"contentType": "html", "content": f"<p>{SECRETS['body']}</p>"},
                "uniqueBody": {"content": SECRETS["body"]},
                "location": {"displayName": SECRETS["location"], "locationUri": SECRETS["location"]},
                "locations": [{"displayName": SECRETS["location"]}],
                "attachments": [{"name": SECRETS["attachment"], "contentBytes": SECRETS["attachment"]}],
                "categories": [SECRETS["category"]],
                "webLink": f"https://mail.example/{SECRETS['weblink']}",
                "onlineMeeting": {"joinUrl": f"https://meet.example/{SECRETS['weblink']}"},
                "unknownFutureProperty": {"deep": [{"er": SECRETS["extra"]}]},
            }
        self.name(content)
        if isinstance(content.get("value"), list) and link:
            content["@odata.nextLink"] = self.next_link or link
        if "error" in content and isinstance(content["error"], dict):
            content["error"] |= {
                "message": SECRETS["errormessage"],
                "innerError": {"message": SECRETS["innererror"]},
            }
        return content | {"@odata.tip": SECRETS["extra"]}

    def name(self, part: Any) -> None:
        """Gives every person that is named anywhere a name, and more than that."""
        if isinstance(part, dict):
            if "address" in part:
                part |= {"name": SECRETS["displayname"], "note": SECRETS["nested"]}
            for inner in part.values():
                self.name(inner)
        elif isinstance(part, list):
            for inner in part:
                self.name(inner)


def tenant_of_canaries() -> Tenant:
    people = [
        replace(
            person(name),
            mail=ADDRESSES[name],
            user_principal_name=ADDRESSES[name],
            proxy_addresses=(f"SMTP:{ADDRESSES[name]}",),
            display_name=SECRETS["displayname"],
        )
        for name in ("anna", "ben")
    ]
    tenant = Tenant(now=NOW, people=people, client_secret=SECRETS["clientsecret"])
    for owner in people:
        tenant.messages[owner.id] = [
            message(
                owner,
                f"{owner.id}:{number}",
                NOW - timedelta(days=number, hours=6),
                id=f"{SECRETS['messageid']}{owner.id[:8]}{number}",
                internet_message_id=f"<{SECRETS['internetid']}{number}@mail.example>",
                from_address=ADDRESSES["kim" if number % 3 else "stranger"],
                sender_address=ADDRESSES["delegate"],
                to=(owner.mail, ADDRESSES["stranger"]),
                cc=(ADDRESSES["kim"],),
            )
            for number in range(25)
        ]
        tenant.events[owner.id] = [
            meeting(
                owner,
                f"{owner.id}:{days}",
                NOW.replace(hour=9, minute=0) + timedelta(days=days),
                id=f"{SECRETS['messageid']}e{owner.id[:8]}{-days}",
                ical_uid=f"{SECRETS['icaluid']}{days}",
                attendees=(Attendee(owner.mail), Attendee(ADDRESSES["kim"], response="accepted")),
            )
            for days in (-40, -3)
        ]
    return tenant


@contextmanager
def services(workspace: Workspace) -> Iterator[tuple[Canaries, Handle, LeadspaceHandle]]:
    app = create_app(tenant_of_canaries())
    emulator = app.state.emulator

    def issue_token() -> str:
        emulator._tokens[SECRETS["token"]] = float("inf")
        return SECRETS["token"]

    emulator.issue_token = issue_token
    around = Canaries(app)
    companies = [Company("Contoso Limited", "contoso.example", "Germany", industry="Chemicals")]
    with (
        in_thread(around, "Graph") as (url, stop),  # type: ignore[arg-type]
        running_leadspace(companies, polls_before_done=0, token=SECRETS["leadspacetoken"]) as leadspace,
    ):
        handle = Handle(url, emulator, stop)
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": url, "ENGAGEMENT_GRAPH_URL": url}
        workspace.enrich_companies(leadspace.url, office={"addresses": [ADDRESSES["anna"], ADDRESSES["ben"]]})
        write_csv(workspace.root / "accounts.csv", ACCOUNTS)
        write_csv(
            workspace.root / "contacts.csv",
            [{"contact_id": "C1", "account_id": "A1", "email": ADDRESSES["kim"]}],
        )
        (workspace.root / "tmp").mkdir(exist_ok=True)
        workspace.environment |= {
            "AZURE_CLIENT_SECRET": SECRETS["clientsecret"],
            "LEADSPACE_TOKEN": SECRETS["leadspacetoken"],
            "ENGAGEMENT_RETRY_SECONDS": "0",
            "ENGAGEMENT_LEADSPACE_WAIT_SECONDS": "0",
            "TMPDIR": str(workspace.root / "tmp"),
        }
        yield around, handle, leadspace


# Every logger says all it can, into a file, before the command begins.
LOUD = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, filename=sys.argv[1], format="%(name)s %(message)s")
for name in ("httpx", "httpcore"):
    logging.getLogger(name).setLevel(logging.DEBUG)
"""
BROKEN = """
from engagement.office import messages
def read(client, book, *, entra_id, **options):
    page = client.get("/users/{id}/messages", bytes, permission="x", ids={"id": entra_id}, mailbox=True)
    return {}[len(page)]
messages.read = read
"""


def execute(
    workspace: Workspace, *arguments: str, code: str = "", command: str = "engagement"
) -> tuple[int, str]:
    """A command as a process with every logger at DEBUG; its exit code, and all it printed, which is kept as a file."""
    entry = f"sys.argv = ['engagement', *sys.argv[2:]]\n{code}\nfrom engagement.cli import main; main()"
    program = [sys.executable, "-c", LOUD + entry, str(workspace.root / "loggers.log"), *arguments]
    if command == "dbt":
        program = [str(Path(sys.executable).with_name("dbt")), *arguments]
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "ENGAGEMENT_", "DBT_"))
    }
    done = subprocess.run(
        program,
        env={**kept, "PYTHONPATH": str(ROOT / "scripts"), **workspace.environment},
        capture_output=True,
        cwd=workspace.root if command == "engagement" else ROOT,
        check=False,
        timeout=240,
    )
    printed = done.stdout + done.stderr
    assert not found_in(printed), (arguments, found_in(printed), printed.decode())
    return done.returncode, printed.decode()


# --- the search itself


@pytest.mark.parametrize("name", sorted(FORMS))
def test_the_search_finds_what_was_planted(name: str, tmp_path: Path) -> None:
    text = SECRETS.get(name) or ADDRESSES[name]
    raw = text.encode()
    planted: dict[str, bytes] = {
        "as it is": b"before " + raw + b" after",
        "in capitals": raw.upper(),
        "utf-16": text.encode("utf-16"),
        "url-quoted": quote(f"https://a.example/?q={text}", safe="").encode(),
        "base64": base64.b64encode(raw),
        "base64 in the midst": base64.b64encode(b"a subject, then " + raw + b" and more"),
        "base64 one further": base64.b64encode(b"a subject, then, " + raw + b" and more"),
        "hexadecimal": raw.hex().upper().encode(),
    }
    if name in ADDRESSES:
        planted |= {
            "sha256": hashlib.sha256(raw).hexdigest().encode(),
            "md5": hashlib.md5(raw).hexdigest().encode(),
            "sha1 as bytes": hashlib.sha1(raw).digest(),
        }
    for how, data in planted.items():
        (tmp_path / "planted").write_bytes(data)
        assert name in found_under(tmp_path).get("planted", set()), how
    (tmp_path / "planted").unlink()
    with duckdb.connect(str(tmp_path / "planted.duckdb")) as connection:
        # Compressed, so that its bytes alone do not tell.
        connection.execute("create table t as select [repeat('a', 100), ?] as c from range(3000)", [text])
    assert name in found_in(texts_of(tmp_path / "planted.duckdb"))
    assert found_under(tmp_path).keys() == {"planted.duckdb"}


# --- what the project does


@pytest.mark.parametrize(
    ("mail_statuses", "company_statuses"),
    [
        pytest.param((400, 403, 404, 500, 503), (400, 401, 404, 427, 500, 502), marks=pytest.mark.long),
        ((403, 500), (401, 427)),
    ],
)
def test_extractions_that_end_well_and_that_fail(
    mail_statuses: tuple[int, ...], company_statuses: tuple[int, ...], workspace: Workspace
) -> None:
    """Ends of every kind; in the last one nothing is said of an unforeseen error but where it was."""
    with services(workspace) as (around, graph, leadspace):

        def office(
            *options: str, said: str, code: int, fault: dict[str, Any] | None = None, patch: str = ""
        ) -> None:
            graph._service.faults.clear()
            if fault is not None:
                graph.fail(**({"times": 10**6} | fault))
            ended, printed = execute(workspace, "extract", "office", "--anew", *options, code=patch)
            assert (ended, said in printed) == (code, True), printed

        spoken = {"error": {"code": "ErrorAccessDenied", "message": SECRETS["errormessage"]}}
        for status in mail_statuses:
            spoken["error"]["innerError"] = {"message": SECRETS["innererror"], "code": SECRETS["innererror"]}  # type: ignore[assignment]
            expected = {400: 5, 403: 9, 404: 9, 500: 5, 503: 5}[status]
            office(
                "-v",
                said="mailbox",
                code=expected,
                fault={"match": "/messages", "status": status, "body": spoken},
            )
        denied = {"error": {"code": "Authorization_RequestDenied", "message": SECRETS["errormessage"]}}
        office("-v", said="grant", code=3, fault={"match": ADDRESSES["anna"], "status": 403, "body": denied})
        office(
            "-v",
            said="status 302",
            code=5,
            fault={
                "match": "/messages",
                "status": 302,
                "headers": {"Location": f"http://127.0.0.1:9/{SECRETS['redirect']}"},
            },
        )
        office(
            "--json-logs",
            said="not the expected JSON",
            code=5,
            fault={"match": "/messages", "kind": "html", "body": f"<html>{SECRETS['body']}</html>".encode()},
        )
        refused = {
            "error": "invalid_client",
            "error_description": f"AADSTS7000215: {SECRETS['errormessage']} {SECRETS['clientsecret']}",
            "error_codes": [7000215],
            "error_uri": f"https://login.example/?{SECRETS['weblink']}",
        }
        office("-v", said="AADSTS7000215", code=3, fault={"match": "/token", "status": 401, "body": refused})
        for link in (
            f"http://[{SECRETS['nextlink']}",
            f"http://{SECRETS['nextlink']}.example/v1.0/users",
            f"{graph.url}/v1.0/\x7f{SECRETS['nextlink']}",
        ):
            around.next_link = link
            office("-v", said="next page", code=5)
        around.next_link = f"{graph.url}/v1.0/{SECRETS['nextlink']}"
        office("-v", said="status 501", code=5)
        around.next_link = None
        for options in (["-v"], [], ["-v", "--json-logs"]):
            office(*options, said="KeyError", code=1, patch=BROKEN)
        office("-v", said="2 of 2 mailboxes read", code=0)
        for command in (["doctor", "-v"], ["check", "--connect", "-v"]):
            execute(workspace, *command)

        # Leadspace: its answers are kept as received, so only what is no answer has canaries.
        execute(workspace, "extract", "customers", "-v")
        for status in company_statuses:
            leadspace._service.faults.clear()
            leadspace.fail(times=10**6, status=status, body={"message": SECRETS["errormessage"]})
            ended, printed = execute(workspace, "extract", "leadspace", "--send-again", "-v")
            assert ended in (0, 3, 4, 10), printed
        leadspace._service.faults.clear()
        assert execute(workspace, "extract", "leadspace", "--send-again", "-v")[0] == 0
    assert around.sent == SECRETS.keys() - {"leadspacetoken"}, "a canary that nobody sent proves nothing"
    assert workspace.query("select count(*) from raw.office_messages") == [(50,)]
    domains = {row[0] for row in workspace.query("select domain from raw.office_addresses")}
    assert domains == set(DOMAINS.values())
    assert found_under(workspace.root) == {}


@pytest.mark.long
def test_a_whole_run_and_what_dbt_leaves(workspace: Workspace) -> None:
    with services(workspace):
        code, printed = execute(workspace, "run", "-v")
        assert code == 0, printed
    assert workspace.published_file.is_file()
    paths = ["--project-dir", str(ROOT), "--profiles-dir", str(ROOT)]
    workspace.environment["ENGAGEMENT_PRIVATE_FILE"] = str(workspace.private_file)
    # The documentation compiles every model and reads the catalogue of the private file.
    code, printed = execute(workspace, "docs", "generate", "--static", *paths, command="dbt")
    assert code == 0, printed
    assert (workspace.root / "target" / "static_index.html").is_file()
    execute(workspace, "status", "-v")
    assert found_under(workspace.root) == {}
