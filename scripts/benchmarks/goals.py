"""What the extraction has to reach, and whether it does."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.measure import Run

TIMES_DLT_RATE = 5.0
SHARE_OF_DLT_CPU = 1 / 5
MESSAGES_PER_SECOND = 50_000.0
# Room for what every mailbox costs for good (its task and its plan) and for the difference between repetitions.
FLAT_MEMORY = 1.25


@dataclass(frozen=True)
class Goal:
    """A figure and its bound, which is reached when met exactly; `value` is None where it was not measured."""

    name: str
    value: float | None
    bound: float
    at_least: bool

    @property
    def met(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound


@dataclass(frozen=True)
class Spread:
    """The median of repetitions, and the least and the most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


def ratios(upper: Sequence[float], lower: Sequence[float]) -> list[float]:
    """Quotients of measurements that were made one after the other: what slows the machine slows both."""
    return [one / other for one, other in zip(upper, lower, strict=True)]


def goals(
    ours: Sequence[Run], dlt: Sequence[Run], few: Sequence[Run], many: Sequence[Run]
) -> tuple[Goal, ...]:
    """All goals, by the medians of the repetitions; what was not run was not measured."""

    def median(values: Sequence[float]) -> float | None:
        return statistics.median(values) if values else None

    beside = ours if dlt else ()
    rate = ratios([run.rate for run in beside], [run.rate for run in dlt])
    cpu = ratios([run.cpu_per_million for run in beside], [run.cpu_per_million for run in dlt])
    memory = ratios([run.peak_mb for run in many], [run.peak_mb for run in few])
    return (
        Goal("messages a second, times dlt's", median(rate), TIMES_DLT_RATE, at_least=True),
        Goal("CPU for a message, share of dlt's", median(cpu), SHARE_OF_DLT_CPU, at_least=False),
        Goal("messages a second", median([run.rate for run in ours]), MESSAGES_PER_SECOND, at_least=True),
        Goal("peak memory, many mailboxes to few", median(memory), FLAT_MEMORY, at_least=False),
    )
