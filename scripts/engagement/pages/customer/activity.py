"""E-mails and meetings with a customer: by month or week, between whom, and what to expect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

MONTHS = """
    select
        month_starts_on as starts_on, month_ends_on as ends_on, emails_from_account_count, emails_to_account_count,
        meetings_count, engagement_score, days_count, days_covered_count, is_cut_month as is_cut
    from customer_card_months
    where account_id = $account and office_enrichment_id = $enrichment
    order by month_starts_on
"""

# As customer_card_months has it: a week of which nothing was read is unknown, any other without a row is zero.
WEEKS = """
    with

    weeks as (

        select
            cast(date_trunc('week', day_on) as date) as starts_on, max(day_on) as ends_on, count(*) as days_count,
            count(*) filter (where is_covered) as days_covered_count,
            coalesce(max(mailboxes_read_count), 0) > 0 as is_read
        from office_days
        where enrichment_id = $enrichment
        group by date_trunc('week', day_on)

    ),

    counted as (

        select *
        from account_engagement
        where enrichment_id = $enrichment and account_id = $account and aggregation_level = 'week'

    )

    select
        weeks.starts_on, weeks.ends_on,
        case when weeks.is_read then coalesce(counted.emails_from_account_count, 0) end as emails_from_account_count,
        case when weeks.is_read then coalesce(counted.emails_to_account_count, 0) end as emails_to_account_count,
        case when weeks.is_read then coalesce(counted.meetings_count, 0) end as meetings_count,
        counted.engagement_score, weeks.days_count, weeks.days_covered_count, weeks.days_count < 7 as is_cut
    from weeks
    left join counted on weeks.starts_on = counted.aggregation_starts_on
    order by weeks.starts_on
"""

PEOPLE = """
    select
        1 as place, 'Our people' as side, own_people_in_emails_count as emails_count,
        own_people_in_emails_band as emails_band, own_people_in_meetings_count as meetings_count,
        own_people_in_meetings_band as meetings_band
    from customer_cards
    where account_id = $account and engagement_score is not null
    union all
    select
        2, 'People of the customer', account_people_in_emails_count, account_people_in_emails_band,
        account_people_in_meetings_count, account_people_in_meetings_band
    from customer_cards
    where account_id = $account and engagement_score is not null
    order by place
"""

TRAFFIC = """
    select
        interactions_count, emails_matched_by_domain_count, meetings_matched_by_domain_count, threads_count,
        active_weeks_count, top_contact_share_ratio, top_own_person_share_ratio, is_two_way, is_single_threaded,
        is_single_threaded_on_our_side
    from account_traffic
    where enrichment_id = $enrichment and account_id = $account
"""

OUTLOOK = """
    select
        rhythm_state, usual_gap_days, silence_days, inbound_chance_ratio, evidence_count, evidence_inbound_count
    from account_outlook
    where enrichment_id = $enrichment and account_id = $account
"""

BY = {"Months": MONTHS, "Weeks": WEEKS}
FIRST = "Months"
# The choice in the address.
BY_KEY = "activity_by"
FROM, TO = "From the customer", "To the customer"

RHYTHMS = {
    "in_rhythm": "In rhythm",
    "going_silent": "Going silent",
    "silent": "Silent",
    "no_rhythm_yet": "No rhythm yet: it wrote or met on few days only",
    "never_active": "It neither wrote nor met within the year",
}


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """The year in numbers, its charts, and what they mean."""
    if card["office_enrichment_id"] is None:
        st.info(
            "This file has no e-mails and meetings: they need an enrichment of the type office.",
            icon=":material/info:",
        )
        return
    emails, meetings, last, reply = st.columns(4)
    emails.metric("E-mails in the year", formats.count(card["emails_count"]))
    emails.caption(
        f"{formats.count(card['emails_from_account_count'])} from the customer, "
        f"{formats.count(card['emails_to_account_count'])} to it"
    )
    meetings.metric("Meetings in the year", formats.count(card["meetings_count"]))
    meetings.caption(f"Last meeting: {formats.day(card['last_meeting_on'])}")
    last.metric("Days since the last e-mail", formats.count(card["days_since_last_email"]))
    last.caption(f"Last e-mail: {formats.day(card['last_email_on'])}")
    reply.metric("Median reply time (hours)", formats.decimal(card["reply_time_median_hours"]))
    is_hidden = card["is_banded"] and card["replies_count"] and card["reply_time_median_hours"] is None
    reply.caption(
        f"{formats.count(card['replies_count'])} replies of the customer"
        + ("; hidden, since they are few or of few people" if is_hidden else "")
    )
    if card["is_never_engaged"]:
        st.info(
            "Never engaged: no e-mail and no meeting in all data kept. " + _listed(card),
            icon=":material/info:",
        )
        return
    _charts(reader, card)
    st.subheader("Between whom, and what to expect")
    facts = [*_traffic(reader, card), *_outlook(reader, card)]
    st.markdown("\n".join(f"- {formats.plain(fact)}" for fact in facts))
    _people(reader, card)


def _listed(card: Mapping[str, Any]) -> str:
    number = formats.people(card["contacts_listed_count"], card["contacts_listed_band"], card["is_banded"])
    return f"Contacts in the contact file: {number}."


@st.fragment
@unless_older()
def _charts(reader: Reader, card: Mapping[str, Any]) -> None:
    by = st.segmented_control(
        "E-mails and meetings by", list(BY), default=FIRST, required=True, key=BY_KEY, bind="query-params"
    )
    periods = reader.frame(
        BY[by or FIRST], account=card["account_id"], enrichment=card["office_enrichment_id"]
    )
    if periods.empty:
        st.caption("Nothing has been read yet.")
        return
    is_monthly = by != "Weeks"
    incomplete = periods["is_cut"] | (periods["days_covered_count"] < periods["days_count"])
    form = formats.month if is_monthly else formats.day
    named = periods.assign(
        label=[
            form(starts_on) + (" *" if is_marked else "")
            for starts_on, is_marked in zip(periods["starts_on"], incomplete, strict=True)
        ],
        note=[_note(row) for row in periods.to_dict("records")],
    )
    unit = "Month" if is_monthly else "Week that begins on"
    left, right = st.columns(2)
    with left:
        _emails(named, unit)
    with right:
        _meetings(named, unit)
    if incomplete.any():
        st.caption(
            "\\* Not whole: the year begins or ends within it, or not every mailbox has been read for all of its days. "
            "The numbers below each chart say how many days it covers."
        )


def _note(row: Mapping[str, Any]) -> str:
    """How much of a period the numbers cover, in words."""
    if row["days_covered_count"] < row["days_count"]:
        return f"{row['days_covered_count']} of {row['days_count']} days read; may grow"
    if row["is_cut"]:
        return f"cut by the year: {row['days_count']} days to {formats.day(row['ends_on'])}"
    return f"all {row['days_count']} days"


def _across(order: list[str], unit: str) -> altair.X:
    return altair.X("label:N", sort=order, title=unit, axis=charts.SLANTED)


def _emails(periods: pandas.DataFrame, unit: str) -> None:
    order = list(periods["label"])
    drawn = (
        periods[["label", "note", "emails_from_account_count", "emails_to_account_count"]]
        .rename(columns={"emails_from_account_count": FROM, "emails_to_account_count": TO})
        .melt(["label", "note"], [FROM, TO], "series", "emails")
    )
    chart = (
        altair.Chart(drawn)
        .mark_bar()
        .encode(
            x=_across(order, unit),
            y=charts.quantity("emails", "E-mails", axis=altair.Axis(tickMinStep=1)),
            tooltip=[
                altair.Tooltip("series:N", title=" "),
                altair.Tooltip("label:N", title=unit),
                altair.Tooltip("emails:Q", title="E-mails"),
                altair.Tooltip("note:N", title="Covers"),
            ],
            **charts.pair(FROM, TO),
        )
        .properties(height=charts.HEIGHT)
    )
    charts.show(
        chart,
        key="emails",
        alt=_most(periods, "emails_from_account_count", "E-mails from the customer"),
        numbers=periods,
        columns=[
            Column("starts_on", unit, row_form=lambda row: str(row["label"])),
            Column("emails_from_account_count", FROM, formats.count),
            Column("emails_to_account_count", TO, formats.count),
            Column("note", "Covers"),
        ],
        caption="E-mails over time",
    )


def _meetings(periods: pandas.DataFrame, unit: str) -> None:
    chart = (
        altair.Chart(periods[["label", "note", "meetings_count"]])
        .mark_bar()
        .encode(
            x=_across(list(periods["label"]), unit),
            y=charts.quantity("meetings_count", "Meetings", axis=altair.Axis(tickMinStep=1)),
            tooltip=[
                altair.Tooltip("label:N", title=unit),
                altair.Tooltip("meetings_count:Q", title="Meetings"),
                altair.Tooltip("note:N", title="Covers"),
            ],
        )
        .properties(height=charts.HEIGHT)
    )
    charts.show(
        chart,
        key="meetings",
        alt=_most(periods, "meetings_count", "Meetings"),
        numbers=periods,
        columns=[
            Column("starts_on", unit, row_form=lambda row: str(row["label"])),
            Column("meetings_count", "Meetings", formats.count),
            Column("engagement_score", "Score of the period", formats.decimal),
            Column("note", "Covers"),
        ],
        caption="Meetings over time",
    )


def _most(periods: pandas.DataFrame, name: str, what: str) -> str:
    known = periods.dropna(subset=[name])
    if known.empty or not known[name].max():
        return f"{what} over time: none."
    most = known.loc[known[name].astype(int).idxmax()]
    return f"{what} over time; most in {most['label']}, {formats.count(most[name])}."


def _traffic(reader: Reader, card: Mapping[str, Any]) -> Iterator[str]:
    found = reader.record(TRAFFIC, enrichment=card["office_enrichment_id"], account=card["account_id"])
    if found is None:
        yield "No e-mail and no meeting within the year."
        return
    yield (
        f"{formats.count(found['interactions_count'])} e-mails and meetings within the year, in "
        f"{formats.count(found['threads_count'])} conversations and {formats.count(found['active_weeks_count'])} weeks."
    )
    yield (
        "Two-way: both sides write or invite."
        if found["is_two_way"]
        else "One-way: only one side writes or invites."
    )
    if card["is_banded"]:
        yield "Whether it hangs on one person is not shown: privacy setting of the file."
    else:
        if found["top_contact_share_ratio"] is not None:
            yield (
                f"The customer's busiest person takes part in {formats.ratio(found['top_contact_share_ratio'])} of them"
                + (": single-threaded, it hangs on one contact." if found["is_single_threaded"] else ".")
            )
        if found["top_own_person_share_ratio"] is not None:
            yield (
                f"Our busiest person takes part in {formats.ratio(found['top_own_person_share_ratio'])} of them"
                + (
                    ": on our side it hangs on one person."
                    if found["is_single_threaded_on_our_side"]
                    else "."
                )
            )
    emails, meetings = found["emails_matched_by_domain_count"], found["meetings_matched_by_domain_count"]
    if emails or meetings:
        yield (
            f"Of them, {formats.count(emails)} e-mails and {formats.count(meetings)} meetings count by the domain of "
            "the website alone: none of the contacts in the contact file took part."
        )


def _days(value: float) -> str:
    """A median of whole days, which may lie between two."""
    return formats.count(value) if float(value).is_integer() else formats.decimal(value)


def _outlook(reader: Reader, card: Mapping[str, Any]) -> Iterator[str]:
    found = reader.record(OUTLOOK, enrichment=card["office_enrichment_id"], account=card["account_id"])
    if found is None:
        return
    rhythm = RHYTHMS.get(str(found["rhythm_state"]), formats.words(found["rhythm_state"]))
    silence = formats.count(found["silence_days"])
    if found["usual_gap_days"] is not None and found["silence_days"] is not None:
        rhythm += (
            f". It usually writes or meets every {_days(found['usual_gap_days'])} days, and last did so {silence} "
            "days ago"
        )
    elif found["silence_days"] is not None:
        rhythm += f". It last wrote or met {silence} days ago"
    yield f"{rhythm}."
    if found["inbound_chance_ratio"] is None:
        yield "The chance of an e-mail from it is not known: there is too little to judge by."
    else:
        yield (
            f"Chance of an e-mail from it within 90 days: {formats.ratio(found['inbound_chance_ratio'])}. That is how "
            f"it went for customers with a like score: of {formats.count(found['evidence_count'])} of their weeks, "
            f"{formats.count(found['evidence_inbound_count'])} were followed by one. Older weeks count less."
        )


def _people(reader: Reader, card: Mapping[str, Any]) -> None:
    is_banded = bool(card["is_banded"])
    people = reader.frame(PEOPLE, account=card["account_id"])
    if people.empty:
        return
    table(
        people,
        [
            Column("side", "People involved in the year"),
            *(
                Column(
                    f"{name}_count",
                    label,
                    formats.count,
                    row_form=lambda row, name=name: formats.people(  # type: ignore[misc]
                        row[f"{name}_count"], row[f"{name}_band"], is_banded
                    ),
                )
                for name, label in (("emails", "In e-mails"), ("meetings", "In meetings"))
            ),
        ],
        key="people",
        caption="People involved",
        is_sortable=False,
    )
    said = _listed(card)
    if is_banded:
        said += " Small numbers are shown as bands: privacy setting of the file."
    st.caption(formats.plain(said))
