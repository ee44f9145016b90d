"""The results of an office enrichment: what was read and counted, of which days, for whom, and who is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats, links
from engagement.pages.reader import Reader
from engagement.pages.sections import ROWS_LISTED, figures, note_of_rows, part_of, section
from engagement.pages.tables import Column, table

OVERVIEW = """
    select
        accounts_count, accounts_enriched_count, mailboxes_selected_count, mailboxes_processed_count,
        email_copies_read_count, emails_counted_count, meetings_read_count, meetings_counted_count,
        days_covered_count, as_of_date, year_starts_on, kept_from_on, time_zone, small_numbers,
        date_diff('day', year_starts_on, as_of_date) + 1 as days_count
    from office_overview
    where enrichment_id = $enrichment_id
"""

COVERAGE = """
    select kind, bucket, is_counted, items_in_year_count, items_count, first_on, last_on
    from office_coverage
    where enrichment_id = $enrichment_id
    order by kind, is_counted desc, items_in_year_count desc, bucket
"""

DAYS = """
    select day_on, mailboxes_count, mailboxes_read_count, is_covered
    from office_days
    where enrichment_id = $enrichment_id
    order by day_on
"""

GAPS = """
    select gap_starts_on, gap_ends_on, days_count, mailboxes_missing_count
    from office_gaps
    where enrichment_id = $enrichment_id
    order by gap_starts_on desc
"""

CUSTOMERS = f"""
    select
        account_id, coalesce(account_name, account_id) as account_name, engagement_score, emails_from_account_count,
        emails_to_account_count, meetings_count, days_since_last_email, days_since_last_meeting,
        reply_time_median_hours, count(*) over () as rows_count
    from customer_measures
    where enrichment_id = $enrichment_id and is_engaged
    order by engagement_score desc nulls last, account_id
    limit {ROWS_LISTED}
"""

UNMATCHED = f"""
    select
        mail_domain, reason, messages_from_count, messages_to_count, meetings_count, addresses_count, addresses_band,
        first_on, last_on, count(*) over () as rows_count,
        (select max(small_numbers) from publication) as small_numbers
    from unmatched_domains
    where enrichment_id = $enrichment_id
    order by messages_from_count + messages_to_count + meetings_count desc, mail_domain
    limit {ROWS_LISTED}
"""

BUCKETS = {
    "counted_to_account": "Counted: from us to a customer",
    "counted_from_account": "Counted: from a customer to us",
    "counted": "Counted: with a customer",
    "meeting_mail": "Invitations and answers to them",
    "draft": "Drafts",
    "search_folder_copy": "Copies in search folders",
    "unreadable_date": "Without a readable date",
    "sender_missing": "Without a sender",
    "sender_unresolved": "Sender without an e-mail address",
    "automated_sender": "From machines",
    "third_party_sender": "From outsiders, to a contact and to us",
    "from_unknown": "From outsiders who are no contact",
    "colleague_not_monitored": "From colleagues not selected, to a contact",
    "colleague_to_unknown": "From colleagues not selected, to outsiders",
    "own_to_unknown": "From us to outsiders who are no contact",
    "without_recipients": "Without a usable recipient",
    "internal": "Among ourselves",
    "not_ended_yet": "Not over at the end of the last day",
    "vanished": "Deleted before they began",
    "cancelled": "Cancelled",
    "declined_by_ours": "Declined on our side",
    "declined_by_contacts": "Declined by the contacts",
    "with_unknown": "With outsiders who are no contact",
    "appointment": "Appointments of one person alone",
}

REASONS = {
    "no_name_of_a_domain": "No name of a domain",
    "personal_mail_domain": "Personal mail: anybody may have an address there",
    "automated_senders_only": "Machines only",
    "not_among_its_contacts": "A customer's domain; these addresses are none of its contacts",
    "no_contact_has_it": "No contact has this domain",
}

_FEW_TICKS = altair.Axis(tickMinStep=1, tickCount=5)
_BY_MONTH = altair.Axis(format="%b %Y", labelOverlap=True, tickCount="month")
_KINDS = (("message", "E-mails"), ("meeting", "Meetings"))


def show(reader: Reader, enrichment_id: str) -> None:
    """Every section, in the order of the original's results page and then our own."""
    with section("Overview of e-mails and meetings"):
        _overview(reader, enrichment_id)
    with section("Enriched customers"):
        _customers(reader, enrichment_id)
    with section("What became of everything that was read"):
        _coverage(reader, enrichment_id)
    with section("Days covered"):
        _days(reader, enrichment_id)
    with section("With whom else we are in contact"):
        _unmatched(reader, enrichment_id)


def _overview(reader: Reader, enrichment_id: str) -> None:
    found = reader.record(OVERVIEW, enrichment_id=enrichment_id)
    if found is None:
        st.markdown("Nothing of it is in this file.")
        return
    figures(
        [
            (
                "Customers enriched",
                part_of(found["accounts_enriched_count"], found["accounts_count"]),
                "Customers with a counted e-mail or meeting in the year.",
            ),
            (
                "Addresses selected",
                formats.count(found["mailboxes_selected_count"]),
                "People whose mailboxes are read, groups resolved.",
            ),
            (
                "Addresses read",
                formats.count(found["mailboxes_processed_count"]),
                "Of these, successfully processed.",
            ),
            (
                "E-mail copies read",
                formats.count(found["email_copies_read_count"]),
                "Copies in the mailboxes read, of the year.",
            ),
            (
                "E-mails counted",
                formats.count(found["emails_counted_count"]),
                "Distinct e-mails of the year that count for a customer.",
            ),
            (
                "Meetings read",
                formats.count(found["meetings_read_count"]),
                "Distinct meetings of the year that took place.",
            ),
            (
                "Meetings counted",
                formats.count(found["meetings_counted_count"]),
                "Of these, those that count for a customer.",
            ),
            (
                "Days of data",
                part_of(found["days_covered_count"], found["days_count"]),
                "Days of the year that were read for every mailbox that can be read.",
            ),
        ]
    )
    st.caption(
        formats.plain(
            f"The year from {formats.day(found['year_starts_on'])} to {formats.day(found['as_of_date'])}, "
            f"days in {formats.text(found['time_zone'])}; data are kept from {formats.day(found['kept_from_on'])} on."
        )
    )
    if found["small_numbers"] == "band":
        st.caption(
            "Small numbers are shown as bands, and reply times of few people as dashes: privacy setting of the file."
        )


def _customers(reader: Reader, enrichment_id: str) -> None:
    customers = reader.frame(CUSTOMERS, enrichment_id=enrichment_id)
    table(
        customers,
        [
            Column("account_name", "Customer"),
            Column("engagement_score", "Score (0 to 100)", formats.decimal),
            Column("emails_from_account_count", "E-mails from it", formats.count),
            Column("emails_to_account_count", "E-mails to it", formats.count),
            Column("meetings_count", "Meetings", formats.count),
            Column("days_since_last_email", "Days since last e-mail", formats.count),
            Column("days_since_last_meeting", "Days since last meeting", formats.count),
            Column("reply_time_median_hours", "Median reply (hours)", formats.decimal),
        ],
        key=f"customers of {enrichment_id}",
        caption="Enriched customers preview",
        rows_at_first=10,
        leads_to=links.account_href,
        empty="no customer had a counted e-mail or meeting in the year.",
    )
    note_of_rows(customers, "the highest scores first", "the table customer_measures of the published file")


def _coverage(reader: Reader, enrichment_id: str) -> None:
    buckets = reader.frame(COVERAGE, enrichment_id=enrichment_id)
    if buckets.empty:
        st.markdown("Nothing was read.")
        return
    buckets["bucket_words"] = [BUCKETS.get(bucket) or formats.words(bucket) for bucket in buckets["bucket"]]
    buckets["counted_words"] = ["Counts" if counts else "Does not count" for counts in buckets["is_counted"]]
    for place, (kind, name) in zip(st.columns(2), _KINDS, strict=True):
        with place:
            _coverage_of(buckets[buckets["kind"] == kind], name, enrichment_id)


def _coverage_of(buckets: pandas.DataFrame, name: str, enrichment_id: str) -> None:
    if buckets.empty:
        st.caption(f"{name}: none were read.")
        return
    counted = buckets.loc[buckets["is_counted"], "items_in_year_count"].sum()
    chart = (
        altair.Chart(buckets.assign(name=charts.wrapped(buckets["bucket_words"])))
        .mark_bar()
        .encode(
            x=altair.X("items_in_year_count:Q", title=f"{name} in the year", axis=_FEW_TICKS),
            y=charts.names_axis("name"),
            color=altair.Color(
                "counted_words:N",
                title=None,
                sort=["Counts", "Does not count"],
                legend=altair.Legend(orient="bottom", columns=1),
            ),
            tooltip=[
                altair.Tooltip("bucket_words:N", title="What became of it"),
                altair.Tooltip("items_in_year_count:Q", title=f"{name} in the year", format=","),
            ],
        )
        .properties(height=charts.height_of(len(buckets), legend_rows=2))
    )
    charts.show(
        chart,
        key=f"coverage {name} {enrichment_id}",
        alt=(
            f"{name} of the year by what became of them: {formats.count(counted)} of "
            f"{formats.count(buckets['items_in_year_count'].sum())} count for a customer."
        ),
        numbers=buckets,
        columns=[
            Column("bucket_words", "What became of it"),
            Column("counted_words", "For customers"),
            Column("items_in_year_count", "In the year", formats.count),
            Column("items_count", "In all data kept", formats.count),
            Column("first_on", "First", formats.day),
            Column("last_on", "Last", formats.day),
        ],
        caption=f"{name}: counted, or why not",
    )


def _days(reader: Reader, enrichment_id: str) -> None:
    days = reader.frame(DAYS, enrichment_id=enrichment_id)
    if days.empty:
        st.markdown("Nothing was read.")
        return
    gaps = reader.frame(GAPS, enrichment_id=enrichment_id)
    covered = int(days["is_covered"].sum())
    if gaps.empty:
        words = (
            f"No gap: on each of the {formats.count(len(days))} days every mailbox that can be read was read."
        )
    else:
        words = (
            f"{formats.count(covered)} of {formats.count(len(days))} days were read for every mailbox. "
            "Every run reads more; run again until there is no gap."
        )
    st.markdown(words)
    days["covered_words"] = [
        "Every mailbox" if covered else "Not every mailbox" for covered in days["is_covered"]
    ]
    chart = (
        altair.Chart(days)
        .mark_bar()
        .encode(
            x=altair.X(
                "yearmonthdate(day_on):T",
                title="Day",
                axis=_BY_MONTH,
            ),
            y=charts.quantity(
                "mailboxes_read_count",
                "Mailboxes read",
                scale=altair.Scale(domain=[0, int(days["mailboxes_count"].max() or 1)]),
                axis=altair.Axis(tickMinStep=1),
            ),
            color=altair.Color(
                "covered_words:N",
                title=None,
                sort=["Every mailbox", "Not every mailbox"],
                # One colour needs none.
                legend=None if gaps.empty else altair.Legend(orient="bottom", columns=1),
            ),
            tooltip=[
                altair.Tooltip("day_on:T", title="Day", format="%d %b %Y"),
                altair.Tooltip("mailboxes_read_count:Q", title="Mailboxes read"),
                altair.Tooltip("mailboxes_count:Q", title="of"),
            ],
        )
        .properties(height=200 if gaps.empty else 300)
    )
    charts.show(
        chart,
        key=f"days {enrichment_id}",
        alt=f"Mailboxes read by day. {words}",
        numbers=days,
        columns=[
            Column("day_on", "Day", formats.day),
            Column("mailboxes_read_count", "Mailboxes read", formats.count),
            Column("mailboxes_count", "Mailboxes that can be read", formats.count),
        ],
        caption="Mailboxes read, by day",
    )
    if not gaps.empty:
        table(
            gaps,
            [
                Column("gap_starts_on", "From", formats.day),
                Column("gap_ends_on", "To", formats.day),
                Column("days_count", "Days", formats.count),
                Column("mailboxes_missing_count", "Mailboxes missing at most", formats.count),
            ],
            key=f"gaps {enrichment_id}",
            caption="Gaps",
        )


def _unmatched(reader: Reader, enrichment_id: str) -> None:
    if reader.owners is not None:
        st.markdown(
            "These domains are of contacts of all owners, so they are shown to who sees all accounts."
        )
        return
    domains = reader.frame(UNMATCHED, enrichment_id=enrichment_id)
    st.markdown(
        "Outsiders of the year who match no customer, the most mail first: add those who belong to one to the contact "
        "file, and the next run counts them."
    )
    table(
        domains,
        [
            Column("mail_domain", "Domain"),
            Column(
                "reason",
                "Why it matches no customer",
                lambda reason: REASONS.get(reason) or formats.words(reason),
            ),
            Column("messages_from_count", "E-mails from it", formats.count),
            Column("messages_to_count", "E-mails to it", formats.count),
            Column("meetings_count", "Meetings", formats.count),
            Column("addresses_count", "Addresses", formats.count, row_form=_addresses),
            Column("first_on", "First", formats.day),
            Column("last_on", "Last", formats.day),
        ],
        key=f"unmatched {enrichment_id}",
        caption="Domains that match no customer",
        rows_at_first=10,
        empty="everybody we were in contact with belongs to a customer.",
    )
    note_of_rows(domains, "the most mail first", "the table unmatched_domains of the published file")


def _addresses(row: Mapping[str, Any]) -> str:
    if row["small_numbers"] == "band":
        return formats.text(row["addresses_band"])
    return formats.count(row["addresses_count"])
