"""`engagement backtest`: whether the score told what came next, beside the simple rules that somebody who doubts it
would use instead. Reads the back-test's marts as they were built last; how they judge stands in docs/backtest.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from engagement.configuration.enrichments import OfficeEnrichment
from engagement.configuration.settings import Settings
from engagement.outcome import Outcome, counted
from engagement.scores import as_built, project_score_version, project_variable, shipped_version
from engagement.warehouse import Connection

SCORE, BASELINE, ABLATION = "score", "baseline", "ablation"
# The two that a score has to win at once, and what is shown beside them.
DECIDING = ("auc", "spearman")
MEASURES = ("auc", "spearman", "lift", "calibration_error", "calibration_error_by_chance")
HEADINGS = {
    "auc": "AUC",
    "spearman": "Spearman",
    "lift": "lift",
    "calibration_error": "calibration error",
    "calibration_error_by_chance": "by chance",
}
# One or two quarters say more of those quarters than of the score.
FEWEST_DATES = 3

MEASURED = """
    select
        enrichment_id, predictor_kind, predictor, score_version, component, scored_on, measure, measure_value,
        lowest_value, highest_value, accounts_count
    from marts.backtest_measures
    order by enrichment_id, predictor_kind, predictor, scored_on nulls first, measure
"""

JUDGED_DATES = """
    select distinct measures.enrichment_id, measures.scored_on
    from marts.backtest_measures as measures
    inner join intermediate.int_backtest_dates_judged as dates using (scored_on)
    where dates.is_judged
    order by all
"""

# Both values of a pair are of the same accounts in every draw, so this tells more than whether two intervals overlap.
COMPARED = """
    select enrichment_id, compared_predictor, measure, difference, lowest_difference, highest_difference
    from marts.backtest_comparisons
    where score_version = ? and compared_kind in ('baseline', 'ablation')
"""

BANDS = """
    select enrichment_id, band_kind, band_from, band_to, foretold_count, predicted_ratio, active_ratio
    from marts.backtest_bands
    where score_version = ?
    order by enrichment_id, band_kind, band_position
"""

WARNINGS = """
    select enrichment_id, weeks_count, silent_count, warned_ratio, stayed_count, false_alarm_ratio
    from marts.backtest_early_warnings
    where score_version = ?
    order by enrichment_id, weeks_count
"""

TENTHS = """
    select enrichment_id, predictor, tenth, active_ratio, found_ratio
    from marts.backtest_lift
    where predictor_kind = 'baseline' or (predictor_kind = 'score' and score_version = ?)
    order by enrichment_id, predictor_kind desc, predictor, tenth
"""


@dataclass(frozen=True)
class Measure:
    """A value with the interval that resampled accounts give; None where it cannot be measured."""

    value: float | None
    lowest: float | None
    highest: float | None
    accounts: int | None = None

    def facts(self) -> dict[str, Any]:
        """What --json says of it."""
        return {"value": self.value, "lowest": self.lowest, "highest": self.highest}

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        if self.lowest is None or self.highest is None:
            return _shown(self.value)
        return f"{_shown(self.value)} ({_shown(self.lowest)} to {_shown(self.highest)})"


def _shown(value: float) -> str:
    # Adding zero makes a negative zero a plain one.
    return f"{round(value, 3) + 0.0:.3f}"


NOTHING = Measure(None, None, None)


@dataclass
class Predictor:
    """A version of the score, one without a component of it, or a simple rule; its measures are means over the judged
    dates, and those of each date.
    """

    kind: str
    name: str
    score_version: str | None = None
    component: str | None = None
    means: dict[str, Measure] = field(default_factory=dict)
    by_date: dict[date, dict[str, Measure]] = field(default_factory=dict)

    def mean(self, measure: str) -> Measure:
        """The mean of a measure over the judged dates."""
        return self.means.get(measure, NOTHING)

    @property
    def label(self) -> str:
        """Its name for a person."""
        if self.kind == SCORE:
            return f"score {self.name}"
        return self.name.replace("_", " ")


@dataclass(frozen=True)
class Band:
    """The accounts and dates whose score (0..100) or foretold chance (0..1) lies in a band; ratios are of 0..1."""

    lowest: float
    highest: float
    count: int
    foretold: float | None
    came: float | None


@dataclass(frozen=True)
class EarlyWarning:
    """How many of the accounts that fell silent had lost points in the weeks before, and of those that did not."""

    weeks: int
    silent: int
    warned_ratio: float | None
    stayed: int
    false_alarm_ratio: float | None


@dataclass
class Backtest:
    """What the marts say of one enrichment; comparisons are of the score that is shown, by predictor and measure."""

    enrichment_id: str
    shipped: str
    dates: list[date] = field(default_factory=list)
    predictors: list[Predictor] = field(default_factory=list)
    comparisons: dict[tuple[str, str], Measure] = field(default_factory=dict)
    score_bands: list[Band] = field(default_factory=list)
    chance_bands: list[Band] = field(default_factory=list)
    warnings: list[EarlyWarning] = field(default_factory=list)
    # by predictor: the share of a tenth that wrote, and of all that wrote that are found so far
    tenths: dict[str, list[tuple[int, float, float]]] = field(default_factory=dict)

    def of_kind(self, kind: str) -> list[Predictor]:
        """The predictors of a kind."""
        return [predictor for predictor in self.predictors if predictor.kind == kind]

    @property
    def score(self) -> Predictor | None:
        """The score that is shown; None where it was not computed for past dates."""
        return next((one for one in self.of_kind(SCORE) if one.name == self.shipped), None)

    def ablations(self) -> list[Predictor]:
        """The score that is shown without each of its components."""
        return [one for one in self.of_kind(ABLATION) if one.score_version == self.shipped]

    def not_beaten(self) -> list[tuple[Predictor, str]]:
        """The simple rules that the score is not above, each with the measure."""
        score = self.score
        return [
            (rule, measure)
            for rule in self.of_kind(BASELINE)
            for measure in DECIDING
            if not is_above(None if score is None else score.mean(measure).value, rule.mean(measure).value)
        ]

    def maybe_by_chance(self) -> list[Predictor]:
        """The simple rules that another draw of the accounts may put level with the score, in one of the two."""
        return [
            rule
            for rule in self.of_kind(BASELINE)
            if any(
                (lowest := self.comparisons.get((rule.name, measure), NOTHING).lowest) is not None
                and lowest <= 0
                for measure in DECIDING
            )
        ]

    def verdict(self) -> str:
        """no_dates, too_few_dates, beats or does_not_beat."""
        if not self.dates or self.score is None:
            return "no_dates"
        if len(self.dates) < FEWEST_DATES:
            return "too_few_dates"
        return "does_not_beat" if self.not_beaten() else "beats"

    def in_words(self, *, days: int) -> str:
        """The verdict as a sentence; `days` are those that are looked ahead."""
        verdict = self.verdict()
        if verdict == "no_dates":
            return (
                "No past date can be judged yet: the year before it has to be kept and the"
                f" {days} days after it have to be over. Set the retention to at least {365 + days} days, better 760,"
                " and run again; every quarter's end is then judged once that is so."
            )
        if verdict == "too_few_dates":
            return (
                f"Too few dates yet to say whether the score beats the simple rules: {len(self.dates)} of at least"
                f" {FEWEST_DATES}. Every quarter's end adds one."
            )
        if verdict == "does_not_beat":
            lost = self.not_beaten()
            return (
                f"In this company's own mail the score ({self.shipped}) does not beat every simple rule: "
                + "; ".join(
                    f"by {HEADINGS[measure]} not {_listed(rules)}"
                    for measure in DECIDING
                    if (rules := [rule.label for rule, other in lost if other == measure])
                )
                + ". `engagement fit-weights` fits its weights on this mail."
            )
        near = self.maybe_by_chance()
        return (
            f"In this company's own mail the score ({self.shipped}) tells what comes next better than every simple rule"
            " here, both whether an account writes and how much."
            + (
                f" Among other accounts it might not, beside {_listed(rule.label for rule in near)}: the interval of"
                " the difference reaches zero."
                if near
                else ""
            )
        )


def is_above(value: float | None, other: float | None) -> bool:
    """Whether a value is greater than another; what cannot be measured is above nothing, and nothing above it."""
    return value is not None and (other is None or value > other)


def read_backtests(connection: Connection, *, shipped: str) -> dict[str, Backtest]:
    """What the marts say, by enrichment; `shipped` is the version that is shown."""
    found: dict[str, Backtest] = {}
    predictors: dict[tuple[str, str, str], Predictor] = {}

    def of(enrichment_id: str) -> Backtest:
        return found.setdefault(enrichment_id, Backtest(enrichment_id, shipped))

    for enrichment_id, kind, name, version, component, scored_on, measure, *figures in connection.execute(
        MEASURED
    ).fetchall():
        key = (enrichment_id, kind, name)
        if key not in predictors:
            predictors[key] = Predictor(kind, name, version, component)
            of(enrichment_id).predictors.append(predictors[key])
        measures = (
            predictors[key].means if scored_on is None else predictors[key].by_date.setdefault(scored_on, {})
        )
        measures[measure] = Measure(*figures)
    for enrichment_id, day in connection.execute(JUDGED_DATES).fetchall():
        of(enrichment_id).dates.append(day)
    for enrichment_id, name, measure, *figures in connection.execute(COMPARED, [shipped]).fetchall():
        of(enrichment_id).comparisons[name, measure] = Measure(*figures)
    for enrichment_id, kind, *figures in connection.execute(BANDS, [shipped]).fetchall():
        entry = of(enrichment_id)
        (entry.score_bands if kind == SCORE else entry.chance_bands).append(Band(*figures))
    for enrichment_id, *figures in connection.execute(WARNINGS, [shipped]).fetchall():
        of(enrichment_id).warnings.append(EarlyWarning(*figures))
    for enrichment_id, name, tenth, active, reached in connection.execute(TENTHS, [shipped]).fetchall():
        of(enrichment_id).tenths.setdefault(name, []).append((tenth, active, reached))
    return found


def backtest(settings: Settings) -> Outcome:
    """What was judged for each office enrichment, with intervals, beside the simple rules, and a sentence in words.

    Raises ConfigurationError where nothing is built, PublishRefusedError where the last build did not come to its end.
    """
    expected = project_score_version(settings)
    days = int(project_variable(settings.project_dir, "chance_days"))
    with as_built(settings, what="back-test") as connection:
        shipped = shipped_version(connection, expected=expected) or expected
        found = read_backtests(connection, shipped=shipped)
    judged = [
        (
            enrichment.name,
            found.get(enrichment.enrichment_id, Backtest(enrichment.enrichment_id, shipped)),
        )
        for _, enrichment in settings.enrichments(OfficeEnrichment)
    ]
    facts = {
        "score_version": shipped,
        "days_ahead": days,
        "enrichments": [
            {
                "enrichment_id": entry.enrichment_id,
                "name": name,
                "verdict": entry.verdict(),
                "in_words": entry.in_words(days=days),
                "dates": entry.dates,
                "predictors": [
                    {
                        "kind": predictor.kind,
                        "predictor": predictor.name,
                        "score_version": predictor.score_version,
                        "component": predictor.component,
                        **{measure: predictor.mean(measure).facts() for measure in MEASURES},
                    }
                    for predictor in entry.predictors
                ],
                "differences": [
                    {"predictor": predictor, "measure": measure, **difference.facts()}
                    for (predictor, measure), difference in sorted(entry.comparisons.items())
                ],
                "score_bands": [asdict(band) for band in entry.score_bands],
                "chance_bands": [asdict(band) for band in entry.chance_bands],
                "early_warnings": [asdict(warning) for warning in entry.warnings],
            }
            for name, entry in judged
        ],
    }

    def show() -> None:
        _print(judged, days=days)

    return Outcome(facts=facts, summary=show)


def table_rows(entry: Backtest) -> list[tuple[str, ...]]:
    """The score's versions, the simple rules and the score without each component, each with its measures as texts."""
    own = sorted(entry.of_kind(SCORE), key=lambda one: (one.name != entry.shipped, one.name))
    rules = sorted(entry.of_kind(BASELINE), key=lambda one: (-(one.mean("auc").value or 0), one.name))
    without = sorted(entry.ablations(), key=lambda one: (one.mean("auc").value or 0, one.label))
    return [
        (one.label + (" (shown)" if one.kind == SCORE and one.name == entry.shipped else ""), *_measures(one))
        for one in own
    ] + [
        (
            f"without {(one.component or '').replace('_', ' ')}" if one.kind == ABLATION else one.label,
            *_measures(one),
        )
        for one in (*rules, *without)
    ]


def in_lines(entry: Backtest, *, days: int) -> list[str]:
    """The chance against what came, and the early warnings, a line each."""
    lines = []
    for by, bands in (("score", entry.score_bands), ("chance", entry.chance_bands)):
        if bands:
            lines.append(
                f"Chance of a message in {days} days by band of the {by}, foretold and come true: "
                + ", ".join(
                    f"{_percent(band.foretold)} {_percent(band.came)} ({band.count:,})" for band in bands
                )
            )
    for warning in entry.warnings:
        lines.append(
            f"Fell silent after a date: {warning.silent:,}, of whom {_percent(warning.warned_ratio)} had lost points in"
            f" the {warning.weeks} weeks before; stayed: {warning.stayed:,}, of whom"
            f" {_percent(warning.false_alarm_ratio)} had."
        )
    return lines


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.0f} %"


def _measures(one: Predictor) -> Iterable[str]:
    return (str(one.mean(measure)) for measure in MEASURES)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _print(judged: Sequence[tuple[str, Backtest]], *, days: int) -> None:
    from rich.table import Table

    from engagement.report import console

    printed = console()
    if not judged:
        printed.print(
            "No enrichment of type office is configured, so there is no score to judge.", soft_wrap=True
        )
    for name, entry in judged:
        if entry.dates and entry.predictors:
            counts = [
                measures["auc"].accounts or 0
                for day, measures in (entry.score.by_date.items() if entry.score else ())
                if day in entry.dates and "auc" in measures
            ]
            table = Table(
                title=f"{name}: the {days} days after {_listed(str(day) for day in entry.dates)}"
                + (f", {counted(round(sum(counts) / len(counts)), 'account')} on average" if counts else ""),
                title_justify="left",
                box=None,
            )
            table.add_column("predictor", no_wrap=True)
            for measure in MEASURES:
                table.add_column(HEADINGS[measure], justify="right", no_wrap=True)
            for row in table_rows(entry):
                table.add_row(*row)
            printed.print(table)
            for line in in_lines(entry, days=days):
                printed.print(line, soft_wrap=True)
        else:
            printed.print(f"{name}:", soft_wrap=True)
        printed.print(entry.in_words(days=days), soft_wrap=True)
        printed.print()
