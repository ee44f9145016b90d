"""A new project in a folder, for who has installed the package and has no clone."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from engagement import locations
from engagement.errors import ConfigurationError
from engagement.locations import CONFIGURATION_FILE, PROJECT_FILE
from engagement.outcome import Outcome

# What the models are made of, as the wheel carries it (pyproject.toml); with the last the folder is a project.
PROJECT = ("models", "macros", "seeds", "tests/generic", "tests/singular", "profiles.yml", PROJECT_FILE)
INSTALLED_MODELS = (
    "models: those of the installed package; `engagement init --copy-models` copies them here to be changed"
)
_ACCOUNTS = """\
account_id,name,website,country,parent_account_id
A1,Example Foods,https://foods.example,DE,
A2,Example Foods France,https://foods-france.example,FR,A1
"""
_CONTACTS = """\
contact_id,account_id,email
C1,A1,kim@foods.example
C2,A2,lee@foods-france.example
"""
# Personal, or made anew by every build.
_IGNORED = """\
/data/
/target/
/logs/
/accounts.csv
/contacts.csv
"""


def init(folder: Path, *, copy_models: bool = False) -> Outcome:
    """Writes enrichments.yml with sample customer files and .gitignore, and with `copy_models` the dbt project. No
    file that is there is changed. ConfigurationError where the models are there already.
    """
    carried = locations.carried_project()
    if carried is None:
        raise ConfigurationError(
            "the installation carries no models; install the package's wheel, or run the command in a clone"
        )
    has_project = (folder / PROJECT_FILE).exists()
    if copy_models and (taken := [name for name in PROJECT if (folder / name).exists()]):
        raise ConfigurationError(
            f"{taken[0]}: is there already, and is not written over; copy the models into an empty folder and compare"
        )
    texts: dict[str, str] = {}
    if not (folder / CONFIGURATION_FILE).exists():
        # Another configuration names files of its own.
        texts |= {
            CONFIGURATION_FILE: (carried / CONFIGURATION_FILE).read_text("utf-8"),
            "accounts.csv": _ACCOUNTS,
            "contacts.csv": _CONTACTS,
        }
    texts[".gitignore"] = _IGNORED
    folder.mkdir(parents=True, exist_ok=True)
    written = _write_new(folder, texts)
    if copy_models:
        _copy_project(carried, folder)
        written += PROJECT
    models = "own" if copy_models or has_project else "installed"
    return Outcome(
        lines=[*(f"written: {name}" for name in written), *_what_next(folder, models)],
        facts={"folder": str(folder), "written": written, "models": models},
    )


def _write_new(folder: Path, texts: Mapping[str, str]) -> list[str]:
    written = []
    for name, text in texts.items():
        try:
            with (folder / name).open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except FileExistsError:
            continue
        written.append(name)
    return written


def _copy_project(carried: Path, folder: Path) -> None:
    """Contents alone, without the rights: what is read-only in the installation is to be changed here."""
    for name in PROJECT:
        source = carried / name
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and "__pycache__" not in path.parts:
                target = folder / path.relative_to(carried)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)


def _what_next(folder: Path, models: str) -> list[str]:
    go = [] if folder.resolve() == Path.cwd().resolve() else [f"  cd {folder}"]
    return [
        "models: those of the folder" if models == "own" else INSTALLED_MODELS,
        "next:",
        *go,
        f"  edit {CONFIGURATION_FILE}, and put your customer files in the place of the samples",
        "  engagement check",
    ]
