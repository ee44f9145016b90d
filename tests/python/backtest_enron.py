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
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from statistics import fmean

import duckdb

import corpus
from backtest_pictures import NAMES, draw
from corpus_run import CHECKOUT, emulator, environment_of
from engagement.backtest import (
    BASELINE,
    DECIDING,
    HEADINGS,
    MEASURES,
    Backtest,
    Band,
    Predictor,
    in_lines,
    read_backtests,
    table_rows,
)
from engagement.scores import project_variable

FOLDER = CHECKOUT / "target" / "backtest"
# Sets of weights that were tried and are not shipped.
TRIED = CHECKOUT / "tests" / "fixtures" / "score_versions_tried.csv"
PROJECT_PARTS = ("models", "macros", "seeds", "tests/generic", "tests/singular")
# Weights are chosen on the first four and judged on the others, which nothing was chosen on (D7).
FIT_DATES = ("2000-03-31", "2000-06-30", "2000-09-30", "2000-12-31")
JUDGED_DATES = ("2001-03-31", "2001-06-30", "2001-09-30", "2001-11-30")
JUDGED_FROM = "2001-01-01"
NOWHERE = "http://127.0.0.1:9"

# What the simple rules reach by the issue, beside those that are computed here; and what a chance may be off.
BAR = {"auc": 0.726, "spearman": 0.528}
LARGEST_CALIBRATION_ERROR = 0.05

DOCUMENT = CHECKOUT / "docs" / "backtest.md"
BEGIN, END = "<!-- make backtest: begin -->", "<!-- make backtest: end -->"

WEIGHTS = """
    select distinct component, score_version, weight_points
    from marts.account_score_components
    where aggregation_level = 'year'
    order by component, score_version
"""


LEVELS = """
    select scored_on, count(*), avg(inbound_chance_ratio), avg(case when is_active then 1 else 0 end)
    from intermediate.int_backtest_scores_judged
    where score_version = ? and inbound_chance_ratio is not null
    group by scored_on
    order by scored_on
"""

RHYTHMS = """
    select
        rhythms.rhythm_state, count(*), avg(case when outcomes.is_active then 1 else 0 end),
        avg(case when outcomes.messages_count > 0 then 1 else 0 end)
    from intermediate.int_rhythms_measured as rhythms
    inner join intermediate.int_backtest_outcomes as outcomes using (enrichment_id, account_id, scored_on)
    inner join intermediate.int_backtest_dates_judged as dates using (scored_on)
    where dates.is_judged and rhythms.known_by_on = rhythms.scored_on
    group by rhythms.rhythm_state
    order by 3 desc
"""


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
                folder,
            )
    done.touch()


def with_all_versions(folder: Path) -> Path:
    """Copy what dbt reads of the project, with the versions that were only tried beside those that are shipped."""
    project = folder / "project"
    for part in PROJECT_PARTS:
        shutil.rmtree(project / part, ignore_errors=True)
        shutil.copytree(CHECKOUT / part, project / part)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(CHECKOUT / name, project / name)
    _, _, tried = TRIED.read_text("utf-8").partition("\n")
    seed = project / "seeds" / "score_components.csv"
    seed.write_text(seed.read_text("utf-8") + tried, "utf-8")
    return project


def build(folder: Path) -> None:
    """Build the project on what was read, with the dates of the back-test."""
    variables = {"backtest_dates": [*FIT_DATES, *JUDGED_DATES], "backtest_judged_from": JUDGED_FROM}
    project = with_all_versions(folder)
    run(
        "dbt build",
        [
            *(sys.executable, "-m", "dbt.cli.main", "build", "--exclude-resource-type", "unit_test"),
            *("--vars", json.dumps(variables), "--target", "private"),
            *("--project-dir", str(project), "--profiles-dir", str(project)),
        ],
        environment_of(NOWHERE, NOWHERE, folder, folder / "enrichments.yml"),
        folder,
        at=project,
    )


def run(
    what: str, command: Sequence[str], environment: dict[str, str], folder: Path, *, at: Path = CHECKOUT
) -> None:
    """Run a step in the project's folder; BacktestError with where its output lies."""
    log = folder / f"{what.replace(' ', '-')}.log"
    with log.open("wb") as file:
        code = subprocess.run(
            command, env=environment, cwd=at, stdout=file, stderr=file, check=False
        ).returncode
    if code:
        raise BacktestError(
            f"{what}: ended with {code}; see {log.relative_to(folder.parent)}, then run make backtest again"
        )


def misses(entry: Backtest) -> list[str]:
    """Say what the shipped score misses of the bar, a line each."""
    score = entry.score
    if score is None:
        return [f"score {entry.shipped}: was not computed for past dates"]
    missed = []
    for measure in DECIDING:
        value = score.mean(measure).value
        rules = [
            (found, rule.label)
            for rule in entry.of_kind(BASELINE)
            if (found := rule.mean(measure).value) is not None
        ]
        best, name = max([(BAR[measure], "the simple rules by the issue"), *rules])
        if value is None or value <= best:
            missed.append(
                f"score {entry.shipped}: {HEADINGS[measure]} {_number(value)} is not above {_number(best)}, {name}"
            )
    error = score.mean("calibration_error").value
    if error is None or error > LARGEST_CALIBRATION_ERROR:
        missed.append(
            f"score {entry.shipped}: calibration error {_number(error)} is not at most {LARGEST_CALIBRATION_ERROR}"
        )
    return missed


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Give a table in Markdown, its columns after the first to the right."""
    return [
        f"| {' | '.join(headings)} |",
        f"| --- |{' ---: |' * (len(headings) - 1)}",
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
    ]


def by_date(entry: Backtest, predictors: Sequence[Predictor]) -> Iterable[list[str]]:
    """Give the deciding measures of some predictors at every date, those for fitting too."""
    days = sorted({day for predictor in predictors for day in predictor.by_date})
    for day in days:
        found = [predictor.by_date.get(day, {}) for predictor in predictors]
        accounts = [measures["auc"].accounts for measures in found if "auc" in measures]
        yield [
            f"{day}{'' if day in entry.dates else ' (fitting)'}",
            str(accounts[0]) if accounts else "-",
            *(
                "-"
                if measure not in measures or measures[measure].value is None
                else f"{measures[measure].value:.3f}"
                for measures in found
                for measure in DECIDING
            ),
        ]


def generated(
    entry: Backtest,
    weights: Sequence[tuple[str, str, float]],
    levels: Sequence[tuple[date, int, float, float]],
    rhythms: Sequence[tuple[str, int, float, float]],
    *,
    days: int,
) -> list[str]:
    """Give the generated part of docs/backtest.md."""
    score = entry.score
    assert score is not None
    accounts = [
        entry_of["auc"].accounts or 0 for day, entry_of in score.by_date.items() if day in entry.dates
    ]
    best = sorted(entry.of_kind(BASELINE), key=lambda one: -(one.mean("auc").value or 0))[:2]
    versions = sorted({version for _, version, _ in weights})
    points = {(component, version): f"{weight:g}" for component, version, weight in weights}
    missed = misses(entry)
    lines = [
        f"The {days} days after {', '.join(map(str, entry.dates))}; {fmean(accounts):.0f} accounts on average. Means"
        " over these dates, with the range of 95 of 100 draws of the accounts.",
        "",
        "The bar is " + ("met." if not missed else "missed: " + "; ".join(missed) + "."),
        "",
        entry.in_words(days=days),
        "",
        *table(("predictor", *(HEADINGS[measure] for measure in MEASURES)), table_rows(entry)),
        f"![AUC and Spearman of the score and of the simple rules]({NAMES[0]}.svg)",
        "",
        "### By how much",
        "",
        f"The score ({entry.shipped}) less a rule, or less itself without a component, over the same accounts in every"
        " draw.",
        "",
        *table(
            ("less", *(HEADINGS[measure] for measure in DECIDING)),
            (
                [
                    one.label
                    if one.kind == BASELINE
                    else f"without {(one.component or '').replace('_', ' ')}",
                    *(
                        "-" if (found := entry.comparisons.get((one.name, measure))) is None else str(found)
                        for measure in DECIDING
                    ),
                ]
                for one in (*entry.of_kind(BASELINE), *entry.ablations())
            ),
        ),
        "### By date",
        "",
        *table(
            (
                "date",
                "accounts",
                *(f"{one.label}: {HEADINGS[m]}" for one in (score, *best) for m in DECIDING),
            ),
            by_date(entry, (score, *best)),
        ),
        "### The chance, and early warning",
        "",
        *_bands("score", "", 1, entry.score_bands),
        *_bands("chance foretold", " %", 100, entry.chance_bands),
        *table(
            ("date", "accounts", "mean foretold", "wrote"),
            (
                [str(day), f"{count:,}", f"{100 * foretold:.1f} %", f"{100 * came:.1f} %"]
                for day, count, foretold, came in levels
            ),
        ),
        *table(
            ("rhythm at the date", "accounts and dates", "wrote", "wrote or were written to"),
            (
                [state.replace("_", " "), f"{count:,}", f"{100 * wrote:.1f} %", f"{100 * either:.1f} %"]
                for state, count, wrote, either in rhythms
            ),
        ),
        f"![What was foretold and what came]({NAMES[1]}.svg)",
        "",
        *(f"- {line}" for line in in_lines(entry, days=days) if line.startswith("Fell")),
        "",
        f"![Share that wrote, by tenth of the accounts]({NAMES[2]}.svg)",
        "",
        "### Weights",
        "",
        *table(
            (
                "component",
                *(f"{version}{' (shown)' if version == entry.shipped else ''}" for version in versions),
            ),
            (
                [
                    component.replace("_", " "),
                    *(points.get((component, version), "-") for version in versions),
                ]
                for component in sorted({component for component, _, _ in weights})
            ),
        ),
    ]
    return lines


def _bands(heading: str, unit: str, scale: float, bands: Sequence[Band]) -> list[str]:
    return table(
        (heading, "accounts and dates", "mean foretold", "wrote"),
        (
            [
                f"{scale * band.lowest:.0f} to {scale * band.highest:.0f}{unit}",
                f"{band.count:,}",
                *("-" if ratio is None else f"{100 * ratio:.1f} %" for ratio in (band.foretold, band.came)),
            ]
            for band in bands
        ),
    )


def write_document(lines: Sequence[str]) -> None:
    """Replace the part of docs/backtest.md between its markers."""
    before, _, rest = DOCUMENT.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise BacktestError(f"docs/backtest.md: lacks {BEGIN} or {END}; put both back")
    DOCUMENT.write_text(f"{before}{BEGIN}\n\n{chr(10).join(lines).strip()}\n\n{END}{after}", "utf-8")


def judge(private_file: Path) -> int:
    """Print the measures, write document and pictures; 1 where the bar is missed."""
    shipped = str(project_variable(CHECKOUT, "score_version"))
    days = int(project_variable(CHECKOUT, "chance_days"))
    with duckdb.connect(str(private_file), read_only=True) as connection:
        [entry] = read_backtests(connection, shipped=shipped).values()
        weights = connection.execute(WEIGHTS).fetchall()
        levels = connection.execute(LEVELS, [shipped]).fetchall()
        rhythms = connection.execute(RHYTHMS).fetchall()
    if entry.dates != [date.fromisoformat(day) for day in JUDGED_DATES]:
        raise BacktestError(
            f"judged {', '.join(map(str, entry.dates)) or 'no date'} and not {', '.join(JUDGED_DATES)}"
        )
    rows = [("predictor", *(HEADINGS[measure] for measure in MEASURES)), *table_rows(entry)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *figures in rows:
        shown = (figure.rjust(width) for figure, width in zip(figures, widths[1:], strict=True))
        print(f"{name:{widths[0]}}  {'  '.join(shown)}")
    print(*in_lines(entry, days=days), sep="\n")
    print(entry.in_words(days=days))
    write_document(generated(entry, weights, levels, rhythms, days=days))
    draw(entry, DOCUMENT.parent, days=days)
    missed = misses(entry)
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


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
    try:
        extract(FOLDER, again=options.again)
        build(FOLDER)
        return judge(FOLDER / "data" / "private.duckdb")
    except BacktestError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
