"""How many customers were enriched, run by run."""

from __future__ import annotations

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column

# A drawing of more points tells no more.
POINTS_DRAWN = 1000

OVER_TIME = f"""
    select refreshed_at, accounts_enriched_count, as_of_date
    from enriched_accounts_over_time
    where
        enrichment_id = $enrichment_id
        and refreshed_at > (select max(published_at) from publication) - to_days(cast($days as integer))
    order by refreshed_at desc
    limit {POINTS_DRAWN}
"""

PERIODS = {"7 days": 7, "30 days": 30, "90 days": 90, "1 year": 365, "All": 36_500}
PERIOD_AT_FIRST = "90 days"
# Runs that lie closer together are told apart by their hours.
LEAST_SHOWN_BY_DAY = pandas.Timedelta(days=6)


def show(reader: Reader, enrichment_id: str) -> None:
    """The chart with its choice of a period."""
    st.header("Customers enriched over time")
    _show(reader, enrichment_id)


@st.fragment
@unless_older()
def _show(reader: Reader, enrichment_id: str) -> None:
    period = st.segmented_control(
        "Period before the last publication",
        list(PERIODS),
        default=PERIOD_AT_FIRST,
        required=True,
        key=f"period of {enrichment_id}",
    )
    runs = reader.frame(OVER_TIME, enrichment_id=enrichment_id, days=PERIODS[str(period)])
    if runs.empty:
        st.markdown("No run refreshed it in this period.")
        return
    drawn = runs.iloc[::-1].assign(
        refreshed_at=lambda frame: pandas.to_datetime(frame["refreshed_at"]).dt.tz_localize("UTC")
    )
    newest, oldest = runs.iloc[0], runs.iloc[-1]
    chart = (
        altair.Chart(drawn)
        .mark_line(point=altair.OverlayMarkDef(size=60))
        .encode(
            x=altair.X("refreshed_at:T", title="Run", axis=_time_axis(drawn["refreshed_at"])),
            y=charts.quantity(
                "accounts_enriched_count", "Customers enriched", axis=altair.Axis(tickMinStep=1)
            ),
            tooltip=[
                altair.Tooltip("refreshed_at:T", title="Run", format="%d %b %Y %H:%M"),
                altair.Tooltip("accounts_enriched_count:Q", title="Customers enriched", format=","),
            ],
        )
        .properties(height=charts.HEIGHT)
    )
    count = formats.count(newest["accounts_enriched_count"])
    alt = (
        f"One run, {formats.day(newest['refreshed_at'])}: {count} customers enriched."
        if len(runs) == 1
        else f"From {formats.count(oldest['accounts_enriched_count'])} customers on "
        f"{formats.day(oldest['refreshed_at'])} to {count} on {formats.day(newest['refreshed_at'])}, "
        f"in {formats.count(len(runs))} runs."
    )
    st.markdown(alt)
    charts.show(
        chart,
        key=f"over time {enrichment_id}",
        alt=alt,
        numbers=runs,
        columns=[
            Column("refreshed_at", "Run", formats.instant),
            Column("accounts_enriched_count", "Customers enriched", formats.count),
            Column("as_of_date", "As of", formats.day),
        ],
        caption="Number of enriched customers, one point a run",
    )
    if len(runs) == POINTS_DRAWN:
        st.caption(f"The newest {formats.count(POINTS_DRAWN)} runs.")


def _time_axis(instants: pandas.Series) -> altair.Axis:
    """Days where there are several, else hours of one."""
    if len(instants) == 1:
        return altair.Axis(values=[instants.iloc[0].isoformat()], format="%d %b %Y")
    is_long = (instants.max() - instants.min()) >= LEAST_SHOWN_BY_DAY
    return altair.Axis(format="%d %b %Y" if is_long else "%d %b, %H:%M", labelOverlap=True, tickCount=6)
