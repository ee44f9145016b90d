"""A whole refresh through the real command: what is published, what stops it, and what a kill leaves behind."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, date
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import duckdb
import pytest

from conftest import ROOT, Workspace
from emulators.graph import Handle
from emulators.leadspace import Handle as LeadspaceHandle
from engagement.errors import DONE_WITH_UNREAD_MAILBOXES
from engagement.publish import publish, published_day
from whole_run import Refreshed, company_service, configure, mail_service, refreshed_once

# What must not stand in it is looked for there.
pytestmark = pytest.mark.usefixtures("whole_log_of_dbt")

MARTS = (
    "account_activity",
    "account_engagement",
    "account_hierarchy_engagement",
    "account_lookups",
    "account_match_fields",
    "account_matches",
    "account_outlook",
    "account_recency",
    "account_score_changes",
    "account_score_components",
    "account_score_history",
    "account_scores",
    "account_traffic",
    "backtest_bands",
    "backtest_comparisons",
    "backtest_early_warnings",
    "backtest_lift",
    "backtest_measures",
    "business_measures",
    "company_changes",
    "company_file_companies",
    "company_history",
    "company_values",
    "compared_attributes",
    "customer_card_months",
    "customer_cards",
    "customer_issues",
    "customer_measures",
    "customer_measures_rolled_up",
    "customer_profiles",
    "days",
    "enriched_customers",
    "leadspace_companies",
    "leadspace_contacts",
    "leadspace_coverage",
    "leadspace_intent",
    "leadspace_overview",
    "leadspace_relatives",
    "leadspace_specialties",
    "leadspace_technologies",
    "match_review_queue",
    "office_coverage",
    "office_days",
    "office_gaps",
    "office_overview",
    "original_enrichments",
    "original_segment_memberships",
    "original_user_entity",
    "quick_segments",
    "segment_contacts",
    "segment_counts",
    "segment_differentiators",
    "segment_distributions",
    "segment_history",
    "segment_members",
    "segment_overlaps",
    "segment_suggestions",
    "segments",
    "unmatched_domains",
)
# What tells of runs differs from run to run.
RUN_MARTS = (
    "audit_events", "data_watch", "enriched_accounts_over_time", "enrichments", "leadspace_runs", "run_history",
    "run_steps",
)  # fmt: skip
VIEWS = (
    "original_account_engagement", "original_leadspace_companies", "original_unified_activities", "relationships",
    "segment_activity",
)  # fmt: skip


@pytest.fixture(scope="module")
def service() -> Iterator[Handle]:
    with mail_service() as handle:
        yield handle


@pytest.fixture(scope="module")
def leadspace() -> Iterator[LeadspaceHandle]:
    with company_service() as handle:
        yield handle


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory: pytest.TempPathFactory) -> Refreshed:
    return refreshed_once(tmp_path_factory.getbasetemp())


@pytest.fixture
def copy(refreshed: Refreshed, service: Handle, leadspace: LeadspaceHandle, tmp_path: Path) -> Workspace:
    """The same state in a folder of its own, to be spoilt."""
    workspace = Workspace(tmp_path / "copy")
    configure(workspace, service.url, leadspace.url)
    for folder in ("data", "target"):
        shutil.copytree(refreshed.workspace.root / folder, workspace.root / folder)
    return workspace


def published(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every published table but those that tell of runs."""
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
            *(("marts", name) for name in (*MARTS, *RUN_MARTS, *VIEWS, "publication")),
            ("dataverse", "Enrichment"),
            ("dataverse", "SegmentMembership"),
            ("dataverse", "UnifiedActivity"),
            ("enrichment", "Leadspace"),
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


def guid(text: str) -> str:
    """The GUID of a text, worked out apart from the models."""
    return str(uuid.UUID(bytes=hashlib.md5(text.encode()).digest()))


def test_the_tables_of_dataverse_have_the_originals_columns_and_stable_guids(refreshed: Refreshed) -> None:
    """Names, order and types are those of the reference; identifiers and GUIDs are worked out again here."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    with (ROOT / "tests" / "fixtures" / "dataverse_columns.csv").open(encoding="utf-8") as file:
        for entry in csv.DictReader(file):
            wanted.setdefault(entry["table"], []).append((entry["column"], entry["type"]))
    rows: dict[str, list[dict[str, Any]]] = {}
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        for table in wanted:
            result = connection.execute(f'select * from dataverse."{table}"')
            described = [(column[0], str(column[1])) for column in result.description or ()]
            assert described == wanted[table], table
            rows[table] = [
                {name: value for (name, _), value in zip(described, row, strict=True)}
                for row in result.fetchall()
            ]
        office = connection.execute(
            'select "EngagementScore"::double, "NoOfEmails_FromAccount", "DaysSinceLastMeeting"'
            ' from enrichment."Office"'
            " where \"AggregationLevel\" = 'year'"
        ).fetchone()
        weeks = connection.execute(
            'select sum("NoOfEmails_ToAccount" + "NoOfEmails_FromAccount") from enrichment."Office"'
            " where \"AggregationLevel\" = 'week'"
        ).fetchone()
    said = {(row["CustomerId"], row["EnrichmentProvider"]): row for row in rows["Enrichment"]}
    assert set(said) == {("A1", "Office 365"), ("A1", "Leadspace")}
    for row in said.values():
        assert row["Identifier"] == f"{row['EnrichmentProvider']}|{row['EnrichmentType']}|{row['CustomerId']}"
        assert row["EnrichmentId"] == guid(row["Identifier"])
    values = {one["name"]: one["value"] for one in json.loads(said["A1", "Office 365"]["Values"])}
    assert office == (
        values["EngagementScore"],
        values["NoOfEmails_FromAccount"],
        values["DaysSinceLastMeeting"],
    )
    values = {one["name"]: one["value"] for one in json.loads(said["A1", "Leadspace"]["Values"])}
    assert (values["company_name"], values["employees_count"]) == ("Contoso Limited", 1200)
    activities = rows["UnifiedActivity"]
    assert {row["ActivityType"] for row in activities} == {"Email", "Meeting"}
    for row in activities:
        key = f"{row['SourceTableName']}|{row['SourceActivityId']}|{row['ActivityType']}"
        assert (row["UnifiedActivityId"], row["ActivityId"]) == (guid(key), guid(key).replace("-", ""))
        assert row["RangeIndex"] == str(int(row["ActivityTimeStamp"].replace(tzinfo=UTC).timestamp()))
    assert weeks == (
        sum(
            number["value"]
            for row in activities
            if row["ActivityType"] == "Email"
            for number in json.loads(row["SemanticData"])
        ),
    )


def test_the_card_of_a_customer_shows_what_the_originals_did(refreshed: Refreshed) -> None:
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        # no column of the customer's own says who the owner is, and A2 was never heard of
        assert connection.execute(
            "select account_id, account_owner, engagement_score is not null, emails_count, meetings_count, industry,"
            " industry_source, match_verdict, is_enriched, contacts_listed_count, days_since_last_email, segments"
            " from marts.customer_cards order by account_id"
        ).fetchall() == [
            (
                "A1",
                None,
                True,
                56,
                12,
                "Chemicals",
                "company-data",
                "accept",
                True,
                2,
                0,
                "newly_enriched,single_threaded",
            ),
            ("A2", None, False, 0, 0, None, None, None, False, 1, None, "low_engagement,never_engaged"),
        ]
        assert connection.execute(
            "select account_id, count(*), sum(emails_count), sum(meetings_count), min(month_starts_on), "
            "max(month_ends_on) from marts.customer_card_months group by account_id order by account_id"
        ).fetchall() == [
            ("A1", 12, 56, 12, date(2025, 7, 1), date(2026, 6, 30)),
            ("A2", 12, 0, 0, date(2025, 7, 1), date(2026, 6, 30)),
        ]


def test_measures_of_months_of_weeks_and_of_all_add_up(refreshed: Refreshed) -> None:
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        for level in ("month", "week"):
            assert (
                connection.execute(
                    "with pieces as ("
                    f" select account_id, date_trunc('{level}', starts_on)::date as starts_on,"
                    " sum(emails_count) as emails,"
                    " sum(meetings_count) as meetings, sum(replies_count) as replies"
                    " from marts.account_activity group by all)"
                    " select count(*), count(*) filter (emails = emails_to_account_count + emails_from_account_count"
                    " and meetings = meetings_count and replies = replies_count)"
                    " from pieces full join marts.account_engagement as periods"
                    " on pieces.account_id = periods.account_id"
                    " and pieces.starts_on = periods.aggregation_starts_on"
                    f" where periods.aggregation_level = '{level}'"
                ).fetchall()
                == connection.execute(
                    "select count(*), count(*) from marts.account_engagement where aggregation_level = ?",
                    [level],
                ).fetchall()
            )
        assert connection.execute(
            "select measure, measure_value, accounts_count from marts.business_measures where dimension = 'all'"
            " and measure in ('emails', 'meetings', 'all_accounts', 'enriched_ratio') order by measure"
        ).fetchall() == [
            ("all_accounts", 2.0, 2),
            ("emails", 56.0, 2),
            ("enriched_ratio", 0.5, 2),
            ("meetings", 12.0, 2),
        ]


def test_a_refused_mailbox_is_reported_and_the_rest_is_published(refreshed: Refreshed) -> None:
    assert "1 mailbox refused to the app" in refreshed.stderr
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        assert connection.execute(
            "select mailboxes_selected_count, mailboxes_processed_count, days_covered_count from marts.office_overview"
        ).fetchall() == [(5, 4, 365)]
    state = json.loads((refreshed.workspace.root / "data" / "run_state.json").read_text(encoding="utf-8"))
    assert (state["state"], list(state["steps"])) == (
        "done",
        ["customers", "office", "leadspace", "dbt", "publish"],
    )
    assert state["next_due"] > state["started_at"]


def test_customers_come_out_enriched(refreshed: Refreshed) -> None:
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        # the customer's own column `tier` is passed through, typed
        assert connection.execute(
            "select account_id, account_name, website, lookup_status, match_confidence, company_name, industry,"
            " employees_count, engagement_score is not null, emails_from_account_count, last_email_on,"
            " is_never_engaged, tier from marts.enriched_customers order by account_id"
        ).fetchall() == [
            (
                *(
                    "A1",
                    "Contoso",
                    "https://contoso.example",
                    "enriched",
                    "high",
                    "Contoso Limited",
                    "Chemicals",
                ),
                *(1200, True, 56, date(2026, 6, 30), False, 1),
            ),
            (
                *("A2", "Fabrikam", "https://fabrikam.example", "not_enriched", None, None, None),
                *(None, False, None, None, True, 2),
            ),
        ]
        view = connection.execute('select * from enrichment."Leadspace"')
        names = [column[0] for column in view.description or ()]
        assert (names[0], "enrichment_id" in names) == ("CustomerId", False)
        assert view.fetchone()[:5] == ("A1", ANY, "accept", "high", "Contoso Limited")  # type: ignore[index]
        assert connection.execute(
            "select field, accounts_with_value_count from marts.leadspace_coverage"
            " where field in ('industry', 'company_phone') order by field"
        ).fetchall() == [("company_phone", 0), ("industry", 1)]


def test_the_hub_tells_of_both_enrichments(refreshed: Refreshed) -> None:
    with duckdb.connect(str(refreshed.workspace.published_file), read_only=True) as connection:
        assert connection.execute(
            "select enrichment_id, enrichment_type, enrichment_state, enrichment_status, accounts_enriched_count,"
            " accounts_count, selected_count, processed_count, next_due_at - last_updated_at > interval 6 day"
            " from marts.enrichments order by all"
        ).fetchall() == [
            ("account-engagement", "office", "active", "completed_with_warnings", 1, 2, 5, 4, True),
            ("company-data", "leadspace", "active", "successful", 1, 2, 2, 2, True),
        ]
        assert connection.execute(
            "select enrichment_id, accounts_enriched_count, as_of_date from marts.enriched_accounts_over_time"
            " order by all"
        ).fetchall() == [("account-engagement", 1, date(2026, 6, 30)), ("company-data", 1, None)]
        assert connection.execute(
            "select step, step_state from marts.run_steps inner join marts.publication using (run_id)"
            " order by step_position"
        ).fetchall() == [("customers", "done"), ("office", "done"), ("leadspace", "done")]


def test_status_shows_the_hub_from_the_published_file_and_the_run_state(copy: Workspace) -> None:
    copy.private_file.unlink()
    result = copy.run("status")
    assert result.exit_code == 0, result.stderr
    for pattern in (
        r"My enrichments, published .*, as of 2026-06-30",
        r"Account engagement +office +active +completed with warnings +1 of 2 \(50.0 %\) .*in 6 days",
        r"Company data +leadspace +active +successful +1 of 2 \(50.0 %\) .*in 6 days",
        r"Account engagement: 1 of 5 mailboxes not read",
        r"Last run: `engagement run` done .* \(customers .*, publish [0-9.]+ s\)",
    ):
        assert re.search(pattern, result.stdout), result.stdout
    found = json.loads(copy.run("status", "--json").stdout)
    assert found["published"]["as_of_date"] == "2026-06-30"
    assert [entry["status"] for entry in found["enrichments"]] == ["completed_with_warnings", "successful"]
    assert (found["run"]["state"], "previous" in found["run"]) == ("done", False)


def test_status_before_the_first_run(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.enrich_companies("http://127.0.0.1:9", office={"tenant_consent": None}, active=False)
    del workspace.environment["LEADSPACE_TOKEN"]
    result = workspace.run("status")
    assert result.exit_code == 0, result.stderr
    assert "My enrichments, nothing published yet" in result.stdout
    assert re.search(r"Account engagement +office +active +waiting for administrator +- +- +-", result.stdout)
    assert re.search(r"Company data +leadspace +inactive +never run", result.stdout)
    assert "No run yet" in result.stdout
    assert list((tmp_path / "data").glob("*")) == []


def test_status_after_a_run_that_failed_at_leadspace_and_the_published_file_stays(copy: Workspace) -> None:
    before = copy.published_file.read_bytes()
    copy.environment["LEADSPACE_TOKEN"] = "another-token"
    # all answers are young, so only a changed customer makes the token matter
    accounts = (copy.root / "accounts.csv").read_text(encoding="utf-8")
    (copy.root / "accounts.csv").write_text(accounts.replace("Fabrikam", "Fabrikam Foods"), encoding="utf-8")
    result = copy.run("run")
    assert result.exit_code == 3
    assert "LEADSPACE_TOKEN is wrong or has expired" in result.stderr
    assert copy.published_file.read_bytes() == before
    result = copy.run("status")
    assert re.search(r"Company data +leadspace +active +failed +1 of 2 \(50.0 %\)", result.stdout)
    assert "Company data: Leadspace: POST /enrichment/enrich/single answered status 401" in result.stdout
    assert "Last run: `engagement run` failed just now in step leadspace: Leadspace: POST" in result.stdout
    assert "another-token" not in result.stdout + result.stderr


def test_status_while_a_run_is_going_on_and_after_it_was_killed(copy: Workspace) -> None:
    process = copy.start("run")
    state_file = copy.root / "data" / "run_state.json"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        state = json.loads(state_file.read_text(encoding="utf-8"))
        if (state["pid"], state["step"]) == (process.pid, "dbt"):
            break
        time.sleep(0.01)
    result = copy.run("status")
    assert f"`engagement run`, process {process.pid}, in step dbt (after customers" in result.stdout
    process.kill()
    process.communicate()
    result = copy.run("status")
    assert result.exit_code == 0
    assert "was killed in step dbt; run again, it goes on from there" in result.stdout


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
        refreshed.workspace.environment["LEADSPACE_TOKEN"],
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
        (
            {"args": whole["args"] | {"which": "run"}},
            "the last dbt command was `dbt run`, and only",
        ),
        ({"args": whole["args"] | {"select": ["as_of"]}}, "the last dbt command built only a part"),
        ({"args": whole["args"] | {"target": "demo"}}, "was for target demo, and what is published"),
        ({"results": [whole["results"][0] | {"status": "error"}]}, "the last dbt command failed"),
    ):
        results.write_text(json.dumps(whole | change), encoding="utf-8")
        result = copy.run("publish")
        assert result.exit_code == 7
        assert words in result.stderr
        assert copy.published_file.read_bytes() == before
    # prod is another name of the target private
    as_prod = whole | {"args": whole["args"] | {"target": "prod"}}
    results.write_text(json.dumps(as_prod), encoding="utf-8")
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


@pytest.mark.long
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


@pytest.mark.faults
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


@pytest.mark.long
def test_killed_in_dbt_the_next_run_gives_what_an_undisturbed_one_gives(
    copy: Workspace, refreshed: Refreshed, leadspace: LeadspaceHandle
) -> None:
    before = copy.published_file.read_bytes()
    # dbt takes some seconds to start, so that this falls among its models
    assert kill_in_step(copy, "dbt", 12, "run")
    assert copy.published_file.read_bytes() == before
    with duckdb.connect(str(copy.private_file)) as connection:
        was_complete = connection.execute("select is_complete from raw.refreshes").fetchall()[0][0]
    process = copy.start("run")
    _, stderr = process.communicate(timeout=180)
    assert process.returncode == DONE_WITH_UNREAD_MAILBOXES, stderr
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    # In part after a refresh that ended, whole after one that did not.
    assert copy.query("select is_complete, is_in_part from raw.refreshes") == [(True, was_complete)]
    assert not leadspace.looked_up, "a customer was sent twice"
    assert copy.query(
        "select count(*) from duckdb_tables() where table_name like '%\\_\\_dbt%' escape '\\'"
    ) == [(0,)]
    with duckdb.connect(str(copy.published_file), read_only=True) as connection:
        assert connection.execute(
            "select run_state, list(step order by step_position), published_at is not null from marts.run_history"
            " inner join marts.run_steps using (run_id) group by all order by run_state"
        ).fetchall() == [
            ("done", ["customers", "office", "leadspace", "dbt", "publish"], True),
            ("killed", ["customers", "office", "leadspace", "dbt"], False),
            ("running", ["customers", "office", "leadspace"], False),
        ]


@pytest.mark.faults
@pytest.mark.parametrize(
    "after_seconds", [*(pytest.param(seconds, marks=pytest.mark.long) for seconds in (0.1, 0.6, 2.2)), 1.4]
)
def test_killed_while_publishing_readers_see_the_old_file_or_the_new_one(
    after_seconds: float, copy: Workspace, refreshed: Refreshed
) -> None:
    kill_in_step(copy, "publish", after_seconds, "publish")
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    result = copy.run("publish")
    assert result.exit_code == 0, result.stderr
    assert published(copy.published_file) == published(refreshed.workspace.published_file)
    assert not list(copy.published_file.parent.glob(".publishing-*"))
