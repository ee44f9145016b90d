"""Text that would be code somewhere, in every field that arrives from outside: it stays text, or is refused in a line.

Every hostile text stands in every field of a row of its own, so that one run meets all of them in all fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from conftest import NOW, OURS, ROOT, Workspace, emulated, meeting, message, small_tenant, write_csv
from emulators.firmographics import Company
from emulators.graph import create_app as create_graph
from emulators.leadspace import create_app as create_leadspace
from emulators.leadspace import running as running_leadspace
from emulators.server import in_thread
from emulators.tenant import Attendee, Group, Tenant
from engagement.gate import ADDRESS_PATTERN, X500_PATTERN
from engagement.http import whole_characters
from engagement.logs import printable
from exports import write as write_export

# What must not stand in it is looked for there.
pytestmark = pytest.mark.usefixtures("whole_log_of_dbt")

HOSTILE = {
    "sql": "'); drop table raw.accounts; --",
    "quotes": "\"'`\\ %s {0} $1 ?",
    "jinja": "{{ env_var('AZURE_CLIENT_SECRET') }}",
    "jinja block": "{% raw %}{% do run_query('x') %}",
    "shell": "$(touch pwned) `touch pwned` ; touch pwned | touch pwned",
    "path": "../../pwned",
    "absolute path": "/etc/passwd",
    "windows path": "C:\\pwned",
    "lines": "one\ntwo\r\nthree\rfour",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1",
    "minus": "-1+2",
    "at": "@sum(1)",
    "bidi": "abc\u202edcba\u2066x\u2069",
    "zero width": "a\u200bb\ufeffc",
    "terminal": "\x1b[2J\x1b]0;title\x07\x08",
    "markup": "<script>alert(1)</script>[red]x[/red]",
    "json": '{"a": [1, "\\u0000"]}',
    "megabyte": "long " * 200_000 + "end",
    "nul": "a\x00b",
    "astral": "\U0001f680\u0000\u0301 e\u0301 ﷽",
}
# What no address is stays where it is; these are masked, which the documentation of the columns says.
MASKED = [(re.compile(ADDRESS_PATTERN), "[address]"), (re.compile(X500_PATTERN + r"\S*"), "[address]")]
ATTRIBUTES = ["x'); drop table raw.accounts; --", 'a/b~c "quoted"', "{{ 1 + 1 }}", "=1+1"]
LEADSPACE_FIELDS = {
    "city": "company_city", "street": "company_street", "description": "company_description",
    "postal_code": "company_postal_code", "phone": "company_phone", "linkedin": "company_linkedin_url",
    "state": "company_state", "region": "company_region", "sub_industry": "sub_industry",
    "sic_description": "sic_description", "naics_description": "naics_description", "ownership": "ownership_type",
}  # fmt: skip


def masked(text: str) -> str:
    for pattern, instead in MASKED:
        text = pattern.sub(instead, text)
    return text


def tenant_of(texts: dict[str, str]) -> Tenant:
    """The small tenant, with a message and an entry for every text, which stands wherever they have text."""
    tenant = small_tenant()
    anna = tenant.people[0]
    for number, (kind, text) in enumerate(texts.items()):
        at = NOW - timedelta(days=3, minutes=number)
        short = text[:2000]
        tenant.messages[anna.id].append(
            message(
                anna,
                f"hostile:{kind}",
                at,
                id=f"{number}{short}",
                internet_message_id=short,
                conversation_id=short,
                from_address=f"{short}@contoso.example",
                sender_address=short,
                to=(anna.mail, f"kim@{short}", short),
                cc=(f'"{short}"@fabrikam.example',),
            )
        )
        tenant.events[anna.id].append(
            meeting(
                anna,
                f"hostile:{kind}",
                at,
                id=f"event{number}{short}",
                ical_uid=short,
                attendees=(Attendee(anna.mail), Attendee(f"{short}@contoso.example"), Attendee(short)),
            )
        )
    return tenant


def write_customers(workspace: Workspace, texts: dict[str, str]) -> None:
    """Parquet, which holds every text as it is: one account with a text everywhere, and one that Leadspace knows."""
    path = workspace.root / "accounts.parquet"
    rows: list[dict[str, str | None]] = []
    for number, (kind, text) in enumerate(texts.items()):
        # An id that is address-like is refused, which another test looks at.
        account_id = f"H{number}" + ("" if "@" in text else text[:5000])
        rows.append(
            {"account_id": account_id, "name": text, "website": text, "country": text, "parent": text[:5000]}
            | dict.fromkeys(ATTRIBUTES, text)
        )
        rows.append(
            {"account_id": f"L{number}", "name": f"Company {number}", "website": f"company{number}.example"}
            | {"country": "Germany", "parent": None}
            | dict.fromkeys(ATTRIBUTES, kind)
        )
    rows[-1]["parent"] = None
    for row in rows:
        if row["parent"] is not None and "@" in row["parent"]:
            row["parent"] = None
    for row in [{"account_id": "A1", "name": "Contoso", "website": "contoso.example"}]:
        rows.append(row | {"country": "DE", "parent": None} | dict.fromkeys(ATTRIBUTES, "plain"))
    with duckdb.connect() as connection:
        columns = ", ".join('"' + name.replace('"', '""') + '" varchar' for name in rows[0])
        connection.execute(f"create table t ({columns})")
        connection.executemany(
            f"insert into t values ({', '.join('?' * len(rows[0]))})", [list(row.values()) for row in rows]
        )
        connection.execute(f"copy t to '{path}' (format parquet)")
    contacts = [{"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example"}]
    for number, (kind, text) in enumerate(texts.items()):
        if "\x00" in text or "@" in text:
            continue
        contacts.append(
            {
                "contact_id": f"C{kind}{text[:5000]}",
                "account_id": "A1",
                "email": f"{text[:2000]}@contoso.example",
            }
        )
        contacts.append({"contact_id": f"N{number}", "account_id": text[:5000], "email": text[:5000]})
    write_csv(workspace.root / "contacts.csv", contacts)


def configure(workspace: Workspace, leadspace_url: str, **office: Any) -> None:
    workspace.enrich_companies(leadspace_url, office={"name": HOSTILE["sql"] + HOSTILE["jinja"], **office})
    path = workspace.root / "enrichments.yml"
    raw = yaml.safe_load(path.read_text("utf-8"))
    raw["customers"]["accounts"] |= {
        "path": "accounts.parquet",
        "parent": "parent",
        "attributes": ATTRIBUTES,
    }
    raw["enrichments"][1]["name"] = HOSTILE["shell"] + HOSTILE["formula"]
    path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")


def files_outside(root: Path) -> set[str]:
    return {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.relative_to(root).parts[0] not in ("data", "target", "logs")
    }


def companies_of(texts: dict[str, str]) -> list[Company]:
    return [
        Company(
            f"Company {number}",
            f"company{number}.example",
            "Germany",
            **dict.fromkeys(LEADSPACE_FIELDS, text),  # type: ignore[arg-type]
        )
        for number, text in enumerate(texts.values())
    ]


CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@pytest.mark.long
def test_hostile_text_in_every_field_stays_text(workspace: Workspace) -> None:
    write_customers(workspace, HOSTILE)
    tenant = tenant_of(HOSTILE)
    hostile_group = Group(
        tenant.groups[0].id, tenant.groups[0].mail, HOSTILE["terminal"], tenant.groups[0].members
    )
    tenant.groups[0] = hostile_group
    tenant.people[:] = [replace(entry, display_name=HOSTILE["terminal"]) for entry in tenant.people]
    with (
        emulated(tenant, workspace),
        running_leadspace(companies_of(HOSTILE), polls_before_done=0) as leadspace,
    ):
        configure(workspace, leadspace.url)
        before = files_outside(workspace.root)
        process = workspace.start("run")
        output, errors = process.communicate(timeout=280)
    assert process.returncode in (0, 9), errors[-3000:]
    printed = output + errors
    assert not CONTROLS.search(printed), CONTROLS.search(printed)
    assert len(printed) < 200_000, "nobody reads a megabyte"
    assert files_outside(workspace.root) == before
    assert not list(workspace.root.rglob("*pwned*")) and not list(ROOT.rglob("pwned"))

    # As given, but for what is masked.
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        names = dict(
            connection.execute("select account_id, account_name from marts.enriched_customers").fetchall()
        )
        own = {
            row[0]: row[1:]
            for row in connection.execute(
                "select account_id, "
                + ", ".join('"' + name.replace('"', '""') + '"' for name in ATTRIBUTES)
                + " from marts.enriched_customers"
            ).fetchall()
        }
        companies = {
            row[0]: row[1:]
            for row in connection.execute(
                f"select account_id, {', '.join(LEADSPACE_FIELDS.values())} from marts.leadspace_companies"
            ).fetchall()
        }
        listed = connection.execute("select enrichment_name from marts.enrichments order by all").fetchall()
    assert listed == [(HOSTILE["shell"] + HOSTILE["formula"],), (HOSTILE["sql"] + HOSTILE["jinja"],)]
    for number, text in enumerate(HOSTILE.values()):
        account_id = f"H{number}" + ("" if "@" in text else text[:5000].rstrip(" "))
        assert names[account_id] == masked(text), text[:40]
        assert own[account_id] == (masked(text),) * len(ATTRIBUTES), text[:40]
        assert companies[f"L{number}"] == (masked(text),) * len(LEADSPACE_FIELDS), text[:40]

    for command in (["status"], ["status", "--json"], ["verify", str(workspace.published_file), "--private",
                                                       str(workspace.private_file)]):  # fmt: skip
        done = workspace.run(*command)
        assert done.exit_code == 0, done.output
        assert not CONTROLS.search(done.output)
    assert files_outside(workspace.root) == before


def test_hostile_text_in_an_export_stays_text(workspace: Workspace) -> None:
    write_export(workspace.root / "exports", tenant_of(HOSTILE))
    workspace.configure(source={"data_connect": "exports"}, addresses=[f"anna@{OURS}", f"ben@{OURS}"])
    before = files_outside(workspace.root)
    done = workspace.run("extract", "office")
    assert done.exit_code in (0, 9), done.stderr
    assert not CONTROLS.search(done.output)
    assert files_outside(workspace.root) == before


@pytest.mark.parametrize("field", ["country", "name"])
def test_a_csv_file_with_a_nul_is_text_or_refused(field: str, workspace: Workspace) -> None:
    path = workspace.root / "accounts.csv"
    path.write_text(
        path.read_text("utf-8").replace("Contoso" if field == "name" else "DE", "a\x00b"), "utf-8"
    )
    done = workspace.run("extract", "customers")
    if done.exit_code == 0:
        column = "name" if field == "name" else "country"
        assert ("a\x00b",) in workspace.query(f"select {column} from raw.accounts")
    else:
        assert done.exit_code == 2 and "accounts.csv" in done.stderr and "unexpected" not in done.stderr


@pytest.mark.parametrize("kind", ["lines", "bidi", "zero width", "terminal", "nul"])
def test_an_enrichment_name_that_cannot_be_printed_is_refused(kind: str, workspace: Workspace) -> None:
    workspace.configure(name=HOSTILE[kind])
    done = workspace.run("check")
    assert done.exit_code == 2
    assert "enrichments[0].name: " in done.stderr
    assert not CONTROLS.search(done.output)


def test_column_names_of_the_customers_are_printed_safely(workspace: Workspace) -> None:
    path = workspace.root / "accounts.csv"
    path.write_text(path.read_text("utf-8").replace("website,", "\x1b[2J\u202ewebsite,", 1), "utf-8")
    done = workspace.run("extract", "customers")
    assert done.exit_code == 2 and "\\x1b[2J\\u202ewebsite" in done.stderr
    assert not CONTROLS.search(done.output)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, ü and 漢字, \U0001f680", "plain, ü and 漢字, \U0001f680"),
        ("a\u202eb", "a\\u202eb"),
        ("a\x1b[31mb\r\n", "a\\x1b[31mb\\r\\n"),
        ("\ud800", "\\ud800"),
        ("a\u200cb", "a\u200cb"),
        ("\u2028\ufeff\u200b\u2066", "\\u2028\\ufeff\\u200b\\u2066"),
    ],
)
def test_what_is_printed(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.fixture(autouse=True)
def _short_tmp(tmp_path: Path) -> Iterator[None]:
    yield
    assert not (tmp_path.parent / "pwned").exists()


class HalfCharacters:
    """Around an emulator: a word becomes an escape of JSON for half a character, which no encoder would write."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.replaced = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def spoil(part: Any) -> None:
            if part["type"] == "http.response.body":
                # As long as the escape, so that Content-Length stays right.
                self.replaced += part.get("body", b"").count(b"HALFIT")
                part = {**part, "body": part.get("body", b"").replace(b"HALFIT", b"\\ud800")}
            await send(part)

        await self.app(scope, receive, spoil)


@pytest.mark.long
def test_half_characters_from_the_services(workspace: Workspace) -> None:
    """JSON can name half a character, which no text can hold: it becomes the replacement character, in company data
    too, and everything around it is read.
    """
    texts = {"half": "HALFIT of one"}
    graph = HalfCharacters(create_graph(tenant_of(texts)))
    provider = HalfCharacters(create_leadspace(companies_of(texts)))
    with (
        in_thread(graph, "Graph") as (graph_url, _),  # type: ignore[arg-type]
        in_thread(provider, "Leadspace") as (leadspace_url, _),  # type: ignore[arg-type]
    ):
        workspace.environment |= {"ENGAGEMENT_AUTHORITY_URL": graph_url, "ENGAGEMENT_GRAPH_URL": graph_url}
        workspace.enrich_companies(leadspace_url, office={})
        write_csv(
            workspace.root / "accounts.csv",
            [
                {"account_id": "L0", "name": "Company 0", "website": "company0.example"}
                | {"country": "Germany", "tier": "1"}
            ],
        )
        workspace.environment["ENGAGEMENT_LEADSPACE_WAIT_SECONDS"] = "0"
        read = workspace.run("extract", "office")
        done = workspace.run("run")
    assert graph.replaced and provider.replaced, "what nobody sent proves nothing"
    assert (read.exit_code, done.exit_code) == (0, 0), read.output + done.output
    assert workspace.query("select distinct company_city from marts.leadspace_companies") == [
        ("\ufffd of one",)
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'"\\ud83d\\ude80"', b'"\\ud83d\\ude80"'),
        (b'"a\\uD83Db"', b'"a\\ufffdb"'),
        (b'"\\ude80\\ud83d"', b'"\\ufffd\\ufffd"'),
        (b'"\\ud83d\\ud83d\\ude80"', b'"\\ufffd\\ud83d\\ude80"'),
        (b'"\\\\ud83d"', b'"\\\\ud83d"'),
    ],
)
def test_half_a_character_in_json(content: bytes, expected: bytes) -> None:
    assert whole_characters(content) == expected
    json.loads(whole_characters(content)).encode()
