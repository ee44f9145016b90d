"""`engagement restore FOLDER`: a backup takes its place again, and nobody who was erased since comes back.

    FOLDER ─► every file against the manifest ─► a working folder beside the private file, opened and read whole ─►
    tombstones, keys, audit ─► os.replace, what was there kept as private.duckdb.before-restore.bak

Only the private file is taken as it was. Of everything else the newer is here: tombstones and audit become those of
both, and what is here of consents, the run's state and the configuration stays. Whoever was erased since is taken out
at the end, or else by the next command that opens the private file (engagement.rebuild). Killed at any instant, the old
private file or the new one is there, and the command can be given again.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from engagement import audit, durable, fresh, old_copies, room, stopping, versions
from engagement.addresses import has_hash_key, hasher_of
from engagement.backup import (
    AUDIT,
    CONFIGURATION,
    CONSENTS,
    HASH_KEY,
    KEYS,
    MANIFEST,
    MANIFEST_VERSION,
    PRIVATE,
    RUN_STATE,
    TOMBSTONE_KEY,
    TOMBSTONES,
    copied,
    places,
    read_whole,
)
from engagement.configuration.settings import Settings
from engagement.errors import BusyError, ConfigurationError, EngagementError, ResourcesError
from engagement.outcome import Outcome, counted
from engagement.run_state import single_run
from engagement.tombstones import KINDS, number_of_marks
from engagement.warehouse import KEY_CHECK, TOMBSTONES_APPLIED, connect, open_file, own_setting, private_file

_NOT_RESTORED = "nothing was restored"


def restore(settings: Settings, folder: Path, *, agrees: Callable[[str], bool]) -> Outcome:
    """Puts a backup back, after `agrees` where there is a private file to be replaced.

    Raises ConfigurationError where the folder is no whole backup, is of a newer release or of another key, or would
    bring back who was erased; BusyError where a run is going on; ResourcesError where it cannot be written. Nothing is
    replaced then.
    """
    manifest = read_manifest(folder)
    target = settings.private_file
    if target.exists() and not agrees(f"Replace {target.name} by that of {folder.name}?"):
        return Outcome(lines=[_NOT_RESTORED], facts={"restored": False})
    with single_run(settings, command="restore"):
        _check_nobody_writes(settings)
        durable.remove_folders(target.parent, *old_copies.WORK_PREFIXES)
        work = target.parent / f"{old_copies.RESTORE_PREFIX}{secrets.token_hex(6)}"
        work.mkdir(mode=0o700)
        try:
            _stage(folder, manifest, work)
            if read_whole(work / PRIVATE) != manifest["tables"]:
                raise ConfigurationError(
                    f"{folder.name}: {PRIVATE} has other rows than its {MANIFEST} says; {_NOT_RESTORED}, name another"
                    " backup"
                )
            version = _check_private_file(settings, work / PRIVATE)
            marks = _joined_tombstones(settings, work / TOMBSTONES)
            taken = [PRIVATE, *_check_keys(settings, work)]
            stopping.check()
            kept = _put_in_place(settings, work, marks, taken)
            has_other_configuration = (work / CONFIGURATION).exists() and (
                (work / CONFIGURATION).read_bytes() != settings.configuration_file.read_bytes()
            )
        except OSError as error:
            raise ResourcesError(
                f"{target.name}: cannot be restored ({error.strerror}), so it is as it was; make room or correct the"
                " folder's rights, then run again"
            ) from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
        is_older = version is not None and version < versions.current_version(settings.project_dir)
        if marks is not None and not is_older:
            _take_out_who_was_erased(settings)
    lines = [
        f"restored: {target.name} of {manifest['made_at']}, with"
        f" {counted(sum(manifest['tables'].values()), 'row')}; each file was compared with {MANIFEST}"
    ]
    if kept is not None and kept.exists():
        lines.append(
            f"kept: {kept.name} is the private file as it was before, with everything personal in it; delete it once"
            " all is well (an erasure deletes it too)"
        )
    if has_other_configuration:
        lines.append(
            f"{CONFIGURATION} is another than that of the backup, which lies there, and stays as it is here"
        )
    lines.append(
        "next: `engagement upgrade`, since the backup is of an older release, and `engagement run`"
        if is_older
        else "next: `engagement run`, which reads what is new and publishes"
    )
    return Outcome(
        lines=lines,
        facts={
            "restored": True,
            "made_at": manifest["made_at"],
            "version": version,
            "needs_upgrade": is_older,
            "taken": taken,
            "kept": kept.name if kept is not None and kept.exists() else None,
        },
    )


def _take_out_who_was_erased(settings: Settings) -> None:
    """Cleans the private file of who was erased since the backup, before even plain dbt reads it."""
    try:
        with private_file(settings):
            pass
    except EngagementError as error:
        raise type(error)(
            error.message,
            findings=[
                *error.findings,
                f"the backup is restored, but {settings.private_file.name} may hold somebody who was erased since;"
                " correct the above, then `engagement run` takes him out",
            ],
        ) from None


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a backup says of itself. ConfigurationError where it says nothing that can be read."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(
            f"{folder.name}: has no {MANIFEST}, so it is no backup, or none that was finished; name another folder"
        ) from None
    except (OSError, ValueError, RecursionError):
        manifest = None
    if not _is_manifest(manifest):
        raise ConfigurationError(
            f"{folder.name}: its {MANIFEST} cannot be read, or is of a newer release; name another backup"
        )
    return dict(manifest)


def _is_manifest(found: Any) -> bool:
    """Whether something read is a manifest as `engagement backup` writes it."""
    if not isinstance(found, dict) or found.get("manifest_version") != MANIFEST_VERSION:
        return False
    files, tables = found.get("files"), found.get("tables")
    if (
        not isinstance(files, dict)
        or not isinstance(tables, dict)
        or not isinstance(found.get("made_at"), str)
    ):
        return False
    return (
        PRIVATE in files
        # Names of its own only: none that leads elsewhere.
        and files.keys() <= {PRIVATE, TOMBSTONES, AUDIT, CONSENTS, RUN_STATE, CONFIGURATION, *KEYS}
        and all(
            isinstance(file, dict) and type(file.get("bytes")) is int and isinstance(file.get("sha256"), str)
            for file in files.values()
        )
        and all(type(rows) is int for rows in tables.values())
    )


def _check_nobody_writes(settings: Settings) -> None:
    """BusyError where another process has the private file open. One that cannot be read is no obstacle."""
    if not settings.private_file.exists():
        return
    try:
        old_copies.take_in_log(settings)
        with connect(settings, read_only=True):
            pass
    except BusyError:
        raise
    except (EngagementError, duckdb.Error):
        return


def _stage(folder: Path, manifest: dict[str, Any], work: Path) -> None:
    """Copies the files of a backup beside the private file. ConfigurationError where one is not as it was written."""
    room.require(
        work,
        sum(file["bytes"] for file in manifest["files"].values()),
        what=f"{PRIVATE}: too little room to restore it beside",
        advice="make room, then run again",
    )
    for name, file in manifest["files"].items():
        source = folder / name
        if not source.is_file() or source.is_symlink():
            raise ConfigurationError(
                f"{folder.name}: {name} is missing; {_NOT_RESTORED}, name another backup"
            )
        if copied(source, work / name) != file["sha256"]:
            raise ConfigurationError(
                f"{folder.name}: {name} is damaged or was changed (its SHA-256 is not that of {MANIFEST});"
                f" {_NOT_RESTORED}, name another backup"
            )


def _check_private_file(settings: Settings, copy: Path) -> int | None:
    """The version of the copy. ConfigurationError where it is of a newer release or its rows were hashed with another
    key than the one in force.
    """
    with open_file(copy, read_only=True) as connection:
        version = versions.version_of(connection)
        versions.refuse_newer(version or 0, copy.name, current=versions.current_version(settings.project_dir))
        check = own_setting(connection, KEY_CHECK) if version is not None else None
    has_own_key = settings.hash_key is not None or (
        has_hash_key(settings) and not (copy.parent / HASH_KEY).exists()
    )
    if check is not None and has_own_key and hasher_of(settings).key_check != check:
        raise ConfigurationError(
            f"{copy.name}: the backup's rows were hashed with another key than the one in force; restore that"
            f" key (ENGAGEMENT_HASH_KEY or the hash_key file) first; {_NOT_RESTORED} (docs/key.md)"
        )
    return version


def _check_keys(settings: Settings, work: Path) -> list[str]:
    """The keys of the backup that are neither here nor in the environment. ConfigurationError where another is here."""
    taken = []
    given = {HASH_KEY: settings.hash_key, TOMBSTONE_KEY: settings.tombstone_key}
    for name in KEYS:
        staged, own = work / name, places(settings)[name]
        if not staged.exists() or given[name] is not None:
            continue
        if not own.exists():
            taken.append(name)
        elif own.read_bytes().split() != staged.read_bytes().split():
            raise ConfigurationError(
                f"{name}: is another than that of the backup; move it away if the backup's is to take its place;"
                f" {_NOT_RESTORED}"
            )
    return taken


def _joined_tombstones(settings: Settings, staged: Path) -> dict[str, Any] | None:
    """The marks that are here and those of the backup, as the file has them; None where there are none.

    ConfigurationError where the two are of different keys, one cannot be read, or there were more here once.
    """
    both = [_read_marks(path) for path in (settings.tombstones_file, staged) if path.exists()]
    if len({content["key_check"] for content in both}) > 1:
        raise ConfigurationError(
            f"{TOMBSTONES}: that of the backup was made with another tombstone key than the one here, so nobody knows"
            f" who was erased; {_NOT_RESTORED} (docs/backups.md)"
        )
    joined = (
        {
            **both[0],
            **{kind: sorted(set().union(*(content[kind] for content in both))) for kind in KINDS},
        }
        if both
        else None
    )
    known = _marks_applied(settings)
    if known > number_of_marks(joined):
        raise ConfigurationError(
            f"{TOMBSTONES}: the private file that is here was cleaned of more people than {TOMBSTONES} here and in the"
            f" backup know, who would come back; put the newest {TOMBSTONES} here first; {_NOT_RESTORED}"
        )
    return joined


def _read_marks(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
        number_of_marks(content)
        str(content["key_check"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ConfigurationError(
            f"{TOMBSTONES}: cannot be read, so nobody knows who was erased; put its newest copy here first;"
            f" {_NOT_RESTORED}"
        ) from None
    return dict(content)


def _marks_applied(settings: Settings) -> int:
    """How many marks the private file that is here has been cleaned of; 0 where it cannot be read."""
    if not settings.private_file.is_file():
        return 0
    try:
        with connect(settings, read_only=True) as connection:
            if "settings" not in versions.layout(connection):
                return 0
            return int((own_setting(connection, TOMBSTONES_APPLIED) or "0").split()[0])
    except BusyError:
        raise
    except (EngagementError, duckdb.Error, ValueError):
        return 0


def _put_in_place(
    settings: Settings, work: Path, marks: dict[str, Any] | None, taken: list[str]
) -> Path | None:
    """Everything else first, so that the private file never stands without its tombstones; where the old one is."""
    if marks is not None:
        durable.write(settings.tombstones_file, (json.dumps(marks, indent=1) + "\n").encode())
    if (work / AUDIT).exists():
        durable.write(settings.audit_file, _joined_audit(settings, work / AUDIT))
    for name in (CONSENTS, RUN_STATE):
        if (work / name).exists() and not places(settings)[name].exists():
            taken.append(name)
    for name in taken:
        if name != PRIVATE:
            durable.write(places(settings)[name], (work / name).read_bytes())
    audit.note(settings, audit.RESTORATION)
    target = settings.private_file
    kept = old_copies.keep(target, "before-restore") if target.is_file() else None
    fresh.replace(work / PRIVATE, target)
    target.chmod(durable.FILE_MODE)
    return kept


def _joined_audit(settings: Settings, staged: Path) -> bytes:
    """The lines of the backup, and those of here that it has not, which are newer."""
    lines = staged.read_bytes().splitlines()
    if settings.audit_file.exists():
        known = set(lines)
        lines += [line for line in settings.audit_file.read_bytes().splitlines() if line not in known]
    return b"".join(line + b"\n" for line in lines)
