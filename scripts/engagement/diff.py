"""`engagement diff`: which accounts would move, before anything is published. Reads two scores, writes nothing."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

import duckdb

from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.outcome import Outcome, counted
from engagement.scores import (
    as_built,
    mid_ranks,
    project_score_version,
    require_version,
    shipped_version,
    versions,
)
from engagement.warehouse import Connection

# From how many points of change on an account counts as moved.
MOVED_POINTS = (1, 5, 10)
COMPONENTS_NAMED = 2

YEAR_POINTS = """
    select
        components.enrichment_id, components.account_id, components.component, components.points_earned,
        coalesce(recency.account_name, components.account_id) as account_name
    from marts.account_score_components as components
    left join marts.account_recency as recency using (enrichment_id, account_id)
    where components.aggregation_level = 'year' and components.score_version = ?
"""

YEAR_SCORES = """
    select
        engagement.enrichment_id, engagement.account_id, engagement.engagement_score,
        coalesce(recency.account_name, engagement.account_id) as account_name
    from marts.account_engagement as engagement
    left join marts.account_recency as recency using (enrichment_id, account_id)
    where engagement.aggregation_level = 'year' and engagement.engagement_score is not null
"""

# a year ends with the as-of date
LAST_DAY = "select max(aggregation_ends_on) from marts.account_engagement where aggregation_level = 'year'"

Key = tuple[str, str]


@dataclass
class Side:
    """One of the two scores that are compared: where it stands, of which day and version, and its points."""

    file: str
    version: str | None
    as_of: date | None
    scores: dict[Key, Decimal] = field(default_factory=dict)
    points: dict[Key, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(dict))
    names: dict[Key, str] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        """What --json says of it."""
        return {"file": self.file, "score_version": self.version, "as_of": self.as_of}

    def in_words(self) -> str:
        """File, version and day, for a person."""
        return f"{self.file}, score {self.version or 'of an unknown version'}, as of {self.as_of or 'no day yet'}"


def diff(settings: Settings, *, before: str | None, after: str | None, limit: int) -> Outcome:
    """Compares what is published with what was built last; with a version named, two versions of what was built.

    `limit` accounts are listed of each enrichment. Raises ConfigurationError where a side is missing or a version
    unknown, PublishRefusedError where the last build did not come to its end.
    """
    expected = project_score_version(settings)
    with as_built(settings, what="scores") as connection:
        if before is None and after is None:
            to = _of_file(connection, settings.private_file.name, expected)
            if not to.scores:
                raise ConfigurationError(
                    f"{settings.private_file.name}: has no score of any account yet; run `engagement run` first"
                )
            from_ = _published(settings, expected)
        else:
            known = list(versions(connection))
            for option, version in (("--from", before), ("--to", after)):
                if version is not None:
                    require_version(option, version, known)
            shipped = shipped_version(connection, expected=expected) or expected
            require_version("score_version in dbt_project.yml", shipped, known)
            if (before or shipped) == (after or shipped):
                raise ConfigurationError(
                    f"--from, --to: both are {before or shipped}; name two versions, known: {', '.join(known)}"
                )
            from_ = _of_version(connection, settings.private_file.name, before or shipped)
            to = _of_version(connection, settings.private_file.name, after or shipped)
    names = {enrichment.enrichment_id: enrichment.name for enrichment in settings.configuration.enrichments}
    ids = sorted({enrichment_id for enrichment_id, _ in (*from_.scores, *to.scores)})
    compared = [
        {"enrichment_id": enrichment_id, "name": names.get(enrichment_id, enrichment_id)}
        | compare(from_, to, enrichment_id, limit=limit)
        for enrichment_id in ids
    ]
    facts = {"from": from_.described(), "to": to.described(), "enrichments": compared}

    def show() -> None:
        _print(from_, to, compared)

    return Outcome(facts=facts, summary=show)


def _published(settings: Settings, expected: str) -> Side:
    path = settings.published_file
    if not path.is_file():
        raise ConfigurationError(
            f"{path.name}: nothing is published yet to compare with; run `engagement publish`, or compare two versions"
            " of the score with --from and --to"
        )
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            return _of_file(connection, path.name, expected)
    except duckdb.Error:
        raise ConfigurationError(
            f"{path.name}: cannot be read as a file that this project published; publish anew with `engagement"
            " publish`, or compare two versions of the score with --from and --to"
        ) from None


def _last_day(connection: Connection) -> date | None:
    row = connection.execute(LAST_DAY).fetchone()
    day: date | None = None if row is None else row[0]
    return day


def _of_file(connection: Connection, file: str, expected: str) -> Side:
    side = Side(file, shipped_version(connection, expected=expected), _last_day(connection))
    for enrichment_id, account_id, score, name in connection.execute(YEAR_SCORES).fetchall():
        side.scores[enrichment_id, account_id] = score
        side.names[enrichment_id, account_id] = name
    _add_points(connection, side)
    return side


def _of_version(connection: Connection, file: str, version: str) -> Side:
    side = Side(file, version, _last_day(connection))
    _add_points(connection, side)
    side.scores = {key: sum(points.values(), Decimal(0)) for key, points in side.points.items()}
    return side


def _add_points(connection: Connection, side: Side) -> None:
    for enrichment_id, account_id, component, points, name in connection.execute(
        YEAR_POINTS, [side.version]
    ).fetchall():
        # What could not be measured earned nothing.
        side.points[enrichment_id, account_id][component] = points or Decimal(0)
        side.names[enrichment_id, account_id] = name


def compare(from_: Side, to: Side, enrichment_id: str, *, limit: int) -> dict[str, Any]:
    """How many accounts of an enrichment move, and the `limit` that move most with what moves them.

    A change is in points of 0..100; it is null for an account that only one side has.
    """
    ranks_before, ranks_after = _ranks(from_.scores, enrichment_id), _ranks(to.scores, enrichment_id)
    both = sorted(set(ranks_before) & set(ranks_after))
    changes = {key: to.scores[key] - from_.scores[key] for key in both}
    rows: list[dict[str, Any]] = []
    for key in set(ranks_before) | set(ranks_after):
        before, after = from_.scores.get(key), to.scores.get(key)
        if before == after and key in changes and ranks_before[key] == ranks_after[key]:
            continue
        old, new = from_.points.get(key, {}), to.points.get(key, {})
        by_component = {
            component: new.get(component, Decimal(0)) - old.get(component, Decimal(0))
            for component in {*old, *new}
        }
        rows.append(
            {
                "account_id": key[1],
                "account_name": to.names.get(key) or from_.names.get(key) or key[1],
                "before": _number(before),
                "after": _number(after),
                "change": _number(changes.get(key)),
                "rank_before": ranks_before.get(key),
                "rank_after": ranks_after.get(key),
                "components": {
                    component: float(change)
                    for component, change in sorted(
                        by_component.items(), key=lambda item: (-abs(item[1]), item[0])
                    )
                    if change
                },
            }
        )
    rows.sort(key=lambda row: (-abs((row["after"] or 0) - (row["before"] or 0)), row["account_id"]))
    return {
        "accounts_compared": len(both),
        "accounts_entering": len(ranks_after) - len(both),
        "accounts_leaving": len(ranks_before) - len(both),
        "accounts_moved": {
            str(points): sum(abs(change) >= points for change in changes.values()) for points in MOVED_POINTS
        },
        "rank_correlation": _rank_correlation([(from_.scores[key], to.scores[key]) for key in both]),
        "accounts_listed": min(limit, len(rows)),
        "accounts_that_move": len(rows),
        "accounts": rows[:limit],
    }


def _ranks(scores: Mapping[Key, Decimal], enrichment_id: str) -> dict[Key, int]:
    """The place of every account of an enrichment from the top; those that tie have the same."""
    keys = [key for key in scores if key[0] == enrichment_id]
    ordered = sorted((scores[key] for key in keys), reverse=True)
    first: dict[Decimal, int] = {}
    for place, score in enumerate(ordered, start=1):
        first.setdefault(score, place)
    return {key: first[scores[key]] for key in keys}


def _rank_correlation(pairs: list[tuple[Decimal, Decimal]]) -> float | None:
    """Spearman's; None where there are fewer than two accounts, or all of a side are equal."""
    try:
        return statistics.correlation(
            mid_ranks([before for before, _ in pairs]), mid_ranks([after for _, after in pairs])
        )
    except statistics.StatisticsError:
        return None


def _number(value: Decimal | None) -> float | None:
    return None if value is None else float(value)


def _print(from_: Side, to: Side, compared: list[dict[str, Any]]) -> None:
    from rich.table import Table

    from engagement.report import console

    printed = console()
    printed.print(f"From: {from_.in_words()}", soft_wrap=True)
    printed.print(f"To:   {to.in_words()}\n", soft_wrap=True)
    if not compared:
        printed.print("No account has a score on either side.", soft_wrap=True)
    for entry in compared:
        correlation = entry["rank_correlation"]
        moved = ", ".join(
            f"{count:,} by {points} point or more" if position == 0 else f"{count:,} by {points}"
            for position, (points, count) in enumerate(entry["accounts_moved"].items())
        )
        printed.print(
            f"{entry['name']}: {counted(entry['accounts_compared'], 'account')} compared,"
            f" {entry['accounts_entering']:,} entering, {entry['accounts_leaving']:,} leaving; moved: {moved};"
            f" rank correlation {'-' if correlation is None else f'{correlation:.3f}'}",
            soft_wrap=True,
        )
        if not entry["accounts"]:
            printed.print("No account moves.\n", soft_wrap=True)
            continue
        table = Table(
            title=f"Accounts that move most ({entry['accounts_listed']} of {entry['accounts_that_move']:,})",
            title_justify="left",
            box=None,
        )
        for heading, justify in (
            ("account", "left"),
            ("before", "right"),
            ("after", "right"),
            ("change", "right"),
            ("rank", "right"),
            ("most of it by", "left"),
        ):
            table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in entry["accounts"]:
            change = row["change"]
            table.add_row(
                row["account_name"],
                *("-" if row[side] is None else f"{row[side]:.1f}" for side in ("before", "after")),
                ("enters" if row["before"] is None else "leaves") if change is None else f"{change:+.1f}",
                f"{row['rank_before'] or '-'} -> {row['rank_after'] or '-'}",
                ", ".join(
                    f"{component.replace('_', ' ')} {points:+.1f}"
                    for component, points in list(row["components"].items())[:COMPONENTS_NAMED]
                )
                or "-",
            )
        printed.print(table)
        printed.print()
