"""Whole private files beside the one in use: what it was before an upgrade or a restore, and what a killed one left;
and its raw tables as Parquet, wherever `engagement raw-to-parquet` has put them.

They hold what the private file held then. So whatever must leave the bytes of the private file (an erasure, a removal,
another key) takes them along (engagement.rebuild), and `engagement access` names them.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import stat
from pathlib import Path

from engagement.configuration.settings import Settings
from engagement.durable import FILE_MODE, sync_folder, write
from engagement.warehouse import connect

log = logging.getLogger(__name__)

# What stands in a folder of raw tables beside the tables.
RAW_MANIFEST = "raw.json"
# Of the working folders of upgrades and restores.
UPGRADE_PREFIX, RESTORE_PREFIX = WORK_PREFIXES = (".upgrading-", ".restoring-")


def copy_name(private_file: Path, what: str) -> Path:
    """Where the private file as it was is kept: private.duckdb.<what>.bak."""
    return private_file.with_name(f"{private_file.name}.{what}.bak")


def found(private_file: Path) -> list[Path]:
    """The earlier private files that lie beside the one in use."""
    return sorted(private_file.parent.glob(f"{private_file.name}.*.bak"))


def keep(private_file: Path, what: str) -> Path:
    """Gives the private file a second name, under which it stays when another takes its place; on the disk when this
    returns. OSError where that fails.
    """
    kept = copy_name(private_file, what)
    beside = kept.with_name(f".{kept.name}.beside")
    beside.unlink(missing_ok=True)
    try:
        os.link(private_file, beside)
    except OSError:
        # Not every file system has second names.
        shutil.copyfile(private_file, beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
    if stat.S_IMODE(beside.stat().st_mode) & 0o077:
        beside.chmod(FILE_MODE)
    os.replace(beside, kept)
    # A second name of one file and the same, renamed to itself, stays.
    beside.unlink(missing_ok=True)
    sync_folder(private_file.parent)
    return kept


def take_in_log(settings: Settings) -> None:
    """What was written last stands in a log beside the private file, without which a copy of it is not whole; opened
    for writing, DuckDB takes it in. Errors are those of `connect`.
    """
    if settings.private_file.with_name(settings.private_file.name + ".wal").exists():
        with connect(settings) as connection:
            connection.execute("checkpoint")


def note_raw_folder(settings: Settings, folder: Path) -> None:
    """Remembers that the raw tables are about to be written there. OSError where that cannot be noted."""
    known = raw_folders(settings)
    if folder not in known:
        _write_raw_folders(settings, [*known, folder])


def raw_folders(settings: Settings) -> list[Path]:
    """The folders that hold, or held, the raw tables as Parquet."""
    try:
        return [Path(folder) for folder in json.loads(_raw_folders_file(settings).read_text("utf-8"))]
    except FileNotFoundError:
        return []


def raw_work_prefix(folder: Path) -> str:
    """What the names of the folders beside it begin with, in which its next content is made."""
    return f".{folder.name}.writing-"


def remove(settings: Settings) -> list[Path]:
    """Removes them all, on the disk when this returns; which there were. OSError where one cannot be removed."""
    private_file = settings.private_file
    removed = found(private_file)
    for path in [*removed, *private_file.parent.glob(f".{private_file.name}.*.bak.beside")]:
        path.unlink(missing_ok=True)
    if removed:
        sync_folder(private_file.parent)
    return removed + _remove_raw_folders(settings)


def in_words(folders: list[Path]) -> list[str]:
    """What is said where `raw_folders` were removed with what is out of the private file."""
    if not folders:
        return []
    return [
        f"the raw tables as Parquet are deleted ({', '.join(folder.name for folder in folders)}); another engine that"
        " read them still holds what it made of them: write them again with `engagement raw-to-parquet` and build there"
        " anew (docs/spark.md)"
    ]


def _remove_raw_folders(settings: Settings) -> list[Path]:
    folders = raw_folders(settings)
    removed = []
    for folder in folders:
        # Its manifest says that it is ours; what somebody has put in its place since is not. Under the other name it is
        # ours without, so that nothing stays of what a kill leaves half removed.
        if is_there := (folder / RAW_MANIFEST).is_file():
            folder.rename(folder.with_name(f"{raw_work_prefix(folder)}{secrets.token_hex(6)}"))
            removed.append(folder)
        ours = list(folder.parent.glob(f"{raw_work_prefix(folder)}*"))
        if not is_there and not ours:
            log.warning(
                "warning: %s: the raw tables are not there any more; where they lie on a disk that is not mounted, or"
                " were moved, delete them there",
                folder,
            )
        for path in ours:
            shutil.rmtree(path)
            sync_folder(path.parent)
    if folders:
        _write_raw_folders(settings, [])
    return removed


def _raw_folders_file(settings: Settings) -> Path:
    return settings.data_dir / "raw_parquet.json"


def _write_raw_folders(settings: Settings, folders: list[Path]) -> None:
    write(_raw_folders_file(settings), (json.dumps([str(folder) for folder in folders]) + "\n").encode())
