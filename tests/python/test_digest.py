"""`engagement digest`: what it tells, to whom, since when, and that names stay text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import Workspace
from engagement.digest import collect
from engagement.digest.html import as_html
from engagement.digest.markdown import as_markdown, escaped
from engagement.digest.sections import LONGEST_LIST
from published_sample import PUBLISHED_AT, publish_rows
from test_segment_commands import segment, stay

D = "2026-06-30"
EVIL = "<script>alert(1)</script> **b** [x](http://y.example) | ‮ # 1. _i_"


def change(account: str, component: str, points: float, week: str, **values: Any) -> dict[str, Any]:
    return {
        "enrichment_id": "mail",
        "account_id": account,
        "score_version": "v1",
        "component": component,
        "own_change_points": points,
        "week_ends_on": week,
    } | values


def learned(account: str, at: str, kind: str = "learned", attribute: str = "industry") -> dict[str, Any]:
    return {
        "enrichment_id": "company-data",
        "account_id": account,
        "attribute": attribute,
        "change_kind": kind,
        "changed_at": at,
    }


def rows(**changes: Any) -> dict[str, list[dict[str, Any]]]:
    """Anna owns A1 to A3, Ben B1; C1 has nobody."""
    owners = {"A1": "Anna", "A2": "Anna", "A3": "Anna ", "B1": "Ben", "C1": " "}
    listed: dict[str, list[dict[str, Any]]] = {
        "enriched_customers": [
            {"account_id": account, "account_name": f"Account {account}", "owner": owner}
            for account, owner in owners.items()
        ],
        "segments": [segment(one, 1) for one in ("stale", "rising", "own_plain", "stale_strict")]
        + [segment("own_told", 1, tags="x, digest"), segment("going_silent", None)],
        "segment_counts": [{"segment_id": "stale", "enrichment_id": "mail", "counted_on": "2026-01-04"}],
        "segment_history": [],
        "account_score_changes": [],
        "account_score_history": [],
        "account_score_components": [],
        "account_engagement": [],
        "company_changes": [],
        "run_history": [],
        "enrichments": [
            {"enrichment_id": "mail", "enrichment_name": "Mail", "enrichment_type": "office",
             "enrichment_state": "active", "next_due_at": "2026-07-08 06:00:00"}
        ],
    }  # fmt: skip
    # The version behind the score is the one whose points add up to it.
    listed["account_score_components"] = [
        {"enrichment_id": "mail", "account_id": "A1", "aggregation_level": "year", "score_version": version,
         "component": "email_inbound", "points_earned": points}
        for version, points in (("v1", 50), ("v2", 60))
    ]  # fmt: skip
    listed["account_engagement"] = [
        {"enrichment_id": "mail", "account_id": "A1", "aggregation_level": "year", "engagement_score": 50}
    ]
    return {**listed, **changes}


def publish(workspace: Workspace, as_of: str = D, at: datetime = PUBLISHED_AT, **changes: Any) -> None:
    publish_rows(
        workspace.published_file,
        rows(**changes),
        as_of=as_of,
        published_at=at,
        own_columns={"owner": "VARCHAR"},
    )
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(attributes=["owner"]))


def told(workspace: Workspace, *options: str) -> dict[str, Any]:
    result = workspace.run("digest", "--json", *options)
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def of_owner(digest: dict[str, Any], owner: str | None) -> dict[str, Any]:
    [entry] = [entry for entry in digest["owners"] if entry["owner"] == owner]
    found: dict[str, Any] = entry
    return found


def moved(entry: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    return [
        (m["segment_id"], m["move"], [row["account_id"] for row in m["accounts"]]) for m in entry["segments"]
    ]


def test_who_entered_and_left_within_the_period(workspace: Workspace) -> None:
    publish(
        workspace,
        segment_history=[
            stay("stale", "A1", "2026-06-24"),  # the first day of the period
            stay("stale", "A2", "2026-06-23"),  # the day before it
            stay("stale", "A3", "2026-06-23", D),  # left on the last
            stay("stale", "C1", "2026-06-01", "2026-06-23"),  # left before
            stay("stale", "B1", D, is_entry_seen=False),  # perhaps always
            stay("rising", "B1", "2026-06-01", "2026-06-24"),  # out and in again
            stay("rising", "B1", "2026-06-28"),
            stay("rising", "C1", "2026-06-25", "2026-06-28"),  # in and out again
            stay("stale_strict", "A1", "2026-06-28"),
            stay("own_plain", "A1", "2026-06-28"),
            stay("own_told", "A1", "2026-06-28"),
            stay("going_silent", "A1", "2026-06-28"),
        ],
    )
    digest = told(workspace)
    assert (digest["since"], digest["as_of_date"]) == ("2026-06-23", D)
    assert [(entry["owner"], entry["accounts_count"]) for entry in digest["owners"]] == [
        ("Anna", 3),
        ("Ben", 1),
        (None, 1),
    ]
    assert moved(of_owner(digest, "Anna")) == [
        ("stale", "entered", ["A1"]),
        ("stale", "left", ["A3"]),
        ("own_told", "entered", ["A1"]),
    ]
    assert moved(of_owner(digest, "Ben")) == [("rising", "entered", ["B1"])]
    assert not of_owner(digest, None)["is_changed"]


def test_movers_by_their_own_doing_and_the_component_that_did_most(workspace: Workspace) -> None:
    publish(
        workspace,
        account_score_changes=[
            change("A1", "contact_recency", 3, "2026-06-28"),
            change("A1", "email_inbound", -1, "2026-06-28"),
            change("A1", "email_inbound", 4, "2026-06-24"),
            change("A1", "email_inbound", 40, "2026-06-23"),  # before the period
            change("A1", "email_inbound", 40, "2026-06-28", score_version="v2"),  # not behind the score
            change("A2", "email_inbound", 4.9999, "2026-06-28"),
            change("A3", "email_inbound", -5, "2026-06-28"),
        ],
        account_score_history=[
            {"enrichment_id": "mail", "account_id": "A1", "score_version": "v1", "engagement_score": 61.5,
             "week_ends_on": "2026-06-28"},
            {"enrichment_id": "mail", "account_id": "A1", "score_version": "v1", "engagement_score": 55,
             "week_ends_on": "2026-06-21"},
        ],
    )  # fmt: skip
    entry = of_owner(told(workspace), "Anna")
    assert [
        (
            m["account_id"],
            m["own_change_points"],
            m["component"],
            m["component_points"],
            m["engagement_score"],
        )
        for m in entry["movers"]
    ] == [("A1", 6.0, "contact_recency", 3.0, 61.5), ("A3", -5.0, "email_inbound", -5.0, None)]
    text = workspace.run("digest").stdout
    assert "- Account A1: +6.0 points, score 61.5, most of it by contact recency +3.0" in text


def test_company_data_first_known_and_changed_are_told_once(workspace: Workspace) -> None:
    changes = [
        learned("A1", "2026-06-20 10:00:00"),
        learned("A1", "2026-06-24 00:00:01", "changed"),
        learned("A1", "2026-06-23 23:59:59", "changed", "company_city"),  # before the period
        learned("A2", "2026-06-30 10:00:00"),
        learned("A2", "2026-06-30 10:00:00", attribute="company_city"),  # of the first answer too
        learned("B1", "2026-07-01 05:00:00"),  # after the as-of date, before publishing
        learned("A1", "2026-07-01 07:00:00", "lost"),  # after publishing
    ]
    publish(workspace, company_changes=changes)
    digest = told(workspace)
    anna = of_owner(digest, "Anna")
    assert [row["account_id"] for row in anna["newly_enriched"]] == ["A2"]
    assert anna["company_changes"] == [
        {"attribute": "industry", "change_kind": "changed", "accounts_count": 1}
    ]
    assert [row["account_id"] for row in of_owner(digest, "Ben")["newly_enriched"]] == ["B1"]
    assert "- industry: changed, for 1 account" in workspace.run("digest").stdout
    publish(workspace, "2026-07-07", datetime(2026, 7, 8, 6, 0), company_changes=changes)
    digest = told(workspace)
    assert digest["since"] == D
    assert not of_owner(digest, "Ben")["is_changed"]
    assert [row["change_kind"] for row in of_owner(digest, "Anna")["company_changes"]] == ["lost"]


def test_runs_and_what_is_overdue_stand_in_one_line(workspace: Workspace) -> None:
    publish(workspace)
    assert "Runs: none failed, none overdue." in workspace.run("digest").stdout
    publish(
        workspace,
        run_history=[
            {"run_id": "r", "run_state": state, "started_at": f"2026-06-{day} 00:00:01"}
            for state, day in (("failed", 24), ("failed", 25), ("killed", 25), ("done", 25), ("failed", 23))
        ],
        enrichments=[
            {"enrichment_id": name, "enrichment_name": name, "enrichment_type": "leadspace",
             "enrichment_state": state, "next_due_at": due}
            for name, state, due in (
                ("late", "active", "2026-07-01 05:59:59"), ("now", "active", "2026-07-01 06:00:00"),
                ("off", "inactive", "2026-06-01 00:00:00"),
            )
        ],
    )  # fmt: skip
    assert "Runs: 2 failed, 1 killed, late overdue since 2026-07-01." in workspace.run("digest").stdout


def test_the_period_begins_with_the_last_digest(workspace: Workspace) -> None:
    publish(workspace)
    state = workspace.root / "data" / "digest_state.json"
    assert told(workspace, "--since", "2026-06-01")["since"] == "2026-06-01"
    assert told(workspace, "--owner", "Ben")["since"] == "2026-06-23"
    assert not state.exists()
    assert told(workspace)["since"] == "2026-06-23"
    # Once more of the same day is the same once more.
    assert told(workspace)["since"] == "2026-06-23"
    publish(workspace, "2026-07-07", datetime(2026, 7, 8, 6, 0))
    assert told(workspace)["since"] == D and told(workspace)["since"] == D
    assert told(workspace, "--since", "2026-06-01", "--remember")["since"] == "2026-06-01"
    assert told(workspace)["since"] == "2026-06-01"
    publish(workspace)
    result = workspace.run("digest")
    assert (
        result.exit_code == 2
        and "the last digest was of 2026-07-07, and the published file is of" in result.stderr
    )
    state.write_text("{")
    result = workspace.run("digest")
    assert result.exit_code == 2 and "digest_state.json: cannot be read" in result.stderr
    assert told(workspace, "--since", "2026-06-29")["since"] == "2026-06-29"
    result = workspace.run("digest", "--since", D)
    assert result.exit_code == 2 and "--since: 2026-06-30 is not before the as-of date" in result.stderr


def test_what_is_not_known_of_a_long_period_is_said(workspace: Workspace) -> None:
    publish(workspace)
    assert "Segments are known from" not in workspace.run("digest", "--since", "2026-01-04").stdout
    assert "Segments are known from 2026-01-04 on" in workspace.run("digest", "--since", "2026-01-03").stdout


@pytest.mark.parametrize("form", ["markdown", "html", "json"])
def test_the_same_day_and_period_give_the_same_bytes(form: str, workspace: Workspace) -> None:
    publish(
        workspace,
        segment_history=[stay("stale", account, "2026-06-28") for account in ("A3", "A1", "A2", "B1")],
        company_changes=[learned(account, "2026-06-28 00:00:00") for account in ("B1", "A2", "A1")],
    )
    first, second = workspace.root / "first", workspace.root / "second"
    for path in (first, second):
        result = workspace.run("digest", "--format", form, "--out", str(path))
        assert result.exit_code == 0 and "Written: " in result.stdout
    assert first.read_bytes() == second.read_bytes()
    assert workspace.run("digest", "--format", form).stdout == first.read_text("utf-8")


def test_an_owner_gets_his_accounts_alone(workspace: Workspace) -> None:
    publish(
        workspace, segment_history=[stay("stale", account, "2026-06-28") for account in ("A1", "B1", "C1")]
    )
    text = workspace.run("digest", "--owner", "Ben").stdout
    assert "Account B1" in text and "Account A1" not in text and "Anna" not in text
    assert "## Nobody (1 account without an owner)" in workspace.run("digest", "--owner", "nobody").stdout
    result = workspace.run("digest", "--owner", "Bem")
    assert result.exit_code == 2 and "--owner: 'Bem' owns no account; did you mean Ben?" in result.stderr


def test_nothing_changed_is_said(workspace: Workspace) -> None:
    publish(workspace)
    assert "Nothing changed.\n" in workspace.run("digest").stdout
    publish(workspace, segment_history=[stay("stale", "A1", "2026-06-28")])
    text = workspace.run("digest").stdout
    assert "Nothing changed for Ben (1 account), Nobody (1 account without an owner).\n" in text


def test_without_a_column_of_owners_there_is_one_list(workspace: Workspace) -> None:
    publish(workspace, segment_history=[stay("stale", account, "2026-06-28") for account in ("A1", "B1")])
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(attributes=["tier"]))
    text = workspace.run("digest").stdout
    assert "### Newly stale (2)" in text and "## Anna" not in text and "Nobody" not in text
    result = workspace.run("digest", "--owner", "Ben")
    assert result.exit_code == 2 and "--owner: nothing says whose an account is" in result.stderr
    workspace.configure(lambda raw: raw["customers"]["accounts"].update(attributes=["tier", "owner"]))
    assert "## Anna" in workspace.run("digest").stdout
    assert workspace.run("digest", "--by", "owner").stdout == workspace.run("digest").stdout
    result = workspace.run("digest", "--by", "ownr")
    assert (
        result.exit_code == 2
        and "--by: 'ownr' is no column of customers.accounts.attributes; did you" in result.stderr
    )


class Reader(HTMLParser):
    """What tags there are, and the text between them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def evil(workspace: Workspace) -> dict[str, Any]:
    publish(workspace, segment_history=[stay("stale", "A1", "2026-06-28", entered_reason=f"tier {EVIL}")])
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("update marts.enriched_customers set account_name = ?, owner = ?", [EVIL, EVIL])
    return told(workspace)


def test_names_stay_text(workspace: Workspace) -> None:
    digest = evil(workspace)
    page = as_html(digest)
    read = Reader()
    read.feed(page)
    assert "script" not in read.tags and not {"a", "img", "link", "iframe"} & set(read.tags)
    assert read.text.count("<script>alert(1)</script> **b** [x](http://y.example)") == 3
    assert not any(name in ("src", "href") or name.startswith("on") for name, _ in read.attributes)
    assert "default-src 'none'" in page and "http" not in re.sub(r"http-equiv|http://y\.example", "", page)
    text = as_markdown(digest)
    assert "\\<script\\>alert(1)\\</script\\> \\*\\*b\\*\\* \\[x\\](http:\\//y.example)" in text
    assert "‮" not in text and "‮" not in page and "\\\\u202e" in text
    for name in ("1. x", "- x", "+ x", "# x", "> x", "1) x"):
        assert re.match(r"\\|\d+\\", escaped(name)), name


def test_the_page_can_be_read_by_everybody(workspace: Workspace) -> None:
    page = as_html(evil(workspace))
    read = Reader()
    read.feed(page)
    assert ("lang", "en") in read.attributes and "prefers-color-scheme: dark" in page
    assert read.tags.count("table") == read.tags.count("caption") == 1 and read.tags.count("h1") == 1
    assert read.attributes.count(("scope", "col")) == 3 and read.attributes.count(("scope", "row")) == 1


def test_long_lists_are_cut_and_say_so(workspace: Workspace) -> None:
    count = LONGEST_LIST + 2
    publish(
        workspace,
        enriched_customers=[{"account_id": f"A{n:02}", "owner": "Anna"} for n in range(count)],
        segment_history=[stay("stale", f"A{n:02}", "2026-06-28") for n in range(count)],
    )
    text = workspace.run("digest").stdout
    assert (
        f"### Newly stale ({count})" in text
        and text.count("\n- A") == LONGEST_LIST
        and "- and 2 more" in text
    )
    assert "and 2 more" in workspace.run("digest", "--format", "html").stdout


def test_a_place_that_refuses(workspace: Workspace, tmp_path: Path) -> None:
    publish(workspace)
    result = workspace.run("digest", "--out", str(tmp_path / "none" / "x.md"))
    assert (
        result.exit_code == 2 and "--out: x.md cannot be written (No such file or directory)" in result.stderr
    )
    assert not (workspace.root / "data" / "digest_state.json").exists()


def test_nothing_judged_yet(workspace: Workspace) -> None:
    publish(workspace)
    with duckdb.connect(str(workspace.published_file)) as connection:
        connection.execute("update marts.publication set as_of_date = null")
        connection.execute("update marts.segments set as_of_date = null")
    result = workspace.run("digest")
    assert result.exit_code == 2 and "nothing has been judged yet" in result.stderr


# Wrong variants of what a digest asks the file, and the test that catches each.
WRONG = (
    ("MOVES", "is_entry_seen and ", "", test_who_entered_and_left_within_the_period),
    ("MOVES", "and entered_on > $since", "and entered_on >= $since", test_who_entered_and_left_within_the_period),
    ("MOVES", "left_on is null and entered_on >", "entered_on >", test_who_entered_and_left_within_the_period),
    ("MOVES", "history.left_on > $since", "history.left_on >= $since", test_who_entered_and_left_within_the_period),
    ("MOVES", "left_on <= $as_of", "left_on < $as_of", test_who_entered_and_left_within_the_period),
    ("MOVES", "left_on <= $as_of and history.entered_on <= $since", "left_on <= $as_of",
     test_who_entered_and_left_within_the_period),
    ("MOVES", "anti join still_there", "inner join still_there", test_who_entered_and_left_within_the_period),
    ("SEGMENTS", "where is_active", "", test_who_entered_and_left_within_the_period),
    ("MOVERS", "week_ends_on > $since", "week_ends_on >= $since",
     test_movers_by_their_own_doing_and_the_component_that_did_most),
    ("MOVERS", "where score_version = $version and week_ends_on > $since", "where week_ends_on > $since",
     test_movers_by_their_own_doing_and_the_component_that_did_most),
    ("MOVERS", ">= $points", "> $points", test_movers_by_their_own_doing_and_the_component_that_did_most),
    ("MOVERS", "order by abs(points) desc nulls last, component", "order by component desc",
     test_movers_by_their_own_doing_and_the_component_that_did_most),
    ("MOVERS", "max_by(engagement_score", "min_by(engagement_score",
     test_movers_by_their_own_doing_and_the_component_that_did_most),
    ("ENRICHED", "known_from_at > $instant_from", "known_from_at > $instant_from - interval 30 day",
     test_company_data_first_known_and_changed_are_told_once),
    ("COMPANY_CHANGES", "and changes.changed_at > first_known.known_from_at", "",
     test_company_data_first_known_and_changed_are_told_once),
    ("COMPANY_CHANGES", "and changes.changed_at <= $instant_to", "and $instant_to is not null",
     test_company_data_first_known_and_changed_are_told_once),
    ("RUNS", "started_at > $instant_from", "$instant_from is not null",
     test_runs_and_what_is_overdue_stand_in_one_line),
    ("OVERDUE", "enrichment_state = 'active' and ", "", test_runs_and_what_is_overdue_stand_in_one_line),
    ("OVERDUE", "< $instant_to", "<= $instant_to", test_runs_and_what_is_overdue_stand_in_one_line),
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(("name", "replaced", "by", "caught_by"), WRONG)
def test_wrong_variants_are_caught(
    name: str,
    replaced: str,
    by: str,
    caught_by: Callable[[Workspace], None],
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = getattr(collect, name)
    assert text.count(replaced) == 1
    caught_by(workspace)
    (workspace.root / "data" / "digest_state.json").unlink(missing_ok=True)
    monkeypatch.setattr(collect, name, text.replace(replaced, by))
    with pytest.raises(AssertionError):
        caught_by(workspace)
