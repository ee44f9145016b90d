"""`engagement segment list`, `show` and `freeze`, over a published file."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from conftest import ROOT, Workspace
from engagement.locations import segment_file
from engagement.segments import files
from engagement.segments.freeze import COLUMNS, SEED
from published_sample import publish_rows

D, WEEK_END, WEEK_BEFORE = "2026-06-30", "2026-06-28", "2026-06-21"


def segment(segment_id: str, members: int | None, **values: Any) -> dict[str, Any]:
    return {
        "segment_id": segment_id,
        "segment_name": segment_id.replace("_", " ").capitalize(),
        "description": f"About {segment_id}.",
        "owner": "Sales",
        "audience": "accounts",
        "membership": "dynamic",
        "is_active": members is not None,
        "members_count": members,
        "accounts_count": 4,
        "as_of_date": D,
    } | values


def stay(
    segment_id: str, account_id: str, entered_on: str, left_on: str | None = None, **values: Any
) -> dict[str, Any]:
    return {
        "segment_id": segment_id,
        "enrichment_id": "mail",
        "account_id": account_id,
        "entered_on": entered_on,
        "is_entry_seen": True,
        "entered_reason": f"{account_id} entered",
        "left_on": left_on,
        "left_reason": None if left_on is None else f"{account_id} left",
    } | values


def member(segment_id: str, account_id: str, name: str | None, **values: Any) -> dict[str, Any]:
    return {
        "segment_id": segment_id,
        "enrichment_id": "mail",
        "account_id": account_id,
        "account_name": name,
        "entered_on": WEEK_END,
        "is_entry_seen": True,
        "reason": f'{name}, "because"',
        "as_of_date": D,
    } | values


@pytest.fixture
def published(workspace: Workspace) -> Workspace:
    """Two enrichments: A1 is stale in both, A2 entered, A3 left; nobody is rising, one segment is switched off."""
    counted = [
        {"segment_id": "stale", "enrichment_id": enrichment, "counted_on": day, "members_count": count,
         "entered_count": entered, "left_count": left}
        for day, enrichment, count, entered, left in (
            (WEEK_BEFORE, "mail", 2, 0, 0), (WEEK_END, "mail", 3, 1, 0), (D, "mail", 2, 0, 1),
            (WEEK_BEFORE, "other", 1, 0, 0), (WEEK_END, "other", 1, 0, 0), (D, "other", 1, 0, 0),
        )
    ]  # fmt: skip
    publish_rows(
        workspace.published_file,
        {
            "segments": [
                segment("stale", 2),
                segment("rising", 0, finding="selects nobody"),
                segment("off", None),
            ],
            "segment_counts": counted,
            "segment_members": [
                member("stale", "A1", "Zeta"),
                member("stale", "A2", None),
                member(
                    "stale", "A1", "Zeta", enrichment_id="other", is_entry_seen=False, entered_on=WEEK_BEFORE
                ),
            ],
            "segment_history": [
                stay("stale", "A1", WEEK_BEFORE, is_entry_seen=False),
                stay("stale", "A1", WEEK_BEFORE, is_entry_seen=False, enrichment_id="other"),
                stay("stale", "A2", WEEK_END),
                stay("stale", "A3", WEEK_BEFORE, D, is_entry_seen=False),
            ],
            "enriched_customers": [{"account_id": "A1", "account_name": "Zeta"}, {"account_id": "A3"}],
        },
    )
    return workspace


def test_the_list_counts_an_account_once_and_compares_with_a_week_before(published: Workspace) -> None:
    result = published.run("segment", "list", "--json")
    assert result.exit_code == 0, result.stderr
    rows = {row["segment_id"]: row for row in json.loads(result.stdout)["segments"]}
    # A1 and A3 were stale on the 21st, A1 and A2 are now; the 28th is not a week ago.
    assert (rows["stale"]["members_count"], rows["stale"]["change_count"]) == (2, 0)
    assert rows["stale"]["compared_on"] == WEEK_BEFORE
    assert (rows["rising"]["change_count"], rows["rising"]["finding"]) == (0, "selects nobody")
    assert (rows["off"]["members_count"], rows["off"]["change_count"]) == (None, None)
    shown = published.run("segment", "list").stdout
    assert "since 2026-06-21" in shown and "selects nobody" in shown


def test_the_list_says_what_is_not_published_and_what_is_made_in_a_circle(
    published: Workspace, tmp_path: Path
) -> None:
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "models/segments", folder / "models/segments")
    shutil.copyfile(ROOT / "dbt_project.yml", folder / "dbt_project.yml")
    published.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    result = published.run("segment", "list")
    assert "warning: not published yet: going_silent, " in result.stderr
    assert "made of one another" not in result.stderr
    (folder / segment_file("one")).write_text("{{ segment_union(['two', 'stale']) }}\n")
    (folder / segment_file("two")).write_text("select * from {{ ref('segment_one') }}\n")
    result = published.run("segment", "list")
    assert result.exit_code == 0
    assert "segments: one -> two -> one are made of one another" in result.stderr or (
        "segments: two -> one -> two are made of one another" in result.stderr
    )


def test_show_gives_trend_members_moves_and_parts(published: Workspace) -> None:
    facts = json.loads(published.run("segment", "show", "stale", "--limit", "2", "--json").stdout)
    trend = [tuple(row.values()) for row in facts["trend"]]
    assert trend == [(WEEK_BEFORE, 2, 0, 0), (WEEK_END, 3, 1, 0), (D, 2, 0, 1)]
    assert [(row["account_id"], row["enrichment_id"]) for row in facts["members"]] == [
        ("A1", "mail"),
        ("A1", "other"),
    ]
    assert [(row["moved_on"], row["move"], row["account_id"]) for row in facts["moves"]] == [
        (D, "left", "A3"),
        (WEEK_END, "entered", "A2"),
    ]
    assert facts["sql_file"] == "models/segments/segment_stale.sql" and facts["parts"] == []
    shown = published.run("segment", "show", "stale", "--limit", "1").stdout
    assert "Members (1 of 3)" in shown and "2 of 4 accounts, as of 2026-06-30" in shown
    assert files.parts_of(ROOT, "high_value_low_engagement") == ["high_value", "low_engagement"]


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("show", "stael"), "there is no published segment 'stael'; did you mean stale?"),
        (("freeze", "stael", "--as", "x"), "there is no published segment 'stael'; did you mean stale?"),
        (
            ("freeze", "rising", "--as", "x"),
            "rising: nobody is in it as published, so there is nothing to freeze",
        ),
        (("freeze", "stale", "--as", "rising"), "segment rising is there already"),
        (("freeze", "stale", "--as", "X"), "'X' is no id of a segment"),
    ],
)
def test_what_is_not_there_or_cannot_be(command: tuple[str, ...], line: str, published: Workspace) -> None:
    options = ("--name", "New", "--owner", "Sales") if command[0] == "freeze" else ()
    result = published.run("segment", *command, *options)
    assert result.exit_code == 2 and line in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", [("segment", "list"), ("segment", "show", "stale"), ("digest",)])
def test_nothing_published_or_by_an_older_version(command: tuple[str, ...], workspace: Workspace) -> None:
    result = workspace.run(*command)
    assert result.exit_code == 2
    assert "engagement.duckdb: nothing is published yet; run `engagement run` first" in result.stderr
    publish_rows(workspace.published_file, {})
    result = workspace.run(*command)
    assert (
        result.exit_code == 2 and "has no segments yet, or was published by another version" in result.stderr
    )
    workspace.published_file.write_bytes(b"no database")
    result = workspace.run(*command)
    assert result.exit_code == 2 and "cannot be read as a file that this project published" in result.stderr


@pytest.fixture
def project(published: Workspace, tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    for name in ("models/segments", "models/marts/segments", "seeds"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "dbt_project.yml", folder / "dbt_project.yml")
    published.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    return folder


FREEZE = ("segment", "freeze", "stale", "--as", "stale_june", "--name", "Stale in June", "--owner", "Sales")


def test_freezing_writes_the_members_with_their_reasons(published: Workspace, project: Path) -> None:
    seed = project / SEED
    seed.write_bytes(b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\r\nold,mail,A9,2026-01-01,why")
    result = published.run(*FREEZE, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["members"] == 2
    assert seed.read_bytes().startswith(b"\xef\xbb\xbfsegment_id,")
    with seed.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))[1:]
    assert rows == [
        ["old", "mail", "A9", "2026-01-01", "why"],
        ["stale_june", "mail", "A1", D, 'Zeta, "because"'],
        ["stale_june", "mail", "A2", D, 'None, "because"'],
        ["stale_june", "other", "A1", D, 'Zeta, "because"'],
    ]
    model = project / segment_file("stale_june")
    assert model.read_text("utf-8") == "{{ segment_frozen('stale_june') }}\n"
    about = yaml.safe_load(model.with_suffix(".yml").read_text("utf-8"))["models"][0]
    assert about["config"]["meta"]["segment"]["membership"] == "static"
    assert about["description"].strip() == f"{files.GRAIN} The members of Stale as they were on {D}."
    assert files.listed(project)[-1] == "stale_june"
    again = published.run(*FREEZE)
    assert again.exit_code == 2 and "segment stale_june is there already" in again.stderr


def test_rows_that_are_left_of_an_id_are_not_taken_over(published: Workspace, project: Path) -> None:
    with (project / SEED).open("a", encoding="utf-8") as file:
        file.write("stale_june,mail,A9,2026-01-01,why\n")
    before = (project / SEED).read_bytes()
    result = published.run(*FREEZE)
    assert result.exit_code == 2 and "has rows of stale_june already" in result.stderr
    assert (project / SEED).read_bytes() == before and "stale_june" not in files.listed(project)
