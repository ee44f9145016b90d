"""Where files lie, from the environment alone: known also where enrichments.yml is wrong, and quick to import."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engagement.errors import ConfigurationError

PROJECT_FILE = "dbt_project.yml"
CONFIGURATION_FILE = "enrichments.yml"
# Below the folder of the project: a model for each segment.
SEGMENTS = Path("models", "segments")
_SEGMENT = "segment_"
# Where the wheel carries the dbt project.
_PACKAGED = Path(__file__).parent / "project"
_CHECKOUT = Path(__file__).parents[2]


def data_dir_of(environment: Mapping[str, str], *, directory: Path | None = None) -> Path:
    """The data folder."""
    return given_path(environment, "ENGAGEMENT_DATA_DIR", directory=directory) or _here(directory) / "data"


def configuration_file_of(environment: Mapping[str, str], *, directory: Path | None = None) -> Path:
    """Where enrichments.yml lies."""
    return (
        given_path(environment, "ENGAGEMENT_CONFIG", directory=directory)
        or _here(directory) / CONFIGURATION_FILE
    )


def project_dir_of(environment: Mapping[str, str], *, directory: Path | None = None) -> Path:
    """The folder of the dbt project: the one that is named, the current one, that of enrichments.yml, or what the
    installation carries.
    """
    return _own_project_of(environment, directory) or carried_project() or _here(directory)


def dbt_dir_of(environment: Mapping[str, str], *, directory: Path | None = None) -> Path:
    """The folder in which dbt leaves its target and its logs: the project's own, as plain dbt does. Where the project
    is the installation's it is one below the data folder, since several folders may share it, and it may be read-only.
    """
    own = _own_project_of(environment, directory)
    if own is None or is_packaged(own):
        return data_dir_of(environment, directory=directory) / "dbt"
    return own


def carried_project() -> Path | None:
    """The dbt project that this installation carries: below the package, or around it in a clone."""
    return next((folder for folder in (_PACKAGED, _CHECKOUT) if (folder / PROJECT_FILE).is_file()), None)


def is_packaged(project_dir: Path) -> bool:
    """Whether a project is that of the installed package, which an upgrade replaces."""
    return project_dir.resolve() == _PACKAGED.resolve()


def require_own(project_dir: Path) -> None:
    """ConfigurationError where files of the project are to be changed and it is that of the installed package."""
    if is_packaged(project_dir):
        raise ConfigurationError(
            "the models are those of the installed package, which the next one replaces; copy them into this folder"
            " (`engagement init --copy-models`), then try again, nothing was changed"
        )


def segment_file(segment_id: str) -> Path:
    """Where a segment's SQL lies, below the project's folder."""
    return SEGMENTS / f"{_SEGMENT}{segment_id}.sql"


def segment_ids(project_dir: Path) -> list[str]:
    """The segments of a project by their models, in the order of their ids."""
    models = (project_dir / SEGMENTS).glob(f"{_SEGMENT}*.sql")
    return sorted(path.stem.removeprefix(_SEGMENT) for path in models)


def run_lock_of(data_dir: Path) -> Path:
    """The file that whoever extracts, builds or publishes holds locked."""
    return data_dir / "run.lock"


def watch_state_of(data_dir: Path) -> Path:
    """The file that remembers who was notified of what."""
    return data_dir / "watch_state.json"


def consents_file_of(data_dir: Path) -> Path:
    """The file in which consents are recorded."""
    return data_dir / "consents.json"


def _own_project_of(environment: Mapping[str, str], directory: Path | None) -> Path | None:
    if (given := given_path(environment, "ENGAGEMENT_PROJECT_DIR", directory=directory)) is not None:
        return given
    folders = (_here(directory), configuration_file_of(environment, directory=directory).parent)
    return next((folder for folder in folders if (folder / PROJECT_FILE).is_file()), None)


def given_path(environment: Mapping[str, str], name: str, *, directory: Path | None = None) -> Path | None:
    """The path that a variable names, from the current directory on; None where it is not set."""
    given = environment.get(name)
    return _here(directory) / Path(given).expanduser() if given else None


def _here(directory: Path | None) -> Path:
    return directory or Path.cwd()
