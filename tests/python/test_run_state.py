"""One run at a time, its state on disk, and the history of runs that the models see."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from conftest import ROOT, Workspace
from engagement import run_state, warehouse
from engagement.errors import BusyError, ServiceError
from engagement.run_state import RunState


def test_one_run_at_a_time_and_a_dead_owner_is_no_obstacle(workspace: Workspace) -> None:
    settings = workspace.settings()
    code = (
        "import os, sys; from pathlib import Path; from engagement import run_state\n"
        "from engagement.configuration.loading import load\n"
        "settings = load(os.environ)\n"
        "with run_state.single_run(settings, command='run'):\n"
        "    print('locked', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **workspace.environment, "PYTHONPATH": str(ROOT / "scripts")},
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == "locked\n"
        with pytest.raises(BusyError) as caught, run_state.single_run(settings, command="run"):
            pass
        assert f"`engagement run`, process {other.pid}, started 20" in caught.value.message
        other.kill()
        other.wait()
    with run_state.single_run(settings, command="run"):
        pass


def test_the_run_state_is_always_whole_json(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    state = RunState.begin(settings, command="run")
    with state.timed("office"):
        assert run_state.read_run_state(settings)["step"] == "office"
    state.published_at = "2026-07-01T06:00:00Z"
    state.finish(state="failed", error="no")
    kept = json.loads(settings.run_state_file.read_text())
    assert (kept["state"], kept["error"], kept["pid"]) == ("failed", "no", os.getpid())
    assert kept["steps"]["office"] >= 0
    assert RunState.begin(settings, command="run").published_at == "2026-07-01T06:00:00Z"
    assert [path.name for path in settings.data_dir.iterdir()] == ["run_state.json"]
    settings.run_state_file.write_text("{half")
    assert run_state.read_run_state(settings) == {}


def recorded(
    workspace: Workspace, run: RunState, *, state: str | None = None
) -> dict[str, list[tuple[Any, ...]]]:
    with warehouse.private_file(workspace.settings()) as connection:
        run.record(connection, state=state)
        return {
            "runs": connection.execute(
                "select run_id, command, state, error, finished_at is null, published_at is null"
                " from raw.runs order by started_at, run_id"
            ).fetchall(),
            "steps": connection.execute(
                "select run_id, position, step, state, seconds is null from raw.run_steps order by all"
            ).fetchall(),
            "enrichments": connection.execute(
                "select run_id, enrichment_id, state, detail, selected from raw.enrichment_runs order by all"
            ).fetchall(),
        }


def test_what_a_run_did_is_recorded_once_and_its_end_by_the_next(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    first = RunState.begin(settings, command="run")
    with first.timed("office"), first.enriching("sales") as entry:
        entry.selected = 4
        entry.finish(warnings=True, detail="1 of 4 mailboxes not read")
    rows = recorded(workspace, first)
    assert rows["runs"] == [(first.run_id, "run", "running", None, True, True)]
    assert rows["steps"] == [(first.run_id, 1, "office", "done", False)]
    assert rows["enrichments"] == [
        (first.run_id, "sales", "completed_with_warnings", "1 of 4 mailboxes not read", 4)
    ]
    with first.timed("dbt"):
        pass
    first.note_published(None)
    first.finish(state="done")
    second = RunState.begin(settings, command="extract office")
    rows = recorded(workspace, second, state="done")
    assert sorted(rows["runs"]) == sorted(
        [
            (first.run_id, "run", "done", None, False, False),
            (second.run_id, "extract office", "done", None, False, True),
        ]
    )
    assert [step for run_id, _, step, *_ in rows["steps"] if run_id == first.run_id] == ["office", "dbt"]
    assert rows["enrichments"] == [
        (first.run_id, "sales", "completed_with_warnings", "1 of 4 mailboxes not read", 4)
    ]


def test_a_failed_run_names_its_step_and_its_enrichment(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    state = RunState.begin(settings, command="run")
    with pytest.raises(ServiceError), state.timed("leadspace"), state.enriching("companies"):
        raise ServiceError("Leadspace: failed")
    state.finish(state="failed", error="Leadspace: failed")
    following = RunState.begin(settings, command="run")
    rows = recorded(workspace, following)
    assert (state.run_id, "run", "failed", "Leadspace: failed", False, True) in rows["runs"]
    assert rows["steps"] == [(state.run_id, 1, "leadspace", "failed", False)]
    assert rows["enrichments"] == [(state.run_id, "companies", "failed", "Leadspace: failed", None)]


def test_a_run_that_was_killed_is_recorded_as_killed_by_the_next(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    killed = RunState.begin(settings, command="run")
    # what a SIGKILL leaves: a step begun, an enrichment running, nothing said of the end
    killed.step = "office"
    killed.enrichments["sales"] = run_state.EnrichmentRun(started_at="2026-07-01T06:00:00Z")
    killed.save()
    following = RunState.begin(settings, command="run")
    rows = recorded(workspace, following)
    assert (killed.run_id, "run", "killed", None, True, True) in rows["runs"]
    assert rows["steps"] == [(killed.run_id, 1, "office", "failed", True)]
    assert rows["enrichments"] == [(killed.run_id, "sales", "failed", None, None)]


def test_only_the_last_runs_are_carried_along(workspace: Workspace) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    for _ in range(run_state.RUNS_CARRIED + 3):
        RunState.begin(settings, command="run").finish(state="done")
    kept = run_state.read_run_state(settings)["previous"]
    assert len(kept) == run_state.RUNS_CARRIED
    assert all("previous" not in run for run in kept)


def test_a_run_is_going_on_while_somebody_holds_the_lock(workspace: Workspace) -> None:
    settings = workspace.settings()
    assert not run_state.is_run_going_on(settings)
    with run_state.single_run(settings, command="run"):
        assert run_state.is_run_going_on(settings)
    assert not run_state.is_run_going_on(settings)
    with run_state.single_run(settings, command="run"):
        pass


@pytest.mark.parametrize(
    "text",
    [
        "{half",
        "[]",
        "null",
        "7",
        '{"run_id": 5}',
        '{"run_id": "r", "steps": {"a": null}}',
        '{"run_id": "r", "steps": []}',
        '{"run_id": "r", "enrichments": [1]}',
        '{"run_id": "r", "enrichments": {"a": {}}}',
        '{"run_id": "r", "step": 5}',
        '{"run_id": "r", "previous": [1, {"run_id": 2}], "started_at": "2026-07-01T00:00:00+02:00"}',
        '{"run_id": "r", "previous": {}}',
    ],
)
def test_a_run_state_of_another_shape_stops_nobody(workspace: Workspace, text: str) -> None:
    settings = workspace.settings()
    settings.data_dir.mkdir()
    settings.run_state_file.write_text(text, encoding="utf-8")
    result = workspace.run("status")
    assert result.exit_code == 0, result.stderr
    assert workspace.run("extract", "customers").exit_code == 0
    assert run_state.read_run_state(settings)["state"] == "done"
