"""dbt reads the project once in a test process, not in every build: five seconds of each.

dbt keeps what it has read in its target folder, and takes it up again where nothing has changed that it could depend
on; where the private file lies counts as such, though no model asks. In tests every build has a folder and a private
file of its own, so what was read is carried along, and of the path only the name counts, which the models do see.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dbt.artifacts.resources import FileHash
from dbt.constants import PARTIAL_PARSE_FILE_NAME
from dbt.parser.manifest import ManifestLoader


@contextmanager
def parsed_once(project: Path) -> Iterator[None]:
    """Within it, `project` is read once by this process; copies of it are read whole."""
    check, read, write = (
        ManifestLoader.build_manifest_state_check,
        ManifestLoader.read_manifest_for_partial_parse,
        ManifestLoader.write_manifest_for_partial_parse,
    )
    with tempfile.TemporaryDirectory(prefix="parsed-") as folder:
        kept = Path(folder) / PARTIAL_PARSE_FILE_NAME

        def is_ours(loader: ManifestLoader) -> bool:
            return Path(loader.root_project.project_root) == project

        def parsed(loader: ManifestLoader) -> Path:
            return Path(loader.root_project.project_target_path) / PARTIAL_PARSE_FILE_NAME

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
                shutil.copyfile(parsed(loader), kept)
            return written

        ManifestLoader.build_manifest_state_check = check_without_the_path
        ManifestLoader.read_manifest_for_partial_parse = read_what_was_kept
        ManifestLoader.write_manifest_for_partial_parse = write_and_keep
        try:
            yield
        finally:
            ManifestLoader.build_manifest_state_check = check
            ManifestLoader.read_manifest_for_partial_parse = read
            ManifestLoader.write_manifest_for_partial_parse = write
