"""Kills commands at every step and at random instants, a thousand times (`make kills`); nothing may be lost, doubled or
disturbed.

    chain: a state is taken up ─► up to 25 kills, each followed by a look at both files ─► one clean run ─► compared

Two sorts of chains: extractions and builds, killed one after another and ended by a whole clean run; and publishing,
ended by a clean publish. Beside each a reader opens, holds and queries the published file without a pause.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import queue
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import duckdb

import test_refresh
from command_server import Command, Server
from engagement.run_state import read_run_state
from kill_world import Rows, World, lost, strange, world
from published_reader import Reads, reading

KILLS_PER_CHAIN = 25
# Of the kills in a chain of extractions and builds.
BUILDS_PER_CHAIN = 3
PUBLISHING_SHARE = 0.4
# Without a look at the process for longer a step cannot be met.
SECONDS_BETWEEN_LOOKS = 0.001
MOST_SECONDS_OF_A_COMMAND = 600.0
# How much longer than measured a command may take, so that its very end is met too.
AFTER_THE_END = 1.1
# A command that had ended before is killed within half of the time, and so on.
MOST_ATTEMPTS = 8

# How often each command is killed in a chain of extractions, and in which step (None: at any instant).
EXTRACTIONS: Mapping[tuple[tuple[str, ...], str | None], float] = {
    (("extract", "office"), "office"): 3,
    (("extract", "office"), None): 3,
    (("extract", "leadspace"), "leadspace"): 2,
    (("extract", "leadspace"), None): 2,
    (("extract", "customers"), "customers"): 1,
    (("extract", "customers"), None): 1,
    (("run",), "customers"): 1,
    (("run",), "office"): 1,
    (("run",), "leadspace"): 1,
}
# Marts that tell of our own clocks and runs: what differs, where anything else may not.
RUN_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "account_lookups": ("answered_at",),
    "account_matches": ("answered_at",),
    "company_changes": ("changed_at",),
    "company_history": ("known_from_at", "known_to_at"),
    "company_values": ("known_from_at",),
    "customer_cards": tuple(
        f"{attribute}_known_from_at"
        for attribute in (
            "company_name",
            "company_website",
            "company_country",
            "company_city",
            "industry",
            "sub_industry",
            "employees_range",
            "annual_revenue_range",
            "employees_count",
            "annual_revenue_usd",
        )
    ),
    "enriched_customers": ("leadspace_answered_at",),
    "leadspace_companies": ("answered_at",),
    # Who is held and then asked about again is a lookup more.
    "leadspace_overview": ("last_answered_at", "lookups_count"),
}
Kind = Literal["extraction", "publishing"]


@dataclass
class Tally:
    """What was done and found. `missed` are commands that had ended before they could be killed."""

    kills: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    chains: int = 0
    clean_runs: int = 0
    lost: int = 0
    doubled: int = 0
    failed: int = 0
    charged_twice: int = 0
    publishes: int = 0
    reads: Reads = field(default_factory=Reads)
    problems: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Counts another chain."""
        self.kills += other.kills
        self.reads.add(other.reads)
        self.problems += other.problems
        for name in (
            "missed",
            "chains",
            "clean_runs",
            "lost",
            "doubled",
            "failed",
            "charged_twice",
            "publishes",
        ):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def is_good(self) -> bool:
        return not (self.problems or self.lost or self.doubled or self.failed or self.reads.wrong)


@dataclass
class Truth:
    """What undisturbed commands gave: raw rows of both weeks, the marts of the second, and how long each step took."""

    before: Rows
    after: Rows
    marts: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    # By command: of its whole and of its steps, seconds.
    seconds: dict[str, float] = field(default_factory=dict)


def mart_columns() -> dict[str, tuple[str, ...]]:
    """Every mart that does not tell of runs, and the columns of it that do."""
    return {table: RUN_COLUMNS.get(table, ()) for table in test_refresh.MARTS}


def prepare(one: World, server: Server, *, is_whole: bool) -> Truth:
    """Publishes the first week and finds out what the second must give, undisturbed.

    Leaves two states: `published` (the second week is to be read) and, if `is_whole`, `built` (it is to be published).
    Without, the first state must have been made before.
    """
    if not (one.states / "published").exists():
        one.succeed(server, "run")
        one.keep("published")
    one.take_up("published")
    one.pass_a_week()
    truth = Truth(one.raw(), {})
    for command in ("customers", "office", "leadspace"):
        timed(one, server, truth, "extract", command)
    truth.after = one.raw()
    if is_whole:
        one.take_up("published")
        timed(one, server, truth, "run")
        assert (lost(one.raw(), truth.after), strange(one.raw(), truth.after)) == (0, 0)
        truth.marts = one.marts(mart_columns())
        shutil.copyfile(one.states / "published" / "data" / "engagement.duckdb", one.workspace.published_file)
        one.keep("built")
        timed(one, server, truth, "publish")
    return truth


def timed(one: World, server: Server, truth: Truth, *arguments: str) -> None:
    """Runs a command to its end, and notes how long it and each of its steps took."""
    began = time.monotonic()
    one.succeed(server, *arguments)
    command = " ".join(arguments)
    truth.seconds[command] = time.monotonic() - began
    for step, seconds in read_run_state(one.workspace.settings(services=()))["steps"].items():
        truth.seconds[f"{command} {step}"] = seconds


def killed(
    one: World,
    server: Server,
    truth: Truth,
    dice: random.Random,
    arguments: Sequence[str],
    step: str | None,
    *,
    share: float = 1.0,
) -> tuple[Command, str]:
    """Starts a command and kills it somewhere in the step, or anywhere, within this share of its usual time; in which
    step it then was.
    """
    name = " ".join(arguments)
    length = truth.seconds[name if step is None else f"{name} {step}"]
    delay = dice.uniform(0, length * AFTER_THE_END * share)
    whole_group = dice.random() < 0.5
    command = server.start(arguments, one.environment, one.root)
    settings = one.workspace.settings(services=())
    deadline = time.monotonic() + MOST_SECONDS_OF_A_COMMAND
    while step is not None and not command.has_ended() and time.monotonic() < deadline:
        state = read_run_state(settings)
        if (state.get("pid"), state.get("step")) == (command.pid, step):
            break
        time.sleep(SECONDS_BETWEEN_LOOKS)
    until = time.monotonic() + delay
    while time.monotonic() < until and not command.has_ended():
        time.sleep(min(SECONDS_BETWEEN_LOOKS, delay))
    if not command.has_ended():
        command.kill(whole_group=whole_group)
    command.wait()
    state = read_run_state(settings)
    if state.get("pid") != command.pid:
        return command, "before the first step"
    return command, state.get("step") or (
        "before the first step" if state.get("state") == "running" else "after the last step"
    )


class Chain:
    """Kills from one state on, one clean command at the end, and what was found."""

    def __init__(self, one: World, server: Server, truth: Truth, seed: str) -> None:
        self.one, self.server, self.truth, self.seed = one, server, truth, seed
        self.dice = random.Random(seed)
        self.tally = Tally(chains=1)
        self.generation: tuple[Any, ...] = ()

    def go(self, kind: Kind, *, kills: int, builds: int, is_whole: bool = True) -> Tally:
        """So many kills, of them so many in dbt. Without `is_whole` the end is the extractions alone."""
        self.one.take_up("published" if kind == "extraction" else "built")
        self.generation = self.one.generation()
        wanted = [self._extraction() for _ in range(kills - builds)] if kind == "extraction" else []
        wanted += [(("run",), "dbt")] * builds if kind == "extraction" else []
        if kind == "publishing":
            wanted = [(("publish",), "publish" if self.dice.random() < 0.7 else None) for _ in range(kills)]
        with reading(self.one.workspace.published_file) as reads:
            for number, (arguments, step) in enumerate(wanted, start=1):
                self._kill(number, arguments, step)
            self._end(kind, is_whole)
        self.tally.reads = reads
        if reads.wrong:
            self._problem(f"a reader was disturbed: {asdict(reads)}")
        return self.tally

    def _extraction(self) -> tuple[tuple[str, ...], str | None]:
        return self.dice.choices(list(EXTRACTIONS), list(EXTRACTIONS.values()))[0]

    def _kill(self, number: int, arguments: Sequence[str], step: str | None) -> None:
        for attempt in range(MOST_ATTEMPTS):
            command, ended_in = killed(
                self.one, self.server, self.truth, self.dice, arguments, step, share=0.5**attempt
            )
            what = f"kill {number}, `{' '.join(arguments)}` in {ended_in}"
            self._look(what)
            if command.exit_code == -9:
                self.tally.kills[ended_in] += 1
                return
            self.tally.missed += 1
            if command.exit_code != 0 or "Traceback" in command.stderr:
                self.tally.failed += 1
                self._problem(f"{what}: exit code {command.exit_code}: {command.stderr.strip()[-300:]}")

    def _look(self, what: str) -> None:
        """Both files open, nothing is doubled or made up, the ledger is right, and nothing went backwards."""
        try:
            rows = self.one.raw()
            known = {table: self.truth.before[table] & self.truth.after[table] for table in self.truth.before}
            self._count(what, lost=lost(rows, known), doubled=self.one.doubled())
            for count, text in (
                (strange(rows, self.truth.before, self.truth.after), "rows that no undisturbed run has"),
                (self.one.beside_the_ledger(), "slices that are not what the ledger says"),
            ):
                if count:
                    self._problem(f"{what}: {count} {text}")
            generation = self.one.generation()
        except duckdb.Error as error:
            self.tally.failed += 1
            self._problem(f"{what}: a file cannot be read ({type(error).__name__}: {str(error)[:200]})")
            return
        if generation[:2] < self.generation[:2]:
            self._problem(f"{what}: the published file went back to {generation}")
        self.tally.publishes += generation != self.generation
        self.generation = generation
        if twice := self.one.paid_twice():
            self.tally.charged_twice += len(twice)
            self._problem(f"{what}: {len(twice)} customers were charged twice")

    def _end(self, kind: Kind, is_whole: bool) -> None:
        """One clean run, after which everything is as if nothing had happened."""
        held = self.one.held()
        commands: list[tuple[str, ...]] = [("publish",)]
        if kind == "extraction":
            # Who is held is asked about again at a person's word alone.
            commands = [("extract", "customers"), ("extract", "office"), ("extract", "leadspace")]
            commands = [("run",)] if is_whole and not held else commands
            if held:
                commands[-1] = ("extract", "leadspace", "--send-again")
                commands += [("run",)] if is_whole else []
        for arguments in commands:
            done = self.one.run(self.server, *arguments)
            self.tally.clean_runs += 1
            if done.exit_code != 0 or "Traceback" in done.stderr:
                self.tally.failed += 1
                self._problem(
                    f"clean `{' '.join(arguments)}`: {done.exit_code}: {done.stderr.strip()[-300:]}"
                )
                return
        rows = self.one.raw()
        self._count("at the end", lost=lost(rows, self.truth.after), doubled=self.one.doubled())
        if count := strange(rows, self.truth.after) + self.one.beside_the_ledger():
            self._problem(f"at the end: {count} rows that an undisturbed run does not have")
        if twice := self.one.paid_twice() - held:
            self.tally.charged_twice += len(twice)
            self._problem(f"at the end: {len(twice)} customers were charged twice")
        if is_whole or kind == "publishing":
            self._compare_marts()
        if left := leftovers(self.one):
            self._problem(f"left behind: {', '.join(left)}")

    def _compare_marts(self) -> None:
        generation = self.one.generation()
        self.tally.publishes += generation != self.generation
        marts = self.one.marts(mart_columns())
        for table, rows in self.truth.marts.items():
            if marts[table] != rows:
                found, wanted = Counter(map(repr, marts[table])), Counter(map(repr, rows))
                self._count(table, lost=(wanted - found).total(), doubled=(found - wanted).total())

    def _count(self, what: str, *, lost: int, doubled: int) -> None:
        self.tally.lost += lost
        self.tally.doubled += doubled
        if lost or doubled:
            self._problem(f"{what}: {lost} rows lost, {doubled} doubled or others")

    def _problem(self, text: str) -> None:
        self.tally.problems.append(f"chain {self.seed}: {text}")


def leftovers(one: World) -> list[str]:
    """What a killed command has left, once a clean one has followed: files in the data folder, relations of dbt's."""
    files = [
        path.name
        for path in (one.root / "data").iterdir()
        if path.name.startswith(".") and not path.name.endswith(".lock")
    ]
    with duckdb.connect(str(one.workspace.private_file), read_only=True) as connection:
        relations = connection.execute(
            "select table_name from duckdb_tables() where contains(table_name, '__dbt_')"
            " union all select view_name from duckdb_views() where contains(view_name, '__dbt_')"
        ).fetchall()
    return files + [row[0] for row in relations]


# --- the command


@dataclass(frozen=True)
class Job:
    """A chain that a worker is to do."""

    number: int
    kind: Kind
    kills: int
    builds: int


def jobs(kills: int) -> list[Job]:
    """Chains with so many kills in all, the two sorts in turn."""
    publishing = round(kills * PUBLISHING_SHARE)
    found: list[tuple[float, Kind, int]] = []
    for kind, count in (("publishing", publishing), ("extraction", kills - publishing)):
        chains = max(1, -(-count // KILLS_PER_CHAIN)) if count else 0
        for place in range(chains):
            size = count // chains + (place < count % chains)
            found.append(((place + 0.5) / chains, kind, size))  # type: ignore[arg-type]
    return [
        Job(
            number,
            kind,
            size,
            round(size * BUILDS_PER_CHAIN / KILLS_PER_CHAIN) if kind == "extraction" else 0,
        )
        for number, (_, kind, size) in enumerate(sorted(found), start=1)
    ]


def work(folder: str, seed: int, until: float, todo: Any, done: Any) -> None:
    """A worker: a company of its own, and chains until there are no more or the time is over."""
    try:
        with world(Path(folder), latency=0.005) as one, Server() as server:
            truth = prepare(one, server, is_whole=True)
            done.put(("ready", truth.seconds))
            while time.monotonic() < until:
                job = todo.get_nowait()
                chain = Chain(one, server, truth, f"{seed}.{job.number}")
                done.put(("chain", chain.go(job.kind, kills=job.kills, builds=job.builds)))
    except queue.Empty:
        pass
    except BaseException:
        done.put(("broken", traceback.format_exc()))
    done.put(("over", None))


def run(kills: int, *, minutes: float, seed: int, workers: int, tell: Any = print) -> Tally:
    """So many kills by so many workers, for so many minutes at most."""
    context = multiprocessing.get_context("spawn")
    todo, done = context.Queue(), context.Queue()
    for job in jobs(kills):
        todo.put(job)
    total, began, over = Tally(), time.monotonic(), 0
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        processes = [
            context.Process(
                target=work, args=(str(Path(folder) / str(n)), seed, began + 60 * minutes, todo, done)
            )
            for n in range(workers)
        ]
        for process in processes:
            process.start()
        while over < workers:
            try:
                what, found = done.get(timeout=5.0)
            except queue.Empty:
                if not any(process.is_alive() for process in processes):
                    total.problems.append("a worker ended without a word")
                    break
                continue
            if what == "chain":
                total.add(found)
                tell(
                    f"{(time.monotonic() - began) / 60:5.1f} min  {total.kills.total():>5} of {kills} kills,"
                    f" {total.lost} lost, {total.doubled} doubled, {total.publishes} publishes,"
                    f" {total.reads.reads:,} reads, {total.reads.wrong} failed, {len(total.problems)} problems"
                )
                for line in found.problems:
                    tell(f"  {line}")
            elif what == "broken":
                total.failed += 1
                total.problems.append(found.strip().splitlines()[-1])
                tell(found)
            over += what == "over"
        for process in processes:
            process.join()
    return total


def table(total: Tally, seconds: float) -> str:
    """The figures, one a line."""
    rows: list[tuple[str, object]] = [
        ("kills", f"{total.kills.total():,}"),
        *((f"  in {step}", f"{count:,}") for step, count in total.kills.most_common()),
        ("ended before the kill", f"{total.missed:,}"),
        ("chains", f"{total.chains:,}"),
        ("clean commands after them", f"{total.clean_runs:,}"),
        ("rows lost", f"{total.lost:,}"),
        ("rows doubled", f"{total.doubled:,}"),
        ("customers charged twice", f"{total.charged_twice:,}"),
        ("commands or files that failed", f"{total.failed:,}"),
        ("publishes", f"{total.publishes:,}"),
        ("reads meanwhile", f"{total.reads.reads:,}"),
        ("reads that failed or were not of one generation", f"{total.reads.wrong:,}"),
        ("minutes", f"{seconds / 60:.1f}"),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value:>8}" for name, value in rows)


def as_json(total: Tally, seconds: float) -> str:
    """The figures as one JSON object."""
    # asdict would make another Counter of the pairs of one.
    kills = dict(total.kills)
    figures = asdict(replace(total, kills=Counter()))
    return json.dumps(
        {**figures, "kills": kills, "kills_count": sum(kills.values()), "seconds": round(seconds, 1)}
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 1 if anything was lost, doubled or failed."""
    parser = argparse.ArgumentParser(
        description="Kill commands a thousand times; nothing may be lost or doubled."
    )
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=600.0, help="no chain begins later than that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--json", action="store_true", help="the figures as one JSON object on standard output"
    )
    options = parser.parse_args(arguments)
    began = time.monotonic()

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    total = run(options.kills, minutes=options.minutes, seed=options.seed, workers=options.workers, tell=tell)
    seconds = time.monotonic() - began
    print(as_json(total, seconds) if options.json else table(total, seconds))
    return 0 if total.is_good else 1


if __name__ == "__main__":
    sys.exit(main())
