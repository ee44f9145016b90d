"""What was measured, as a table, as JSON, and as docs/scale-figures.md with its picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.goals import Goal
from benchmarks.measure import MEGABYTE
from benchmarks.report import aligned, goal_rows, machine, markdown
from benchmarks.scale.processes import Cost

if TYPE_CHECKING:
    from benchmarks.scale.bench import Size

STEPS = (
    "floor",
    "full build",
    "publish",
    "refresh, nothing new",
    "refresh, one week",
    "floor after the week",
)
PAGE, PICTURE = "scale-figures.md", "scale.svg"
COMMAND = "make bench BENCH=--docs"


def as_json(startup: Size, sizes: Sequence[Size], goals: Sequence[Goal]) -> str:
    """Everything, for machines."""

    def one(size: Size) -> dict[str, Any]:
        figures = asdict(size)
        for costs in (figures["costs"], figures["rivals"]):
            for cost in costs.values():
                if isinstance(cost, dict):
                    cost.pop("output")
        return figures

    return json.dumps(
        {
            "machine": machine(),
            "start_up": one(startup),
            "sizes": [one(size) for size in sizes],
            "goals": [{**asdict(goal), "met": goal.met} for goal in goals],
        },
        indent=2,
    )


def _cost(cost: Cost | str | None) -> list[str]:
    if cost is None:
        return ["", "", ""]
    if isinstance(cost, str):
        return [cost, "", ""]
    return [f"{cost.seconds:,.1f}", f"{cost.cpu_seconds:,.1f}", f"{cost.peak_mb:,.0f}"]


def _rows(startup: Size, sizes: Sequence[Size]) -> list[list[str]]:
    rows = [["copies", "what", "seconds", "of processor", "peak MB", "times the floor"]]
    rows.append([f"{startup.copies:,}", "full build (start-up)", *_cost(startup.costs["full build"]), ""])
    for size in sizes:
        floor = size.seconds("floor")
        for step in STEPS:
            if step in size.costs:
                times = f"{size.costs[step].seconds / floor:.2f}" if floor else ""
                rows.append([f"{size.copies:,}", step, *_cost(size.costs[step]), times])
        after = size.seconds("floor after the week")
        for name, rival in size.rivals.items():
            times = f"{rival.seconds / after:.2f}" if isinstance(rival, Cost) and after else ""
            rows.append([f"{size.copies:,}", name, *_cost(rival), times])
    return rows


def _size_rows(sizes: Sequence[Size]) -> list[list[str]]:
    rows = [["copies", "raw tables, MB", "private file, MB", "published file, MB", "slowest dashboard query"]]
    for size in sizes:
        queries = size.facts.get("queries", {}).get("milliseconds", {})
        slowest = max(queries, key=queries.__getitem__, default="")
        rows.append(
            [
                f"{size.copies:,}",
                *(f"{size.facts[key] / MEGABYTE:,.0f}" for key in ("raw_bytes", "bytes", "published_bytes")),
                f"{queries[slowest]:.0f} ms ({slowest})" if slowest else "",
            ]
        )
    return rows


def _slowest_rows(sizes: Sequence[Size]) -> list[list[str]]:
    slowest = sizes[-1].facts["full build"]["slowest_seconds"]
    return [["model or test", "seconds"], *([name, f"{seconds:.1f}"] for name, seconds in slowest.items())]


def as_table(startup: Size, sizes: Sequence[Size], goals: Sequence[Goal]) -> str:
    """For people, on a terminal."""
    parts = (_rows(startup, sizes), _size_rows(sizes), _slowest_rows(sizes), goal_rows(goals))
    return "\n\n".join("\n".join(aligned(rows)) for rows in parts)


def write(folder: Path, startup: Size, sizes: Sequence[Size], goals: Sequence[Goal]) -> None:
    """Writes the page and its picture into the folder."""
    figures = "\n".join(f"- {name}: {value}" for name, value in machine().items())
    (folder / PAGE).write_text(
        f"""# How fast it is

Written by `{COMMAND}`; what it measures and why stands in [scale.md](scale.md). Seconds are of one run
on one machine; ratios of what ran one after the other are what counts. Every result was equal, cell by cell, before its
time counted.

{figures}

![Seconds by copies](scale.svg)

{markdown(_rows(startup, sizes))}

{markdown(_size_rows(sizes))}

The slowest at {sizes[-1].copies:,} copies, of a full build (two at a time, so that they slow each other):

{markdown(_slowest_rows(sizes))}

{markdown(goal_rows(goals))}
""",
        "utf-8",
    )
    _draw(folder / PICTURE, sizes)


def _draw(path: Path, sizes: Sequence[Size]) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "scale", "font.family": "sans-serif"}):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        axes = figure.subplots()
        series: dict[str, list[tuple[int, float]]] = {}
        for size in sizes:
            for step in ("floor", "full build", "refresh, one week"):
                if step in size.costs:
                    series.setdefault(step, []).append((size.copies, size.costs[step].seconds))
            for name, rival in size.rivals.items():
                if isinstance(rival, Cost):
                    series.setdefault(name, []).append((size.copies, rival.seconds))
        for name, points in series.items():
            is_ours = name in STEPS
            axes.plot(
                *zip(*points, strict=True),
                marker="o",
                linewidth=2.2 if is_ours else 1.2,
                linestyle="-" if is_ours else "--",
                label=name,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("message copies")
        axes.set_ylabel("seconds")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=9)
        figure.savefig(path, metadata={"Date": None, "Creator": None})
