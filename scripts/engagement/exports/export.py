"""`engagement export`: every export that is asked for, one after another; what one lacks does not stop the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from engagement import durable, room, stopping
from engagement.configuration.settings import Settings
from engagement.errors import (
    DONE_WITH_FAILED_EXPORTS,
    BusyError,
    ConfigurationError,
    EngagementError,
)
from engagement.exports import folder, published, remote, writing
from engagement.exports.definitions import Destination, Export, destination_of, path_of
from engagement.exports.selection import Selection, selection_of
from engagement.outcome import Outcome, counted

log = logging.getLogger(__name__)

LOCK = "export.lock"


@dataclass(frozen=True)
class Exported:
    """An export that was made, or (`is_dry`) would be."""

    name: str
    place: str
    manifest: dict[str, Any]
    is_dry: bool = False

    @property
    def line(self) -> str:
        """What a person reads of it."""
        rows = counted(self.manifest["rows"], "row")
        if self.is_dry:
            return f"{self.name}: would be {rows} in {self.place}"
        parts = self.manifest["parts"]
        size = room.size(sum(part["bytes"] for part in parts))
        return f"{self.name}: {rows} in {counted(len(parts), 'part')}, {size}, in {self.place}"


def export(settings: Settings, names: Sequence[str] = (), *, dry_run: bool = False) -> Outcome:
    """Makes the exports of these names, or all. Where one of several fails the others are made all the same, and the
    exit code is that of the first that failed; where there is one alone its error is raised.
    """
    chosen = _chosen(settings, names)
    made: list[Exported] = []
    failed: dict[str, EngagementError] = {}
    with _alone(settings):
        for one in chosen:
            try:
                made.append(_made(settings, one, dry_run=dry_run))
            except EngagementError as error:
                if len(chosen) == 1:
                    raise
                failed[one.name] = error
    return _outcome(made, failed, dry_run=dry_run)


def export_after_run(settings: Settings) -> Outcome:
    """Makes the exports that follow a published run. Whatever happens to them is told and nothing is undone."""
    chosen = [one for one in settings.configuration.exports if one.after_run]
    made: list[Exported] = []
    failed: dict[str, EngagementError] = {}
    for one in chosen:
        try:
            with _alone(settings):
                made.append(_made(settings, one))
        except EngagementError as error:
            failed[one.name] = error
        except Exception as error:
            if stopping.number_of(error) is not None:
                raise
            # The text of an unforeseen error may hold anything.
            failed[one.name] = EngagementError(f"{one.name}: unexpected {type(error).__name__}")
    outcome = _outcome(made, failed)
    if failed:
        outcome.exit_code = DONE_WITH_FAILED_EXPORTS
    return outcome


def listed(settings: Settings) -> Outcome:
    """The exports of enrichments.yml; nothing is read."""
    exports = settings.configuration.exports
    facts = [
        {
            "name": one.name,
            "table": one.table,
            "segment": one.segment,
            "to": destination_of(one.to).label,
            "path": one.path,
            "format": one.format,
            "compression": one.compressed,
            "after_run": one.after_run,
        }
        for one in exports
    ]
    lines = [
        f"{one.name}: {one.what} as {one.format}"
        + ("" if one.compressed == "none" else f" ({one.compressed})")
        + f" to {destination_of(one.to).label.rstrip('/')}/{one.path}"
        + (", after every run" if one.after_run else "")
        for one in exports
    ]
    return Outcome(
        lines=lines or [f"{settings.configuration_file.name} has no exports (docs/exports.md)"],
        facts={"exports": facts},
    )


def _chosen(settings: Settings, names: Sequence[str]) -> list[Export]:
    known = {one.name.lower(): one for one in settings.configuration.exports}
    if not known:
        raise ConfigurationError(
            f"{settings.configuration_file.name}: has no exports; add some under exports (docs/exports.md)"
        )
    if unknown := [name for name in names if name.lower() not in known]:
        listed_names = ", ".join(one.name for one in known.values())
        raise ConfigurationError(
            "; ".join(f"there is no export {name!r}" for name in unknown) + f"; known: {listed_names}"
        )
    return [known[name] for name in dict.fromkeys(name.lower() for name in names)] or list(known.values())


def _outcome(
    made: Sequence[Exported], failed: Mapping[str, EngagementError], *, dry_run: bool = False
) -> Outcome:
    for error in failed.values():
        for number, line in enumerate(error.lines):
            log.error("%s%s", "error: " if number == 0 else "  ", line)
    facts: dict[str, Any] = {
        "dry_run": dry_run,
        "exports": [
            {"name": one.name, "place": one.place, **{k: v for k, v in one.manifest.items() if k != "name"}}
            for one in made
        ],
        "failed": [
            {"name": name, "exit_code": error.exit_code, "errors": list(error.lines)}
            for name, error in failed.items()
        ],
    }
    code = next((error.exit_code for error in failed.values()), 0)
    return Outcome(exit_code=code, lines=[one.line for one in made], facts=facts)


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """One export at a time on a data folder, so that what killed ones left can be told from what another makes."""
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(settings.data_dir / LOCK, os.O_RDWR | os.O_CREAT, durable.FILE_MODE)
    try:
        if not durable.locked(descriptor, wait_seconds=settings.file_wait_seconds):
            raise BusyError(f"{LOCK}: another `engagement export` is going on; wait until it has ended")
        yield
    finally:
        os.close(descriptor)


def _made(settings: Settings, one: Export, *, dry_run: bool = False) -> Exported:
    """One export. EngagementError, one line, where it cannot be made; what was there before is then as it was."""
    destination = destination_of(one.to)
    try:
        if destination.scheme or dry_run:
            return _made_remotely(settings, one, destination, dry_run=dry_run)
        return _made_here(settings, one, settings.resolved(destination.path))
    except OSError as error:
        if stopping.number_of(error) is not None:
            raise
        raise _of_the_disk(error, one) from None
    except duckdb.Error as error:
        # Interrupted by a signal, it says so in its own way.
        stopping.check()
        raise EngagementError(
            f"{one.name}: the rows of {one.what} cannot be read ({type(error).__name__}); publish again, or look at the"
            " view or model behind it"
        ) from None


def _of_the_disk(error: OSError, one: Export) -> EngagementError:
    name = Path(os.fsdecode(error.filename)).name if isinstance(error.filename, str | bytes) else "the folder"
    if error.errno in durable.FULL:
        known: EngagementError = room.full(name)
    else:
        known = room.refused(name, error.strerror or type(error).__name__)
    return type(known)(f"{one.name}: {known.message}")


def _made_here(settings: Settings, one: Export, root: Path) -> Exported:
    with (
        folder.working_folder(settings.data_dir, one.name, prefix=folder.SPILL_PREFIX) as spill,
        published.opened(settings.published_file, spill, memory_limit=settings.memory_limit) as connection,
    ):
        publication = published.publication(connection, settings.published_file)
        target = root / path_of(one.path, one.name, publication.day)
        selection = selection_of(one, connection, settings)
        folder.prepare(root, target, one.name)
        with folder.working_folder(root, one.name) as work:
            parts = writing.write_parts(connection, one, selection, work)
            manifest = writing.manifest_of(one, selection, publication, parts)
            durable.write(work / writing.MANIFEST, writing.manifest_bytes(manifest))
            stopping.check()
            folder.put(work, target)
    return _told(Exported(one.name, str(target), manifest), selection)


def _made_remotely(settings: Settings, one: Export, destination: Destination, *, dry_run: bool) -> Exported:
    with folder.working_folder(settings.data_dir, one.name, prefix=folder.SPILL_PREFIX) as work:
        with published.opened(
            settings.published_file, work, memory_limit=settings.memory_limit
        ) as connection:
            publication = published.publication(connection, settings.published_file)
            below = path_of(one.path, one.name, publication.day)
            place = f"{destination.label.rstrip('/')}/{below}"
            selection = selection_of(one, connection, settings)
            if dry_run:
                row = connection.execute(f"select count(*) from ({selection.sql})").fetchone()
                manifest = writing.manifest_of(one, selection, publication, [])
                manifest["rows"] = 0 if row is None else int(row[0])
                del manifest["parts"]
                return _told(Exported(one.name, place, manifest, is_dry=True), selection)
            files = work / "parts"
            files.mkdir(mode=0o700)
            parts = writing.write_parts(connection, one, selection, files)
        # The published file is let go of before the upload, which may take long.
        uploaded = remote.named_by_content(parts, one)
        manifest = writing.manifest_of(one, selection, publication, uploaded)
        with remote.connected(one, destination, below, os.environ) as there:
            there.upload(
                one,
                {sent.file: files / part.file for sent, part in zip(uploaded, parts, strict=True)},
                writing.manifest_bytes(manifest),
            )
    return _told(Exported(one.name, place, manifest), selection)


def _told(exported: Exported, selection: Selection) -> Exported:
    """The same, its warnings told."""
    for warning in selection.warnings:
        log.warning("warning: %s", warning)
    if exported.manifest["rows"] == 0:
        nobody = "the segment selects nobody" if selection.segment is not None else "the table has no rows"
        log.warning("warning: %s: %s, so that the file has a header alone", exported.name, nobody)
    return exported
