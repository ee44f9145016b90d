"""The dbt project, run once a session on an empty private file, for tests of the house itself."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner

from made_once import made_once, session_folder

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class CompiledProject:
    """`manifest` is dbt's, with compiled code; `target` the folder that it lies in; `private_file` what was built."""

    target: Path
    private_file: Path
    manifest: dict[str, Any]

    def nodes(self, resource_type: str) -> list[dict[str, Any]]:
        return [node for node in self.manifest["nodes"].values() if node["resource_type"] == resource_type]


def run_dbt(*arguments: str, project: Path = ROOT, target: Path, private_file: Path) -> None:
    """Invoke dbt in this process; fails the test with dbt's own words."""
    before = {name: os.environ.get(name) for name in ("ENGAGEMENT_PRIVATE_FILE", "DBT_LOG_PATH")}
    os.environ |= {"ENGAGEMENT_PRIVATE_FILE": str(private_file), "DBT_LOG_PATH": str(target / "logs")}
    try:
        result = dbtRunner().invoke(
            [
                *arguments,
                "--project-dir",
                str(project),
                "--profiles-dir",
                str(project),
                "--target-path",
                str(target),
                "--quiet",
                "--warn-error",
            ]
        )
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
    assert result.success, result.exception or [
        f"{r.node.name}: {r.message}"
        for r in getattr(result.result, "results", [])
        if r.status not in ("success", "pass") and hasattr(r, "node")
    ]


@pytest.fixture(scope="session")
def compiled_project(tmp_path_factory: pytest.TempPathFactory) -> CompiledProject:
    """`dbt run` on a private file that does not exist yet, then `dbt build`: every model, over empty raw tables.

    The second is a refresh in part, whose SQL is all that the first one's is and more; it asks every unit test and data
    test, warnings as errors, and fails whoever asks for the project where one fails. Once for all workers of the
    session, so nobody may change it.
    """

    def compile_twice(folder: Path) -> None:
        for command in ("run", "build"):
            run_dbt(command, target=folder, private_file=folder / "private.duckdb")

    folder = made_once(session_folder(tmp_path_factory.getbasetemp()), "compiled-once", compile_twice)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return CompiledProject(folder, folder / "private.duckdb", manifest)
