"""The watch on the data: planted faults in a whole run, what it tells to whom, and that rows depend on nothing else."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from conftest import NOW, OURS, Workspace, emulated, message, person, write_csv
from emulators.firmographics import Company
from emulators.leadspace import running as running_leadspace
from emulators.tenant import Tenant
from engagement import service_findings, warehouse
from engagement.customers import CustomersResult
from engagement.office.extract import OfficeResult
from project_fixtures import ROOT, CompiledProject, run_dbt

# NOW's newest whole day.
DAY = date(2026, 6, 30)
PEOPLE = [person(f"p{number:02d}") for number in range(12)]
COMPANIES = [Company("Contoso", "contoso.example", "DE", industry="Chemicals", employees=1200)]
CONTACTS = [
    {"contact_id": "C0", "account_id": "A1", "email": "kim@contoso.example"},
    *({"contact_id": f"C{n}", "account_id": "A1", "email": f"c{n}@contoso.example"} for n in range(1, 40)),
]


def tenant() -> Tenant:
    """Twelve people with four messages a day of the last 100; a day without any, a day with three times as many, one
    person silent for the last twenty days.
    """
    made = Tenant(now=NOW, people=list(PEOPLE))
    for owner in PEOPLE:
        days = [DAY - timedelta(days=back) for back in range(100)]
        made.messages[owner.id] = [
            message(owner, f"{owner.id}:{day}:{number}", instant_of(day, number))
            for day in days
            for number in range(count_on(owner.mail, day))
        ]
    return made


NOTHING_ON, TRIPLED_ON = DAY - timedelta(days=2), DAY - timedelta(days=5)
SILENT, SILENT_FROM = PEOPLE[3].mail, DAY - timedelta(days=19)


def count_on(mail: str, day: date) -> int:
    if day == NOTHING_ON or (mail == SILENT and day >= SILENT_FROM):
        return 0
    return 12 if day == TRIPLED_ON else 4


def instant_of(day: date, number: int) -> datetime:
    return datetime.combine(day, datetime.min.time(), NOW.tzinfo) + timedelta(hours=6, minutes=number)


def watch_of(workspace: Workspace) -> dict[tuple[str, str | None], list[Any]]:
    with duckdb.connect(str(workspace.published_file), read_only=True) as connection:
        return {
            (subject, None if day is None else str(day)): rest
            for subject, day, *rest in connection.execute(
                "select subject, day_on, severity, observed_value, since_on, finding from marts.data_watch"
            ).fetchall()
        }


@pytest.mark.long
@pytest.mark.parametrize("mode", ["show", pytest.param("band", marks=pytest.mark.long)])
def test_a_whole_run_tells_of_what_was_planted(workspace: Workspace, mode: str) -> None:
    write_csv(workspace.root / "contacts.csv", CONTACTS)
    with running_leadspace(COMPANIES, polls_before_done=0, extra_unknown_fields=True) as leadspace:
        workspace.enrich_companies(leadspace.url, office={"addresses": [one.mail for one in PEOPLE]})
        raw = workspace.root / "enrichments.yml"
        raw.write_text(
            raw.read_text("utf-8").replace(
                "time_zone: UTC", f"time_zone: UTC\n  small_numbers: {mode}\n  k: 5"
            ),
            "utf-8",
        )
        with emulated(tenant(), workspace, extra_properties=True):
            first = workspace.run("run")
            assert first.exit_code == 0, first.stderr
            found = watch_of(workspace)
            [unasked] = [key for key in found if key[0].startswith("microsoft_graph:")]
            assert found.keys() == {
                ("messages_low", str(NOTHING_ON)),
                ("messages_high", str(TRIPLED_ON)),
                unasked,
                ("leadspace_new:emulator_unknown", None),
                # A single person's silence is nobody's business in band mode.
                *({("mailboxes", None)} if mode == "show" else ()),
            } | {key for key in found if key[0].startswith("leadspace_new:")}
            severity, observed, _, words = found["messages_low", str(NOTHING_ON)]
            assert (severity, observed) == ("warning", 0 if mode == "show" else None)
            assert (
                "had 0 messages, where" if mode == "show" else "about 0 % of the messages that are usual"
            ) in words
            if mode == "show":
                assert found["mailboxes", None][:3] == ["warning", 1, SILENT_FROM]
            # Whoever looks is told, and whoever reads the status too.
            assert f"watch, Account engagement: {words}" in first.stdout
            status = workspace.run("status")
            assert f"watch, Account engagement: {words}" in status.stdout
            assert "more in marts.data_watch" in status.stdout
            [told] = [
                finding
                for finding in json.loads(workspace.run("status", "--json").stdout)["watch"]
                if finding["subject"] == "messages_low"
            ]
            assert told["finding"] == words
            assert told["day_on"] == str(NOTHING_ON)
            if mode == "show":
                return
            # The contact file is cut off.
            write_csv(workspace.root / "contacts.csv", CONTACTS[:2])
            second = workspace.run("run")
            assert second.exit_code == 0, second.stderr
    lost = watch_of(workspace)["contacts", None]
    assert lost[1] == (2 if mode == "show" else None)
    assert ("have 2 contacts, and had 40" if mode == "show" else "have 1-4 contacts, and had 40-79") in lost[
        3
    ]
    everything = json.dumps([list(map(str, row)) for row in watch_of(workspace).values()])
    assert OURS not in everything
    assert "@" not in everything


# --- what is landed


def test_names_of_properties_are_told_and_nothing_else() -> None:
    assert service_findings.property_name("subject") == "subject"
    assert service_findings.property_name("receivedDateTime@odata.type") == "receivedDateTime.odata.type"
    assert service_findings.property_name("@odata.etag") == "odata.etag"
    for address in ("kim@contoso.example", "kim@odata.example@x", "kim@", "a@odata."):
        assert service_findings.property_name(address) == service_findings.NO_NAME
    assert service_findings.property_name("a b\x00/ü'") == "a_b____"
    assert service_findings.property_name("x" * 65) == "x" * 64
    assert service_findings.property_name("") == service_findings.NO_NAME


def rows(connection: warehouse.Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "select run_id, service, kind, property, items_count from raw.service_findings order by all"
    ).fetchall()


def test_what_a_service_sent_is_noted_once_a_run(workspace: Workspace) -> None:
    result = OfficeResult(
        messages=7, meetings=2, bad_dates=1, unasked=Counter({"subject": 3, "sub ject": 1, "sub_ject": 1})
    )
    with warehouse.private_file(workspace.settings(services=())) as connection:
        for _ in range(2):
            service_findings.note_office(connection, "r1", result)
        service_findings.note_customers(connection, "r1", CustomersResult(accounts=2, contacts=3, issues={}))
        assert rows(connection) == [
            ("r1", "customer_files", "rows", "accounts", 2),
            ("r1", "customer_files", "rows", "contacts", 3),
            ("r1", "graph", "read", "items", 9),
            ("r1", "graph", "unasked", "sub_ject", 2),
            ("r1", "graph", "unasked", "subject", 3),
            ("r1", "graph", "unreadable_date", "dates", 1),
        ]


def test_a_service_that_invents_names_fills_nothing(workspace: Workspace) -> None:
    result = OfficeResult(unasked=Counter({f"n{number:03d}": 1 for number in range(500)}))
    with warehouse.private_file(workspace.settings(services=())) as connection:
        service_findings.note_office(connection, "r1", result)
        unasked = [row for row in rows(connection) if row[2] == "unasked"]
    assert len(unasked) == service_findings.MOST_NAMES + 1
    assert ("r1", "graph", "unasked", service_findings.OTHERS, 480) in unasked


def test_what_is_older_than_the_retention_goes(workspace: Workspace) -> None:
    with warehouse.private_file(workspace.settings(services=())) as connection:
        now = warehouse.utc_now()
        for name, days in (("old", 761), ("kept", 759)):
            warehouse.append(
                connection,
                "service_findings",
                [(name, "graph", "read", "items", 1, now - timedelta(days=days))],
            )
        service_findings.note_office(connection, "new", OfficeResult())
        assert {row[0] for row in rows(connection)} == {"kept", "new"}


# --- the seeds


def test_every_field_that_a_model_reads_is_a_known_one(compiled_project: CompiledProject) -> None:
    read = set()
    for node in compiled_project.nodes("model"):
        if node["name"].startswith("stg_leadspace__"):
            read |= set(re.findall(r"data\.company\.([A-Za-z_0-9.]*[A-Za-z_0-9])", node["compiled_code"]))
    seed = (ROOT / "seeds" / "leadspace_fields.csv").read_text("utf-8").splitlines()[1:]
    known = {line.split(",")[0]: line.split(",")[1] for line in seed}
    assert len(read) > 50
    assert read - known.keys() == set()
    assert {field for field, shape in known.items() if shape != "object"} - read == set()
    assert {field.split(".")[0] for field in read if "." in field} == {
        field for field, shape in known.items() if shape == "object"
    }


# A limit, the row instead of the seed's (None takes it out), and what is said of it.
WRONG_LIMITS: list[tuple[str, tuple[str, str] | None, str]] = [
    ("days_judged", None, "days_judged: is missing"),
    ("quiet_gasp", ("3", "gaps"), "quiet_gasp: no such limit"),
    ("quiet_gaps", ("3", "days"), "quiet_gaps: unit has to be gaps"),
    ("volume_spreads", ("0.5", "spreads"), "volume_spreads: 0.5 is not between 1 and 100"),
    ("mailbox_spreads", ("100.5", "spreads"), "mailbox_spreads: 100.5 is not between 1 and 100"),
    ("old_answers_ratio", ("null", "ratio"), "old_answers_ratio: (none) is not between 0 and 1"),
    ("unreadable_ratio", ("'nan'", "ratio"), "unreadable_ratio: nan is not between 0 and 1"),
    (
        "history_least_days",
        ("9", "days"),
        "history_least_days: is more than history_weeks, so that no day would be judged",
    ),
    # The ends of a range are right.
    ("volume_loss_ratio", ("0", "ratio"), ""),
    ("matches_loss_ratio", ("1", "ratio"), ""),
]


def test_every_limit_that_cannot_be_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    private_file = tmp_path / "private.duckdb"
    with duckdb.connect(str(private_file)) as connection:
        connection.execute("create schema seeds")
        connection.execute(
            f"create table seeds.data_watch_limits as from read_csv('{ROOT / 'seeds' / 'data_watch_limits.csv'}')"
        )
        connection.execute("alter table seeds.data_watch_limits alter limit_value type double")
    arguments = ("run-operation", "check_data_watch_limits", "--args", "{relation: seeds.data_watch_limits}")
    run_dbt(*arguments, target=tmp_path / "target", private_file=private_file)
    with duckdb.connect(str(private_file)) as connection:
        for name, row, _ in WRONG_LIMITS:
            connection.execute("delete from seeds.data_watch_limits where limit_name = ?", [name])
            if row is not None:
                connection.execute(
                    f"insert into seeds.data_watch_limits values ('{name}', {row[0]}, '{row[1]}', '')"
                )
        connection.execute(
            "insert into seeds.data_watch_limits from seeds.data_watch_limits where limit_name = 'freshness_days'"
        )
    capsys.readouterr()
    with pytest.raises(AssertionError):
        run_dbt(*arguments, target=tmp_path / "target", private_file=private_file)
    told = " ".join(capsys.readouterr().out.split())
    expected = [message for _, _, message in WRONG_LIMITS if message] + ["freshness_days: stands twice"]
    assert f"seeds/data_watch_limits.csv: {'; '.join(sorted(expected))}" in told


# --- nothing but what was read by the day


def landed(private_file: Path, seed: int, until: datetime, shuffle: int | None = None) -> None:
    """Random mail of eight mailboxes in two enrichments as raw rows, up to an instant."""
    random = Random(seed)
    began, end = datetime(2026, 1, 1), datetime(2026, 7, 20)
    messages: list[tuple[Any, ...]] = []
    for mailbox_id in range(1, 9):
        rate = 4 if mailbox_id == 3 else random.choice([0.5, 4, 12])
        silent = datetime(2026, 6, 1) if mailbox_id == 3 else None
        at = began
        while (at := at + timedelta(days=random.expovariate(rate))) < end:
            key = len(messages) + 1
            if at < until and (silent is None or at < silent) and not (18 <= at.day <= 19 and at.month == 6):
                messages.append(
                    (
                        mailbox_id,
                        key,
                        key,
                        key,
                        at,
                        at,
                        900 + key % 3,
                        None,
                        [mailbox_id],
                        False,
                        False,
                        False,
                        at,
                        None,
                        1,
                    )
                )
            else:
                messages.append((mailbox_id, key, *(None,) * 13))
    tables: dict[str, list[tuple[Any, ...]]] = {
        "settings": [
            ("", "reporting.time_zone", "Europe/Berlin"),
            *(
                (name, key, value)
                for name in ("v1", "v2")
                for key, value in (("type", "office"), ("name", name))
            ),
        ],
        "office_mailboxes": [
            (f"v{1 + number % 2}", number, f"e{number}", [number], None, "readable", began, None)
            for number in range(1, 9)
        ],
        "office_units": [
            (number, kind, began, end, end, 0, "r", end, 1)
            for number in range(1, 9)
            for kind in ("messages", "meetings")
        ],
        "office_addresses": [(900 + number, "acme.example", "person") for number in range(3)],
        "contacts": [("c1", "a1", 900, "acme.example")],
        "accounts": [],
        "office_messages": [row for row in messages if row[4] is not None],
    }
    with duckdb.connect(str(private_file)) as connection:
        for table, values in tables.items():
            if shuffle is not None:
                Random(shuffle).shuffle(values)
            with warehouse.transaction(connection):
                warehouse.replace_table(connection, table, values)
        connection.execute("delete from raw.refreshes")


@pytest.fixture(scope="module")
def warehouse_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    workspace = Workspace(tmp_path_factory.mktemp("watched"))
    with warehouse.private_file(workspace.settings(services=())):
        pass
    yield workspace.private_file


def watched(private_file: Path) -> list[tuple[Any, ...]]:
    run_dbt(
        *("run", "--select", "+data_watch", "--vars", f"{{as_of_date: '{DAY}'}}"),
        target=private_file.parent / "target",
        private_file=private_file,
    )
    with duckdb.connect(str(private_file), read_only=True) as connection:
        return connection.execute("select * from marts.data_watch order by all").fetchall()


@pytest.mark.long
def test_rows_depend_neither_on_order_nor_on_what_came_later(warehouse_file: Path) -> None:
    landed(warehouse_file, 5, datetime(2026, 7, 20))
    expected = watched(warehouse_file)
    assert {row[2] for row in expected} >= {"volume", "quiet_mailboxes"}
    # Berlin's midnight after the day.
    landed(warehouse_file, 5, datetime(2026, 6, 30, 22), shuffle=9)
    assert watched(warehouse_file) == expected
    # What came before it counts.
    landed(warehouse_file, 5, datetime(2026, 6, 28, 22))
    assert watched(warehouse_file) != expected
