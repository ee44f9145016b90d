"""Whole private files beside the one in use: what it was before an upgrade or a restore, and what a killed one left.

They hold what the private file held then. So whatever must leave the bytes of the private file (an erasure, a removal,
another key) takes them along (engagement.rebuild), and `engagement access` names them.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from engagement.config import Settings
from engagement.durable import FILE_MODE, sync_folder
from engagement.warehouse import connect

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


def remove(private_file: Path) -> list[Path]:
    """Removes them, on the disk when this returns; which there were."""
    removed = found(private_file)
    for path in [*removed, *private_file.parent.glob(f".{private_file.name}.*.bak.beside")]:
        path.unlink(missing_ok=True)
    if removed:
        sync_folder(private_file.parent)
    return removed
