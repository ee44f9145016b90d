"""The demo, run once a test session for all who only look at what it made."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulators import demo
from made_once import made_once, session_folder


def demo_folder(base: Path) -> Path:
    """The demo's folder as `make demo` fills it; `base` is pytest's (`getbasetemp`). Who uses it may not change it."""

    def run_demo(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patched:
            # The project's own may be another process's build at the same time, which the publication would refuse.
            patched.setenv("DBT_TARGET_PATH", str(folder / "target"))
            patched.setenv("DBT_LOG_PATH", str(folder / "logs"))
            assert demo.run(["--json"], folder=folder / "demo") == 0

    return made_once(session_folder(base), "demo-once", run_demo) / "demo"
