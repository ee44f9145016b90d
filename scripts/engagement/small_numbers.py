"""Small numbers in a published file: whether what it says of people keeps to its mode (D8, docs/decisions).

In `show` mode there is nothing to keep to. In `band` mode models show numbers of people from the smallest group on, as
the beginning of their band, and nothing that would tell a hidden one (macros/small_numbers.sql). Here the finished file
is held against the same rules by reading nothing but the file, so that a changed model, or a file from elsewhere, is
refused where it tells more. What the file does not hold cannot be checked: which accounts are in a hierarchy of
Leadspace's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

from engagement.refusal import Refusal

SHOW, BAND = "show", "band"
# As macros/small_numbers.sql has them: a test compares.
BAND_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)

_PEOPLE_OF_PERIODS = (
    "own_people_in_emails",
    "account_people_in_emails",
    "own_people_in_meetings",
    "account_people_in_meetings",
)
# Every published number of people that stands beside its band, by table.
BANDED = {
    "account_engagement": _PEOPLE_OF_PERIODS,
    "enriched_customers": _PEOPLE_OF_PERIODS,
    "account_traffic": ("contacts", "own_people"),
    "account_hierarchy_engagement": ("contacts", "own_people"),
    "customer_measures_rolled_up": ("contacts", "own_people"),
    "customer_cards": (*_PEOPLE_OF_PERIODS, "contacts_listed"),
    "unmatched_domains": ("addresses",),
}
# What no row may tell in band mode, and why.
_NEVER = (
    ("account_engagement", "reply_time_mean_hours", "one slow answer moves a mean"),
    ("enriched_customers", "reply_time_mean_hours", "one slow answer moves a mean"),
    ("customer_measures", "reply_time_mean_hours", "one slow answer moves a mean"),
    ("customer_measures_rolled_up", "reply_time_mean_hours", "one slow answer moves a mean"),
    ("account_activity", "reply_time_hours", "a sum tells the mean, which one slow answer moves"),
    ("account_traffic", "top_contact_share_ratio", "it is about one person"),
    ("account_traffic", "top_own_person_share_ratio", "it is about one person"),
    ("account_traffic", "is_single_threaded", "it is about one person"),
    ("account_traffic", "is_single_threaded_on_our_side", "it is about one person"),
    ("office_coverage", "copies_count", "copies of few messages count the people who hold them"),
)


@dataclass(frozen=True)
class _Rule:
    """Rows of `source` for which `is_broken` holds break the rule."""

    table: str
    column: str
    text: str
    source: str
    is_broken: str


def check(connection: duckdb.DuckDBPyConnection, database: str = "candidate") -> list[Refusal]:
    """What the attached `database` tells of few people; no refusal says of whom.

    A file of another shape is refused by its contract: rules about what is not there find nothing.
    """
    try:
        row = connection.execute(
            f"select small_numbers, smallest_group from {database}.marts.publication"
        ).fetchone()
    except duckdb.Error:
        return [Refusal("marts.publication", "", "small_numbers: the file does not say its mode")]
    mode, smallest_group = row or (None, None)
    if mode == SHOW:
        return []
    if mode != BAND or not isinstance(smallest_group, int) or smallest_group < 3:
        return [
            Refusal(
                "marts.publication",
                "small_numbers",
                "small_numbers: neither show, nor band of at least 3 people",
            )
        ]
    findings = []
    for rule in _rules(database, smallest_group):
        try:
            broken = connection.execute(
                f"select coalesce(bool_or({rule.is_broken}), false) from {rule.source}"
            ).fetchone()
        except (duckdb.CatalogException, duckdb.BinderException):
            # what is not there is refused by the contract
            continue
        if broken == (True,):
            findings.append(Refusal(f"marts.{rule.table}", rule.column, f"small_numbers: {rule.text}"))
    return findings


def _rules(database: str, smallest_group: int) -> Iterator[_Rule]:
    begins = [multiple * smallest_group for multiple in BAND_MULTIPLES]
    listed = ", ".join(map(str, begins))
    small, large = f"1-{smallest_group - 1}", f"{smallest_group}+"

    def marts(table: str) -> str:
        return f"{database}.marts.{table}"

    def off_the_bands(count: str) -> str:
        return f"({count} is not null and {count} not in (0, {listed}))"

    for table, names in BANDED.items():
        for name in names:
            count, band = f"{name}_count", f"{name}_band"
            yield _Rule(
                table,
                count,
                f"a number that is neither 0 nor the beginning of a band of {smallest_group}",
                marts(table),
                off_the_bands(count),
            )
            yield _Rule(
                table,
                band,
                "a band that tells more than its number",
                marts(table),
                f"({count} is null and {band} not in ('{small}', '{large}', '1+')) or ({count} is not null and "
                f"{band} is distinct from {_band_of(count, begins)})",
            )
    for name in _PEOPLE_OF_PERIODS:
        count, band = f"{name}_count", f"{name}_band"
        yield _Rule(
            "account_engagement",
            count,
            "a number in a month or week",
            marts("account_engagement"),
            f"aggregation_level != 'year' and coalesce({count}, 0) > 0",
        )
        yield _Rule(
            "enriched_customers",
            count,
            "a number that account_engagement does not show",
            f"{marts('enriched_customers')} as customers left join {marts('account_engagement')} as shown on"
            " customers.office_enrichment_id = shown.enrichment_id and customers.account_id = shown.account_id"
            " and shown.aggregation_level = 'year'",
            f"customers.{count} is distinct from shown.{count} or customers.{band} is distinct from shown.{band}",
        )
        yield _Rule(
            "customer_cards",
            count,
            "a number that enriched_customers does not show",
            f"{marts('customer_cards')} as cards left join {marts('enriched_customers')} as shown on"
            " cards.account_id = shown.account_id",
            f"cards.{count} is distinct from shown.{count} or cards.{band} is distinct from shown.{band}",
        )
        yield _Rule(
            "account_engagement",
            count,
            "a number of a year that tells what a small month or week is",
            f"({_years_with_parts(marts('account_engagement'), count, band, small)})",
            f"year_count > 0 and open_count = 0 and (year_count >= {begins[-1]}"
            f" or 2 * year_count - 1 > 1 + (small_count - 1) * {smallest_group - 1})",
        )
    for name, channels in (
        ("contacts", ("account_people_in_emails", "account_people_in_meetings")),
        ("own_people", ("own_people_in_emails", "own_people_in_meetings")),
    ):
        hidden = " or ".join(f"years.{channel}_count is null" for channel in channels)
        yield _Rule(
            "account_traffic",
            f"{name}_count",
            "a number of both channels where one of them is hidden",
            f"{marts('account_traffic')} as traffic left join {marts('account_engagement')} as years on"
            " traffic.enrichment_id = years.enrichment_id and traffic.account_id = years.account_id"
            " and years.aggregation_level = 'year'",
            f"traffic.{name}_count > 0 and ({hidden})",
        )
        yield _Rule(
            "customer_measures_rolled_up",
            f"{name}_count",
            "a number that neither account_hierarchy_engagement nor account_traffic shows",
            f"{marts('customer_measures_rolled_up')} as trees"
            f" left join {marts('account_hierarchy_engagement')} as hierarchies"
            " on trees.enrichment_id = hierarchies.enrichment_id"
            " and trees.account_id = hierarchies.parent_account_id"
            " and hierarchies.hierarchy_source = 'customer_file'"
            f" left join {marts('account_traffic')} as traffic on trees.enrichment_id = traffic.enrichment_id"
            " and trees.account_id = traffic.account_id",
            f"trees.{name}_band is distinct from coalesce(hierarchies.{name}_band, traffic.{name}_band, '0')"
            f" or (trees.{name}_count is not null and trees.{name}_count is distinct from case"
            f" when hierarchies.hierarchy_id is not null then hierarchies.{name}_count"
            f" else coalesce(traffic.{name}_count, 0) end)",
        )
        yield _Rule(
            "account_hierarchy_engagement",
            f"{name}_count",
            "a number over accounts of which one is hidden",
            f"({_hierarchies_with_parts(database, name, small)})",
            "shown_count > 0 and hidden_count > 0",
        )
        yield _Rule(
            "account_hierarchy_engagement",
            f"{name}_band",
            "a small band over several small accounts",
            f"({_hierarchies_with_parts(database, name, small)})",
            f"shown_band = '{small}' and small_count > 1",
        )
    for table, column, why in _NEVER:
        yield _Rule(table, column, f"not to be shown: {why}", marts(table), f'"{column}" is not null')
    yield _Rule(
        "business_measures",
        "measure_value",
        "not to be shown: one slow answer moves a mean",
        marts("business_measures"),
        "measure = 'reply_time_mean_hours' and measure_value is not null",
    )
    for table in (
        "account_engagement", "account_traffic", "enriched_customers", "customer_measures", "customer_cards",
    ):  # fmt: skip
        yield _Rule(
            table,
            "reply_time_median_hours",
            "a reply time finer than whole hours",
            marts(table),
            "reply_time_median_hours != round(reply_time_median_hours)",
        )
    yield _Rule(
        "account_engagement",
        "reply_time_median_hours",
        f"a reply time of a month or week, or of fewer than {4 * smallest_group} replies",
        marts("account_engagement"),
        "reply_time_median_hours is not null"
        f" and (aggregation_level != 'year' or replies_count < {4 * smallest_group})",
    )
    yield _Rule(
        "account_score_components",
        "raw_value",
        "a number of people below the smallest group",
        marts("account_score_components"),
        f"unit = 'people' and raw_value < {smallest_group}",
    )
    yield _Rule(
        "leadspace_contacts",
        "contact_id",
        "a row about one person",
        marts("leadspace_contacts"),
        "true",
    )
    watch = marts("data_watch")
    yield _Rule(
        "data_watch",
        "observed_value",
        "a number of mailboxes below the smallest group",
        watch,
        f"unit = 'mailboxes' and observed_value < {smallest_group}",
    )
    for column in ("observed_value", "expected_low_value", "expected_high_value"):
        yield _Rule("data_watch", column, "copies of few messages count the people who hold them", watch,
                    f"unit = 'copies' and {column} is not null")  # fmt: skip
    yield _Rule(
        "data_watch",
        "since_on",
        "the last day of one mailbox",
        watch,
        "unit = 'mailboxes' and day_on is null and since_on is not null",
    )
    yield _Rule(
        "data_watch",
        "finding",
        "an exact number of mailboxes or messages",
        watch,
        "unit in ('mailboxes', 'copies') and (finding similar to '.*[0-9]+ of [0-9]+ mailboxes.*'"
        " or finding similar to '.*had [0-9]+ messages.*')",
    )
    yield _Rule(
        "customer_issues",
        "subject_id",
        "the id of a contact",
        marts("customer_issues"),
        "subject_type = 'contact' and subject_id != '(not shown)'",
    )


def _band_of(count: str, begins: list[int]) -> str:
    """The text of the band that begins at a number, in SQL."""
    branches = [f"when {count} = 0 then '0'", f"when {count} = {begins[-1]} then '{begins[-1]}+'"]
    branches += [f"when {count} = {begin} then '{begin}-{2 * begin - 1}'" for begin in begins[:-1]]
    return f"case {' '.join(branches)} end"


def _years_with_parts(table: str, count: str, band: str, small: str) -> str:
    """One row per year row and level of its parts: how many of these are small, and how many have no upper end."""
    return (
        f"select years.{count} as year_count,"
        f" sum(case when parts.{band} = '{small}' then 1 else 0 end) as small_count,"
        f" sum(case when parts.{band} not in ('0', '{small}') then 1 else 0 end) as open_count"
        f" from {table} as years inner join {table} as parts on years.enrichment_id = parts.enrichment_id"
        " and years.account_id = parts.account_id and parts.aggregation_level != 'year'"
        " where years.aggregation_level = 'year'"
        f" group by years.enrichment_id, years.account_id, years.{count}, parts.aggregation_level"
    )


def _hierarchies_with_parts(database: str, name: str, small: str) -> str:
    """One row per hierarchy of the customer file: its number, and how many of its accounts hide theirs."""
    return (
        "with recursive members as ("
        f" select account_id as parent_id, account_id from {database}.marts.enriched_customers"
        f" union select members.parent_id, children.account_id from members"
        f" inner join {database}.marts.enriched_customers as children"
        " on members.account_id = children.parent_account_id)"
        f" select hierarchies.{name}_count as shown_count, hierarchies.{name}_band as shown_band,"
        f" sum(case when traffic.account_id is not null and traffic.{name}_count is null then 1 else 0 end)"
        " as hidden_count,"
        f" sum(case when traffic.{name}_band = '{small}' then 1 else 0 end) as small_count"
        f" from {database}.marts.account_hierarchy_engagement as hierarchies"
        " inner join members on hierarchies.parent_account_id = members.parent_id"
        f" left join {database}.marts.account_traffic as traffic"
        " on hierarchies.enrichment_id = traffic.enrichment_id and members.account_id = traffic.account_id"
        " where hierarchies.hierarchy_source = 'customer_file'"
        f" group by hierarchies.enrichment_id, hierarchies.hierarchy_id, hierarchies.{name}_count,"
        f" hierarchies.{name}_band"
    )
