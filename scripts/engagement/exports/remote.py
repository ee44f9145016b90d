"""An export at S3, in Azure Blob Storage or over SFTP: the parts under names of their own, the manifest last.

Neither can replace several files at once. So a part's name has the first of its hash in it, and no part of the export
before is ever overwritten; manifest.json says which parts are the export, and is replaced in one step. Killed at any
instant, the export before is whole, or the new one is.
"""

from __future__ import annotations

import json
import logging
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem

from engagement import stopping
from engagement.errors import ConfigurationError, EngagementError, ServiceError
from engagement.exports import services
from engagement.exports.definitions import Destination, Export
from engagement.exports.writing import MANIFEST, Part

log = logging.getLogger(__name__)

_HASH_DIGITS = 16
# A name under which a file is uploaded where the service shows one that is not whole.
_BEGUN = ".uploading-"


def named_by_content(parts: Sequence[Part], export: Export) -> list[Part]:
    """The parts under the names that they are uploaded with."""
    return [
        replace(part, file=f"{export.name}-{number:04d}-{part.sha256[:_HASH_DIGITS]}{export.suffix}")
        for number, part in enumerate(parts, start=1)
    ]


class Remote:
    """A folder at a service."""

    def __init__(self, files: AbstractFileSystem, folder: str, *, shows_unfinished: bool, label: str) -> None:
        self._files = files
        self._folder = folder
        self._shows_unfinished = shows_unfinished
        self._label = label

    def upload(self, export: Export, files: Mapping[str, Path], manifest: bytes) -> None:
        """Uploads the files by their names, then the manifest, and removes the parts of the export before.

        The library's own errors where that fails; the export before is then as it was. ConfigurationError where
        another export lies there.
        """
        self._require_ours(export)
        for name, path in files.items():
            stopping.check()
            self._put(name, path)
        stopping.check()
        self._put_manifest(manifest)
        self._remove_old(export, files)

    def _path(self, name: str) -> str:
        return posixpath.join(self._folder, name)

    def _require_ours(self, export: Export) -> None:
        try:
            content = self._files.cat_file(self._path(MANIFEST))
        except FileNotFoundError:
            return
        try:
            name = json.loads(content)["name"]
        except (ValueError, KeyError, TypeError):
            name = None
        if name != export.name:
            raise ConfigurationError(
                f"{export.name}: {self._label} holds another manifest.json already; remove it there, or correct `path`"
            )

    def _put(self, name: str, path: Path) -> None:
        final = self._path(name)
        target = self._path(f"{_BEGUN}{name}") if self._shows_unfinished else final
        self._files.put_file(str(path), target, **services.overwriting(self._files))
        self._files.invalidate_cache()
        if self._files.info(target)["size"] != path.stat().st_size:
            raise ServiceError(
                f"{name}: arrived at {self._label} with another size than it was sent with; run again"
            )
        if target != final:
            self._files.mv(target, final)

    def _put_manifest(self, manifest: bytes) -> None:
        final = self._path(MANIFEST)
        target = self._path(f"{_BEGUN}{MANIFEST}") if self._shows_unfinished else final
        self._files.pipe_file(target, manifest, **services.overwriting(self._files))
        if target != final:
            self._files.mv(target, final)

    def _remove_old(self, export: Export, kept: Mapping[str, Path]) -> None:
        """The parts of exports before, and those that killed ones left. What cannot be removed does no harm."""
        ours = re.compile(
            rf"(?:{re.escape(_BEGUN)})?(?:{re.escape(export.name)}-[0-9]{{4}}-[0-9a-f]{{{_HASH_DIGITS}}}"
            rf"\.(?:csv|csv\.gz|parquet)|{re.escape(MANIFEST)})"
        )
        try:
            self._files.invalidate_cache()
            for path in self._files.ls(self._folder, detail=False):
                name = posixpath.basename(path)
                if ours.fullmatch(name) and name not in kept and name != MANIFEST:
                    self._files.rm_file(self._path(name))
        except Exception as error:
            if stopping.number_of(error) is not None:
                raise
            log.warning(
                "warning: %s: the parts of the export before cannot be removed from %s (%s)",
                export.name,
                self._label,
                type(error).__name__,
            )


@contextmanager
def connected(
    export: Export, destination: Destination, folder: str, environment: Mapping[str, str]
) -> Iterator[Remote]:
    """The folder of an export at its service. EngagementError, one line, for whatever goes wrong inside."""
    label = (
        f"{destination.label.rstrip('/')}/{folder}" if destination.path else f"{destination.label}/{folder}"
    )
    try:
        opened: Any = services.open_files(export.name, destination, environment)
        yield Remote(
            opened.files,
            posixpath.join(opened.root, folder),
            shows_unfinished=opened.shows_unfinished,
            label=label,
        )
    except EngagementError:
        raise
    except Exception as error:
        if stopping.number_of(error) is not None:
            raise
        raise services.explained(error, export.name, destination) from None
