"""Segments: all of them with how they grew, one of them (`segment`), and those that could be made (`segment_ideas`)."""

from __future__ import annotations

from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats, links
from engagement.pages.choices import choose
from engagement.pages.reader import Reader, records_of
from engagement.pages.segments import ideas
from engagement.pages.segments import one as segment
from engagement.pages.tables import Column, table

# As many as there are colours.
SEGMENTS_IN_CHART = 7
SEGMENTS_AT_FIRST = 4
SEGMENTS_OFFERED = 20

JUDGES = """
    select
        counts.enrichment_id,
        coalesce(any_value(enrichments.enrichment_name), counts.enrichment_id) as enrichment_name
    from segment_counts as counts
    left join enrichments on counts.enrichment_id = enrichments.enrichment_id
    group by counts.enrichment_id
    order by enrichment_name
"""

# The change is that since the newest day judged which is a week or more ago. Who is not active has no counts.
SEGMENTS = """
    with
    counts as (
        select * from segment_counts where enrichment_id = $enrichment
    ),
    newest_days as (
        select
            newest.counted_on,
            (
                select max(counts.counted_on) from counts
                where counts.counted_on <= cast(newest.counted_on - interval 7 day as date)
            ) as compared_on
        from (select max(counted_on) as counted_on from counts) as newest
    ),
    changes as (
        select
            counts.segment_id,
            max(case when counts.counted_on = newest_days.counted_on then counts.members_count end) as members_count,
            max(case when counts.counted_on = newest_days.counted_on then counts.accounts_count end) as accounts_count,
            max(case when counts.counted_on = newest_days.compared_on then counts.members_count end) as compared_count,
            sum(case when counts.counted_on > newest_days.compared_on then counts.entered_count end) as entered_count,
            sum(case when counts.counted_on > newest_days.compared_on then counts.left_count end) as left_count
        from counts
        cross join newest_days
        group by counts.segment_id
    )
    select
        segments.segment_id, segments.segment_name, segments.description, segments.owner, segments.audience,
        segments.membership, segments.tags, segments.is_active, segments.finding,
        changes.members_count,
        coalesce(changes.accounts_count, segments.accounts_count) as accounts_count,
        changes.members_count - changes.compared_count as change_count,
        changes.entered_count, changes.left_count,
        newest_days.compared_on
    from segments
    cross join newest_days
    left join changes on segments.segment_id = changes.segment_id
    order by segments.segment_name, segments.segment_id
"""

COUNTS = """
    select segment_id, segment_name, counted_on, members_count
    from segment_counts
    where enrichment_id = $enrichment and list_contains($segments, segment_id)
    order by segment_name, counted_on
"""


def body(reader: Reader) -> None:
    """All segments, or the one that the address names."""
    judges = {row["enrichment_id"]: row["enrichment_name"] for row in reader.records(JUDGES)}
    asked: dict[str, Any] = {"enrichment": choose("Judged by", judges, parameter="enrichment") or ""}
    listed = reader.frame(SEGMENTS, **asked)
    if listed.empty:
        st.info(
            "There are no segments in this file. The command `engagement segment new` makes one.",
            icon=":material/info:",
        )
        return
    names = dict(zip(listed["segment_id"], listed["segment_name"], strict=True))
    chosen = choose("Segment", names, parameter="segment", nothing="All segments")
    if chosen is not None:
        [about] = records_of(listed[listed["segment_id"] == chosen])
        segment.body(reader, {**asked, "segment": chosen}, about)
        return
    _all(listed)
    _over_time(reader, asked, listed)
    ideas.section(reader, asked)


def _all(listed: pandas.DataFrame) -> None:
    st.header("All segments")
    st.caption(f"Of {formats.count(listed['accounts_count'].max())} accounts.")
    compared_on = listed["compared_on"].iloc[0]
    since = "" if formats.is_missing(compared_on) else f" since {formats.day(compared_on)}"
    columns = [
        Column("segment_name", "Segment"),
        Column("members_count", "Accounts", formats.count),
        Column("change_count", f"Change{since}", formats.signed_count),
        Column("description", "Who is in it"),
        Column("owner", "Owner"),
        Column("audience", "Audience", formats.words),
        Column(
            "membership",
            "Kind",
            formats.words,
            help="Dynamic: judged anew each time. Static: frozen at a day.",
        ),
    ]
    if listed["tags"].notna().any():
        columns.append(Column("tags", "Tags"))
    if listed["finding"].notna().any():
        columns.append(Column("finding", "Worth a look", _finding))
    table(
        listed,
        columns,
        key="segments",
        caption="Segments",
        leads_to=links.segment_href,
        id_column="segment_id",
    )


def _finding(value: Any) -> str:
    return "" if formats.is_missing(value) else formats.words(value)


@st.fragment
def _over_time(reader: Reader, asked: dict[str, Any], listed: pandas.DataFrame) -> None:
    st.header("Over time")
    known = listed[listed["members_count"].notna()]
    if known.empty:
        st.markdown("Nothing is judged yet: the next `engagement run` counts the segments.")
        return
    # Those that moved most; any other has its own page.
    moved = (
        known.assign(moved=known["change_count"].abs())
        .sort_values(["moved", "members_count"], ascending=False)
        .head(SEGMENTS_OFFERED)
    )
    names = dict(zip(moved["segment_id"], moved["segment_name"], strict=True))
    picked = st.pills(
        "Segments in the chart",
        list(names),
        default=list(names)[:SEGMENTS_AT_FIRST],
        format_func=lambda one: formats.plain(formats.text(names[one])),
        selection_mode="multi",
        key="segments in chart",
    )
    if len(known) > len(names):
        st.caption(f"Offered are the {formats.count(len(names))} that changed most.")
    if not picked:
        st.caption("Choose a segment to see how it grew.")
        return
    chosen = picked[:SEGMENTS_IN_CHART]
    if len(picked) > len(chosen):
        st.caption(f"Drawn are the first {formats.count(len(chosen))} of those chosen.")
    counts = reader.frame(COUNTS, **asked, segments=sorted(chosen))
    legend = altair.Legend(orient="top", title=None, labelLimit=300)
    first, last = counts["counted_on"].min(), counts["counted_on"].max()
    charts.show(
        altair.Chart(counts)
        .mark_line(strokeWidth=2)
        .encode(
            x=charts.by_day("counted_on", "Day judged"),
            y=charts.quantity("members_count", "Accounts", axis=charts.whole_numbers()),
            color=altair.Color("segment_name:N", legend=legend),
            strokeDash=charts.dashes("segment_name", legend=legend),
            tooltip=[
                altair.Tooltip("segment_name:N", title="Segment"),
                altair.Tooltip("counted_on:T", title="Day judged", format="%d %b %Y"),
                altair.Tooltip("members_count:Q", title="Accounts"),
            ],
        )
        .properties(height=charts.HEIGHT + 60),
        key="segments over time",
        alt=f"Line chart of accounts in {formats.count(len(chosen))} segments from {formats.day(first)} "
        f"to {formats.day(last)}: "
        + "; ".join(
            f"{name} from {formats.count(rows['members_count'].iloc[0])} "
            f"to {formats.count(rows['members_count'].iloc[-1])}"
            for name, rows in counts.groupby("segment_name")
        )
        + ".",
        numbers=counts,
        columns=[
            Column("segment_name", "Segment"),
            Column("counted_on", "Day judged", formats.day),
            Column("members_count", "Accounts", formats.count),
        ],
        caption="Accounts in segments over time",
    )
    st.caption("Every day is judged by the rules of today, from what was known at that day's end.")
