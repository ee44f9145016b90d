"""`engagement fit-weights`: the weights of a score, fitted on early dates of the own mail and judged on later ones.

What is fitted is how much of a place (0..1) each component deserves, by least squares with weights of at least zero.
The target of an account at a date is the mean of two things, each standardised over the accounts of that date: whether
it wrote within the days that the back-test looks ahead, and the mid-rank of the number of messages with it in them.
Fitted weights are drawn towards the version that they start from; how strongly is chosen by leaving one date out.

Needs the extra `backtest` (scipy). Nothing is written but by `write_version`.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from engagement import durable, locations
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.outcome import Outcome, counted
from engagement.scores import as_built, project_score_version, require_version
from engagement.seeds import rows_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]

SEED = "score_components.csv"
VERSION_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
# How strongly weights are drawn towards the base: from hardly to wholly.
PULLS: tuple[float, ...] = tuple(10.0 ** (exponent / 2) for exponent in range(-8, 5))
LEAST_POINTS = 1
POINTS = 100

KNOWN_VERSIONS = """
    select distinct score_version from intermediate.int_components_weighted order by score_version
"""

PLACES = """
    select
        components.enrichment_id, components.scored_on, components.account_id, components.component,
        components.place_ratio, components.weight, outcomes.inbound_count, outcomes.messages_count
    from intermediate.int_components_weighted as components
    inner join intermediate.int_backtest_outcomes as outcomes
        using (enrichment_id, account_id, scored_on)
    where components.score_series = 'backtest' and components.score_version = ?
    order by components.enrichment_id, components.scored_on, components.account_id, components.component
"""


@dataclass(frozen=True)
class Cohort:
    """The accounts of one enrichment at one date: a row each, a column for each component.

    A place is NaN where it could not be measured. `has_written` is 0 or 1.
    """

    enrichment_id: str
    scored_on: date
    places: Numbers
    has_written: Numbers
    messages: Numbers


@dataclass(frozen=True)
class Fit:
    """Fitted weights (points that sum to 100, by component), and how they came about."""

    weights: dict[str, float]
    kept: list[str]  # components that do not vary in the data
    pull: float


def fit_weights(
    settings: Settings,
    *,
    base: str | None,
    fit_through: date | None,
    write: str | None = None,
    why: str | None = None,
) -> Outcome:
    """Fits the weights of a version on the dates up to `fit_through` and judges both on the later ones.

    Without `base` the project's version is the base, without `fit_through` the first half of the dates is for fitting.
    Writes the version `write` into the seed, and nothing without it. Raises ConfigurationError where there is nothing
    to fit on, or the version is unknown or taken.
    """
    _require_extra()
    seed = settings.project_dir / "seeds" / SEED
    if write is not None:
        locations.require_own(settings.project_dir)
        check_new_version(seed, write)
    version = base or project_score_version(settings)
    with as_built(settings, what="past dates that the score was computed for") as connection:
        known = [row[0] for row in connection.execute(KNOWN_VERSIONS).fetchall()]
        require_version("--base", version, known)
        rows = connection.execute(PLACES, [version]).fetchall()
    weights, cohorts = cohorts_of(rows)
    dates = sorted({cohort.scored_on for cohort in cohorts})
    last = fit_through or (dates[(len(dates) - 1) // 2] if dates else None)
    early = [cohort for cohort in cohorts if last is not None and cohort.scored_on <= last]
    late = [cohort for cohort in cohorts if last is not None and cohort.scored_on > last]
    _require_dates(dates, early, last)
    components = list(weights)
    base_weights = list(weights.values())
    fitted = fitted_weights(components, base_weights, early)
    measures = {
        name: {when: judged(list(chosen), those) for when, those in (("early", early), ("late", late))}
        for name, chosen in (("base", base_weights), ("fitted", fitted.weights.values()))
    }
    facts: dict[str, Any] = {
        "base": version,
        "fit_through": last,
        "early_dates": sorted({cohort.scored_on for cohort in early}),
        "late_dates": sorted({cohort.scored_on for cohort in late}),
        "accounts_early": sum(len(cohort.messages) for cohort in early),
        "accounts_late": sum(len(cohort.messages) for cohort in late),
        "components": [
            {
                "component": component,
                "base_weight": weights[component],
                "fitted_weight": fitted.weights[component],
                "is_kept": component in fitted.kept,
            }
            for component in components
        ],
        "pull": fitted.pull,
        "measures": measures,
        "written": None,
    }
    if write is not None:
        reason = why or (
            f"Weight fitted on {counted(len(facts['early_dates']), 'date')} up to {last}, from that of {version}."
        )
        write_version(
            seed, base=version, base_weights=weights, name=write, weights=fitted.weights, why=reason
        )
        facts["written"] = write

    def show() -> None:
        _print(facts)

    return Outcome(facts=facts, summary=show)


def _require_extra() -> None:
    try:
        import numpy
        import scipy.optimize
        import scipy.stats  # noqa: F401
    except ImportError:
        raise ConfigurationError(
            "fit-weights: needs scipy, which is not installed; install the extra backtest"
            " (pip install 'account-engagement[backtest]', or `make install`)"
        ) from None
    del numpy


def _require_dates(dates: Sequence[date], early: Sequence[Cohort], last: date | None) -> None:
    """ConfigurationError unless there are two dates to fit on, at which accounts differ in what came of them."""
    if not dates:
        raise ConfigurationError(
            "fit-weights: there is no past date to fit on; a date needs the year before it kept and the days after it"
            " passed (retention of at least 365 + 90 days and a quarter's end in it), or name dates in the variable"
            " backtest_dates, then run `dbt build`"
        )
    fitting = sorted({cohort.scored_on for cohort in early})
    if len(fitting) < 2:
        raise ConfigurationError(
            f"fit-weights: {counted(len(fitting), 'date')} up to {last} to fit on, and two are needed; give a later"
            f" --fit-through (there are {', '.join(str(day) for day in dates)}), or keep mail for longer"
        )
    if not any(_target(cohort) is not None for cohort in early):
        raise ConfigurationError(
            f"fit-weights: what came after the dates up to {last} is the same for all accounts, so nothing can be told"
            " from it; give a later --fit-through, or keep mail for longer"
        )


def cohorts_of(rows: Sequence[tuple[Any, ...]]) -> tuple[dict[str, float], list[Cohort]]:
    """The weights by component, and the accounts of each enrichment and date, from rows in the order of PLACES."""
    import numpy as np

    weights: dict[str, float] = {}
    grouped: dict[tuple[str, date], dict[str, tuple[dict[str, float | None], int, int]]] = {}
    for enrichment_id, day, account_id, component, place, weight, inbound, messages in rows:
        weights[component] = float(weight)
        accounts = grouped.setdefault((enrichment_id, day), {})
        accounts.setdefault(account_id, ({}, inbound, messages))[0][component] = place
    weights = dict(sorted(weights.items(), key=lambda item: (-item[1], item[0])))
    cohorts = [
        Cohort(
            enrichment_id,
            day,
            np.array(
                [
                    [math.nan if (place := places.get(component)) is None else place for component in weights]
                    for places, _, _ in accounts.values()
                ],
                dtype=np.float64,
            ),
            np.array([inbound > 0 for _, inbound, _ in accounts.values()], dtype=np.float64),
            np.array([messages for _, _, messages in accounts.values()], dtype=np.float64),
        )
        for (enrichment_id, day), accounts in grouped.items()
    ]
    return weights, cohorts


def _standardised(values: Numbers) -> Numbers | None:
    """With mean 0 and deviation 1; None where all are equal."""
    deviation = values.std()
    return None if deviation == 0 else (values - values.mean()) / deviation


def _target(cohort: Cohort) -> Numbers | None:
    """What the weights are to tell: whether an account wrote and how much was written, in equal parts."""
    import numpy as np
    from scipy.stats import rankdata

    parts = [_standardised(cohort.has_written), _standardised(np.asarray(rankdata(cohort.messages)))]
    told = [part for part in parts if part is not None]
    return np.mean(told, axis=0) if told else None


def _filled(places: Numbers, weights: Numbers) -> Numbers:
    """Places with the account's own mean in the gaps, weighted with the base weights: exactly what the score does,
    which gives the weight of what could not be measured to the rest.
    """
    import numpy as np

    measured = ~np.isnan(places)
    known = np.where(measured, places, 0.0)
    total = (measured * weights).sum(axis=1)
    mean = np.divide((known * weights).sum(axis=1), total, out=np.full(len(places), 0.5), where=total > 0)
    return np.where(measured, places, mean[:, None])


def _least_squares(systems: Sequence[tuple[Numbers, Numbers]], base: Numbers, pull: float) -> Numbers:
    """Coefficients of at least zero that tell the targets best, every cohort counting the same, drawn towards the base
    weights at the scale that fits best.
    """
    import numpy as np
    from scipy.optimize import lsq_linear

    design = np.concatenate([places / math.sqrt(len(places)) for places, _ in systems])
    target = np.concatenate([wanted / math.sqrt(len(wanted)) for _, wanted in systems])
    along = design @ base
    size = along @ along
    scale = max(float(along @ target / size), 0.0) if size > 0 else 0.0
    ridge = math.sqrt(pull * len(systems))
    solution = lsq_linear(
        np.concatenate([design, ridge * np.eye(len(base))]),
        np.concatenate([target, ridge * scale * base]),
        bounds=(0, np.inf),
        # exact, so that what tells nothing gets nothing
        method="bvls",
    )
    found: Numbers = np.maximum(solution.x, 0)
    return found


def _chosen_pull(cohorts: Sequence[tuple[date, tuple[Numbers, Numbers]]], base: Numbers) -> float:
    """The strongest pull that tells a date from the others no worse than the best one, by one standard error.

    The one-standard-error rule (Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 7.10), of the
    differences to the best at each date: of a few dates the best is mostly chance, and nearer to the base is simpler.
    """
    import numpy as np

    days = sorted({day for day, _ in cohorts})
    if len(days) < 2:
        return max(PULLS)

    def errors(pull: float) -> Numbers:
        """Mean squared error at each date, of weights that were fitted on the others."""
        of_days = []
        for day in days:
            found = _least_squares([system for other, system in cohorts if other != day], base, pull)
            of_days.append(
                fmean(
                    float(np.mean((wanted - places @ found) ** 2))
                    for other, (places, wanted) in cohorts
                    if other == day
                )
            )
        return np.array(of_days)

    by_pull = {pull: errors(pull) for pull in PULLS}
    best = by_pull[min(PULLS, key=lambda pull: float(by_pull[pull].mean()))]

    def is_as_good(found: Numbers) -> bool:
        worse = found - best
        return float(worse.mean()) <= float(worse.std(ddof=1)) / math.sqrt(len(days)) + 1e-9

    return max(pull for pull, found in by_pull.items() if is_as_good(found))


def fitted_weights(components: Sequence[str], base: Sequence[float], cohorts: Sequence[Cohort]) -> Fit:
    """Whole points that sum to 100, at least one for each component; what does not vary keeps its base weight.

    Raises ConfigurationError where nothing varies, or no component tells anything.
    """
    import numpy as np

    base_points = np.array(base, dtype=np.float64)
    systems: list[tuple[date, tuple[Numbers, Numbers]]] = []
    for cohort in cohorts:
        wanted = _target(cohort)
        if wanted is not None:
            places = _filled(cohort.places, base_points)
            systems.append((cohort.scored_on, (places - places.mean(axis=0), wanted)))
    varies = np.zeros(len(components), dtype=bool)
    for cohort in cohorts:
        for position in range(len(components)):
            measured = cohort.places[:, position]
            measured = measured[~np.isnan(measured)]
            varies[position] |= bool(len(measured) > 1 and np.ptp(measured) > 0)
    chosen = [position for position in range(len(components)) if varies[position]]
    if not chosen:
        raise ConfigurationError(
            "fit-weights: no component differs between the accounts, so there is nothing to weigh; keep mail for longer"
        )
    reduced = [(day, (places[:, chosen], wanted)) for day, (places, wanted) in systems]
    start = base_points[chosen]
    start = start / start.sum() if start.sum() > 0 else np.full(len(chosen), 1 / len(chosen))
    pull = _chosen_pull(reduced, start)
    found = _least_squares([system for _, system in reduced], start, pull)
    if found.sum() <= 1e-9:
        raise ConfigurationError(
            "fit-weights: no component tells what came after the dates, so the weights stay as they are; keep mail for"
            " longer"
        )
    kept = [components[position] for position in range(len(components)) if position not in chosen]
    kept_points = float(sum(base[components.index(component)] for component in kept))
    points = whole_points([float(share) for share in found / found.sum()], total=POINTS - kept_points)
    by_position = dict(zip(chosen, points, strict=True))
    return Fit(
        weights={
            component: by_position.get(position, float(base[position]))
            for position, component in enumerate(components)
        },
        kept=kept,
        pull=pull,
    )


def whole_points(shares: Sequence[float], *, total: float) -> list[float]:
    """Shares of a total as whole points, at least one each, by the largest remainder; what is no whole point of the
    total goes to the largest.
    """
    whole = math.floor(total)
    if whole < len(shares) * LEAST_POINTS:
        raise ConfigurationError(
            f"fit-weights: {total:g} points are left for {len(shares)} components, at least one each; lower the weight"
            " of the components that do not differ"
        )
    # Those that would get less than one get one, and the rest is shared among the others.
    points = [0] * len(shares)
    free = set(range(len(shares)))
    while True:
        left = whole - sum(points[position] for position in range(len(shares)) if position not in free)
        size = sum(shares[position] for position in free)
        wanted = {position: left * shares[position] / size for position in free} if size > 0 else {}
        small = {position for position, share in wanted.items() if share < LEAST_POINTS}
        if not small:
            break
        for position in small:
            points[position] = LEAST_POINTS
        free -= small
    for position in free:
        points[position] = math.floor(wanted[position])
    for position in sorted(free, key=lambda position: (points[position] - wanted[position], position))[
        : whole - sum(points)
    ]:
        points[position] += 1
    exact = [float(point) for point in points]
    exact[exact.index(max(exact))] += total - whole
    return exact


def scores_of(places: Numbers, weights: Sequence[float]) -> Numbers:
    """The score of every account as the models compute it (int_components_weighted), 0..100."""
    import numpy as np

    measured = ~np.isnan(places)
    given = np.array(weights, dtype=np.float64)
    total = (measured * given).sum(axis=1, keepdims=True)
    possible = np.divide(100 * given * measured, total, out=np.zeros_like(places), where=total > 0)
    earned = np.floor(possible * np.where(measured, places, 0.0) * 10_000 + 1e-6) / 10_000
    scores: Numbers = np.round(earned.sum(axis=1), 4)
    return scores


def auc(scores: Numbers, happened: Numbers) -> float | None:
    """The chance that of two accounts, one of which wrote, that one has the higher score; None where all are alike."""
    from scipy.stats import rankdata

    positive = int(happened.sum())
    negative = len(happened) - positive
    if not positive or not negative:
        return None
    below = float(rankdata(scores)[happened > 0].sum()) - positive * (positive + 1) / 2
    return below / (positive * negative)


def spearman(scores: Numbers, amounts: Numbers) -> float | None:
    """The rank correlation; None where all of one are equal."""
    import numpy as np
    from scipy.stats import rankdata

    first, second = rankdata(scores), rankdata(amounts)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return float(np.corrcoef(first, second)[0, 1])


def judged(weights: Sequence[float], cohorts: Sequence[Cohort]) -> dict[str, float | None]:
    """AUC and Spearman of the score with these weights, means over the cohorts; None where there is none to judge."""
    found: dict[str, list[float]] = {"auc": [], "spearman": []}
    for cohort in cohorts:
        scores = scores_of(cohort.places, weights)
        for measure, value in (
            ("auc", auc(scores, cohort.has_written)),
            ("spearman", spearman(scores, cohort.messages)),
        ):
            if value is not None:
                found[measure].append(value)
    return {measure: sum(values) / len(values) if values else None for measure, values in found.items()}


# --- the seed


def check_new_version(seed: Path, name: str) -> None:
    """ConfigurationError unless a version of this name may be added to the seed."""
    if not VERSION_NAME.fullmatch(name):
        raise ConfigurationError(
            f"--write: {name!r} is no name of a version; allowed: up to 40 letters, digits, '-', '_' and '.'"
        )
    taken = {version for (version,) in rows_of(seed, ("score_version",))}
    if name in taken:
        raise ConfigurationError(
            f"--write: seeds/{seed.name} has a version {name} already, which stays readable; choose another name"
        )


def write_version(
    seed: Path,
    *,
    base: str,
    base_weights: Mapping[str, float],
    name: str,
    weights: Mapping[str, float],
    why: str,
) -> None:
    """Appends a version to the seed: the rows of `base` with other weights and `why` behind their own reasons. What
    stands in the file stays as it is, byte by byte.

    Raises ConfigurationError where the base is another in the file than in what was built, or it cannot be written.
    """
    check_new_version(seed, name)
    path = seed.resolve()
    try:
        before = path.read_bytes()
        text = before.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"seeds/{seed.name}: cannot be read ({type(error).__name__})") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(reader.fieldnames or ())
    rows = [row for row in reader if row["score_version"] == base]
    try:
        in_file = {row["component"]: float(row["weight"]) for row in rows}
    except (KeyError, TypeError, ValueError):
        in_file = {}
    if in_file != dict(base_weights):
        raise ConfigurationError(
            f"seeds/{seed.name}: version {base} is another there than the one that was built; run `dbt build`, then fit"
            " again"
        )
    end = "\r\n" if "\r\n" in text else "\n"
    lines = [
        ",".join(
            _cell(column, value)
            for column, value in (
                row
                | {
                    "score_version": name,
                    "weight": f"{weights[row['component']]:g}",
                    "why": f"{(row.get('why') or '').strip()} {why}".strip(),
                }
            ).items()
            if column in columns
        )
        for row in rows
    ]
    gap = "" if text.endswith("\n") or not text else end
    content = before + (gap + "".join(line + end for line in lines)).encode()
    try:
        mode = path.stat().st_mode
        with durable.written_beside(path, content) as beside:
            # A seed is everybody's to read, as it was.
            beside.chmod(mode & 0o7777)
            os.replace(beside, path)
        durable.sync_folder(path.parent)
    except OSError as error:
        raise ConfigurationError(
            f"seeds/{seed.name}: cannot be written ({error.strerror}); correct its rights, nothing was changed"
        ) from None


def _cell(column: str, value: object) -> str:
    """A value of a CSV line; reasons stand in quotes, as in the file."""
    text = "" if value is None else str(value)
    if column == "why" or any(character in text for character in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text


# --- what is printed


def _print(facts: Mapping[str, Any]) -> None:
    from rich.table import Table

    from engagement.report import console

    printed = console()
    printed.print(f"Weights of {facts['base']}, fitted on {_days(facts['early_dates'])}", soft_wrap=True)
    table = Table(box=None)
    table.add_column("component", no_wrap=True)
    table.add_column("base", justify="right")
    table.add_column("fitted", justify="right")
    table.add_column("")
    for row in facts["components"]:
        table.add_row(
            row["component"].replace("_", " "),
            f"{row['base_weight']:g}",
            f"{row['fitted_weight']:g}",
            "does not differ between accounts; kept" if row["is_kept"] else "",
        )
    printed.print(table)
    printed.print()
    table = Table(title="What the score tells", title_justify="left", box=None)
    for heading in ("dates", "measure", "base", "fitted"):
        table.add_column(heading, justify="right" if heading in ("base", "fitted") else "left", no_wrap=True)
    for when, words in (("early", "fitted on"), ("late", "later")):
        for measure, name in (("auc", "AUC, wrote or not"), ("spearman", "Spearman, messages")):
            table.add_row(
                f"{words}, {counted(facts[f'accounts_{when}'], 'row')}",
                name,
                *(_shown(facts["measures"][which][when][measure]) for which in ("base", "fitted")),
            )
    printed.print(table)
    printed.print()
    if facts["late_dates"]:
        printed.print(
            f"Later dates, which nothing was fitted on: {_days(facts['late_dates'])}.", soft_wrap=True
        )
    else:
        printed.print(
            "No later date to judge on: what a fit says of its own dates is too good; give an earlier --fit-through.",
            soft_wrap=True,
        )
    if facts["written"]:
        printed.print(
            f"Written: version {facts['written']} in seeds/{SEED}. It is computed beside the others from the next"
            " `dbt build` on; vars.score_version in dbt_project.yml says which is shown.",
            soft_wrap=True,
        )
    else:
        printed.print(
            "Nothing is written. To add these weights as a version of their own: engagement fit-weights --write NAME"
            ' --why "..."',
            soft_wrap=True,
        )


def _days(days: Sequence[date]) -> str:
    return ", ".join(str(day) for day in days)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
