"""The hub: which enrichments there are and how each stands, what else can be enriched, what ran, what was done."""

from __future__ import annotations

from typing import Any

import pandas
import streamlit as st

from engagement.pages import enrichments, formats, links
from engagement.pages.hub import discover, records, runs
from engagement.pages.reader import Reader
from engagement.pages.sections import part_of, section, unless_older
from engagement.pages.tables import Column, table

MINE, DISCOVER, RUNS, RECORDS = "My enrichments", "Discover", "Runs", "Records"

WATCH = """
    select
        coalesce(enrichments.enrichment_name, data_watch.enrichment_id) as enrichment_name, data_watch.severity,
        data_watch.finding, data_watch.day_on, data_watch.since_on
    from data_watch
    left join enrichments on data_watch.enrichment_id = enrichments.enrichment_id
    order by
        data_watch.severity desc, coalesce(data_watch.day_on, data_watch.since_on) desc nulls last,
        data_watch.finding_id
"""


def body(reader: Reader) -> None:
    """The last run, and a tab for each of the four."""
    runs.show_last_run()
    mine, discovered, ran, recorded = st.tabs(
        [MINE, DISCOVER, RUNS, RECORDS], key="view", bind="query-params", on_change="rerun"
    )
    # What is not seen is not asked for.
    if mine.open:
        with mine:
            _my_enrichments(reader)
            _watch(reader)
    if discovered.open:
        with discovered:
            discover.show(reader)
    if ran.open:
        with ran:
            runs.show(reader)
    if recorded.open:
        with recorded:
            records.show(reader)


def _my_enrichments(reader: Reader) -> None:
    with unless_older():
        entries = enrichments.listed(reader)
        table(
            pandas.DataFrame(entries),
            [
                Column("enrichment_name", "Name", detail=lambda row: str(row["output_table"])),
                Column("enrichment_type", "Type", enrichments.type_in_words),
                Column("enrichment_state", "State", formats.words),
                Column("enrichment_status", "Status", enrichments.status_in_words),
                Column(
                    "accounts_enriched_ratio",
                    "Customers enriched",
                    formats.ratio,
                    row_form=lambda row: part_of(row["accounts_enriched_count"], row["accounts_count"]),
                    detail=_share,
                ),
                Column("last_updated_at", "Refreshed", formats.ago, detail=_instant_of("last_updated_at")),
                Column(
                    "next_due_at",
                    "Next due",
                    row_form=lambda row: enrichments.next_due_in_words(dict(row)),
                    detail=_instant_of("next_due_at"),
                ),
            ],
            key="enrichments",
            caption=MINE,
            id_column="enrichment_id",
            leads_to=links.results_href,
            empty="none is configured; the tab Discover says what there is.",
        )
        if entries:
            st.caption("A name opens the results of its enrichment; below it stands the name of its table.")
        for entry in entries:
            enrichments.show_note(entry, with_name=True)


def _watch(reader: Reader) -> None:
    with section("Watch on the data"):
        found = reader.frame(WATCH)
        if found.empty:
            st.markdown("Nothing unusual: mail, matches and fields came as they usually do.")
            return
        table(
            found,
            [
                Column("severity", "Weight", formats.words, help="A warning: somebody should look."),
                Column("enrichment_name", "About", row_form=_about),
                Column("finding", "Finding"),
                Column("day_on", "Day", formats.day),
                Column("since_on", "Since", formats.day),
            ],
            key="watch",
            caption="Findings of the watch on the data",
        )


def _about(row: Any) -> str:
    return "All" if formats.is_missing(row["enrichment_name"]) else str(row["enrichment_name"])


def _share(row: Any) -> str:
    return (
        ""
        if formats.is_missing(row["accounts_enriched_ratio"])
        else formats.ratio(row["accounts_enriched_ratio"])
    )


def _instant_of(name: str) -> Any:
    return lambda row: "" if formats.is_missing(row[name]) else formats.instant(row[name])
