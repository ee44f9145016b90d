"""What a developer works with: targets of make and dbt, the loop, hooks, workflows, the changelog."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from demo_once import demo_folder
from documentation import changelog
from engagement.contract import project_contract
from engagement.publish import PRIVATE_TARGETS
from project_fixtures import ROOT

MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
TARGETS = set(re.findall(r"^\.PHONY: ([a-z-]+)$", MAKEFILE, re.MULTILINE))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


# --- make


def test_make_alone_lists_every_target_once_under_its_group_in_100_columns() -> None:
    done = make()
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if len(line) > 100] == []
    groups = [line for line in lines if line and not line.startswith(" ")]
    assert groups == ["Use", "Develop", "Measure", "Release"]
    listed = [line.split()[1] for line in lines if line.startswith("  make ")]
    assert sorted(listed) == sorted(TARGETS - {"help"})


def targets_called(text: str) -> Iterator[str]:
    """The targets in every call of make in a text: in code, or a command on a line of its own."""
    for call in re.findall(r"(?:`|^ {4}|&& |run: )(?:[A-Z_]+=\S+ )*make ([^`#\n|&]+)", text, re.MULTILINE):
        for word in call.split():
            if re.fullmatch(r"[a-z][a-z-]*", word):
                yield word


def test_calls_of_make_are_found_in_texts() -> None:
    text = "make room for it\n\n    DEMO=1 make demo # x\n\nSee `make lint`, `make dist TAG=v1`, `make a && make b`.\n"
    assert list(targets_called(text)) == ["demo", "lint", "dist", "a", "b"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_tells_to_make_is_a_target(page: Path) -> None:
    assert set(targets_called(page.read_text("utf-8"))) <= TARGETS


# --- the targets of dbt


def outputs() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "profiles.yml").read_text("utf-8"))[
        "account_engagement"
    ]["outputs"]
    return found


def test_the_targets_of_dbt_are_those_of_the_page() -> None:
    text = (
        (ROOT / "docs" / "development.md").read_text("utf-8").partition("## Targets")[2].partition("## ")[0]
    )
    told = [name for cell in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for name in cell.split(", ")]
    assert [name.strip("`") for name in told] == sorted(
        outputs(), key=[name.strip("`") for name in told].index
    )


def test_targets_differ_in_their_file_alone_and_prod_is_the_private_one() -> None:
    found = outputs()
    assert found["prod"] == found["private"]
    assert {"private", "prod"} == {name for name in PRIVATE_TARGETS if name is not None}
    paths = {}
    for name in ("private", "demo", "dev", "ci"):
        paths[name] = found[name].pop("path")
        assert found[name] == found["demo"] or name == "private"
    assert len(set(paths.values())) == 4


# --- the loop for a changed model


@pytest.fixture(scope="module")
def workbench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the demo's private file, where make finds all that it would install."""
    folder = tmp_path_factory.mktemp("workbench")
    for name in ("models", "macros", "seeds", "tests/generic", "tests/singular"):
        shutil.copytree(ROOT / name, folder / name)
    for name in ("dbt_project.yml", "profiles.yml", "Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / "data" / "demo").mkdir(parents=True)
    demo = demo_folder(tmp_path_factory.getbasetemp()) / "private.duckdb"
    shutil.copyfile(demo, folder / "data" / "demo" / "private.duckdb")
    # newer than the lock, so that make installs nothing
    (folder / ".venv").mkdir()
    (folder / ".venv" / "installed").touch()
    return folder


def make_changed(workbench: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make changed` with this interpreter's own environment."""
    return make("changed", f"BIN={Path(sys.executable).parent}", *arguments, folder=workbench)


@pytest.mark.long
def test_what_has_changed_is_built_and_tested_with_what_is_made_of_it(workbench: Path) -> None:
    demo = workbench / "data" / "demo" / "private.duckdb"
    before = demo.read_bytes()
    # Nothing to compare with yet: it makes that first.
    done = make_changed(workbench)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not match any enabled nodes" in done.stdout
    model = workbench / "models" / "marts" / "engagement" / "account_recency.sql"
    model.write_text(model.read_text("utf-8") + "-- changed\n", "utf-8")
    done = make_changed(workbench)
    said = done.stdout
    assert done.returncode == 0, said + done.stderr
    for built in (
        "table model marts.account_recency",
        "marts.enriched_customers",
        "unique_key_account_recency",
    ):
        assert built in said, said
    assert re.search(r"account_recency::\w+ \.*", said), "no unit test of it"
    assert "int_messages_counted " not in said and "int_scores_summed " not in said
    # Nothing else was touched: neither the demo's file nor what `engagement publish` looks at.
    assert demo.read_bytes() == before
    assert not (workbench / "target" / "run_results.json").exists()
    assert not (workbench / "data" / "private.duckdb").exists()
    with duckdb.connect(str(workbench / "data" / "dev" / "private.duckdb"), read_only=True) as connection:
        assert connection.execute("select count(*) > 0 from marts.account_recency").fetchone() == (True,)


@pytest.mark.long
def test_a_model_that_breaks_its_rule_fails_the_loop(workbench: Path) -> None:
    model = workbench / "models" / "marts" / "engagement" / "account_recency.sql"
    right = model.read_text("utf-8")
    wrong = right.replace("greatest(", "least(")
    assert wrong != right
    model.write_text(wrong, "utf-8")
    try:
        done = make_changed(workbench, "SELECT=state:modified")
    finally:
        model.write_text(right, "utf-8")
    assert done.returncode != 0
    assert "Failure in unit_test" in done.stdout


# --- hooks


def hooks() -> list[dict[str, Any]]:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"]
    assert repository["repo"] == "local"
    found: list[dict[str, Any]] = repository["hooks"]
    return found


def test_hooks_call_what_the_lock_installs_and_lint_runs() -> None:
    lint = MAKEFILE.partition("\nlint:")[2].partition("\n\n")[0]
    locked = set(
        re.findall(r"^([a-z0-9-]+)(?:\[.*\])?==", (ROOT / "requirements.lock").read_text("utf-8"), re.M)
    )
    called = set()
    for hook in hooks():
        # Of its own environment pre-commit would make one, and fetch it.
        assert hook["language"] == "unsupported"
        found = re.search(r"(?:^|\s)\.venv/bin/(\w+)", hook["entry"])
        assert found is not None, hook["entry"]
        called.add(found[1])
        assert f"$(BIN)/{found[1]}" in lint
    assert called == {"ruff", "mypy", "sqlfluff"} == set(re.findall(r"\$\(BIN\)/(\w+)", lint))
    assert {"pre-commit", *called} <= locked


def test_pre_commit_takes_the_hooks() -> None:
    clientlib = pytest.importorskip(
        "pre_commit.clientlib", reason="pre-commit is not installed: make install"
    )
    clientlib.load_config(str(ROOT / ".pre-commit-config.yaml"))


# --- workflows


def workflow(path: Path) -> dict[str, Any]:
    """A workflow; the key `on` is a truth to YAML 1.1."""
    read: dict[Any, Any] = yaml.safe_load(path.read_text("utf-8"))
    return {"on" if key is True else key: value for key, value in read.items()}


def require_workflow(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The steps of a workflow, of which every part is of the form that GitHub wants."""
    assert set(found) <= {"name", "on", "permissions", "concurrency", "jobs", "env"}
    assert {"name", "on", "permissions", "jobs"} <= set(found)
    steps = []
    for job in found["jobs"].values():
        assert set(job) <= {
            *("runs-on", "timeout-minutes", "permissions", "concurrency", "env", "steps"),
        }
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
        for step in job["steps"]:
            assert len({"uses", "run"} & set(step)) == 1
            assert set(step) <= {"uses", "with", "run", "env", "shell", "working-directory", "name"}
            steps.append(step)
    assert steps
    return steps


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_call_targets_and_pinned_actions_and_know_no_secret(path: Path) -> None:
    text = path.read_text("utf-8")
    assert "secrets." not in text
    found = workflow(path)
    assert found["permissions"] == {"contents": "read"}
    for step in require_workflow(found):
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(re.escape(step["uses"]) + r" # v\d+\.\d+\.\d+$", text, re.MULTILINE)
        elif not step["run"].startswith("gh release create "):
            called = list(targets_called(f"run: {step['run']}"))
            assert called and set(called) <= TARGETS, step["run"]


def test_there_are_the_two_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]
    lines = [step.get("run") for step in require_workflow(workflow(WORKFLOWS[0]))]
    assert {"make lint", "make ci-build", "make test", "make test-faults"} <= set(lines)


# --- the changelog


def test_the_version_has_an_entry_and_the_newest_stands_first() -> None:
    version = changelog.project_version()
    sections = changelog.sections(changelog.CHANGELOG.read_text("utf-8"))
    versions = list(sections)
    assert versions[:2] == ["Unreleased", version]
    numbers = [tuple(map(int, name.split("."))) for name in versions[1:]]
    assert numbers == sorted(numbers, reverse=True)
    assert yaml.safe_load((ROOT / "dbt_project.yml").read_text("utf-8"))["version"] == version
    for name, section in sections.items():
        table = section.partition("### ")[0]
        assert "| model | change | old | new | notes |" in table, f"{name} does not begin with its table"


def test_every_mart_that_has_changed_since_the_last_version_is_named() -> None:
    now = changelog.marts_of(project_contract(ROOT))
    changed = changelog.changes(yaml.safe_load(changelog.KEPT.read_text("utf-8")), now)
    unreleased = changelog.sections(changelog.CHANGELOG.read_text("utf-8"))["Unreleased"]
    assert changelog.named_changes(unreleased) == changed, "write each into the table of CHANGELOG.md"


def test_changes_of_marts_are_found_and_read_out_of_the_table() -> None:
    before = {"a": {"x": "BIGINT"}, "b": {"x": "DATE"}, "c": {"x": "DATE"}}
    now = {"b": {"x": "BIGINT"}, "c": {"x": "DATE"}, "d": {"x": "DATE"}}
    table = "| `a` | removed | | | |\n| `b` | changed | DATE | BIGINT | |\n| `d` | new | | | see `c` |\n"
    assert changelog.changes(before, now) == changelog.named_changes(table)


def test_notes_are_those_of_the_tag(tmp_path: Path) -> None:
    text = (
        "# Changelog\n\n## Unreleased\n\nlater\n\n## 1.1.0 - 2026-02-01\n\nb\n\n## 1.0.0 - 2026-01-01\n\na\n"
    )
    assert changelog.notes(text, "v1.1.0", "1.1.0") == "b\n"
    assert changelog.notes(text, "v1.0.0", "1.0.0") == "a\n"
    for tag, version, why in (
        ("v1.0.0", "1.1.0", "is not v1.1.0"),
        ("", "1.1.0", "is not v1.1.0"),
        ("v2.0.0", "2.0.0", "has no version 2.0.0"),
    ):
        with pytest.raises(SystemExit, match=why):
            changelog.notes(text, tag, version)
    for title, why in (
        ("## 1.2", "is no title"),
        ("## 1.2.0", "a version has a day"),
        ("## Unreleased - 2026-01-01", "what is not released has none"),
    ):
        with pytest.raises(SystemExit, match=why):
            changelog.sections(f"{title}\n\nx\n")


def test_the_notes_of_this_version_can_be_made() -> None:
    version = changelog.project_version()
    text = changelog.notes(changelog.CHANGELOG.read_text("utf-8"), f"v{version}", version)
    assert text.strip() and "Unreleased" not in text
