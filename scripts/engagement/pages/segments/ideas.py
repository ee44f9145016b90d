"""Segments that could be made: out of one condition, and groups whose score differs from that of all others."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engagement.pages import formats
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table
from engagement.segments.published import JUDGED_BY

COMMAND = 'engagement segment new my_segment --name "My segment" --owner Sales {options}'

SUGGESTIONS = """
    select
        suggestion_rank, rule_in_words, rule_options, accounts_count, others_count, measure_mean, others_measure_mean,
        measure_difference, corrected_chance_ratio
    from segment_suggestions
    where enrichment_id = $enrichment
    order by suggestion_rank
"""

MEASURE = "select attribute_label from compared_attributes where is_suggestion_measure"

ATTRIBUTES = """
    select quick.attribute, coalesce(any_value(attributes.attribute_label), quick.attribute) as attribute_label
    from quick_segments as quick
    left join compared_attributes as attributes on quick.attribute = attributes.attribute
    where quick.enrichment_id = $enrichment
    group by quick.attribute
    order by attribute_label
"""

QUICK = """
    select
        condition_position,
        case when attribute = 'rhythm_state' then replace(condition_in_words, '_', ' ') else condition_in_words end
            as condition_in_words,
        percentile, accounts_count, accounts_ratio, rule_options
    from quick_segments
    where enrichment_id = $enrichment and attribute = $attribute
    order by condition_position
"""


def section(reader: Reader, asked: dict[str, Any]) -> None:
    """Suggested and quick segments, each with the command that makes it."""
    st.header("Segments that could be made")
    _suggested(reader, asked)
    _quick(reader, asked)


@st.fragment
@unless_older()
def _suggested(reader: Reader, asked: dict[str, Any]) -> None:
    st.subheader("Suggested: groups that differ")
    measure = formats.text((reader.record(MEASURE) or {}).get("attribute_label"))
    found = reader.frame(SUGGESTIONS, **asked)
    if found.empty:
        st.caption(
            formats.plain(
                f"No group of accounts differs in its {measure} from all others by more than chance explains. "
                "That is normal with few accounts."
            )
        )
        return
    st.markdown(
        formats.plain(f"Groups whose {measure} differs from that of all others by more than chance explains.")
    )
    table(
        found,
        [
            Column("rule_in_words", "Who is in it"),
            Column("accounts_count", "Accounts", formats.count),
            Column("measure_mean", f"Mean {measure}", formats.decimal),
            Column("others_measure_mean", "of all others", formats.decimal),
            Column("measure_difference", "Difference", formats.signed),
        ],
        key="suggestions",
        caption="Suggested segments",
        id_column="suggestion_rank",
    )
    _command(found, "rule_in_words", key="suggestion")


@st.fragment
@unless_older()
def _quick(reader: Reader, asked: dict[str, Any]) -> None:
    st.subheader("Quick: out of one condition")
    attributes = {row["attribute"]: row["attribute_label"] for row in reader.records(ATTRIBUTES, **asked)}
    if not attributes:
        st.caption("No attribute divides the accounts.")
        return
    attribute = st.selectbox(
        "Attribute",
        list(attributes),
        format_func=lambda one: attributes[one][:1].upper() + attributes[one][1:],
        key="quick attribute",
    )
    found = reader.frame(QUICK, **asked, attribute=attribute)
    table(
        found,
        [
            Column("condition_in_words", "Condition"),
            Column("accounts_count", "Accounts", formats.count),
            Column("accounts_ratio", "Share of all accounts", formats.ratio),
        ],
        key="quick segments",
        caption="Segments out of one condition",
        id_column="condition_position",
    )
    _command(found, "condition_in_words", key="condition")


def _command(found: Any, words: str, *, key: str) -> None:
    """The command that makes one of `found`."""
    options = dict(zip(found[words], found["rule_options"], strict=True))
    chosen = st.selectbox("Make a segment of", list(options), key=f"{key} to make")
    if formats.is_missing(options[chosen]):
        st.caption("There is no command for it: the value looks like an address.")
        return
    st.code(COMMAND.format(options=options[chosen]), language=None, wrap_lines=True)
    st.markdown(f"Run it in the project, with a name of your own; what judges and publishes it: {JUDGED_BY}.")
