"""Matches that a person should look at: what was sent beside what was answered, and the line that decides."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Mapping
from typing import Any

import pandas
import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.sections import ROWS_LISTED, note_of_rows
from engagement.pages.tables import Column, table

QUEUE = f"""
    with fields as (
        select
            account_id,
            max(case when field = 'website' then sent_value end) as sent_website,
            max(case when field = 'website' then answered_value end) as answered_website,
            max(case when field = 'country' then sent_value end) as sent_country,
            max(case when field = 'country' then answered_value end) as answered_country
        from account_match_fields
        where enrichment_id = $enrichment_id
        group by account_id
    )

    select
        queue.account_id, queue.company_id, coalesce(queue.sent_name, queue.account_id) as sent_name,
        queue.answered_name, queue.match_reason, queue.match_confidence, queue.name_agreement,
        queue.name_similarity_ratio, queue.website_agreement, fields.sent_website, fields.answered_website,
        queue.country_agreement, fields.sent_country, fields.answered_country, queue.queue_place,
        count(*) over () as rows_count
    from match_review_queue as queue
    left join fields on queue.account_id = fields.account_id
    where queue.enrichment_id = $enrichment_id
    order by queue.queue_place
    limit {ROWS_LISTED}
"""

AGREEMENTS = {
    "equal": "Equal",
    "equal_word": "Equal, a single word",
    "similar": "Differs in spelling",
    "contained": "One has more words",
    "acronym": "One is the initials",
    "same": "Same",
    "related": "Same name, another ending",
    "named": "Only one known, it bears the name",
    "different": "Different",
    "unknown": "Cannot be compared",
}

_SCHEME = re.compile(r"^https?://(www\.)?", re.IGNORECASE)

ACCEPT, REJECT = "accept", "reject"
DECISIONS_FILE = "seeds/match_decisions.csv"


def show(reader: Reader, enrichment_id: str) -> None:
    """The queue, the likeliest first, and how to decide one of it."""
    queue = reader.frame(QUEUE, enrichment_id=enrichment_id)
    if queue.empty:
        st.markdown("None: every match was decided by the rules, or by a person.")
        return
    st.markdown(
        "Is it the company that we asked about? What we sent stands first, what Leadspace answered second."
    )
    table(
        queue,
        [
            Column("sent_name", "Name we sent"),
            Column("answered_name", "Name answered"),
            Column("name_agreement", "Names", agreement_in_words, detail=_similarity),
            Column("website_agreement", "Websites", agreement_in_words, detail=_beside("website")),
            Column("country_agreement", "Countries", agreement_in_words, detail=_beside("country")),
            Column("match_confidence", "Confidence of Leadspace", formats.words),
            Column("match_reason", "Why a person should look"),
        ],
        key=f"queue of {enrichment_id}",
        caption="Matches to look at",
        rows_at_first=10,
        leads_to=links.account_href,
    )
    note_of_rows(queue, "the likeliest first", "the table match_review_queue of the published file")
    _decide(queue, enrichment_id)


def agreement_in_words(value: Any) -> str:
    """How far what was sent and what was answered agree."""
    return AGREEMENTS.get(value) or formats.words(value)


def decision(row: Mapping[str, Any], verdict: str, why: str, on: dt.date) -> str:
    """The line of match_decisions.csv that decides a match for good."""
    line = io.StringIO()
    company_id = "" if formats.is_missing(row["company_id"]) else row["company_id"]
    csv.writer(line, lineterminator="").writerow(
        [row["account_id"], company_id, verdict, on.isoformat(), " ".join(why.split())]
    )
    return line.getvalue()


@st.fragment
def _decide(queue: pandas.DataFrame, enrichment_id: str) -> None:
    st.subheader("Decide one")
    rows = {str(row["account_id"]): row for row in queue.to_dict("records")}
    account_id = st.selectbox(
        "Match",
        list(rows),
        format_func=lambda name: f"{rows[name]['sent_name']} / {formats.text(rows[name]['answered_name'])}",
        key=f"match of {enrichment_id}",
    )
    verdict = st.segmented_control(
        "Is it the company?",
        [ACCEPT, REJECT],
        format_func=lambda word: "Yes, accept" if word == ACCEPT else "No, reject",
        key=f"verdict of {enrichment_id}",
    )
    why = st.text_input("Why", key=f"why of {enrichment_id}", placeholder="seen in the trade register")
    row = rows.get(str(account_id))
    if row is None or verdict is None:
        st.caption("With a verdict, the line that decides it stands here.")
        return
    if formats.is_missing(row["company_id"]):
        st.info("Leadspace gave no id for this company, so no line can decide it.", icon=":material/info:")
        return
    st.code(decision(row, verdict, why, dt.datetime.now(formats.time_zone()).date()), language=None)
    st.markdown(
        f"Add this line to `{DECISIONS_FILE}`; the next `engagement run` goes by it, before every rule, "
        "for this customer and this company."
    )


def _similarity(row: Mapping[str, Any]) -> str:
    if formats.is_missing(row["name_similarity_ratio"]):
        return ""
    return f"{formats.ratio(row['name_similarity_ratio'])} alike"


def _beside(field: str) -> Callable[[Mapping[str, Any]], str]:
    """What was sent of a field beside what was answered."""

    def both(row: Mapping[str, Any]) -> str:
        sent, answered = row[f"sent_{field}"], row[f"answered_{field}"]
        if formats.is_missing(sent) and formats.is_missing(answered):
            return ""
        # What every address begins with only takes room.
        return "\n".join(_SCHEME.sub("", formats.text(value)) for value in (sent, answered))

    return both
