"""The demo's made-up company: the same on every build, wholly invented, and of the promised size."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
import yaml

from emulators import demo
from emulators.cast import ALIAS_DOMAIN, DOMAIN, Cast, make_cast
from emulators.company import build, write_configuration, write_customer_files
from emulators.graph import running
from emulators.tenant import Event, Message, Tenant

AS_OF = datetime(2026, 6, 30, 22, tzinfo=UTC)  # the end of 2026-06-30 in Berlin


@pytest.fixture(scope="module")
def tenant() -> Tenant:
    return build()


@pytest.fixture(scope="module")
def cast() -> Cast:
    return make_cast()


@pytest.fixture(scope="module")
def messages(tenant: Tenant, cast: Cast) -> list[Message]:
    return [m for person in cast.monitored for m in tenant.messages[person]]


@pytest.fixture(scope="module")
def events(tenant: Tenant, cast: Cast) -> list[Event]:
    return [e for person in cast.monitored for e in tenant.events[person]]


def domain(address: str | None) -> str:
    return (address or "").rpartition("@")[2].lower()


def addresses(tenant: Tenant) -> Iterator[str]:
    """Give every address that the tenant knows or that its mail and calendars mention."""
    for person in tenant.people:
        yield from (person.mail, person.user_principal_name)
        yield from (proxy.partition(":")[2] for proxy in person.proxy_addresses)
    yield from (group.mail for group in tenant.groups)
    for copies in tenant.messages.values():
        for m in copies:
            yield from filter(None, (m.from_address, m.sender_address, *m.to, *m.cc, *m.bcc))
    for entries in tenant.events.values():
        for e in entries:
            yield from filter(None, (e.organizer, *(a.address for a in e.attendees)))


def test_two_builds_are_equal(tenant: Tenant) -> None:
    assert build() == tenant


def test_another_interpreter_builds_the_same(tenant: Tenant) -> None:
    """Python's own hash differs from process to process; nothing may depend on it."""
    code = (
        "import hashlib; from emulators.company import build; "
        "print(hashlib.sha256(repr(build()).encode()).hexdigest())"
    )
    here = hashlib.sha256(repr(tenant).encode()).hexdigest()
    scripts = str(Path(__file__).parents[2] / "scripts")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": scripts, "PYTHONHASHSEED": "12345"},
    )  # fmt: skip
    assert done.stdout.strip() == here


def test_every_domain_is_reserved(tenant: Tenant, cast: Cast) -> None:
    domains = {domain(a) for a in addresses(tenant) if "@" in a}
    domains |= {account.domain for account in cast.accounts}
    domains |= {domain(c.address.strip()) for c in cast.contacts if c.address}
    assert all(name.endswith(".example") for name in domains)
    ids = [m.internet_message_id for copies in tenant.messages.values() for m in copies]
    hosts = {domain(name.strip("<>")) for name in ids if name}
    assert all(name.endswith(".example") for name in hosts)


def test_no_two_people_of_ours_have_one_address(tenant: Tenant) -> None:
    owners: dict[str, str] = {}
    for person in tenant.people:
        held = {person.mail.lower(), person.user_principal_name.lower()}
        held |= {p[5:].lower() for p in person.proxy_addresses if p.lower().startswith("smtp:")}
        for address in held:
            assert owners.setdefault(address, person.id) == person.id
    assert not set(owners) & {group.mail.lower() for group in tenant.groups}
    assert len({person.id for person in tenant.people} | {g.id for g in tenant.groups}) == len(
        tenant.people
    ) + len(tenant.groups)


def test_accounts_are_as_promised(cast: Cast) -> None:
    assert len(cast.accounts) == 60
    assert len({account.country for account in cast.accounts}) == 8
    assert sum(1 for account in cast.accounts if not account.name) == 1
    assert len({account.account_id for account in cast.accounts}) == 60
    assert len({account.domain for account in cast.accounts}) == 60
    ids = {account.account_id for account in cast.accounts}
    parents = [a.parent_account_id for a in cast.accounts if a.parent_account_id]
    assert len(parents) == 6 and set(parents) < ids


def test_contacts_are_as_promised(cast: Cast) -> None:
    assert len(cast.contacts) == 300
    assert len({contact.contact_id for contact in cast.contacts}) == 300
    plain = Counter(c.address.strip().lower() for c in cast.contacts if c.address)
    assert [count for count in plain.values() if count > 1] == [2]
    (shared,) = [address for address, count in plain.items() if count == 2]
    assert len({c.account_id for c in cast.contacts if c.address.lower() == shared}) == 2
    assert sum(1 for c in cast.contacts if not c.address) == 1
    assert sum(1 for c in cast.contacts if domain(c.address) == DOMAIN) == 1
    assert sum(1 for c in cast.contacts if "+" in c.address) == 1
    assert sum(1 for c in cast.contacts if c.address != c.address.strip()) == 1
    assert any(c.address.isupper() for c in cast.contacts)


def test_fourteen_mailboxes_nine_only_through_nested_groups(tenant: Tenant, cast: Cast) -> None:
    by_mail = {g.mail.lower(): g for g in tenant.groups}
    groups = [by_mail[a.lower()] for a in cast.listed if a.lower() in by_mail]
    assert len(groups) == 2
    with running(tenant) as handle:
        emulator = handle.emulator
        direct = set()
        for address in cast.listed:
            if address.lower() not in by_mail:
                person = emulator.find_mailbox(address)
                assert person is not None
                direct.add(person.id)
        members = [{p.id for p in emulator.transitive_members(group)[0]} for group in groups]
    people = {person.id for person in tenant.people}
    assert not any(member in people for group in groups for member in group.members), "groups in groups only"
    assert direct | members[0] | members[1] == set(cast.monitored)
    assert len(cast.monitored) == len(set(cast.monitored)) == 14
    assert len((members[0] | members[1]) - direct) == 9
    assert len(members[0] & members[1] & direct) == 1, "one person in two groups and listed once more"
    assert any(address.lower().endswith(ALIAS_DOMAIN) for address in cast.listed), "one listed by an alias"


def test_sizes(messages: list[Message], events: list[Event], tenant: Tenant) -> None:
    assert 10_000 <= len(messages) <= 14_000
    assert 1_500 <= len(events) <= 2_500
    received = [m.received_at for m in messages]
    assert tenant.now - timedelta(days=390) < min(received) < tenant.now - timedelta(days=370)
    assert AS_OF - timedelta(hours=12) < max(received) < tenant.now


def test_items_have_ids_of_their_own(messages: list[Message], events: list[Event]) -> None:
    assert len({m.id for m in messages}) == len(messages)
    assert len({e.id for e in events}) == len(events)


def test_awkward_mail_is_there(tenant: Tenant, messages: list[Message]) -> None:
    assert {m.folder for m in messages} == {
        "inbox", "sentitems", "archive", "other", "deleteditems", "junkemail", "search", "drafts",
    }  # fmt: skip
    drafts = [m for m in messages if m.is_draft]
    assert drafts and all(m.from_address is None and m.sent_at is None for m in drafts)
    assert {m.odata_type for m in messages} == {
        None, "#microsoft.graph.eventMessageRequest", "#microsoft.graph.eventMessageResponse",
    }  # fmt: skip
    blind = [m for m in messages if m.bcc]
    assert blind and all(m.folder == "sentitems" for m in blind), "Bcc stands in the sender's copy only"
    delegated = [m for m in messages if m.sender_address and m.sender_address != m.from_address]
    assert delegated
    assert any((m.from_address or "").startswith("/O=") for m in messages)
    assert any((r or "").startswith("/O=") for m in messages for r in m.cc)
    copies = Counter(m.internet_message_id for m in messages if m.internet_message_id)
    assert max(copies.values()) >= 4
    ours = {DOMAIN, ALIAS_DOMAIN}
    internal = [m for m in messages if {domain(a) for a in (m.from_address, *m.to, *m.cc)} <= ours]
    assert len(internal) > 500
    aliases = {domain(r) for m in messages for r in m.to}
    assert ALIAS_DOMAIN in aliases
    assert any(m.conversation_index[6:22] not in _tail(m) for m in messages if m.odata_type)
    assert all(m.conversation_index[6:22] in _tail(m) for m in messages if not m.odata_type)


def _tail(message: Message) -> bytes:
    return base64.b64decode(message.conversation_id.replace("-", "/").replace("_", "+"))[-16:]


def test_copies_of_a_message_agree(messages: list[Message]) -> None:
    seen: dict[str, Message] = {}
    for m in messages:
        if m.internet_message_id:
            first = seen.setdefault(m.internet_message_id, m)
            for name in ("from_address", "to", "cc", "sent_at", "conversation_index"):
                assert getattr(m, name) == getattr(first, name)


def test_replies_come_at_plausible_hours(messages: list[Message], cast: Cast) -> None:
    same_zone = ("Germany", "France", "Netherlands", "Norway", "Denmark")
    berlin = {a.domain for a in cast.accounts if a.country in same_zone}
    local = [
        m.sent_at.astimezone(ZoneInfo("Europe/Berlin"))
        for m in messages
        if m.sent_at and not m.odata_type and domain(m.from_address) in berlin
        and not (m.from_address or "").startswith(("newsletter@", "no-reply@"))
    ]  # fmt: skip
    assert all(7 <= t.hour < 19 for t in local)
    assert all(t.weekday() < 5 for t in local)


def test_awkward_meetings_are_there(events: list[Event], tenant: Tenant) -> None:
    assert {e.type for e in events} == {"singleInstance", "occurrence", "exception", "seriesMaster"}
    assert {e.sensitivity for e in events} == {"normal", "personal", "private", "confidential"}
    assert sum(e.is_cancelled for e in events) > 10
    assert sum(e.own_response == "declined" for e in events) > 10
    all_day = [e for e in events if e.is_all_day]
    assert all_day and all(e.start_at.hour == 0 and (e.end_at - e.start_at).days == 1 for e in all_day)
    assert any(a.type == "resource" for e in events for a in e.attendees)
    assert any(a.address is None for e in events for a in e.attendees)
    assert any(e.start_at > tenant.now for e in events)
    occurrences = [e.ical_uid or "" for e in events if e.type == "occurrence"]
    exchange = [uid for uid in occurrences if uid.startswith("0400")]
    assert all(uid[32:40] != "00000000" for uid in exchange)
    foreign = [e for e in events if "@" in (e.ical_uid or "")]
    assert max(Counter(e.ical_uid for e in foreign if e.type == "occurrence").values()) > 10
    shared = Counter((e.ical_uid, e.start_at) for e in events)
    assert max(shared.values()) >= 5
    organisers = {domain(e.organizer) for e in events}
    assert {DOMAIN, "bridge-consulting.example"} < organisers
    for e in events:
        assert e.is_organizer == (e.own_response == "organizer") or e.type == "seriesMaster"


def test_accounts_behave_as_their_kind_says(messages: list[Message], events: list[Event], cast: Cast) -> None:
    real = [m for m in messages if not m.odata_type and not m.is_draft]
    ours = {DOMAIN, ALIAS_DOMAIN}
    inbound: dict[str, list[datetime]] = {}
    outbound: dict[str, list[datetime]] = {}
    for m in real:
        inbound.setdefault(domain(m.from_address), []).append(m.received_at)
        if domain(m.from_address) in ours:
            for name in {domain(r) for r in (*m.to, *m.cc, *m.bcc)}:
                outbound.setdefault(name, []).append(m.received_at)
    for account in cast.accounts:
        received, sent = inbound.get(account.domain, []), outbound.get(account.domain, [])
        met = [
            e.start_at for e in events
            if account.domain in {domain(e.organizer), *(domain(a.address) for a in e.attendees)}
        ]  # fmt: skip
        if account.kind == "never":
            assert not received and not sent and not met
        elif account.kind == "newsletter":
            assert received and not sent and not met
        elif account.kind == "courted":
            assert not received and sent and not met
        elif account.kind == "fading":
            assert max(received + sent + met) < AS_OF - timedelta(days=60)
            assert len(received) > 5
        elif account.kind == "new":
            assert min(received + sent) > AS_OF - timedelta(days=70)
        else:
            assert received and sent


def test_customer_files(tmp_path: Path, cast: Cast) -> None:
    accounts, contacts = write_customer_files(tmp_path)
    before = accounts.read_bytes(), contacts.read_bytes()
    assert (accounts, contacts) == (tmp_path / "accounts.csv", tmp_path / "contacts.csv")
    with accounts.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60
    columns = "account_id name website country parent_account_id owner tier contract_value_eur"
    assert list(rows[0]) == columns.split()
    assert all(row["contract_value_eur"].isdigit() for row in rows)
    with contacts.open(encoding="utf-8", newline="") as file:
        people = list(csv.DictReader(file))
    assert [row["email"] for row in people] == [c.address for c in cast.contacts]
    write_customer_files(tmp_path)
    assert (accounts.read_bytes(), contacts.read_bytes()) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["accounts.csv", "contacts.csv"]


def test_configuration(tmp_path: Path, cast: Cast) -> None:
    path = write_configuration(
        tmp_path / "enrichments.yml", accounts=tmp_path / "a: b.csv", contacts=tmp_path / "contacts.csv"
    )
    configuration: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert configuration["reporting"] == {"time_zone": "Europe/Berlin", "small_numbers": "show"}
    assert configuration["customers"]["accounts"]["path"] == str(tmp_path / "a: b.csv")
    office, leadspace = configuration["enrichments"]
    assert (office["type"], office["name"], office["output_table"]) == (
        "office",
        "Account engagement",
        "Office",
    )
    assert office["addresses"] == cast.listed
    assert set(office["consent"]) == set(office["tenant_consent"]) == {"by", "on"}
    assert (leadspace["type"], leadspace["output_table"], leadspace["dataset"]) == (
        "leadspace",
        "Leadspace",
        "customers",
    )
    assert leadspace["mapping"] == {"company_name": "name", "website": "website", "country": "country"}
    assert not re.search(r"secret|password|token", path.read_text(encoding="utf-8"))


# ---------------------------------------------------------------------------------------------------
# the demo's runner

# stands for `engagement`: tells what it was given, signs in, asks Leadspace for results that do not exist, and
# ends with an exit code of its own
STAND_IN = """
import json, os, sys, urllib.error, urllib.parse, urllib.request
names = [n for n in os.environ if n.startswith(("ENGAGEMENT_", "AZURE_"))]
form = {"client_id": os.environ["AZURE_CLIENT_ID"], "client_secret": os.environ["AZURE_CLIENT_SECRET"],
        "grant_type": "client_credentials", "scope": "https://graph.microsoft.com/.default"}
url = f"{os.environ['ENGAGEMENT_AUTHORITY_URL']}/{os.environ['AZURE_TENANT_ID']}/oauth2/v2.0/token"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
with opener.open(url, urllib.parse.urlencode(form).encode()) as answer:
    assert json.load(answer)["token_type"] == "Bearer"
    date = answer.headers["Date"]
asked = urllib.request.Request(f"{os.environ['ENGAGEMENT_LEADSPACE_URL']}/v3/enrichment/results/none")
asked.add_header("Authorization", f"Bearer {os.environ['LEADSPACE_TOKEN']}")
try:
    opener.open(asked)
except urllib.error.HTTPError as error:
    leadspace = error.code
told = {n: os.environ[n] for n in names} | {"argv": sys.argv[1:], "date": date, "leadspace": leadspace}
with open(os.path.join(os.environ["ENGAGEMENT_DATA_DIR"], "told.json"), "w") as file:
    json.dump(told, file)
sys.exit(9)
"""


def test_demo_runs_the_command_against_the_emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGAGEMENT_PRIVATE_FILE", "/somewhere/real.duckdb")
    monkeypatch.setenv("ENGAGEMENT_HASH_KEY", "a real key")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "a real secret")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/somewhere/real.pem")
    folder = tmp_path / "data" / "demo"
    folder.parent.mkdir()
    folder.mkdir(mode=0o700)
    (folder / "private.duckdb").write_bytes(b"left over")
    code = demo.run(["--json"], folder=folder, command=[sys.executable, "-c", STAND_IN])
    assert code == 9
    told = json.loads((folder / "told.json").read_text())
    assert told["argv"] == ["run", "--json"]
    assert told["leadspace"] == 404, "the token was not accepted"
    assert told["date"] == "Wed, 01 Jul 2026 05:30:00 GMT"
    assert told["ENGAGEMENT_DATA_DIR"] == str(folder)
    assert told["ENGAGEMENT_CONFIG"] == str(folder / "enrichments.yml")
    assert told["ENGAGEMENT_GRAPH_URL"] == told["ENGAGEMENT_AUTHORITY_URL"]
    assert told["AZURE_CLIENT_SECRET"] == Tenant(now=AS_OF).client_secret
    foreign = {"ENGAGEMENT_PRIVATE_FILE", "ENGAGEMENT_HASH_KEY", "AZURE_CLIENT_CERTIFICATE_PATH"}
    assert not foreign & set(told)
    assert (folder / "private.duckdb").read_bytes() == b"left over", "a second demo is a refresh"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(httpx.ConnectError):
        httpx.get(told["ENGAGEMENT_GRAPH_URL"], trust_env=False)
    configuration = yaml.safe_load((folder / "enrichments.yml").read_text(encoding="utf-8"))
    assert Path(configuration["customers"]["contacts"]["path"]).exists()


def test_demo_says_when_the_emulator_does_not_start() -> None:
    with (
        pytest.raises(SystemExit, match=r"demo: emulators\.graph ended with exit code 1"),
        demo.emulator("emulators.graph", "--tenant", "emulators.none:build"),
    ):
        pass
