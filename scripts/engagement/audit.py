"""The record of what was done with what is held: consents, accesses, erasures, removals, publications, exports.

`audit.jsonl` lies beside the private file, one JSON object a line, written through to the disk before the command
goes on, so that neither a rebuilt nor a restored private file loses it. Every command that opens the private file for
writing copies it there (raw.audit_events), from where the published mart `audit_events` is made. Nobody is named in
it but the operating system's user who gave the command, and he stays in the private file.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
from typing import Any

from engagement.configuration.settings import Settings
from engagement.durable import FILE_MODE
from engagement.errors import EngagementError
from engagement.run_state import instant_of, instant_text
from engagement.warehouse import (
    Connection,
    Row,
    prepare_data_dir,
    replace_table,
    transaction,
    utc_now,
)

# What may be noted; each word is described in models/marts/hub/_hub__models.yml.
CONSENT_GIVEN, CONSENT_WITHDRAWN, CONSENT_REQUESTED = (
    "consent_given",
    "consent_withdrawn",
    "consent_requested",
)
ACCESS, ERASURE, REMOVAL = "access", "erasure", "removal"
PUBLICATION, EXPORT, KEY_ROTATION = "publication", "export", "key_rotation"
BACKUP, RESTORATION = "backup", "restoration"


def note(
    settings: Settings, action: str, *, enrichment_id: str | None = None, detail: str | None = None
) -> None:
    """Appends one event, on the disk when this returns. `detail` must name nobody: no address, no hash of one.

    Raises EngagementError where it cannot be written: what cannot be noted must not be done.
    """
    prepare_data_dir(settings)
    event = {
        "event_id": secrets.token_hex(8),
        "happened_at": instant_text(utc_now()),
        "action": action,
        "enrichment_id": enrichment_id,
        "detail": detail,
        "user": _user(),
    }
    try:
        descriptor = os.open(settings.audit_file, os.O_RDWR | os.O_APPEND | os.O_CREAT, FILE_MODE)
        try:
            # A line that a full disk cut short stays alone.
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            line = ("\n" if torn else "") + json.dumps(event) + "\n"
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise EngagementError(
            f"{settings.audit_file.name}: cannot be written ({error.strerror}); correct its rights or make room,"
            " then run again"
        ) from None


def events(settings: Settings) -> list[dict[str, Any]]:
    """All events, oldest first; a line that is no event is left out."""
    try:
        lines = settings.audit_file.read_text("utf-8").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event_id"), str):
            found.append(event)
    return found


def record(connection: Connection, settings: Settings) -> None:
    """Brings raw.audit_events to the file."""
    rows: list[Row] = [
        (
            event["event_id"],
            event.get("action"),
            event.get("enrichment_id"),
            event.get("detail"),
            event.get("user"),
            instant_of(event.get("happened_at")),
        )
        for event in events(settings)
    ]
    with transaction(connection):
        replace_table(connection, "audit_events", rows)


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return None
