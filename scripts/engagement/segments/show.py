"""`engagement segment list` and `engagement segment show`: what is published of segments."""

from __future__ import annotations

from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table

from engagement.configuration.settings import Settings
from engagement.locations import segment_file
from engagement.logs import log
from engagement.outcome import Outcome, counted
from engagement.report import console
from engagement.segments import files
from engagement.segments.published import JUDGED_BY, Row, published, records, segment_row

# The change is that since the newest day judged which is a week or more before the as-of date. An account counts once,
# in however many office enrichments it is a member.
SEGMENTS = """
    with
    days as (
        select max(counts.counted_on) as compared_on
        from marts.segment_counts as counts
        cross join (select max(as_of_date) as as_of_date from marts.segments) as newest
        where counts.counted_on <= newest.as_of_date - interval 7 day
    ),
    members_then as (
        select history.segment_id, count(distinct history.account_id) as members_count
        from marts.segment_history as history
        cross join days
        where
            history.entered_on <= days.compared_on
            and (history.left_on is null or history.left_on > days.compared_on)
        group by history.segment_id
    )
    select
        segments.segment_id, segments.segment_name, segments.owner, segments.audience, segments.membership,
        segments.tags, segments.members_count, segments.accounts_count,
        case
            when days.compared_on is not null
                then segments.members_count - coalesce(members_then.members_count, 0)
        end as change_count,
        days.compared_on, segments.finding, segments.as_of_date
    from marts.segments as segments
    cross join days
    left join members_then on segments.segment_id = members_then.segment_id
    order by segments.segment_id
"""

TREND = """
    with
    days as (
        select counted_on, sum(entered_count) as entered_count, sum(left_count) as left_count
        from marts.segment_counts
        where segment_id = $segment
        group by counted_on
    )
    select
        days.counted_on,
        count(distinct history.account_id) as members_count,
        cast(any_value(days.entered_count) as bigint) as entered_count,
        cast(any_value(days.left_count) as bigint) as left_count
    from days
    left join marts.segment_history as history
        on
            history.segment_id = $segment
            and history.entered_on <= days.counted_on
            and (history.left_on is null or history.left_on > days.counted_on)
    group by days.counted_on
    order by days.counted_on
"""

MEMBERS = """
    select
        enrichment_id, account_id, account_name, entered_on, is_entry_seen, reason, count(*) over () as members_count
    from marts.segment_members
    where segment_id = ?
    order by account_name nulls last, account_id, enrichment_id
    limit ?
"""

MOVES = """
    with
    moves as (
        select enrichment_id, account_id, entered_on as moved_on, 'entered' as move, entered_reason as reason
        from marts.segment_history
        where segment_id = $segment and is_entry_seen
        union all
        select enrichment_id, account_id, left_on as moved_on, 'left' as move, left_reason as reason
        from marts.segment_history
        where segment_id = $segment and left_on is not null
    )
    select moves.moved_on, moves.move, moves.enrichment_id, moves.account_id, customers.account_name, moves.reason
    from moves
    left join marts.enriched_customers as customers on moves.account_id = customers.account_id
    order by moves.moved_on desc, moves.move, customers.account_name nulls last, moves.account_id, moves.enrichment_id
    limit $limit
"""

MOVES_SHOWN = 10


def list_segments(settings: Settings) -> Outcome:
    """Every published segment. What is in the project and not published yet, and a circle, are warnings."""
    with published(settings) as connection:
        segments = records(connection, SEGMENTS)
    if cycle := files.cycle_among(settings.project_dir):
        log.warning("warning: %s", files.cycle_in_words(cycle))
    known = {row["segment_id"] for row in segments}
    waiting = [one for one in files.described(settings.project_dir) if one not in known]
    if waiting:
        log.warning("warning: not published yet: %s; next: %s", ", ".join(sorted(waiting)), JUDGED_BY)
    return Outcome(
        facts={"segments": segments, "not_published": sorted(waiting)},
        summary=lambda: _print_list(segments, console()),
    )


def show(settings: Settings, segment_id: str, *, limit: int) -> Outcome:
    """One segment: what it is, how many were in it week by week, `limit` of its members, who moved last, and of what
    segments it is made. ConfigurationError where it is not published.
    """
    with published(settings) as connection:
        about = segment_row(connection, segment_id)
        trend = records(connection, TREND, {"segment": segment_id})
        members = records(connection, MEMBERS, [segment_id, limit])
        moves = records(connection, MOVES, {"segment": segment_id, "limit": MOVES_SHOWN})
        counts = {row["segment_id"]: row["members_count"] for row in records(connection, SEGMENTS)}
    path = segment_file(segment_id)
    facts: dict[str, Any] = {
        **about,
        "sql_file": path.as_posix() if (settings.project_dir / path).is_file() else None,
        "parts": [
            {"segment_id": part, "members_count": counts.get(part)}
            for part in files.parts_of(settings.project_dir, segment_id)
        ],
        "trend": trend,
        "members": [{k: v for k, v in row.items() if k != "members_count"} for row in members],
        "moves": moves,
    }
    rows = members[0]["members_count"] if members else 0
    return Outcome(facts=facts, summary=lambda: _print_segment(facts, rows, console()))


def _print_list(segments: list[Row], printed: Console) -> None:
    if not segments:
        printed.print("There is no segment: var segments in dbt_project.yml is empty.")
        return
    as_of: date | None = segments[0]["as_of_date"]
    compared: date | None = segments[0]["compared_on"]
    table = Table(
        title=f"Segments, as of {as_of}" if as_of else "Segments, nothing judged yet",
        title_justify="left",
        box=None,
    )
    for heading in ("id", "name", "owner"):
        table.add_column(heading, no_wrap=True)
    table.add_column("members", justify="right")
    table.add_column(f"since {compared}" if compared else "change", justify="right")
    table.add_column("finding", no_wrap=True)
    for row in segments:
        table.add_row(
            row["segment_id"],
            row["segment_name"],
            row["owner"] or "-",
            _count(row["members_count"]),
            "-"
            if row["change_count"] is None
            else f"{row['change_count']:+,}"
            if row["change_count"]
            else "0",
            row["finding"] or "",
        )
    printed.print(table)


def _print_segment(facts: dict[str, Any], rows_count: int, printed: Console) -> None:
    printed.print(f"{facts['segment_name']} ({facts['segment_id']})", soft_wrap=True)
    printed.print(f"  {facts['description'] or 'No description.'}", soft_wrap=True)
    printed.print(
        f"  owner: {facts['owner'] or '-'}; audience: {facts['audience']}; membership: {facts['membership']};"
        f" tags: {facts['tags'] or 'none'}",
        soft_wrap=True,
    )
    printed.print(
        f"  rule: {facts['sql_file'] or 'its model is not in this project any more'}", soft_wrap=True
    )
    if facts["members_count"] is not None:
        of = counted(facts["accounts_count"], "account")
        printed.print(f"  {facts['members_count']:,} of {of}, as of {facts['as_of_date']}", soft_wrap=True)
    if facts["finding"]:
        printed.print(f"  {facts['finding']}", soft_wrap=True)
    if facts["parts"]:
        said = ", ".join(f"{part['segment_id']} ({_count(part['members_count'])})" for part in facts["parts"])
        printed.print(f"  made of: {said}", soft_wrap=True)
    printed.print()
    _print_table(
        printed,
        "Members at the end of each week",
        [("on", "left"), ("members", "right"), ("entered", "right"), ("left", "right")],
        [
            [
                str(row["counted_on"]),
                *(_count(row[f"{part}_count"]) for part in ("members", "entered", "left")),
            ]
            for row in facts["trend"]
        ],
    )
    _print_table(
        printed,
        f"Members ({len(facts['members']):,} of {rows_count:,})",
        [("account", "left"), ("since", "left"), ("reason", "left")],
        [
            [
                row["account_name"] or row["account_id"],
                f"{row['entered_on']}{'' if row['is_entry_seen'] else ' or before'}",
                row["reason"] or "-",
            ]
            for row in facts["members"]
        ],
    )
    _print_table(
        printed,
        "Who entered and left last",
        [("on", "left"), ("", "left"), ("account", "left"), ("reason", "left")],
        [
            [
                str(row["moved_on"]),
                row["move"],
                row["account_name"] or row["account_id"],
                row["reason"] or "-",
            ]
            for row in facts["moves"]
        ],
    )


def _print_table(printed: Console, title: str, columns: list[tuple[str, Any]], rows: list[list[str]]) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left", box=None)
    for heading, justify in columns:
        table.add_column(heading, justify=justify)
    for row in rows:
        table.add_row(*row)
    printed.print(table)
    printed.print()


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"
