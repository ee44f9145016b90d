"""Fixtures: a workspace per test (files, environment, data folder), a small tenant, the emulator."""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import click.testing
import duckdb
import pytest
import yaml

from emulators.graph import Handle, running
from emulators.identifiers import (
    conversation_id,
    conversation_index,
    exchange_ical_uid,
    internet_message_id,
    item_id,
    seeded_guid,
    thread_guid,
)
from emulators.leadspace import TOKEN as LEADSPACE_TOKEN
from emulators.tenant import Attendee, Event, Group, Message, Person, Tenant
from engagement import verify
from engagement.cli import cli
from engagement.configuration.enrichments import SERVICES
from engagement.configuration.loading import load
from engagement.configuration.settings import Settings
from made_once import made_once, session_folder
from parsed_once import parsed_once
from project_fixtures import compiled_project  # noqa: F401  (a fixture for every test)
from quick_dbt import logged_whole, quick_dbt

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 7, 1, 5, 30, tzinfo=UTC)
OURS = "northwind.example"
SENTINEL = b"the last published file"


@pytest.fixture(autouse=True, scope="session")
def _dbt_is_quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    Workspace.kept = session_folder(tmp_path_factory.getbasetemp())
    with parsed_once(ROOT, Workspace.kept), quick_dbt():
        yield


@pytest.fixture(scope="module")
def whole_log_of_dbt() -> Iterator[None]:
    """dbt's log has all that it has outside of tests: for modules that look for what must not stand there."""
    with logged_whole():
        yield


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard() -> None:
    """A job in the background ignores Ctrl-C, and so would all commands that the tests start and end by it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _contract_is_read_once() -> Iterator[None]:
    """The YAML of the marts takes a second of every `engagement verify`; that of a copy of the project is read."""
    read, kept = verify.project_contract, functools.cache(verify.project_contract)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(verify, "project_contract", lambda folder: (kept if folder == ROOT else read)(folder))
        yield


ACCOUNTS = [
    {
        "account_id": "A1",
        "name": "Contoso",
        "website": "https://contoso.example",
        "country": "DE",
        "tier": "1",
    },
    {
        "account_id": "A2",
        "name": "Fabrikam",
        "website": "https://fabrikam.example",
        "country": "FR",
        "tier": "2",
    },
]
CONTACTS = [
    {"contact_id": "C1", "account_id": "A1", "email": "kim@contoso.example"},
    {"contact_id": "C2", "account_id": "A1", "email": "lee@contoso.example"},
    {"contact_id": "C3", "account_id": "A2", "email": "max@fabrikam.example"},
]


def holding_open(path: Path) -> list[str]:
    """A command that opens a DuckDB file for writing, says "open", and holds it until it is sent a line."""
    code = "import sys, duckdb; held = duckdb.connect(sys.argv[1]); print('open', flush=True); input()"
    return [sys.executable, "-c", code, str(path)]


def write_csv(path: Path, rows: Sequence[Mapping[str, str]], columns: Sequence[str] | None = None) -> Path:
    """A CSV file; `columns` names the header where there are no rows."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns or rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


# What takes longest begins first, so that all cores have something to do until the end, and of three at a time one is
# such as mostly waits.
FIRST = (
    "test_spark.py",
    "test_project.py",
    "test_refreshes.py",
    "test_leadspace_transport.py",
    "test_erase.py",
    "test_refresh.py",
    "test_leadspace_extract.py",
    "test_kills.py",
    "test_leadspace_contacts.py",
    "test_faults.py",
    "test_verify.py",
    "test_nth_call.py",
    "test_export_services.py",
    "test_upgrade.py",
    "test_faults_of_files.py",
    "test_data_connect.py",
    "test_backup.py",
    "test_canaries.py",
    "test_faults_of_process.py",
    "test_score.py",
    "test_office_extract.py",
    "test_mutants.py",
    "test_gate.py",
    "test_histories.py",
    "test_cancel.py",
    "test_segment_insights.py",
    "test_score_commands.py",
    "test_notify.py",
    "test_watch.py",
    "test_company_history.py",
    "test_segment_new.py",
    "test_exports.py",
    "test_progress.py",
    "test_consent.py",
    "test_bench_scale.py",
    "test_parquet_marts.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(FIRST)))


@dataclass
class Workspace:
    """Where one test works; the customer files and enrichments.yml are there and right from the start."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    # How often enrichments.yml was written, and whether that gives its consents anew.
    configured: int = 0
    agrees_anew: bool = True
    # The folder that all processes of the session share.
    kept: ClassVar[Path | None] = None

    def __post_init__(self) -> None:
        self.root.mkdir(exist_ok=True)
        tenant = Tenant(now=NOW)
        self.environment |= {
            "ENGAGEMENT_CONFIG": str(self.root / "enrichments.yml"),
            "ENGAGEMENT_DATA_DIR": str(self.root / "data"),
            "ENGAGEMENT_PROJECT_DIR": str(ROOT),
            "ENGAGEMENT_AUTHORITY_URL": "http://127.0.0.1:9",
            "ENGAGEMENT_GRAPH_URL": "http://127.0.0.1:9",
            "ENGAGEMENT_RETRY_SECONDS": "5",
            "ENGAGEMENT_FILE_WAIT_SECONDS": "0",
            "AZURE_TENANT_ID": tenant.tenant_id,
            "AZURE_CLIENT_ID": tenant.client_id,
            "AZURE_CLIENT_SECRET": tenant.client_secret,
            "DBT_TARGET_PATH": str(self.root / "target"),
            "DBT_LOG_PATH": str(self.root / "logs"),
        }
        write_csv(self.root / "accounts.csv", ACCOUNTS)
        write_csv(self.root / "contacts.csv", CONTACTS)
        self.configure()

    @classmethod
    def found(cls, root: Path, environment: dict[str, str]) -> Workspace:
        """One that another process has made, as it lies there."""
        workspace = cls.__new__(cls)
        workspace.root, workspace.environment = root, environment
        return workspace

    def configuration(self) -> dict[str, Any]:
        """A configuration that is right, to be changed by a test."""
        return {
            "reporting": {"time_zone": "UTC"},
            "customers": {
                "accounts": {
                    "path": "accounts.csv",
                    "id": "account_id",
                    "name": "name",
                    "website": "website",
                    "country": "country",
                    "attributes": ["tier"],
                },
                "contacts": {
                    "path": "contacts.csv",
                    "id": "contact_id",
                    "account": "account_id",
                    "email": "email",
                },
            },
            "enrichments": [
                {
                    "type": "office",
                    "name": "Account engagement",
                    "output_table": "Office",
                    "consent": {"by": "Configurer", "on": datetime(2026, 1, 5).date()},
                    "tenant_consent": {"by": "Administrator", "on": datetime(2026, 1, 6).date()},
                    "addresses": [f"anna@{OURS}", f"sales@{OURS}"],
                    "retention": "400 days",
                }
            ],
        }

    def configure(self, change: Callable[[dict[str, Any]], object] | None = None, **office: Any) -> None:
        """Writes enrichments.yml; `office` sets keys of its one enrichment (None takes a key out)."""
        configuration = self.configuration()
        for key, value in office.items():
            configuration["enrichments"][0][key] = value
            if value is None:
                del configuration["enrichments"][0][key]
        if change is not None:
            change(configuration)
        self.configured += 1
        if self.agrees_anew:
            # A test of something else changes what it likes: whoever writes it down agrees to it.
            for entry in configuration["enrichments"]:
                for kind in ("consent", "tenant_consent"):
                    if "by" in (given := entry.get(kind) or {}):
                        entry[kind] = {**given, "by": f"{given['by']} ({self.configured})"}
        (self.root / "enrichments.yml").write_text(yaml.safe_dump(configuration, sort_keys=False), "utf-8")

    def enrich_companies(
        self, service_url: str, *, office: Mapping[str, Any] | None = None, **keys: Any
    ) -> None:
        """Configures a Leadspace enrichment with its consent: alone, or beside the office one with these keys."""
        entry = {
            "type": "leadspace",
            "name": "Company data",
            "output_table": "Leadspace",
            "consent": {"by": "Configurer", "on": datetime(2026, 1, 5).date()},
            "mapping": {"company_name": "name", "website": "website", "country": "country"},
            **keys,
        }
        self.environment |= {"ENGAGEMENT_LEADSPACE_URL": service_url, "LEADSPACE_TOKEN": LEADSPACE_TOKEN}

        def add(raw: dict[str, Any]) -> None:
            raw["enrichments"] = [*([] if office is None else raw["enrichments"]), entry]

        self.configure(add, **(office or {}))

    def connect_to(self, graph: Handle) -> None:
        """Points both services at the emulator."""
        self.environment["ENGAGEMENT_AUTHORITY_URL"] = graph.url
        self.environment["ENGAGEMENT_GRAPH_URL"] = graph.url

    def settings(self, *, services: Sequence[str] = SERVICES) -> Settings:
        return load(self.environment, services=services, directory=self.root)

    def run(self, *arguments: str) -> click.testing.Result:
        """The command in this process; `exit_code`, `stdout` and `stderr` are those of the command."""
        unset: dict[str, str | None] = {name: None for name in os.environ if name.startswith("AZURE_")}
        unset |= {name: None for name in os.environ if name.startswith(("ENGAGEMENT_", "LEADSPACE_"))}
        # As in a process of its own: dbt writes down what it was called with.
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(sys, "argv", ["engagement", *arguments])
            return click.testing.CliRunner().invoke(cli, list(arguments), env={**unset, **self.environment})

    def land_customers(self) -> None:
        """`engagement extract customers`, which must succeed: carried out once in a session for the same files in the
        same state with the same environment (but for the services' addresses, which it does not ask), and otherwise
        what it made is copied. For tests of what comes after.
        """

        def land(made: Path) -> None:
            done = self.run("extract", "customers")
            assert done.exit_code == 0, done.stderr
            shutil.copytree(self.root / "data", made / "data")

        assert self.kept is not None
        state = hashlib.blake2b(digest_size=16)
        for name, value in sorted(self.environment.items()):
            if name.endswith("_URL"):
                continue
            state.update(f"{name}={value.replace(str(self.root), '')}\n".encode())
        for path in sorted(path for path in self.root.rglob("*") if path.is_file()):
            content = path.read_bytes()
            state.update(f"{path.relative_to(self.root)}: {len(content)}\n".encode() + content)
        made = made_once(self.kept, f"customers-{state.hexdigest()}", land)
        shutil.rmtree(self.root / "data", ignore_errors=True)
        shutil.copytree(made / "data", self.root / "data")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """The command as a process."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AZURE_", "ENGAGEMENT_", "LEADSPACE_"))
        }
        path = os.pathsep.join(filter(None, [str(ROOT / "scripts"), os.environ.get("PYTHONPATH", "")]))
        return subprocess.Popen(
            [sys.executable, "-m", "engagement", *arguments],
            env={**kept, "PYTHONPATH": path, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
        )

    @property
    def private_file(self) -> Path:
        return self.root / "data" / "private.duckdb"

    @property
    def published_file(self) -> Path:
        return self.root / "data" / "engagement.duckdb"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the private file."""
        with duckdb.connect(str(self.private_file), read_only=True) as connection:
            return connection.execute(sql).fetchall()

    def leave_sentinel(self) -> None:
        """Puts something recognisable where the published file is."""
        self.published_file.parent.mkdir(mode=0o700, exist_ok=True)
        self.published_file.write_bytes(SENTINEL)

    def office_rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that an extraction landed, without what names the run."""
        left_out = {
            "office_mailboxes": "monitored_from",
            "office_messages": "read_at, landing_id",
            "office_meetings": "read_at, landing_id",
            "office_addresses": "domain",
            "office_units": "run_id, read_at, landing_id",
        }
        with duckdb.connect(str(self.private_file), read_only=True) as connection:
            return {
                table: connection.execute(
                    f"select * exclude ({columns}) from raw.{table} order by all"
                ).fetchall()
                for table, columns in left_out.items()
            }


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path)


# Without an address, with an answer of another than the owner, and a room.
ODD_ATTENDEES = (
    Attendee(None),
    Attendee("kim@contoso.example", "optional", "tentativelyAccepted"),
    Attendee(f"room@{OURS}", "resource"),
)


def person(name: str, **changes: Any) -> Person:
    """A directory user anna@northwind.example with the alias anna.alias@..."""
    values: dict[str, Any] = {
        "id": seeded_guid(f"person:{name}"),
        "mail": f"{name}@{OURS}",
        "user_principal_name": f"{name}@{OURS}",
        "proxy_addresses": (f"SMTP:{name}@{OURS}", f"smtp:{name}.alias@{OURS}"),
        "display_name": name.title(),
    }
    return Person(**(values | changes))


def message(owner: Person, seed: str, received_at: datetime, **changes: Any) -> Message:
    """A copy in the owner's mailbox, from Contoso to him; one seed is one message in every mailbox."""
    thread = thread_guid(changes.pop("thread", seed))
    values: dict[str, Any] = {
        "id": item_id(owner.id, seed),
        "internet_message_id": internet_message_id(seed, "mail.example"),
        "conversation_id": conversation_id(owner.id, thread),
        "conversation_index": conversation_index(thread, received_at),
        "received_at": received_at,
        "sent_at": received_at,
        "from_address": "kim@contoso.example",
        "to": (owner.mail,),
    }
    return Message(**(values | changes))


def meeting(owner: Person, seed: str, start_at: datetime, **changes: Any) -> Event:
    """An hour with Contoso, organised by the owner."""
    values: dict[str, Any] = {
        "id": item_id(owner.id, f"event:{seed}"),
        "ical_uid": exchange_ical_uid(seed, start_at - timedelta(days=3)),
        "start_at": start_at,
        "end_at": start_at + timedelta(hours=1),
        "organizer": owner.mail,
        "attendees": (
            Attendee(owner.mail, response="organizer"),
            Attendee("kim@contoso.example", response="accepted"),
        ),
        "is_organizer": True,
        "own_response": "organizer",
    }
    return Event(**(values | changes))


def declined_day(owner: Person, seed: str, start_at: datetime) -> Event:
    """A cancelled day without an organiser and an id of its own, that the owner declined: everything that an entry
    may lack or say otherwise.
    """
    return meeting(
        owner,
        seed,
        start_at,
        is_all_day=True,
        end_at=start_at + timedelta(days=1),
        is_cancelled=True,
        organizer=None,
        ical_uid=None,
        is_organizer=False,
        own_response="declined",
        attendees=ODD_ATTENDEES,
    )


def small_tenant() -> Tenant:
    """anna is listed; ben and dora come through sales@, carl through emea@ inside it; eve is not chosen.

    Each of the four has 12 messages over a year, two of the last day, and four meetings, one of them to come.
    """
    people = {name: person(name) for name in ("anna", "ben", "carl", "dora", "eve")}
    emea = Group(seeded_guid("group:emea"), f"emea@{OURS}", "EMEA", (people["carl"].id, people["ben"].id))
    sales = Group(
        seeded_guid("group:sales"), f"sales@{OURS}", "Sales", (people["ben"].id, people["dora"].id, emea.id)
    )
    tenant = Tenant(now=NOW, people=list(people.values()), groups=[sales, emea])
    for name, owner in people.items():
        moments = [NOW - timedelta(days=30 * month + 2) for month in range(12)]
        moments += [NOW - timedelta(hours=6), NOW - timedelta(hours=30)]
        tenant.messages[owner.id] = [
            message(owner, f"{name}:{number}", moment) for number, moment in enumerate(moments)
        ]
        tenant.events[owner.id] = [
            meeting(owner, f"{name}:{days}", NOW.replace(hour=9, minute=0) + timedelta(days=days))
            for days in (-200, -40, -3, 5)
        ]
    return tenant


@pytest.fixture
def tenant() -> Tenant:
    return small_tenant()


@pytest.fixture
def graph(tenant: Tenant) -> Iterator[Handle]:
    """The emulator over the small tenant."""
    with running(tenant) as handle:
        yield handle


@pytest.fixture
def connected(workspace: Workspace, graph: Handle) -> Workspace:
    """The workspace, pointed at the emulator."""
    workspace.connect_to(graph)
    return workspace


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real data, where there is one."""
    given = os.environ.get("ENGAGEMENT_TEST_DATA")
    if not given:
        pytest.skip("ENGAGEMENT_TEST_DATA is not set: the real data is not part of the project")
    folder = Path(given)
    if not folder.is_dir():
        pytest.fail("ENGAGEMENT_TEST_DATA does not point to a folder")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the machine's own environment may reach a test."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "ENGAGEMENT_", "LEADSPACE_")) and name != "ENGAGEMENT_TEST_DATA":
            monkeypatch.delenv(name)


@contextlib.contextmanager
def emulated(tenant: Tenant, workspace: Workspace, **switches: Any) -> Iterator[Handle]:
    """The emulator over another tenant, with the workspace pointed at it."""
    with running(tenant, **switches) as handle:
        workspace.connect_to(handle)
        yield handle
