"""One segment: who is in it and why, who came and left, and what tells them from all others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair
import streamlit as st

from engagement.pages import charts, formats, links
from engagement.pages.choices import choose
from engagement.pages.reader import Reader
from engagement.pages.sections import let_the_top_be_drawn, unless_older
from engagement.pages.segments import insights
from engagement.pages.tables import Column, download, table

TREND = """
    select counted_on, members_count, entered_count, left_count, accounts_count
    from segment_counts
    where segment_id = $segment and enrichment_id = $enrichment
    order by counted_on
"""

OWNERS = """
    select cards.account_owner, count(*) as members_count
    from segment_members as members
    inner join customer_cards as cards on members.account_id = cards.account_id
    where members.segment_id = $segment and members.enrichment_id = $enrichment and cards.account_owner is not null
    group by cards.account_owner
    order by members_count desc, cards.account_owner
    limit 200
"""

MEMBERS = """
    select
        members.account_id, members.account_name, members.reason, members.entered_on, members.is_entry_seen,
        cards.account_owner, engagement.engagement_score
    from segment_members as members
    left join customer_cards as cards on members.account_id = cards.account_id
    left join account_engagement as engagement
        on
            members.account_id = engagement.account_id
            and members.enrichment_id = engagement.enrichment_id
            and engagement.aggregation_level = 'year'
    where
        members.segment_id = $segment and members.enrichment_id = $enrichment
        and (cast($owner as varchar) is null or cards.account_owner = $owner)
    order by members.account_name nulls last, members.account_id
"""

LEFT = """
    select
        history.account_id, cards.account_name, history.left_on, history.left_reason, history.entered_on,
        history.is_entry_seen, history.entered_reason, cards.account_owner, count(*) over () as stays_count
    from segment_history as history
    left join customer_cards as cards on history.account_id = cards.account_id
    where
        history.segment_id = $segment and history.enrichment_id = $enrichment and history.left_on is not null
        and (cast($owner as varchar) is null or cards.account_owner = $owner)
    order by history.left_on desc, cards.account_name nulls last, history.account_id
    limit 200
"""

CONTACTS = """
    select contacts.account_id, cards.account_name, contacts.contact_id, count(*) over () as contacts_count
    from segment_contacts as contacts
    left join customer_cards as cards on contacts.account_id = cards.account_id
    where
        contacts.segment_id = $segment and contacts.enrichment_id = $enrichment
        and (cast($owner as varchar) is null or cards.account_owner = $owner)
    order by cards.account_name nulls last, contacts.account_id, contacts.contact_id
"""

SMALL_NUMBERS = "select small_numbers from publication"


def body(reader: Reader, asked: dict[str, Any], about: Mapping[str, Any]) -> None:
    """`asked` names segment and enrichment; `about` is its row of the list."""
    _about(about)
    if about["members_count"] is None:
        return
    if reader.owners is not None:
        st.caption(
            "Counts, changes and comparisons are over all accounts. The lists of accounts and of who left are of the "
            "accounts that you see."
        )
    let_the_top_be_drawn()
    _trend(reader, asked)
    _lists(reader, asked, about)
    for insight in (insights.differentiators, insights.overlaps):
        insight(reader, asked)


@st.fragment
@unless_older()
def _lists(reader: Reader, asked: dict[str, Any], about: Mapping[str, Any]) -> None:
    """Who is in it, who left, and their contacts; of one owner's accounts, if he is chosen."""
    owner = _members(reader, asked)
    for section in (_left, _contacts):
        section(reader, {**asked, "owner": owner}, about)


def _about(about: Mapping[str, Any]) -> None:
    st.header(formats.plain(formats.text(about["segment_name"])))
    if about["description"]:
        st.markdown(formats.plain(about["description"]))
    said = [
        f"Owner: {formats.text(about['owner'])}",
        "judged anew each time" if about["membership"] == "dynamic" else "frozen at a day",
        f"audience: {formats.text(about['audience'])}",
    ]
    if about["tags"]:
        said.append(f"tags: {about['tags']}")
    st.caption(formats.plain(" · ".join(said)))
    if about["finding"]:
        st.info(formats.plain(f"{formats.words(about['finding'])}."), icon=":material/info:")
    if about["members_count"] is None:
        return
    since = "" if about["compared_on"] is None else f"since {formats.day(about['compared_on'])}"
    accounts, change, entered, left = st.columns(4)
    accounts.metric(
        "Accounts in it",
        f"{formats.count(about['members_count'])} of {formats.count(about['accounts_count'])}",
    )
    change.metric(f"Change {since}".strip(), formats.signed_count(about["change_count"]))
    entered.metric(f"Came {since}".strip(), formats.count(about["entered_count"]))
    left.metric(f"Left {since}".strip(), formats.count(about["left_count"]))


def _trend(reader: Reader, asked: dict[str, Any]) -> None:
    trend = reader.frame(TREND, **asked)
    if len(trend) < 2:
        return
    st.subheader("Over time")
    if not trend["members_count"].any():
        st.caption("Nobody was in it on any of the days judged.")
        return
    first, last = trend.iloc[0], trend.iloc[-1]
    moves = trend.iloc[1:].melt(
        id_vars=["counted_on"],
        value_vars=["entered_count", "left_count"],
        var_name="move",
        value_name="accounts",
    )
    # Who left stands below the line.
    moves["height"] = moves["accounts"].where(moves["move"] == "entered_count", -moves["accounts"])
    moves["move"] = moves["move"].map(
        {"entered_count": "Came (above the line)", "left_count": "Left (below)"}
    )
    numbers = [
        Column("counted_on", "Day judged", formats.day),
        Column("members_count", "Accounts", formats.count),
        Column("entered_count", "Came", formats.count),
        Column("left_count", "Left", formats.count),
    ]
    in_it, came = st.columns(2, gap="large")
    with in_it:
        charts.show(
            altair.Chart(trend)
            .mark_line(point=True)
            .encode(
                x=charts.by_day("counted_on", "Day judged"),
                y=charts.quantity("members_count", "Accounts", axis=charts.whole_numbers()),
                tooltip=[
                    altair.Tooltip("counted_on:T", title="Day judged", format="%d %b %Y"),
                    altair.Tooltip("members_count:Q", title="Accounts"),
                ],
            )
            .properties(height=charts.HEIGHT),
            key="members over time",
            alt=f"Line chart. From {formats.count(first['members_count'])} accounts on "
            f"{formats.day(first['counted_on'])} to {formats.count(last['members_count'])} on "
            f"{formats.day(last['counted_on'])}.",
            numbers=trend,
            columns=numbers,
            caption="Accounts over time",
        )
    with came:
        if not moves["accounts"].any():
            st.caption("Nobody came or left in these weeks.")
            return
        charts.show(
            altair.Chart(moves)
            .mark_bar()
            .encode(
                x=charts.by_day("counted_on", "Day judged"),
                y=altair.Y("height:Q", title="Accounts", axis=charts.whole_numbers()),
                color=altair.Color("move:N", title=None, legend=altair.Legend(orient="top")),
                tooltip=[
                    altair.Tooltip("counted_on:T", title="Day judged", format="%d %b %Y"),
                    altair.Tooltip("move:N", title="What"),
                    altair.Tooltip("accounts:Q", title="Accounts"),
                ],
            )
            .properties(height=charts.HEIGHT),
            key="came and left",
            alt=f"Bar chart of accounts that came and left. Since {formats.day(first['counted_on'])} "
            f"{formats.count(trend['entered_count'].iloc[1:].sum())} came and "
            f"{formats.count(trend['left_count'].iloc[1:].sum())} left.",
            numbers=trend,
            columns=numbers,
            caption="Came and left",
        )


def _since(row: Mapping[str, Any]) -> str:
    return formats.day(row["entered_on"]) + ("" if row["is_entry_seen"] else " or before")


def _members(reader: Reader, asked: dict[str, Any]) -> str | None:
    """The members; answers whose accounts are looked at."""
    st.subheader("Who is in it, and why")
    owners = sorted(reader.frame(OWNERS, **asked)["account_owner"])
    owner = (
        choose("Owner", {one: one for one in owners}, parameter="owner", nothing="All owners")
        if len(owners) > 1 or "owner" in st.query_params
        else None
    )
    members = reader.frame(MEMBERS, **asked, owner=owner)
    columns = [
        Column("account_name", "Account"),
        Column("reason", "Why"),
        Column("entered_on", "Since", row_form=_since),
        Column("engagement_score", "Score", formats.decimal),
        Column("account_owner", "Owner"),
    ]
    of_owner = "" if owner is None else f", of {owner}"
    table(
        members,
        columns,
        key="members",
        caption=f"Accounts in it{of_owner}",
        leads_to=links.account_href,
        empty="nobody now.",
    )
    if len(members):
        download(
            members,
            [Column("account_id", "Account id"), *columns, Column("is_entry_seen", "Entry seen")],
            name=f"segment-{asked['segment']}",
            key="download members",
        )
    return owner


@unless_older()
def _left(reader: Reader, asked: dict[str, Any], about: Mapping[str, Any]) -> None:
    st.subheader("Who left, and why")
    left = reader.frame(LEFT, **asked)
    table(
        left,
        [
            Column("account_name", "Account"),
            Column("left_on", "Left", formats.day),
            Column("left_reason", "Why it left"),
            Column("entered_on", "Had come", row_form=_since),
            Column("entered_reason", "Why it had come"),
            Column("account_owner", "Owner"),
        ],
        key="left",
        caption="Accounts that left, the latest first",
        leads_to=links.account_href,
        rows_at_first=10,
        empty="nobody in the weeks that were judged.",
    )
    if len(left) and (total := int(left["stays_count"].iloc[0])) > len(left):
        st.caption(f"The latest {formats.count(len(left))} of {formats.count(total)}.")


@unless_older()
def _contacts(reader: Reader, asked: dict[str, Any], about: Mapping[str, Any]) -> None:
    if about["audience"] != "contacts":
        return
    st.subheader("Contacts of its accounts")
    if (reader.record(SMALL_NUMBERS) or {}).get("small_numbers") == "band":
        st.caption(
            "The contacts are not shown: small numbers of people stand as bands in this file (its privacy setting), "
            "and the id of a contact is a person's."
        )
        return
    contacts = reader.frame(CONTACTS, **asked)
    columns = [Column("account_name", "Account"), Column("contact_id", "Contact id")]
    table(
        contacts,
        columns,
        key="contacts",
        caption="Contacts of the accounts in it",
        leads_to=links.account_href,
        empty="the accounts in it have none.",
    )
    if len(contacts):
        download(
            contacts,
            [Column("account_id", "Account id"), *columns],
            name=f"contacts-{asked['segment']}",
            key="download contacts",
        )
