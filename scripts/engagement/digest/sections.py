"""A digest as titles, lines and tables, whatever they are written as."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engagement.logs import printable
from engagement.outcome import counted

# A list that is longer is read by nobody; the file has it.
LONGEST_LIST = 20
WITHOUT_OWNER = "Nobody"


@dataclass(frozen=True)
class Section:
    """A list of an owner: its title, the headings of its columns, and its rows; the first column is the account."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int = 0


def clean(text: object) -> str:
    """A text of somebody else's, in one line and without what a screen would obey."""
    return printable(" ".join(str(text).split()))


def title_of(digest: dict[str, Any]) -> str:
    """What the digest is of."""
    return f"What changed after {digest['since']}, up to {digest['as_of_date']}"


def owner_title(entry: dict[str, Any]) -> str:
    """The owner and how many accounts he has."""
    name = WITHOUT_OWNER if entry["owner"] is None else clean(entry["owner"])
    accounts = counted(entry["accounts_count"], "account")
    return f"{name} ({accounts}{' without an owner' if entry['owner'] is None else ''})"


def notes(digest: dict[str, Any]) -> Iterator[str]:
    """What holds for all owners: how runs went, and what is not known."""
    said = [f"{count:,} {state}" for state, count in digest["runs"].items()]
    said += [
        f"{clean(row['enrichment_name'])} overdue since {row['next_due_at']:%Y-%m-%d}"
        for row in digest["overdue"]
    ]
    yield f"Runs: {', '.join(said) if said else 'none failed, none overdue'}."
    if digest["judged_from"] is not None:
        yield f"Segments are known from {digest['judged_from']} on: who entered or left before is not told."


def unchanged(digest: dict[str, Any]) -> str | None:
    """One line about the owners of whose accounts nothing changed; None where something did for all."""
    idle = [entry for entry in digest["owners"] if not entry["is_changed"]]
    if not idle:
        return None
    if len(idle) == len(digest["owners"]) or digest["owner_column"] is None:
        return "Nothing changed."
    return f"Nothing changed for {', '.join(owner_title(entry) for entry in idle)}."


def sections(entry: dict[str, Any], *, with_enrichment: bool) -> Iterator[Section]:
    """The lists of one owner that have a row. `with_enrichment` names the office enrichment behind each account."""

    def account(row: dict[str, Any]) -> str:
        name = clean(row["account_name"])
        return f"{name}, {row['enrichment_id']}" if with_enrichment and row.get("enrichment_id") else name

    for moves in entry["segments"]:
        yield _section(
            clean(moves["title"]),
            ("account", "on", "because"),
            [(account(row), str(row["moved_on"]), clean(row["reason"] or "-")) for row in moves["accounts"]],
        )
    for title, sign in (("Score up by their own doing", 1), ("Score down by their own doing", -1)):
        rows = [
            (
                account(row),
                f"{row['own_change_points']:+,.1f}",
                "-" if row["engagement_score"] is None else f"{row['engagement_score']:.1f}",
                f"{clean(row['component']).replace('_', ' ')} {row['component_points']:+,.1f}",
            )
            for row in entry["movers"]
            if row["own_change_points"] * sign > 0
        ]
        if rows:
            yield _section(title, ("account", "points", "score", "most of it by"), rows)
    if entry["newly_enriched"]:
        yield _section("Newly enriched", ("account",), [(account(row),) for row in entry["newly_enriched"]])
    if entry["company_changes"]:
        yield _section(
            "Company data that changed",
            ("attribute", "change", "accounts"),
            [
                (row["attribute"].replace("_", " "), row["change_kind"], f"{row['accounts_count']:,}")
                for row in entry["company_changes"]
            ],
        )


def _section(title: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Section:
    return Section(
        f"{title} ({len(rows):,})", headings, tuple(rows[:LONGEST_LIST]), max(len(rows) - LONGEST_LIST, 0)
    )
