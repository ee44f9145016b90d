"""The family of a customer: parents and children in the customer file, and relatives that Leadspace names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas
import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

# From the top down to the customer, then all below it; a circle in the customer file ends at what was seen before.
TREE = """
    with recursive

    above as (

        select account_id, parent_account_id, 0 as level, [account_id] as seen
        from customer_cards
        where account_id = $account
        union all
        select
            parents.account_id, parents.parent_account_id, above.level - 1,
            list_append(above.seen, parents.account_id)
        from above
        inner join customer_cards as parents on above.parent_account_id = parents.account_id
        where not list_contains(above.seen, parents.account_id) and above.level > -32

    ),

    below as (

        select account_id, 0 as level, [account_id] as seen, [''] as path
        from customer_cards
        where account_id = $account
        union all
        select
            children.account_id, below.level + 1, list_append(below.seen, children.account_id),
            list_append(below.path, coalesce(children.account_name, '') || ' ' || children.account_id)
        from below
        inner join customer_cards as children on below.account_id = children.parent_account_id
        where not list_contains(below.seen, children.account_id) and below.level < 32

    ),

    family as (

        select account_id, level, cast([] as varchar[]) as path
        from above
        where level < 0
        union all
        select account_id, level, path
        from below

    )

    select
        family.account_id, coalesce(cards.account_name, cards.account_id) as shown_name, family.level,
        family.level - min(family.level) over () as depth, cards.engagement_score, cards.emails_count,
        cards.meetings_count, cards.account_owner, count(*) over () as family_count
    from family
    inner join customer_cards as cards on family.account_id = cards.account_id
    order by least(family.level, 0), family.path, family.level
    limit 200
"""

TOTALS = """
    with recursive

    above as (

        select account_id, parent_account_id, 0 as level
        from customer_cards
        where account_id = $account
        union all
        select parents.account_id, parents.parent_account_id, above.level + 1
        from above
        inner join customer_cards as parents on above.parent_account_id = parents.account_id
        where above.level < 32

    ),

    hierarchies as (

        select distinct 'customer_file' as hierarchy_source, account_id as hierarchy_id
        from above
        union
        select 'leadspace', relative_company_id
        from leadspace_relatives
        where account_id = $account and relative_type = 'GU'

    )

    select
        totals.hierarchy_name, totals.hierarchy_source, totals.accounts_count, totals.accounts_engaged_count,
        totals.emails_from_accounts_count + totals.emails_to_accounts_count as emails_count, totals.meetings_count,
        totals.contacts_count, totals.contacts_band, totals.highest_engagement_score,
        totals.weighted_engagement_score, totals.last_contact_on
    from account_hierarchy_engagement as totals
    inner join hierarchies using (hierarchy_source, hierarchy_id)
    where totals.enrichment_id = $enrichment
    order by totals.hierarchy_source, totals.accounts_count desc
"""

# A relative leads to a card only where whoever looks may see it.
RELATIVES = """
    select
        relatives.relative_type, coalesce(relatives.relative_name, relatives.relative_id) as shown_name,
        relatives.relative_country, relatives.relative_city, relatives.employees_count, relatives.employees_range,
        cards.account_id as relative_account_id, cards.account_name as customer_name,
        relatives.relative_account_id = $account as is_itself
    from leadspace_relatives as relatives
    left join customer_cards as cards on relatives.relative_account_id = cards.account_id
    where relatives.enrichment_id = $enrichment and relatives.account_id = $account
    order by
        coalesce(list_position(['GU', 'DU', 'PARENT', 'HQ', 'SITE', 'SU'], relatives.relative_type), 99), shown_name
    limit 200
"""

RELATIVE_TYPES = {
    "GU": "Global ultimate parent",
    "DU": "Domestic ultimate parent",
    "PARENT": "Parent",
    "HQ": "Headquarters",
    "SITE": "Site",
    "SU": "Subsidiary",
    "UNKNOWN": "Relative",
}


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """The tree of the customer file, its totals, and the tree of Leadspace."""
    tree = reader.frame(TREE, account=card["account_id"])
    if len(tree) > 1:
        _tree(tree)
    else:
        st.caption("Customer file: no customer stands above or below this one.")
    _totals(reader, card)
    if card["leadspace_enrichment_id"] is None:
        st.caption("Leadspace: this customer was not looked up there.")
        return
    table(
        reader.frame(RELATIVES, account=card["account_id"], enrichment=card["leadspace_enrichment_id"]),
        [
            Column("shown_name", "Company"),
            Column("relative_type", "Is its", lambda kind: RELATIVE_TYPES.get(str(kind), formats.text(kind))),
            Column("relative_country", "Country"),
            Column("relative_city", "City"),
            Column("employees_count", "Employees", formats.count),
            Column("customer_name", "Customer of ours", row_form=_customer),
        ],
        key="relatives",
        caption="Family by Leadspace",
        leads_to=links.account_href,
        id_column="relative_account_id",
        empty="it names no relatives.",
    )


def _tree(tree: pandas.DataFrame) -> None:
    table(
        tree,
        [
            Column("shown_name", "Customer"),
            Column("level", "Is", row_form=lambda row: _place(row["level"])),
            Column("engagement_score", "Score (of 100)", formats.decimal),
            Column("emails_count", "E-mails in the year", formats.count),
            Column("meetings_count", "Meetings in the year", formats.count),
            Column("account_owner", "Owner"),
        ],
        key="family",
        caption="Family in the customer file",
        leads_to=links.account_href,
        is_sortable=False,
        indent=lambda row: int(row["depth"]),
    )
    if (total := tree["family_count"].iloc[0]) > len(tree):
        st.caption(f"The first {formats.count(len(tree))} of {formats.count(total)} customers of the family.")


def _place(level: int) -> str:
    """Where a customer of the tree stands, for who cannot see the indents."""
    if level == 0:
        return "this customer"
    near = "parent" if level < 0 else "child"
    return f"its {near}" if abs(level) == 1 else f"{abs(level)} levels {'above' if level < 0 else 'below'}"


def _totals(reader: Reader, card: Mapping[str, Any]) -> None:
    if card["office_enrichment_id"] is None:
        return
    totals = reader.frame(TOTALS, account=card["account_id"], enrichment=card["office_enrichment_id"])
    if totals.empty:
        return
    is_banded = bool(card["is_banded"])
    table(
        totals,
        [
            Column("hierarchy_name", "Family of"),
            Column(
                "hierarchy_source",
                "According to",
                lambda source: "Leadspace" if source == "leadspace" else "customer file",
            ),
            Column("accounts_count", "Customers", formats.count),
            Column("accounts_engaged_count", "Engaged", formats.count),
            Column("emails_count", "E-mails", formats.count),
            Column("meetings_count", "Meetings", formats.count),
            Column(
                "contacts_count",
                "Their people",
                formats.count,
                row_form=lambda row: formats.people(row["contacts_count"], row["contacts_band"], is_banded),
            ),
            Column("highest_engagement_score", "Highest score", formats.decimal),
            Column("weighted_engagement_score", "Mean score", formats.decimal),
            Column("last_contact_on", "Last contact", formats.day),
        ],
        key="family totals",
        caption="The families together, within the year",
        is_sortable=False,
    )
    said = "What several customers share counts once. The mean score is weighed by e-mails and meetings."
    if reader.owners is not None:
        said += " These totals are over all customers of a family, also those of other owners."
    st.caption(said)


def _customer(row: Mapping[str, Any]) -> str:
    if row["is_itself"] is True:
        return "this customer"
    return "no" if formats.is_missing(row["relative_account_id"]) else formats.text(row["customer_name"])
