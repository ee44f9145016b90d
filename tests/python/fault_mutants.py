"""The handling of every fault, taken out one after another: each time its test must fail (`make fault-mutants`).

`tests/fault_mutants.yml` lists for every fault what handles it, and which tests notice where that is
gone. It is taken out of a copy of the project; the project itself is never changed.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import variants

ROOT = Path(__file__).parents[2]
LIST = ROOT / "tests" / "fault_mutants.yml"
TESTS = "tests/python/test_*.py"
FAULTS = (*range(1, 43), 45, *range(50, 54))
# What a run of the tests needs of the project.
NEEDED = (
    "scripts",
    "models",
    "macros",
    "seeds",
    "tests",
    "dbt_project.yml",
    "profiles.yml",
    "pyproject.toml",
    ".dbtignore",
)
MOST_SECONDS = 300.0

Verdict = Literal["caught", "NOT CAUGHT", "BROKEN"]


@dataclass(frozen=True)
class Mutant:
    """`handling` says in one sentence what is done about the fault; `file` no longer does it with `by`."""

    fault: int
    handling: str
    file: str
    replace: str
    by: str
    caught_by: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant; `why` is empty where each of its tests simply failed."""

    mutant: Mutant
    verdict: Verdict
    why: str
    seconds: float


def load(path: Path = LIST) -> list[Mutant]:
    """All mutants, in the order of the list."""
    return variants.load(path, Mutant)


def mutated(mutant: Mutant, project: Path = ROOT) -> str:
    """The file without the handling. ValueError where that cannot be made of it."""
    try:
        return variants.of(mutant, (project / mutant.file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"fault {mutant.fault}: {error}") from None


def file_of(test: str, project: Path = ROOT) -> str:
    """The file that a test stands in, within the project. ValueError where none or several have one of that name."""
    files = [
        path for path in sorted(project.glob(TESTS)) if f"def {test}(" in path.read_text(encoding="utf-8")
    ]
    if len(files) != 1:
        raise ValueError(f"{test}: stands in {len(files)} files of tests")
    return files[0].relative_to(project).as_posix()


def copied(folder: Path) -> Path:
    """A copy of what the tests need of the project."""
    project = folder / "project"
    project.mkdir()
    ignored = shutil.ignore_patterns("__pycache__")
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, project / name, ignore=ignored)
        else:
            shutil.copyfile(ROOT / name, project / name)
    return project


def failing(project: Path, tests: Sequence[str], *options: str, seconds: float) -> tuple[set[str], str]:
    """Names of those of the tests that failed, and the last line that was said. TimeoutExpired after so long."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-rf",
        "--tb=no",
        *options,
    ]
    done = subprocess.run(
        [*command, *(f"{file_of(test, project)}::{test}" for test in tests)],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "scripts"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    failed = set(re.findall(r"^FAILED tests/python/test_\w+\.py::(\w+)", done.stdout, flags=re.MULTILINE))
    lines = (done.stdout + done.stderr).strip().splitlines()
    # An error is no failure of a test: the mutant broke what is not its own.
    if done.returncode not in (0, 1) or (done.returncode == 1 and not failed):
        failed = set()
    return failed, lines[-1].strip("= ") if lines else f"exit code {done.returncode}"


def check(project: Path, mutants: Sequence[Mutant]) -> None:
    """Every test that is to fail must pass before: one that fails anyway notices nothing."""
    tests = sorted({test for mutant in mutants for test in mutant.caught_by})
    failed, said = failing(project, tests, seconds=MOST_SECONDS * len(tests))
    if failed or "passed" not in said or "error" in said:
        raise SystemExit(f"Without any mutant these tests fail: {', '.join(sorted(failed)) or said}")


def try_out(project: Path, mutant: Mutant) -> Outcome:
    """Takes the handling out, runs each of the tests up to its first failure, and restores the file."""
    started = time.perf_counter()
    verdict: Verdict = "caught"
    why = []
    with variants.in_place(mutant, project):
        for test in mutant.caught_by:
            try:
                failed, said = failing(project, [test], "-x", seconds=MOST_SECONDS)
            except subprocess.TimeoutExpired:
                why.append(f"{test} did not end within {MOST_SECONDS:.0f} s")
                continue
            if not failed:
                verdict = "NOT CAUGHT" if "passed" in said and "error" not in said else "BROKEN"
                why.append(f"{test}: {said}")
    return Outcome(mutant, verdict, "; ".join(why), time.perf_counter() - started)


def run(mutants: Sequence[Mutant]) -> list[Outcome]:
    """Tries all, one line each as soon as it is known."""
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="fault-mutants-") as folder:
        project = copied(Path(folder))
        for mutant in mutants:
            mutated(mutant, project)
        print("Running the tests without any mutant", flush=True)
        check(project, mutants)
        places = len(str(len(mutants)))
        for number, mutant in enumerate(mutants, start=1):
            outcome = try_out(project, mutant)
            outcomes.append(outcome)
            print(
                f"{number:>{places}}/{len(mutants)}  fault {mutant.fault}  {outcome.seconds:5.1f} s"
                f"  {outcome.verdict}: {mutant.handling}{f' ({outcome.why})' if outcome.why else ''}",
                flush=True,
            )
    return outcomes


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Take out what handles each fault; its test must fail.")
    parser.add_argument("--only", action="append", type=int, metavar="FAULT", help="a fault; repeatable")
    options = parser.parse_args(arguments)
    mutants = [mutant for mutant in load() if not options.only or mutant.fault in options.only]
    if unknown := set(options.only or ()) - {mutant.fault for mutant in mutants}:
        parser.error(f"no such fault: {', '.join(map(str, sorted(unknown)))}")
    started = time.perf_counter()
    outcomes = run(mutants)
    missed = [outcome for outcome in outcomes if outcome.verdict != "caught"]
    says = f"{len(missed)} not caught" if missed else "all caught"
    print(f"{len(outcomes)} mutants, {says} ({time.perf_counter() - started:.0f} s)")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
