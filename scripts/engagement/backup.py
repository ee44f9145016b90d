"""`engagement backup FOLDER`: a copy of what cannot be made again, consistent and verified (docs/backups.md).

    data/ ─► a folder beside FOLDER: copies, their SHA-256 ─► the copied private file is opened and read whole ─► FOLDER

Under the run's lock, and with the private file open, so that nothing changes meanwhile. FOLDER is there whole or not at
all. The keys stay out unless they are asked for: whoever has them and the private file can try addresses (docs/key.md).
"""

from __future__ import annotations

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from engagement import audit, durable, old_copies, room, stopping, versions
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, EngagementError, ResourcesError
from engagement.outcome import Outcome, counted
from engagement.raw_tables import figures
from engagement.run_state import instant_text, single_run
from engagement.warehouse import connect, open_file, require_current, utc_now

MANIFEST = "MANIFEST.json"
MANIFEST_VERSION = 1
PRIVATE, HASH_KEY, TOMBSTONE_KEY = "private.duckdb", "hash_key", "tombstone_key"
TOMBSTONES, AUDIT, CONSENTS, RUN_STATE = "tombstones.json", "audit.jsonl", "consents.json", "run_state.json"
CONFIGURATION = "enrichments.yml"
KEYS = (HASH_KEY, TOMBSTONE_KEY)
WORK_PREFIX = ".backing-up-"
_BYTES_AT_ONCE = 8 * 2**20


def places(settings: Settings) -> dict[str, Path]:
    """Everything that can stand in a backup, by its name there, and where this project has it."""
    return {
        PRIVATE: settings.private_file,
        TOMBSTONES: settings.tombstones_file,
        AUDIT: settings.audit_file,
        CONSENTS: settings.consents_file,
        RUN_STATE: settings.run_state_file,
        CONFIGURATION: settings.configuration_file,
        HASH_KEY: settings.hash_key_file,
        TOMBSTONE_KEY: settings.tombstone_key_file,
    }


def backup(settings: Settings, folder: Path, *, with_keys: bool = False) -> Outcome:
    """Makes `folder`, which must not be there yet or be empty, a backup of this project.

    Raises ConfigurationError where that is no place for one or the private file is of another version, BusyError where
    a run is going on, ResourcesError where there is too little room, others where the copy cannot be read. None is made
    then.
    """
    _check_place(settings, folder)
    if not settings.private_file.is_file():
        raise ConfigurationError(
            f"{settings.private_file.name}: no such file, so there is nothing to back up; run `engagement run` first"
        )
    with single_run(settings, command="backup"), durable.work_folder(folder.parent, WORK_PREFIX) as work:
        old_copies.take_in_log(settings)
        # What cannot be noted must not be done; so the note stands in the copy as well.
        audit.note(settings, audit.BACKUP)
        # Open for reading, so that nobody writes to it meanwhile.
        with connect(settings, read_only=True) as connection:
            require_current(connection, settings)
            try:
                files = _copy(settings, work, with_keys=with_keys)
            except OSError as error:
                raise ResourcesError(
                    f"{folder.name}: cannot be written ({error.strerror}), so there is no backup; make room or correct"
                    " the folder's rights, then run again"
                ) from None
        manifest = {
            "manifest_version": MANIFEST_VERSION,
            "made_at": instant_text(utc_now()),
            "release": version("account-engagement"),
            "duckdb": duckdb.__version__,
            "private_file_version": versions.current_version(settings.project_dir),
            "tables": read_whole(work / PRIVATE),
            "files": files,
        }
        stopping.check()
        durable.write(work / MANIFEST, (json.dumps(manifest, indent=2) + "\n").encode())
        os.replace(work, folder)
        durable.sync_folder(folder.parent)
    return _outcome(settings, folder, manifest)


def _outcome(settings: Settings, folder: Path, manifest: dict[str, Any]) -> Outcome:
    files = manifest["files"]
    size_bytes = sum(file["bytes"] for file in files.values())
    lines = [
        f"backup: {counted(len(files), 'file')}, {size_bytes / 1e6:,.1f} MB, in {folder.name}; the copy of"
        f" {PRIVATE} was opened and read whole ({counted(sum(manifest['tables'].values()), 'row')})"
    ]
    if any(name in files for name in KEYS):
        lines.append(
            "it holds the keys beside the data: whoever has it can try addresses until one fits; encrypt it, and keep"
            " it from whoever may not read mail"
        )
    else:
        where = "ENGAGEMENT_HASH_KEY" if settings.hash_key is not None else HASH_KEY
        lines.append(
            f"it holds no key: keep {where}"
            + (f" and {TOMBSTONE_KEY}" if settings.tombstones_file.exists() else "")
            + " in another place (docs/key.md); without it nothing can go on from this backup"
        )
    return Outcome(
        lines=lines,
        facts={
            "folder": str(folder),
            "size_bytes": size_bytes,
            "with_keys": any(name in files for name in KEYS),
            **manifest,
        },
    )


def _check_place(settings: Settings, folder: Path) -> None:
    """ConfigurationError where `folder` is no place for a backup."""
    problem = None
    target = folder.resolve()
    for own in (settings.data_dir, settings.private_file.parent):
        if target == own.resolve() or own.resolve() in target.parents or target in own.resolve().parents:
            problem = (
                "lies in the data folder, or around it, and would be lost with it; name one on another disk"
            )
    if problem is None and folder.is_symlink():
        problem = "is a link; name the folder that it leads to"
    elif problem is None and folder.exists() and not folder.is_dir():
        problem = "is a file; name a new folder"
    elif problem is None and folder.is_dir() and any(folder.iterdir()):
        problem = "is there already and not empty; name a new folder, with the date in its name"
    elif problem is None and not folder.parent.is_dir():
        problem = "the folder that it is to lie in does not exist; make it, or name another"
    if problem is not None:
        raise ConfigurationError(f"{folder.name or folder}: {problem}")


def _copy(settings: Settings, work: Path, *, with_keys: bool) -> dict[str, dict[str, Any]]:
    """Copies what there is; each file's size and SHA-256."""
    there = {
        name: path
        for name, path in places(settings).items()
        if path.is_file() and (with_keys or name not in KEYS)
    }
    room.require(
        work,
        sum(path.stat().st_size for path in there.values()),
        what=f"{work.parent.name or work.parent}: too little room for a backup",
        advice="make room or name another folder",
    )
    return {
        name: {"bytes": path.stat().st_size, "sha256": copied(path, work / name)}
        for name, path in there.items()
    }


def copied(source: Path, target: Path) -> str:
    """Copies a file, for its owner alone and through to the disk; the SHA-256 of what was read. OSError where that
    fails.
    """
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, durable.FILE_MODE)
    with source.open("rb") as file, os.fdopen(descriptor, "wb") as copy:
        while part := file.read(_BYTES_AT_ONCE):
            stopping.check()
            digest.update(part)
            copy.write(part)
        copy.flush()
        os.fsync(copy.fileno())
    return digest.hexdigest()


def read_whole(private_file: Path) -> dict[str, int]:
    """The rows of every raw table of a private file, each value read. EngagementError where one cannot be."""
    try:
        with open_file(private_file, read_only=True) as connection:
            found = figures(connection, versions.layout(connection), database=private_file.stem)
    except duckdb.InterruptException:
        stopping.check()
        raise
    except duckdb.Error as error:
        raise EngagementError(
            f"{private_file.name}: the copy cannot be read ({type(error).__name__}), so the private file, or the disk"
            " of the copy, is damaged; restore an older backup, or read everything again (docs/backups.md)"
        ) from None
    return {table: figure.rows for table, figure in found.items()}
