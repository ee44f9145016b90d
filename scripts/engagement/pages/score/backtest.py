"""Whether the score told what came next, beside simple rules (docs/backtest.md says how it is judged)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.backtest import ABLATION, BASELINE, NOTHING, SCORE, Backtest, Measure, Predictor
from engagement.pages import charts, components, formats
from engagement.pages.reader import Reader
from engagement.pages.sections import unless_older
from engagement.pages.tables import Column, table

# Var chance_days as shipped; the published file does not say it.
DAYS_AHEAD = 90

MEASURED = """
    select
        predictor_kind, predictor, component, measure, measure_value, lowest_value, highest_value,
        accounts_count, active_count, dates_count
    from backtest_measures
    where
        enrichment_id = $enrichment and judged_over = 'judged dates'
        and (predictor_kind = 'baseline' or (predictor_kind = 'score' and score_version = $version))
    order by predictor_kind, predictor, measure
"""

# What weights were fitted on lies before what they are judged on, so the judged dates are the newest.
DATES = """
    select distinct scored_on
    from backtest_measures
    where enrichment_id = $enrichment and score_version = $version and predictor_kind = 'score'
        and scored_on is not null
    order by scored_on desc
    limit (
        select coalesce(max(dates_count), 0)
        from backtest_lift
        where enrichment_id = $enrichment and score_version = $version and predictor_kind = 'score'
    )
"""

COMPARED = """
    select
        compared_kind, compared_predictor, component, measure, measure_value, compared_value, difference,
        lowest_difference, highest_difference, is_best_baseline
    from backtest_comparisons
    where
        enrichment_id = $enrichment and score_version = $version and compared_kind in ('baseline', 'ablation')
    order by difference, compared_predictor
"""

TENTHS = """
    select predictor_kind, predictor, tenth, active_ratio, found_ratio, dates_count
    from backtest_lift
    where
        enrichment_id = $enrichment
        and (predictor_kind = 'baseline' or (predictor_kind = 'score' and score_version = $version))
    order by predictor_kind desc, predictor, tenth
"""

BANDS = """
    select
        cast(cast(band_from as bigint) as varchar) || ' to ' || cast(cast(band_to as bigint) as varchar) as scores,
        accounts_count, foretold_count, predicted_ratio, active_ratio
    from backtest_bands
    where enrichment_id = $enrichment and score_version = $version and band_kind = 'score'
    order by band_position
"""

WARNINGS = """
    select weeks_count, silent_count, silent_warned_count, warned_ratio, stayed_count, stayed_warned_count,
        false_alarm_ratio
    from backtest_early_warnings
    where enrichment_id = $enrichment and score_version = $version
    order by weeks_count
"""

RULES = {
    "days_since_last_contact": "days since the last contact",
    "rule_60_days": "contact within 60 days or not",
    "emails_365_days": "e-mails of the last 365 days",
    "emails_90_days": "e-mails of the last 90 days",
    "emails_decayed_30_days": "e-mails halved every 30 days",
    "inbound_decayed_30_days": "their e-mails halved every 30 days",
    "four_equal_ranks": "mean place in four of these rules",
}


@dataclass(frozen=True)
class Question:
    """What a measure asks; `axis` says its unit, and what a predictor that knows nothing gets."""

    name: str
    text: str
    axis: str
    nothing_told: float


QUESTIONS = {
    "auc": Question(
        "Who writes",
        "Of two accounts, of which one wrote and one did not, how often did the one that wrote stand higher? "
        "0.5 is a coin, 1 is always (AUC).",
        "How often it stood higher (0 to 1)",
        0.5,
    ),
    "spearman": Question(
        "How much",
        "How alike are the order of the accounts and the order of the e-mails to and fro that followed? "
        "0 is not at all, 1 is the same (Spearman).",
        "How alike the two orders are (0 to 1)",
        0.0,
    ),
    "lift": Question(
        "The highest tenth",
        "How many times as often did an account of the highest tenth write as any account? 1 is no more often (lift).",
        "Times as often as any account",
        1.0,
    ),
}


@unless_older()
def section(reader: Reader, asked: dict[str, Any]) -> None:
    """The back-test in words, then its figures. `asked` names enrichment and version."""
    st.header("Does the score tell what comes next?")
    measured = reader.records(MEASURED, **asked)
    compared = reader.frame(COMPARED, **asked)
    entry = judged(reader, asked)
    st.markdown(
        f"The score is computed for past dates, from what was known on each of them, and then compared with the "
        f"{DAYS_AHEAD} days that followed. Simple rules that anybody can compute by hand are judged beside it."
    )
    st.markdown(f"**{in_words(entry)}**")
    if entry.score is None or not entry.dates:
        return
    st.markdown("\n".join(f"- {line}" for line in _findings(reader, asked, entry, measured)))
    _by_question(measured, compared)
    tenths, bands = st.columns(2, gap="large")
    with tenths:
        _tenths(reader, asked, compared)
    with bands:
        _bands(reader, asked)
    _without_components(compared)
    st.caption(
        "An interval is the range of 95 of 100 draws of the accounts. To foretell is not to cause: more e-mails need "
        "not make a customer stay. docs/backtest.md of the project says how all this is judged."
    )


def judged(reader: Reader, asked: dict[str, Any]) -> Backtest:
    """The same that `engagement backtest` judges, from the published file."""
    entry = Backtest(asked["enrichment"], asked["version"])
    entry.dates = [day.date() for day in reader.frame(DATES, **asked)["scored_on"]]
    predictors: dict[tuple[str, str], Predictor] = {}
    for row in reader.records(MEASURED, **asked):
        key = (row["predictor_kind"], row["predictor"])
        if key not in predictors:
            predictors[key] = Predictor(*key)
            entry.predictors.append(predictors[key])
        predictors[key].means[row["measure"]] = Measure(
            row["measure_value"], row["lowest_value"], row["highest_value"], row["accounts_count"]
        )
    for row in reader.records(COMPARED, **asked):
        entry.comparisons[row["compared_predictor"], row["measure"]] = Measure(
            row["difference"], row["lowest_difference"], row["highest_difference"]
        )
    return entry


def in_words(entry: Backtest) -> str:
    """The verdict in a sentence or two, without a technical word."""
    verdict = entry.verdict()
    if verdict in ("no_dates", "too_few_dates"):
        return formats.plain(entry.in_words(days=DAYS_AHEAD))
    if verdict == "beats":
        near = _listed(rule.name for rule in entry.maybe_by_chance())
        return formats.plain(
            "The score tells what comes next better than every simple rule here, both who writes and how much."
            + (f" It may be chance that it is better than these: {near}." if near else "")
        )
    lost = entry.not_beaten()
    rules = len(entry.of_kind(BASELINE))
    told = [
        f"{formats.count(number)} of {formats.count(rules)} tell {question} at least as well"
        for measure, question in (("auc", "who writes"), ("spearman", "how much"))
        if (number := sum(other == measure for _, other in lost))
    ]
    is_certain = any(
        (highest := entry.comparisons.get((rule.name, measure), NOTHING).highest) is not None and highest < 0
        for rule, measure in lost
    )
    return formats.plain(
        f"The score does not tell what comes next better than every simple rule: {', '.join(told)}. "
        + ("" if is_certain else "None of these differences is larger than chance explains. ")
        + "The command engagement fit-weights fits the weights of the score to your own mail."
    )


def _listed(rules: Iterable[str]) -> str:
    return ", ".join(rule_name(rule) for rule in rules)


def rule_name(rule: object) -> str:
    """A simple rule in words."""
    return RULES.get(str(rule)) or str(rule).replace("_", " ")


def _findings(
    reader: Reader, asked: dict[str, Any], entry: Backtest, measured: list[dict[str, Any]]
) -> list[str]:
    """What came, in sentences."""
    score = next(row for row in measured if row["predictor_kind"] == SCORE)
    lines = [
        f"Judged at {', '.join(formats.day(day) for day in sorted(entry.dates))}, over "
        f"{formats.count(score['accounts_count'])} accounts and dates; {formats.count(score['active_count'])} of "
        f"them wrote within {DAYS_AHEAD} days"
        + (
            f" ({formats.ratio(score['active_count'] / score['accounts_count'])})"
            if score["accounts_count"]
            else ""
        )
        + "."
    ]
    tenths = reader.frame(TENTHS, **asked)
    own = tenths[tenths["predictor_kind"] == SCORE].set_index("tenth")
    if {1, 10} <= set(own.index):
        lines.append(
            f"Of the tenth with the highest score, {formats.ratio(own.at[1, 'active_ratio'])} wrote within "
            f"{DAYS_AHEAD} days; of the tenth with the lowest, {formats.ratio(own.at[10, 'active_ratio'])}."
        )
    for row in reader.records(WARNINGS, **asked):
        if row["silent_count"] and row["stayed_count"]:
            is_warning = row["warned_ratio"] > row["false_alarm_ratio"]
            lines.append(
                f"A clear fall of the score within {formats.count(row['weeks_count'])} weeks "
                + ("came before " if is_warning else "was no warning: it came before ")
                + f"{formats.ratio(row['warned_ratio'])} of the {formats.count(row['silent_count'])} times that an "
                f"account fell silent, and before {formats.ratio(row['false_alarm_ratio'])} of the "
                f"{formats.count(row['stayed_count'])} times that one stayed."
            )
    return lines


@st.fragment
def _by_question(measured: list[dict[str, Any]], compared: pandas.DataFrame) -> None:
    st.subheader("Beside simple rules")
    measure = (
        st.segmented_control(
            "Question",
            list(QUESTIONS),
            format_func=lambda one: QUESTIONS[one].name,
            default="auc",
            key="question",
        )
        or "auc"
    )
    question = QUESTIONS[measure]
    st.markdown(question.text)
    rows = pandas.DataFrame([row for row in measured if row["measure"] == measure])
    rows = rows[rows["measure_value"].notna()] if len(rows) else rows
    if rows.empty:
        st.caption("This cannot be told: everybody wrote, or nobody did.")
        return
    rows["who"] = [
        "The score" if kind == SCORE else rule_name(rule)
        for kind, rule in zip(rows["predictor_kind"], rows["predictor"], strict=True)
    ]
    rows["kind"] = rows["predictor_kind"].map({SCORE: "The score", BASELINE: "Simple rule"})
    rows = rows.sort_values(["measure_value", "who"], ascending=[False, True])
    order = list(rows["who"])
    rows["name"] = charts.wrapped(rows["who"])
    place = charts.names_axis("name", sort=list(rows["name"]))
    base = altair.Chart(rows)
    mark = altair.Color(
        "kind:N", title=None, sort=["The score", "Simple rule"], legend=altair.Legend(orient="top")
    )
    nothing = (
        altair.Chart(pandas.DataFrame({"x": [question.nothing_told]}))
        .mark_rule(strokeDash=[4, 4], opacity=0.7)
        .encode(x="x:Q")
    )
    chart = (
        nothing
        + base.mark_rule(strokeWidth=2).encode(
            y=place,
            x=altair.X(
                "lowest_value:Q", title=question.axis, axis=altair.Axis(tickCount=8, labelOverlap=True)
            ),
            x2="highest_value:Q",
            color=mark,
        )
        + base.mark_point(filled=True, size=110, opacity=1).encode(
            y=place,
            x=altair.X("measure_value:Q", scale=altair.Scale(zero=False)),
            color=mark,
            shape=altair.Shape(
                "kind:N",
                sort=["The score", "Simple rule"],
                scale=altair.Scale(domain=["The score", "Simple rule"], range=["diamond", "circle"]),
                title=None,
                legend=altair.Legend(orient="top"),
            ),
            tooltip=[
                altair.Tooltip("who:N", title="Predictor"),
                altair.Tooltip("measure_value:Q", title=question.name, format=".3f"),
                altair.Tooltip("lowest_value:Q", title="from", format=".3f"),
                altair.Tooltip("highest_value:Q", title="to", format=".3f"),
            ],
        )
    ).properties(height=charts.height_of(len(rows)))
    at = order.index("The score") + 1 if "The score" in order else None
    charts.show(
        chart,
        key=f"question {measure}",
        alt=f"Points with intervals. {question.name}: the score stands at place {at} of {len(order)}; "
        f"the first is {order[0]} with {formats.decimal(rows['measure_value'].iloc[0], 3)}.",
        numbers=rows,
        columns=[
            Column("who", "Predictor"),
            Column("measure_value", question.name, formats.thousandth),
            Column("lowest_value", "Interval from", formats.thousandth),
            Column("highest_value", "to", formats.thousandth),
            Column("dates_count", "Dates", formats.count),
        ],
        caption=f"{question.name}: the score and simple rules, with 95 % intervals",
    )
    beside = _judged(compared, BASELINE, measure)
    table(
        beside,
        [
            Column("compared_predictor", "Simple rule", lambda rule: _capital(rule_name(rule))),
            Column("difference", "The score less the rule", formats.signed_thousandth),
            Column("lowest_difference", "Interval from", formats.signed_thousandth),
            Column("highest_difference", "to", formats.signed_thousandth),
            Column("verdict", "The score is"),
        ],
        key=f"compared {measure}",
        caption=f"{question.name}: the score beside each rule, the hardest first",
    )


def _judged(compared: pandas.DataFrame, kind: str, measure: str) -> pandas.DataFrame:
    """The comparisons of a kind by one measure, each with its verdict in words."""
    listed = compared[(compared["compared_kind"] == kind) & (compared["measure"] == measure)]
    return listed.assign(verdict=[is_better(row) for row in listed.to_dict("records")])


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def is_better(row: Any) -> str:
    """A difference and its interval in words."""
    difference, lowest, highest = (
        row[name] for name in ("difference", "lowest_difference", "highest_difference")
    )
    if formats.is_missing(difference):
        return formats.MISSING
    if difference == 0:
        return "the same"
    direction = "better" if difference > 0 else "worse"
    if formats.is_missing(lowest) or formats.is_missing(highest):
        return f"{direction}; how sure is not known"
    is_certain = lowest > 0 if difference > 0 else highest < 0
    return direction if is_certain else f"{direction}, may be chance"


def _tenths(reader: Reader, asked: dict[str, Any], compared: pandas.DataFrame) -> None:
    tenths = reader.frame(TENTHS, **asked)
    hardest = compared[(compared["measure"] == "auc") & (compared["compared_kind"] == BASELINE)]
    hardest = hardest[hardest["is_best_baseline"].fillna(False).astype(bool)]
    rule = hardest["compared_predictor"].iloc[0] if len(hardest) else None
    shown = tenths[(tenths["predictor_kind"] == SCORE) | (tenths["predictor"] == rule)].copy()
    own = shown[shown["predictor_kind"] == SCORE]
    if own.empty:
        return
    shown["who"] = [
        "The score" if kind == SCORE else "The rule hardest to beat" for kind in shown["predictor_kind"]
    ]
    who = altair.Legend(orient="top", title=None, labelLimit=400, columns=1)
    charts.show(
        altair.Chart(shown)
        .mark_line(point=altair.OverlayMarkDef(size=60, filled=True))
        .encode(
            x=altair.X(
                "tenth:O", title="Tenth of the accounts, 1 the highest", axis=altair.Axis(labelAngle=0)
            ),
            y=charts.quantity(
                "active_ratio",
                f"Wrote within {DAYS_AHEAD} days",
                axis=altair.Axis(format="%"),
                scale=altair.Scale(domain=[0, 1]),
            ),
            color=altair.Color("who:N", sort=list(shown["who"].unique()), legend=who),
            strokeDash=charts.dashes("who", sort=list(shown["who"].unique()), legend=who),
            tooltip=[
                altair.Tooltip("who:N", title="By"),
                altair.Tooltip("tenth:O", title="Tenth"),
                altair.Tooltip("active_ratio:Q", title="Wrote", format=".0%"),
            ],
        )
        .properties(height=charts.HEIGHT),
        key="tenths",
        alt=f"Line chart of the share that wrote by tenth. By the score it goes from "
        f"{formats.ratio(own['active_ratio'].iloc[0])} in the highest tenth to "
        f"{formats.ratio(own['active_ratio'].iloc[-1])} in the lowest.",
        numbers=shown,
        columns=[
            Column("who", "By"),
            Column("tenth", "Tenth", formats.count),
            Column("active_ratio", "Wrote", formats.ratio),
            Column("found_ratio", "Of all that wrote, down to here", formats.ratio),
        ],
        caption="Who wrote, by tenth of the accounts"
        + ("" if rule is None else f": the score and the rule hardest to beat, {rule_name(rule)}"),
    )


def _bands(reader: Reader, asked: dict[str, Any]) -> None:
    bands = reader.frame(BANDS, **asked)
    if bands.empty:
        return
    long = bands.melt(
        id_vars=["scores"],
        value_vars=["predicted_ratio", "active_ratio"],
        var_name="what",
        value_name="ratio",
    )
    long["what"] = long["what"].map({"predicted_ratio": "Foretold (mean chance)", "active_ratio": "Wrote"})
    # In a band without a chance nothing was foretold: no point, rather than one at zero.
    long = long[long["ratio"].notna()]
    highest = bands.iloc[-1]
    what = altair.Legend(orient="top", title=None)
    order = ["Wrote", "Foretold (mean chance)"]
    charts.show(
        altair.Chart(long)
        .mark_point(size=120, strokeWidth=2.5, opacity=1)
        .encode(
            x=altair.X("scores:N", sort=None, title="Score (points)", axis=altair.Axis(labelAngle=0)),
            y=charts.quantity(
                "ratio",
                f"Wrote within {DAYS_AHEAD} days",
                axis=altair.Axis(format="%"),
                scale=altair.Scale(domain=[0, 1]),
            ),
            color=altair.Color("what:N", sort=order, legend=what),
            shape=altair.Shape(
                "what:N", sort=order, legend=what, scale=altair.Scale(domain=order, range=["circle", "cross"])
            ),
            tooltip=[
                altair.Tooltip("what:N", title="What"),
                altair.Tooltip("scores:N", title="Score"),
                altair.Tooltip("ratio:Q", title="Share", format=".0%"),
            ],
        )
        .properties(height=charts.HEIGHT),
        key="bands of the back-test",
        alt=f"Points. Of the accounts with a score of {highest['scores']}, "
        f"{formats.ratio(highest['predicted_ratio'])} were foretold to write and "
        f"{formats.ratio(highest['active_ratio'])} did.",
        numbers=bands,
        columns=[
            Column("scores", "Score"),
            Column("accounts_count", "Accounts and dates", formats.count),
            Column("foretold_count", "of them with a chance", formats.count),
            Column("predicted_ratio", "Foretold", formats.ratio),
            Column("active_ratio", "Wrote", formats.ratio),
        ],
        caption="What was foretold and what came, by score",
    )
    few = int((bands["accounts_count"] < 20).sum())
    if few:
        st.caption(
            "Some points stand for fewer than 20 accounts and dates: read those with care (the numbers say which)."
        )


def _without_components(compared: pandas.DataFrame) -> None:
    without = _judged(compared, ABLATION, "auc")
    if without.empty:
        return
    with st.expander("What each component adds"):
        st.markdown(
            "The score less itself without the component, in the question who writes. Above zero the component helps."
        )
        table(
            without.sort_values(["difference", "component"], ascending=[False, True]),
            [
                Column("component", "Component", components.name),
                Column("difference", "It adds", formats.signed_thousandth),
                Column("lowest_difference", "Interval from", formats.signed_thousandth),
                Column("highest_difference", "to", formats.signed_thousandth),
                Column("verdict", "With it the score is"),
            ],
            key="without components",
            caption="What each component adds to the score",
        )
