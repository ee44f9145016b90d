"""The pictures of docs/backtest.md, from what the back-test's marts say: SVG, the same bytes from the same figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from engagement.backtest import BASELINE, DECIDING, HEADINGS, SCORE, Backtest, Predictor

# Okabe and Ito's colours, told apart by every kind of eye; shapes differ as well.
SCORE_COLOUR, RULE_COLOUR, OTHER_COLOUR, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
STYLE: Any = {
    # texts stay texts, and the ids of parts the same at every drawing
    "svg.fonttype": "none",
    "svg.hashsalt": "backtest",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "sans-serif"],
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
NAMES = ("backtest-auc", "backtest-calibration", "backtest-lift")


def draw(entry: Backtest, folder: Path, *, days: int, suffix: str = "svg") -> list[Path]:
    """Draw the three pictures of an enrichment into a folder."""
    with matplotlib.rc_context(STYLE):
        paths = []
        for name, figure in zip(
            NAMES,
            (_measures(entry, days=days), _calibration(entry, days=days), _lift(entry, days=days)),
            strict=True,
        ):
            paths.append(folder / f"{name}.{suffix}")
            figure.savefig(
                paths[-1],
                dpi=110,
                bbox_inches="tight",
                metadata={"Date": None, "Creator": None} if suffix == "svg" else None,
            )
    return paths


def _measures(entry: Backtest, *, days: int) -> Figure:
    """AUC and Spearman with their intervals: the score's versions on top, the simple rules below."""
    scores = sorted(entry.of_kind(SCORE), key=lambda one: (one.name != entry.shipped, one.name))
    rules = sorted(entry.of_kind(BASELINE), key=lambda one: (-(one.mean("auc").value or 0), one.name))
    shown = [*scores, *rules]
    figure = Figure(figsize=(9, 0.42 * len(shown) + 1.5), layout="constrained")
    axes: list[Axes] = list(figure.subplots(1, 2, sharey=True))
    what = {
        "auc": f"AUC: does the account write within {days} days\n(0.5 tells nothing, 1 tells all)",
        "spearman": f"Spearman: messages with it in {days} days\n(0 tells nothing, 1 tells all)",
    }
    for one, measure in zip(axes, DECIDING, strict=True):
        for place, predictor in enumerate(shown):
            _dot(one, place, predictor, measure, is_shown=predictor.name == entry.shipped)
        best = max((rule.mean(measure).value or 0 for rule in rules), default=None)
        if best is not None:
            one.axvline(best, color=RULE_COLOUR, linestyle=":", linewidth=1, zorder=0)
            one.set_title(f"{HEADINGS[measure]}; dotted: the best rule, {best:.3f}", fontsize=10)
        one.set_xlabel(what[measure])
        one.grid(axis="x", color="#dddddd", linewidth=0.6)
        one.set_axisbelow(True)
    axes[0].set_yticks(range(len(shown)), [predictor.label for predictor in shown])
    axes[0].set_ylim(len(shown) - 0.5, -0.7)
    return figure


def _dot(axes: Axes, place: int, predictor: Predictor, measure: str, *, is_shown: bool) -> None:
    found = predictor.mean(measure)
    if found.value is None:
        return
    is_score = predictor.kind == SCORE
    colour = (SCORE_COLOUR if is_shown else OTHER_COLOUR) if is_score else RULE_COLOUR
    if found.lowest is not None and found.highest is not None:
        axes.plot([found.lowest, found.highest], [place, place], color=colour, linewidth=1.6)
    axes.plot([found.value], [place], marker="s" if is_score else "o", color=colour, markersize=7)
    axes.annotate(
        f"{found.value:.3f}",
        (found.value, place),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=8,
    )


def _calibration(entry: Backtest, *, days: int) -> Figure:
    """What was foretold against what came, a mark for each band, as large as the band has accounts."""
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as foretold")
    most = max((band.count for band in (*entry.score_bands, *entry.chance_bands)), default=1)
    for bands, name, colour, marker in (
        (entry.chance_bands, "by tenth of the chance", GREY, "s"),
        (entry.score_bands, "by fifth of the score", SCORE_COLOUR, "o"),
    ):
        known = [
            (band.foretold, band.came, band.count)
            for band in bands
            if band.foretold is not None and band.came is not None
        ]
        areas = [20 + 260 * count / most for _, _, count in known]
        axes.scatter(
            [foretold for foretold, _, _ in known],
            [came for _, came, _ in known],
            s=areas,
            color=colour,
            marker=marker,
            alpha=0.75,
            linewidth=0,
        )
        # a mark of one size for the legend
        axes.scatter([], [], s=60, color=colour, marker=marker, alpha=0.75, linewidth=0, label=name)
        for (foretold, came, count), area in zip(known, areas, strict=True):
            axes.annotate(
                f"{count:,}",
                (foretold, came),
                xytext=(0, area**0.5 / 2 + 2),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
    score = entry.score
    error = None if score is None else score.mean("calibration_error").value
    axes.set_title(
        f"score {entry.shipped}" + ("" if error is None else f", calibration error {error:.3f}"), fontsize=10
    )
    axes.set_xlabel(f"foretold chance of a message within {days} days")
    axes.set_ylabel("share of accounts that wrote\n(numbers: accounts and dates in the band)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.legend(frameon=False, loc="lower right")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    return figure


def _lift(entry: Backtest, *, days: int) -> Figure:
    """How many of each tenth wrote, by the score and by the two best simple rules."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    rules = sorted(entry.of_kind(BASELINE), key=lambda one: (-(one.mean("auc").value or 0), one.name))
    lines = [
        (entry.score, SCORE_COLOUR, "s", "-"),
        *zip(rules[:2], (RULE_COLOUR, OTHER_COLOUR), ("o", "^"), ("--", ":"), strict=False),
    ]
    for predictor, colour, marker, style in lines:
        if predictor is None or predictor.name not in entry.tenths:
            continue
        tenths = entry.tenths[predictor.name]
        axes.plot(
            [tenth for tenth, _, _ in tenths],
            [active for _, active, _ in tenths],
            color=colour,
            marker=marker,
            linestyle=style,
            markersize=5,
            label=predictor.label,
        )
    own = entry.tenths.get(entry.shipped)
    if own:
        share = sum(active for _, active, _ in own) / len(own)
        axes.axhline(share, color=GREY, linewidth=1)
        axes.annotate(
            f"all accounts: {100 * share:.0f} %",
            (10, share),
            xytext=(0, 4),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=GREY,
        )
    axes.set_xticks(range(1, 11))
    axes.set_xlabel("tenth of the accounts, from those placed highest (1) to lowest (10)")
    axes.set_ylabel(f"share that wrote within {days} days")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_ylim(0, 1)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)
    return figure
