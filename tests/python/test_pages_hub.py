"""The page Enrichments: how each stands, what else there is, what ran, what was done."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from engagement import statements
from engagement.configuration.customers import ContactsFile
from engagement.configuration.enrichments import LARGEST_SELECTION, SMALLEST_SELECTION
from engagement.configuration.reporting import Reporting
from engagement.configuration.urls import DEFAULT_GRAPH_URL, DEFAULT_LEADSPACE_URL
from engagement.pages import enrichments, formats
from engagement.pages.hub import catalogue, records, runs
from pages_world import app, cells, demo_file, tables  # noqa: F401  (a fixture)
from published_sample import PUBLISHED_AT, publish_rows

ROOT = Path(__file__).parents[2]
HOSTILE = "<script>alert(1)</script> **b** [x](y) :red[z] $1$"
MINE = "My enrichments"

OFFICE = {
    "enrichment_id": "sales",
    "enrichment_name": "Sales",
    "enrichment_type": "office",
    "output_table": "Office",
    "enrichment_state": "active",
    "enrichment_status": "successful",
    "refresh_frequency": "weekly",
    "accounts_enriched_count": 1052,
    "accounts_count": 1600,
    "accounts_enriched_ratio": 0.6575,
    "last_updated_at": datetime(2026, 7, 1, 5, 0),
    "next_due_at": datetime(2026, 7, 8, 5, 0),
}
LEADSPACE = {
    **OFFICE,
    "enrichment_id": "companies",
    "enrichment_name": "Companies",
    "enrichment_type": "leadspace",
    "output_table": "Leadspace",
    "enrichment_status": "completed_with_warnings",
    "status_detail": "1 customer without a name; not sent, name them",
}
EMPTY: dict[str, list[dict[str, Any]]] = {
    "data_watch": [],
    "run_history": [],
    "run_steps": [],
    "customer_issues": [],
    "audit_events": [],
}


def written(folder: Path, **rows: Any) -> Path:
    """A file with these rows, and the hub's other tables empty."""
    path = folder / "engagement.duckdb"
    publish_rows(path, {"enrichments": [OFFICE, LEADSPACE], **EMPTY, **rows})
    return path


def run_noted(run_id: str, state: str, **fields: Any) -> dict[str, Any]:
    """A run as run_state.json has it."""
    return {
        "run_id": run_id,
        "command": "run",
        "state": state,
        "step": None,
        "pid": 1,
        "started_at": "2026-07-02T05:00:00.000Z",
        "finished_at": None if state == "running" else "2026-07-02T05:01:40.000Z",
        "steps": {},
        "progress": None,
        "enrichments": {},
        "error": None,
        "published_run_id": None,
        "previous": [],
        **fields,
    }


def noted(folder: Path, run: Mapping[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "run_state.json").write_text(json.dumps(run), "utf-8")


def said(test: AppTest) -> str:
    """All that the page says outside of tables."""
    kinds = (test.markdown, test.caption, test.info, test.warning, test.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


# --- my enrichments


def test_my_enrichments_are_those_of_the_file(demo_file: Path) -> None:  # noqa: F811
    shown = app(demo_file, "enrichments")
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        rows = connection.execute(
            "select enrichment_name, accounts_enriched_count, accounts_count, enrichment_status "
            "from marts.enrichments order by enrichment_name"
        ).fetchall()
    assert [(row[0], row[4], row[3]) for row in cells(shown, MINE)] == [
        (name, f"{enriched} of {accounts}", formats.words(status))
        for name, enriched, accounts, status in rows
    ]
    assert not shown.exception


def test_each_stands_in_words_with_when_and_how_many(tmp_path: Path) -> None:
    now = datetime.now()
    due = {
        **OFFICE,
        "last_updated_at": now - timedelta(hours=2, minutes=5),
        "next_due_at": now + timedelta(days=6.1),
    }
    manual = {**LEADSPACE, "refresh_frequency": "manual", "next_due_at": None, "last_updated_at": None}
    late = {
        **LEADSPACE,
        "enrichment_id": "late",
        "enrichment_name": "Late",
        "next_due_at": now - timedelta(days=1),
    }
    contacts = {
        **OFFICE,
        "enrichment_id": "people",
        "enrichment_name": "People",
        "enrichment_type": "leadspace_contacts",
        "accounts_enriched_count": 0,
        "accounts_count": 0,
        "accounts_enriched_ratio": None,
    }
    shown = app(written(tmp_path, enrichments=[due, manual, late, contacts]), "enrichments")
    rows = {row["cells"][0]: row for row in tables(shown)[MINE]["rows"]}
    assert rows["Sales"]["cells"][1:] == [
        "E-mail and calendars",
        "Active",
        "Successful",
        "1,052 of 1,600",
        "2 hours ago",
        "in 6 days",
    ]
    assert rows["Sales"]["details"][0] == "Office"
    assert rows["Sales"]["details"][4] == "66 %"
    assert rows["Sales"]["details"][5] == formats.instant(due["last_updated_at"])
    assert rows["Companies"]["cells"][5:] == [formats.MISSING, "Only by hand"]
    assert rows["Late"]["cells"][6] == "Due now"
    assert rows["People"]["cells"][4] == formats.MISSING
    assert rows["Sales"]["href"] == "results?enrichment=sales"


def test_what_to_know_and_to_do_stands_below(tmp_path: Path) -> None:
    waiting = {**OFFICE, "enrichment_status": "waiting_for_administrator"}
    inactive = {**LEADSPACE, "enrichment_id": "off", "enrichment_name": "Off", "enrichment_state": "inactive"}
    failed = {
        **LEADSPACE,
        "enrichment_id": "bad",
        "enrichment_name": "Bad",
        "enrichment_status": "failed",
        "status_detail": HOSTILE,
    }
    shown = app(written(tmp_path, enrichments=[waiting, LEADSPACE, inactive, failed]), "enrichments")
    infos = [element.value for element in shown.info]
    assert any("`engagement consent sales --request`" in text for text in infos)
    assert any("**Companies**" in element.value and "not sent" in element.value for element in shown.warning)
    assert any("**Off**: Deactivated" in element.value for element in shown.warning)
    [error] = [element.value for element in shown.error]
    assert formats.plain(HOSTILE) in error
    assert "<script>" not in error.replace(r"\<script", "")


def test_names_are_no_markup(tmp_path: Path) -> None:
    shown = app(written(tmp_path, enrichments=[{**LEADSPACE, "enrichment_name": HOSTILE}]), "enrichments")
    assert cells(shown, MINE)[0][0] == HOSTILE
    assert f"**{formats.plain(HOSTILE)}**" in shown.warning[0].value


def test_no_enrichment_is_said(tmp_path: Path) -> None:
    shown = app(written(tmp_path, enrichments=[]), "enrichments")
    assert "none is configured" in said(shown)
    assert not shown.exception


def test_every_status_and_type_of_the_models_has_words() -> None:
    described = yaml.safe_load((ROOT / "models/marts/hub/_hub__models.yml").read_text("utf-8"))
    [model] = [model for model in described["models"] if model["name"] == "enrichments"]
    values = {
        column["name"]: column["data_tests"][0]["accepted_values"]["arguments"]["values"]
        for column in model["columns"]
        if column.get("data_tests")
    }
    assert set(values["enrichment_status"]) == set(enrichments.STATUSES)
    assert set(values["enrichment_type"]) == set(enrichments.TYPES)


# --- what runs do


def test_a_newer_run_that_failed_is_said_and_the_published_stands(tmp_path: Path) -> None:
    path = written(tmp_path)
    ended = {
        "sales": {"state": "failed", "detail": "the sign-in was refused"},
        "companies": {"state": "successful"},
    }
    noted(
        tmp_path, run_noted("r2", "failed", step="office", error="the sign-in was refused", enrichments=ended)
    )
    shown = app(path, "enrichments")
    rows = {row[0]: row for row in cells(shown, MINE)}
    assert (rows["Sales"][3], rows["Sales"][4]) == ("Failed", "1,052 of 1,600")
    # Its warning was of the run before.
    assert rows["Companies"][3] == "Successful"
    assert not shown.warning
    errors = [element.value for element in shown.error]
    assert any("in step office" in text and "the sign\\-in was refused" in text for text in errors)
    assert all("What was published before still stands" in text for text in errors)


def test_the_run_that_made_the_file_changes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path)
    noted(tmp_path, run_noted("r1", "done", enrichments={"sales": {"state": "running", "detail": "old"}}))
    assert {row[3] for row in cells(app(path, "enrichments"), MINE)} == {
        "Successful",
        "Completed with warnings",
    }


def test_a_run_that_goes_on_is_shown_with_how_far_it_is(tmp_path: Path) -> None:
    path = written(tmp_path)
    going = run_noted(
        "r2",
        "running",
        step="office",
        progress={"text": "mailboxes: 7 of 14", "at": "2026-07-02T05:00:30.000Z"},
        enrichments={"sales": {"state": "running", "detail": None}},
    )
    noted(tmp_path, going)
    with (tmp_path / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        shown = app(path, "enrichments")
    assert "mailboxes\\: 7 of 14" in shown.info[0].value
    assert "`engagement run`" in shown.info[0].value
    assert {row[0]: row[3] for row in cells(shown, MINE)}["Sales"] == "Running now"
    # The lock is free now: it was killed.
    killed = app(path, "enrichments")
    assert any("was killed in step office" in element.value for element in killed.warning)
    assert {row[0]: row[3] for row in cells(killed, MINE)}["Sales"] == "Failed"


def test_the_history_has_the_runs_of_the_file_and_newer_ones(tmp_path: Path) -> None:
    history = [
        {
            "run_id": "r0",
            "command": "extract office",
            "run_state": "failed",
            "error_text": HOSTILE,
            "duration_seconds": 185.0,
            "started_at": datetime(2026, 6, 30, 5, 0),
        },
        {
            "run_id": "r1",
            "command": "run",
            "run_state": "running",
            "started_at": datetime(2026, 7, 1, 5, 0),
            "published_at": PUBLISHED_AT,
        },
    ]
    steps = [
        {
            "run_id": "r0",
            "step_position": 1,
            "step": "customers",
            "step_state": "done",
            "duration_seconds": 0.5,
        },
        {
            "run_id": "r0",
            "step_position": 2,
            "step": "office",
            "step_state": "failed",
            "duration_seconds": None,
        },
    ]
    path = written(tmp_path, run_history=history, run_steps=steps)
    first = app(path, "enrichments", query={"view": "Runs"})
    # Nothing tells how the run that made the file ended, but that it made it.
    assert [row[2] for row in cells(first, "Runs")] == ["Made this file", "Failed"]

    before = run_noted(
        "r1", "done", started_at="2026-07-01T05:00:00.000Z", finished_at="2026-07-01T05:00:33.800Z"
    )
    newest = run_noted(
        "r2", "cancelled", step="dbt", steps={"customers": 0.1, "office": 12.0, "dbt": 4.0}, previous=[before]
    )
    noted(tmp_path, newest)
    shown = app(path, "enrichments", query={"view": "Runs"})
    rows = cells(shown, "Runs")
    assert [(row[1], row[2], row[3]) for row in rows] == [
        ("run", "Cancelled", "1 min 40 s"),
        ("run", "Done", "33.8 s"),
        ("extract office", "Failed", "3 min 05 s"),
    ]
    assert [row[4] for row in rows] == [formats.MISSING, formats.instant(PUBLISHED_AT), formats.MISSING]
    assert rows[2][5] == HOSTILE
    caption = f"Steps of the run of {formats.instant(datetime(2026, 7, 2, 5, 0))}"
    assert cells(shown, caption) == [
        ["Customer files", "Done", "0.1 s"],
        ["E-mail and calendars", "Done", "12.0 s"],
        ["Computing and testing", "Cancelled", "4.0 s"],
    ]

    older = app(path, "enrichments", query={"view": "Runs", "run": "r0"})
    caption = f"Steps of the run of {formats.instant(datetime(2026, 6, 30, 5, 0))}"
    assert cells(older, caption) == [
        ["Customer files", "Done", "0.5 s"],
        ["E-mail and calendars", "Failed", formats.MISSING],
    ]
    assert "No run has this id" in said(app(path, "enrichments", query={"view": "Runs", "run": "nonsense"}))


def test_of_many_runs_the_newest_are_shown_and_it_is_said(tmp_path: Path) -> None:
    many = [
        {
            "run_id": f"r{place:04}",
            "command": "run",
            "run_state": "done",
            "started_at": datetime(2026, 1, 1) + timedelta(hours=place),
        }
        for place in range(300)
    ]
    shown = app(written(tmp_path, run_history=many), "enrichments", query={"view": "Runs"})
    assert tables(shown)["Runs"]["rows"][0]["href"].endswith("run=r0299")
    assert "The first 200 of 300" in said(shown)
    assert not shown.exception


def test_without_any_run(tmp_path: Path) -> None:
    shown = app(written(tmp_path), "enrichments", query={"view": "Runs"})
    assert "`engagement run` makes the first" in said(shown)
    assert not shown.exception


def test_every_action_and_state_of_the_models_has_words() -> None:
    for action in (
        "consent_requested",
        "access",
        "erasure",
        "removal",
        "publication",
        "export",
        "restoration",
    ):
        assert "_" not in records.action_in_words(action)
    for state in ("running", "done", "failed", "cancelled", "killed"):
        assert runs.state_in_words(state) != state


# --- the watch, the customer files, the record


def test_findings_of_the_watch_warnings_first(tmp_path: Path) -> None:
    found = [
        {
            "finding_id": "b",
            "enrichment_id": "sales",
            "severity": "notice",
            "finding": "a new field",
            "check_name": "x",
        },
        {
            "finding_id": "a",
            "severity": "warning",
            "finding": HOSTILE,
            "day_on": "2026-06-29",
            "since_on": "2026-06-28",
            "check_name": "volume",
        },
    ]
    shown = app(written(tmp_path, data_watch=found), "enrichments")
    assert cells(shown, "Findings of the watch on the data") == [
        ["Warning", "All", HOSTILE, "29 Jun 2026", "28 Jun 2026"],
        ["Notice", "Sales", "a new field", formats.MISSING, formats.MISSING],
    ]
    assert "Nothing unusual" in said(app(written(tmp_path / "other"), "enrichments"))


def test_findings_in_the_customer_files_and_events(tmp_path: Path) -> None:
    issues = [
        {
            "issue": "account_without_name",
            "subject_type": "account",
            "subject_id": "A&1",
            "detail": "name it",
        },
        {
            "issue": "contact_without_address",
            "subject_type": "contact",
            "subject_id": "C1",
            "detail": "correct it",
        },
    ]
    events = [
        {"event_id": "1", "action": "erasure", "happened_at": datetime(2026, 6, 1, 12, 0)},
        {
            "event_id": "2",
            "action": "consent_given",
            "enrichment_id": "sales",
            "detail": "consent, statement 1",
            "happened_at": datetime(2026, 6, 2, 12, 0),
        },
    ]
    shown = app(
        written(tmp_path, customer_issues=issues, audit_events=events),
        "enrichments",
        query={"view": "Records"},
    )
    assert cells(shown, "Findings about accounts") == [["A&1", "Account without name", "name it"]]
    assert tables(shown)["Findings about accounts"]["rows"][0]["href"] == "customer?account=A%261"
    assert cells(shown, "Findings about contacts") == [["C1", "Contact without address", "correct it"]]
    [caption] = [caption for caption in tables(shown) if caption.startswith("Consents")]
    assert [row[1:] for row in cells(shown, caption)] == [
        ["Consent given", "Sales", "consent, statement 1"],
        ["A person was erased", formats.MISSING, formats.MISSING],
    ]


def test_findings_in_the_customer_files_are_for_who_sees_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    issues = [
        {"issue": "account_without_name", "subject_type": "account", "subject_id": "A1", "detail": "name it"}
    ]
    path = written(
        tmp_path, customer_issues=issues, customer_cards=[{"account_id": "A2", "account_owner": "kim"}]
    )
    monkeypatch.setattr("engagement.pages.reader._viewer", lambda site: ("kim", frozenset({"kim"})))
    shown = app(path, "enrichments", query={"view": "Records"})
    assert "shown to who sees all accounts" in said(shown)
    assert "Findings about accounts" not in tables(shown)


def test_a_file_that_lacks_a_part_shows_the_others(tmp_path: Path) -> None:
    path = tmp_path / "engagement.duckdb"
    publish_rows(path, {"enrichments": [OFFICE]})
    shown = app(path, "enrichments")
    assert cells(shown, MINE)[0][0] == "Sales"
    assert any("needs a file of this release" in element.value for element in shown.info)
    for view in ("Discover", "Runs", "Records"):
        assert not app(path, "enrichments", query={"view": view}).exception


# --- discover


def test_every_type_has_a_tile_with_how_many_are_in_use(tmp_path: Path) -> None:
    second = {**OFFICE, "enrichment_id": "service", "enrichment_name": "Service"}
    shown = app(written(tmp_path, enrichments=[OFFICE, second]), "enrichments", query={"view": "Discover"})
    assert [element.value for element in shown.subheader] == list(enrichments.TYPES.values())
    uses = [element.value for element in shown.markdown if element.value.startswith("**In use:**")]
    assert uses == ["**In use:** 2", *["**In use:** not yet"] * 3]
    assert [element.value for element in shown.code] == [kind.example.strip() for kind in catalogue.types()]
    text = said(shown)
    assert f"{SMALLEST_SELECTION} to {LARGEST_SELECTION:,} people" in text
    # Broken in the statement to keep lines short, and not where something is listed.
    assert "its owner alone can read" in text
    assert "bccRecipients  \n" in text
    assert "`engagement consent NAME --withdraw`" in text


@pytest.mark.parametrize("kind", catalogue.types(), ids=lambda kind: kind.name)
def test_the_lines_to_paste_are_those_of_the_shipped_file_and_valid(kind: catalogue.Type) -> None:
    enrichment = catalogue.enrichment_of(kind.example)
    assert enrichment.type == kind.name
    shipped = (ROOT / "enrichments.yml").read_text("utf-8").partition("\nenrichments:\n")[2]
    # The examples there stand in comments, but for the first.
    lines = [line.removeprefix("  # ") if line.startswith("  # ") else line for line in shipped.splitlines()]
    begin = next(place for place, line in enumerate(lines) if line.strip() == f"- type: {kind.name}")
    indent = len(lines[begin]) - len(lines[begin].lstrip())
    block = [lines[begin]]
    for line in lines[begin + 1 :]:
        if not line.startswith(" " * (indent + 2)) and not line.strip().startswith("#"):
            break
        block.append(line)
    [theirs] = yaml.safe_load("\n".join(block))
    [ours] = yaml.safe_load(kind.example)
    # Consent is given by the command; what else only the shipped file has are choices.
    assert ours.items() <= theirs.items(), (ours, theirs)


@pytest.mark.parametrize("kind", catalogue.types(), ids=lambda kind: kind.name)
def test_what_is_agreed_to_is_the_statement_of_these_lines(kind: catalogue.Type) -> None:
    statement = statements.statement_of(
        catalogue.enrichment_of(kind.example),
        Reporting(),
        ROOT,
        graph_url=DEFAULT_GRAPH_URL,
        leadspace_url=DEFAULT_LEADSPACE_URL,
        contacts=ContactsFile(path="c.csv", id="contact_id", account="account_id", email="email"),
        company_name="name",
    )
    assert statement is not None
    rebuilt = "\n".join(
        "\n".join([heading, *(f"  {line}" for line in text.splitlines())])
        for heading, text in kind.statement.items()
    )
    assert [line.strip() for line in rebuilt.splitlines()] == [
        line.strip() for line in statement.text.splitlines()
    ]
    assert len(kind.consents) == (2 if kind.name == "office" else 1)
    # Where a statement says that something leaves, so does the tile.
    assert ("What leaves" in kind.statement) == ("Nothing leaves" not in kind.leaves)
