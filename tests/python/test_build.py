"""What is said of a build that failed."""

from __future__ import annotations

import re
import shutil

import pytest
from dbt.cli.main import dbtRunner, dbtRunnerResult

from conftest import ROOT, Workspace
from engagement import warehouse
from engagement.build import build
from engagement.errors import DamagedFileError, DataTestError, EngagementError, ResourcesError
from project_fixtures import CompiledProject


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
        (
            "Found a cycle: model.customer_engagement.segment_b --> model.customer_engagement.segment_a",
            DataTestError,
            "(segments made of one another: a -> b -> a; take one out of models/segments/segment_a.sql)",
        ),
        (
            "Found a cycle: model.customer_engagement.segment_a",
            DataTestError,
            "(segments made of one another: a -> a; take one out of models/segments/segment_a.sql)",
        ),
        (
            "Compilation Error\n  Model 'model.customer_engagement.segment_a' (models/segments/segment_a.sql) depends"
            " on a node named 'segment_nope' which was not found",
            DataTestError,
            "(models/segments/segment_a.sql: there is no segment nope; correct its name)",
        ),
        (
            "Compilation Error\n  Model 'model.customer_engagement.int_segment_states'"
            " (models/intermediate/segments/int_segment_states.sql) depends on a node named 'segment_gone' which was"
            " not found",
            DataTestError,
            "(dbt_project.yml: var segments names gone, and there is no models/segments/segment_gone.sql)",
        ),
        (
            "Compilation Error in model segment_a (models/segments/segment_a.sql)\n  unexpected '}', expected ')'",
            DataTestError,
            "(models/segments/segment_a.sql: unexpected '}', expected ')')",
        ),
        (
            "Parsing Error\n  Error reading customer_engagement: segments/segment_a.yml - Runtime Error\n"
            "    Syntax error near line 2\n    ---",
            DataTestError,
            "(segments/segment_a.yml: no valid YAML near line 2; correct it)",
        ),
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


SEGMENTS_GONE_WRONG = {
    "a circle": (
        {
            "stale": "{{ segment_union(['rising', 'one_way']) }}",
            "rising": "{{ segment_union(['stale', 'one_way']) }}",
        },
        "made of one another: (stale -> rising -> stale|rising -> stale -> rising);",
    ),
    "a part that is not there": (
        {"stale": "{{ segment_union(['rising', 'nope']) }}"},
        r"models/segments/segment_stale.sql: there is no segment nope; correct its name",
    ),
    "a column that is not there": (
        {"stale": "select no_such_column from {{ ref('int_account_attributes_dated') }}"},
        "model segment_stale: .*no_such_column",
    ),
    "none in var segments": (
        {"extra": "{{ segment_union(['rising', 'stale']) }}"},
        "segment_extra.sql: segment extra is missing in var segments",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("case", SEGMENTS_GONE_WRONG)
def test_a_segment_that_is_wrong_is_named_by_the_build(
    case: str, workspace: Workspace, compiled_project: CompiledProject
) -> None:
    """The same with dbt's own words, whatever they are in this version."""
    models, line = SEGMENTS_GONE_WRONG[case]
    folder = workspace.root / "project"
    folder.mkdir()
    for name in ("models", "macros", "seeds", "tests/generic"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copyfile(ROOT / name, folder / name)
    for segment, sql in models.items():
        (folder / "models" / "segments" / f"segment_{segment}.sql").write_text(sql)
    workspace.environment["ENGAGEMENT_PROJECT_DIR"] = str(folder)
    workspace.private_file.parent.mkdir(mode=0o700)
    shutil.copyfile(compiled_project.private_file, workspace.private_file)
    with pytest.raises(DataTestError) as caught:
        build(workspace.settings())
    said = " ".join(caught.value.lines)
    assert re.search(line, said) and all("\n" not in one for one in caught.value.lines), said
