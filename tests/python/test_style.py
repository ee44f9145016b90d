"""Style of Python and SQL, and types: what `make lint` runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from project_fixtures import ROOT

BIN = Path(sys.executable).parent


def require_clean(*commands: tuple[str, ...], environment: Mapping[str, str] = os.environ) -> None:
    """All of them at the same time: there are two cores."""
    processes = [
        subprocess.Popen(
            [BIN / command[0], *command[1:]],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for command in commands
    ]
    outputs = [process.communicate()[0] for process in processes]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output


@pytest.mark.long
def test_python_is_clean() -> None:
    require_clean(
        ("ruff", "check", "scripts", "tests", "docs"),
        ("ruff", "format", "--check", "scripts", "tests", "docs"),
        ("mypy",),
    )


@pytest.mark.long
def test_sql_is_clean(tmp_path: Path) -> None:
    environment = os.environ | {
        "DBT_TARGET_PATH": str(tmp_path / "target"),
        "DBT_LOG_PATH": str(tmp_path / "logs"),
    }
    require_clean(
        ("sqlfluff", "lint", "--disable-progress-bar", "models", "tests/singular"), environment=environment
    )
