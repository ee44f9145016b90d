"""How often the watch on volume and on quiet mailboxes is wrong, and how much it sees: on real mail and on the demo.

`python tests/python/watch_rates.py` lands the mail of the Enron corpus (ENGAGEMENT_TEST_DATA) and of the demo's company
without the services, each once as it is and once with every planted fault, builds the watch with 300 judged days, and
prints the figures of docs/data-watch.md. A fault is planted every 17th day, so that it meets every weekday and no day's
history holds more than one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

import corpus
from conftest import Workspace
from emulators import company
from emulators.tenant import Tenant
from engagement import warehouse
from project_fixtures import ROOT

EVERY_DAYS = 17
YEAR_DAYS = 364
Row = tuple[Any, ...]
# One copy: its mailbox's number and the instant.
Copies = list[tuple[int, datetime]]
# Of the copies of one planted day, those that are left, or come.
Plant = Callable[[Copies, int], Copies]


def nothing(copies: Copies, _mailboxes: int) -> Copies:
    """A day with nothing, of nobody."""
    return []


def tripled(copies: Copies, _mailboxes: int) -> Copies:
    """Everything three times."""
    return copies * 3


def half_gone(copies: Copies, mailboxes: int) -> Copies:
    """Nothing in every second mailbox."""
    return [copy for copy in copies if copy[0] % 2]


def third_gone(copies: Copies, mailboxes: int) -> Copies:
    """Nothing in every third mailbox."""
    return [copy for copy in copies if copy[0] % 3]


FAULTS: dict[str, Plant] = {
    "nothing at all": nothing,
    "three times as much": tripled,
    "half of the mailboxes without": half_gone,
    "a third of the mailboxes without": third_gone,
}


@dataclass(frozen=True)
class Corpus:
    """Mail with its last whole day."""

    name: str
    day: date
    mailboxes: int
    copies: Copies

    @classmethod
    def of(cls, name: str, tenant: Tenant, day: date) -> Corpus:
        """The countable mail of a tenant."""
        first = day - timedelta(days=700)
        return cls(
            name,
            day,
            len(tenant.people),
            [
                (number, message.received_at.replace(tzinfo=None))
                for number, person in enumerate(tenant.people)
                for message in tenant.messages.get(person.id, ())
                if first < message.received_at.date() <= day
                and message.odata_type is None
                and not message.is_draft
            ],
        )

    def planted_days(self) -> list[date]:
        """The days that a fault is planted on, in the second half of the history and up to the newest day."""
        return [self.day - timedelta(days=back) for back in range(0, YEAR_DAYS - 60, EVERY_DAYS)]


def rows_of(one: Corpus) -> Iterator[tuple[str, list[Row]]]:
    """The raw rows: an enrichment for the mail as it is and one for each fault, with mailboxes of their own."""
    by_day: dict[date, Copies] = {}
    for copy in one.copies:
        by_day.setdefault(copy[1].date(), []).append(copy)
    planted = set(one.planted_days())
    began = datetime(1990, 1, 1)
    end = datetime.combine(one.day + timedelta(days=1), datetime.min.time())
    for place, (title, plant) in enumerate([("as it is", None), *FAULTS.items()]):
        enrichment_id = f"v{place}"
        first = 1_000 * (place + 1)
        numbers = range(one.mailboxes)
        yield "settings", [(enrichment_id, "type", "office"), (enrichment_id, "name", title)]
        yield (
            "office_mailboxes",
            [
                (enrichment_id, first + n, f"e{first + n}", [first + n], None, "readable", began, None)
                for n in numbers
            ],
        )
        yield (
            "office_units",
            [
                (first + n, kind, end - timedelta(days=701), end, end, 0, "r", end, 1)
                for n in numbers
                for kind in ("messages", "meetings")
            ],
        )
        messages: list[Row] = []
        for day, copies in by_day.items():
            kept = plant(copies, one.mailboxes) if plant is not None and day in planted else copies
            messages += [
                (first + n, 0, 0, 0, at, at, None, None, [], False, False, False, at, None, 1)
                for n, at in kept
            ]
        yield (
            "office_messages",
            [(row[0], *(10_000_000 * place + key,) * 3, *row[4:]) for key, row in enumerate(messages)],
        )


def built(one: Corpus, folder: Path) -> Path:
    """A private file with the mail, and the watch built with all those days judged."""
    workspace = Workspace(folder / one.name)
    with warehouse.private_file(workspace.settings(services=())) as connection:
        for table, rows in rows_of(one):
            warehouse.append(connection, table, rows)
    environment = {
        **os.environ,
        "ENGAGEMENT_PRIVATE_FILE": str(workspace.private_file),
        "DBT_TARGET_PATH": str(folder / one.name / "target"),
        "DBT_LOG_PATH": str(folder / one.name / "logs"),
    }

    def dbt(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "dbt.cli.main", *arguments, "--project-dir", str(ROOT), "--profiles-dir", str(ROOT)],
            env=environment, cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(done.stdout)

    dbt("seed", "--select", "data_watch_limits")
    with duckdb.connect(str(workspace.private_file)) as connection:
        connection.execute(
            "update seeds.data_watch_limits set limit_value = 300 where limit_name = 'days_judged'"
        )
        for limit, value in LIMITS:
            connection.execute(
                "update seeds.data_watch_limits set limit_value = ? where limit_name = ?", [value, limit]
            )
    dbt("run", "--select", "+int_findings_of_volume", "--vars", f"{{as_of_date: '{one.day}'}}")
    return workspace.private_file


LIMITS: list[tuple[str, float]] = []


def report(one: Corpus, private_file: Path) -> Iterable[str]:
    """Findings on days without a fault by week, and the share of the planted days that was seen."""
    planted = one.planted_days()
    with duckdb.connect(str(private_file), read_only=True) as connection:
        judged = connection.execute(
            "select count(distinct day_on) from intermediate.int_volumes_judged where enrichment_id = 'v0'"
            " and volume_scope = 'all' and volume_class != 'not_judged'"
        ).fetchone()
        assert judged is not None
        weeks = judged[0] / 7
        yield f"{one.name}: {one.mailboxes} mailboxes, {len(one.copies):,} messages, {judged[0]} days judged"
        for subject in ("messages_low", "messages_high", "mailboxes_low", "mailboxes_high"):
            found = connection.execute(
                "select count(*), count(*) filter (severity = 'warning') from intermediate.int_findings_of_volume"
                " where enrichment_id = 'v0' and subject = ? and day_on is not null",
                [subject],
            ).fetchone()
            assert found is not None
            yield f"  false alarms {subject}: {found[0] / weeks:.2f} a week, {found[1] / weeks:.2f} of them warnings"
        alone = {
            row[0]
            for row in connection.execute(
                "select distinct day_on from intermediate.int_findings_of_volume where enrichment_id = 'v0'"
            ).fetchall()
        }
        for place, title in enumerate(FAULTS, start=1):
            for weekend in (False, True):
                days = [day for day in planted if (day.weekday() >= 5) == weekend]
                direction = "high" if title.startswith("three") else "low"
                seen = {
                    row[0]
                    for row in connection.execute(
                        "select distinct day_on from intermediate.int_findings_of_volume where enrichment_id = ?"
                        " and subject like '%' || ?",
                        [f"v{place}", direction],
                    ).fetchall()
                }
                hit = sum(day in seen for day in days)
                yield f"  {title}, {'weekends' if weekend else 'working days'}: {hit} of {len(days)} seen"
        yield f"  days with any finding: {len(alone)}: {', '.join(str(day) for day in sorted(alone - {None}))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--limit", action="append", default=[], metavar="NAME=VALUE", help="instead of the seed's"
    )
    for given in parser.parse_args().limit:
        name, _, value = given.partition("=")
        LIMITS.append((name, float(value)))
    with tempfile.TemporaryDirectory() as folder:
        demo = company.build()
        corpora = [Corpus.of("demo", demo, date(2026, 6, 30))]
        if os.environ.get("ENGAGEMENT_TEST_DATA"):
            corpora.append(Corpus.of("enron", corpus.enron(), corpus.ENRON_DAY))
        for one in corpora:
            print("\n".join(report(one, built(one, Path(folder)))), flush=True)


if __name__ == "__main__":
    main()
