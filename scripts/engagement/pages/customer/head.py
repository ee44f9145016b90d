"""The head of the card: who the customer is, the score, and why it moved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engagement.pages import components, formats, links
from engagement.pages.customer.score import history, version
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older

MOST_MOVED = """
    select component, own_change_points as moved_points
    from account_score_changes
    where
        enrichment_id = $enrichment and account_id = $account and score_version = $version
        and week_ends_on = $week and own_change_points != 0
    order by abs(own_change_points) desc, component
    limit 1
"""

BASIS = """
    select interactions_count, accounts_count
    from account_scores
    where
        enrichment_id = $enrichment and account_id = $account and score_version = $version
        and aggregation_level = 'year'
"""

# A card shows one enrichment of a type, so it says which where there are several.
SHOWN = """
    select enrichment_name, kind_count
    from (
        select enrichment_id, enrichment_name, count(*) over (partition by enrichment_type) as kind_count
        from enrichments
        where enrichment_type in ('office', 'leadspace')
    )
    where kind_count > 1 and enrichment_id in ($office, $leadspace)
    order by enrichment_name
"""

CONFIDENCE = {
    "high": "high",
    "medium": "medium: few e-mails and meetings, or few customers to compare with",
    "low": "low: hardly any e-mails and meetings, or hardly any customers to compare with",
}


def head(reader: Reader, card: Mapping[str, Any]) -> None:
    """Name, facts and states of a customer, then the score in a row of numbers and in words."""
    st.header(formats.plain(card["account_name"] or f"Customer {card['account_id']} (without a name)"))
    facts = [
        f"Id {card['account_id']}",
        card["website_shown"] or "no website in the customer file",
        card["country"] or "no country in the customer file",
        f"Owner: {card['account_owner'] or 'nobody is named'}",
    ]
    st.markdown(formats.plain(" \N{MIDDLE DOT} ".join(facts)))
    if card["parent_account_id"]:
        parent = card["parent_account_name"] or card["parent_account_id"]
        links.page_link(
            links.CUSTOMER, f"Belongs to {formats.plain(parent)}", account=card["parent_account_id"]
        )
    _states(card)
    with unless_older():
        _shown(reader, card)
        _score(reader, card)


def _states(card: Mapping[str, Any]) -> None:
    states = ["Company data known" if card["is_enriched"] else "No company data"]
    if card["is_never_engaged"]:
        states.append("Never engaged")
    if card["is_stale"]:
        states.append("Stale: more than 60 days without an e-mail and a meeting")
    if card["rhythm_state"] == "going_silent":
        states.append("Going silent")
    with st.container(horizontal=True):
        for state in states:
            st.badge(state, color="gray")


def _shown(reader: Reader, card: Mapping[str, Any]) -> None:
    shown = reader.records(
        SHOWN, office=card["office_enrichment_id"], leadspace=card["leadspace_enrichment_id"]
    )
    if shown:
        names = ", ".join(
            f"{row['enrichment_name']} (one of {formats.count(row['kind_count'])})" for row in shown
        )
        st.caption(formats.plain(f"Of several enrichments of a type this card shows {names}."))


def without_score(card: Mapping[str, Any]) -> str | None:
    """Why the customer has no score; None where it has one."""
    if card["engagement_score"] is not None:
        return None
    if card["office_enrichment_id"] is None:
        return (
            "No score: this file has no account engagement. It needs an enrichment of the type office "
            "(page Enrichments, Discover)."
        )
    if card["is_never_engaged"]:
        return "No score: there has never been an e-mail or a meeting with this customer in the data kept."
    return (
        "No score: there was no e-mail and no meeting within the year. "
        f"The last contact was on {formats.day(card['last_contact_on'])}."
    )


def _score(reader: Reader, card: Mapping[str, Any]) -> None:
    if reason := without_score(card):
        st.info(reason, icon=":material/info:")
        return
    weeks = history(reader, card)
    newest = weeks[0] if weeks and weeks[0]["change_points"] is not None else None
    score, rank, change, anchored = st.columns(4)
    score.metric(
        "Score (of 100)", formats.decimal(card["engagement_score"]), help="Relative to the other customers."
    )
    score.caption(formats.plain(f"Band: {formats.words(card['score_band']).lower()}"))
    rank.metric(
        "Rank",
        f"{formats.count(card['score_rank'])} of {formats.count(card['accounts_scored_count'])}",
        help="Place among the customers with a score; equal scores share one.",
    )
    rank.caption(f"Confidence: {formats.plain(_confidence(reader, card))}")
    change.metric(
        "Change in the newest week (points)",
        formats.signed(newest["change_points"]) if newest else formats.MISSING,
        help="From one Sunday to the next.",
    )
    change.caption(
        f"Own behaviour {formats.signed(newest['own_change_points'])}, others moving "
        f"{formats.signed(newest['others_change_points'])}"
        if newest
        else "No score a week before"
    )
    anchored.metric(
        "Anchored score (of 100)",
        formats.decimal(card["anchored_score"]),
        help="What other customers do does not move it: for trends.",
    )
    anchored.caption("Independent of others")
    st.markdown(_why(reader, card, newest))


def _confidence(reader: Reader, card: Mapping[str, Any]) -> str:
    words = CONFIDENCE.get(str(card["score_confidence"]), formats.text(card["score_confidence"]))
    basis = reader.record(
        BASIS,
        enrichment=card["office_enrichment_id"],
        account=card["account_id"],
        version=version(reader),
    )
    if basis is None:
        return words
    return f"{words} ({formats.count(basis['interactions_count'])} e-mails and meetings)"


def _why(reader: Reader, card: Mapping[str, Any], newest: Mapping[str, Any] | None) -> str:
    """In words, why the score moved."""
    if newest is None:
        return "Why it moved is not known yet: it takes a score a week before."
    week, change = newest["week_ends_on"], newest["change_points"]
    if not change:
        said = f"In the week to {formats.day(week)} the score did not move."
    else:
        said = (
            f"In the week to {formats.day(week)} the score {'rose' if change > 0 else 'fell'} by "
            f"{formats.decimal(abs(change))} points to {formats.decimal(newest['engagement_score'])}: "
            f"{formats.signed(newest['own_change_points'])} by its own behaviour, "
            f"{formats.signed(newest['others_change_points'])} by others moving."
        )
    moved = reader.record(
        MOST_MOVED,
        enrichment=card["office_enrichment_id"],
        account=card["account_id"],
        version=version(reader),
        week=week,
    )
    if moved:
        meaning = components.meaning(moved["component"])
        said += (
            f" Of its own behaviour most is {_spoken(moved['component'])}, "
            f"{formats.signed(moved['moved_points'])} points" + (f" ({meaning})" if meaning else "") + "."
        )
    if card["as_of_date"] > week:
        said += f" On {formats.day(card['as_of_date'])} it is {formats.decimal(card['engagement_score'])}."
    if card["score_change_points"] is not None:
        said += f" Over the newest four weeks: {formats.signed(card['score_change_points'])} points"
        if card["score_change_component"]:
            said += (
                f", most by {_spoken(card['score_change_component'])} "
                f"({formats.signed(card['component_change_points'])})"
            )
        said += "."
    return formats.plain(said)


def _spoken(component: Any) -> str:
    return components.name(component).lower()
