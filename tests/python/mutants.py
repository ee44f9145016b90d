"""Wrong variants of the models, one after another: each must make its own unit test fail (`make mutants`).

A rule that no test would miss is no rule. `tests/mutants.yml` lists for every rule how it could be written wrongly and
which unit test notices it. They are applied to a copy of the project; the project itself is never changed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TextIO

import duckdb
import yaml
from dbt.cli.main import dbtRunner

import variants
from engagement.warehouse import raw_schema

ROOT = Path(__file__).parents[2]
LIST = ROOT / "tests" / "mutants.yml"
DOCUMENT = ROOT / "docs" / "mutants.md"

# In the order of the document.
GROUPS = {
    "D2": "The clock",
    "D6.1": "What a message is",
    "D6.2": "To an account, from an account, and who is involved",
    "D6.3": "What a meeting is",
    "D6.4": "Replies",
    "D6.5": "Year, months and weeks",
    "D6.6": "First and last dates",
    "D6.7": "Matching, and the hierarchies of accounts",
    "D6.8": "Every account, and which are stale",
    "D6.9": "Automated senders",
    "D6.10": "The past",
    "D7": "The score",
    "D8": "Small numbers",
    "Coverage": "Every message and meeting read in one bucket, the unmatched, and what has been read",
    "Traffic": "Two-way, threads, weeks and single-thread risk",
    "Refresh": "A refresh in part",
    "Leadspace": "Lookups and what becomes of them",
    "Consent": "What nobody consents to any more",
    "Watch": "The watch on the data",
    "Measures": "Measures, customer cards and the tables of Dataverse",
    "Segments": "Who is in a segment, since when, and its history",
    "Insights": "What segments have in common, what tells them apart, and which could be made",
}

HEAD = """\
# Wrong variants

<!-- Written by `make mutants-docs` from tests/mutants.yml. -->

A rule that no test would miss is no rule. Below stands, rule by rule, how a model could be written wrongly, and the
unit test that notices it. `make mutants` applies the variants one after another to a copy of the project, and wants the
named test to fail. A variant that it does not notice, that does not compile, or whose text does not stand in its file
exactly once, is an error (exit code 1); it says whether another test of the model would have noticed.

    make mutants                                            # all of them, some minutes
    .venv/bin/python tests/python/mutants.py --only D6.4    # those of a rule, or one by its id
    .venv/bin/python tests/python/mutants.py --json         # the outcomes, to be read by a program
    make mutants-docs                                       # writes this page

`make test` checks that each still fits its file, that its test exists and that this page is up to date, and tries a
few. The rules are those of the design: D2 is the clock, D6 what a number means, D7 the score. What Python decides
before a row is landed (the class of an address, the thread of a message, that private events and masters of series are
dropped) is tested in `tests/python` and not varied here.

To add one, write it into `tests/mutants.yml` and try it with `--only`. Where no test notices it, write that test first.
"""

Verdict = Literal["caught", "survived", "not applicable", "broken"]


@dataclass(frozen=True)
class Mutant:
    """`rule` names its group first (D6.4) and says in one sentence what holds; `file` breaks it with `by`."""

    id: str
    rule: str
    file: str
    replace: str
    by: str
    caught_by: str

    @property
    def group(self) -> str:
        return self.rule.split(" ", 1)[0]

    @property
    def sentence(self) -> str:
        return self.rule.split(" ", 1)[1]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant; `why` is empty where its test noticed it."""

    mutant: Mutant
    verdict: Verdict
    why: str
    seconds: float


def load(path: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of the list."""
    return variants.load(path, Mutant)


def models_of_unit_tests(project: Path = ROOT) -> dict[str, str]:
    """Name of each unit test, and the model that it tests."""
    return {
        test["name"]: test["model"]
        for path in sorted((project / "models").rglob("*.yml"))
        for test in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader).get("unit_tests", [])
    }


def problems(mutants: Sequence[Mutant], project: Path = ROOT) -> list[str]:
    """What can be said of the list without running anything."""
    models = models_of_unit_tests(project)
    found = []
    for number, mutant in enumerate(mutants):
        for other in mutants[:number]:
            if mutant.id == other.id:
                found.append(f"{mutant.id}: the id stands twice")
            if (mutant.file, mutant.replace, mutant.by) == (other.file, other.replace, other.by):
                found.append(f"{mutant.id}: the same as {other.id}")
        if mutant.group not in GROUPS:
            found.append(f"{mutant.id}: {mutant.group} is none of {', '.join(GROUPS)}")
        if not mutant.sentence.endswith("."):
            found.append(f"{mutant.id}: the rule is no sentence")
        path = project / mutant.file
        if not path.is_file():
            found.append(f"{mutant.id}: there is no {mutant.file}")
        elif why := variants.not_applicable(mutant, path.read_text(encoding="utf-8")):
            found.append(f"{mutant.id}: {why}")
        if mutant.caught_by not in models:
            found.append(f"{mutant.id}: there is no unit test {mutant.caught_by}")
        elif mutant.file.startswith("models/") and path.stem != models[mutant.caught_by]:
            found.append(f"{mutant.id}: {mutant.caught_by} tests {models[mutant.caught_by]}")
    return found


class Workshop:
    """A copy of the project in `folder`, with an empty warehouse, where wrong variants are tried."""

    def __init__(self, folder: Path, mutants: Iterable[Mutant]) -> None:
        """Builds what the unit tests of these mutants need: they ask the warehouse for the columns of their inputs."""
        self.project = folder / "project"
        self.project.mkdir()
        for name in ("models", "macros", "seeds", "tests/generic", "tests/singular"):
            shutil.copytree(ROOT / name, self.project / name)
        shutil.copyfile(ROOT / "profiles.yml", self.project / "profiles.yml")
        # The hooks that create what is missing take a quarter of the time of a mutant, so they are left out.
        settings = yaml.safe_load((ROOT / "dbt_project.yml").read_text(encoding="utf-8"))
        del settings["on-run-start"]
        (self.project / "dbt_project.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        self.environment = {
            "ENGAGEMENT_PRIVATE_FILE": str(folder / "private.duckdb"),
            "DBT_LOG_PATH": str(folder / "logs"),
        }
        self.always = (
            *("--project-dir", str(self.project), "--profiles-dir", str(self.project)),
            *("--target-path", str(folder / "target"), "--no-write-json", "--no-populate-cache"),
            *("--log-level", "none", "--log-level-file", "none"),
        )
        with duckdb.connect(self.environment["ENGAGEMENT_PRIVATE_FILE"]) as connection:
            connection.execute("create schema raw")
            for table, columns in raw_schema(self.project).items():
                listed = ", ".join(f'"{name}" {data_type}' for name, data_type in columns)
                connection.execute(f'create table raw."{table}" ({listed})')
        self.models = models_of_unit_tests(self.project)
        tested = {self.models[mutant.caught_by] for mutant in mutants if mutant.caught_by in self.models}
        upstream = (f"+{model}" for model in sorted(tested))
        no_tests = ("--exclude-resource-type", "test", "--exclude-resource-type", "unit_test")
        if why := self.dbt("build", "--select", *upstream, *no_tests)[1]:
            raise SystemExit(f"The project as it is does not build: {why}")

    def dbt(self, command: str, *options: str) -> tuple[set[str], str]:
        """Names of the tests that failed, and why dbt could not even ask (empty where it could)."""
        with environment(self.environment):
            result = dbtRunner().invoke([command, *options, *self.always])
        if result.exception:
            return set(), in_short(str(result.exception))
        nodes = list(getattr(result.result, "results", []))
        errors = [f"{node.node.name}: {node.message}" for node in nodes if node.status == "error"]
        return {node.node.name for node in nodes if node.status == "fail"}, in_short("".join(errors[:1]))

    def check(self, mutants: Iterable[Mutant]) -> None:
        """Every test that is to fail must pass before: one that fails anyway notices nothing."""
        tests = sorted({mutant.caught_by for mutant in mutants} & self.models.keys())
        failed, why = self.dbt("test", "--select", *tests)
        if failed or why:
            raise SystemExit(f"Without any mutant these tests fail: {', '.join(sorted(failed)) or why}")

    def try_out(self, mutant: Mutant) -> Outcome:
        """Applies a mutant, runs its test (the others of the model where that one passes) and restores the file."""
        started = time.perf_counter()
        path = self.project / mutant.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        why = variants.not_applicable(mutant, text)
        if mutant.caught_by not in self.models:
            why = f"there is no unit test {mutant.caught_by}"
        if why:
            return Outcome(mutant, "not applicable", why, 0.0)
        with variants.in_place(mutant, self.project):
            failed, why = self.dbt("test", "--select", mutant.caught_by)
            if not failed and not why:
                failed, why = self.dbt("test", "--select", f"{self.models[mutant.caught_by]},test_type:unit")
        seconds = time.perf_counter() - started
        if why:
            return Outcome(mutant, "broken", why, seconds)
        if mutant.caught_by in failed:
            return Outcome(mutant, "caught", "", seconds)
        others = f"only by {', '.join(sorted(failed))}" if failed else "no test failed"
        return Outcome(mutant, "survived", f"not caught by {mutant.caught_by}: {others}", seconds)


@contextlib.contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Environment variables for as long as the block lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def in_short(message: str) -> str:
    """DuckDB's own words of an error of dbt, on one line."""
    return " ".join(message.split("check the data types.")[-1].split())[:300]


def run(mutants: Sequence[Mutant], out: TextIO) -> list[Outcome]:
    """Tries all, one line each as soon as it is known."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        print("Building the project on an empty warehouse", file=out, flush=True)
        workshop = Workshop(Path(folder), mutants)
        print("Running the tests without any mutant", file=out, flush=True)
        workshop.check(mutants)
        width = max(len(mutant.id) for mutant in mutants)
        places = len(str(len(mutants)))
        print(f"{'':{2 * places}}   {'rule':9}  {'wrong variant':{width}}  {'':6}  caught by", file=out)
        for number, mutant in enumerate(mutants, start=1):
            outcome = workshop.try_out(mutant)
            outcomes.append(outcome)
            says = (
                mutant.caught_by
                if outcome.verdict == "caught"
                else f"{outcome.verdict.upper()}: {outcome.why}"
            )
            print(
                f"{number:>{places}}/{len(mutants)}  {mutant.group:9}  {mutant.id:{width}}"
                f"  {outcome.seconds:4.1f} s  {says}",
                file=out,
                flush=True,
            )
    return outcomes


def summary(outcomes: Sequence[Outcome]) -> str:
    wrong = [outcome for outcome in outcomes if outcome.verdict != "caught"]
    if not wrong:
        return f"{len(outcomes)} mutants, all caught"
    return "\n".join(
        [
            f"{len(outcomes)} mutants, {len(wrong)} not caught:",
            *(f"  {outcome.mutant.id}: {outcome.verdict}: {outcome.why}" for outcome in wrong),
        ]
    )


def document(mutants: Sequence[Mutant]) -> str:
    """docs/mutants.md."""
    lines = [
        *HEAD.splitlines(),
        "",
        f"{len(mutants)} variants.",
    ]
    for group, title in GROUPS.items():
        members = [mutant for mutant in mutants if mutant.group == group]
        if not members:
            continue
        lines += [
            "",
            f"## {group}: {title}" if group[0] == "D" else f"## {group}: {title.lower()}",
            "",
            "| rule | wrong variant | instead of | stands | caught by |",
            "| --- | --- | --- | --- | --- |",
        ]
        lines += [
            f"| {mutant.sentence} | `{mutant.id}` in `{Path(mutant.file).stem}` | {in_a_cell(mutant.replace)} "
            f"| {in_a_cell(mutant.by)} | `{mutant.caught_by}` |"
            for mutant in members
        ]
    return "\n".join(lines) + "\n"


def in_a_cell(sql: str) -> str:
    """SQL on one line, as a table of Markdown takes it."""
    words = " ".join(sql.split()).replace("|", "\\|")
    return f"`{words}`" if words else "(nothing)"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Apply wrong variants of the models; each must be caught.")
    parser.add_argument(
        "--only", action="append", metavar="ID", help="a mutant, or all of a rule (D6.4); repeatable"
    )
    parser.add_argument("--json", action="store_true", help="outcomes as JSON on stdout, progress on stderr")
    parser.add_argument(
        "--docs", action="store_true", help=f"write {DOCUMENT.relative_to(ROOT)} and do nothing else"
    )
    options = parser.parse_args(arguments)
    mutants = load()
    if options.docs:
        DOCUMENT.write_text(document(mutants), encoding="utf-8")
        return 0
    if options.only:
        unknown = set(options.only) - {name for mutant in mutants for name in (mutant.id, mutant.group)}
        if unknown:
            parser.error(f"no such mutant or rule: {', '.join(sorted(unknown))}")
        mutants = [mutant for mutant in mutants if {mutant.id, mutant.group} & set(options.only)]
    started = time.perf_counter()
    outcomes = run(mutants, sys.stderr if options.json else sys.stdout)
    if options.json:
        print(json.dumps([asdict(outcome) for outcome in outcomes], indent=2))
    else:
        print(f"{summary(outcomes)} ({time.perf_counter() - started:.0f} s)")
    return 1 if any(outcome.verdict != "caught" for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
