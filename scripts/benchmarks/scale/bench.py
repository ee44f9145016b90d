"""What `make bench` runs: the project on a made-up tenant of 1, 10 and 100 million message copies, beside what else
could do the work.

    floor      hand-written SQL on DuckDB that computes the original's columns and nothing else (floor.sql)
    rivals     the same columns by pandas, Polars, PostgreSQL and Spark, from the raw tables as Parquet
    start-up   the same build on a tenant of next to nothing: what dbt itself costs

Every result is compared with the others, cell by cell, before any time counts. Ratios of times measured one after the
other on the same machine are judged, not seconds. The exit code is 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.goals import Goal
from benchmarks.measure import SCRIPTS, BenchError, environment_of
from benchmarks.scale import compare, report, tenant
from benchmarks.scale.processes import Cost, TooLongError, measured
from engagement import room
from engagement.raw_to_parquet import raw_to_parquet

SIZES = (1_000_000, 10_000_000, 100_000_000)
LARGEST = 100_000_000
NEXT_TO_NOTHING = 10_000
TIMES_FLOOR, TIMES_REFRESH, TIMES_RIVAL, MOST_MEMORY_MB = 2.0, 1.5, 5.0, 6_000.0
MEMORY_LIMIT_MB, THREADS = 4_800, 2
# Of a folder, for each copy: raw rows, what is built of them and spilled, and the raw tables as Parquet.
BYTES_PER_COPY = 400
RESULT = "marts.account_engagement"
PYTHON_OF = {
    "pandas": Path(".venv-rivals/bin/python"),
    "polars": Path(".venv-rivals/bin/python"),
    "postgres": Path(".venv-rivals/bin/python"),
    "spark": Path(".venv-spark/bin/python"),
}


@dataclass
class Size:
    """What was measured on a tenant of so many copies; a step that was not run is missing."""

    copies: int
    costs: dict[str, Cost] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    rivals: dict[str, Cost | str] = field(default_factory=dict)

    def seconds(self, step: str) -> float | None:
        return self.costs[step].seconds if step in self.costs else None


def say(text: str) -> None:
    """What a person hears while it goes on."""
    print(text, file=sys.stderr, flush=True)


class Bench:
    """One run, in a folder of its own."""

    def __init__(self, folder: Path, *, most_seconds: float) -> None:
        self.folder = folder
        self.most_seconds = most_seconds

    def step(self, size: Size, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Cost:
        say(f"  {name} ...")
        cost = measured(command, environment)
        say(f"  {name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of processor, {cost.peak_mb:,.0f} MB")
        size.costs[name] = cost
        return cost

    def measure(self, copies: int, *, is_whole: bool = True) -> Size:
        """Everything of ours on a tenant of one size; it stays in its folder. Without `is_whole` only the build."""
        size = Size(copies)
        folder = self.folder / str(copies)
        say(f"{copies:,} copies")
        made = tenant.make(folder, copies)
        environment = {
            **made.environment(),
            tenant.MEMORY_LIMIT: f"{MEMORY_LIMIT_MB}MB",
            "DBT_TARGET_PATH": str(folder / "target"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }

        def ours(name: str, step: str) -> dict[str, Any]:
            command = [sys.executable, "-m", "benchmarks.scale.steps", step, str(folder)]
            output = self.step(size, name, command, environment).output
            return json.loads(output.strip().splitlines()[-1])  # type: ignore[no-any-return]

        size.facts["raw_bytes"] = made.private_file.stat().st_size
        if is_whole:
            self.floor(size, made, "floor", environment)
        size.facts["full build"] = ours("full build", "build")
        size.facts["bytes"] = made.private_file.stat().st_size
        if not is_whole:
            return size
        equal(folder / "floor.parquet", f"{made.private_file}#{RESULT}")
        ours("publish", "publish")
        size.facts["published_bytes"] = made.settings().published_file.stat().st_size
        size.facts["queries"] = ours("queries", "queries")
        ours("refresh, nothing new", "build")
        ours("landing of a week", "land-week")
        size.facts["refresh, one week"] = ours("refresh, one week", "build")
        self.floor(size, made, "floor after the week", environment)
        equal(folder / "floor.parquet", f"{made.private_file}#{RESULT}")
        return size

    def floor(self, size: Size, made: tenant.Tenant, name: str, environment: Mapping[str, str]) -> None:
        command = [sys.executable, "-m", "benchmarks.scale.floor", "--private", str(made.private_file)]
        command += ["--result", str(made.folder / "floor.parquet"), "--memory-limit-mb", str(MEMORY_LIMIT_MB)]
        self.step(size, name, command, environment)

    def rivals(self, size: Size, names: Sequence[str]) -> None:
        """The rivals on the tenant as it is now, each compared with the floor before it counts."""
        folder = self.folder / str(size.copies)
        raw = folder / "raw"
        say("  raw tables as Parquet ...")
        raw_to_parquet(tenant.Tenant(folder).settings(), raw)
        for name in names:
            python = SCRIPTS.parent / PYTHON_OF[name]
            result = folder / f"{name}.parquet"
            result.unlink(missing_ok=True)
            command = [str(python), "-m", f"benchmarks.scale.rivals.rival_{name}", "--raw", str(raw)]
            command += ["--result", str(result), "--threads", str(THREADS)]
            say(f"  {name} ...")
            try:
                cost = measured(
                    command,
                    {**environment_of(folder), "TMPDIR": str(folder), "POLARS_MAX_THREADS": str(THREADS)},
                    at_most_seconds=self.most_seconds,
                )
                equal(folder / "floor.parquet", result)
            except TooLongError as error:
                size.rivals[name] = str(error)
            except BenchError as error:
                size.rivals[name] = f"failed: {str(error).strip().splitlines()[-1][:200]}"
            else:
                size.rivals[name] = cost
                say(
                    f"  {name}: {cost.seconds:.1f} s, {cost.cpu_seconds:.1f} s of processor, {cost.peak_mb:,.0f} MB"
                )
            if isinstance(size.rivals[name], str):
                say(f"  {name}: {size.rivals[name]}")


def equal(one: Path | str, other: Path | str) -> None:
    """BenchError where two results differ."""
    rows, found = compare.differences(str(one), str(other))
    if found or not rows:
        raise BenchError(
            f"{one} and {other} differ, so that no time counts: {'; '.join(found[:3]) or 'no rows'}"
        )


def goals(startup: Size, sizes: Sequence[Size]) -> list[Goal]:
    """What has to be reached: at the largest size that was measured, and by each rival at its largest."""
    largest = sizes[-1]
    found = []
    floor, full, own = largest.seconds("floor"), largest.seconds("full build"), startup.seconds("full build")
    if floor is not None and full is not None and own is not None:
        found.append(
            Goal(
                "full build without start-up, times the floor",
                (full - own) / floor,
                TIMES_FLOOR,
                at_least=False,
            )
        )
        found.append(
            Goal(
                "peak memory of the full build, MB",
                largest.costs["full build"].peak_mb,
                MOST_MEMORY_MB,
                at_least=False,
            )
        )
    if len(sizes) > 1:
        week, smaller = largest.seconds("refresh, one week"), sizes[-2].seconds("refresh, one week")
        if week is not None and smaller is not None:
            found.append(
                Goal(
                    f"refresh of a week, times that at {sizes[-2].copies:,}",
                    week / smaller,
                    TIMES_REFRESH,
                    at_least=False,
                )
            )
    for name in PYTHON_OF:
        finished = [size for size in sizes if isinstance(size.rivals.get(name), Cost)]
        if finished:
            found += _against(name, finished[-1])
    return found


def _against(name: str, size: Size) -> list[Goal]:
    rival, floor = size.rivals[name], size.costs["floor after the week"]
    assert isinstance(rival, Cost)
    at = f"{name} at {size.copies:,}"
    return [
        Goal(
            f"{at}, times our SQL for the same columns",
            rival.seconds / floor.seconds,
            TIMES_RIVAL,
            at_least=True,
        ),
        Goal(f"memory of {at}, times that of our SQL", rival.peak_mb / floor.peak_mb, 1.0, at_least=True),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, says what was found, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.bench")
    parser.add_argument("--copies", default=",".join(map(str, SIZES)), help="sizes, with commas")
    parser.add_argument("--rivals", default=",".join(PYTHON_OF), help="which, with commas; empty for none")
    parser.add_argument("--rival-copies", type=int, default=10_000_000, help="the largest size for rivals")
    parser.add_argument("--most-seconds", type=float, default=3600, help="for a rival")
    parser.add_argument("--folder", type=Path, help="where everything is made; a temporary one by default")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--docs", action="store_true", help="write docs/scale-figures.md and its picture")
    options = parser.parse_args(arguments)
    copies = sorted(int(text) for text in options.copies.split(","))
    rivals = [name for name in options.rivals.split(",") if name]
    parent = options.folder or Path(tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    room.require(
        parent,
        max(copies) * BYTES_PER_COPY,
        what=f"the benchmark of {max(copies):,} copies",
        advice="name another folder with --folder, or fewer with --copies",
    )
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=parent))
    # The server of PostgreSQL runs as somebody else.
    folder.chmod(0o755)
    try:
        bench = Bench(folder, most_seconds=options.most_seconds)
        startup = bench.measure(NEXT_TO_NOTHING, is_whole=False)
        sizes = []
        for number in copies:
            size = bench.measure(number)
            if rivals and number <= options.rival_copies:
                bench.rivals(size, rivals)
            sizes.append(size)
            shutil.rmtree(folder / str(number))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    reached = goals(startup, sizes)
    if options.json:
        print(report.as_json(startup, sizes, reached))
    else:
        print(report.as_table(startup, sizes, reached))
    if options.docs:
        report.write(SCRIPTS.parent / "docs", startup, sizes, reached)
    say(f"measured in {(time.monotonic() - began) / 60:.0f} minutes")
    return 0 if all(goal.met for goal in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
