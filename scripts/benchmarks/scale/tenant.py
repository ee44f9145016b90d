"""A made-up tenant: a private file with the raw rows of a year, and what the week after it lands.

    python -m benchmarks.scale.tenant FOLDER --copies 10000000

The rows are made by tenant.sql alone. What grows with the number of copies: people, accounts, contacts and addresses;
what does not: the year, mail per person, copies per message.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from benchmarks.measure import environment_of
from benchmarks.scale.script import steps_of
from engagement import room, warehouse
from engagement.configuration.loading import load
from engagement.configuration.settings import Settings
from engagement.office.slices import MEETINGS, MESSAGES, Plan
from engagement.progress import progress
from engagement.published_file import literal

# A full tenant (2,500 mailboxes) has 100 million copies in a year, and these beside them.
COPIES_PER_PERSON = 40_000
PEOPLE_AT_LEAST = 8
ACCOUNTS_PER_PERSON = 4.8
OUTSIDERS_PER_PERSON = 160
COPIES_PER_THREAD = 4.46
COPIES_PER_SERIES = 170
WEEKS, STRETCHES = 56, 28
BEGINS_AT = datetime(2025, 6, 2)
READ_AT = datetime(2026, 6, 29, 5, 30)
NEXT_READ_AT = READ_AT + timedelta(days=7)
RETENTION_DAYS = 366
# Bytes on the disk of a copy with its share of everything else, and again while it is made.
BYTES_PER_COPY = 150

MEMORY_LIMIT = "ENGAGEMENT_MEMORY_LIMIT"
PRIVATE, WEEK, CONFIGURATION = "private.duckdb", "week.duckdb", "enrichments.yml"
_SQL = Path(__file__).with_name("tenant.sql")


@dataclass(frozen=True)
class Tenant:
    """Where a tenant lies."""

    folder: Path

    @property
    def private_file(self) -> Path:
        return self.folder / PRIVATE

    @property
    def week_file(self) -> Path:
        return self.folder / WEEK

    def environment(self) -> dict[str, str]:
        """The environment in which `engagement` and dbt work on it, with the limit of memory that is ours."""
        environment = {
            **environment_of(self.folder),
            "ENGAGEMENT_DATA_DIR": str(self.folder),
            "ENGAGEMENT_CONFIG": str(self.folder / CONFIGURATION),
        }
        if MEMORY_LIMIT in os.environ:
            environment[MEMORY_LIMIT] = os.environ[MEMORY_LIMIT]
        return environment

    def settings(self) -> Settings:
        return load(self.environment(), services=(), needs_files=False)


def _configuration() -> dict[str, object]:
    day = BEGINS_AT.date()
    return {
        "reporting": {"time_zone": "Europe/Berlin", "small_numbers": "show"},
        "customers": {
            "accounts": {
                "path": "accounts.csv",
                "id": "account_id",
                "name": "name",
                "attributes": ["owner", "tier", "contract_value_eur"],
            },
            "contacts": {"path": "contacts.csv", "id": "id", "account": "account_id", "email": "email"},
        },
        "enrichments": [
            {
                "type": "office",
                "name": "Account engagement",
                "output_table": "Office",
                "consent": {"by": "Configurer", "on": day},
                "tenant_consent": {"by": "Administrator", "on": day},
                "addresses": ["everybody@tenant.example"],
                "retention": f"{RETENTION_DAYS} days",
            }
        ],
    }


def make(folder: Path, copies: int, *, memory_limit: str = "4GB") -> Tenant:
    """Writes the tenant's private file and next week with about so many copies of messages; anything there before is
    replaced. ResourcesError where the disk is too small, before anything is written.
    """
    tenant = Tenant(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for path in (tenant.private_file, tenant.week_file):
        path.unlink(missing_ok=True)
    room.require(
        folder, copies * BYTES_PER_COPY, what=f"a tenant of {copies:,} copies", advice="name another folder"
    )
    (folder / CONFIGURATION).write_text(yaml.safe_dump(_configuration()), "utf-8")
    settings = tenant.settings()
    people = max(PEOPLE_AT_LEAST, copies // COPIES_PER_PERSON)
    variables: dict[str, object] = {
        "people": people,
        "accounts": round(people * ACCOUNTS_PER_PERSON),
        "outsiders": people * OUTSIDERS_PER_PERSON,
        "begins_at": BEGINS_AT,
        "read_at": READ_AT,
        "next_read_at": NEXT_READ_AT,
        "week_ends_at": NEXT_READ_AT,
    }
    with warehouse.private_file(settings) as connection:
        warehouse.save_settings(connection, settings, key_check="made-up")
        sections = dict(steps_of(_SQL))
        connection.execute(f"set memory_limit = '{memory_limit}'")
        connection.execute("set preserve_insertion_order = false")
        connection.execute(f"attach {literal(str(tenant.week_file))} as week")

        def run(section: str) -> None:
            for name, value in variables.items():
                connection.execute(f"set variable {name} = ?", [value])
            for statement in sections[section]:
                connection.execute(statement)

        run("create")
        with progress("stretches of time") as bar:
            for stretch in _stretches(copies):
                variables |= stretch
                run("fill")
                bar.advance()
        connection.execute("drop table threads; drop table messages; drop table copies; drop table entries")
        for kind, table, column in _KINDS:
            _write_ledger(connection, kind, table, column, READ_AT)
        connection.execute("checkpoint private")
        connection.execute("checkpoint week")
    return tenant


def land_week(tenant: Tenant) -> None:
    """Lands what the week after the year brought, as an extraction would: new messages and entries, entries that are
    another than before, and the ledger.
    """
    with warehouse.connect(tenant.settings()) as connection:
        connection.execute(f"attach {literal(str(tenant.week_file))} as week (read_only)")
        with warehouse.transaction(connection):
            connection.execute("insert into raw.office_messages from week.messages")
            connection.execute(
                "insert into raw.office_replaced select 'meetings', ical_key, start_at, 4 from raw.office_meetings"
                " where (mailbox_id, item_key) in (select mailbox_id, item_key from week.meetings)"
            )
            connection.execute(
                "delete from raw.office_meetings"
                " where (mailbox_id, item_key) in (select mailbox_id, item_key from week.meetings)"
            )
            connection.execute("insert into raw.office_meetings from week.meetings")
        for kind, table, column in _KINDS:
            _write_ledger(connection, kind, table, column, NEXT_READ_AT)


_KINDS = ((MESSAGES, "office_messages", "received_at"), (MEETINGS, "office_meetings", "start_at"))


def _stretches(copies: int) -> Iterator[dict[str, object]]:
    """Variables of each stretch of time. Threads go on for weeks, so the first stretches lie before the year."""
    threads, series = round(copies / COPIES_PER_THREAD), max(STRETCHES, copies // COPIES_PER_SERIES)
    days = WEEKS * 7 / STRETCHES
    for number in range(STRETCHES + 1):
        is_next_week = number == STRETCHES
        # The week after the year is shorter than a stretch.
        end = number + (7 / days if is_next_week else 1)
        yield {
            "stretch_begins_at": BEGINS_AT + timedelta(days=number * days),
            "stretch_days": 7.0 if is_next_week else days,
            "year_part": number / STRETCHES,
            "first_thread": threads * number // STRETCHES,
            "last_thread": int(threads * end // STRETCHES),
            "first_series": series * number // STRETCHES,
            "last_series": int(series * end // STRETCHES),
        }


def _write_ledger(
    connection: warehouse.Connection, kind: str, table: str, column: str, read_at: datetime
) -> None:
    """A ledger row for every slice of every mailbox, as an extraction at that instant leaves it."""
    plan = Plan.of(kind, now=read_at, retention_days=RETENTION_DAYS)
    landing_id = {MESSAGES: 1, MEETINGS: 2}[kind] + (2 if read_at > READ_AT else 0)
    connection.execute(
        "create or replace temporary table pieces (starts_at timestamp, ends_at timestamp, read_to timestamp)"
    )
    warehouse.append(
        connection,
        "pieces",
        [(piece.start, piece.end, plan.read_to(piece)) for piece in plan.slices()],
        schema="temp",
    )
    with warehouse.transaction(connection):
        connection.execute("delete from raw.office_units where kind = ?", [kind])
        connection.execute(
            f"""
            insert into raw.office_units
            with counted as (
                select mailbox_id, date_trunc('day', {column}) as day, count(*) as row_count
                from raw.{table}
                group by all
            )
            select
                mailboxes.mailbox_id, '{kind}', pieces.starts_at, pieces.ends_at, pieces.read_to,
                coalesce(sum(counted.row_count), 0), 'made-up', timestamp '{read_at}', {landing_id}
            from raw.office_mailboxes as mailboxes
            cross join pieces
            left join counted
                on mailboxes.mailbox_id = counted.mailbox_id
                and counted.day >= pieces.starts_at and counted.day < pieces.ends_at
            group by all
            """
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Makes one, says what is in it, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.tenant")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=1_000_000)
    options = parser.parse_args(arguments)
    began = time.perf_counter()
    tenant = make(options.folder, options.copies)
    print(
        f"{options.copies:,} copies asked for, made in {time.perf_counter() - began:.0f} s, {tenant.private_file}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
