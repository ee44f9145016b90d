"""An export in a folder of this machine: made beside, then put in its place at once."""

from __future__ import annotations

import ctypes
import errno
import functools
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from engagement import durable
from engagement.errors import ConfigurationError
from engagement.exports.writing import MANIFEST

WORK_PREFIX = ".exporting-"
# Of what does not fit into memory, and of what is to be uploaded.
SPILL_PREFIX = ".spilling-"
ASIDE_PREFIX = ".replaced-"
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
# Systems and disks that cannot exchange two folders.
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY)


@contextmanager
def working_folder(parent: Path, name: str, *, prefix: str = WORK_PREFIX) -> Iterator[Path]:
    """A folder (0700) for an export that is being made; what a killed one left there goes. OSError where it cannot be
    made.
    """
    durable.remove_folders(parent, f"{prefix}{name}.")
    work = parent / f"{prefix}{name}.{secrets.token_hex(6)}"
    work.mkdir(mode=0o700)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def prepare(root: Path, target: Path, name: str) -> None:
    """Makes the folder that exports go to, and sees whether `target` in it is free or an export of this name.

    Raises ConfigurationError where it is something else, or the folder around `root` is missing; OSError where the
    folder cannot be made.
    """
    if not root.parent.is_dir():
        raise ConfigurationError(
            f"{name}: the folder that {root.name} is to lie in does not exist; make it, or correct `to`"
        )
    root.mkdir(mode=0o700, exist_ok=True)
    _bring_back(target)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise ConfigurationError(
            f"{name}: {_shown(root, target)} is there already and is no folder; move it away, or correct `path`"
        )
    if not target.is_dir():
        return
    there = {path.name for path in target.iterdir()}
    if there and not there <= _files_of(target, name):
        raise ConfigurationError(
            f"{name}: {_shown(root, target)} is there already and holds other files than an export of this name; move"
            " them away, or correct `path`"
        )


def put(work: Path, target: Path) -> None:
    """Puts a whole export in its place, at once; an earlier one there is gone afterwards. OSError where that fails."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    durable.sync_folder(work)
    if target.exists():
        if not _exchange(work, target):
            aside = target.with_name(f"{ASIDE_PREFIX}{target.name}")
            os.rename(target, aside)
            os.rename(work, target)
            shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(work, target)
    durable.sync_folder(target.parent)


def _bring_back(target: Path) -> None:
    """Where two folders cannot be exchanged, a kill between the two steps leaves the earlier one aside."""
    aside = target.with_name(f"{ASIDE_PREFIX}{target.name}")
    if not aside.is_dir():
        return
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        os.rename(aside, target)


def _files_of(target: Path, name: str) -> set[str]:
    """The files of the export that lies there; none where it is none of this name."""
    try:
        manifest = json.loads((target / MANIFEST).read_text("utf-8"))
        if manifest["name"] != name:
            return set()
        return {MANIFEST, *(str(part["file"]) for part in manifest["parts"])}
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def _shown(root: Path, target: Path) -> str:
    return str(target.relative_to(root.parent))


def _exchange(one: Path, other: Path) -> bool:
    """Both folders change their places in one step of the system; whether it can do that."""
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


@functools.lru_cache(maxsize=1)
def _renameat2() -> Callable[..., int] | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    function.restype = ctypes.c_int
    return function
