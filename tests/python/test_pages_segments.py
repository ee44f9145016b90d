"""The page Segments: lists, one segment, what tells it apart, and those that could be made, as the file has them."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pandas
import pytest
from streamlit.testing.v1 import AppTest

from engagement import cli
from engagement.pages import app as pages_app
from engagement.pages import formats
from engagement.pages.published import PublishedFile
from engagement.pages.reader import Reader
from engagement.pages.segments import ideas
from engagement.pages.segments import one as segment
from pages_world import app, cells, demo_file, tables
from published_sample import Rows, publish_rows

__all__ = ["demo_file"]

MARKUP = "<script>alert(1)</script> **b** [x](y) :red[z] $1$"
DASH, MINUS = formats.MISSING, formats.MINUS
TABLES = (
    "enrichments",
    "segments",
    "segment_counts",
    "segment_members",
    "segment_history",
    "segment_overlaps",
    "segment_differentiators",
    "segment_distributions",
    "segment_contacts",
    "quick_segments",
    "segment_suggestions",
    "compared_attributes",
    "customer_cards",
    "account_engagement",
)


def described(segment_id: str, name: str, **other: Any) -> dict[str, Any]:
    return {
        "segment_id": segment_id,
        "segment_name": name,
        "description": f"Who is {name}.",
        "owner": "Sales",
        "audience": "accounts",
        "membership": "dynamic",
        "is_active": True,
        "accounts_count": 50,
        **other,
    }


def counted(
    segment_id: str, day: str, members: int, entered: int = 0, left: int = 0, by: str = "us"
) -> dict[str, Any]:
    return {
        "segment_id": segment_id,
        "segment_name": segment_id.capitalize(),
        "enrichment_id": by,
        "counted_on": day,
        "members_count": members,
        "entered_count": entered,
        "left_count": left,
        "accounts_count": 60,
    }


def member(
    account: str, name: str | None, reason: str, entered: str, *, is_seen: bool = True
) -> dict[str, Any]:
    return {
        "segment_id": "stale",
        "enrichment_id": "us",
        "account_id": account,
        "account_name": name,
        "reason": reason,
        "entered_on": entered,
        "is_entry_seen": is_seen,
    }


def card(account: str, name: str | None, owner: str | None) -> dict[str, Any]:
    return {"account_id": account, "account_name": name, "account_owner": owner}


WORLD: dict[str, Rows] = {
    "segments": [
        described("stale", "Stale", tags="weekly"),
        described("rising", "Rising"),
        described("asleep", MARKUP, is_active=False, finding="not active", membership="static"),
    ],
    "segment_counts": [
        counted("stale", "2026-06-14", 9),
        counted("stale", "2026-06-21", 5, left=4),
        counted("stale", "2026-06-28", 3, entered=1, left=3),
        counted("stale", "2026-06-30", 4, entered=1),
        counted("rising", "2026-06-21", 1),
        counted("rising", "2026-06-28", 1),
        counted("rising", "2026-06-30", 2, entered=1),
    ],
    "segment_members": [
        member("A", "Ash", "silent for 70 days", "2026-06-28"),
        member("B", MARKUP, "=cmd()", "2026-01-04", is_seen=False),
        member("C", "Cedar", "silent for 90 days", "2026-06-30"),
        member("D", None, "silent for 80 days", "2026-05-01"),
        {**member("E", "Elm", "elsewhere", "2026-05-01"), "segment_id": "rising"},
        {**member("F", "Fir", "judged by others", "2026-05-01"), "enrichment_id": "eu"},
    ],
    "segment_history": [
        {
            "segment_id": "stale",
            "enrichment_id": "us",
            "account_id": account,
            "entered_on": "2026-05-03",
            "is_entry_seen": True,
            "entered_reason": "was silent",
            "left_on": left_on,
            "left_reason": "wrote again" if left_on else None,
        }
        for account, left_on in (("G", "2026-06-14"), ("H", "2026-06-28"), ("A", None))
    ],
    "customer_cards": [
        card("A", "Ash", "Ann"),
        card("B", MARKUP, "Ben"),
        card("C", "Cedar", "Ann"),
        card("D", None, None),
        card("G", "Gorse", "Ann"),
        card("H", "Hazel", "Ben"),
    ],
    "account_engagement": [
        {"enrichment_id": by, "account_id": "A", "aggregation_level": level, "engagement_score": points}
        for by, level, points in (("us", "year", 12.34), ("us", "week", 99), ("eu", "year", 98))
    ],
}


def written(
    tmp_path: Path, rows: Mapping[str, Rows], *, without: str = "", small_numbers: str = "show"
) -> Path:
    path = Path(tempfile.mkdtemp(dir=tmp_path)) / "engagement.duckdb"
    publish_rows(path, {name: [] for name in TABLES if name != without} | rows)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "update marts.publication set small_numbers = ?, smallest_group = 5", [small_numbers]
        )
    return path


def page(
    tmp_path: Path, rows: Mapping[str, Rows] = WORLD, *, segment_id: str = "", **options: Any
) -> AppTest:
    """The page over a file with these rows, of a segment where one is named; its other tables are empty."""
    query = options.pop("query", {}) | ({"segment": segment_id} if segment_id else {})
    test = app(written(tmp_path, rows, **options), "segments", query=query)
    assert not test.exception, test.exception[0].value
    return test


def words(test: AppTest) -> str:
    """All that stands on the page besides tables."""
    found = [*test.header, *test.markdown, *test.caption, *test.info]
    return "\n".join(str(element.value) for element in found).replace("\\", "")


def metrics(test: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in test.metric}


def select(test: AppTest, label: str) -> Any:
    [found] = [one for one in test.selectbox if one.label == label]
    return found


def test_the_list_with_the_change_since_a_week_ago(tmp_path: Path) -> None:
    test = page(tmp_path)
    caption = "Segments"
    assert "Of 60 accounts." in words(test)
    assert cells(test, caption) == [
        [MARKUP, DASH, DASH, f"Who is {MARKUP}.", "Sales", "Accounts", "Static", DASH, "Not active"],
        ["Rising", "2", "+1", "Who is Rising.", "Sales", "Accounts", "Dynamic", DASH, ""],
        ["Stale", "4", f"{MINUS}1", "Who is Stale.", "Sales", "Accounts", "Dynamic", "weekly", ""],
    ]
    # Against the day judged a week or more before, not the one before.
    assert "Change since 21 Jun 2026" in [column["label"] for column in tables(test)[caption]["columns"]]
    assert [row["href"] for row in tables(test)[caption]["rows"]][1:] == [
        "segments?segment=rising",
        "segments?segment=stale",
    ]


def test_without_segments_or_counts_it_says_so(tmp_path: Path) -> None:
    assert "There are no segments in this file" in words(page(tmp_path, {}))
    waiting = page(tmp_path, {"segments": [described("stale", "Stale", finding="nothing to judge yet")]})
    assert "Nothing is judged yet" in words(waiting)
    assert cells(waiting, "Segments")[0][1] == DASH


def test_the_chart_over_time_of_those_chosen(tmp_path: Path) -> None:
    test = page(tmp_path)
    caption = "Accounts in segments over time"
    assert len(cells(test, caption)) == 7
    test.get("button_group")[0].set_value(["rising"]).run()
    assert cells(test, caption) == [
        ["Rising", "21 Jun 2026", "1"],
        ["Rising", "28 Jun 2026", "1"],
        ["Rising", "30 Jun 2026", "2"],
    ]
    test.get("button_group")[0].set_value([]).run()
    assert "Choose a segment" in words(test)


def test_one_segment_by_its_address(tmp_path: Path) -> None:
    test = page(tmp_path, segment_id="stale")
    assert [header.value for header in test.header] == ["Stale"]
    assert metrics(test) == {
        "Accounts in it": "4 of 60",
        "Change since 21 Jun 2026": f"{MINUS}1",
        "Came since 21 Jun 2026": "2",
        "Left since 21 Jun 2026": "3",
    }
    assert "Who is Stale." in words(test)
    assert "Owner: Sales · judged anew each time · audience: accounts · tags: weekly" in words(test)
    assert cells(test, "Accounts over time") == [
        ["14 Jun 2026", "9", "0", "0"],
        ["21 Jun 2026", "5", "0", "4"],
        ["28 Jun 2026", "3", "1", "3"],
        ["30 Jun 2026", "4", "1", "0"],
    ]


def test_its_members_why_and_since_when(tmp_path: Path) -> None:
    assert cells(page(tmp_path, segment_id="stale"), "Accounts in it") == [
        [MARKUP, "=cmd()", "4 Jan 2026 or before", DASH, "Ben"],
        ["Ash", "silent for 70 days", "28 Jun 2026", "12.3", "Ann"],
        ["Cedar", "silent for 90 days", "30 Jun 2026", DASH, "Ann"],
        [DASH, "silent for 80 days", "1 May 2026", DASH, DASH],
    ]


def test_the_accounts_of_one_owner(tmp_path: Path) -> None:
    test = page(tmp_path, segment_id="stale")
    assert select(test, "Owner").options == ["All owners", "Ann", "Ben"]
    select(test, "Owner").set_value("Ann").run()
    assert [row[0] for row in cells(test, "Accounts in it, of Ann")] == ["Ash", "Cedar"]
    assert [row[0] for row in cells(test, "Accounts that left, the latest first")] == ["Gorse"]
    linked = page(tmp_path, segment_id="stale", query={"owner": "Ben"})
    assert [row[0] for row in cells(linked, "Accounts in it, of Ben")] == [MARKUP]
    select(linked, "Owner").set_value("").run()
    assert len(cells(linked, "Accounts in it")) == 4


def test_who_left_and_why_the_latest_first(tmp_path: Path) -> None:
    assert cells(page(tmp_path, segment_id="stale"), "Accounts that left, the latest first") == [
        ["Hazel", "28 Jun 2026", "wrote again", "3 May 2026", "was silent", "Ben"],
        ["Gorse", "14 Jun 2026", "wrote again", "3 May 2026", "was silent", "Ann"],
    ]


def test_all_members_are_saved_however_many_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[tuple[pandas.DataFrame, list[str], str]] = []
    monkeypatch.setattr(
        segment,
        "download",
        lambda frame, columns, *, name, key: saved.append((frame, [column.name for column in columns], name)),
    )
    many = [member(f"X{number:03}", f"Account {number:03}", "silent", "2026-05-01") for number in range(230)]
    test = page(tmp_path, {**WORLD, "segment_members": many}, segment_id="stale")
    assert len(cells(test, "Accounts in it")) == 25
    [(frame, names, name)] = saved
    assert (len(frame), name) == (230, "segment-stale")
    assert names[:3] == ["account_id", "account_name", "reason"]
    assert set(names) <= set(frame.columns)


def test_a_segment_that_is_not_active_or_unknown(tmp_path: Path) -> None:
    asleep = page(tmp_path, segment_id="asleep")
    assert "Not active." in words(asleep)
    assert "frozen at a day" in words(asleep)
    assert not metrics(asleep)
    # The name is shown as it is: nothing of it is markup.
    assert asleep.header[0].value == formats.plain(MARKUP)
    unknown = page(tmp_path, segment_id="nope")
    assert "There is no segment 'nope' here" in words(unknown)
    assert unknown.header[0].value == "All segments"


def test_several_enrichments_judge_each_for_itself(tmp_path: Path) -> None:
    rows = {
        **WORLD,
        "enrichments": [{"enrichment_id": "eu", "enrichment_name": "Europe"}],
        "segment_counts": [*WORLD["segment_counts"], counted("stale", "2026-06-30", 1, by="eu")],
    }
    test = page(tmp_path, rows, segment_id="stale", query={"enrichment": "eu"})
    assert select(test, "Judged by").options == ["Europe", "us"]
    assert metrics(test)["Accounts in it"] == "1 of 60"
    assert [row[0] for row in cells(test, "Accounts in it")] == ["Fir"]
    select(test, "Judged by").set_value("us").run()
    assert metrics(test)["Accounts in it"] == "4 of 60"


def test_the_chosen_segment_stands_in_the_address(tmp_path: Path) -> None:
    test = page(tmp_path)
    select(test, "Segment").set_value("rising").run()
    assert test.query_params["segment"] in ("rising", ["rising"])
    assert [header.value for header in test.header] == ["Rising"]
    select(test, "Segment").set_value("").run()
    assert "segment" not in test.query_params
    assert test.header[0].value == "All segments"


def overlap(one: str, other: str, both: int, of_one: float, of_other: float) -> dict[str, Any]:
    return {
        "enrichment_id": "us",
        "segment_id": one,
        "segment_name": one.capitalize(),
        "other_segment_id": other,
        "other_segment_name": other.capitalize(),
        "members_count": 4,
        "other_members_count": 10,
        "both_count": both,
        "both_of_members_ratio": of_one,
        "both_of_other_members_ratio": of_other,
    }


def test_overlaps_from_its_own_side(tmp_path: Path) -> None:
    rows = {
        **WORLD,
        "segment_overlaps": [
            overlap("rising", "stale", 2, 0.5, 0.2),
            overlap("stale", "young", 3, 0.75, 0.3),
            overlap("rising", "young", 1, 0.1, 0.1),
        ],
    }
    test = page(tmp_path, rows, segment_id="stale")
    assert cells(test, "In common with other segments") == [
        ["Young", "3", "75 %", "10", "30 %"],
        ["Rising", "2", "20 %", "4", "50 %"],
    ]
    assert tables(test)["In common with other segments"]["rows"][0]["href"] == "segments?segment=young"
    assert cells(test, "Its accounts in other segments") == [["Young", "75 %"], ["Rising", "20 %"]]


def differs(
    attribute: str, rank: int, difference: float | None, said: str, *, is_uncertain: bool
) -> dict[str, Any]:
    return {
        "segment_id": "stale",
        "enrichment_id": "us",
        "attribute": attribute,
        "difference_rank": rank,
        "difference_ratio": difference,
        "is_uncertain": is_uncertain,
        "difference_in_words": said,
    }


APART: dict[str, Rows] = {
    **WORLD,
    "compared_attributes": [
        {"attribute": "industry", "attribute_label": "industry"},
        {"attribute": "rhythm_state", "attribute_label": "rhythm"},
    ],
    "segment_differentiators": [
        differs("tier", 3, 0.2, "tier: B 50 % of the members, 30 % of the others", is_uncertain=True),
        differs(
            "industry",
            1,
            1.0,
            "industry: Chemicals 44 % of the members, 9 % of the others",
            is_uncertain=False,
        ),
        differs(
            "rhythm_state",
            2,
            0.5,
            "rhythm: going_silent 9 % of the members, 0 % of the others",
            is_uncertain=False,
        ),
    ],
    "segment_distributions": [
        {
            "segment_id": "stale",
            "enrichment_id": "us",
            "attribute": "industry",
            "bucket_position": place,
            "bucket": bucket,
            "members_with_count": members,
            "members_ratio": members / 4,
            "others_with_count": others,
            "others_ratio": others / 56,
        }
        for place, bucket, members, others in ((2, "Chemicals", 3, 14), (1, "unknown", 1, 42))
    ],
}


def test_what_tells_its_accounts_apart_and_whether_that_is_certain(tmp_path: Path) -> None:
    test = page(tmp_path, APART, segment_id="stale")
    assert cells(test, "Attributes, by how much they differ") == [
        ["Industry", "1.000", "yes", "Chemicals: 44 % of the members, 9 % of the others"],
        ["Rhythm", "0.500", "yes", "going silent: 9 % of the members, 0 % of the others"],
        ["Tier", "0.200", "may be chance", "tier: B: 50 % of the members, 30 % of the others"],
    ]
    assert "Of 3 attributes, 2 differ by more than chance explains." in words(test)
    assert cells(test, "Industry: accounts in it and all others") == [
        ["unknown", "1", "25 %", "42", "75 %"],
        ["Chemicals", "3", "75 %", "14", "25 %"],
    ]
    select(test, "Look at one attribute").set_value("tier").run()
    assert "Nobody has a value of it." in words(test)


def test_nothing_to_compare_with_is_said(tmp_path: Path) -> None:
    alone = [differs("industry", 1, None, "", is_uncertain=True)]
    assert "There is nothing to compare" in words(
        page(tmp_path, {**WORLD, "segment_differentiators": alone}, segment_id="stale")
    )


@pytest.mark.parametrize("small_numbers", ["show", "band"])
def test_contacts_of_a_segment_for_contacts(tmp_path: Path, small_numbers: str) -> None:
    contacts = (
        []
        if small_numbers == "band"
        else [{"segment_id": "stale", "enrichment_id": "us", "account_id": "A", "contact_id": "C-7"}]
    )
    rows = {
        **WORLD,
        "segments": [described("stale", "Stale", audience="contacts")],
        "segment_contacts": contacts,
    }
    test = page(tmp_path, rows, segment_id="stale", small_numbers=small_numbers)
    caption = "Contacts of the accounts in it"
    if small_numbers == "band":
        assert "small numbers of people stand as bands" in words(test)
        assert caption not in tables(test)
    else:
        assert cells(test, caption) == [["Ash", "C-7"]]
    assert caption not in tables(page(tmp_path, segment_id="stale"))


IDEAS: dict[str, Rows] = {
    **WORLD,
    "compared_attributes": [
        {"attribute": "industry", "attribute_label": "industry"},
        {"attribute": "score", "attribute_label": "engagement score", "is_suggestion_measure": True},
    ],
    "quick_segments": [
        {
            "enrichment_id": "us",
            "attribute": "industry",
            "condition_position": place,
            "condition_in_words": said,
            "accounts_count": 6,
            "accounts_ratio": 0.1,
            "rule_options": options,
        }
        for place, said, options in (
            (2, "industry: a (masked)", None),
            (1, "industry: Food", '--where "industry = Food"'),
        )
    ],
    "segment_suggestions": [
        {
            "enrichment_id": "us",
            "suggestion_rank": 1,
            "rule_in_words": "employees at least 300",
            "rule_options": '--where "employees_count >= 300"',
            "accounts_count": 12,
            "measure_mean": 70.25,
            "others_measure_mean": 40,
            "measure_difference": 30.25,
        }
    ],
}


def test_segments_that_could_be_made_with_their_command(tmp_path: Path) -> None:
    test = page(tmp_path, IDEAS)
    assert cells(test, "Segments out of one condition") == [
        ["industry: Food", "6", "10 %"],
        ["industry: a (masked)", "6", "10 %"],
    ]
    assert cells(test, "Suggested segments") == [["employees at least 300", "12", "70.2", "40.0", "+30.2"]]
    assert [code.value for code in test.code] == [
        ideas.COMMAND.format(options='--where "employees_count >= 300"'),
        ideas.COMMAND.format(options='--where "industry = Food"'),
    ]
    [quick] = [
        one for one in test.selectbox if one.label == "Make a segment of" and "industry: Food" in one.options
    ]
    quick.set_value("industry: a (masked)").run()
    assert "the value looks like an address" in words(test)


def test_the_command_has_options_that_there_are() -> None:
    said = shlex.split(ideas.COMMAND.format(options='--where "industry = Food"'))
    assert said[:3] == ["engagement", "segment", "new"]
    command = cli.cli.commands["segment"].commands["new"]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in said if word.startswith("--")} <= known


def test_no_suggestion_is_said(tmp_path: Path) -> None:
    rows = {**IDEAS, "segment_suggestions": [], "quick_segments": []}
    said = words(page(tmp_path, rows))
    assert "No group of accounts differs in its engagement score" in said
    assert "No attribute divides the accounts." in said


@pytest.mark.parametrize("without", ["segment_overlaps", "segment_differentiators", "segment_history"])
def test_an_older_file_lacks_a_part_and_shows_the_rest(tmp_path: Path, without: str) -> None:
    rows = {name: listed for name, listed in WORLD.items() if name != without}
    test = page(tmp_path, rows, segment_id="stale", without=without)
    assert "needs a file of this release" in words(test)
    assert len(cells(test, "Accounts in it")) == 4


def test_totals_are_of_all_accounts_and_lists_of_those_that_one_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, WORLD)
    monkeypatch.setattr(
        pages_app, "open_reader", lambda: Reader(PublishedFile(path), frozenset({"ann"}), "ann")
    )
    test = app(path, "segments", query={"segment": "stale"})
    assert not test.exception
    assert metrics(test)["Accounts in it"] == "4 of 60"
    assert [row[0] for row in cells(test, "Accounts in it")] == ["Ash", "Cedar"]
    assert [row[0] for row in cells(test, "Accounts that left, the latest first")] == ["Gorse"]
    assert "are over all accounts. The lists" in words(test)
    monkeypatch.undo()
    assert "are over all accounts. The lists" not in words(page(tmp_path, segment_id="stale"))


def test_the_demo_has_the_members_of_the_file(demo_file: Path) -> None:
    test = app(demo_file, "segments", query={"segment": "stale"})
    assert not test.exception
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        members = connection.execute(
            "select account_id, reason from marts.segment_members where segment_id = 'stale' order by account_name"
        ).fetchall()
    shown = tables(test)["Accounts in it"]["rows"]
    assert [(row["href"].partition("account=")[2], row["cells"][1]) for row in shown] == members
