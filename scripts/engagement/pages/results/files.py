"""The results of a file of company data and of contacts at Leadspace, and what changed of what is known."""

from __future__ import annotations

from typing import Any

import streamlit as st

from engagement.pages import formats, links
from engagement.pages.reader import Reader
from engagement.pages.results.leadspace import place_in_words
from engagement.pages.sections import ROWS_LISTED, figures, note_of_rows, part_of, section, unless_older
from engagement.pages.tables import Column, table

# The customer card is what tells whose accounts the viewer sees.
COMPANIES = f"""
    select
        customer_cards.account_id, coalesce(customer_cards.account_name, customer_cards.account_id) as account_name,
        companies.company_name, companies.industry, companies.company_city, companies.company_country,
        companies.employees_count, companies.annual_revenue_usd, count(*) over () as rows_count
    from company_file_companies as companies
    inner join customer_cards on companies."CustomerId" = customer_cards.account_id
    where companies.enrichment_id = $enrichment_id
    order by account_name, customer_cards.account_id
    limit {ROWS_LISTED}
"""

CONTACTS = f"""
    select
        contacts.account_id, coalesce(customer_cards.account_name, contacts.account_id) as account_name,
        contacts.contact_id, contacts.title, contacts.department, contacts.level, contacts.email_verification,
        contacts.employment_verification, contacts.answered_at, count(*) over () as rows_count
    from leadspace_contacts as contacts
    left join customer_cards on contacts.account_id = customer_cards.account_id
    where contacts.enrichment_id = $enrichment_id
    order by account_name, contacts.contact_id
    limit {ROWS_LISTED}
"""

CHANGES = f"""
    select
        changes.account_id, coalesce(customer_cards.account_name, changes.account_id) as account_name,
        changes.attribute, changes.value_before, changes.value_after, changes.change_kind, changes.changed_at,
        count(*) over () as rows_count
    from company_changes as changes
    left join customer_cards on changes.account_id = customer_cards.account_id
    where changes.enrichment_id = $enrichment_id and ($with_learned or changes.change_kind != 'learned')
    order by changes.changed_at desc, account_name, changes.account_id, changes.attribute
    limit {ROWS_LISTED}
"""


def show_companies(reader: Reader, entry: dict[str, Any]) -> None:
    """What the file knows of how many customers."""
    enrichment_id = entry["enrichment_id"]
    with section("Overview of company data"):
        figures(
            [
                (
                    "Customers enriched",
                    part_of(entry["accounts_enriched_count"], entry["accounts_count"]),
                    "Customers whom the file knows, of all.",
                )
            ]
        )
    with section("Enriched customers"):
        companies = reader.frame(COMPANIES, enrichment_id=enrichment_id)
        table(
            companies,
            [
                Column("account_name", "Customer"),
                Column("company_name", "Company in the file"),
                Column("industry", "Industry"),
                Column("company_city", "Place", row_form=place_in_words),
                Column("employees_count", "Employees", formats.count),
                Column("annual_revenue_usd", "Revenue a year (US dollars)", formats.money),
            ],
            key=f"companies of {enrichment_id}",
            caption="Enriched customers preview",
            rows_at_first=10,
            leads_to=links.account_href,
            empty="the file knows no customer, or was not read yet.",
        )
        note_of_rows(companies, "by name", "the table company_file_companies of the published file")


def show_contacts(reader: Reader, enrichment_id: str) -> None:
    """What is known of which contacts, where it may be published."""
    with section("Contacts"):
        contacts = reader.frame(CONTACTS, enrichment_id=enrichment_id)
        if contacts.empty:
            st.markdown(
                "Nothing of any contact is in this file. Unless `publish: true` stands in enrichments.yml, what is "
                "known of contacts stays in the private file; and nothing is published where small numbers are shown "
                "as bands."
            )
            return
        table(
            contacts,
            [
                Column("account_name", "Customer"),
                Column("contact_id", "Contact"),
                Column("title", "Title"),
                Column("department", "Department"),
                Column("level", "Level", formats.words),
                Column("email_verification", "E-mail address works", formats.words),
                Column("employment_verification", "Still works there", formats.words),
                Column("answered_at", "Answered", formats.ago),
            ],
            key=f"contacts of {enrichment_id}",
            caption="Enriched contacts",
            rows_at_first=10,
            leads_to=links.account_href,
        )
        note_of_rows(contacts, "by customer", "the table leadspace_contacts of the published file")


def show_changes(reader: Reader, enrichment_id: str) -> None:
    """What is known now and was not, or was otherwise."""
    st.header("Recent changes")
    _changes(reader, enrichment_id)


@st.fragment
@unless_older()
def _changes(reader: Reader, enrichment_id: str) -> None:
    with_learned = st.toggle("With what was learned for the first time", key=f"learned of {enrichment_id}")
    changes = reader.frame(CHANGES, enrichment_id=enrichment_id, with_learned=with_learned)
    table(
        changes,
        [
            Column("account_name", "Customer"),
            Column("attribute", "What", formats.field),
            Column("value_before", "Before"),
            Column("value_after", "After"),
            Column("change_kind", "Kind", formats.words),
            Column("changed_at", "When", formats.instant),
        ],
        key=f"changes of {enrichment_id}",
        caption="Changes of company data",
        rows_at_first=10,
        leads_to=links.account_href,
        empty="no value that was known has changed.",
    )
    note_of_rows(changes, "the newest first", "the table company_changes of the published file")
