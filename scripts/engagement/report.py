"""What is printed for people: the hub, the results page of each enrichment, three enriched customers, the highest
scores with their reasons, the stale accounts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table
from rich.text import Text

from engagement.configuration.settings import Settings
from engagement.logs import printable
from engagement.outcome import counted
from engagement.status import ago, run_in_words

OFFICE = """
    select
        enrichment_name, as_of_date, days_covered_count, accounts_enriched_count, accounts_count,
        mailboxes_selected_count, mailboxes_processed_count, email_copies_read_count, emails_counted_count,
        meetings_read_count, meetings_counted_count, gaps_count, enrichment_id
    from marts.office_overview
    order by enrichment_id
"""

LEADSPACE = """
    select
        enrichment_name, accounts_count, accounts_enriched_count, accounts_not_enriched_count, accounts_not_sent_count,
        accounts_not_answered_count, confidence_high_count, confidence_medium_count, confidence_low_count,
        confidence_very_low_count, lookups_count, accounts_rejected_count, matches_in_review_count,
        accounts_not_refreshed_count
    from marts.leadspace_overview
    order by enrichment_id
"""

# Those that most is known about: matched, and in contact.
ENRICHED = """
    select
        account_name, company_name, match_confidence, industry, company_city, company_country, employees_count,
        annual_revenue_usd, engagement_score, emails_to_account_count + emails_from_account_count as emails_count,
        meetings_count, last_email_on
    from marts.enriched_customers
    where lookup_status = 'enriched'
    order by engagement_score desc nulls last, account_id
    limit 3
"""

HIGHEST = """
    select engagement.account_id, recency.account_name, engagement.engagement_score
    from marts.account_engagement as engagement
    inner join marts.account_recency as recency using (enrichment_id, account_id)
    where engagement.aggregation_level = 'year' and engagement.enrichment_id = ?
    order by engagement.engagement_score desc, engagement.account_id
    limit 5
"""

COMPONENTS = """
    select component, points_earned
    from marts.account_score_components
    where enrichment_id = ? and account_id = ? and aggregation_level = 'year'
    order by weight_points desc, component
"""

STALE = """
    select account_id, account_name, days_since_last_email, days_since_last_meeting
    from marts.account_recency
    where enrichment_id = ? and is_stale
    order by least(coalesce(days_since_last_email, 99999), coalesce(days_since_last_meeting, 99999)) desc, account_id
"""


# What is more stands in the table.
MOST_WARNINGS = 10
# A name that is longer fills the screen and tells no more.
LONGEST_TEXT = 500


class _SafeConsole(Console):
    """Names come from customers: nothing in them is obeyed, and no one of them fills the screen."""

    def render_str(self, text: str, **options: Any) -> Text:
        shown = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
        return super().render_str("\n".join(printable(line) for line in shown.split("\n")), **options)


def console() -> Console:
    """Where reports go. Without a terminal there is no width to keep to, and nothing may be cut to a guessed one."""
    # What looks like markup in a name is none.
    made = _SafeConsole(highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = 200
    return made


def print_status(status: dict[str, Any], now: datetime, console: Console) -> None:
    """My enrichments, and the last run below; `status` is what `read_status` gave."""
    print_hub(status, now, console)
    console.print(run_in_words(status["run"], now), soft_wrap=True)


def print_hub(status: dict[str, Any], now: datetime, console: Console) -> None:
    """My enrichments: state, status, how many customers, when updated and due."""
    published = status["published"]
    title = "My enrichments, nothing published yet"
    if published is not None and not published["is_readable"]:
        title = f"My enrichments, {published['file']} cannot be read"
    elif published is not None:
        as_of = f", as of {published['as_of_date']}" if published["as_of_date"] else ""
        title = f"My enrichments, published {ago(published['published_at'], now)}{as_of}"
    table = Table(title=title, title_justify="left", box=None)
    for heading in ("name", "type", "state", "status", "customers enriched", "updated", "next due"):
        table.add_column(
            heading, justify="right" if heading == "customers enriched" else "left", no_wrap=True
        )
    for entry in status["enrichments"]:
        table.add_row(
            entry["name"],
            entry["type"],
            entry["state"],
            entry["status"].replace("_", " "),
            "-" if entry["accounts"] is None else _of(entry["accounts_enriched"], entry["accounts"]),
            ago(entry["last_updated_at"], now),
            ago(entry["next_due_at"], now),
        )
    console.print(table)
    for entry in status["enrichments"]:
        if entry["detail"]:
            console.print(f"  {entry['name']}: {entry['detail']}", soft_wrap=True)
    console.print()
    print_watch(status, console)


def print_watch(status: dict[str, Any], console: Console) -> None:
    """The warnings of the watch on the data, and how much else there is; nothing where it found nothing."""
    found = status.get("watch")
    if not found:
        return
    names = {entry["enrichment_id"]: entry["name"] for entry in status["enrichments"]}
    warnings = [finding for finding in found if finding["severity"] == "warning"]
    for finding in warnings[:MOST_WARNINGS]:
        about = names.get(finding["enrichment_id"], finding["enrichment_id"])
        console.print(f"  watch{f', {about}' if about else ''}: {finding['finding']}", soft_wrap=True)
    more = [
        counted(count, word)
        for count, word in (
            (max(len(warnings) - MOST_WARNINGS, 0), "warning"),
            (len(found) - len(warnings), "notice"),
        )
        if count
    ]
    if more:
        console.print(f"  watch: {' and '.join(more)} more in marts.data_watch", soft_wrap=True)
    console.print()


def print_summary(settings: Settings, status: dict[str, Any], now: datetime) -> None:
    """The hub and the results of the file that was just published."""
    printed = console()
    print_hub(status, now, printed)
    with duckdb.connect(str(settings.published_file), read_only=True) as connection:
        for row in connection.execute(LEADSPACE).fetchall():
            print_leadspace(row, printed)
        print_enriched(connection.execute(ENRICHED).fetchall(), printed)
        for row in connection.execute(OFFICE).fetchall():
            print_office(row, printed)
            print_highest(connection, row[-1], printed)
            print_stale(connection.execute(STALE, [row[-1]]).fetchall(), printed)
    printed.print(f"Published: {settings.published_file}", soft_wrap=True)


def _of(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({100 * part / whole if whole else 0:.1f} %)"


def _figures(title: str, rows: list[tuple[str, str]], console: Console) -> None:
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    for label, value in rows:
        table.add_row(label, value)
    console.print(table)
    console.print()


def print_office(row: tuple[Any, ...], console: Console) -> None:
    """The original's results page of an office enrichment."""
    (name, as_of, days, enriched, accounts, selected, processed, copies, emails, read, meetings, gaps, _) = (
        row
    )
    _figures(
        f"{name}, as of {as_of}",
        [
            ("Customers enriched", _of(enriched, accounts)),
            ("E-mail addresses selected for analysis", f"{selected:,}"),
            ("  successfully processed", f"{processed:,}"),
            ("E-mail copies processed", f"{copies:,}"),
            ("  distinct e-mails counted for an account", f"{emails:,}"),
            ("Meetings processed", f"{read:,}"),
            ("  counted for an account", f"{meetings:,}"),
            ("Days of e-mail and meeting data", f"{days:,} of 365"),
        ],
        console,
    )
    if gaps:
        console.print(
            f"Not complete: {counted(gaps, 'gap')} in the year (marts.office_gaps);"
            " run again until every day is covered.\n"
        )


def print_leadspace(row: tuple[Any, ...], console: Console) -> None:
    """The results page of a Leadspace enrichment."""
    (name, accounts, enriched, not_enriched, not_sent, not_answered, high, medium, low, very_low, lookups) = (
        row[:11]
    )
    rejected, in_review, not_refreshed = row[11:]
    _figures(
        name,
        [
            ("Customers enriched", _of(enriched, accounts)),
            (
                "  match of high, medium, low, very low confidence",
                f"{high:,}, {medium:,}, {low:,}, {very_low:,}",
            ),
            ("  matches that a person should look at", f"{in_review:,}"),
            ("  kept from before, not refreshed", f"{not_refreshed:,}"),
            ("Customers whose match is rejected", f"{rejected:,}"),
            ("Customers that Leadspace does not know", f"{not_enriched:,}"),
            ("Customers not sent", f"{not_sent:,}"),
            ("Customers not answered yet", f"{not_answered:,}"),
            ("Lookups so far", f"{lookups:,}"),
        ],
        console,
    )


def print_enriched(rows: list[tuple[Any, ...]], console: Console) -> None:
    """Three customers with what Leadspace and the mail tell of them."""
    if not rows:
        return
    table = Table(title="Enriched customers (3 of them)", title_justify="left", box=None)
    for heading, justify in (
        ("customer", "left"),
        ("company at Leadspace", "left"),
        ("match", "left"),
        ("industry", "left"),
        ("place", "left"),
        ("employees", "right"),
        ("revenue, USD million", "right"),
        ("score", "right"),
        ("e-mails", "right"),
        ("meetings", "right"),
        ("last e-mail", "left"),
    ):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for (
        name,
        company,
        match,
        industry,
        city,
        country,
        employees,
        revenue,
        score,
        emails,
        meetings,
        last,
    ) in rows:
        table.add_row(
            name or "-",
            company or "-",
            (match or "-").replace("_", " "),
            industry or "-",
            ", ".join(filter(None, [city, country])) or "-",
            "-" if employees is None else f"{employees:,}",
            "-" if revenue is None else f"{revenue / 1e6:,.1f}",
            "-" if score is None else f"{score:.1f}",
            "-" if emails is None else f"{emails:,}",
            "-" if meetings is None else f"{meetings:,}",
            "never" if last is None else str(last),
        )
    console.print(table)
    console.print()


def print_highest(connection: duckdb.DuckDBPyConnection, enrichment_id: str, console: Console) -> None:
    """The five highest scores with the points of each component."""
    highest = connection.execute(HIGHEST, [enrichment_id]).fetchall()
    if not highest:
        console.print("No account has been in contact in the year.\n")
        return
    points_of = {
        account_id: dict(connection.execute(COMPONENTS, [enrichment_id, account_id]).fetchall())
        for account_id, _, _ in highest
    }
    table = Table(title="Highest engagement scores, points by component", title_justify="left", box=None)
    table.add_column("account", no_wrap=True)
    table.add_column("score", justify="right")
    for component in points_of[highest[0][0]]:
        table.add_column(component.replace("_", " "), justify="right")
    for account_id, name, score in highest:
        table.add_row(
            name or account_id,
            f"{score:.1f}",
            *("-" if points is None else f"{points:.1f}" for points in points_of[account_id].values()),
        )
    console.print(table)
    console.print()


def print_stale(stale: list[tuple[Any, ...]], console: Console) -> None:
    """The stale accounts, longest silence first."""
    if not stale:
        console.print("No stale accounts.\n")
        return
    table = Table(
        title=f"Stale accounts ({len(stale)}), longest silence first",
        title_justify="left",
        box=None,
    )
    table.add_column("account", no_wrap=True)
    table.add_column("days since last e-mail", justify="right")
    table.add_column("days since last meeting", justify="right")
    for account_id, name, email, meeting in stale:
        table.add_row(
            name or account_id,
            *("never" if days is None else f"{days:,}" for days in (email, meeting)),
        )
    console.print(table)
    console.print()
