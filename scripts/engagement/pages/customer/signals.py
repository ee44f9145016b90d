"""What the provider tells beyond firmographics: intent, technologies, specialties, and what changed when."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engagement.pages import formats
from engagement.pages.customer.company import label, written
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

INTENT = """
    select intent_name, intent_part, part_name, intent_level, intent_score, is_new_high, intent_source, intent_cadence
    from leadspace_intent
    where enrichment_id = $enrichment and account_id = $account
    order by intent_name, intent_part != 'model', intent_score desc nulls last, intent_part, part_name
    limit 200
"""

TECHNOLOGIES = """
    select technology_kind, technology
    from leadspace_technologies
    where enrichment_id = $enrichment and account_id = $account
    order by technology_kind, technology
    limit 500
"""

SPECIALTIES = """
    select specialty
    from leadspace_specialties
    where enrichment_id = $enrichment and account_id = $account
    order by specialty
    limit 500
"""

# What changed tells more than what was learned from nothing on the day of the first answer.
CHANGES = """
    select attribute, value_before, value_after, change_kind, changed_at
    from company_changes
    where account_id = $account
    order by change_kind = 'learned', changed_at desc, attribute
    limit 200
"""

KINDS = {
    "installed_base": "In use at the company",
    "web_site": "Seen on its website",
    "category": "Category",
    "custom_category": "Own category",
}


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """Intent, technologies and specialties as tables, then the changes."""
    if card["leadspace_enrichment_id"] is None:
        st.caption("They come from Leadspace, and this customer was not looked up there.")
        return
    whose = {"enrichment": card["leadspace_enrichment_id"], "account": card["account_id"]}
    table(
        reader.frame(INTENT, **whose),
        [
            Column("intent_name", "Intent"),
            Column("intent_part", "Part", _part),
            Column("part_name", "Name"),
            Column("intent_level", "How strong", formats.words),
            Column("intent_score", "Score (the provider's)", formats.decimal),
            Column(
                "is_new_high",
                "Newly high",
                lambda value: formats.MISSING if formats.is_missing(value) else "yes" if value else "no",
            ),
            Column("intent_source", "Source"),
        ],
        key="intent",
        caption="Intent: what the company is looking for",
        empty="the provider tells of none.",
    )
    left, right = st.columns(2)
    with left:
        table(
            reader.frame(TECHNOLOGIES, **whose),
            [
                Column("technology", "Technology"),
                Column("technology_kind", "Kind", lambda kind: KINDS.get(str(kind), formats.words(kind))),
            ],
            key="technologies",
            caption="Technologies",
            rows_at_first=10,
            empty="the provider names none.",
        )
    with right:
        table(
            reader.frame(SPECIALTIES, **whose),
            [Column("specialty", "Specialty")],
            key="specialties",
            caption="Specialties",
            rows_at_first=10,
            empty="the provider names none.",
        )
    table(
        reader.frame(CHANGES, account=card["account_id"]),
        [
            Column("attribute", "Attribute", label),
            Column(
                "value_before", "Before", row_form=lambda row: written(row["attribute"], row["value_before"])
            ),
            Column(
                "value_after", "After", row_form=lambda row: written(row["attribute"], row["value_after"])
            ),
            Column("change_kind", "Change", formats.words),
            Column("changed_at", "When", formats.day),
        ],
        key="company changes",
        caption="Changes of the company data",
        rows_at_first=10,
        empty="none.",
    )


def _part(value: Any) -> str:
    return "The intent itself" if value == "model" else formats.words(value)
