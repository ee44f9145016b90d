"""`engagement init`, the wheel that carries the models, and docs/first-run.md carried out from it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from conftest import OURS, Workspace, small_tenant
from emulators.graph import running
from engagement import build, locations
from engagement.configuration.loading import load
from engagement.init import PROJECT, init
from engagement.publish import target_path
from project_fixtures import ROOT

PAGE = (ROOT / "docs" / "first-run.md").read_text("utf-8")
CARRIED = "engagement/project"
TEMPLATE = "enrichments.yml"
ACCOUNTS = """\
account_id,name,website,country,parent_account_id
A1,Contoso,https://contoso.example,DE,
A2,Fabrikam,https://fabrikam.example,FR,
"""
CONTACTS = """\
contact_id,account_id,email
C1,A1,kim@contoso.example
C2,A2,max@fabrikam.example
"""


def blocks() -> list[list[str]]:
    """The indented blocks of the page, as lines without the indent."""
    found: list[list[str]] = [[]]
    for line in PAGE.splitlines():
        if line.startswith("    "):
            found[-1].append(line[4:])
        elif found[-1]:
            found.append([])
    return [block for block in found if block]


def documented_commands() -> list[str]:
    return [line for block in blocks() for line in block if line.startswith("engagement ")]


def files_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def project_files(folder: Path) -> dict[str, bytes]:
    """What a project is made of, below a folder that may hold much else."""
    found = {}
    for part in PROJECT:
        path = folder / part
        if path.is_dir():
            found |= {f"{part}/{name}": content for name, content in files_below(path).items()}
        elif path.is_file():
            found[part] = path.read_bytes()
    return found


@pytest.fixture
def empty(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """An empty folder, in which the command is called, and nothing that says where anything lies."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    workspace.environment = {}
    workspace.root = folder
    return workspace


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The project of an installed package."""
    folder = tmp_path / "package"
    init(folder, copy_models=True)
    monkeypatch.setattr(locations, "_PACKAGED", folder)
    return folder


# --- init


def test_a_project_is_begun_and_valid_and_printed_as_documented(empty: Workspace) -> None:
    printed = empty.run("init")
    assert printed.exit_code == 0, printed.output
    assert sorted(path.name for path in empty.root.iterdir()) == [
        ".gitignore", "accounts.csv", "contacts.csv", "enrichments.yml",
    ]  # fmt: skip
    checked = empty.run("check")
    assert checked.exit_code == 0, checked.output
    for done in (printed, checked):
        assert done.stdout.splitlines() in blocks()


def test_what_is_there_stays(empty: Workspace) -> None:
    (empty.root / TEMPLATE).write_text("mine\n", "utf-8")
    (empty.root / ".gitignore").write_text("mine too\n", "utf-8")
    done = empty.run("init", "--json")
    assert json.loads(done.stdout)["written"] == []
    assert files_below(empty.root) == {TEMPLATE: b"mine\n", ".gitignore": b"mine too\n"}


def test_another_folder_is_made_and_named(empty: Workspace) -> None:
    done = empty.run("init", "a/b")
    assert done.exit_code == 0, done.output
    assert (empty.root / "a" / "b" / TEMPLATE).is_file()
    assert "  cd a/b\n" in done.stdout


def test_copied_models_are_the_folders_own(empty: Workspace) -> None:
    assert json.loads(empty.run("check", "--json").stdout)["exit_code"] == 2
    done = empty.run("init", "--copy-models", "--json")
    assert json.loads(done.stdout)["models"] == "own"
    assert project_files(empty.root) == project_files(ROOT)
    assert json.loads(empty.run("check", "--json").stdout)["models"] == "own"


@pytest.mark.long
def test_a_segment_is_made_among_copied_models(empty: Workspace) -> None:
    assert empty.run("init", "--copy-models").exit_code == 0
    made = empty.run(
        *("segment", "new", "german", "--name", "German", "--owner", "Sales", "--where", "country = Germany")
    )
    assert made.exit_code == 0, made.output
    assert (empty.root / "models" / "segments" / "segment_german.sql").is_file()
    assert not (ROOT / "models" / "segments" / "segment_german.sql").exists()


def test_models_can_be_copied_later_and_are_never_written_over(empty: Workspace) -> None:
    assert json.loads(empty.run("init", "--json").stdout)["models"] == "installed"
    assert empty.run("init", "--copy-models").exit_code == 0
    before = files_below(empty.root)
    done = empty.run("init", "--copy-models")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: models: is there already, and is not written over; copy the models into an empty folder and compare\n",
    )
    assert files_below(empty.root) == before
    assert json.loads(empty.run("init", "--json").stdout) == {
        "exit_code": 0, "folder": ".", "written": [], "models": "own",
    }  # fmt: skip


def test_an_installation_without_models_says_so(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_PACKAGED", "_CHECKOUT"):
        monkeypatch.setattr(locations, name, empty.root / "nothing")
    done = empty.run("init")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: the installation carries no models; install the package's wheel, or run the command in a clone\n",
    )
    assert not list(empty.root.iterdir())


# --- whose models


def test_the_models_are_looked_for_from_near_to_far(tmp_path: Path) -> None:
    here, beside, named = (tmp_path / name for name in ("here", "beside", "named"))
    here.mkdir()
    environment = {"ENGAGEMENT_CONFIG": str(beside / TEMPLATE)}
    assert locations.project_dir_of(environment, directory=here) == ROOT
    assert locations.dbt_dir_of(environment, directory=here) == here / "data" / "dbt"
    for folder in (beside, here):
        folder.mkdir(exist_ok=True)
        (folder / "dbt_project.yml").touch()
        assert locations.project_dir_of(environment, directory=here) == folder
        assert locations.dbt_dir_of(environment, directory=here) == folder
    environment["ENGAGEMENT_PROJECT_DIR"] = str(named)
    assert locations.project_dir_of(environment, directory=here) == named
    assert locations.dbt_dir_of(environment, directory=here) == named


def test_dbt_writes_nothing_to_the_package_though_it_is_named(packaged: Path, tmp_path: Path) -> None:
    environment = {"ENGAGEMENT_PROJECT_DIR": str(packaged), "ENGAGEMENT_DATA_DIR": "elsewhere"}
    assert locations.dbt_dir_of(environment, directory=tmp_path) == tmp_path / "elsewhere" / "dbt"


def test_dbt_is_told_where_it_may_write(empty: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert empty.run("init").exit_code == 0
    for name in ("DBT_TARGET_PATH", "DBT_LOG_PATH"):
        monkeypatch.delenv(name, raising=False)
    settings = load({}, services=())
    for given, target in ((None, empty.root / "data" / "dbt" / "target"), ("made", empty.root / "made")):
        if given is not None:
            monkeypatch.setenv("DBT_TARGET_PATH", given)
        # Seen from here, and then by dbt from the project's folder.
        assert target_path(settings).resolve() == target
        with build._environment(settings):
            assert (Path.cwd(), os.environ["DBT_TARGET_PATH"]) == (ROOT, str(target))
            assert os.environ["DBT_LOG_PATH"] == str(empty.root / "data" / "dbt" / "logs")
        assert os.environ.get("DBT_TARGET_PATH") == given and "DBT_LOG_PATH" not in os.environ


@pytest.mark.parametrize(
    "arguments",
    [
        ("segment", "new", "german", "--name", "German", "--owner", "Sales", "--where", "country = Germany"),
        ("fit-weights", "--write", "mine"),
    ],
)
def test_the_models_of_the_package_are_not_changed(
    empty: Workspace, packaged: Path, arguments: tuple[str, ...]
) -> None:
    assert empty.run("init").exit_code == 0
    before = files_below(packaged)
    done = empty.run(*arguments)
    assert done.exit_code == 2, done.output
    assert "the models are those of the installed package" in done.stderr
    assert "`engagement init --copy-models`" in done.stderr
    assert files_below(packaged) == before


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = folder.glob("*.whl")
    return path


def test_the_wheel_carries_the_project_whole_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        carried = {
            name.removeprefix(f"{CARRIED}/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(f"{CARRIED}/")
        }
        packages = {name.partition("/")[0] for name in archive.namelist()}
    assert carried == project_files(ROOT) | {TEMPLATE: (ROOT / TEMPLATE).read_bytes()}
    assert {name for name in packages if not name.endswith(".dist-info")} == {"engagement"}


def test_init_copies_what_the_wheel_carries() -> None:
    built = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    included = built["targets"]["wheel"]["force-include"]
    assert included == {name: f"{CARRIED}/{name}" for name in (*PROJECT, TEMPLATE)}


@pytest.mark.long
def test_the_first_run_as_documented_from_the_wheel_in_a_new_environment(
    wheel: Path, workspace: Workspace, tmp_path: Path
) -> None:
    """The dependencies are those of this environment; the package is the wheel's alone."""
    venv, folder = tmp_path / "venv", tmp_path / "srv"
    folder.mkdir()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], check=True)
    [packages] = venv.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    package = packages / "engagement"
    carried = files_below(package)
    # Where anything lies is not said.
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AZURE_", "DBT_", "ENGAGEMENT_", "LEADSPACE_", "PYTHON"))
    }
    environment |= {name: value for name, value in workspace.environment.items() if name.startswith("AZURE_")}
    environment["PATH"] = f"{venv / 'bin'}{os.pathsep}{environment['PATH']}"

    def engagement(command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    with running(small_tenant()) as graph:
        environment |= {"ENGAGEMENT_AUTHORITY_URL": graph.url, "ENGAGEMENT_GRAPH_URL": graph.url}
        for command in documented_commands():
            done = engagement(command)
            # In the documentation nobody has run for long, and here the newest mail is of a day long gone.
            codes = (0, 13) if command == "engagement watch" else (0,)
            assert done.returncode in codes, (command, done.stdout, done.stderr)
            if command in ("engagement init", "engagement check"):
                assert done.stdout.splitlines() in blocks()
            if command == "engagement check":
                path = folder / TEMPLATE
                raw = yaml.safe_load(path.read_text("utf-8"))
                raw["enrichments"][0]["addresses"] = [f"anna@{OURS}", f"sales@{OURS}"]
                path.write_text(yaml.safe_dump(raw, sort_keys=False), "utf-8")
                (folder / "accounts.csv").write_text(ACCOUNTS, "utf-8")
                (folder / "contacts.csv").write_text(CONTACTS, "utf-8")
        done = engagement("engagement publish --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tables"]["account_engagement"] > 0
    assert sorted(path.name for path in (folder / "data" / "dbt").iterdir()) == ["logs", "target"]
    assert files_below(package) == carried
    assert sorted(path.name for path in folder.iterdir()) == [
        ".gitignore", "accounts.csv", "contacts.csv", "data", "enrichments.yml", "message.txt",
    ]  # fmt: skip
