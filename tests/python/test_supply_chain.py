"""The bill of materials and the locks: what runs is listed, exactly and with hashes."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

import pytest

from project_fixtures import ROOT

LOCKS = {
    name: ROOT / path
    for name, path in {
        "all": "requirements.lock",
        "runtime": "scripts/audit/runtime.lock",
        "audit": "scripts/audit/requirements.lock",
        "bench": "scripts/benchmarks/requirements.lock",
        "measures": "scripts/measures/requirements.lock",
        "rivals": "scripts/benchmarks/scale/rivals/requirements.lock",
        **{path.stem: str(path.relative_to(ROOT)) for path in sorted((ROOT / "tests" / "bi").glob("*.lock"))},
    }.items()
}
LOCKED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", re.MULTILINE)


def locked(name: str) -> set[tuple[str, str]]:
    """The packages of a lock with their versions, of which systems may have different ones."""
    return set(LOCKED.findall(LOCKS[name].read_text("utf-8")))


def names_a_path(text: str) -> bool:
    """Whether a text holds a path of a machine: one of this machine's own, or any that begins at the root."""
    own = (ROOT, Path.home(), Path(tempfile.gettempdir()))
    return any(f"{folder}/" in text for folder in own) or bool(
        re.search(r"(?:^|[\s\"'=(,])/\w", text, re.MULTILINE)
    )


def test_a_path_is_told_from_an_address_and_a_name() -> None:
    for text in ("# via -r /somewhere/else/lock", '{"url": "/srv/x"}', f"see {ROOT}/x", "path=/opt/y"):
        assert names_a_path(text), text
    for text in (
        "pkg:pypi/idna@3.1",
        "https://pypi.org/simple/idna/",
        "# via -r requirements.lock",
        "text/plain",
    ):
        assert not names_a_path(text), text


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_has_hashes_and_no_lock_names_a_place(name: str) -> None:
    text = LOCKS[name].read_text("utf-8")
    entries = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(entries) == len(locked(name)) > 0
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"https?://|file:|index-url", text)
    assert not names_a_path(text)


def test_what_runs_is_what_is_installed_for_all() -> None:
    """The lock of what runs is a part of the whole one, and has all that pyproject.toml asks for without an extra."""
    assert locked("runtime") < locked("all")
    names = {package for package, _ in locked("runtime")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = {re.split(r"[<>=~\[ ]", entry)[0].lower() for entry in project["dependencies"]}
    assert asked <= names
    assert not {"pytest", "ruff", "mypy", "starlette", "uvicorn"} & names


@pytest.mark.long
def test_the_bill_of_materials_lists_exactly_what_runs(tmp_path: Path) -> None:
    environment = tmp_path / "audit"
    venv.create(environment, with_pip=True)
    install = f"-m pip install --quiet --require-hashes --only-binary :all: -r {LOCKS['audit']}"
    installed = subprocess.run(
        [environment / "bin" / "python", *install.split(" ")], capture_output=True, check=False
    )
    if installed.returncode != 0:
        pytest.skip("the tools of scripts/audit/requirements.lock cannot be installed here")
    bill = tmp_path / "sbom.cdx.json"
    options = (
        f"--pyproject {ROOT / 'pyproject.toml'} --output-reproducible --of JSON -o {bill} {LOCKS['runtime']}"
    )
    subprocess.run(
        [environment / "bin" / "cyclonedx-py", "requirements", *options.split(" ")],
        check=True,
        capture_output=True,
    )
    text = bill.read_text("utf-8")
    found = json.loads(text)
    assert {(entry["name"], entry["version"]) for entry in found["components"]} == locked("runtime")
    assert len(found["components"]) == len(locked("runtime"))
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "account-engagement"
    assert "file:" not in text
    assert not names_a_path(text)
