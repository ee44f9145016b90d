"""What runs do and did: the one that goes on, the last one, the history, and how long each step took."""

from __future__ import annotations

import datetime as dt
from typing import Any

import altair
import pandas
import streamlit as st

from engagement.pages import charts, formats, links, site
from engagement.pages.reader import Reader
from engagement.pages.sections import ROWS_LISTED, note_of_rows, section
from engagement.pages.tables import Column, table
from engagement.run_state import CANCELLED, run_row, step_rows
from engagement.status import last_run, run_in_words

SECONDS_BETWEEN_LOOKS, SECONDS_WHILE_RUNNING = 10, 2

RUNS = f"""
    select
        run_id, command, run_state, error_text, duration_seconds, started_at, published_at,
        count(*) over () as rows_count
    from run_history
    order by started_at desc nulls last, run_id
    limit {ROWS_LISTED}
"""

STEPS = """
    select step_position, step, step_state, duration_seconds
    from run_steps
    where run_id = $run_id
    order by step_position
"""

_STATES = {
    "running": "Going on",
    "done": "Done",
    "failed": "Failed",
    CANCELLED: "Cancelled",
    "killed": "Killed",
    # Its row was written before it ended, and nothing later tells how it did.
    "published": "Made this file",
}

_STEPS = {
    "customers": "Customer files",
    "office": "E-mail and calendars",
    "leadspace": "Leadspace",
    "dbt": "Computing and testing",
    "publish": "Publishing",
    "erase": "Erasing",
    "remove": "Removing",
}


def state_in_words(value: Any) -> str:
    """How a run or a step ended."""
    return _STATES.get(value) or formats.words(value)


def step_in_words(value: Any) -> str:
    """Computing and testing; a step that nobody knows as it is called."""
    return _STEPS.get(value) or formats.words(value)


def show_last_run() -> None:
    """In a line what the last run does or did; looks again by itself, more often while one goes on."""
    run = last_run(site.current())
    every = SECONDS_WHILE_RUNNING if run.get("state") == "running" else SECONDS_BETWEEN_LOOKS
    st.fragment(_show_last_run, run_every=every)(_identity_of(run))


def _show_last_run(seen: tuple[Any, ...]) -> None:
    run = last_run(site.current())
    if _identity_of(run) != seen:
        # Another run, or the same in another step: how the enrichments stand has changed with it.
        st.rerun()
    words = formats.with_commands(
        formats.sentence(run_in_words(run or None, dt.datetime.now(dt.UTC).replace(tzinfo=None)))
    )
    state = run.get("state")
    if state == "running":
        st.info(words, icon=":material/sync:")
    elif state == "failed":
        st.error(f"{words} What was published before still stands.", icon=":material/error:")
    elif state in ("killed", CANCELLED):
        st.warning(words, icon=":material/warning:")
    else:
        # Code in a caption is too pale to read.
        st.markdown(words)


def _identity_of(run: dict[str, Any]) -> tuple[Any, ...]:
    entries = (run.get("enrichments") or {}).items()
    return (
        run.get("run_id"),
        run.get("state"),
        run.get("step"),
        tuple((name, entry.get("state")) for name, entry in entries),
    )


def show(reader: Reader) -> None:
    """The history, and the steps of one run."""
    with section("Run history"):
        noted = _noted()
        history = _history(reader, noted)
        table(
            history,
            [
                Column(
                    "started_at",
                    "Started",
                    formats.instant,
                    detail=lambda row: formats.ago(row["started_at"]),
                ),
                Column("command", "Command"),
                Column("run_state", "State", state_in_words),
                Column("duration_seconds", "Duration", formats.duration),
                Column("published_at", "Published", formats.instant),
                Column("error_text", "What went wrong"),
            ],
            key="runs",
            caption="Runs",
            id_column="run_id",
            leads_to=links.run_href,
            empty="none yet; `engagement run` makes the first.",
        )
        note_of_rows(history, "the newest first", "the table run_history of the published file")
        if history.empty:
            return
        st.caption("A start opens the steps of its run.")
        _steps(reader, history, noted)


def _noted() -> dict[str, dict[str, Any]]:
    """By id, the runs that run_state.json tells of."""
    run = last_run(site.current())
    return {noted["run_id"]: noted for noted in ([run, *(run.get("previous") or [])] if run else [])}


def _history(reader: Reader, noted: dict[str, dict[str, Any]]) -> pandas.DataFrame:
    """Newest first, the runs of the published file, and those that run_state.json tells more of."""
    rows = {row["run_id"]: row for row in reader.records(RUNS)}
    for run_id, run in noted.items():
        _, command, state, error, started_at, finished_at, published_at = run_row(run)
        before = rows.get(run_id, {})
        rows[run_id] = {
            "run_id": run_id,
            "command": command,
            "run_state": state,
            "error_text": error,
            "duration_seconds": (
                (finished_at - started_at).total_seconds() if started_at and finished_at else None
            ),
            "started_at": started_at,
            "published_at": published_at or before.get("published_at"),
        }
    for run_id, row in rows.items():
        if row["run_state"] == "running" and run_id not in noted:
            row["run_state"] = "published"
    ordered = sorted(
        rows.values(),
        key=lambda row: pandas.Timestamp(row["started_at"] or dt.datetime.min.replace(year=1970)),
        reverse=True,
    )
    frame = pandas.DataFrame(ordered)
    if not frame.empty:
        frame["rows_count"] = max([len(frame), *(int(row.get("rows_count") or 0) for row in ordered)])
    return frame


def _steps(reader: Reader, history: pandas.DataFrame, noted: dict[str, dict[str, Any]]) -> None:
    asked = st.query_params.get("run")
    known = list(history["run_id"])
    run_id = str(asked if asked in known else known[0])
    if asked and asked not in known:
        st.info("No run has this id any more; here is the newest.", icon=":material/info:")
    row = history[history["run_id"] == run_id].iloc[0]
    steps = _steps_of(reader, run_id, noted)
    started = formats.instant(row["started_at"])
    if steps.empty:
        st.markdown(f"The run of {formats.plain(started)} took no step.")
        return
    steps["step_words"] = [step_in_words(step) for step in steps["step"]]
    timed = steps.dropna(subset=["duration_seconds"])
    longest = timed.loc[timed["duration_seconds"].idxmax()] if not timed.empty else None
    chart = (
        altair.Chart(timed.assign(name=charts.wrapped(timed["step_words"])))
        .mark_bar()
        .encode(
            x=altair.X("duration_seconds:Q", title="Duration (seconds)", axis=altair.Axis(tickCount=8)),
            y=charts.names_axis("name"),
            tooltip=[
                altair.Tooltip("step_words:N", title="Step"),
                altair.Tooltip("duration_seconds:Q", title="Duration (seconds)", format=",.1f"),
            ],
        )
        .properties(height=charts.height_of(len(steps)))
    )
    charts.show(
        chart,
        key="steps",
        alt=(
            f"Bars with the duration of each step; the longest is {longest['step_words']} "
            f"with {formats.duration(longest['duration_seconds'])}."
            if longest is not None
            else "No step of this run came to its end."
        ),
        numbers=steps,
        columns=[
            Column("step_words", "Step"),
            Column("step_state", "State", state_in_words),
            Column("duration_seconds", "Duration", formats.duration),
        ],
        caption=f"Steps of the run of {started}",
    )


def _steps_of(reader: Reader, run_id: str, noted: dict[str, dict[str, Any]]) -> pandas.DataFrame:
    """As run_state.json has them, which knows the last ones too; else as published."""
    if run_id not in noted:
        return reader.frame(STEPS, run_id=run_id)
    return pandas.DataFrame(
        [
            {"step": step, "step_state": state, "duration_seconds": seconds}
            for _, _, step, state, seconds in step_rows(noted[run_id])
        ],
        columns=["step", "step_state", "duration_seconds"],
    ).astype({"duration_seconds": "float64"})
