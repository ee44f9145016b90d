"""The page Customer: who is found, and that a card shows what the published file answers, and says what it lacks."""

from __future__ import annotations

import csv
import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from engagement.pages import components, formats
from engagement.pages.customer import activity, search
from engagement.pages.customer import page as customer
from pages_world import app, cells, demo_file, tables
from published_sample import PUBLISHED_AT, ROOT, publish_rows

__all__ = ["demo_file"]

MISSING = formats.MISSING
EVIL = "<script>alert(1)</script> **b** [x](y) :red[z] $1$ www.evil.example http://evil.example"
D = date(2026, 6, 30)
SUNDAY = date(2026, 6, 28)
# Every table that the page asks for.
ASKED = [
    "customer_cards",
    "segments",
    "account_scores",
    "account_score_components",
    "account_score_history",
    "account_score_changes",
    "customer_card_months",
    "office_days",
    "account_engagement",
    "account_traffic",
    "account_outlook",
    "segment_members",
    "segment_history",
    "enriched_customers",
    "company_values",
    "enrichments",
    "account_lookups",
    "account_matches",
    "account_match_fields",
    "account_hierarchy_engagement",
    "leadspace_relatives",
    "leadspace_intent",
    "leadspace_technologies",
    "leadspace_specialties",
    "company_changes",
    "customer_measures",
    "customer_measures_rolled_up",
]
Tables = dict[str, list[dict[str, Any]]]


def card(account: str, score: float | None = None, **values: Any) -> dict[str, Any]:
    """A row of customer_cards: engaged where it has a score."""
    return {
        "account_id": account,
        "account_name": f"Name of {account}",
        "office_enrichment_id": "mail",
        "leadspace_enrichment_id": "lead",
        "engagement_score": score,
        "anchored_score": score,
        "score_band": None if score is None else "high",
        "is_enriched": False,
        "is_never_engaged": score is None,
        "is_stale": False,
        "as_of_date": D,
        **values,
    }


def mail(account: str, **values: Any) -> dict[str, Any]:
    return {"enrichment_id": "mail", "account_id": account, **values}


def lead(account: str, **values: Any) -> dict[str, Any]:
    return {"enrichment_id": "lead", "account_id": account, **values}


def part_of(
    account: str, component: str, possible: float, earned: str | None, **values: Any
) -> dict[str, Any]:
    return mail(
        account,
        aggregation_level="year",
        score_version="v1",
        component=component,
        weight_points=possible,
        points_possible=None if earned is None else possible,
        points_earned=None if earned is None else Decimal(earned),
        scored_on=D,
        **values,
    )


def in_year(account: str, score: float, version: str = "v1") -> dict[str, Any]:
    return mail(
        account,
        aggregation_level="year",
        score_version=version,
        engagement_score=score,
        anchored_score=score,
        interactions_count=30,
    )


def published(folder: Path, rows: Tables, **options: Any) -> Path:
    """A file with all tables that the page asks for; those without rows are empty."""
    path = folder / "engagement.duckdb"
    publish_rows(path, {**{name: [] for name in ASKED}, **rows}, **options)
    return path


def shown(path: Path, account: str, tab: str | None = None, **query: str) -> AppTest:
    """The card of an account, without a fault."""
    test = app(path, "customer", query={"account": account, **({customer.TAB: tab} if tab else {}), **query})
    assert not test.exception, [fault.stack_trace for fault in test.exception]
    return test


def texts(test: AppTest) -> str:
    """All that stands on the page outside of tables, without what hides markup."""
    found = [
        element.value
        for kind in ("title", "header", "subheader", "markdown", "caption", "info", "warning")
        for element in getattr(test, kind)
    ]
    return "\n".join(found).replace("\\", "").replace(formats.WORD_JOINER, "")


def metric(test: AppTest, label: str) -> str:
    [found] = [each.value for each in test.metric if each.label == label]
    return str(found).replace("\\", "")


# --- finding a customer


def test_customers_are_listed_the_highest_score_first(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [
                card(
                    "A1", 10.04, score_change_points=-3.25, last_email_on=D - timedelta(2), segments="stale,x"
                ),
                card("A2", 90.96, account_owner="Anja", last_meeting_on=D, last_email_on=D - timedelta(9)),
                card("A3", account_name=None),
                card("A4", is_never_engaged=False, last_email_on=date(2024, 1, 2)),
            ],
            "segments": [
                {"segment_id": "stale", "segment_name": "Stale accounts", "is_active": True},
                {"segment_id": "x", "segment_name": "Another", "is_active": True},
            ],
        },
    )

    test = app(path, "customer")

    assert cells(test, "Customers") == [
        ["Name of A2", "91.0", "High", MISSING, "30 Jun 2026", "Anja", MISSING],
        [
            "Name of A1",
            "10.0",
            "High",
            "\N{MINUS SIGN}3.2",
            "28 Jun 2026",
            MISSING,
            "Another, Stale accounts",
        ],
        ["A3", MISSING, MISSING, MISSING, "never", MISSING, MISSING],
        ["Name of A4", MISSING, MISSING, MISSING, "2 Jan 2024", MISSING, MISSING],
    ]
    assert tables(test)["Customers"]["rows"][0]["href"] == "customer?account=A2"


def test_the_best_match_stands_first(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [
                card("A-1", 99, account_name="Alte Käserei", website="https://www.site.example"),
                card("B-7", 50, account_name="Käse und Co"),
                card("C-3", 1, account_name="Käse"),
                card("D-4", 70, account_name="Hundred %", account_owner="Anna Owner"),
                card("E-5", None, account_name="Anna Ltd"),
            ]
        },
    )

    test = app(path, "customer")
    for needle, found in {
        "kase": ["Käse", "Käse und Co", "Alte Käserei"],
        "  KÄSE ": ["Käse", "Käse und Co", "Alte Käserei"],
        "b-7": ["Käse und Co"],
        "site.example": ["Alte Käserei"],
        "anna": ["Anna Ltd", "Hundred %"],
        "%": ["Hundred %"],
    }.items():
        test.text_input(key=search.FIND).set_value(needle).run()
        assert [row[0] for row in cells(test, "Customers")] == found, needle
    for needle in ("_", "nobody"):
        test.text_input(key=search.FIND).set_value(needle).run()
        assert "none found" in texts(test)


def test_a_list_can_be_limited_to_a_band_or_a_segment(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [
                card("A1", 90, score_band="high", segments="rising,stale"),
                card("A2", 10, score_band="low", segments="stale_strict"),
                card("A3"),
            ],
            "segments": [{"segment_id": "stale", "segment_name": "Stale accounts", "is_active": True}],
        },
    )

    def names(test: AppTest) -> list[str]:
        return [row[0] for row in cells(test, "Customers")]

    test = app(path, "customer")
    test.selectbox(key="find_band").set_value("low").run()
    assert names(test) == ["Name of A2"]
    test.selectbox(key="find_band").set_value("none").run()
    assert names(test) == ["Name of A3"]
    test.selectbox(key="find_band").set_value("").run()
    test.selectbox(key="find_segment").set_value("stale").run()
    assert names(test) == ["Name of A1"]


def test_of_many_customers_the_first_are_listed_and_counted(tmp_path: Path) -> None:
    path = published(
        tmp_path, {"customer_cards": [card(f"A{number:03}", number / 10) for number in range(300)]}
    )

    test = app(path, "customer")

    assert len(cells(test, "Customers")) == 25
    assert tables(test)["Customers"]["note"] == "25 of 200 rows."
    assert "The first 200 of 300 customers." in texts(test)
    found = app(path, "customer", query={search.FIND: "name of"})
    assert "The first 25 of 300 customers." in texts(found)


def test_a_search_above_a_card_lists_who_is_found(tmp_path: Path) -> None:
    path = published(tmp_path, {"customer_cards": [card("A1", 5), card("A2", 7)]})

    test = shown(path, "A1")
    assert "Customers found" not in tables(test)
    test.text_input(key=search.FIND).set_value("a2").run()

    assert [row[0] for row in cells(test, "Customers found")] == ["Name of A2"]


def test_another_card_begins_without_the_search_of_the_one_before(tmp_path: Path) -> None:
    path = published(tmp_path, {"customer_cards": [card("A1", 5), card("A2", 7)]})
    test = shown(path, "A1", customer_find="x")
    test.text_input(key=search.FIND).set_value("a2").run()

    test.query_params.clear()
    test.query_params["account"] = "A2"
    test.run()

    assert test.text_input(key=search.FIND).value == ""


def test_an_unknown_customer_is_said_to_be_unknown(tmp_path: Path) -> None:
    path = published(tmp_path, {"customer_cards": [card("A1", 5)]})

    assert "There is no customer with the id A9. Search" in texts(shown(path, "A9"))


# --- the head


def scored(**changes: Any) -> Tables:
    """A1 with a score, a history of three weeks and what moved it; B1 beside it. Version v0 is not the one shown."""
    history = [
        {"week_ends_on": SUNDAY - timedelta(14), "engagement_score": 60, "anchored_score": 50},
        {
            "week_ends_on": SUNDAY - timedelta(7),
            "engagement_score": 55,
            "anchored_score": 51,
            "change_points": -5,
            "own_change_points": 0,
            "others_change_points": -5,
        },
        {
            "week_ends_on": SUNDAY,
            "engagement_score": 64.8,
            "anchored_score": 52,
            "change_points": 9.8,
            "own_change_points": 7.3,
            "others_change_points": 2.5,
        },
    ]

    def moved(component: str, before: float, after: float, **values: Any) -> dict[str, Any]:
        return mail(
            "A1",
            score_version="v1",
            component=component,
            previous_points=before,
            points_earned=after,
            week_ends_on=SUNDAY,
            **values,
        )

    return {
        "customer_cards": [
            card("A1", 61.5, score_rank=2, accounts_scored_count=52, score_confidence="high") | changes,
            card("B1", 20),
        ],
        "account_scores": [
            in_year("A1", 61.5),
            in_year("B1", 20),
            in_year("A1", 61.5, "v0"),
            in_year("B1", 99, "v0"),
        ],
        "account_score_history": [
            *(mail("A1", score_version="v1", **week) for week in history),
            mail("A1", score_version="v0", week_ends_on=SUNDAY, engagement_score=1, change_points=1),
        ],
        "account_score_changes": [
            moved("email_inbound", 5, 14, own_change_points=8.2),
            moved("breadth", 4, 4, own_change_points=0),
            moved("regularity", 4, 4.8, own_change_points=-0.9),
            mail(
                "A1",
                score_version="v0",
                component="meeting_volume",
                previous_points=0,
                points_earned=99,
                own_change_points=99,
                week_ends_on=SUNDAY,
            ),
        ],
        "account_score_components": [
            part_of("A1", "contact_recency", 40, "30.1234", unit="days", raw_value=3.0),
            part_of("A1", "email_inbound", 30, "20.0001", unit="messages", raw_value=24.44),
            part_of("A1", "breadth", 20, "11.3765", unit="people", raw_value=None),
            part_of("A1", "reciprocity", 10, "0.0000", unit="ratio", raw_value=0.0),
            part_of("A1", "responsiveness", 5, None, unit="ratio", raw_value=None),
            part_of("A1", "email_inbound", 30, "1.0000", unit="messages", raw_value=1.0)
            | {"score_version": "v0"},
        ],
    }


def test_the_head_says_the_score_and_why_it_moved(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        scored(
            score_change_points=6.6,
            score_change_component="email_inbound",
            component_change_points=6.5,
            website="https://www.a1.example/",
        ),
    )

    test = shown(path, "A1")

    assert metric(test, "Score (of 100)") == "61.5"
    assert metric(test, "Rank") == "2 of 52"
    assert metric(test, "Change in the newest week (points)") == "+9.8"
    said = texts(test)
    assert "Own behaviour +7.3, others moving +2.5" in said
    assert "Confidence: high (30 e-mails and meetings)" in said
    assert (
        "In the week to 28 Jun 2026 the score rose by 9.8 points to 64.8: +7.3 by its own behaviour, +2.5 by others "
        "moving. Of its own behaviour most is e-mail inbound, +8.2 points (messages from the customer; older ones "
        "count less). "
        "On 30 Jun 2026 it is 61.5. Over the newest four weeks: +6.6 points, most by e-mail inbound (+6.5)."
        in said
    )
    assert "Id A1 \N{MIDDLE DOT} a1.example" in said


def test_of_several_enrichments_the_card_names_the_one_it_shows(tmp_path: Path) -> None:
    def enrichment(enrichment_id: str, kind: str) -> dict[str, Any]:
        return {
            "enrichment_id": enrichment_id,
            "enrichment_name": enrichment_id.title(),
            "enrichment_type": kind,
        }

    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5)],
            "enrichments": [
                enrichment("mail", "office"),
                enrichment("north", "office"),
                enrichment("lead", "leadspace"),
            ],
        },
    )

    said = texts(shown(path, "A1"))

    assert "Of several enrichments of a type this card shows Mail (one of 2)." in said


def test_a_parent_is_a_link(tmp_path: Path) -> None:
    path = published(
        tmp_path, {"customer_cards": [card("A1", 5, parent_account_id="P 1", parent_account_name="*Top*")]}
    )

    [link] = shown(path, "A1").get("page_link")

    assert link.proto.label == "Belongs to \\*Top\\*"
    assert link.proto.query_string == "account=P+1"


# --- the score


def test_the_points_add_up_to_the_score_to_the_last_digit(tmp_path: Path) -> None:
    test = shown(published(tmp_path, scored()), "A1")
    assert "Version v1 of the weights" in texts(test)
    rows = cells(test, "Points by component, and their sum")

    assert rows == [
        ["Contact recency", "3 days", "30.1234", "40.0"],
        ["E-mail inbound", "24.4 messages", "20.0001", "30.0"],
        ["Breadth", "hidden: few people", "11.3765", "20.0"],
        ["Reciprocity", "0.00", "0.0000", "10.0"],
        ["Responsiveness", "not measured", MISSING, MISSING],
        ["Score", "", "61.5000", "100.0"],
    ]


def test_the_bars_of_the_components_stand_end_to_end(tmp_path: Path) -> None:
    path = published(tmp_path, scored())
    from engagement.pages.customer.score import PARTS

    with duckdb.connect(str(path), read_only=True) as connection:
        connection.execute("use marts")
        parts = (
            connection.execute(PARTS, {"enrichment": "mail", "account": "A1", "version": "v1"})
            .df()
            .to_dict("records")
        )

    ends = [float(part["to_points"]) for part in parts[:4]]
    assert [float(part["from_points"]) for part in parts[:4]] == [0, *ends[:3]]
    assert ends[-1] == 61.5


def test_the_history_is_that_of_the_version_shown(tmp_path: Path) -> None:
    test = shown(published(tmp_path, scored()), "A1")

    assert cells(test, "Score at the end of each week") == [
        ["28 Jun 2026", "64.8", "52.0"],
        ["21 Jun 2026", "55.0", "51.0"],
        ["14 Jun 2026", "60.0", "50.0"],
    ]
    assert cells(test, "Whose doing each week's change was") == [
        ["28 Jun 2026", "+9.8", "+7.3", "+2.5"],
        ["21 Jun 2026", "\N{MINUS SIGN}5.0", "0.0", "\N{MINUS SIGN}5.0"],
    ]


def test_every_component_of_the_seed_is_put_into_words() -> None:
    with (ROOT / "seeds" / "score_components.csv").open(encoding="utf-8") as file:
        assert {row["component"] for row in csv.DictReader(file)} == set(components.WORDS)


# --- e-mails and meetings


def test_months_say_what_they_do_not_cover(tmp_path: Path) -> None:
    def month(starts_on: date, ends_on: date, **values: Any) -> dict[str, Any]:
        return {
            "account_id": "A1",
            "office_enrichment_id": "mail",
            "month_starts_on": starts_on,
            "month_ends_on": ends_on,
            "is_cut_month": False,
            "days_covered_count": values.get("days_count"),
            **values,
        }

    read = {"emails_from_account_count": 1234, "emails_to_account_count": 0, "meetings_count": 2}
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5)],
            "customer_card_months": [
                month(date(2026, 3, 1), date(2026, 3, 31), days_count=31, days_covered_count=0),
                month(date(2026, 4, 1), date(2026, 4, 30), days_count=30, days_covered_count=29, **read),
                month(date(2026, 5, 1), date(2026, 5, 31), days_count=31, engagement_score=44, **read),
                month(date(2026, 6, 1), date(2026, 6, 20), days_count=20, is_cut_month=True, **read),
            ],
        },
    )

    test = shown(path, "A1")

    assert cells(test, "E-mails over time") == [
        ["Mar 2026 *", MISSING, MISSING, "0 of 31 days read; may grow"],
        ["Apr 2026 *", "1,234", "0", "29 of 30 days read; may grow"],
        ["May 2026", "1,234", "0", "all 31 days"],
        ["Jun 2026 *", "1,234", "0", "cut by the year: 20 days to 20 Jun 2026"],
    ]
    assert [row[:3] for row in cells(test, "Meetings over time")][2] == ["May 2026", "2", "44.0"]
    assert "* Not whole" in texts(test)


def test_a_week_without_a_row_is_zero_and_one_that_was_not_read_is_unknown(tmp_path: Path) -> None:
    monday = date(2026, 6, 15)
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5)],
            "office_days": [
                {
                    "enrichment_id": "mail",
                    "day_on": monday + timedelta(day),
                    "mailboxes_count": 1,
                    "mailboxes_read_count": 0 if day < 7 else 1,
                    "is_covered": day >= 7,
                }
                for day in range(16)
            ],
            "account_engagement": [
                mail(
                    "A1",
                    aggregation_level="week",
                    aggregation_starts_on=date(2026, 6, 29),
                    emails_from_account_count=3,
                    emails_to_account_count=4,
                    meetings_count=1,
                ),
                mail(
                    "A1", aggregation_level="month", aggregation_starts_on=date(2026, 6, 22), meetings_count=9
                ),
            ],
        },
    )

    test = shown(path, "A1", **{activity.BY_KEY: "Weeks"})

    assert cells(test, "E-mails over time") == [
        ["15 Jun 2026 *", MISSING, MISSING, "0 of 7 days read; may grow"],
        ["22 Jun 2026", "0", "0", "all 7 days"],
        ["29 Jun 2026 *", "3", "4", "cut by the year: 2 days to 30 Jun 2026"],
    ]


PEOPLE = {
    "own_people_in_emails_count": 7,
    "own_people_in_emails_band": "5-9",
    "account_people_in_emails_count": 3,
    "account_people_in_emails_band": "1-4",
    "own_people_in_meetings_count": 12,
    "own_people_in_meetings_band": "10-19",
    "account_people_in_meetings_count": None,
    "account_people_in_meetings_band": None,
    "contacts_listed_count": 5,
    "contacts_listed_band": "5-9",
}
TRAFFIC = {
    "interactions_count": 213,
    "threads_count": 72,
    "active_weeks_count": 38,
    "emails_matched_by_domain_count": 0,
    "meetings_matched_by_domain_count": 0,
    "is_two_way": True,
}


def test_people_and_traffic_are_told_in_words(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5, **PEOPLE)],
            "account_traffic": [
                mail(
                    "A1",
                    **TRAFFIC,
                    top_contact_share_ratio=0.85,
                    is_single_threaded=True,
                    top_own_person_share_ratio=0.5,
                    is_single_threaded_on_our_side=False,
                )
            ],
            "account_outlook": [
                mail(
                    "A1",
                    rhythm_state="going_silent",
                    usual_gap_days=2.5,
                    silence_days=20,
                    inbound_chance_ratio=0.951,
                    evidence_count=162,
                    evidence_inbound_count=157,
                )
            ],
        },
    )

    test = shown(path, "A1")

    said = texts(test)
    assert "213 e-mails and meetings within the year, in 72 conversations and 38 weeks." in said
    assert "Two-way: both sides write or invite." in said
    assert "busiest person takes part in 85 % of them: single-threaded, it hangs on one contact." in said
    assert "Our busiest person takes part in 50 % of them." in said
    assert "Going silent. It usually writes or meets every 2.5 days, and last did so 20 days ago." in said
    assert "within 90 days: 95 %." in said and "of 162 of their weeks, 157 were followed" in said
    assert cells(test, "People involved") == [
        ["Our people", "7", "12"],
        ["People of the customer", "3", MISSING],
    ]


def test_a_file_with_bands_shows_bands_and_nothing_of_one_person(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "publication": [
                {
                    "as_of_date": D,
                    "published_at": PUBLISHED_AT,
                    "run_id": "r1",
                    "small_numbers": "band",
                    "smallest_group": 5,
                }
            ],
            "customer_cards": [
                card("A1", 5, **PEOPLE | {"account_people_in_emails_count": None}, replies_count=4)
            ],
            "account_traffic": [mail("A1", **TRAFFIC)],
        },
    )

    test = shown(path, "A1")

    assert cells(test, "People involved") == [
        ["Our people", "5\N{EN DASH}9", "10\N{EN DASH}19"],
        ["People of the customer", "1\N{EN DASH}4", MISSING],
    ]
    said = texts(test)
    assert "Whether it hangs on one person is not shown: privacy setting of the file." in said
    assert "Small numbers are shown as bands: privacy setting of the file." in said
    assert "4 replies of the customer; hidden" in said
    assert metric(test, "Median reply time (hours)") == MISSING


# --- segments, company, match


def test_segments_say_why_and_since_when(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5), card("N1", office_enrichment_id=None)],
            "segment_members": [
                mail(
                    "A1",
                    segment_id="rising",
                    segment_name="Rising",
                    reason="moved by 12",
                    entered_on=D,
                    is_entry_seen=True,
                ),
                mail(
                    "A1",
                    segment_id="big",
                    segment_name="Big",
                    reason="value 9",
                    entered_on=date(2026, 1, 4),
                    is_entry_seen=False,
                ),
                {
                    "enrichment_id": "none",
                    "account_id": "N1",
                    "segment_id": "big",
                    "segment_name": "Big",
                    "reason": "value 8",
                    "entered_on": D,
                    "is_entry_seen": True,
                },
            ],
            "segment_history": [
                mail(
                    "A1",
                    segment_id="stale",
                    segment_name="Stale",
                    entered_on=date(2026, 2, 1),
                    is_entry_seen=True,
                    entered_reason="silent",
                    left_on=date(2026, 3, 1),
                    left_reason="wrote",
                ),
            ],
        },
    )

    test = shown(path, "A1")

    assert cells(test, "Segments it is in") == [
        ["Big", "value 9", "4 Jan 2026 or before"],
        ["Rising", "moved by 12", "30 Jun 2026"],
    ]
    assert tables(test)["Segments it is in"]["rows"][1]["href"] == "segments?segment=rising"
    assert cells(test, "Segments it was in") == [["Stale", "1 Feb 2026", "silent", "1 Mar 2026", "wrote"]]
    assert cells(shown(path, "N1"), "Segments it is in") == [["Big", "value 8", "30 Jun 2026"]]


def value(
    attribute: str, text: str, source: str, is_chosen: bool = True, account: str = "A1"
) -> dict[str, Any]:
    return {
        "account_id": account,
        "attribute": attribute,
        "source_name": "customers" if source == "customer-file" else "leadspace",
        "enrichment_id": source,
        "value_text": text,
        "is_chosen": is_chosen,
        "why": f"why {source}",
    }


def test_the_company_shows_sources_and_what_others_say(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5, is_enriched=True)],
            "enrichments": [{"enrichment_id": "lead", "enrichment_name": "Company data"}],
            "enriched_customers": [
                {"account_id": "A1", "owner": "Anja", "contract value": 133000, "since": date(2020, 2, 1)}
            ],
            "company_values": [
                value("employees_count", "19572", "lead"),
                value("annual_revenue_usd", "3151092000.0", "lead"),
                value("company_name", "Sequoia", "customer-file"),
                value("company_name", "Sequoia, Inc", "lead", False),
                value("company_website", "https://www.sequoia.example", "customer-file"),
                value("company_website", "Sequoia.example/", "lead", False),
                value("company_name", "Of another", "customer-file", account="B1"),
            ],
        },
        own_columns={"owner": "VARCHAR", "contract value": "BIGINT", "since": "DATE"},
    )

    test = shown(path, "A1", "Company")

    assert cells(test, "From the customer file") == [
        ["Owner", "Anja"],
        ["Contract value", "133,000"],
        ["Since", "1 Feb 2020"],
    ]
    assert [[row[0], row[1], row[2], row[4]] for row in cells(test, "Company")] == [
        ["Name", "Sequoia", "customer file", "Sequoia, Inc (Company data)"],
        ["Website", "https://www.sequoia.example", "customer file", MISSING],
        ["Employees", "19,572", "Company data", MISSING],
        ["Annual revenue (US dollars)", "$ 3,151,092,000", "Company data", MISSING],
    ]
    assert [row[3:5] for row in cells(test, "Values of all sources")][:4] == [
        ["shown", "why customer-file"],
        ["differs", "why lead"],
        ["shown", "why customer-file"],
        ["agrees", "why lead"],
    ]


def test_a_match_stands_beside_what_was_sent(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5), card("B1"), card("C1", leadspace_enrichment_id=None)],
            "account_lookups": [
                lead("A1", lookup_status="rejected", is_refreshed=True, answered_at=PUBLISHED_AT),
                lead("B1", lookup_status="not_sent", not_sent_reason="no_name", is_refreshed=False),
            ],
            "account_matches": [
                lead(
                    "A1",
                    match_verdict="reject",
                    match_reason="Another website",
                    match_confidence="low",
                    name_similarity_ratio=0.8387,
                    is_decided_by_person=True,
                )
            ],
            "account_match_fields": [
                lead("A1", field="country", sent_value="Norway", answered_value="Norway", agreement="same"),
                lead(
                    "A1",
                    field="name",
                    sent_value="Aurora",
                    answered_value="Aurora Group",
                    sent_compared="aurora",
                    answered_compared="aurora group",
                    agreement="contained",
                ),
            ],
        },
    )

    test = shown(path, "A1", "Match")

    assert metric(test, "Verdict") == "Rejected: it is another company"
    assert metric(test, "The provider's confidence") == "Low"
    assert "Another website. Decided by a person." in texts(test)
    assert "the company that the provider answered is another one. Answered 1 Jul 2026" in texts(test)
    assert cells(test, "What we sent and what came back") == [
        ["Name", "Aurora", "Aurora Group", "one contains the other", "aurora with aurora group"],
        ["Country", "Norway", "Norway", "same", f"{MISSING} with {MISSING}"],
    ]
    assert "The customer file has no name for it" in texts(shown(path, "B1", "Match"))
    assert "This customer was not looked up" in texts(shown(path, "C1", "Match"))


# --- family, intent, measures


def family() -> Tables:
    """Top > Mid > A1 > Low, Low2; Ring1 and Ring2 are each other's parent."""

    def member(account: str, parent: str | None, owner: str = "Anja", **values: Any) -> dict[str, Any]:
        return card(account, 10, account_owner=owner, parent_account_id=parent, **values)

    return {
        "customer_cards": [
            member("Top", None),
            member("Mid", "Top", "Ben"),
            member("A1", "Mid", emails_count=5, meetings_count=0),
            member("Low2", "A1"),
            member("Low1", "A1"),
            member("Lowest", "Low1"),
            member("Sister", "Mid"),
            member("Ring1", "Ring2"),
            member("Ring2", "Ring1"),
        ],
        "account_hierarchy_engagement": [
            {
                "enrichment_id": "mail",
                "hierarchy_source": "customer_file",
                "hierarchy_id": top,
                "hierarchy_name": f"Name of {top}",
                "accounts_count": accounts,
                "emails_to_accounts_count": 3,
                "emails_from_accounts_count": 4,
                "contacts_count": 11,
            }
            for top, accounts in (("Top", 7), ("A1", 4), ("Ring1", 2))
        ],
        "leadspace_relatives": [
            lead("A1", relative_type="SITE", relative_id="s", relative_name="Site", relative_account_id="A1"),
            lead(
                "A1",
                relative_type="GU",
                relative_id="g",
                relative_name="Holding",
                relative_account_id="Mid",
                employees_count=4551,
            ),
            lead("A1", relative_type="HQ", relative_id="h", relative_name="Nobody of ours"),
        ],
    }


def test_the_family_is_a_tree_of_links(tmp_path: Path) -> None:
    test = shown(published(tmp_path, family()), "A1", "Family")

    assert [row[:2] for row in cells(test, "Family in the customer file")] == [
        ["Name of Top", "2 levels above"],
        ["Name of Mid", "its parent"],
        ["Name of A1", "this customer"],
        ["Name of Low1", "its child"],
        ["Name of Lowest", "2 levels below"],
        ["Name of Low2", "its child"],
    ]
    rows = tables(test)["Family in the customer file"]["rows"]
    assert [row["indent"] for row in rows] == [0, 1, 2, 3, 4, 3]
    assert rows[0]["href"] == "customer?account=Top"
    assert [row[:3] for row in cells(test, "The families together, within the year")] == [
        ["Name of Top", "customer file", "7"],
        ["Name of A1", "customer file", "4"],
    ]


def test_a_circle_of_parents_ends(tmp_path: Path) -> None:
    test = shown(published(tmp_path, family()), "Ring1", "Family")

    assert [row[:2] for row in cells(test, "Family in the customer file")] == [
        ["Name of Ring2", "its parent"],
        ["Name of Ring1", "this customer"],
        ["Name of Ring2", "its child"],
    ]


def test_relatives_lead_to_customers_whom_the_viewer_may_see(tmp_path: Path) -> None:
    path = published(tmp_path, family())

    test = shown(path, "A1", "Family")
    assert [[row[0], row[1], row[5]] for row in cells(test, "Family by Leadspace")] == [
        ["Holding", "Global ultimate parent", "Name of Mid"],
        ["Nobody of ours", "Headquarters", "no"],
        ["Site", "Site", "this customer"],
    ]
    assert [row["href"] for row in tables(test)["Family by Leadspace"]["rows"]] == [
        "customer?account=Mid",
        "",
        "customer?account=A1",
    ]


def test_intent_technologies_and_changes_are_shown_as_the_provider_has_them(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5)],
            "leadspace_intent": [
                lead("A1", intent_name="Cloud", intent_part="topic", part_name="x", intent_level="low"),
                lead(
                    "A1",
                    intent_name="Cloud",
                    intent_part="model",
                    part_name="Cloud",
                    intent_level="no_intent",
                    intent_score=81.25,
                    is_new_high=True,
                ),
            ],
            "leadspace_technologies": [lead("A1", technology_kind="web_site", technology="<b>Tag</b>")],
            "leadspace_specialties": [lead("A1", specialty="Whey")],
            "company_changes": [
                lead(
                    "A1",
                    attribute="industry",
                    value_after="Food",
                    change_kind="learned",
                    changed_at=PUBLISHED_AT,
                ),
                lead(
                    "A1",
                    attribute="employees_count",
                    value_before="1000",
                    value_after="2000",
                    change_kind="changed",
                    changed_at=PUBLISHED_AT - timedelta(9),
                ),
            ],
        },
    )

    test = shown(path, "A1", "Intent and technologies")

    assert cells(test, "Intent: what the company is looking for") == [
        ["Cloud", "The intent itself", "Cloud", "No intent", "81.2", "yes", MISSING],
        ["Cloud", "Topic", "x", "Low", MISSING, MISSING, MISSING],
    ]
    assert cells(test, "Technologies") == [["<b>Tag</b>", "Seen on its website"]]
    assert cells(test, "Specialties") == [["Whey"]]
    assert [row[:4] for row in cells(test, "Changes of the company data")] == [
        ["Employees", "1,000", "2,000", "Changed"],
        ["Industry", MISSING, "Food", "Learned"],
    ]


def test_measures_stand_beside_those_of_all_below(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [card("A1", 5), card("B1", 5)],
            "customer_measures": [
                mail(account, emails_count=12345, reply_time_mean_hours=2.25, as_of_date=D)
                for account in ("A1", "B1")
            ],
            "customer_measures_rolled_up": [
                mail("A1", accounts_count=3, emails_count=20000),
                mail("B1", accounts_count=1, emails_count=12345),
            ],
        },
    )

    rows = {
        row[0]: row[1:]
        for row in cells(shown(path, "A1", "Measures"), "Measures of the 365 days to 30 Jun 2026")
    }
    assert rows["E-mails"] == ["12,345", "20,000"]
    assert rows["Mean reply time (hours)"] == ["2.2", MISSING]
    alone = tables(shown(path, "B1", "Measures"))["Measures of the 365 days to 30 Jun 2026"]
    assert [column["label"] for column in alone["columns"]] == ["Measure", "This customer"]


# --- what is not there


def test_a_customer_of_whom_nothing_is_known_is_told_so(tmp_path: Path) -> None:
    path = published(
        tmp_path,
        {
            "customer_cards": [
                card("N1", account_name=None, contacts_listed_count=2),
                card("O1", is_never_engaged=False, last_email_on=date(2024, 1, 2)),
                card("X1", office_enrichment_id=None, leadspace_enrichment_id=None, is_never_engaged=None),
            ],
        },
    )

    never, once, bare = texts(shown(path, "N1")), texts(shown(path, "O1")), texts(shown(path, "X1"))

    assert "Customer N1 (without a name)" in never
    assert "there has never been an e-mail or a meeting with this customer" in never
    assert (
        "Never engaged: no e-mail and no meeting in all data kept. Contacts in the contact file: 2." in never
    )
    assert "no e-mail and no meeting within the year. The last contact was on 2 Jan 2024." in once
    assert "this file has no account engagement" in bare
    assert "This file has no e-mails and meetings" in bare
    assert "it is in no segment" in bare
    assert "Nothing is known of the company." in bare
    for tab in list(customer.TABS)[1:]:
        shown(path, "X1", tab)


# A table of each part of the card, and what else of it is shown.
@pytest.mark.parametrize(
    ("missing", "query", "still"),
    [
        ("account_score_changes", {}, "Points by component, and their sum"),
        ("account_score_components", {}, "Segments it is in"),
        ("customer_card_months", {}, "Segments it is in"),
        ("account_traffic", {}, "Segments it is in"),
        ("segment_members", {}, "Points by component, and their sum"),
        ("company_values", {customer.TAB: "Company"}, "From the customer file"),
        ("account_match_fields", {customer.TAB: "Match"}, "Segments it is in"),
        ("leadspace_relatives", {customer.TAB: "Family"}, "Segments it is in"),
        ("leadspace_intent", {customer.TAB: "Intent and technologies"}, "Segments it is in"),
        ("customer_measures", {customer.TAB: "Measures"}, "Segments it is in"),
    ],
)
def test_of_an_older_file_the_rest_is_still_shown(
    tmp_path: Path, missing: str, query: dict[str, str], still: str
) -> None:
    in_segment = mail("A1", segment_id="big", segment_name="Big", entered_on=D, is_entry_seen=True)
    rows = scored() | {
        "account_lookups": [lead("A1", lookup_status="enriched", is_refreshed=True)],
        "account_matches": [lead("A1", match_verdict="accept", is_decided_by_person=False)],
        "segment_members": [in_segment],
        "enriched_customers": [{"account_id": "A1", "owner": "Anja"}],
    }
    path = published(tmp_path, rows, own_columns={"owner": "VARCHAR"})
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"drop table marts.{missing}")

    test = shown(path, "A1", **query)

    assert "needs a file of this release" in texts(test)
    assert still in tables(test)


def test_an_older_file_without_customers_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = published(tmp_path, {})
    with duckdb.connect(str(path)) as connection:
        connection.execute("drop table marts.customer_cards")

    assert "needs a file of this release" in texts(app(path, "customer"))
    assert "needs a file of this release" in texts(shown(path, "A1"))


def test_names_are_never_markup(tmp_path: Path) -> None:
    rows = scored(
        account_name=EVIL,
        website=EVIL,
        country=EVIL,
        account_owner=EVIL,
        parent_account_id="B1",
        parent_account_name=EVIL,
        score_band=EVIL,
        score_confidence=EVIL,
        score_change_points=1,
        score_change_component=EVIL,
        component_change_points=1,
    ) | {
        "account_outlook": [mail("A1", rhythm_state=EVIL)],
        "account_lookups": [lead("A1", lookup_status=EVIL, is_refreshed=True)],
        "account_matches": [
            lead(
                "A1",
                match_verdict=EVIL,
                match_reason=EVIL,
                match_confidence=EVIL,
                is_decided_by_person=False,
            )
        ],
    }
    path = published(tmp_path, rows)

    for tab in ("Company", "Match"):
        test = shown(path, "A1", tab)
        raw = [
            element.value
            for kind in ("header", "subheader", "markdown", "caption", "info", "warning")
            for element in getattr(test, kind)
        ]
        raw += [link.proto.label for link in test.get("page_link")]
        raw += [each.proto.body for each in test.metric]
        for text in raw:
            assert not re.search(r"(?<!\\)<script|(?<!\\)\*\*b|(?<!\\)\[x|(?<!\\):red", text), text
            assert "www.evil" not in text.replace("\\", "") and "http://evil" not in text.replace("\\", ""), (
                text
            )
    assert "there is no customer" in texts(shown(path, EVIL)).lower()


# --- of the viewer, and of the demo


def test_a_viewer_sees_his_own_customers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engagement.pages import reader

    monkeypatch.setattr(reader, "_viewer", lambda site: ("anja", frozenset({"anja"})))
    path = published(tmp_path, family())

    test = shown(path, "A1", "Family")

    assert [row[0] for row in cells(test, "Family in the customer file")] == [
        "Name of A1",
        "Name of Low1",
        "Name of Lowest",
        "Name of Low2",
    ]
    assert cells(test, "Family by Leadspace")[0][5] == "no"
    assert "also those of other owners" in texts(test)
    assert "There is no customer with the id Mid, or it is none of yours." in texts(shown(path, "Mid"))


def test_cards_of_the_demo_show_what_its_file_answers(demo_file: Path) -> None:
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        chosen = connection.execute(
            """
            select account_id, engagement_score, emails_count, account_name
            from marts.customer_cards
            qualify row_number() over (
                partition by engagement_score is null, is_enriched, parent_account_id is null, child_accounts_count > 0
                order by account_id
            ) = 1
            """
        ).fetchall()
        parts = dict(
            connection.execute(
                """
                select account_id, sum(points_earned) from marts.account_score_components
                where aggregation_level = 'year' group by account_id
                """
            ).fetchall()
        )

    assert len(chosen) > 4
    for account_id, score, emails, name in chosen:
        test = shown(demo_file, account_id)
        assert (name or account_id) in texts(test)
        assert metric(test, "E-mails in the year") == formats.count(emails)
        if score is None:
            assert "No score" in texts(test)
        else:
            assert metric(test, "Score (of 100)") == formats.decimal(score)
            assert cells(test, "Points by component, and their sum")[-1][2] == formats.points(score)
            assert parts[account_id] == score
    for tab in list(customer.TABS)[1:]:
        shown(demo_file, "A-1003", tab)
