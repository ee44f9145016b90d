"""What changed within a period, owner by owner, from the published file alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from engagement.contract import quoted
from engagement.digest.period import Period
from engagement.scores import shipped_version
from engagement.segments.published import Row, records

# What an account lately became, in this order, with the words for entering and leaving.
STATES = {
    "stale": ("Newly stale", "No longer stale"),
    "going_silent": ("Going silent", "No longer going silent"),
    "never_engaged": ("Never engaged", "Engaged for the first time"),
}
# Others are told of where they have this tag; these without.
TAG = "digest"
SHIPPED = ("high_value", "low_engagement", "one_way", "rising", "single_threaded")
# Points by its own doing from which on an account is a mover.
MOVER_POINTS = 5

# Every account, once, with its owner; null where it has none.
ACCOUNTS = """
    create or replace temp table accounts as
    select
        account_id,
        coalesce(account_name, account_id) as account_name,
        {owner} as owner
    from marts.enriched_customers
"""

SEGMENTS = """
    select segment_id, segment_name, tags
    from marts.segments
    where is_active
    order by segment_id
"""

# Who entered and is still there, and who left and is not back.
MOVES = """
    with
    entered as (
        select
            segment_id, enrichment_id, account_id, 'entered' as move, entered_on as moved_on, entered_reason as reason
        from marts.segment_history
        where is_entry_seen and left_on is null and entered_on > $since and entered_on <= $as_of
    ),
    still_there as (
        select distinct segment_id, enrichment_id, account_id
        from marts.segment_history
        where left_on is null
    ),
    left_last as (
        select
            history.segment_id, history.enrichment_id, history.account_id, 'left' as move,
            max(history.left_on) as moved_on, max_by(history.left_reason, history.left_on) as reason
        from marts.segment_history as history
        anti join still_there using (segment_id, enrichment_id, account_id)
        where history.left_on > $since and history.left_on <= $as_of and history.entered_on <= $since
        group by all
    )
    select
        moves.segment_id, moves.move, moves.moved_on, moves.reason, moves.enrichment_id,
        accounts.account_id, accounts.account_name, accounts.owner
    from (select * from entered union all select * from left_last) as moves
    inner join accounts on moves.account_id = accounts.account_id
    where list_contains($segments, moves.segment_id)
    order by moves.segment_id, moves.move, accounts.account_name, accounts.account_id, moves.enrichment_id
"""

# By its own doing, over the weeks that ended within the period, and the component that did most of it.
MOVERS = """
    with
    by_component as (
        select enrichment_id, account_id, component, sum(own_change_points) as points
        from marts.account_score_changes
        where score_version = $version and week_ends_on > $since and week_ends_on <= $as_of
        group by all
    ),
    placed as (
        select
            *,
            sum(points) over (partition by enrichment_id, account_id) as own_change_points,
            row_number() over (
                partition by enrichment_id, account_id order by abs(points) desc nulls last, component
            ) as place
        from by_component
    ),
    newest as (
        select enrichment_id, account_id, max_by(engagement_score, week_ends_on) as engagement_score
        from marts.account_score_history
        where score_version = $version and week_ends_on <= $as_of
        group by all
    )
    select
        cast(placed.own_change_points as double) as own_change_points, placed.component,
        cast(placed.points as double) as component_points, cast(newest.engagement_score as double) as engagement_score,
        placed.enrichment_id, accounts.account_id, accounts.account_name, accounts.owner
    from placed
    inner join accounts on placed.account_id = accounts.account_id
    left join newest on placed.enrichment_id = newest.enrichment_id and placed.account_id = newest.account_id
    where placed.place = 1 and abs(placed.own_change_points) >= $points
    order by abs(placed.own_change_points) desc, accounts.account_name, accounts.account_id, placed.enrichment_id
"""

# Whose company data became known for the first time; then what changed of those that were known before.
FIRST_KNOWN = """
    create or replace temp table first_known as
    select account_id, min(changed_at) as known_from_at
    from marts.company_changes
    group by account_id
"""
ENRICHED = """
    select accounts.account_id, accounts.account_name, accounts.owner
    from first_known
    inner join accounts on first_known.account_id = accounts.account_id
    where first_known.known_from_at > $instant_from and first_known.known_from_at <= $instant_to
    order by accounts.account_name, accounts.account_id
"""
COMPANY_CHANGES = """
    select
        accounts.owner, changes.attribute, changes.change_kind, count(distinct changes.account_id) as accounts_count
    from marts.company_changes as changes
    inner join first_known on changes.account_id = first_known.account_id
    inner join accounts on changes.account_id = accounts.account_id
    where
        changes.changed_at > $instant_from and changes.changed_at <= $instant_to
        and changes.changed_at > first_known.known_from_at
    group by all
    order by accounts_count desc, changes.attribute, changes.change_kind
"""

RUNS = """
    select run_state, count(*) as runs_count
    from marts.run_history
    where
        run_state in ('failed', 'killed', 'cancelled')
        and started_at > $instant_from and started_at <= $instant_to
    group by run_state
    order by run_state
"""
OVERDUE = """
    select enrichment_name, next_due_at
    from marts.enrichments
    where enrichment_state = 'active' and next_due_at < $instant_to
    order by enrichment_id
"""


def collect(
    connection: duckdb.DuckDBPyConnection, period: Period, *, owner_column: str | None, score_version: str
) -> dict[str, Any]:
    """Everything that a digest tells, as plain values: `owners` by name, who has no owner last.

    `owner_column` is a column of the customer's own; without one all accounts stand together. `score_version` is taken
    where several versions are behind the same scores.
    """
    owner = f"nullif(trim(cast({quoted(owner_column)} as varchar)), '')" if owner_column else "null"
    connection.execute(ACCOUNTS.format(owner=f"cast({owner} as varchar)"))
    connection.execute(FIRST_KNOWN)
    days = {"since": period.since, "as_of": period.as_of}
    instants = {"instant_from": period.instant_from, "instant_to": period.instant_to}
    segments = _segments(connection)
    version = shipped_version(connection, expected=score_version)
    found = {
        "moves": records(connection, MOVES, {**days, "segments": [row["segment_id"] for row in segments]}),
        "movers": records(connection, MOVERS, {**days, "version": version, "points": MOVER_POINTS}),
        "enriched": records(connection, ENRICHED, instants),
        "company_changes": records(connection, COMPANY_CHANGES, instants),
    }
    counts = connection.execute(
        "select owner, count(*) from accounts group by owner order by owner nulls last"
    ).fetchall()
    [(enrichments,)] = connection.execute(
        "select count(*) from marts.enrichments where enrichment_type = 'office'"
    ).fetchall()
    [(judged_from,)] = connection.execute("select min(counted_on) from marts.segment_counts").fetchall()
    return {
        "as_of_date": period.as_of,
        "since": period.since,
        "owner_column": owner_column,
        "has_several_enrichments": enrichments > 1,
        # Before it nobody was judged, so nothing is known of who entered and left.
        "judged_from": judged_from if judged_from is not None and judged_from > period.since else None,
        "runs": {row["run_state"]: row["runs_count"] for row in records(connection, RUNS, instants)},
        "overdue": records(connection, OVERDUE, {"instant_to": period.instant_to}),
        "owners": [
            {"owner": name, "accounts_count": count, **_of_owner(name, segments, found)}
            for name, count in counts
        ],
    }


def _segments(connection: duckdb.DuckDBPyConnection) -> list[Row]:
    """The segments that are told of, those of STATES first, with the words for entering and leaving."""
    active = {row["segment_id"]: row for row in records(connection, SEGMENTS)}
    told = [one for one in STATES if one in active]
    told += [
        one
        for one, row in active.items()
        if one not in STATES and (one in SHIPPED or TAG in (row["tags"] or "").split(", "))
    ]
    return [
        {
            "segment_id": one,
            "segment_name": active[one]["segment_name"],
            "words": STATES.get(
                one, (f"Entered {active[one]['segment_name']}", f"Left {active[one]['segment_name']}")
            ),
        }
        for one in told
    ]


def _of_owner(owner: str | None, segments: Sequence[Row], found: dict[str, list[Row]]) -> dict[str, Any]:
    own = {
        what: [
            {key: value for key, value in row.items() if key != "owner"}
            for row in rows
            if row["owner"] == owner
        ]
        for what, rows in found.items()
    }
    moves: list[dict[str, Any]] = []
    for segment in segments:
        for move, words in zip(("entered", "left"), segment["words"], strict=True):
            accounts = [
                {
                    key: row[key]
                    for key in ("account_id", "account_name", "enrichment_id", "moved_on", "reason")
                }
                for row in own["moves"]
                if row["segment_id"] == segment["segment_id"] and row["move"] == move
            ]
            if accounts:
                moves.append(
                    {"segment_id": segment["segment_id"], "move": move, "title": words, "accounts": accounts}
                )
    # What became of an account comes before who is better off.
    moves.sort(key=lambda entry: (entry["segment_id"] not in STATES, entry["move"] != "entered"))
    return {
        "segments": moves,
        "movers": own["movers"],
        "newly_enriched": own["enriched"],
        "company_changes": own["company_changes"],
        "is_changed": bool(moves or own["movers"] or own["enriched"] or own["company_changes"]),
    }
