"""A small company for tests that kill and disturb commands: its tenant, what its files must hold, what they do hold.

One generation is published at the first clock; a week later there is new mail, an entry was cancelled, a message was
deleted, and there are new customers, so that every command has something to do. `World` keeps its states as copies of
folders, so that a state is taken up again in a moment.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb

from command_server import Command, Server
from conftest import NOW, OURS, Workspace, meeting, message, small_tenant, write_csv
from emulators.firmographics import Company
from emulators.graph import Handle as GraphHandle
from emulators.graph import running as running_graph
from emulators.leadspace import Handle as LeadspaceHandle
from emulators.leadspace import running as running_leadspace
from emulators.tenant import Tenant
from made_once import made_once, session_folder

LATER = NOW + timedelta(days=7)
KEY = "a hash key that is the same in every folder"
CUSTOMERS, NEW_CUSTOMERS = 4, 8
DOMAINS = [f"customer{number}.example" for number in range(CUSTOMERS + NEW_CUSTOMERS)]
# Nobody's clock and nobody's number of a run: what differs between two runs that did the same.
OF_THE_RUN: dict[str, tuple[str, ...]] = {
    "accounts": (),
    "contacts": (),
    "account_attributes": (),
    "customer_issues": (),
    "office_mailboxes": ("monitored_from",),
    "office_messages": ("read_at", "gone_at", "landing_id"),
    "office_meetings": ("read_at", "gone_at", "landing_id"),
    "office_addresses": (),
    "office_units": ("run_id", "read_at", "landing_id"),
    "leadspace_accounts": ("listed_from_at", "listed_to_at"),
    "leadspace_responses": ("batch_id", "received_at", "run_id"),
}
# A row of these is there once, by these columns.
KEYS: dict[str, tuple[str, ...]] = {
    "accounts": ("account_id",),
    "contacts": ("contact_id", "account_id"),
    "office_mailboxes": ("enrichment_id", "mailbox_id", "monitored_from"),
    "office_messages": ("mailbox_id", "item_key"),
    "office_meetings": ("mailbox_id", "item_key"),
    "office_addresses": ("address_key",),
    "office_units": ("mailbox_id", "kind", "slice_start"),
    "leadspace_responses": ("fingerprint", "batch_id"),
}
# What a killed command may have replaced whole, and so is as before or as after; the others only grow.
Rows = dict[str, Counter[str]]


def later_tenant() -> Tenant:
    """The tenant a week later: two messages a day and person, an entry; one message is deleted, one entry moved."""
    tenant = copy.deepcopy(small_tenant())
    tenant.now = LATER
    for owner in tenant.people:
        name = owner.mail.split("@")[0]
        for day in range(7):
            for half in range(2):
                at = NOW + timedelta(days=day, hours=5 + 6 * half)
                sender = f"kim@{DOMAINS[(day + half) % 3]}"
                tenant.messages[owner.id].append(
                    message(owner, f"{name}:later:{day}:{half}", at, from_address=sender)
                )
        tenant.events[owner.id].append(
            meeting(owner, f"{name}:later", NOW.replace(hour=9, minute=0) + timedelta(days=2))
        )
        # Of the last day before: it is read again.
        tenant.messages[owner.id] = [
            one
            for one in tenant.messages[owner.id]
            if one.received_at != NOW - timedelta(hours=6) or name != "anna"
        ]
        tenant.events[owner.id] = [
            replace(
                event, start_at=event.start_at + timedelta(hours=2), end_at=event.end_at + timedelta(hours=2)
            )
            if event.start_at > NOW and event.start_at.day == 6 and name == "ben"
            else event
            for event in tenant.events[owner.id]
        ]
    return tenant


def companies() -> list[Company]:
    """What the provider knows: every second customer."""
    return [
        Company(f"Customer {number} Ltd", DOMAINS[number], "Germany", employees=10 * number)
        for number in range(0, CUSTOMERS + NEW_CUSTOMERS, 2)
    ]


def write_customers(folder: Path, count: int) -> None:
    """Both customer files with so many accounts, each with one contact."""
    write_csv(
        folder / "accounts.csv",
        [
            {
                "account_id": f"A{number}",
                "name": f"Customer {number}",
                "website": DOMAINS[number],
                "country": "DE",
                "tier": "1",
            }
            for number in range(count)
        ],
    )
    write_csv(
        folder / "contacts.csv",
        [
            {"contact_id": f"C{number}", "account_id": f"A{number}", "email": f"kim@{DOMAINS[number]}"}
            for number in range(count)
        ],
    )


@dataclass
class World:
    """`workspace` is where commands work; `states` holds copies of it, by name."""

    workspace: Workspace
    states: Path
    earlier: GraphHandle
    later: GraphHandle
    leadspace: LeadspaceHandle

    @property
    def root(self) -> Path:
        return self.workspace.root

    @property
    def environment(self) -> dict[str, str]:
        return self.workspace.environment

    def pass_a_week(self) -> None:
        """The clock of the service is a week later, and there are more customers, from the next command on."""
        self.workspace.connect_to(self.later)
        write_customers(self.root, CUSTOMERS + NEW_CUSTOMERS)

    def keep(self, state: str) -> None:
        """Copies what is on the disk now."""
        kept = self.states / state
        shutil.rmtree(kept, ignore_errors=True)
        for folder in ("data", "target"):
            if (self.root / folder).exists():
                shutil.copytree(self.root / folder, kept / folder)

    def take_up(self, state: str) -> None:
        """What is on the disk is again as it was kept, and Leadspace has been asked about nobody."""
        for folder in ("data", "target"):
            # What a killed command has started may still write there for a moment.
            for _ in range(100):
                shutil.rmtree(self.root / folder, ignore_errors=True)
                if not (self.root / folder).exists():
                    break
                time.sleep(0.1)
            if (self.states / state / folder).exists():
                shutil.copytree(self.states / state / folder, self.root / folder)
        self.leadspace.emulator.forget()

    def run(self, server: Server, *arguments: str, **variables: str) -> Command:
        """A command to its end."""
        return server.run(arguments, {**self.environment, **variables}, self.root)

    def succeed(self, server: Server, *arguments: str) -> Command:
        """A command that must do all that it is to do."""
        done = self.run(server, *arguments)
        assert done.exit_code == 0, (arguments, done.exit_code, done.stderr)
        return done

    # --- what is there

    def raw(self) -> Rows:
        """What was landed, without what names the run; opens the private file read-only."""
        with duckdb.connect(str(self.workspace.private_file), read_only=True) as connection:
            there = {row[0] for row in connection.execute(_RAW_TABLES).fetchall()}
            return {
                table: Counter(
                    repr(row)
                    for row in connection.execute(f"select {all_but(left_out)} from raw.{table}").fetchall()
                )
                for table, left_out in OF_THE_RUN.items()
                if table in there
            }

    def doubled(self) -> int:
        """Rows that are there more than once by their keys, slices of the ledger that overlap among them."""
        with duckdb.connect(str(self.workspace.private_file), read_only=True) as connection:
            there = {row[0] for row in connection.execute(_RAW_TABLES).fetchall()}
            counts = [
                connection.execute(
                    f"select coalesce(sum(rows - 1), 0) from (select count(*) as rows from raw.{table}"
                    f" group by {', '.join(columns)})"
                ).fetchone()
                for table, columns in KEYS.items()
                if table in there
            ]
            if "office_units" in there:
                counts.append(connection.execute(_OVERLAPPING).fetchone())
            return sum(int(row[0]) for row in counts if row is not None)

    def beside_the_ledger(self) -> int:
        """Slices of the ledger whose rows are not as many as it says, and rows in no slice of it."""
        with duckdb.connect(str(self.workspace.private_file), read_only=True) as connection:
            found = 0
            for kind, table, column in (
                ("messages", "office_messages", "received_at"),
                ("meetings", "office_meetings", "start_at"),
            ):
                row = connection.execute(_BESIDE.format(kind=kind, table=table, column=column)).fetchone()
                found += 0 if row is None else int(row[0])
            return found

    def held(self) -> set[tuple[str, str, str]]:
        """Who was sent to Leadspace and is not asked about again by itself: name, website and country as sent."""
        with duckdb.connect(str(self.workspace.private_file), read_only=True) as connection:
            rows = connection.execute(
                "select distinct company_name, coalesce(website, ''), coalesce(country, '')"
                " from raw.leadspace_batches inner join raw.leadspace_requests using (batch_id)"
                " inner join raw.leadspace_accounts as accounts using (fingerprint)"
                " where state in ('sending', 'uncertain', 'lost')"
            ).fetchall()
        return {(row[0], row[1], row[2]) for row in rows}

    def paid_twice(self) -> set[tuple[str, str, str]]:
        """Customers that were looked up more than once since the state was taken up."""
        return {record for record, times in self.leadspace.looked_up.items() if times > 1}

    def marts(self, tables: Mapping[str, Sequence[str]]) -> dict[str, list[tuple[Any, ...]]]:
        """Rows of the published file: by table, which columns are left out."""
        with duckdb.connect(str(self.workspace.published_file), read_only=True) as connection:
            return {
                table: connection.execute(
                    f"select {all_but(left_out)} from marts.{table} order by all"
                ).fetchall()
                for table, left_out in tables.items()
            }

    def generation(self) -> tuple[Any, ...]:
        """The published generation, in an order of which the later is the greater: day, instant, run."""
        return generation_of(self.workspace.published_file)


_RAW_TABLES = "select table_name from duckdb_tables() where schema_name = 'raw'"
_OVERLAPPING = """
select count(*) from raw.office_units as one inner join raw.office_units as other
on one.mailbox_id = other.mailbox_id and one.kind = other.kind and one.slice_start < other.slice_start
and one.slice_end > other.slice_start
"""
_BESIDE = """
with counted as (
    select units.mailbox_id, units.slice_start, any_value(units.row_count) as row_count, count(items.item_key) as rows
    from raw.office_units as units
    left join raw.{table} as items
        on units.mailbox_id = items.mailbox_id and items.gone_at is null
        and items.{column} >= units.slice_start and items.{column} < units.slice_end
    where units.kind = '{kind}' group by all
)
select (select count(*) from counted where rows <> row_count)
    + (
        select count(*) from raw.{table} as items
        where not exists (
            select 1 from raw.office_units as units
            where units.kind = '{kind}' and units.mailbox_id = items.mailbox_id
                and items.{column} >= units.slice_start and items.{column} < units.slice_end
        )
    )
"""


def all_but(columns: Sequence[str]) -> str:
    """All columns of a relation but these, in SQL."""
    return f"* exclude ({', '.join(columns)})" if columns else "*"


def generation_of(path: Path) -> tuple[Any, ...]:
    """As `World.generation`, of any published file."""
    with duckdb.connect(str(path), read_only=True) as connection:
        row = connection.execute("select as_of_date, published_at, run_id from marts.publication").fetchone()
    assert row is not None
    return row


def lost(found: Rows, wanted: Rows) -> int:
    """Rows that should be there and are not."""
    return sum((wanted[table] - found.get(table, Counter())).total() for table in wanted)


def strange(found: Rows, *allowed: Rows) -> int:
    """Rows that stand in none of the others, or more often than in any."""
    count = 0
    for table, rows in found.items():
        most: Counter[str] = Counter()
        for one in allowed:
            most |= one.get(table, Counter())
        count += (rows - most).total()
    return count


@contextmanager
def world(folder: Path, *, latency: float = 0.0) -> Iterator[World]:
    """A company in this folder, before its first run. `latency` is what each answer of the services takes, seconds."""
    with ExitStack() as stack:
        earlier = stack.enter_context(running_graph(small_tenant()))
        later = stack.enter_context(running_graph(later_tenant(), latency=latency))
        leadspace = stack.enter_context(
            running_leadspace(companies(), polls_before_done=0, latency=latency, calls_per_second=1000)
        )
        folder.mkdir(parents=True, exist_ok=True)
        workspace = Workspace(folder / "work")
        workspace.environment |= {"ENGAGEMENT_HASH_KEY": KEY, "ENGAGEMENT_WORKERS": "2"}
        workspace.connect_to(earlier)
        workspace.enrich_companies(
            leadspace.url, office={"addresses": [f"anna@{OURS}", f"sales@{OURS}"]}, endpoint="single"
        )
        write_customers(workspace.root, CUSTOMERS)
        yield World(workspace, folder / "states", earlier, later, leadspace)


def publish_first_week(one: World, common: Path) -> None:
    """Keeps the state `published`, after the first week. It is made once for all tests that share the folder `common`,
    whichever process they are in, since a whole run takes long.
    """

    def run(made: Path) -> None:
        done = one.workspace.run("run")
        assert done.exit_code == 0, done.stderr
        for folder in ("data", "target"):
            shutil.copytree(one.root / folder, made / folder)

    made = made_once(session_folder(common), "first-week-published", run)
    shutil.copytree(made, one.states / "published")


def counted(path: Path) -> list[tuple[Any, ...]]:
    """How many rows each table of a published file has, with a hash of them; without the generation's own."""
    with duckdb.connect(str(path), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() where table_name <> 'publication' order by all"
        ).fetchall()
        return [
            (
                table,
                *connection.execute(
                    f'select count(*), bit_xor(hash(one)) from "{schema}"."{table}" as one'
                ).fetchall(),
            )
            for schema, table in tables
        ]
