"""What was measured as a table, as JSON and as a document."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks import dlt_pipeline, prepared
from benchmarks.goals import FLAT_MEMORY, Goal, Spread, ratios
from benchmarks.measure import Run

OURS, DLT = "engagement", "dlt"
LIBRARIES = ("duckdb", "httpx", "msgspec")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "bench-extract.md"


@dataclass
class Result:
    """All runs in their order; `without_dlt` says why there are none of dlt's."""

    without_dlt: str | None
    message_bytes: float = 0.0
    flat: tuple[int, int] = (0, 0)
    ours: list[Run] = field(default_factory=list)
    dlt: list[Run] = field(default_factory=list)
    few: list[Run] = field(default_factory=list)
    many: list[Run] = field(default_factory=list)
    versions: dict[str, dict[str, str]] = field(default_factory=dict)


_MEASURES: tuple[tuple[str, Callable[[Run], float], str], ...] = (
    ("messages a second", lambda run: run.rate, ",.0f"),
    ("CPU seconds a million messages", lambda run: run.cpu_per_million, ",.1f"),
    ("peak memory, MB", lambda run: run.peak_mb, ",.0f"),
    ("seconds in all", lambda run: run.seconds, ",.1f"),
    ("of these before the first page of mail", lambda run: run.seconds_to_first_page, ",.2f"),
    ("the service's share of the CPU, %", lambda run: run.service_share * 100, ",.1f"),
    ("requests", lambda run: run.requests, ",.0f"),
)


def machine() -> dict[str, str]:
    """The machine in general words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {
        "cores": str(cores),
        "memory": f"{memory:.0f} GB",
        "system": platform.system(),
        "processor": platform.machine(),
        "python": platform.python_version(),
    }


def as_json(result: Result, goals: Sequence[Goal]) -> str:
    """Everything as one object."""
    runs = {
        name: [
            asdict(run) | {"messages_per_second": run.rate, "cpu_seconds_per_million": run.cpu_per_million}
            for run in getattr(result, name)
        ]
        for name in ("ours", "dlt", "few", "many")
    }
    return msgspec.json.encode(
        {
            "date": datetime.now(UTC).date(),
            "machine": machine(),
            "versions": result.versions,
            "without_dlt": result.without_dlt,
            "message_bytes": result.message_bytes,
            "runs": runs,
            "goals": [asdict(goal) | {"met": goal.met} for goal in goals],
        }
    ).decode()


def as_table(result: Result, goals: Sequence[Goal]) -> str:
    """For a terminal."""
    lines = [*aligned(_rows(result)), "", *aligned(goal_rows(goals))]
    if result.without_dlt:
        lines.append(f"dlt was not measured: {result.without_dlt}")
    return "\n".join(lines)


def _text(values: Sequence[float], form: str) -> str:
    """Median, and in brackets the least and the most."""
    if not values:
        return "-"
    spread = Spread.of(values)
    return f"{spread.median:{form}} ({spread.least:{form}} - {spread.most:{form}})"


def _size(runs: Sequence[Run]) -> str:
    return f"{runs[0].messages:,} messages" if runs else "-"


def _rows(result: Result) -> list[list[str]]:
    rows = [
        [
            "median (least - most)",
            f"{OURS}, {_size(result.ours)}",
            f"{DLT}, {_size(result.dlt)}",
            f"{OURS} / {DLT}",
            f"few mailboxes, {_size(result.few)}",
            f"many mailboxes, {_size(result.many)}",
            "many / few",
        ]
    ]
    for name, of, form in _MEASURES:
        ours, dlt, few, many = (
            [of(run) for run in runs] for runs in (result.ours, result.dlt, result.few, result.many)
        )
        rows.append(
            [
                name,
                _text(ours, form),
                _text(dlt, form),
                _text(ratios(ours, dlt), ".2f") if dlt else "-",
                _text(few, form),
                _text(many, form),
                _text(ratios(many, few), ".2f"),
            ]
        )
    return rows


_VERDICT = {(True, True): "met", (True, False): "MISSED", (False, False): ""}


def goal_rows(goals: Sequence[Goal]) -> list[list[str]]:
    """A table of goals: bound, measured and whether it was met."""
    rows = [["goal", "bound", "measured", ""]]
    for goal in goals:
        measured = "not measured" if goal.value is None else f"{goal.value:,.2f}"
        bound = f"at {'least' if goal.at_least else 'most'} {goal.bound:,.2f}"
        rows.append([goal.name, bound, measured, _VERDICT[goal.value is not None, goal.met]])
    return rows


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table for a terminal, in lines."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is its head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_document(result: Result, goals: Sequence[Goal]) -> str:
    """docs/bench-extract.md."""
    here = machine()
    versions = "\n".join(
        f"{name}: {', '.join(f'{library} {version}' for library, version in libraries.items())}."
        for name, libraries in result.versions.items()
        if libraries
    )
    first, few = result.ours[0], result.few[0]
    repeat = len(result.ours)
    return f"""\
# How fast mail is extracted

<!-- Written by `make bench-extract BENCH=--docs`. -->

`make bench-extract` measures the extraction of mail (`engagement extract office`) and, in the same run and from the
same service, a dlt pipeline that reads the same properties of the same messages. It ends with exit code 1 when a goal
is missed, and with 2 when either of them did not land every message exactly once.

Measured on {datetime.now(UTC).date()}; {here["cores"]} cores ({here["processor"]}), {here["memory"]} of memory, \
{here["system"]}, Python {here["python"]}.

{versions}

## Goals

{markdown(goal_rows(goals))}

## Figures

The median of {repeat} repetitions ({len(result.few)} of memory), and the least and the most of them; {OURS} and {DLT}
took turns, as did few and many mailboxes. A ratio is the median of the ratios of two neighbouring runs, since what
slows the machine slows both.

{markdown(_rows(result))}
{f"{chr(10)}dlt was not measured: {result.without_dlt}.{chr(10)}" if result.without_dlt else ""}
- What is measured is a whole process, its start included: wall time, its own user and system time with that of the
  processes it started, its largest resident memory (of several processes the largest, not the sum).
- {OURS} against {DLT}: {first.messages:,} messages of {result.message_bytes:,.0f} bytes in the mean, spread over a
  year, of about {prepared.ADDRESSES:,} people in {prepared.DOMAINS} domains. Both land into an empty DuckDB file.
- Memory: {few.messages:,} messages in {result.flat[0]:,} mailboxes and as many in {result.flat[1]:,}. It is flat when
  the ratio is at most {FLAT_MEMORY}: room for what each mailbox costs for good (its task and its plan) and for the
  difference between repetitions. The benchmark does not set DuckDB's memory_limit: it is what the command makes it, the
  same in both. With the messages themselves memory rises until the transactions are full and DuckDB's cache is warm.

## The service

A process of its own on the same machine that rendered every message before the clock started; an answer is a stretch of
these bytes. Its processor time is not counted for either side, but it does take it from the same cores: its share is in
the table. It answers at once, without encryption, compression, throttling and latency, all of which the real
service has.

## dlt's settings

dlt's REST API source with the same path, `$select`, `$filter`, `$orderby` and pages followed by `@odata.nextLink`; one
request series for a mailbox's whole year, {dlt_pipeline.PAGE:,} messages a page (the most that Graph gives); one
resource for each mailbox, all into one table, `parallelized`; write disposition `append`; normalised as dlt does
(messages, and a child table each for their recipients in To and Cc); destination DuckDB by way of files in the format
{dlt_pipeline.FILE_FORMAT}; orjson and pyarrow installed; telemetry off.

{markdown([["setting", "value"], *([f"`{name}`", f"`{value}`"] for name, value in dlt_pipeline.SETTINGS.items())])}

What was tried with {dlt_pipeline.TRIED_MESSAGES:,} messages on {dlt_pipeline.TRIED_ON}: the median of three turns,
and the least and the most; the rest once. The machine was busy with other work, so the rates are rough; the CPU seconds
are not.

{markdown([["tried", "messages a second", "CPU seconds a million"], *([*row] for row in dlt_pipeline.TRIED)])}

## What the figures do and do not say

- They compare two ways into DuckDB when the service is not what is waited for. They do not say how long an
  extraction from Microsoft takes: that is decided by the service's answers and limits.
- {OURS} asks more often ({first.requests:,} requests here): folders, calendars (which are empty here), a count, and a
  slice for every month or 31 days, which is what lets a killed run go on. dlt is not asked for that.
- They do not store the same: {OURS} stores keyed hashes of addresses and ids in one row with a list of recipients,
  with a ledger in the same transaction; dlt stores everything as it came, in a table and its child tables. dlt can read
  any service by a few lines of configuration; this extraction can read one.
- Fewer cores, slower disks and longer messages change both, and not by the same factor.
"""
