"""The steps of the benchmark that run in a process of their own.

    python -m benchmarks.scale.steps build FOLDER
    python -m benchmarks.scale.steps land-week FOLDER
    python -m benchmarks.scale.steps publish FOLDER
    python -m benchmarks.scale.steps queries FOLDER

The last words of each are one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.scale import tenant
from benchmarks.scale.script import steps_of
from engagement.build import build
from engagement.run import publish

QUERIES = Path(__file__).with_name("queries.sql")
REPETITIONS = 5


def build_all(folder: Path) -> dict[str, Any]:
    """`dbt build` as `engagement run` calls it: models, seeds and data tests. The seconds of the slowest ten models."""
    build(tenant.Tenant(folder).settings())
    results = json.loads((Path(os.environ["DBT_TARGET_PATH"]) / "run_results.json").read_text("utf-8"))[
        "results"
    ]
    seconds = {result["unique_id"].split(".", 2)[2]: result["execution_time"] for result in results}
    slowest = sorted(seconds, key=lambda name: seconds[name], reverse=True)[:10]
    return {"nodes": len(results), "slowest_seconds": {name: round(seconds[name], 1) for name in slowest}}


def land_week(folder: Path) -> dict[str, Any]:
    """What an extraction a week later lands."""
    tenant.land_week(tenant.Tenant(folder))
    return {}


def publish_all(folder: Path) -> dict[str, Any]:
    """`engagement publish`: Parquet, the published file, the gate, and the exchange."""
    settings = tenant.Tenant(folder).settings()
    publish(settings)
    return {"bytes": settings.published_file.stat().st_size}


def time_queries(folder: Path) -> dict[str, Any]:
    """The queries of dashboards (queries.sql) on the published file, medians of five in milliseconds."""
    found: dict[str, float] = {}
    with duckdb.connect(
        str(tenant.Tenant(folder).settings().published_file), read_only=True, config={"threads": 2}
    ) as connection:
        for name, statements in steps_of(QUERIES):
            [statement] = statements
            seconds = []
            for _ in range(REPETITIONS + 1):
                began = time.perf_counter()
                connection.execute(statement).fetchall()
                seconds.append(time.perf_counter() - began)
            # The first has read the file.
            found[name] = round(1000 * statistics.median(seconds[1:]), 1)
    return {"milliseconds": found}


STEPS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "build": build_all,
    "land-week": land_week,
    "publish": publish_all,
    "queries": time_queries,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.steps")
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args(arguments)
    print(json.dumps(STEPS[options.step](options.folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
