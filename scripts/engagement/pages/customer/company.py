"""What is known of a customer's company: the customer's own columns, and the best value of each attribute."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas
import streamlit as st

from engagement.contract import ENRICHED_CUSTOMERS, OWN_COLUMN
from engagement.pages import formats
from engagement.pages.reader import Reader
from engagement.pages.tables import Column, table

OWN_COLUMNS = """
    select column_name
    from duckdb_columns()
    where
        database_name = 'published' and schema_name = 'marts' and table_name = $table and comment = $comment
    order by column_index
"""

CUSTOMER = "select * from enriched_customers where account_id = $account"

# Websites are compared without protocol and www, everything without regard to capitals.
VALUES = """
    with

    compared as (

        select
            company_values.attribute, company_values.value_text, company_values.is_chosen, company_values.why,
            company_values.known_from_at,
            case
                when company_values.source_name = 'customers' then 'customer file'
                else coalesce(enrichments.enrichment_name, company_values.enrichment_id)
            end as source,
            case
                when company_values.attribute like '%website'
                    then regexp_replace(lower(company_values.value_text), '^https?://(www\\.)?|^www\\.|/$', '', 'g')
                else lower(trim(company_values.value_text))
            end as value_compared
        from company_values
        left join enrichments on company_values.enrichment_id = enrichments.enrichment_id
        where company_values.account_id = $account

    )

    select
        compared.attribute, compared.value_text, compared.is_chosen, compared.why, compared.known_from_at,
        compared.source, not compared.is_chosen and compared.value_compared != chosen.value_compared as differs,
        (
            select string_agg(others.value_text || ' (' || others.source || ')', '; ' order by others.source)
            from compared as others
            where
                compared.is_chosen and others.attribute = compared.attribute and not others.is_chosen
                and others.value_compared != compared.value_compared
        ) as others_say
    from compared
    left join compared as chosen on compared.attribute = chosen.attribute and chosen.is_chosen
    order by
        coalesce(list_position($order, compared.attribute), 99), compared.attribute, compared.is_chosen desc,
        compared.source
"""

ORDER = [
    "company_name",
    "company_website",
    "industry",
    "sub_industry",
    "employees_count",
    "employees_range",
    "annual_revenue_usd",
    "annual_revenue_range",
    "ownership_type",
    "company_country",
    "company_region",
    "company_state",
    "company_city",
    "company_street",
    "company_postal_code",
    "company_phone",
    "company_linkedin_url",
    "company_description",
    "sic_code",
    "naics_code",
]

LABELS = {
    "company_linkedin_url": "LinkedIn",
    "sic_code": "SIC code",
    "naics_code": "NAICS code",
    "annual_revenue_usd": "Annual revenue (US dollars)",
    "employees_count": "Employees",
}


def part(reader: Reader, card: Mapping[str, Any]) -> None:
    """The customer's own columns; then the company, and what other sources say."""
    _own(reader, card)
    values = reader.frame(VALUES, account=card["account_id"], order=ORDER)
    if not card["is_enriched"]:
        st.caption(
            "Only the customer file knows this company: no enrichment with company data has an accepted match."
        )
    if values.empty:
        st.caption("Nothing is known of the company.")
        return
    attribute = Column("attribute", "Attribute", label)
    value = Column("value_text", "Value", row_form=shown_value)
    since = Column("known_from_at", "Known since", formats.day)
    table(
        values[values["is_chosen"]],
        [attribute, value, Column("source", "Source"), since, Column("others_say", "Another source says")],
        key="company",
        caption="Company",
    )
    with st.expander("Values of all sources, and why one is chosen"):
        table(
            values,
            [
                attribute,
                value,
                Column("source", "Source"),
                Column("is_chosen", "Shown", row_form=_standing),
                Column("why", "Because"),
                since,
            ],
            key="company sources",
            caption="Values of all sources",
        )


def label(attribute: Any) -> str:
    """An attribute in words."""
    return LABELS.get(str(attribute)) or formats.words(attribute).removeprefix("Company ").capitalize()


def shown_value(row: Mapping[str, Any]) -> str:
    """The value of a row of attribute and value_text as its kind is written."""
    return written(row["attribute"], row["value_text"])


def written(attribute: Any, value: Any) -> str:
    """A value that stands as text, as its kind is written."""
    try:
        if str(attribute).endswith("_usd"):
            return formats.money(value)
        if str(attribute).endswith("_count"):
            return formats.count(value)
    except ValueError:
        pass
    return formats.text(value)


def _standing(row: Mapping[str, Any]) -> str:
    if row["is_chosen"]:
        return "shown"
    return "differs" if row["differs"] is True else "agrees"


def _own(reader: Reader, card: Mapping[str, Any]) -> None:
    names = [
        row["column_name"]
        for row in reader.records(OWN_COLUMNS, table=ENRICHED_CUSTOMERS, comment=OWN_COLUMN)
    ]
    customer = reader.record(CUSTOMER, account=card["account_id"]) if names else None
    if customer is None:
        st.caption(
            "The customer file passes no columns of its own; name them under attributes in enrichments.yml."
        )
        return
    table(
        pandas.DataFrame({"name": names, "value": [_written(customer[name]) for name in names]}),
        [Column("name", "Column", formats.words), Column("value", "Value")],
        key="own columns",
        caption="From the customer file",
        is_sortable=False,
    )


def _written(value: Any) -> str:
    """A value of the customer's own column, by its type."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.date | pandas.Timestamp):
        return formats.day(value)
    if isinstance(value, int | float) and not formats.is_missing(value):
        return formats.count(value) if float(value).is_integer() else formats.decimal(value, 2)
    return formats.text(value)
