"""Erasing people: nothing of them is left in any file, and nothing brings them back."""

from __future__ import annotations

import json
import re
import shutil
import stat
import struct
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import (
    ACCOUNTS,
    CONTACTS,
    NOW,
    OURS,
    ROOT,
    Workspace,
    emulated,
    message,
    person,
    small_tenant,
    write_csv,
)
from emulators.firmographics import Company
from emulators.leadspace import running as running_leadspace
from emulators.tenant import Attendee, Tenant
from engagement import audit, erase, people, rebuild, rebuilt_file, warehouse
from engagement.addresses import Hasher, load_hash_key
from engagement.config import Settings
from engagement.errors import ConfigurationError, EngagementError
from engagement.extract import address_book
from engagement.tombstones import ERASED, Tombstones

KIM, KIM_TOO = "kim@contoso.example", "kim.private@mail.example"
ANNA = person("anna")
HASH_KEY = "one hash key for all of these workspaces"
COMPANIES = [
    Company("Contoso Limited", "contoso.example", "Germany", description=f"Write to {KIM.upper()}."),
]


def tenant() -> Tenant:
    """The small tenant, with kim in every role, and a meeting between others and him."""
    found = small_tenant()
    at = NOW - timedelta(days=4)
    found.messages[ANNA.id] += [
        message(ANNA, "to kim", at, from_address=ANNA.mail, to=("KIM@contoso.example", "lee@contoso.example")),
        message(ANNA, "for lee", at, from_address="lee@contoso.example", sender_address=KIM),
        message(ANNA, "from kim too", at, from_address=KIM_TOO, cc=(f"kim+x@contoso.example",)),
        message(ANNA, "third", at, from_address="max@fabrikam.example", to=(ANNA.mail, KIM)),
    ]
    found.events[ANNA.id][0] = replace(
        found.events[ANNA.id][0],
        attendees=(
            Attendee("max@fabrikam.example", "optional", "tentativelyAccepted"),
            Attendee(KIM, "required", "declined"),
            Attendee("lee@contoso.example", "required", "accepted"),
        ),
    )
    return found


def customer_files(workspace: Workspace) -> None:
    """Kim has two addresses under one contact id, and stands in the texts of an account."""
    write_csv(
        workspace.root / "accounts.csv",
        [ACCOUNTS[0] | {"tier": "ask Kim@Contoso.example, or lee@contoso.example"}, ACCOUNTS[1]],
    )
    write_csv(
        workspace.root / "contacts.csv",
        [*CONTACTS, {"contact_id": "C1", "account_id": "A1", "email": KIM_TOO}],
    )


def traces(workspace: Workspace, texts: Iterable[str], numbers: Iterable[int]) -> list[str]:
    """Every file under data, target and logs, and every value of every database there, that names somebody: his
    address in any case, or a number of his as 8 bytes of either order, in decimal or hexadecimal text.
    """
    needles = [text.lower().encode() for text in texts]
    packed: list[bytes] = []
    for number in numbers:
        packed += [struct.pack("<q", number), struct.pack(">q", number)]
        needles += [str(number).encode(), f"{number % 2**64:016x}".encode()]
    found = []
    for path in sorted(workspace.root.rglob("*")):
        if not path.is_file() or path.relative_to(workspace.root).parts[0] not in ("data", "target", "logs", "tmp"):
            continue
        name = str(path.relative_to(workspace.root))
        content = path.read_bytes()
        if any(needle in content.lower() for needle in needles) or any(part in content for part in packed):
            found.append(f"{name}: bytes")
        if path.suffix == ".duckdb":
            found += [f"{name}: {column}" for column in columns_with(path, needles)]
    return found


def columns_with(path: Path, needles: Iterable[bytes]) -> list[str]:
    texts = [needle.decode() for needle in needles]
    found = []
    with duckdb.connect(str(path), read_only=True) as connection:
        for schema, table, column in connection.execute(
            "select schema_name, table_name, column_name from duckdb_columns() where not internal"
        ).fetchall():
            row = connection.execute(
                f'select count(*) from "{schema}"."{table}" where len(list_filter(?::varchar[],'
                f' lambda text: contains(lower("{column}"::varchar), text))) > 0',
                [texts],
            ).fetchone()
            if row != (0,):
                found.append(f"{schema}.{table}.{column}")
    return found


def hasher(workspace: Workspace) -> Hasher:
    settings = workspace.settings(services=())
    given = None if settings.hash_key is None else settings.hash_key.get_secret_value()
    return Hasher(load_hash_key(given, settings.hash_key_file))


def ok(workspace: Workspace, *arguments: str, code: int = 0) -> str:
    done = workspace.run(*arguments)
    assert done.exit_code == code, (done.stdout, done.stderr)
    for text in (done.stdout, done.stderr):
        assert "@" not in text, text
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace after a whole run, with kim everywhere; not to be changed."""
    workspace = Workspace(tmp_path_factory.mktemp("whole"))
    customer_files(workspace)
    workspace.environment["ENGAGEMENT_HASH_KEY"] = HASH_KEY
    with emulated(tenant(), workspace), running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        workspace.enrich_companies(leadspace.url, office={})
        ok(workspace, "run")
    return workspace


@pytest.fixture
def copy(whole: Workspace, tmp_path: Path) -> Workspace:
    """The same in a folder of its own; no service answers."""
    workspace = Workspace(tmp_path / "copy")
    customer_files(workspace)
    workspace.environment = {
        **whole.environment,
        **{
            name: value.replace(str(whole.root), str(workspace.root))
            for name, value in whole.environment.items()
            if str(whole.root) in value
        },
    }
    for name in ("data", "target", "logs", "enrichments.yml"):
        source = whole.root / name
        if source.is_dir():
            shutil.copytree(source, workspace.root / name)
        else:
            shutil.copy(source, workspace.root / name)
    return workspace


def test_it_is_there_before(whole: Workspace) -> None:
    """What the others find gone is found here, so that they prove something."""
    keys = hasher(whole)
    found = traces(whole, [KIM], [keys.address(KIM)])
    assert "data/private.duckdb: raw.office_messages.recipient_keys" in found
    assert "data/private.duckdb: raw.leadspace_responses.response" in found
    assert "data/private.duckdb: raw.accounts.attributes" in found
    assert traces(whole, [], [keys.address(KIM_TOO), keys.mailbox(ANNA.id)]) != []


def test_a_contact_leaves_no_trace_and_does_not_come_back(copy: Workspace) -> None:
    keys = hasher(copy)
    numbers = [keys.address(KIM), keys.address(KIM_TOO)]
    said = ok(copy, "erase", "Kim+tag@CONTOSO.example", "--yes")
    assert "erased" in said and "published again" in said
    assert traces(copy, [KIM, KIM_TOO], numbers) == []
    assert copy.query("select tier from (select attributes->>'tier' as tier from raw.accounts) where tier like '%lee%'") == [
        (f"ask {ERASED}, or lee@contoso.example",)
    ]
    assert copy.query("select count(*) from raw.office_messages") == [(4 * 14 + 4,)]
    lengths = copy.query(
        "select count(*) from raw.office_meetings where len(attendee_keys) != len(attendee_types)"
        " or len(attendee_keys) != len(attendee_responses)"
    )
    assert lengths == [(0,)]
    with emulated(tenant(), copy), running_leadspace(COMPANIES, polls_before_done=0) as leadspace:
        copy.environment["ENGAGEMENT_LEADSPACE_URL"] = leadspace.url
        printed = ok(copy, "run")
        assert "2 contacts of the contact file erased before" in printed
        ok(copy, "extract", "office", "--anew")
        ok(copy, "run")
    assert traces(copy, [KIM, KIM_TOO], numbers) == []
    assert copy.query("select distinct contact_id from raw.contacts order by all") == [("C2",), ("C3",)]
