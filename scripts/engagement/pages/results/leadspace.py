"""The results of a Leadspace enrichment: whom it knows, how well, what each run did, and who is not enriched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats, links
from engagement.pages.reader import Reader
from engagement.pages.results import matches
from engagement.pages.sections import ROWS_LISTED, figures, note_of_rows, part_of, section
from engagement.pages.tables import Column, table

# Fields and runs in a chart; all stand in its numbers.
FIELDS_DRAWN, RUNS_DRAWN = 25, 26

OVERVIEW = """
    select
        accounts_count, accounts_enriched_count, accounts_not_enriched_count, accounts_rejected_count,
        accounts_not_sent_count, accounts_not_answered_count, accounts_not_refreshed_count, matches_in_review_count,
        confidence_high_count, confidence_medium_count, confidence_low_count, confidence_very_low_count, lookups_count,
        last_answered_at
    from leadspace_overview
    where enrichment_id = $enrichment_id
"""

FIELDS = """
    select field, accounts_with_value_count, accounts_enriched_count, coverage_ratio
    from leadspace_coverage
    where enrichment_id = $enrichment_id
    order by accounts_with_value_count desc, field
"""

RUNS = f"""
    select
        run_id, listed_at, accounts_count, processed_changed_count, processed_unchanged_count, not_matched_count,
        not_processed_count, lookups_count, count(*) over () as rows_count
    from leadspace_runs
    where enrichment_id = $enrichment_id
    order by listed_at desc
    limit {ROWS_LISTED}
"""

COMPANIES = f"""
    select
        leadspace_companies.account_id,
        coalesce(account_lookups.account_name, leadspace_companies.account_id) as account_name,
        leadspace_companies.company_name, leadspace_companies.match_confidence, leadspace_companies.industry,
        leadspace_companies.company_city, leadspace_companies.company_country, leadspace_companies.employees_count,
        leadspace_companies.annual_revenue_usd, count(*) over () as rows_count
    from leadspace_companies
    left join account_lookups
        on
            leadspace_companies.enrichment_id = account_lookups.enrichment_id
            and leadspace_companies.account_id = account_lookups.account_id
    where leadspace_companies.enrichment_id = $enrichment_id
    order by account_name, leadspace_companies.account_id
    limit {ROWS_LISTED}
"""

NOT_ENRICHED = f"""
    select
        account_id, coalesce(account_name, account_id) as account_name, lookup_status, not_sent_reason, website,
        country, answered_at, count(*) over () as rows_count
    from account_lookups
    where enrichment_id = $enrichment_id and lookup_status != 'enriched'
    order by lookup_status, account_name, account_id
    limit {ROWS_LISTED}
"""

STATUSES = {
    "enriched": "Enriched",
    "rejected": "Leadspace answered with another company",
    "not_enriched": "Leadspace does not know it, or not surely enough",
    "not_sent": "Not sent",
    "invalid": "Refused by Leadspace as invalid",
    "waiting": "The results are not ready; the next run fetches them",
    "held": "The answer was lost and may have been charged; it is not asked for again by itself",
    "not_answered": "Not answered yet; the next run asks",
}

NOT_SENT_REASONS = {
    "no_name": "it has no name; give it one in the account file",
    "name_too_long": "its name is too long; shorten it in the account file",
}

# As leadspace_runs counts them; the four add up to the accounts of the data set.
PROCESSINGS = {
    "processed_changed_count": "Processed and changed",
    "processed_unchanged_count": "Processed and unchanged",
    "not_matched_count": "Not matched",
    "not_processed_count": "Not processed",
}


def show(reader: Reader, enrichment_id: str) -> None:
    """Every section: what a person can do something about first."""
    with section("Overview of company data"):
        _overview(reader, enrichment_id)
    with section("Enriched customers"):
        _companies(reader, enrichment_id)
    with section("Matches to look at"):
        matches.show(reader, enrichment_id)
    with section("Customers not enriched"):
        _not_enriched(reader, enrichment_id)
    with section("Customers enriched by field"):
        _fields(reader, enrichment_id)
    with section("What each run did"):
        _runs(reader, enrichment_id)


def status_in_words(row: Mapping[str, Any]) -> str:
    """What became of a lookup, and why it was not sent."""
    words = STATUSES.get(row["lookup_status"]) or formats.words(row["lookup_status"])
    if formats.is_missing(row["not_sent_reason"]):
        return words
    reason = NOT_SENT_REASONS.get(row["not_sent_reason"]) or formats.words(row["not_sent_reason"])
    return f"{words}: {reason}"


def _overview(reader: Reader, enrichment_id: str) -> None:
    found = reader.record(OVERVIEW, enrichment_id=enrichment_id)
    if found is None:
        st.markdown("Nothing of it is in this file.")
        return
    named = (
        ("High confidence", "confidence_high_count", "Enriched; Leadspace is sure of the company."),
        ("Medium confidence", "confidence_medium_count", "Enriched."),
        ("Low confidence", "confidence_low_count", "Enriched."),
        ("Very low confidence", "confidence_very_low_count", "Enriched."),
        (
            "Matches to look at",
            "matches_in_review_count",
            "A person should decide whether it is the company.",
        ),
        ("Rejected", "accounts_rejected_count", "Answered with another company, by our rules."),
        ("Not known", "accounts_not_enriched_count", "Answered without a match."),
        ("Not sent", "accounts_not_sent_count", "Without a usable name, or refused as invalid."),
        (
            "Not answered yet",
            "accounts_not_answered_count",
            "Waiting for results, held, or still to be asked.",
        ),
        ("Kept from before", "accounts_not_refreshed_count", "Enriched with values of an earlier answer."),
        ("Lookups so far", "lookups_count", "Records ever sent; each may have cost a credit."),
    )
    figures(
        [
            (
                "Customers enriched",
                part_of(found["accounts_enriched_count"], found["accounts_count"]),
                "Of the customers of its data set.",
            ),
            *((label, formats.count(found[name]), meaning) for label, name, meaning in named),
        ]
    )
    if found["last_answered_at"] is not None:
        answered = formats.instant(found["last_answered_at"])
        st.caption(formats.plain(f"The newest answer is of {answered}."))


def _companies(reader: Reader, enrichment_id: str) -> None:
    companies = reader.frame(COMPANIES, enrichment_id=enrichment_id)
    table(
        companies,
        [
            Column("account_name", "Customer"),
            Column("company_name", "Company at Leadspace"),
            Column("match_confidence", "Confidence", formats.words),
            Column("industry", "Industry"),
            Column("company_city", "Place", row_form=place_in_words),
            Column("employees_count", "Employees", formats.count),
            Column("annual_revenue_usd", "Revenue a year (US dollars)", formats.money),
        ],
        key=f"companies of {enrichment_id}",
        caption="Enriched customers preview",
        rows_at_first=10,
        leads_to=links.account_href,
        empty="no customer is enriched.",
    )
    note_of_rows(companies, "by name", "the table leadspace_companies of the published file")


def place_in_words(row: Mapping[str, Any]) -> str:
    """City and country, as far as they are known."""
    parts = [
        str(row[name]) for name in ("company_city", "company_country") if not formats.is_missing(row[name])
    ]
    return ", ".join(parts) or formats.MISSING


def _fields(reader: Reader, enrichment_id: str) -> None:
    fields = reader.frame(FIELDS, enrichment_id=enrichment_id)
    if fields.empty:
        st.markdown("No customer is enriched.")
        return
    fields["field_words"] = [formats.field(field) for field in fields["field"]]
    fields["known_words"] = [
        part_of(part, whole)
        for part, whole in zip(
            fields["accounts_with_value_count"], fields["accounts_enriched_count"], strict=True
        )
    ]
    whole = int(fields["accounts_enriched_count"].max())
    drawn = fields.head(FIELDS_DRAWN)
    base = altair.Chart(drawn.assign(name=charts.wrapped(drawn["field_words"]))).encode(
        y=charts.names_axis("name")
    )
    bars = base.mark_bar().encode(
        x=altair.X(
            "accounts_with_value_count:Q",
            title=f"Customers for whom it is known, of {formats.count(whole)} enriched",
            scale=altair.Scale(domain=[0, max(whole, 1)]),
            axis=altair.Axis(tickMinStep=1, tickCount=8),
        ),
        tooltip=[
            altair.Tooltip("field_words:N", title="Field"),
            altair.Tooltip("known_words:N", title="Known for"),
        ],
    )
    least = fields.iloc[-1]
    charts.show(
        bars.properties(height=charts.height_of(len(drawn))),
        key=f"fields {enrichment_id}",
        alt=(
            f"Bars: for how many of {formats.count(whole)} enriched customers each field is known, "
            f"from {fields.iloc[0]['field_words']} ({fields.iloc[0]['known_words']}) downwards; the rarest of all "
            f"fields is {least['field_words']} ({least['known_words']})."
        ),
        numbers=fields,
        columns=[
            Column("field_words", "Field"),
            Column("accounts_with_value_count", "Known for", formats.count),
            Column("accounts_enriched_count", "Of", formats.count),
            Column("coverage_ratio", "Share", formats.ratio),
        ],
        caption=(
            "Number of customers enriched by field"
            if len(fields) <= FIELDS_DRAWN
            else f"Number of customers enriched by field, the {FIELDS_DRAWN} best known of {len(fields)}"
        ),
    )


def _runs(reader: Reader, enrichment_id: str) -> None:
    runs = reader.frame(RUNS, enrichment_id=enrichment_id)
    if runs.empty:
        st.markdown("No run looked at its data set yet.")
        return
    drawn = runs.head(RUNS_DRAWN).iloc[::-1]
    names = list(PROCESSINGS.values())
    long = drawn.assign(run_words=[formats.instant(at) for at in drawn["listed_at"]]).melt(
        id_vars=["run_words"],
        value_vars=list(PROCESSINGS),
        var_name="processing",
        value_name="processed_count",
    )
    long["processing"] = long["processing"].map(PROCESSINGS)
    long["place"] = long["processing"].map({name: place for place, name in enumerate(names)})
    chart = (
        altair.Chart(long.assign(name=charts.wrapped(long["run_words"])))
        .mark_bar()
        .encode(
            x=altair.X(
                "processed_count:Q",
                title="Customers of the data set",
                axis=altair.Axis(tickMinStep=1, tickCount=8),
            ),
            y=charts.names_axis("name", sort=charts.wrapped(dict.fromkeys(long["run_words"]))[::-1]),
            color=altair.Color(
                "processing:N", title=None, sort=names, legend=altair.Legend(orient="bottom", columns=1)
            ),
            order=altair.Order("place:Q"),
            tooltip=[
                altair.Tooltip("run_words:N", title="Run"),
                altair.Tooltip("processing:N", title="Was"),
                altair.Tooltip("processed_count:Q", title="Customers", format=","),
            ],
        )
        .properties(height=charts.height_of(len(drawn), legend_rows=4))
    )
    newest = runs.iloc[0]
    said = ", ".join(
        f"{name.lower()} {formats.count(newest[column])}" for column, name in PROCESSINGS.items()
    )
    st.markdown(
        formats.plain(f"The newest run, of {formats.count(newest['accounts_count'])} customers: {said}.")
    )
    charts.show(
        chart,
        key=f"runs {enrichment_id}",
        alt=f"Bars by run, the newest first. The newest: {said}.",
        numbers=runs,
        columns=[
            Column("listed_at", "Run", formats.instant),
            Column("accounts_count", "Customers", formats.count),
            *(Column(column, name, formats.count) for column, name in PROCESSINGS.items()),
            Column("lookups_count", "Lookups", formats.count),
        ],
        caption="Processed and changed, unchanged, not matched, not processed, by run",
    )
    note_of_rows(runs, "the newest first", "the table leadspace_runs of the published file")


def _not_enriched(reader: Reader, enrichment_id: str) -> None:
    accounts: pandas.DataFrame = reader.frame(NOT_ENRICHED, enrichment_id=enrichment_id)
    table(
        accounts,
        [
            Column("account_name", "Customer"),
            Column("lookup_status", "Why it is not enriched", row_form=status_in_words),
            Column("website", "Website"),
            Column("country", "Country"),
            Column("answered_at", "Answered", formats.ago),
        ],
        key=f"not enriched of {enrichment_id}",
        caption="Customers not enriched",
        rows_at_first=10,
        leads_to=links.account_href,
        empty="every customer of the data set is enriched.",
    )
    note_of_rows(accounts, "by reason", "the table account_lookups of the published file")
