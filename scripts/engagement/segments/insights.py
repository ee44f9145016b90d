"""What segments have in common, what tells them apart, and which could be made: read from the published file alone.

The numbers are those of the marts segment_differentiators, quick_segments and segment_suggestions. What no mart can
hold (the overlap of any number of segments, the difference of two of them) is counted here, in SQL over what is
published of each account (compared_attributes says where). docs/segment-insights.md says what each means.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import duckdb

from engagement.configuration.settings import Settings
from engagement.contract import quoted
from engagement.errors import ConfigurationError
from engagement.outcome import Outcome, counted
from engagement.published_file import literal
from engagement.scores import project_variable

NEEDED = "compared_attributes"
# Of these marts every account has one row; of the others one for each enrichment.
WITHOUT_ENRICHMENT = ("customer_profiles", "enriched_customers")
CONDITION_OF = {"account_engagement": "aggregation_level = 'year'"}

# The newest day judged: every active segment stands there for every enrichment, also with nobody in it.
SEGMENTS_COUNTED = """
    select enrichment_id, segment_id, segment_name, members_count, accounts_count
    from marts.segment_counts
    where counted_on = (select max(counted_on) from marts.segment_counts)
    order by enrichment_id, segment_id
"""

# Temporary table `sides` (account_id, side), `valued` (account_id, attribute, kind, value_text, value_number).
CATEGORIES_COMPARED = """
    with
    sizes as (
        select
            count(*) filter (where side = 1) as members, count(*) filter (where side = 2) as others
        from sides
    ),
    counts as (
        select
            attribute, value_text,
            count(*) filter (where side = 1) as members_with, count(*) filter (where side = 2) as others_with
        from valued
        inner join sides using (account_id)
        where kind != 'number'
        group by all
    ),
    gaps as (
        select
            counts.*, members, others,
            members_with * others - others_with * members as gap,
            (members_with + others_with) / (members + others) as pooled
        from counts
        cross join sizes
    )
    select
        attribute,
        sum(abs(gap)) / (2.0 * any_value(members) * any_value(others)) as difference,
        sum(sqrt(pooled * (1 - pooled) * (1.0 / members + 1.0 / others))) / 2
        + any_value(sqrt(ln(1 / $significance) / 2 * (1.0 / members + 1.0 / others))) as chance,
        arg_max(
            {'statement': coalesce(value_text, 'unknown'), 'members': members_with, 'others': others_with},
            (abs(gap), gap, value_text is not null, value_text)
        ) as widest
    from gaps
    group by attribute
"""

NUMBERS_COMPARED = """
    with
    sizes as (
        select
            count(*) filter (where side = 1) as members, count(*) filter (where side = 2) as others
        from sides
    ),
    counts as (
        select
            attribute, value_number,
            count(*) filter (where side = 1) as members_with, count(*) filter (where side = 2) as others_with
        from valued
        inner join sides using (account_id)
        where kind = 'number'
        group by all
    ),
    known as (
        select
            attribute,
            coalesce(sum(members_with) filter (where value_number is not null), 0) as members_known,
            coalesce(sum(others_with) filter (where value_number is not null), 0) as others_known
        from counts
        group by attribute
    ),
    cumulated as (
        select
            attribute, value_number,
            sum(members_with) over upward as members_to, sum(others_with) over upward as others_to
        from counts
        where value_number is not null
        window upward as (partition by attribute order by value_number)
    ),
    statements as (
        select attribute, 2 as place, value_number, members_to as members_with, others_to as others_with from cumulated
        union all
        select attribute, 3, value_number, members_known - members_to, others_known - others_to
        from cumulated
        inner join known using (attribute)
        union all
        select attribute, 0, null, members_known, others_known from known
        union all
        select attribute, 1, null, members - members_known, others - others_known from known cross join sizes
    ),
    gaps as (
        select statements.*, members_with * others - others_with * members as gap
        from statements
        cross join sizes
    )
    select
        attribute,
        max(abs(gap)) / any_value(cast(members as double) * others) as difference,
        any_value(sqrt(
            ln(2 / $significance * case when members_known + others_known = members + others then 1 else 2 end) / 2
            * (1.0 / members + 1.0 / others)
        )) as chance,
        arg_max(
            {'place': place, 'value': value_number, 'members': members_with, 'others': others_with},
            (abs(gap), gap, -place, -coalesce(value_number, 0))
        ) as widest
    from gaps
    inner join known using (attribute)
    cross join sizes
    group by attribute
"""
STATEMENTS = ("known", "unknown", "at most", "above")

Connection = duckdb.DuckDBPyConnection
Row = dict[str, Any]


@contextmanager
def published(settings: Settings) -> Iterator[Connection]:
    """The published file, for reading; ConfigurationError where there is none that knows of these insights."""
    path: Path = settings.published_file
    if not path.is_file():
        raise ConfigurationError(f"{path.name}: nothing is published yet; run `engagement run` first")
    try:
        connection = duckdb.connect(str(path), read_only=True)
        connection.execute(f"select count(*) from marts.{NEEDED}")
    except duckdb.Error:
        raise ConfigurationError(
            f"{path.name}: cannot be read, or was published by an older release, without insights of segments; run"
            " `engagement run` first"
        ) from None
    with connection:
        yield connection


def overlap(settings: Settings, segments: Sequence[str], *, by: str | None, limit: int) -> Outcome:
    """How many accounts two or more segments have in common, and of which values of an attribute (`by`) those are.

    Raises ConfigurationError where a segment or attribute is unknown, or fewer than two segments are named.
    """
    if len(set(segments)) < 2:
        raise ConfigurationError("SEGMENT: an overlap needs two segments or more, each named once")
    with published(settings) as connection:
        names = _segments(connection, segments)
        enrichments = []
        for enrichment_id, sizes in _sizes(connection).items():
            chosen = {segment: sizes[segment] for segment in names}
            _make_members(connection, enrichment_id, list(names))
            [common, either] = _one(
                connection,
                "select count(*) filter (where memberships = ?), count(*) from"
                " (select account_id, count(*) as memberships from members group by account_id)",
                [len(names)],
            )
            entry: Row = {
                "enrichment_id": enrichment_id,
                "segments": [
                    {
                        "segment_id": segment,
                        "segment_name": names[segment],
                        "members_count": row["members_count"],
                        "common_ratio": _ratio(common, row["members_count"]),
                    }
                    for segment, row in chosen.items()
                ],
                "common_count": common,
                "either_count": either,
                "jaccard_ratio": _ratio(common, either),
            }
            if by is not None:
                _make_values(connection, enrichment_id, [_attribute(connection, by)])
                entry |= {"attribute": by, "values": _common_by_value(connection, len(names), common)}
            enrichments.append(entry)
    return Outcome(
        facts={"enrichments": enrichments}, summary=lambda: _print_overlap(enrichments, by, limit=limit)
    )


def differentiators(settings: Settings, segment: str, *, against: str | None, limit: int) -> Outcome:
    """What tells the members of a segment from all others, or from those of a second one, the most telling first.

    Raises ConfigurationError where a segment is unknown, or both are the same.
    """
    if segment == against:
        raise ConfigurationError("--against: names the segment itself; name another one")
    with published(settings) as connection:
        names = _segments(connection, [segment] if against is None else [segment, against])
        if against is None:
            rows = _rows(
                connection,
                "select enrichment_id, attribute, difference_rank, difference_ratio, chance_ratio, is_uncertain,"
                " difference_in_words, members_count, others_count from marts.segment_differentiators"
                " where segment_id = ? order by enrichment_id, difference_rank",
                [segment],
            )
        else:
            rows = _compared(
                connection,
                segment,
                against,
                names=names,
                significance=float(project_variable(settings.project_dir, "segment_significance_ratio")),
            )
    facts = {"segment_id": segment, "against": against, "differentiators": rows}
    title = f"{names[segment]}, against {'all others' if against is None else names[against]}"
    return Outcome(facts=facts, summary=lambda: _print_differentiators(title, rows, limit=limit))


def quick(settings: Settings, attribute: str | None, *, limit: int) -> Outcome:
    """Segments that one condition would make, with their size; of one attribute or of all.

    Raises ConfigurationError where the attribute is unknown.
    """
    with published(settings) as connection:
        if attribute is not None:
            _attribute(connection, attribute, use="in_quick_segments")
        rows = _rows(
            connection,
            "select enrichment_id, attribute, condition_position, condition_in_words, percentile, accounts_count,"
            " accounts_ratio, rule_options from marts.quick_segments where attribute = ? or ? is null"
            " order by enrichment_id, attribute, condition_position",
            [attribute, attribute],
        )
    return Outcome(facts={"quick_segments": rows}, summary=lambda: _print_quick(rows, limit=limit))


def suggest(settings: Settings, *, measure: str | None) -> Outcome:
    """Groups of accounts whose measure differs significantly from that of all others.

    Raises ConfigurationError where the published ones are of another measure: those need a build.
    """
    with published(settings) as connection:
        row = connection.execute(
            "select attribute, attribute_label from marts.compared_attributes where is_suggestion_measure"
        ).fetchone()
        made_for, label = row or (None, None)
        if measure is not None and measure != made_for:
            _attribute(connection, measure, kind="number")
            raise ConfigurationError(
                f"--measure: suggested segments are published for {made_for or 'no measure'}; for {measure} set var"
                " suggestion_measure in dbt_project.yml, then run `engagement run` (or `dbt build` and `engagement"
                " publish`)"
            )
        rows = _rows(
            connection,
            "select enrichment_id, suggestion_rank, rule_in_words, rule_options, conditions_count, accounts_count,"
            " others_count, measure_mean, others_measure_mean, measure_difference, t_value,"
            " corrected_chance_ratio, candidates_count from marts.segment_suggestions"
            " order by enrichment_id, suggestion_rank",
        )
    facts = {"measure": made_for, "suggestions": rows}
    return Outcome(facts=facts, summary=lambda: _print_suggestions(label, rows))


# ---------------------------------------------------------------------------------------------------
# reading


def _rows(
    connection: Connection, query: str, parameters: list[Any] | dict[str, Any] | None = None
) -> list[Row]:
    result = connection.execute(query, parameters)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def _one(connection: Connection, query: str, parameters: list[Any]) -> tuple[Any, ...]:
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _sizes(connection: Connection) -> dict[str, dict[str, Row]]:
    """By enrichment and segment: how many members it has at the newest day."""
    sizes: dict[str, dict[str, Row]] = defaultdict(dict)
    for row in _rows(connection, SEGMENTS_COUNTED):
        sizes[row["enrichment_id"]][row["segment_id"]] = row
    return dict(sizes)


def _segments(connection: Connection, segments: Sequence[str]) -> dict[str, str]:
    """The names of segments by their ids, each once; ConfigurationError where one is unknown or not active."""
    known = {
        segment: (name, is_active)
        for segment, name, is_active in connection.execute(
            "select segment_id, segment_name, is_active from marts.segments order by segment_id"
        ).fetchall()
    }
    for segment in segments:
        if segment not in known:
            raise ConfigurationError(
                f"SEGMENT: {segment!r} is no segment that is published; there are {', '.join(known) or 'none'}"
            )
        if not known[segment][1]:
            raise ConfigurationError(
                f"SEGMENT: {segment} is not active, so nobody is in it; set active: true in its YAML, then run"
                " `engagement run`"
            )
    return {segment: known[segment][0] for segment in segments}


def _attribute(
    connection: Connection, attribute: str, *, use: str | None = None, kind: Literal["number"] | None = None
) -> Row:
    """What is published of an attribute; ConfigurationError, naming those that there are, where it is unknown."""
    conditions = [condition for condition in (use, kind and f"attribute_kind = {literal(kind)}") if condition]
    if use is None and kind is None:
        conditions.append("published_in is not null")
    known = {
        row["attribute"]: row
        for row in _rows(
            connection,
            f"select * from marts.compared_attributes where {' and '.join(conditions)} order by attribute",
        )
    }
    if attribute not in known:
        raise ConfigurationError(
            f"ATTRIBUTE: {attribute!r} is no {kind or 'attribute'} that can be asked for; there are {', '.join(known)}"
        )
    return known[attribute]


def _make_members(connection: Connection, enrichment_id: str, segments: Sequence[str]) -> None:
    """Temporary table `members` (segment_id, account_id) of one enrichment."""
    connection.execute(
        "create or replace temp table members as select segment_id, account_id from marts.segment_members"
        " where enrichment_id = ? and list_contains(?, segment_id)",
        [enrichment_id, list(segments)],
    )


def _make_values(connection: Connection, enrichment_id: str, attributes: Sequence[Row]) -> None:
    """Temporary table `valued` (account_id, attribute, kind, value_text, value_number): every account and attribute."""
    connection.execute(
        "create or replace temp table valued (account_id varchar, attribute varchar, kind varchar, value_text varchar,"
        " value_number double)"
    )
    by_mart: dict[str, list[Row]] = defaultdict(list)
    for attribute in attributes:
        by_mart[attribute["published_in"]].append(attribute)
    for mart, chosen in by_mart.items():
        conditions = [CONDITION_OF.get(mart, "true")]
        if mart not in WITHOUT_ENRICHMENT:
            conditions.append(f"enrichment_id = {literal(enrichment_id)}")
        listed = ", ".join(
            "{"
            f"'attribute': {literal(row['attribute'])}, 'kind': {literal(row['attribute_kind'])}, 'value_text': "
            + (f"nullif(trim(cast({_expression(row)} as varchar)), '')" if is_text else "null::varchar")
            + ", 'value_number': "
            + ("null::double" if is_text else f"cast({_expression(row)} as double)")
            + "}"
            for row in chosen
            for is_text in [row["attribute_kind"] != "number"]
        )
        connection.execute(
            "insert into valued select account_id, value.attribute, value.kind, value.value_text, value.value_number"
            f" from (select accounts.account_id, unnest([{listed}]) as value"
            " from (select account_id from marts.enriched_customers) as accounts"
            f" left join (select * from marts.{quoted(mart)} where {' and '.join(conditions)}) as mart"
            " using (account_id))"
        )


def _expression(attribute: Row) -> str:
    """Where the value of an attribute is found in its mart; the customer's own columns may have any name."""
    if attribute["is_own"]:
        return f"mart.{quoted(attribute['published_as'])}"
    return str(attribute["published_as"])


def _common_by_value(connection: Connection, segments: int, common: int) -> list[Row]:
    """Accounts in all segments, and all accounts, by value; numbers by quarters of all accounts."""
    return _rows(
        connection,
        """
        with
        quarters as (
            select unnest(list_distinct(quantile_disc(value_number, [0.25, 0.5, 0.75]))) as from_number from valued
        ),
        bounds as (
            select
                from_number,
                lead(from_number) over (order by from_number) as below_number
            from (
                select from_number from quarters union
                select min(value_number) from valued where value_number is not null having count(*) > 0
            )
        ),
        bucketed as (
            select
                valued.account_id,
                case
                    when kind != 'number' then coalesce(value_text, 'unknown')
                    when value_number is null then 'unknown'
                    when below_number is null then 'at least ' || printf('%.15g', from_number)
                    else printf('%.15g', from_number) || ' to below ' || printf('%.15g', below_number)
                end as value,
                value_text is null and value_number is null as is_missing,
                from_number
            from valued
            left join bounds
                on value_number >= from_number and (below_number is null or value_number < below_number)
        ),
        common as (
            select account_id from members group by account_id having count(*) = $segments
        )
        select
            value,
            count(common.account_id) as common_count,
            count(common.account_id) / nullif($common, 0)::double as common_ratio,
            count(*) as accounts_count
        from bucketed
        left join common using (account_id)
        group by value, is_missing, from_number
        order by is_missing, from_number, common_count desc, accounts_count desc, value
        """,
        {"segments": segments, "common": common},
    )


def _compared(
    connection: Connection, segment: str, against: str, *, names: dict[str, str], significance: float
) -> list[Row]:
    """The rows of `differentiators` for two segments: the scores of the marts, with the second as the others."""
    attributes = {
        row["attribute"]: row
        for row in _rows(
            connection,
            "select * from marts.compared_attributes where in_differentiators and published_in is not null"
            " order by attribute",
        )
    }
    compared: list[Row] = []
    for enrichment_id, sizes in _sizes(connection).items():
        members, others = sizes[segment]["members_count"], sizes[against]["members_count"]
        if not members or not others:
            continue
        _make_members(connection, enrichment_id, [segment, against])
        connection.execute(
            "create or replace temp table sides as select account_id, if(segment_id = ?, 1, 2) as side from members",
            [segment],
        )
        _make_values(connection, enrichment_id, list(attributes.values()))
        rows = []
        for query in (CATEGORIES_COMPARED, NUMBERS_COMPARED):
            for attribute, difference, chance, widest in connection.execute(
                query, {"significance": significance}
            ).fetchall():
                words = widest.get("statement") or STATEMENTS[widest["place"]]
                if widest.get("value") is not None:
                    words += f" {widest['value']:.15g}"
                said = (
                    f"{words} {100 * widest['members'] / members:.0f} % of {names[segment]},"
                    f" {100 * widest['others'] / others:.0f} % of {names[against]}"
                )
                rows.append(
                    {
                        "enrichment_id": enrichment_id,
                        "attribute": attribute,
                        "difference_ratio": difference,
                        "chance_ratio": chance,
                        "is_uncertain": not difference > chance,
                        "difference_in_words": f"{attributes[attribute]['attribute_label']}: "
                        + (said if difference else "no difference"),
                        "members_count": members,
                        "others_count": others,
                    }
                )
        rows.sort(key=lambda row: (row["is_uncertain"], -row["difference_ratio"], row["attribute"]))
        compared += [row | {"difference_rank": rank} for rank, row in enumerate(rows, start=1)]
    return compared


# ---------------------------------------------------------------------------------------------------
# showing


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.0f} %"


def _number(value: float) -> str:
    """A mean, with as many digits as it needs to be told from another."""
    if not value:
        return "0"
    digits = max(0, 3 - math.floor(math.log10(abs(value))) - 1)
    return f"{value:,.{digits}f}"


def _by_enrichment(rows: Sequence[Row]) -> dict[str, list[Row]]:
    grouped: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        grouped[row["enrichment_id"]].append(row)
    return dict(grouped)


def _print_table(
    title: str, columns: Sequence[tuple[str, Literal["left", "right"]]], rows: Sequence[Sequence[str]]
) -> None:
    from rich.table import Table

    from engagement.report import console

    table = Table(title=title, title_justify="left", box=None)
    for heading, justify in columns:
        table.add_column(heading, justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    printed = console()
    # A rule is there to be copied, so nothing is cut to a width.
    printed.width = max(printed.width, 400)
    printed.print(table)
    printed.print()


def _print_line(line: str) -> None:
    from engagement.report import console

    console().print(line, soft_wrap=True)


def _print_overlap(enrichments: Sequence[Row], by: str | None, *, limit: int) -> None:
    for entry in enrichments:
        _print_table(
            f"{entry['enrichment_id']}: {counted(entry['common_count'], 'account')} in all of them,"
            f" {entry['either_count']:,} in at least one (Jaccard {_percent(entry['jaccard_ratio'])})",
            [("segment", "left"), ("accounts", "right"), ("in all", "right")],
            [
                (row["segment_name"], f"{row['members_count']:,}", _percent(row["common_ratio"]))
                for row in entry["segments"]
            ],
        )
        if by is not None:
            _print_table(
                f"Accounts in common by {by}",
                [(by, "left"), ("in common", "right"), ("share", "right"), ("all accounts", "right")],
                [
                    (
                        row["value"],
                        f"{row['common_count']:,}",
                        _percent(row["common_ratio"]),
                        f"{row['accounts_count']:,}",
                    )
                    for row in entry["values"][:limit]
                ],
            )


def _print_differentiators(title: str, rows: Sequence[Row], *, limit: int) -> None:
    if not rows:
        _print_line(f"{title}: nobody to compare, or nothing known of anybody.")
    for enrichment_id, listed in _by_enrichment(rows).items():
        size = f"{listed[0]['members_count']:,} and {listed[0]['others_count']:,} accounts"
        _print_table(
            f"{title} ({enrichment_id}, {size}; {min(limit, len(listed))} of {len(listed)} attributes)",
            [("difference", "right"), ("by chance up to", "right"), ("", "left"), ("furthest apart", "left")],
            [
                (
                    "-" if row["difference_ratio"] is None else f"{row['difference_ratio']:.2f}",
                    "-" if row["chance_ratio"] is None else f"{min(1, row['chance_ratio']):.2f}",
                    "uncertain" if row["is_uncertain"] else "",
                    row["difference_in_words"],
                )
                for row in listed[:limit]
            ],
        )


def _print_quick(rows: Sequence[Row], *, limit: int) -> None:
    if not rows:
        _print_line("No condition divides the accounts.")
    for enrichment_id, listed in _by_enrichment(rows).items():
        _print_table(
            f"Quick segments ({enrichment_id}, {min(limit, len(listed))} of {len(listed)})",
            [
                ("accounts", "right"),
                ("share", "right"),
                ("condition", "left"),
                ("engagement segment new ID ...", "left"),
            ],
            [
                (
                    f"{row['accounts_count']:,}",
                    _percent(row["accounts_ratio"]),
                    row["condition_in_words"],
                    row["rule_options"] or "-",
                )
                for row in listed[:limit]
            ],
        )


def _print_suggestions(label: str | None, rows: Sequence[Row]) -> None:
    if label is None:
        _print_line("No account has the measure of var suggestion_measure; correct it in dbt_project.yml.")
    elif not rows:
        _print_line(f"{label}: no group of accounts differs significantly from the others.")
    for enrichment_id, listed in _by_enrichment(rows).items():
        _print_table(
            f"Suggested segments by {label} ({enrichment_id})",
            [
                ("accounts", "right"),
                ("mean", "right"),
                ("of the others", "right"),
                ("by chance", "right"),
                ("rule", "left"),
                ("engagement segment new ID ...", "left"),
            ],
            [
                (
                    f"{row['accounts_count']:,}",
                    _number(row["measure_mean"]),
                    _number(row["others_measure_mean"]),
                    f"{row['corrected_chance_ratio']:.1g}",
                    row["rule_in_words"],
                    row["rule_options"] or "-",
                )
                for row in listed
            ],
        )
