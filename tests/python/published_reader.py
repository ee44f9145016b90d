"""A process that reads the published file as a BI tool does: opens it, asks, holds it, asks again, without an end.

Whatever happens beside it, no read may fail, what it holds must not change under it, all tables must be of one
generation, and none may be older than one it has seen.
"""

from __future__ import annotations

import json
import random
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import duckdb

_GENERATION = "select as_of_date, published_at, run_id from marts.publication"
_COUNTS = (
    "select (select count(*) from marts.account_engagement), (select count(*) from marts.enriched_customers),"
    " (select count(*) from marts.run_history), (select max(started_at) from marts.run_history)"
)


@dataclass
class Reads:
    """What a reader saw. `failed` are opens or queries that raised, `changed` held snapshots that changed, `mixed`
    generations whose tables were once these and once others, `backwards` generations older than one seen before.
    """

    reads: int = 0
    failed: int = 0
    changed: int = 0
    mixed: int = 0
    backwards: int = 0
    generations: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> int:
        return self.failed + self.changed + self.mixed + self.backwards

    def add(self, other: Reads) -> None:
        """Counts what another reader saw."""
        for name in ("reads", "failed", "changed", "mixed", "backwards"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.generations = max(self.generations, other.generations)
        self.errors += other.errors


def read(path: Path, longest_hold_seconds: float) -> Reads:
    """Reads until standard input ends."""
    found = Reads()
    newest: tuple[object, ...] | None = None
    seen: dict[str, tuple[object, ...]] = {}
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        try:
            with duckdb.connect(str(path), read_only=True) as connection:
                generation = connection.execute(_GENERATION).fetchone()
                counts = connection.execute(_COUNTS).fetchone()
                found.reads += 1
                time.sleep(random.uniform(0, longest_hold_seconds))
                again = connection.execute(_GENERATION).fetchone(), connection.execute(_COUNTS).fetchone()
                found.reads += 1
        except duckdb.Error as error:
            found.failed += 1
            found.errors.append(str(error)[:200])
            continue
        assert generation is not None and counts is not None
        found.changed += again != (generation, counts)
        found.mixed += seen.setdefault(generation[2], counts) != counts
        # The instant is one of whole seconds: two runs of one second stand in no order.
        found.backwards += newest is not None and generation[:2] < newest[:2]
        newest = generation if newest is None else max(newest, generation)
    found.generations = len(seen)
    return found


@contextmanager
def reading(path: Path, *, processes: int = 1, longest_hold_seconds: float = 0.3) -> Iterator[Reads]:
    """Readers beside the block; what they saw stands in the result once it is over."""
    found = Reads()
    started = [
        subprocess.Popen(
            [sys.executable, __file__, str(path), str(longest_hold_seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        yield found
    finally:
        for process in started:
            output, _ = process.communicate("over\n")
            found.add(Reads(**json.loads(output)))


if __name__ == "__main__":
    print(json.dumps(asdict(read(Path(sys.argv[1]), float(sys.argv[2])))))
