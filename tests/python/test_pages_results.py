"""The page Results: what each type of enrichment found, and what a person can do about the rest."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from streamlit.testing.v1 import AppTest

from engagement.pages import formats
from engagement.pages.results import leadspace, matches
from engagement.pages.results import office as results_office
from pages_world import app, cells, demo_file, tables  # noqa: F401  (a fixture)
from published_sample import PUBLISHED_AT, publish_rows
from test_pages_hub import HOSTILE, LEADSPACE, OFFICE, said

ROOT = Path(__file__).parents[2]
PREVIEW = "Enriched customers preview"
UNMATCHED = "Domains that match no customer"
TABLES = (
    "enrichments",
    "enriched_accounts_over_time",
    "office_overview",
    "office_coverage",
    "office_days",
    "office_gaps",
    "customer_measures",
    "unmatched_domains",
    "leadspace_overview",
    "leadspace_coverage",
    "leadspace_runs",
    "leadspace_companies",
    "account_lookups",
    "match_review_queue",
    "account_match_fields",
    "company_changes",
    "company_file_companies",
    "leadspace_contacts",
    "customer_cards",
)


def written(folder: Path, enrichment: dict[str, Any] = OFFICE, **rows: Any) -> Path:
    """A file of this enrichment with these rows, and all other tables of the page empty."""
    path = folder / "engagement.duckdb"
    publish_rows(path, {**{name: [] for name in TABLES}, "enrichments": [enrichment], **rows})
    return path


def of(enrichment: dict[str, Any], rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """These rows, of this enrichment."""
    return [{"enrichment_id": enrichment["enrichment_id"], **row} for row in rows]


def figures(test: AppTest) -> dict[str, str]:
    return {str(metric.label): str(metric.value) for metric in test.metric}


def values_of(name: str, column: str) -> set[str]:
    """The values that the models' YAML allows in a column."""
    for path in (ROOT / "models/marts").rglob("_*__models.yml"):
        for model in yaml.safe_load(path.read_text("utf-8")).get("models", []):
            if model["name"] == name:
                [found] = [entry for entry in model["columns"] if entry["name"] == column]
                [values] = [
                    test["accepted_values"]["arguments"]["values"]
                    for test in found["data_tests"]
                    if isinstance(test, dict) and "accepted_values" in test
                ]
                return set(values)
    raise AssertionError(name)


# --- which enrichment


def test_the_address_names_the_enrichment(tmp_path: Path) -> None:
    path = written(tmp_path, enrichments=[OFFICE, LEADSPACE])
    assert app(path, "results").selectbox(key="enrichment").value == "companies"
    shown = app(path, "results", query={"enrichment": "sales"})
    assert shown.selectbox(key="enrichment").value == "sales"
    assert "Days covered" in [element.value for element in shown.header]
    shown.selectbox(key="enrichment").set_value("companies").run()
    assert shown.query_params["enrichment"] in ("companies", ["companies"])
    assert "Matches to look at" in [element.value for element in shown.header]
    unknown = app(path, "results", query={"enrichment": HOSTILE})
    assert formats.plain(HOSTILE) in unknown.info[0].value
    assert not unknown.exception


def test_an_enrichment_of_any_type_shows_something_where_all_is_empty(tmp_path: Path) -> None:
    for kind in ("office", "leadspace", "leadspace_contacts", "company_file"):
        path = written(tmp_path / kind, {**OFFICE, "enrichment_type": kind})
        shown = app(path, "results")
        assert not shown.exception
        assert shown.header
        assert not shown.error


def test_an_older_file_shows_the_parts_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "engagement.duckdb"
    rows = of(
        OFFICE, [{"mail_domain": "acme.example", "reason": "no_contact_has_it", "messages_from_count": 1}]
    )
    publish_rows(path, {"enrichments": [OFFICE], "unmatched_domains": rows})
    shown = app(path, "results")
    assert not shown.exception
    assert cells(shown, UNMATCHED)[0][0] == "acme.example"
    assert any("needs a file of this release" in element.value for element in shown.info)


def test_no_enrichment_is_said(tmp_path: Path) -> None:
    assert "No enrichment is configured" in said(app(written(tmp_path, enrichments=[]), "results"))


# --- how many, run by run


def test_enriched_customers_over_time_in_a_period(tmp_path: Path) -> None:
    runs = [
        {
            "run_id": f"r{days}",
            "accounts_enriched_count": count,
            "refreshed_at": PUBLISHED_AT - timedelta(days=days),
        }
        for days, count in ((1, 52), (20, 47), (80, 31), (400, 12))
    ]
    shown = app(written(tmp_path, enriched_accounts_over_time=of(OFFICE, runs)), "results")
    caption = "Number of enriched customers, one point a run"
    assert [row[1] for row in cells(shown, caption)] == ["52", "47", "31"]
    assert "From 31 customers" in said(shown)
    for period, counts in (("7 days", ["52"]), ("All", ["52", "47", "31", "12"])):
        shown.button_group(key="period of sales").set_value(period).run()
        assert [row[1] for row in cells(shown, caption)] == counts
    none = app(written(tmp_path / "none"), "results")
    assert "No run refreshed it in this period" in said(none)


# --- office


def test_office_figures_are_those_of_the_file(demo_file: Path) -> None:  # noqa: F811
    shown = app(demo_file, "results", query={"enrichment": "account-engagement"})
    assert not shown.exception
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        connection.execute("use marts")
        [figure] = connection.execute(
            "select accounts_enriched_count, accounts_count, mailboxes_selected_count, email_copies_read_count, "
            "emails_counted_count, meetings_counted_count, days_covered_count from office_overview"
        ).fetchall()
        domains = connection.execute(
            "select mail_domain, messages_from_count, addresses_count from unmatched_domains "
            "order by messages_from_count + messages_to_count + meetings_count desc, mail_domain limit 10"
        ).fetchall()
        customers = connection.execute(
            "select account_name from customer_measures where is_engaged order by engagement_score desc limit 10"
        ).fetchall()
        coverage = connection.execute(
            "select items_in_year_count from office_coverage where kind = 'message' "
            "order by is_counted desc, items_in_year_count desc, bucket"
        ).fetchall()
    said_figures = figures(shown)
    assert said_figures["Customers enriched"] == f"{figure[0]} of {figure[1]}"
    assert said_figures["Addresses selected"] == str(figure[2])
    assert said_figures["E-mail copies read"] == f"{figure[3]:,}"
    assert said_figures["E-mails counted"] == f"{figure[4]:,}"
    assert said_figures["Meetings counted"] == f"{figure[5]:,}"
    assert said_figures["Days of data"] == f"{figure[6]} of 365"
    assert [(row[0], row[2], row[5]) for row in cells(shown, UNMATCHED)] == [
        (name, str(from_count), str(addresses)) for name, from_count, addresses in domains
    ]
    assert [row[0] for row in cells(shown, PREVIEW)] == [name for (name,) in customers]
    assert [row[2] for row in cells(shown, "E-mails: counted, or why not")] == [
        f"{count:,}" for (count,) in coverage
    ]
    assert "No gap: on each of the 365 days" in said(shown)


def test_gaps_are_shown_and_said(tmp_path: Path) -> None:
    days = [
        {
            "day_on": f"2026-06-{day:02}",
            "mailboxes_count": 4,
            "mailboxes_read_count": read,
            "is_covered": read == 4,
        }
        for day, read in ((27, 4), (28, 0), (29, 3), (30, 4))
    ]
    gap = {
        "gap_starts_on": "2026-06-28",
        "gap_ends_on": "2026-06-29",
        "days_count": 2,
        "mailboxes_missing_count": 4,
    }
    shown = app(written(tmp_path, office_days=of(OFFICE, days), office_gaps=of(OFFICE, [gap])), "results")
    assert "2 of 4 days were read for every mailbox" in said(shown)
    assert cells(shown, "Gaps") == [["28 Jun 2026", "29 Jun 2026", "2", "4"]]
    assert [row[1] for row in cells(shown, "Mailboxes read, by day")] == ["4", "0", "3", "4"]


def test_addresses_are_bands_in_a_file_of_bands(tmp_path: Path) -> None:
    domains = of(
        OFFICE,
        [
            {"mail_domain": "few.example", "messages_from_count": 9, "addresses_band": "1-4"},
            {
                "mail_domain": "many.example",
                "messages_to_count": 5,
                "addresses_count": 10,
                "addresses_band": "10-19",
            },
        ],
    )
    for row in domains:
        for name in ("messages_from_count", "messages_to_count", "meetings_count"):
            row.setdefault(name, 0)
        row["reason"] = "no_contact_has_it"
    about = {"as_of_date": "2026-06-30", "published_at": PUBLISHED_AT, "run_id": "r1"}
    banded = {**about, "small_numbers": "band", "smallest_group": 5}
    overview = of(OFFICE, [{"small_numbers": "band", "accounts_count": 3, "accounts_enriched_count": 2}])
    shown = app(
        written(tmp_path, unmatched_domains=domains, publication=[banded], office_overview=overview),
        "results",
    )
    assert [row[5] for row in cells(shown, UNMATCHED)] == ["1-4", "10-19"]
    assert said(shown).count("Small numbers are shown as bands") == 1
    open_ = app(
        written(
            tmp_path / "show", unmatched_domains=domains, publication=[{**about, "small_numbers": "show"}]
        ),
        "results",
    )
    assert [row[5] for row in cells(open_, UNMATCHED)] == [formats.MISSING, "10"]
    assert "shown as bands" not in said(open_)


def test_unmatched_domains_are_for_who_sees_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = of(OFFICE, [{"mail_domain": "secret.example", "reason": "not_among_its_contacts"}])
    customers = of(
        OFFICE,
        [
            {"account_id": "A1", "account_name": "Mine", "is_engaged": True},
            {"account_id": "A2", "account_name": "Theirs", "is_engaged": True},
        ],
    )
    cards = [{"account_id": "A1", "account_owner": "kim"}, {"account_id": "A2", "account_owner": "lee"}]
    path = written(tmp_path, unmatched_domains=rows, customer_measures=customers, customer_cards=cards)
    monkeypatch.setattr("engagement.pages.reader._viewer", lambda site: ("kim", frozenset({"kim"})))
    shown = app(path, "results")
    assert UNMATCHED not in tables(shown)
    assert "shown to who sees all accounts" in said(shown)
    assert [row[0] for row in cells(shown, PREVIEW)] == ["Mine"]


def test_every_bucket_and_reason_has_words() -> None:
    assert values_of("office_coverage", "bucket") == set(results_office.BUCKETS)
    assert values_of("unmatched_domains", "reason") == set(results_office.REASONS)


def test_long_lists_are_cut_and_it_is_said(tmp_path: Path) -> None:
    customers = of(
        OFFICE,
        [
            {
                "account_id": f"A{place}",
                "account_name": f"{HOSTILE} {place}",
                "is_engaged": True,
                "engagement_score": 1,
            }
            for place in range(321)
        ],
    )
    shown = app(written(tmp_path, customer_measures=customers), "results")
    table = tables(shown)[PREVIEW]
    assert len(table["rows"]) == 10
    assert table["rows"][0]["cells"][0] == f"{HOSTILE} 0"
    assert table["more"] == "Show 100 more"
    assert "The first 200 of 321" in said(shown)


# --- Leadspace


def test_leadspace_figures_are_those_of_the_file(demo_file: Path) -> None:  # noqa: F811
    shown = app(demo_file, "results", query={"enrichment": "company-data"})
    assert not shown.exception
    with duckdb.connect(str(demo_file), read_only=True) as connection:
        connection.execute("use marts")
        [overview] = connection.execute(
            "select accounts_enriched_count, accounts_count, confidence_high_count, accounts_rejected_count, "
            "matches_in_review_count, lookups_count from leadspace_overview"
        ).fetchall()
        fields = connection.execute(
            "select accounts_with_value_count from leadspace_coverage "
            "order by accounts_with_value_count desc, field limit 25"
        ).fetchall()
        [runs] = connection.execute(
            "select processed_changed_count, processed_unchanged_count, not_matched_count, not_processed_count "
            "from leadspace_runs"
        ).fetchall()
        queue = connection.execute(
            "select sent_name, answered_name, match_reason from match_review_queue order by queue_place"
        ).fetchall()
        missing = connection.execute(
            "select count(*) from account_lookups where lookup_status != 'enriched'"
        ).fetchall()
    said_figures = figures(shown)
    assert said_figures["Customers enriched"] == f"{overview[0]} of {overview[1]}"
    assert (
        said_figures["High confidence"],
        said_figures["Rejected"],
        said_figures["Matches to look at"],
        said_figures["Lookups so far"],
    ) == tuple(str(count) for count in overview[2:])
    [caption] = [
        caption for caption in tables(shown) if caption.startswith("Number of customers enriched by")
    ]
    assert [row[1] for row in cells(shown, caption)] == [str(count) for (count,) in fields]
    [caption] = [caption for caption in tables(shown) if caption.startswith("Processed and changed")]
    assert cells(shown, caption)[0][2:6] == [str(count) for count in runs]
    assert [(row[0], row[1], row[6]) for row in cells(shown, "Matches to look at")] == queue
    table = tables(shown)["Customers not enriched"]
    assert table["note"].endswith(f"of {missing[0][0]} rows.")


def test_a_match_to_look_at_has_what_was_sent_beside_what_was_answered(tmp_path: Path) -> None:
    queue = {
        "account_id": "A1",
        "company_id": 'c"1',
        "sent_name": HOSTILE,
        "answered_name": "Acme Holding",
        "match_reason": "One website, and one name has more words",
        "match_confidence": "high",
        "name_agreement": "contained",
        "website_agreement": "same",
        "country_agreement": "different",
        "name_similarity_ratio": 0.76,
        "queue_place": 1,
    }
    fields = [
        {
            "account_id": "A1",
            "field": "website",
            "sent_value": "HTTPS://www.acme.example",
            "answered_value": "acme.example",
        },
        {"account_id": "A1", "field": "country", "sent_value": "Canada", "answered_value": None},
        {"account_id": "A2", "field": "country", "sent_value": "France", "answered_value": "France"},
    ]
    path = written(
        tmp_path,
        LEADSPACE,
        match_review_queue=of(LEADSPACE, [queue]),
        # Another enrichment was answered otherwise about the same account.
        account_match_fields=[
            *of(LEADSPACE, fields),
            *of(OFFICE, [{"account_id": "A1", "field": "country", "answered_value": "Norway"}]),
        ],
    )
    shown = app(path, "results")
    [row] = tables(shown)["Matches to look at"]["rows"]
    assert row["cells"] == [
        HOSTILE,
        "Acme Holding",
        "One has more words",
        "Same",
        "Different",
        "High",
        "One website, and one name has more words",
    ]
    assert row["details"][2:5] == ["76 % alike", "acme.example\nacme.example", f"Canada\n{formats.MISSING}"]
    assert row["href"] == "customer?account=A1"

    assert not shown.code
    shown.button_group(key="verdict of companies").set_value("reject").run()
    shown.text_input(key="why of companies").set_value("a parent, says the register").run()
    [line] = [element.value for element in shown.code]
    header = (ROOT / matches.DECISIONS_FILE).read_text("utf-8").splitlines()[0]
    [decided] = list(csv.DictReader([header, line]))
    assert (decided["account_id"], decided["company_id"]) == ("A1", 'c"1')
    assert decided["verdict"] == "reject"
    assert decided["why"] == "a parent, says the register"
    assert dt.date.fromisoformat(decided["decided_on"])


def test_a_decision_is_one_line_whatever_is_typed() -> None:
    row = {"account_id": "A,1", "company_id": "c1"}
    line = matches.decision(row, "accept", ' seen\nin the "register", today ', dt.date(2026, 7, 1))
    assert list(csv.reader([line])) == [
        ["A,1", "c1", "accept", "2026-07-01", 'seen in the "register", today']
    ]
    assert "\n" not in line


def test_a_match_without_an_id_cannot_be_decided(tmp_path: Path) -> None:
    queue = of(
        LEADSPACE, [{"account_id": "A1", "sent_name": "Acme", "queue_place": 1, "name_agreement": "unknown"}]
    )
    shown = app(written(tmp_path, LEADSPACE, match_review_queue=queue), "results")
    shown.button_group(key="verdict of companies").set_value("accept").run()
    assert not shown.code
    assert "no id for this company" in said(shown)


def test_why_a_customer_is_not_enriched(tmp_path: Path) -> None:
    lookups = of(
        LEADSPACE,
        [
            {"account_id": "A1", "account_name": "Acme", "lookup_status": "enriched"},
            {
                "account_id": "A2",
                "account_name": None,
                "lookup_status": "not_sent",
                "not_sent_reason": "no_name",
            },
            {"account_id": "A3", "account_name": HOSTILE, "lookup_status": "held"},
        ],
    )
    shown = app(written(tmp_path, LEADSPACE, account_lookups=lookups), "results")
    assert [row[:2] for row in cells(shown, "Customers not enriched")] == [
        [HOSTILE, leadspace.STATUSES["held"]],
        ["A2", "Not sent: it has no name; give it one in the account file"],
    ]
    assert values_of("account_lookups", "lookup_status") == set(leadspace.STATUSES)
    assert set(leadspace.NOT_SENT_REASONS) == {"no_name", "name_too_long"}
    agreements = {
        value
        for name in ("name", "website", "country")
        for value in values_of("match_review_queue", f"{name}_agreement")
    }
    assert agreements == set(matches.AGREEMENTS)


def test_recent_changes_leave_first_answers_out_until_asked(tmp_path: Path) -> None:
    at = datetime(2026, 6, 1, 12, 0)
    changes = of(
        LEADSPACE,
        [
            {"account_id": "A1", "attribute": "industry", "value_after": "Energy", "change_kind": "learned"},
            {
                "account_id": "A1",
                "attribute": "annual_revenue_usd",
                "value_before": "1",
                "value_after": "2",
                "change_kind": "changed",
            },
        ],
    )
    rows = [{**row, "changed_at": at} for row in changes]
    cards = [{"account_id": "A1", "account_name": "Acme"}]
    shown = app(written(tmp_path, LEADSPACE, company_changes=rows, customer_cards=cards), "results")
    changed = ["Acme", "Annual revenue (US dollars)", "1", "2", "Changed", formats.instant(at)]
    assert cells(shown, "Changes of company data") == [changed]
    shown.toggle(key="learned of companies").set_value(True).run()
    assert cells(shown, "Changes of company data") == [
        changed,
        ["Acme", "Industry", formats.MISSING, "Energy", "Learned", formats.instant(at)],
    ]


# --- other types


def test_a_company_file_shows_whom_it_knows_of_the_viewers_accounts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrichment = {
        **OFFICE,
        "enrichment_type": "company_file",
        "accounts_enriched_count": 2,
        "accounts_count": 3,
    }
    companies = of(
        enrichment,
        [
            {"CustomerId": "A1", "industry": "Energy", "employees_count": 1200, "company_city": "Oslo"},
            {"CustomerId": "A2", "industry": "Mining"},
        ],
    )
    cards = [
        {"account_id": "A1", "account_name": "Acme", "account_owner": "kim"},
        {"account_id": "A2", "account_name": "Other", "account_owner": "lee"},
    ]
    path = written(tmp_path, enrichment, company_file_companies=companies, customer_cards=cards)
    shown = app(path, "results")
    assert figures(shown) == {"Customers enriched": "2 of 3"}
    assert cells(shown, PREVIEW) == [
        ["Acme", formats.MISSING, "Energy", "Oslo", "1,200", formats.MISSING],
        ["Other", formats.MISSING, "Mining", formats.MISSING, formats.MISSING, formats.MISSING],
    ]
    monkeypatch.setattr("engagement.pages.reader._viewer", lambda site: ("kim", frozenset({"kim"})))
    assert [row[0] for row in cells(app(path, "results"), PREVIEW)] == ["Acme"]


def test_contacts_are_shown_where_they_are_published(tmp_path: Path) -> None:
    enrichment = {
        **OFFICE,
        "enrichment_type": "leadspace_contacts",
        "accounts_count": 0,
        "accounts_enriched_count": 0,
    }
    contact = {
        "contact_id": "C1",
        "account_id": "A1",
        "title": HOSTILE,
        "level": "vp_level",
        "email_verification": "catch_all",
    }
    shown = app(written(tmp_path, enrichment, leadspace_contacts=of(enrichment, [contact])), "results")
    assert cells(shown, "Enriched contacts")[0][:7] == [
        "A1",
        "C1",
        HOSTILE,
        formats.MISSING,
        "Vp level",
        "Catch all",
        formats.MISSING,
    ]
    none = app(written(tmp_path / "none", enrichment), "results")
    assert "`publish: true`" in said(none)


def test_what_a_newer_run_says_stands_here_too(tmp_path: Path) -> None:
    path = written(tmp_path)
    run = {
        "run_id": "r2",
        "command": "run",
        "state": "failed",
        "steps": {},
        "enrichments": {"sales": {"state": "failed", "detail": "the sign-in was refused"}},
        "started_at": "2026-07-02T05:00:00.000Z",
        "previous": [],
    }
    (tmp_path / "run_state.json").write_text(json.dumps(run), "utf-8")
    shown = app(path, "results")
    assert "Failed" in said(shown)
    assert any("the sign\\-in was refused" in element.value for element in shown.error)
