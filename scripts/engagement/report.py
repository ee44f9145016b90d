"""What a run prints at its end: the results page, the highest scores with their reasons, the stale accounts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from rich.console import Console
from rich.table import Table

from engagement.config import Settings
from engagement.publish import PublishResult

OVERVIEW = """
    select
        enrichment_name, output_table, as_of_date, days_covered_count,
        accounts_enriched_count, accounts_count, mailboxes_selected_count, mailboxes_processed_count,
        email_copies_read_count, emails_counted_count, meetings_read_count, meetings_counted_count, enrichment_id
    from marts.office_overview
    order by enrichment_id
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
    from marts.stale_accounts
    where enrichment_id = ?
    order by least(coalesce(days_since_last_email, 99999), coalesce(days_since_last_meeting, 99999)) desc, account_id
"""


def read_summary(published_file: Path) -> list[dict[str, Any]]:
    """The same content for --json: one object per office enrichment."""
    with duckdb.connect(str(published_file), read_only=True) as connection:
        summary = []
        for row in connection.execute(OVERVIEW).fetchall():
            enrichment_id = row[-1]
            highest = connection.execute(HIGHEST, [enrichment_id]).fetchall()
            summary.append(
                {
                    "enrichment": row[0],
                    "output_table": row[1],
                    "as_of_date": row[2].isoformat(),
                    "days_covered": row[3],
                    "accounts_enriched": row[4],
                    "accounts": row[5],
                    "mailboxes_selected": row[6],
                    "mailboxes_processed": row[7],
                    "email_copies_read": row[8],
                    "emails_counted": row[9],
                    "meetings_read": row[10],
                    "meetings_counted": row[11],
                    "highest_scores": [
                        {
                            "account_id": account_id,
                            "account_name": name,
                            "engagement_score": float(score),
                            "points": {
                                component: None if points is None else float(points)
                                for component, points in connection.execute(
                                    COMPONENTS, [enrichment_id, account_id]
                                ).fetchall()
                            },
                        }
                        for account_id, name, score in highest
                    ],
                    "stale_accounts": [
                        {
                            "account_id": account_id,
                            "account_name": name,
                            "days_since_last_email": email,
                            "days_since_last_meeting": meeting,
                        }
                        for account_id, name, email, meeting in connection.execute(
                            STALE, [enrichment_id]
                        ).fetchall()
                    ],
                }
            )
    return summary


def print_summary(settings: Settings, result: PublishResult) -> None:
    """Print the summary of the file that was just published, for people."""
    render(read_summary(result.path), settings.published_file, Console(highlight=False))


def render(summary: list[dict[str, Any]], published_file: Path, console: Console) -> None:
    """Print what `read_summary` returned; ends with the path of the published file."""
    # Without a terminal there is no width to keep to, and nothing may be cut to a guessed one.
    if not console.is_terminal:
        console.width = 200
    for entry in summary:
        share = 100 * entry["accounts_enriched"] / entry["accounts"] if entry["accounts"] else 0
        overview = Table(
            title=f"{entry['enrichment']}, as of {entry['as_of_date']}",
            title_justify="left",
            show_header=False,
            box=None,
        )
        overview.add_column()
        overview.add_column(justify="right")
        for label, value in (
            (
                "Customers enriched",
                f"{entry['accounts_enriched']:,} of {entry['accounts']:,} ({share:.1f} %)",
            ),
            ("E-mail addresses selected for analysis", f"{entry['mailboxes_selected']:,}"),
            ("  successfully processed", f"{entry['mailboxes_processed']:,}"),
            ("E-mail copies processed", f"{entry['email_copies_read']:,}"),
            ("  distinct e-mails counted for an account", f"{entry['emails_counted']:,}"),
            ("Meetings processed", f"{entry['meetings_read']:,}"),
            ("  counted for an account", f"{entry['meetings_counted']:,}"),
            ("Days of e-mail and meeting data", f"{entry['days_covered']:,} of 365"),
        ):
            overview.add_row(label, value)
        console.print(overview)
        console.print()
        print_highest(entry, console)
        print_stale(entry, console)
    console.print(f"Published: {published_file}", soft_wrap=True)


def print_highest(entry: dict[str, Any], console: Console) -> None:
    """The five highest scores with the points of each component."""
    if not entry["highest_scores"]:
        console.print("No account has been in contact in the year.\n")
        return
    components = list(entry["highest_scores"][0]["points"])
    table = Table(title="Highest engagement scores, points by component", title_justify="left", box=None)
    table.add_column("account", no_wrap=True)
    table.add_column("score", justify="right")
    for component in components:
        table.add_column(component.replace("_", " "), justify="right")
    for row in entry["highest_scores"]:
        table.add_row(
            row["account_name"] or row["account_id"],
            f"{row['engagement_score']:.1f}",
            *("-" if points is None else f"{points:.1f}" for points in row["points"].values()),
        )
    console.print(table)
    console.print()


def print_stale(entry: dict[str, Any], console: Console) -> None:
    """The stale accounts, longest silence first."""
    stale = entry["stale_accounts"]
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
    for row in stale:
        table.add_row(
            row["account_name"] or row["account_id"],
            *(
                "never" if days is None else f"{days:,}"
                for days in (row["days_since_last_email"], row["days_since_last_meeting"])
            ),
        )
    console.print(table)
    console.print()
