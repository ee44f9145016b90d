"""Finds a customer: a search, filters, and the list of those that fit, the highest score first."""

from __future__ import annotations

import pandas
import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

MOST_FOUND, MOST_LISTED = 25, 200
# The search in the address.
FIND = "find"

# Best match first: the id or the name itself, names that begin so, names that contain it, then the rest.
CUSTOMERS = """
    with

    searched as (

        select
            account_id, account_name, website, account_owner, engagement_score, score_band, score_change_points,
            segments, is_never_engaged,
            greatest(coalesce(last_email_on, last_meeting_on), coalesce(last_meeting_on, last_email_on))
                as last_contact_on,
            strip_accents(lower(trim($needle))) as needle,
            lower(account_id) as id_compared,
            strip_accents(lower(coalesce(account_name, ''))) as name_compared,
            strip_accents(lower(coalesce(website, ''))) as website_compared,
            strip_accents(lower(coalesce(account_owner, ''))) as owner_compared
        from customer_cards
        where
            ($band = '' or coalesce(score_band, 'none') = $band)
            and ($segment = '' or list_contains(string_split(coalesce(segments, ''), ','), $segment))

    ),

    found as (

        select
            *,
            case
                when needle = '' then 0
                when id_compared = needle or name_compared = needle then 1
                when starts_with(name_compared, needle) then 2
                when contains(name_compared, needle) then 3
                when contains(id_compared, needle) then 4
                when contains(website_compared, needle) then 5
                when contains(owner_compared, needle) then 6
            end as place
        from searched

    ),

    listed as (

        select *, count(*) over () as found_count
        from found
        where place is not null
        order by place, engagement_score desc nulls last, coalesce(account_name, account_id), account_id
        limit $most

    )

    select
        listed.account_id, coalesce(listed.account_name, listed.account_id) as shown_name, listed.account_owner,
        listed.engagement_score, listed.score_band, listed.score_change_points, listed.is_never_engaged,
        listed.last_contact_on, string_agg(segments.segment_name, ', ' order by segments.segment_name) as segments,
        listed.found_count
    from listed
    left join segments on list_contains(string_split(coalesce(listed.segments, ''), ','), segments.segment_id)
    group by all
    order by any_value(listed.place), listed.engagement_score desc nulls last, shown_name, listed.account_id
"""

BANDS = """
    select score_band
    from customer_cards
    where score_band is not null
    group by score_band
    order by max(engagement_score) desc
"""

# As many as a list to choose from takes.
SEGMENTS = """
    select segment_id, segment_name
    from segments
    where is_active
    order by segment_name
    limit 200
"""

COLUMNS = [
    Column("shown_name", "Customer"),
    Column("engagement_score", "Score (of 100)", formats.decimal),
    Column("score_band", "Band", formats.words),
    Column("score_change_points", "Change in 4 weeks (points)", formats.signed),
    Column(
        "last_contact_on",
        "Last contact",
        row_form=lambda row: (
            "never" if row["is_never_engaged"] is True else formats.day(row["last_contact_on"])
        ),
    ),
    Column("account_owner", "Owner"),
    Column("segments", "Segments"),
]


@st.fragment
@unless_older()
def another(reader: Reader) -> None:
    """The search above a card: who is found stands below it as soon as something is written."""
    if needle := _needle():
        _listed(_found(reader, needle, "", "", MOST_FOUND), "Customers found")


@st.fragment
@unless_older()
def everybody(reader: Reader) -> None:
    """The search with its filters, and the list of customers."""
    bands = {row["score_band"]: formats.words(row["score_band"]) for row in reader.records(BANDS)}
    segments = {row["segment_id"]: row["segment_name"] for row in reader.records(SEGMENTS)}
    search, by_band, by_segment = st.columns([2, 1, 1])
    with search:
        needle = _needle()
    with by_band:
        band = st.selectbox(
            "Score band",
            ["", *bands, "none"],
            format_func=lambda chosen: {"": "All", **bands, "none": "Without a score"}[chosen],
            key="find_band",
            bind="query-params",
        )
    with by_segment:
        segment = st.selectbox(
            "Segment",
            ["", *segments],
            format_func=lambda chosen: {"": "All", **segments}[chosen],
            key="find_segment",
            bind="query-params",
        )
    most = MOST_FOUND if needle else MOST_LISTED
    _listed(_found(reader, needle, band or "", segment or "", most), "Customers")


def _needle() -> str:
    needle = st.text_input(
        "Search customers",
        placeholder="Name, id, website or owner",
        type="search",
        key=FIND,
        bind="query-params",
    )
    return (needle or "").strip()


def _found(reader: Reader, needle: str, band: str, segment: str, most: int) -> pandas.DataFrame:
    return reader.frame(CUSTOMERS, needle=needle, band=band, segment=segment, most=most)


def _listed(found: pandas.DataFrame, caption: str) -> None:
    table(
        found,
        COLUMNS,
        key="customers",
        caption=caption,
        leads_to=links.account_href,
        empty="none found. Write less of the name, or clear the filters.",
    )
    if not found.empty and (total := found["found_count"].iloc[0]) > len(found):
        st.caption(
            f"The first {formats.count(len(found))} of {formats.count(total)} customers. Search to see the others."
        )
