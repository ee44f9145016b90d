"""Every measure of a customer over the year; and of it with all customers below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas
import streamlit as st

from engagement.pages import formats
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, Format, table

MEASURES = """
    select
        emails_count, emails_to_account_count, emails_from_account_count, meetings_count, meetings_to_account_count,
        meetings_from_account_count, replies_count, reply_time_mean_hours, reply_time_median_hours,
        meeting_duration_mean_minutes, engagement_score, days_since_last_email, days_since_last_meeting, as_of_date
    from customer_measures
    where enrichment_id = $enrichment and account_id = $account
"""

# What an account with nobody below it has is its own.
ROLLED_UP = """
    select
        accounts_count, emails_count, emails_to_accounts_count as emails_to_account_count,
        emails_from_accounts_count as emails_from_account_count, meetings_count,
        meetings_to_accounts_count as meetings_to_account_count,
        meetings_from_accounts_count as meetings_from_account_count, replies_count, reply_time_mean_hours,
        weighted_engagement_score as engagement_score, days_since_last_email, days_since_last_meeting
    from customer_measures_rolled_up
    where enrichment_id = $enrichment and account_id = $account and accounts_count > 1
"""


@dataclass(frozen=True)
class Measure:
    """A column of both tables, with its unit in the label."""

    name: str
    label: str
    form: Format = formats.count


SHOWN = [
    Measure("engagement_score", "Score (of 100)", formats.decimal),
    Measure("emails_count", "E-mails"),
    Measure("emails_to_account_count", "E-mails to the customer"),
    Measure("emails_from_account_count", "E-mails from the customer"),
    Measure("meetings_count", "Meetings"),
    Measure("meetings_to_account_count", "Meetings that one of ours organised"),
    Measure("meetings_from_account_count", "Meetings that the customer organised"),
    Measure("meeting_duration_mean_minutes", "Mean duration of meetings (minutes)", formats.decimal),
    Measure("replies_count", "Replies of the customer"),
    Measure("reply_time_mean_hours", "Mean reply time (hours)", formats.decimal),
    Measure("reply_time_median_hours", "Median reply time (hours)", formats.decimal),
    Measure("days_since_last_email", "Days since the last e-mail"),
    Measure("days_since_last_meeting", "Days since the last meeting"),
]


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """A row per measure, and a column for the customer and for all below it."""
    if card["office_enrichment_id"] is None:
        st.caption("The measures need an enrichment of the type office.")
        return
    whose = {"enrichment": card["office_enrichment_id"], "account": card["account_id"]}
    own = reader.record(MEASURES, **whose)
    if own is None:
        st.caption("There are no measures of this customer.")
        return
    below = reader.record(ROLLED_UP, **whose)
    rows = pandas.DataFrame(
        {
            "label": [measure.label for measure in SHOWN],
            "own": [measure.form(own[measure.name]) for measure in SHOWN],
            "below": [
                measure.form(below[measure.name]) if below and measure.name in below else formats.MISSING
                for measure in SHOWN
            ],
        }
    )
    columns = [Column("label", "Measure"), Column("own", "This customer", is_right=True)]
    if below:
        columns.append(
            Column(
                "below",
                f"With all below it ({formats.count(below['accounts_count'])} customers)",
                is_right=True,
            )
        )
    table(
        rows,
        columns,
        key="measures",
        caption=f"Measures of the 365 days to {formats.day(own['as_of_date'])}",
        is_sortable=False,
    )
    if below:
        st.caption(
            "What several of the customers share counts once; the score is their mean, weighed by e-mails and meetings."
        )
