"""Score: how the scores are spread, what they are made of, who moved, and whether they tell what comes next."""

from __future__ import annotations

from typing import Any

import altair
import streamlit as st

from engagement.pages import charts, components, formats, links
from engagement.pages.choices import choose
from engagement.pages.reader import Reader
from engagement.pages.score import backtest, movers
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

OFFICE = """
    select enrichment_id, enrichment_name
    from enrichments
    where enrichment_type = 'office'
    order by enrichment_name, enrichment_id
"""

# The version behind the published score: the file may hold others beside it.
VERSION = """
    select scores.score_version
    from account_scores as scores
    inner join account_engagement as engagement
        on
            scores.enrichment_id = engagement.enrichment_id
            and scores.account_id = engagement.account_id
            and scores.aggregation_level = engagement.aggregation_level
            and scores.aggregation_starts_on = engagement.aggregation_starts_on
    where scores.enrichment_id = $enrichment and scores.aggregation_level = 'year'
    group by scores.score_version
    having bool_and(scores.engagement_score is not distinct from engagement.engagement_score)
    order by scores.score_version
    limit 1
"""

SCORED = """
    select
        count(*) as accounts_count,
        avg(engagement_score) as score_mean,
        median(engagement_score) as score_median,
        avg(anchored_score) as anchored_score_mean
    from account_scores
    where enrichment_id = $enrichment and score_version = $version and aggregation_level = 'year'
"""

TENS = """
    with
    scored as (
        select least(cast(floor(engagement_score / 10) as bigint), 9) as ten, count(*) as accounts_count
        from account_scores
        where enrichment_id = $enrichment and score_version = $version and aggregation_level = 'year'
        group by ten
    )
    select
        tens.range as ten,
        cast(10 * tens.range as varchar) || ' to ' || cast(10 * tens.range + 10 as varchar) as scores,
        coalesce(scored.accounts_count, 0) as accounts_count
    from range(10) as tens
    left join scored on tens.range = scored.ten
    order by ten
"""

BANDS = """
    select
        score_band,
        count(*) as accounts_count,
        count(*) / sum(count(*)) over () as accounts_ratio,
        min(engagement_score) as score_lowest,
        max(engagement_score) as score_highest
    from account_scores
    where enrichment_id = $enrichment and score_version = $version and aggregation_level = 'year'
    group by score_band
    order by score_lowest desc
"""

CONFIDENCES = """
    select score_confidence, count(*) as accounts_count, count(*) / sum(count(*)) over () as accounts_ratio
    from account_scores
    where enrichment_id = $enrichment and score_version = $version and aggregation_level = 'year'
    group by score_confidence
    order by case score_confidence when 'high' then 1 when 'medium' then 2 else 3 end
"""

NOT_SCORED = """
    select
        recency.account_id, recency.account_name, recency.last_contact_on,
        case when recency.is_never_engaged then 'never' else 'earlier' end as why,
        count(*) over () as accounts_count,
        count(*) filter (where recency.is_never_engaged) over () as never_count
    from account_recency as recency
    left join account_scores as scores
        on
            recency.enrichment_id = scores.enrichment_id
            and recency.account_id = scores.account_id
            and scores.score_version = $version
            and scores.aggregation_level = 'year'
    where recency.enrichment_id = $enrichment and scores.account_id is null
    order by recency.last_contact_on desc nulls last, recency.account_name nulls last, recency.account_id
    limit 200
"""
WHY_NOT_SCORED = {
    "never": "Never an e-mail or meeting in all data kept",
    "earlier": "The last e-mail or meeting was before the year",
}

WEEKS_OF_TREND = """
    select week_ends_on, avg(anchored_score) as anchored_score_mean, count(*) as accounts_count
    from account_score_history
    where enrichment_id = $enrichment and score_version = $version
    group by week_ends_on
    order by week_ends_on
"""

COMPONENTS = """
    select
        component,
        any_value(weight_points) as weight_points,
        avg(points_earned) as points_mean,
        count(*) filter (where place_ratio is null) as not_measured_count
    from account_score_components
    where enrichment_id = $enrichment and score_version = $version and aggregation_level = 'year'
    group by component
    order by weight_points desc, component
"""


def body(reader: Reader) -> None:
    """The score of one office enrichment."""
    names = {row["enrichment_id"]: row["enrichment_name"] for row in reader.records(OFFICE)}
    enrichment = choose("Enrichment", names, parameter="enrichment")
    if enrichment is None:
        st.info(
            "There is no enrichment of e-mail and meetings, so no account has a score. "
            "The page Enrichments says how to add one.",
            icon=":material/info:",
        )
        return
    version = reader.record(VERSION, enrichment=enrichment)
    if version is None:
        st.info(
            "No account has a score yet: no e-mail or meeting with any of them was counted within the year. "
            "The page Enrichments says what is missing.",
            icon=":material/info:",
        )
        return
    asked: dict[str, Any] = {"enrichment": enrichment, "version": version["score_version"]}
    for section in (_spread, movers.section, _made_of, backtest.section):
        section(reader, asked)


@unless_older()
def _spread(reader: Reader, asked: dict[str, Any]) -> None:
    [scored] = reader.records(SCORED, **asked)
    missing = reader.frame(NOT_SCORED, **asked)
    not_scored = int(missing["accounts_count"].iloc[0]) if len(missing) else 0
    st.header("How the scores are spread")
    if reader.owners is not None:
        st.caption("Counted here are the accounts that you see; the places are among all accounts.")
    for place, (label, text, help_text) in zip(
        st.columns(4),
        (
            (
                "Accounts scored",
                f"{formats.count(scored['accounts_count'])} of "
                f"{formats.count(scored['accounts_count'] + not_scored)}",
                "Accounts with an e-mail or a meeting within the year.",
            ),
            ("Mean score, of 100", formats.decimal(scored["score_mean"]), "Near 50 by construction."),
            (
                "Median score, of 100",
                formats.decimal(scored["score_median"]),
                "Half of the accounts lie above.",
            ),
            (
                "Mean anchored score, of 100",
                formats.decimal(scored["anchored_score_mean"]),
                "Measured against fixed points instead of the other accounts.",
            ),
        ),
        strict=True,
    ):
        place.metric(label, text, help=help_text)
    st.markdown(
        "A score compares. For each component an account earns points by its place among all accounts with contact "
        "in the year, so the **mean lies near 50** however engaged the accounts are, and it does not rise when all of "
        "them become more engaged. The **anchored score** tells: the other accounts do not move it."
    )
    spread, trend = st.columns(2, gap="large")
    with spread:
        _tens(reader, asked)
    with trend:
        _trend(reader, asked)
    bands, confidences = st.columns(2, gap="large")
    with bands:
        table(
            reader.frame(BANDS, **asked),
            [
                Column("score_band", "Band", formats.words),
                Column("accounts_count", "Accounts", formats.count),
                Column("accounts_ratio", "Share", formats.ratio),
                Column("score_lowest", "Lowest", formats.decimal),
                Column("score_highest", "Highest", formats.decimal),
            ],
            key="bands",
            caption="Accounts by band",
            is_sortable=False,
        )
    with confidences:
        table(
            reader.frame(CONFIDENCES, **asked),
            [
                Column("score_confidence", "Confidence", formats.words),
                Column("accounts_count", "Accounts", formats.count),
                Column("accounts_ratio", "Share", formats.ratio),
            ],
            key="confidences",
            caption="Accounts by confidence",
            is_sortable=False,
        )
        st.caption(
            "Confidence is low or medium where few accounts are compared, or the account has few e-mails and meetings."
        )
    if not_scored:
        _not_scored(missing)


def _tens(reader: Reader, asked: dict[str, Any]) -> None:
    tens = reader.frame(TENS, **asked)
    fullest = tens.loc[tens["accounts_count"].idxmax()]
    charts.show(
        altair.Chart(tens)
        .mark_bar()
        .encode(
            x=altair.X(
                "scores:N", sort=None, title="Engagement score (points)", axis=altair.Axis(labelAngle=-45)
            ),
            y=charts.quantity("accounts_count", "Accounts", axis=charts.whole_numbers()),
            tooltip=[
                altair.Tooltip("scores:N", title="Score"),
                altair.Tooltip("accounts_count:Q", title="Accounts"),
            ],
        )
        .properties(height=charts.HEIGHT),
        key="tens",
        alt=f"Bar chart of accounts by tens of the score. Most, {formats.count(fullest['accounts_count'])}, "
        f"have {fullest['scores']} points.",
        numbers=tens,
        columns=[Column("scores", "Score"), Column("accounts_count", "Accounts", formats.count)],
        caption="Accounts by score",
    )


@unless_older()
def _trend(reader: Reader, asked: dict[str, Any]) -> None:
    weeks = reader.frame(WEEKS_OF_TREND, **asked)
    if weeks.empty:
        st.caption("The weekly scores begin once a whole year of e-mail and meetings is kept.")
        return
    first, last = weeks.iloc[0], weeks.iloc[-1]
    charts.show(
        altair.Chart(weeks)
        .mark_line(point=True)
        .encode(
            x=charts.by_day("week_ends_on", "End of the week"),
            y=charts.quantity(
                "anchored_score_mean", "Mean anchored score (points)", scale=altair.Scale(domain=[0, 100])
            ),
            tooltip=[
                altair.Tooltip("week_ends_on:T", title="End of the week", format="%d %b %Y"),
                altair.Tooltip("anchored_score_mean:Q", title="Mean anchored score", format=".1f"),
            ],
        )
        .properties(height=charts.HEIGHT),
        key="trend",
        alt=f"Line chart. The mean anchored score went from {formats.decimal(first['anchored_score_mean'])} "
        f"on {formats.day(first['week_ends_on'])} to {formats.decimal(last['anchored_score_mean'])} "
        f"on {formats.day(last['week_ends_on'])}.",
        numbers=weeks,
        columns=[
            Column("week_ends_on", "End of the week", formats.day),
            Column("anchored_score_mean", "Mean anchored score", formats.decimal),
            Column("accounts_count", "Accounts scored", formats.count),
        ],
        caption="Mean anchored score by week",
    )


def _not_scored(missing: Any) -> None:
    total, never = int(missing["accounts_count"].iloc[0]), int(missing["never_count"].iloc[0])
    parts = [
        f"{formats.count(number)} {words}"
        for number, words in (
            (never, "never had an e-mail or a meeting in all data kept"),
            (total - never, "had the last one before the year"),
        )
        if number
    ]
    st.markdown(f"**Not scored: {formats.count(total)}.** Of them {' and '.join(parts)}.")
    with st.expander("Accounts that are not scored"):
        if total > len(missing):
            st.caption(f"The {formats.count(len(missing))} with the latest contact.")
        table(
            missing,
            [
                Column("account_name", "Account"),
                Column("last_contact_on", "Last contact", formats.day),
                Column("why", "Why it is not scored", lambda why: WHY_NOT_SCORED[why]),
            ],
            key="not scored",
            caption="Accounts without a score",
            leads_to=links.account_href,
        )


@unless_older()
def _made_of(reader: Reader, asked: dict[str, Any]) -> None:
    st.header("How the score is made")
    st.markdown(
        "What is measured looks at the 365 days before the as-of date. In each component an account takes a place "
        "among the others, from 0 (the lowest) to 1 (the highest). **Points are weight times place**, and the score is "
        "their sum, to the last digit. What cannot be measured earns no points and takes none away: its weight goes to "
        "the other components. Weights add up to 100."
    )
    made = reader.frame(COMPONENTS, **asked)
    columns = [
        Column("component", "Component", components.name),
        Column("weight_points", "Weight (points)", formats.count),
        Column("points_mean", "Mean points earned", formats.decimal),
        Column(
            "meaning",
            "What earns points",
            row_form=lambda row: components.earning(row["component"]),
        ),
    ]
    if made["not_measured_count"].sum():
        columns.append(Column("not_measured_count", "Accounts not measured", formats.count))
    table(made, columns, key="components", caption="Components of the score", is_sortable=False)
    st.caption(
        formats.plain(
            f"Version {asked['version']} of the weights. Why these, and how to change them: docs/score.md."
        )
    )
