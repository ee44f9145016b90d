"""What tells the accounts of a segment from all others, and what it has in common with other segments."""

from __future__ import annotations

from typing import Any

import altair
import streamlit as st

from engagement.pages import charts, formats, links
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

OVERLAPS_IN_CHART = 12

# The attribute's name stands in its own column, and a colon before the shares.
DIFFERENTIATORS = r"""
    select
        differentiators.attribute,
        coalesce(attributes.attribute_label, replace(differentiators.attribute, '_', ' ')) as attribute_label,
        differentiators.difference_rank, differentiators.difference_ratio,
        case when differentiators.is_uncertain then 'may be chance' else 'yes' end as certain,
        regexp_replace(
            case
                when differentiators.attribute = 'rhythm_state'
                    then replace(split_part(differentiators.difference_in_words, ': ', 2), '_', ' ')
                when starts_with(differentiators.difference_in_words, attributes.attribute_label || ': ')
                    then substr(differentiators.difference_in_words, length(attributes.attribute_label) + 3)
                else differentiators.difference_in_words
            end,
            ' (\d+ % of the members, \d+ % of the others)$', ': \1'
        ) as difference_in_words,
        differentiators.is_uncertain
    from segment_differentiators as differentiators
    left join compared_attributes as attributes on differentiators.attribute = attributes.attribute
    where differentiators.segment_id = $segment and differentiators.enrichment_id = $enrichment
        and differentiators.difference_ratio is not null
    order by differentiators.difference_rank
"""

DISTRIBUTION = """
    select
        bucket_position, case when attribute = 'rhythm_state' then replace(bucket, '_', ' ') else bucket end as bucket,
        members_with_count, members_ratio, others_with_count, others_ratio
    from segment_distributions
    where segment_id = $segment and enrichment_id = $enrichment and attribute = $attribute
    order by bucket_position
"""

OVERLAPS = """
    select
        other_segment_id, other_segment_name, other_members_count, both_count,
        both_of_members_ratio, both_of_other_members_ratio, jaccard_ratio
    from segment_overlaps
    where segment_id = $segment and enrichment_id = $enrichment
    union all
    select
        segment_id as other_segment_id, segment_name as other_segment_name, members_count as other_members_count,
        both_count, both_of_other_members_ratio as both_of_members_ratio,
        both_of_members_ratio as both_of_other_members_ratio, jaccard_ratio
    from segment_overlaps
    where other_segment_id = $segment and enrichment_id = $enrichment
    order by both_count desc, other_segment_name
"""


@st.fragment
@unless_older()
def differentiators(reader: Reader, asked: dict[str, Any]) -> None:
    """The attributes in which its accounts differ from all others, and the distribution of one of them."""
    st.subheader("What tells them from all others")
    found = reader.frame(DIFFERENTIATORS, **asked)
    if found.empty:
        st.caption("There is nothing to compare: nobody is in the segment, or everybody is.")
        return
    certain = found[~found["is_uncertain"].astype(bool)]
    st.markdown(
        f"Of {formats.count(len(found))} attributes, {formats.count(len(certain))} differ by more than chance "
        "explains. What the rule of the segment is made of comes first: that is its definition. What follows may "
        "explain it. A difference is no cause."
    )
    table(
        found,
        [
            Column("attribute_label", "Attribute", _capital),
            Column(
                "difference_ratio",
                "Difference (0 to 1)",
                formats.thousandth,
                help="0 the same, 1 nothing in common",
            ),
            Column("certain", "Certain"),
            Column("difference_in_words", "Where they differ most"),
        ],
        key="differentiators",
        caption="Attributes, by how much they differ",
        id_column="attribute",
        rows_at_first=10,
    )
    labels = dict(zip(found["attribute"], found["attribute_label"], strict=True))
    attribute = st.selectbox(
        "Look at one attribute",
        list(labels),
        format_func=lambda one: _capital(labels[one]),
        key="attribute looked at",
    )
    distribution = reader.frame(DISTRIBUTION, **asked, attribute=attribute)
    if distribution.empty:
        st.caption("Nobody has a value of it.")
        return
    _distribution(distribution, _capital(labels[attribute]))


def _distribution(distribution: Any, label: str) -> None:
    distribution = distribution.assign(
        name=charts.wrapped(distribution["bucket"]),
        members="In it (bar)",
        others="Others (line)",
    )
    bucket = charts.names_axis("name")
    who = altair.Scale(domain=["In it (bar)", "Others (line)"])
    legend = altair.Legend(orient="top", title=None)
    tooltip = [
        altair.Tooltip("bucket:N", title=label),
        altair.Tooltip("members_ratio:Q", title="Of the accounts in it", format=".0%"),
        altair.Tooltip("others_ratio:Q", title="Of all others", format=".0%"),
    ]
    share = altair.X(
        "members_ratio:Q", title="Share of the accounts", axis=altair.Axis(format="%", tickCount=6)
    )
    base = altair.Chart(distribution)
    chart = base.mark_bar(opacity=0.85).encode(
        y=bucket, x=share, color=altair.Color("members:N", scale=who, legend=legend), tooltip=tooltip
    ) + base.mark_tick(thickness=4, size=22).encode(
        y=bucket,
        x="others_ratio:Q",
        color=altair.Color("others:N", scale=who, legend=legend),
        tooltip=tooltip,
    )
    fullest = distribution.sort_values("members_ratio", ascending=False).iloc[0]
    charts.show(
        chart.properties(height=charts.height_of(len(distribution))),
        key="distribution",
        alt=f"Bars of the accounts in it with lines of all others, by {label}. Most of the accounts in it, "
        f"{formats.ratio(fullest['members_ratio'])}, have {fullest['bucket']}; of all others "
        f"{formats.ratio(fullest['others_ratio'])}.",
        numbers=distribution,
        columns=[
            Column("bucket", label),
            Column("members_with_count", "Accounts in it", formats.count),
            Column("members_ratio", "Share of them", formats.ratio),
            Column("others_with_count", "All others", formats.count),
            Column("others_ratio", "Share of the others", formats.ratio),
        ],
        caption=f"{label}: accounts in it and all others",
    )


@unless_older()
def overlaps(reader: Reader, asked: dict[str, Any]) -> None:
    """How many of its accounts are in other segments too."""
    st.subheader("In other segments too")
    found = reader.frame(OVERLAPS, **asked)
    shown = found[found["both_count"] > 0].head(OVERLAPS_IN_CHART)
    if len(shown):
        charts.show(
            altair.Chart(shown.assign(name=charts.wrapped(shown["other_segment_name"])))
            .mark_bar()
            .encode(
                y=charts.names_axis("name"),
                x=altair.X(
                    "both_of_members_ratio:Q",
                    title="Share of its accounts",
                    axis=altair.Axis(format="%", tickCount=6),
                    scale=altair.Scale(domain=[0, 1]),
                ),
                tooltip=[
                    altair.Tooltip("other_segment_name:N", title="Segment"),
                    altair.Tooltip("both_count:Q", title="Accounts in both"),
                    altair.Tooltip("both_of_members_ratio:Q", title="Of its accounts", format=".0%"),
                ],
            )
            .properties(height=charts.height_of(len(shown))),
            key="overlaps chart",
            alt=f"Bar chart. Most of its accounts, {formats.ratio(shown['both_of_members_ratio'].iloc[0])}, are in "
            f"{shown['other_segment_name'].iloc[0]} too.",
            numbers=shown,
            columns=[
                Column("other_segment_name", "Segment"),
                Column("both_of_members_ratio", "Of its accounts", formats.ratio),
            ],
            caption="Its accounts in other segments",
        )
    table(
        found,
        [
            Column("other_segment_name", "Other segment"),
            Column("both_count", "Accounts in both", formats.count),
            Column("both_of_members_ratio", "Of the accounts in this one", formats.ratio),
            Column("other_members_count", "Accounts in the other", formats.count),
            Column("both_of_other_members_ratio", "Of the accounts in the other", formats.ratio),
        ],
        key="overlaps",
        caption="In common with other segments",
        leads_to=links.segment_href,
        id_column="other_segment_id",
        rows_at_first=10,
        empty="there is no other segment.",
    )


def _capital(text: Any) -> str:
    said = formats.text(text)
    return said[:1].upper() + said[1:]
