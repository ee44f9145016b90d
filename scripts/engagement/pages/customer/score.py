"""The score of a customer: the parts that add up to it, and how it went week by week."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, components, formats
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

# All versions of the score are published; the one shown is that whose scores the cards have.
VERSION = """
    select scores.score_version
    from account_scores as scores
    inner join customer_cards as cards
        on
            scores.enrichment_id = cards.office_enrichment_id and scores.account_id = cards.account_id
            and scores.engagement_score = cards.engagement_score and scores.anchored_score = cards.anchored_score
    where scores.aggregation_level = 'year'
    group by scores.score_version
    order by count(*) desc, scores.score_version
    limit 1
"""

PARTS = """
    with

    parts as (

        select component, unit, raw_value, weight_points, points_possible, points_earned
        from account_score_components
        where
            enrichment_id = $enrichment and account_id = $account and score_version = $version
            and aggregation_level = 'year'
        qualify scored_on = max(scored_on) over ()

    ),

    placed as (

        select
            *,
            coalesce(sum(points_earned) over (order by weight_points desc, component), 0)
            - coalesce(points_earned, 0) as from_points
        from parts

    )

    select
        component, unit, raw_value, points_possible, points_earned, from_points,
        from_points + points_earned as to_points, from_points + points_possible as most_points,
        sum(points_earned) over () as sum_of_points, sum(points_possible) over () as sum_of_possible
    from placed
    order by weight_points desc, component
"""

# Two years are as many as a line of a card can show.
HISTORY = """
    select
        week_ends_on, engagement_score, anchored_score, change_points, own_change_points, others_change_points
    from account_score_history
    where enrichment_id = $enrichment and account_id = $account and score_version = $version
    order by week_ends_on desc
    limit 104
"""

WEEKS_OF_CHANGES = 26
SCORE, ANCHORED = "Score", "Anchored score"
OWN, OTHERS = "Own behaviour", "Others moving"


def version(reader: Reader) -> str:
    """The version of the score that the cards show; empty where nobody has a score."""
    found = reader.record(VERSION)
    return str(found["score_version"]) if found else ""


def history(reader: Reader, card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The year's score at the end of each week, newest first."""
    return reader.records(HISTORY, **_whose(reader, card))


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """Components beside their sum; then the history, and whose doing each week's change was."""
    if card["engagement_score"] is None:
        st.caption("Without a score there are no parts of it to show.")
    else:
        _parts(reader, card)
    _history(reader.frame(HISTORY, **_whose(reader, card)), card)


def _whose(reader: Reader, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "enrichment": card["office_enrichment_id"] or "",
        "account": card["account_id"],
        "version": version(reader),
    }


def _parts(reader: Reader, card: Mapping[str, Any]) -> None:
    parts = reader.frame(PARTS, **_whose(reader, card))
    if parts.empty:
        st.caption("The parts of this score are not in the file.")
        return
    drawn = parts.assign(name=parts["component"].map(components.name))
    order = list(drawn["name"])
    rows = altair.Y(
        "name:N", sort=order, title=None, axis=altair.Axis(labelLimit=160, ticks=False, domain=False)
    )
    tooltip = [
        altair.Tooltip("name:N", title="Component"),
        altair.Tooltip("points_earned:Q", title="Points", format=".4f"),
        altair.Tooltip("points_possible:Q", title="of", format=".1f"),
    ]
    base = altair.Chart(drawn).encode(y=rows, tooltip=tooltip)
    scale = altair.Scale(domain=[0, 100])
    possible = base.mark_bar(opacity=0.25).encode(
        x=altair.X("from_points:Q", title="Points (of 100)", scale=scale), x2="most_points:Q"
    )
    earned = base.mark_bar().encode(x=altair.X("from_points:Q", scale=scale), x2="to_points:Q")
    highest = drawn.loc[drawn["points_earned"].astype(float).idxmax()]
    left, right = st.columns(2)
    with left:
        charts.show(
            (possible + earned).properties(height=300),
            key="score parts",
            alt=(
                f"The score of {formats.decimal(card['engagement_score'])} as a stair of its components; "
                f"{highest['name']} has most, {formats.decimal(highest['points_earned'])} of "
                f"{formats.decimal(highest['points_possible'])} points."
            ),
            numbers=parts,
            columns=[],
            caption="How the components add up to the score",
            has_table_beside=True,
        )
        st.caption(
            "Each bar begins where the one above ends. Pale: points that were possible. "
            f"Version {formats.plain(version(reader))} of the weights."
        )
    with right:
        _sum(parts)


def _sum(parts: pandas.DataFrame) -> None:
    shown = parts[["component", "unit", "raw_value", "points_earned", "points_possible"]]
    total = parts.head(1)[["sum_of_points", "sum_of_possible"]]
    total.columns = pandas.Index(["points_earned", "points_possible"])
    table(
        pandas.concat([shown.assign(is_sum=False), total.assign(component="score", is_sum=True)]),
        [
            Column("component", "Component", components.name),
            Column(
                "raw_value",
                "Measured",
                row_form=lambda row: "" if row["is_sum"] else components.measured(row),
            ),
            Column("points_earned", "Points", formats.points),
            Column("points_possible", "of", formats.decimal),
        ],
        key="score parts table",
        caption="Points by component, and their sum",
        is_sortable=False,
    )
    with st.expander("What the components measure"):
        table(
            parts,
            [
                Column("component", "Component", components.name),
                Column("component", "What is measured", components.meaning),
            ],
            key="score meanings",
            caption="What is measured",
            is_sortable=False,
        )


def _history(weeks: pandas.DataFrame, card: Mapping[str, Any]) -> None:
    if weeks.empty:
        st.caption("There is no history of the score: it was not scored at the end of any week kept.")
        return
    lines = weeks.rename(columns={"engagement_score": SCORE, "anchored_score": ANCHORED}).melt(
        ["week_ends_on"], [SCORE, ANCHORED], "series", "points"
    )
    legend = altair.Legend(title=None, orient="top")
    line = (
        altair.Chart(lines)
        .mark_line(point=True)
        .encode(
            x=charts.by_day("week_ends_on", "Week ends on"),
            y=charts.quantity("points", "Points (of 100)", scale=altair.Scale(domain=[0, 100])),
            color=altair.Color("series:N", sort=[SCORE, ANCHORED], legend=legend),
            strokeDash=altair.StrokeDash("series:N", sort=[SCORE, ANCHORED], legend=legend),
            tooltip=[
                altair.Tooltip("series:N", title=" "),
                altair.Tooltip("week_ends_on:T", title="Week ends on", format="%d %b %Y"),
                altair.Tooltip("points:Q", title="Points", format=".1f"),
            ],
        )
        .properties(height=charts.HEIGHT)
    )
    newest, oldest = weeks.iloc[0], weeks.iloc[-1]
    charts.show(
        line,
        key="score history",
        alt=(
            f"Score from {formats.decimal(oldest['engagement_score'])} on {formats.day(oldest['week_ends_on'])} to "
            f"{formats.decimal(newest['engagement_score'])} on {formats.day(newest['week_ends_on'])}; anchored score "
            f"from {formats.decimal(oldest['anchored_score'])} to {formats.decimal(newest['anchored_score'])}."
        ),
        numbers=weeks,
        columns=[
            Column("week_ends_on", "Week ends on", formats.day),
            Column("engagement_score", "Score", formats.decimal),
            Column("anchored_score", "Anchored score", formats.decimal),
        ],
        caption="Score at the end of each week",
    )
    _changes(weeks.head(WEEKS_OF_CHANGES).dropna(subset=["change_points"]))


def _changes(weeks: pandas.DataFrame) -> None:
    if weeks.empty:
        st.caption("There is no change to show: no week has one before it.")
        return
    bars = weeks.assign(label=weeks["week_ends_on"].map(formats.day)).rename(
        columns={"own_change_points": OWN, "others_change_points": OTHERS}
    )
    order = list(bars["label"])[::-1]
    bar = (
        altair.Chart(bars.melt(["label"], [OWN, OTHERS], "series", "points"))
        .mark_bar()
        .encode(
            x=altair.X("label:N", sort=order, title="Week ends on", axis=charts.SLANTED),
            y=charts.quantity("points", "Change (points)"),
            tooltip=[
                altair.Tooltip("series:N", title=" "),
                altair.Tooltip("label:N", title="Week ends on"),
                altair.Tooltip("points:Q", title="Points", format="+.1f"),
            ],
            **charts.pair(OWN, OTHERS),
        )
        .properties(height=300)
    )
    newest = weeks.iloc[0]
    charts.show(
        bar,
        key="score changes",
        alt=(
            f"Change of the score by week; in the newest, {formats.signed(newest['own_change_points'])} points by own "
            f"behaviour and {formats.signed(newest['others_change_points'])} by others moving."
        ),
        numbers=weeks,
        columns=[
            Column("week_ends_on", "Week ends on", formats.day),
            Column("change_points", "Change (points)", formats.signed),
            Column("own_change_points", "Own behaviour", formats.signed),
            Column("others_change_points", "Others moving", formats.signed),
        ],
        caption="Whose doing each week's change was",
    )
