"""dbt reads the project once in a test session, not in every build: five seconds of each.

dbt keeps what it has read in its target folder, and takes it up again where nothing has changed that it could depend
on; where the private file lies counts as such, though no model asks. In tests every build has a folder and a private
file of its own, so what was read is carried along, and of the path only the name counts, which the models do see.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dbt.artifacts.resources import FileHash
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.parser.manifest import ManifestLoader

from made_once import alone


@contextmanager
def parsed_once(project: Path, folder: Path) -> Iterator[None]:
    """Within it, `project` is read once by all processes that share the folder; copies of it are read whole."""
    load, check, read, write = (
        ManifestLoader.get_full_manifest.__func__,  # type: ignore[attr-defined]
        ManifestLoader.build_manifest_state_check,
        ManifestLoader.read_manifest_for_partial_parse,
        ManifestLoader.write_manifest_for_partial_parse,
    )
    kept = folder / PARTIAL_PARSE_FILE_NAME

    def is_ours(loader: ManifestLoader) -> bool:
        return Path(loader.root_project.project_root) == project

    def parsed(loader: ManifestLoader) -> Path:
        return Path(loader.root_project.project_target_path) / PARTIAL_PARSE_FILE_NAME

    def load_alone(kind: type[ManifestLoader], config: Any, **options: Any) -> Any:
        if Path(config.project_root) != project or config.cli_vars or kept.exists():
            return load(kind, config, **options)
        with alone(folder, "parsing"):
            return load(kind, config, **options)

    def check_without_the_path(loader: ManifestLoader) -> Any:
        state = check(loader)
        if is_ours(loader):
            connection = [
                (key, Path(value).name if key == "path" else str(value))
                for key, value in loader.root_project.credentials.connection_info()
            ]
            state.profile_hash = FileHash.from_contents(str(sorted(connection)))
        return state

    def read_what_was_kept(loader: ManifestLoader) -> Any:
        if is_ours(loader) and kept.exists() and not parsed(loader).exists():
            parsed(loader).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(kept, parsed(loader))
        return read(loader)

    def write_and_keep(loader: ManifestLoader) -> Any:
        written = write(loader)
        # What was read for a day of its own is not what others read.
        if is_ours(loader) and not loader.root_project.cli_vars and parsed(loader).exists():
            # Another process may be copying it.
            made = kept.with_name(f"{kept.name}.{os.getpid()}")
            shutil.copyfile(parsed(loader), made)
            made.replace(kept)
        return written

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ManifestLoader, "get_full_manifest", classmethod(load_alone))
        patched.setattr(ManifestLoader, "build_manifest_state_check", check_without_the_path)
        patched.setattr(ManifestLoader, "read_manifest_for_partial_parse", read_what_was_kept)
        patched.setattr(ManifestLoader, "write_manifest_for_partial_parse", write_and_keep)
        yield
