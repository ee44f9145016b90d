"""docs/how-to.md: its score component, added to a copy of the project and built; and what the page names is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from project_fixtures import ROOT, CompiledProject, run_dbt

PAGE = ROOT / "docs" / "how-to.md"
PATCH = ROOT / "docs" / "how-to" / "score-component.patch"
PARTS = ("models", "macros", "seeds", "tests/generic", "tests/singular")
# Whole models of the column that the patch adds.
BUILT = ("score_components", "int_score_features_measured", "int_components_measured")
UNIT_TESTS = {
    "meetings_that_the_account_called_count_within_their_window",
    "meeting_initiative_is_the_number_of_meetings_that_the_account_called",
}


@pytest.fixture
def patched(tmp_path: Path) -> Path:
    """A copy of what the patch changes and of what dbt needs, with the patch applied."""
    project = tmp_path / "project"
    for part in PARTS:
        shutil.copytree(ROOT / part, project / part)
    for file in {"dbt_project.yml", "profiles.yml", *files_of_the_patch()}:
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, project / file)
    # A folder that is no repository, so that git looks at the files alone.
    subprocess.run(
        ["git", "apply", "-C1", str(PATCH)],
        cwd=project,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(tmp_path)},
        check=True,
    )
    return project


def files_of_the_patch() -> set[str]:
    return set(re.findall(r"^\+\+\+ b/(.+)$", PATCH.read_text("utf-8"), re.MULTILINE))


@pytest.mark.long
def test_the_component_of_the_page_can_be_added_and_passes_its_tests(
    patched: Path, compiled_project: CompiledProject, tmp_path: Path
) -> None:
    private_file = tmp_path / "private.duckdb"
    shutil.copyfile(compiled_project.private_file, private_file)
    target = tmp_path / "target"
    run_dbt("build", "--select", *BUILT, project=patched, target=target, private_file=private_file)
    results = json.loads((target / "run_results.json").read_text("utf-8"))["results"]
    passed = {result["unique_id"].rpartition(".")[2] for result in results if result["status"] == "pass"}
    assert passed >= UNIT_TESTS


def test_the_page_names_every_file_that_the_patch_touches() -> None:
    text = PAGE.read_text("utf-8")
    section = text.partition("## A score component")[2].partition("\n## ")[0]
    assert {file for file in files_of_the_patch() if Path(file).name not in section} == set()


def test_what_the_page_shows_of_the_patch_is_in_it() -> None:
    section = PAGE.read_text("utf-8").partition("## A score component")[2].partition("\n## ")[0]
    added = " ".join(
        " ".join(line[1:] for line in PATCH.read_text("utf-8").splitlines() if line.startswith("+")).split()
    )
    shown = re.search(r"(cast\(sum\(case.*?meetings_called_count),", section, re.DOTALL)
    branch = re.search(r"`(when 'meeting_initiative'[^`]+)`", section)
    assert shown is not None and branch is not None
    for sql in (shown.group(1), branch.group(1)):
        assert " ".join(sql.split()) in added


def test_every_file_and_name_of_the_table_of_providers_is_there() -> None:
    """A third provider finds in them what the page says."""
    section = PAGE.read_text("utf-8").partition("## A third provider")[2].partition("\n## ")[0]
    package = ROOT / "scripts" / "engagement"
    named = re.findall(r"((?:`[\w*]+`(?:, )?)+) in `(\w+\.py)`", section)
    assert len(named) >= 6
    for names, file in named:
        code = (package / file).read_text("utf-8")
        for name in re.findall(r"`([\w*]+)`", names):
            assert re.search(rf"\b{name}\b", code), f"{file} has no {name}"
    models = {path.stem for path in (ROOT / "models").rglob("*.sql")}
    assert set(re.findall(r"`((?:int|original|company)_\w+)`", section)) - models <= {
        "company_file",
        "company_sources",
        "company_attributes",
    }
