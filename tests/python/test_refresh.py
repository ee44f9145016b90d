"""A whole refresh through the real command: what is published, what stops it, and what a kill leaves behind."""

from __future__ import annotations

import json
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import OURS, Workspace, person, small_tenant
from emulators.graph import Handle, running
from engagement.errors import DONE_WITH_UNREAD_MAILBOXES
from engagement.publish import publish, published_day

MARTS = (
    "account_engagement",
    "account_recency",
    "account_score_components",
    "account_score_history",
    "customer_issues",
    "office_overview",
    "original_user_entity",
    "stale_accounts",
)


# Three entries for five people; the mailbox of fred is refused to the app.
ADDRESSES = [f"anna@{OURS}", f"sales@{OURS}", f"fred@{OURS}"]


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    tenant = small_tenant()
    tenant.people.append(person("fred", mailbox_state="denied"))
    with running(tenant) as handle:
        yield handle


@dataclass(frozen=True)
class Refreshed:
    """A workspace after one refresh, and what the command printed."""

    workspace: Workspace
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def refreshed(service: Handle, tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    workspace = Workspace(tmp_path_factory.mktemp("refreshed"))
    workspace.connect_to(service)
    workspace.configure(addresses=ADDRESSES)
    process = workspace.start("run")
    stdout, stderr = process.communicate(timeout=180)
    assert process.returncode == DONE_WITH_UNREAD_MAILBOXES, stderr
    return Refreshed(workspace, stdout, stderr)


@pytest.fixture
def copy(refreshed: Refreshed, tmp_path: Path) -> Workspace:
    """The same state in a folder of its own, to be spoilt."""
    source = refreshed.workspace
    workspace = Workspace(tmp_path / "copy")
    workspace.configure(addresses=ADDRESSES)
    workspace.environment |= {
        name: source.environment[name] for name in ("ENGAGEMENT_AUTHORITY_URL", "ENGAGEMENT_GRAPH_URL")
    }
    for folder in ("data", "target"):
        shutil.copytree(source.root / folder, workspace.root / folder)
    return workspace


def published(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every published table but the one that names the run."""
    with duckdb.connect(str(path), read_only=True) as connection:
        return {
            table: connection.execute(f"select * from marts.{table} order by all").fetchall()
            for table in MARTS
        }


def test_the_file_holds_the_marts_the_original_tables_and_nothing_else(refreshed: Refreshed) -> None:
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        tables = connection.execute(
            "select schema_name, table_name, comment from duckdb_tables() union all "
            "select schema_name, view_name, comment from duckdb_views() where not internal order by all"
        ).fetchall()
        assert {(schema, name) for schema, name, _ in tables} == {
            *(("marts", name) for name in (*MARTS, "publication", "original_account_engagement")),
            ("enrichment", "Office"),
            ("enrichment", "Office_UserEntity"),
        }
        assert all(comment.startswith("One row") for _, _, comment in tables)
        assert [row[0] for row in connection.execute('describe enrichment."Office"').fetchall()] == [
            "CustomerId",
            "PrimaryKey",
            "EngagementScore",
            "NoOfEmails_ToAccount",
            "NoOfEmails_FromAccount",
            "NoOfMeetings_FromAccount",
            "NoOfMeetings_ToAccount",
            "NoOfContactsInvolved_Meetings",
            "NoOfContactsInvolved_Emails",
            "NoOfAccountContactsInvolved_Meetings",
            "NoOfAccountContactsInvolved_Emails",
            "EngagementStartDate",
            "DaysSinceLastEmail",
            "DaysSinceLastMeeting",
            "AverageDuration_Of_Meetings",
            "AverageDuration_Of_AccountEmailReplies",
            "AggregationStartDate",
            "AggregationLevel",
        ]
        # Four people, 13 messages each from Contoso in the year before 2026-06-30 and four meetings, one of them to
        # come; the mail of 2026-06-30 23:30 is one of the last day's.
        assert connection.execute(
            'select "PrimaryKey", "NoOfEmails_ToAccount", "NoOfEmails_FromAccount", "NoOfMeetings_ToAccount", '
            '"NoOfContactsInvolved_Emails", "NoOfAccountContactsInvolved_Meetings", "AverageDuration_Of_Meetings" '
            'from enrichment."Office" where "AggregationLevel" = \'year\''
        ).fetchall() == [("A1|year|2025-07-01", 0, 56, 12, 4, 1, 60.0)]
        assert connection.execute('select count(*) from enrichment."Office_UserEntity"').fetchone() == (5,)


def test_a_refused_mailbox_is_reported_and_the_rest_is_published(refreshed: Refreshed) -> None:
    assert "1 mailbox refused to the app" in refreshed.stderr
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        assert connection.execute(
            "select mailboxes_selected_count, mailboxes_processed_count, days_covered_count from marts.office_overview"
        ).fetchall() == [(5, 4, 365)]
    state = json.loads((refreshed.workspace.root / "data" / "run_state.json").read_text(encoding="utf-8"))
    assert (state["state"], list(state["steps"])) == ("done", ["customers", "office", "dbt", "publish"])
    assert state["next_due"] > state["started_at"]


def test_files_are_for_their_owner_alone(refreshed: Refreshed) -> None:
    data = refreshed.workspace.private_file.parent
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert stat.S_IMODE(refreshed.workspace.private_file.stat().st_mode) == 0o600
    assert stat.S_IMODE((data / "hash_key").stat().st_mode) == 0o600
    assert not list(data.glob("*.wal"))
    assert not list(data.glob(".publishing-*"))


def test_the_run_ends_with_the_results_page(refreshed: Refreshed) -> None:
    for text in (
        "as of 2026-06-30",
        "Customers enriched",
        "1 of 2 (50.0 %)",
        "E-mail addresses selected for analysis",
        "365 of 365",
        "Contoso",
        "two way recency",
        "No stale accounts",
        f"Published: {refreshed.workspace.published_file}",
    ):
        assert text in refreshed.stdout


def test_no_address_secret_or_key_is_in_logs_or_dbts_folder(refreshed: Refreshed) -> None:
    root = refreshed.workspace.root
    secrets = [
        refreshed.workspace.environment["AZURE_CLIENT_SECRET"],
        (root / "data" / "hash_key").read_text(encoding="utf-8").strip(),
        "@contoso.example",
        "@northwind.example",
    ]
    looked_at = 0
    for path in [
        *(root / "target").rglob("*"),
        *(root / "logs").rglob("*"),
        root / "data" / "run_state.json",
    ]:
        if path.is_file():
            looked_at += 1
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content], path.name
    assert looked_at > 50


def test_a_run_that_is_not_due_does_nothing(copy: Workspace) -> None:
    before = copy.published_file.stat().st_mtime_ns
    result = copy.run("run", "--if-due")
    assert result.exit_code == 0
    assert "not due before" in result.stdout
    assert copy.published_file.stat().st_mtime_ns == before


def test_publishing_again_gives_the_same_rows(copy: Workspace) -> None:
    before = published(copy.published_file)
    result = copy.run("publish", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["tables"]["account_recency"] == 2
    assert published(copy.published_file) == before


def test_only_a_whole_successful_build_of_no_older_day_is_published(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = copy.published_file.read_bytes()
    results = copy.root / "target" / "run_results.json"
    whole = json.loads(results.read_text(encoding="utf-8"))
    for change, words in (
        ({"args": whole["args"] | {"which": "run"}}, "was `dbt run` or left something out"),
        ({"args": whole["args"] | {"select": ["as_of"]}}, "left something out"),
        ({"results": [whole["results"][0] | {"status": "error"}]}, "the last dbt command failed"),
    ):
        results.write_text(json.dumps(whole | change), encoding="utf-8")
        result = copy.run("publish")
        assert result.exit_code == 7
        assert words in result.stderr
        assert copy.published_file.read_bytes() == before
    results.write_text(json.dumps(whole), encoding="utf-8")
    with duckdb.connect(str(copy.private_file)) as connection:
        connection.execute("update intermediate.as_of set as_of_date = as_of_date - 1")
    result = copy.run("publish")
    assert result.exit_code == 7
    assert "already holds 2026-06-30, a newer day than 2026-06-29" in result.stderr
    assert copy.published_file.read_bytes() == before
    # what `engagement run --as-of` does: the day was asked for by name
    monkeypatch.setenv("DBT_TARGET_PATH", copy.environment["DBT_TARGET_PATH"])
    assert publish(copy.settings(services=()), run_id="older", allow_older=True).as_of == date(2026, 6, 29)
    assert published_day(copy.published_file) == date(2026, 6, 29)


def test_who_was_given_the_right_to_read_the_file_keeps_it(copy: Workspace) -> None:
    copy.published_file.chmod(0o640)
    assert copy.run("publish").exit_code == 0
    assert stat.S_IMODE(copy.published_file.stat().st_mode) == 0o640


def test_the_private_file_is_never_published_over(copy: Workspace) -> None:
    copy.environment["ENGAGEMENT_PUBLISHED_FILE"] = str(copy.private_file)
    result = copy.run("publish")
    assert result.exit_code == 2
    assert "ENGAGEMENT_PUBLISHED_FILE: is the private file" in result.stderr
    assert copy.query("select count(*) from raw.office_messages") != [(0,)]


def test_the_gate_stops_a_mart_that_leaks_and_the_file_stays(copy: Workspace) -> None:
    before = copy.published_file.read_bytes()
    with duckdb.connect(str(copy.private_file)) as connection:
        connection.execute("update marts.account_recency set account_name = 'kim@contoso.example'")
        connection.execute("create table marts.extra as select 1 as a")
    result = copy.run("publish")
    assert result.exit_code == 7
    assert "marts.account_recency, column account_name: address" in result.stderr
    assert "kim@" not in result.stderr
    assert copy.published_file.read_bytes() == before
    with duckdb.connect(str(copy.private_file)) as connection:
        connection.execute(
            "update marts.account_recency set account_name = 'Contoso', days_since_last_email = "
            "(select max(address_key) from raw.office_addresses)"
        )
    result = copy.run("publish")
    assert result.exit_code == 7
    assert (
        "marts.account_recency, column days_since_last_email: key: address_key of the private file"
        in result.stderr
    )
    assert copy.published_file.read_bytes() == before


def test_an_open_reader_keeps_its_file_and_a_stale_wal_goes(copy: Workspace) -> None:
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(copy.published_file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdin is not None
    first = reader.stdout.readline()
    stale = copy.published_file.with_name("engagement.duckdb.wal")
    stale.write_bytes(b"left by another file")
    assert copy.run("publish").exit_code == 0
    reader.stdin.write("again\n")
    reader.stdin.flush()
    assert reader.stdout.readline() == first
    reader.stdin.close()
    assert reader.wait(timeout=20) == 0
    assert not stale.exists()
    published(copy.published_file)


READER = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1], read_only=True)
for _ in range(2):
    row = connection.execute(
        "select run_id, (select count(*) from marts.account_engagement) from marts.publication"
    ).fetchone()
    print(row, flush=True)
    sys.stdin.readline()
"""


def kill_in_step(workspace: Workspace, step: str, after_seconds: float, *arguments: str) -> bool:
    """Start the command and kill it so long after it has entered the step; False where it was done before."""
    process = workspace.start(*arguments)
    state_file = workspace.root / "data" / "run_state.json"
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        try:
            state = json.loads(state_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            state = {}
        if state.get("pid") == process.pid and state.get("step") == step:
            break
        time.sleep(0.005)
    try:
        process.wait(timeout=after_seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


def test_killed_in_dbt_the_next_run_gives_what_an_undisturbed_one_gives(
    copy: Workspace, refreshed: Refreshed
) -> None:
    before = copy.published_file.read_bytes()
    # dbt takes some seconds to start, so that this falls among its models
    assert kill_in_step(copy, "dbt", 12, "run")
    assert copy.published_file.read_bytes() == before
    process = copy.start("run")
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == DONE_WITH_UNREAD_MAILBOXES, stderr
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    assert copy.query(
        "select count(*) from duckdb_tables() where table_name like '%\\_\\_dbt%' escape '\\'"
    ) == [(0,)]


@pytest.mark.parametrize("after_seconds", [0.1, 0.6, 1.4, 2.2])
def test_killed_while_publishing_readers_see_the_old_file_or_the_new_one(
    after_seconds: float, copy: Workspace, refreshed: Refreshed
) -> None:
    kill_in_step(copy, "publish", after_seconds, "publish")
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    result = copy.run("publish")
    assert result.exit_code == 0, result.stderr
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    assert not list(copy.published_file.parent.glob(".publishing-*"))
