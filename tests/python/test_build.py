"""What is said of a build that failed."""

from __future__ import annotations

import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult

from conftest import Workspace
from engagement import warehouse
from engagement.build import build
from engagement.errors import DamagedFileError, DataTestError, EngagementError, ResourcesError


@pytest.mark.parametrize(
    ("exception", "kind", "said"),
    [
        (
            "Runtime Error\n  The vars are no mapping",
            DataTestError,
            "cannot be built (The vars are no mapping)",
        ),
        ("Database Error in model x (models/x.sql)\n  no such table", DataTestError, "(no such table)"),
        ("nothing but this", DataTestError, "(nothing but this)"),
        ("Runtime Error", DataTestError, "(Runtime Error)"),
        ("IO Error: Could not write: No space left on device", ResourcesError, "the disk is full"),
        ("Out of Memory Error: could not allocate", ResourcesError, "out of memory"),
        ("IO Error: Corrupt database file: checksum", DamagedFileError, "is damaged"),
    ],
)
def test_why_a_project_cannot_be_built(
    exception: str,
    kind: type[EngagementError],
    said: str,
    workspace: Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with warehouse.private_file(workspace.settings()):
        pass
    failed = dbtRunnerResult(success=False, exception=Exception(exception))
    monkeypatch.setattr(dbtRunner, "invoke", lambda *_, **__: failed)
    with pytest.raises(kind) as caught:
        build(workspace.settings())
    assert said in caught.value.message and "nothing is published" in caught.value.message
