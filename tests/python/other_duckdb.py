"""A Python with another DuckDB than ours, from the package index."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

import pytest


def python_with_duckdb(version: str, folder: Path) -> Path:
    """An interpreter in an environment of its own; the test is skipped where that version cannot be installed."""
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    installed = subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:", f"duckdb=={version}"],
        capture_output=True,
        text=True,
        check=False,
    )
    if installed.returncode != 0:
        pytest.skip(f"duckdb {version} cannot be installed here")
    return python
