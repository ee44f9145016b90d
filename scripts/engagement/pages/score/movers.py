"""Who gained and lost points in a week, and whether it was the account's own doing."""

from __future__ import annotations

from typing import Any

import pandas
import streamlit as st

from engagement.pages import components, formats, links
from engagement.pages.choices import choose
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

MOVERS_SHOWN = 10

WEEKS = """
    select distinct week_ends_on
    from account_score_history
    where enrichment_id = $enrichment and score_version = $version and change_points is not null
    order by week_ends_on desc
    limit 26
"""

MOVED = """
    select
        count(*) filter (where change_points > 0) as gained_count,
        count(*) filter (where change_points < 0) as lost_count,
        count(*) filter (where change_points = 0) as same_count,
        count(*) filter (where abs(own_change_points) > abs(others_change_points)) as mostly_own_count
    from account_score_history
    where
        enrichment_id = $enrichment and score_version = $version
        and week_ends_on = cast($week as date) and change_points is not null
"""

# $direction is 1 for gains and -1 for falls; with $is_own what counts is the account's own behaviour alone.
MOVERS = """
    with
    moved as (
        select
            account_id, engagement_score, change_points, own_change_points, others_change_points,
            case when $is_own then own_change_points else change_points end as ranked_points
        from account_score_history
        where
            enrichment_id = $enrichment and score_version = $version
            and week_ends_on = cast($week as date) and change_points is not null
    ),
    movers as (
        select * from moved
        where ranked_points * $direction > 0
        order by ranked_points * $direction desc, account_id
        limit $limit
    ),
    component_changes as (
        select
            account_id, component,
            case when $is_own then own_change_points else own_change_points + others_change_points end as points
        from account_score_changes
        where
            enrichment_id = $enrichment and score_version = $version and week_ends_on = cast($week as date)
            and account_id in (select account_id from movers)
    ),
    foremost as (
        select
            account_id,
            arg_max(component, (abs(points), component)) as component,
            arg_max(points, (abs(points), component)) as component_points
        from component_changes
        group by account_id
    )
    select
        movers.account_id, cards.account_name, movers.engagement_score, movers.change_points,
        movers.own_change_points, movers.others_change_points, foremost.component, foremost.component_points
    from movers
    left join foremost on movers.account_id = foremost.account_id
    left join customer_cards as cards on movers.account_id = cards.account_id
    order by movers.ranked_points * $direction desc, movers.account_id
"""


@st.fragment
@unless_older()
def section(reader: Reader, asked: dict[str, Any]) -> None:
    """The accounts that gained and lost most in a week. `asked` names enrichment and version."""
    st.header("Who moved")
    weeks = [pandas.Timestamp(day) for day in reader.frame(WEEKS, **asked)["week_ends_on"]]
    if not weeks:
        st.caption(
            "Movements need scores of two weeks in a row, and those need a whole year of e-mail and meetings before."
        )
        return
    chosen, toggled = st.columns(2, vertical_alignment="bottom")
    with chosen:
        week = choose(
            "Week that ends on",
            {day.date().isoformat(): formats.day(day) for day in weeks},
            parameter="week",
        )
    with toggled:
        is_own = st.toggle(
            "Own behaviour only",
            key="own",
            bind="query-params",
            help="Ranks by what the account itself did. The rest of a change is others moving: "
            "other accounts did more or less, came or left.",
        )
    [moved] = reader.records(MOVED, **asked, week=week)
    st.markdown(
        f"In the week to {formats.day(week)}, {formats.count(moved['gained_count'])} accounts gained points, "
        f"{formats.count(moved['lost_count'])} lost some and {formats.count(moved['same_count'])} stayed. Of "
        f"{formats.count(moved['mostly_own_count'])} the larger part of the change was their own behaviour."
    )
    for caption, direction, nobody in (
        ("Top gains", 1, "nobody gained points."),
        ("Top falls", -1, "nobody lost points."),
    ):
        table(
            reader.frame(MOVERS, **asked, week=week, is_own=is_own, direction=direction, limit=MOVERS_SHOWN),
            [
                Column("account_name", "Account"),
                Column("engagement_score", "Score", formats.decimal),
                Column("change_points", "Change (points)", formats.signed),
                Column("own_change_points", "Own behaviour", formats.signed),
                Column("others_change_points", "Others moving", formats.signed),
                Column("component", "Component that moved most", components.name),
                Column("component_points", "Its change (points)", formats.signed),
            ],
            key=caption,
            caption=f"{caption}, week to {formats.day(week)}",
            leads_to=links.account_href,
            empty=nobody,
        )
    st.caption(
        "Change is own behaviour and others moving together, against a week before. "
        "Days that pass without contact are an account's own behaviour."
    )
