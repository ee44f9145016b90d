"""Rewrites the private file without what must not be in it, since DuckDB's DELETE, DROP and CHECKPOINT do not erase.

    private.duckdb ─► <table>.parquet, transformed ─► candidate and its uncompressed twin (fresh process that reads
    nothing else) ─► search of values and bytes (fresh process) ─► os.replace

Only the raw tables are carried over: the models hold keys too, and the next dbt build makes them anew, whole. (A model
that had to outlive the raw rows would have to be carried along here; there is none.) The connection stays open all the
time, so that nobody else writes to the file that is about to go. Killed at any instant, the old file or the new one is
there; which tombstones a file has been cleaned of stands in it, and whoever opens it for writing compares.
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from engagement import durable, fresh, old_copies, stopping
from engagement.addresses import DIGITS_OF_A_CONTACT, has_hash_key, hasher_of
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, EngagementError, PublishRefusedError, ResourcesError
from engagement.opening import ASIDE
from engagement.published_file import literal
from engagement.tombstones import MAY_NAME_SOMEBODY, Tombstones, tombstone_key
from engagement.warehouse import (
    REBUILD_WANTED,
    TOMBSTONES_APPLIED,
    Connection,
    drop_own_setting,
    own_setting,
    set_own_setting,
    spill_folder,
    transaction,
)

log = logging.getLogger(__name__)

WORK_PREFIX = ".rebuilding-"
MODULE = "engagement.rebuilt_file"

_MAILBOX_GONE = "not list_contains($mailboxes, mailbox_id)"
# What the newest refresh saw: without it the next one is whole, and has no use for what was replaced since.
OF_THE_NEWEST_REFRESH = ("refreshes", "refreshed_addresses", "refreshed_mailboxes", "office_replaced")
# Which rows are carried over; of every other table all are.
_KEPT_ROWS = {
    "office_mailboxes": _MAILBOX_GONE,
    "office_messages": _MAILBOX_GONE,
    "office_meetings": _MAILBOX_GONE,
    "office_units": _MAILBOX_GONE,
    "office_addresses": "not list_contains($keys, address_key)",
    "contacts": "not list_contains($keys, address_key)",
    "customer_issues": "not (subject_type = 'contact' and list_contains($contacts, subject_id))",
    "leadspace_contact_answers": "not list_contains($contacts, contact_id)",
    "leadspace_requests": f"not list_contains($requests, left(fingerprint, {DIGITS_OF_A_CONTACT}))",
    **dict.fromkeys(OF_THE_NEWEST_REFRESH, "false"),
    "settings": f"not (enrichment_id = '' and key in ('{TOMBSTONES_APPLIED}', '{REBUILD_WANTED}'))",
}
_ONE_KEY = "case when not list_contains($keys, {column}) then {column} end"
# Lists of one table that belong together lose the same places.
_LIST = (
    "case when list_has_any({by}, $keys) then list_filter({column}, lambda part, place:"
    " not list_contains($keys, {by}[place])) else {column} end"
)
_COLUMNS = {
    ("office_mailboxes", "address_keys"): _LIST.format(by="address_keys", column="address_keys"),
    ("office_messages", "from_key"): _ONE_KEY.format(column="from_key"),
    ("office_messages", "sender_key"): _ONE_KEY.format(column="sender_key"),
    ("office_messages", "recipient_keys"): _LIST.format(by="recipient_keys", column="recipient_keys"),
    ("office_meetings", "organizer_key"): _ONE_KEY.format(column="organizer_key"),
    **{
        ("office_meetings", column): _LIST.format(by="attendee_keys", column=column)
        for column in ("attendee_keys", "attendee_types", "attendee_responses")
    },
}


@dataclass
class Erased:
    """What a private file holds of people with tombstones."""

    keys: list[int] = field(default_factory=list)
    mailbox_ids: list[int] = field(default_factory=list)
    contact_ids: list[str] = field(default_factory=list)
    # What the ids of requests about these contacts begin with.
    requests: list[str] = field(default_factory=list)


def settle(connection: Connection, settings: Settings) -> bool:
    """Rewrites the private file where it has not been cleaned of all tombstones, or a rewrite is wanted; whether it
    did. The connection is then of no use any more. Raises ConfigurationError where the tombstones are fewer than they
    were: who was erased would come back.
    """
    # The file is open for writing here, so no other rewriting goes on.
    durable.remove_folders(settings.private_file.parent, WORK_PREFIX, *old_copies.WORK_PREFIXES)
    tombstones = Tombstones.load(settings)
    wanted = own_setting(connection, REBUILD_WANTED) is not None
    if not wanted and not _differs(connection, tombstones):
        return False
    if not _holds_anything(connection):
        with transaction(connection):
            drop_own_setting(connection, REBUILD_WANTED)
            set_own_setting(connection, TOMBSTONES_APPLIED, tombstones.fingerprint)
        return False
    if not wanted:
        log.warning(
            "warning: %s may hold somebody who was erased; it is rewritten first", settings.private_file.name
        )
    rebuild(connection, settings, tombstones)
    return True


def want(connection: Connection) -> None:
    """Rows were deleted whose bytes must go too: the file is rewritten when it is closed; to be called inside a
    transaction.
    """
    set_own_setting(connection, REBUILD_WANTED, "true")


def require_settled(connection: Connection, settings: Settings) -> None:
    """PublishRefusedError where the private file may hold somebody who was erased."""
    has_settings = connection.execute(
        "select 1 from duckdb_tables() where schema_name = 'raw' and table_name = 'settings'"
    ).fetchone()
    if has_settings and _differs(connection, Tombstones.load(settings)):
        raise PublishRefusedError(
            f"{settings.private_file.name} may hold somebody who was erased: run `engagement run`, which takes him out"
            " and publishes"
        )


def _differs(connection: Connection, tombstones: Tombstones) -> bool:
    applied = own_setting(connection, TOMBSTONES_APPLIED) or ""
    if applied == tombstones.fingerprint:
        return False
    if applied and int(applied.split()[0]) > tombstones.count:
        raise ConfigurationError(
            f"{tombstones.file.name}: has fewer people than the private file was cleaned of, who would come back;"
            " restore its newest copy, or move the private file away to begin anew"
        )
    return True


def _holds_anything(connection: Connection) -> bool:
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'raw' and database_name = current_database()"
        " and table_name not in ('settings', 'audit_events')"
    ).fetchall()
    return any(connection.execute(f'select 1 from raw."{table}" limit 1').fetchone() for (table,) in tables)


def rebuild(
    connection: Connection,
    settings: Settings,
    tombstones: Tombstones,
    *,
    texts: Sequence[str] = (),
    only: Mapping[str, str] | None = None,
) -> Erased:
    """Replaces the private file by one without anybody who has a tombstone; returns who was in it. The connection is
    of no use any more.

    `texts` are addresses to search the bytes for. `only` names the tables that keep rows, each with the condition on
    them; without it all do. Raises EngagementError where anything is still found or the file cannot be written;
    nothing is replaced then.
    """
    target = settings.private_file
    erased = held(connection, settings, tombstones)
    connection.execute("checkpoint")
    work = target.parent / f"{WORK_PREFIX}{secrets.token_hex(6)}"
    work.mkdir(mode=0o700)
    try:
        tables = _export(connection, tombstones, erased, work, only)
        job = {
            "tables": tables,
            "folder": str(work),
            "path": str(work / "private.duckdb"),
            "twin": str(work / "twin.duckdb"),
        }
        _in_fresh_process(settings, {"step": "write", **job})
        for parquet in work.glob("*.parquet"):
            parquet.unlink()
        findings = json.loads(
            _in_fresh_process(
                settings,
                {
                    "step": "verify",
                    **job,
                    **asdict(erased),
                    "texts": list(texts),
                    "tombstones_file": str(tombstones.file),
                    "tombstone_key": tombstone_key(settings).hex() if tombstones else None,
                },
            )
        )
        if findings:
            raise EngagementError(
                f"{target.name}: who was erased is still found in the rewritten file ({len(findings)} findings), so"
                " nothing was replaced; please report these lines",
                findings=findings,
            )
        stopping.check()
        # What must not be in this file must not be in an earlier one beside it either.
        old_copies.remove(settings)
        fresh.replace(work / "private.duckdb", target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    # A log that was in the way once, and what DuckDB puts on disk when memory is short.
    target.with_name(target.name + ASIDE).unlink(missing_ok=True)
    for spill in {spill_folder(target), *settings.data_dir.glob("*.tmp")}:
        shutil.rmtree(spill, ignore_errors=True)
    return erased


def held(connection: Connection, settings: Settings, tombstones: Tombstones) -> Erased:
    """What the file holds of people with tombstones; all of a monitored one's addresses get marks."""
    if not tombstones:
        return Erased()
    mailboxes = connection.execute(
        "select distinct mailbox_id, entra_id, address_keys from raw.office_mailboxes"
    ).fetchall()
    gone = [
        (mailbox_id, entra_id, keys)
        for mailbox_id, entra_id, keys in mailboxes
        # A listed address that the directory does not know stands there under its own key.
        if tombstones.knows_mailbox(mailbox_id)
        or tombstones.knows_key(mailbox_id)
        or (entra_id is not None and tombstones.knows_person(entra_id))
        or any(tombstones.knows_key(key) for key in keys)
    ]
    tombstones.add(
        keys=[key for _, _, keys in gone for key in keys],
        people=[entra_id for _, entra_id, _ in gone if entra_id is not None],
        mailboxes=[mailbox_id for mailbox_id, _, _ in gone],
    )
    keys = [
        key
        for (key,) in connection.execute(
            """
            select address_key from raw.office_addresses
            union
            select address_key from raw.contacts
            union
            select unnest(address_keys) from raw.office_mailboxes
            union
            select address_key from raw.refreshed_addresses
            """
        ).fetchall()
        if key is not None and tombstones.knows_key(key)
    ]
    contacts = connection.execute(
        "select distinct contact_id from raw.contacts where list_contains(?::bigint[], address_key)", [keys]
    ).fetchall()
    contact_ids = [contact_id for (contact_id,) in contacts]
    hasher = hasher_of(settings) if contact_ids and has_hash_key(settings) else None
    return Erased(
        keys=sorted(keys),
        mailbox_ids=sorted({mailbox_id for mailbox_id, _, _ in gone}),
        contact_ids=contact_ids,
        requests=[] if hasher is None else [hasher.requests_of(contact_id) for contact_id in contact_ids],
    )


def _export(
    connection: Connection,
    tombstones: Tombstones,
    erased: Erased,
    folder: Path,
    only: Mapping[str, str] | None,
) -> dict[str, list[list[str]]]:
    """Writes each raw table's rows as they are to be; its columns with their types.

    The order of rows stays, by which large tables are searched.
    """
    tables: dict[str, list[list[str]]] = {}
    for table, column, data_type in connection.execute(
        "select table_name, column_name, data_type from duckdb_columns()"
        " where schema_name = 'raw' and database_name = current_database() order by table_name, column_index"
    ).fetchall():
        tables.setdefault(table, []).append([column, data_type])

    def with_lists(sql: str) -> str:
        # COPY takes no parameters.
        for name, values in (("$keys", erased.keys), ("$mailboxes", erased.mailbox_ids)):
            sql = sql.replace(name, f"{values}::bigint[]")
        for name, texts in (("$contacts", erased.contact_ids), ("$requests", erased.requests)):
            sql = sql.replace(name, f"[{', '.join(map(literal, texts))}]::varchar[]")
        return sql

    for table, columns in tables.items():
        selected = []
        for column, data_type in columns:
            value = _COLUMNS.get((table, column), f'"{column}"')
            if data_type == "VARCHAR" and tombstones and _mask(connection, tombstones, table, column):
                masks = _masks_of(table, column)
                value = (
                    f'coalesce((select masks.after from "{masks}" as masks where masks.before = held."{column}"),'
                    f' held."{column}")'
                )
            selected.append(f'{value} as "{column}"')
        kept = [_KEPT_ROWS.get(table, "true"), *([] if only is None else [only.get(table, "false")])]
        rows = f'select {", ".join(selected)} from raw."{table}" as held where {" and ".join(kept)}'
        if table == "settings" and tombstones:
            rows += f" union all select '', '{TOMBSTONES_APPLIED}', '{tombstones.fingerprint}'"
        connection.execute(
            f"copy ({with_lists(rows)}) to {literal(str(folder / f'{table}.parquet'))}"
            " (format parquet, compression zstd)"
        )
    return tables


def _masks_of(table: str, column: str) -> str:
    return f"masks_{table}_{column}"


def _mask(connection: Connection, tombstones: Tombstones, table: str, column: str) -> bool:
    """Makes a temporary table of the texts of a column that name somebody, before and after; whether there are any."""
    pairs = [
        (before, after)
        for (before,) in connection.execute(
            f'select distinct "{column}" from raw."{table}" where regexp_matches("{column}", ?)',
            [MAY_NAME_SOMEBODY],
        ).fetchall()
        if (after := tombstones.masked(before)) != before
    ]
    if not pairs:
        return False
    connection.execute(
        f'create or replace temporary table "{_masks_of(table, column)}" (before varchar, after varchar)'
    )
    connection.executemany(f'insert into "{_masks_of(table, column)}" values (?, ?)', pairs)
    return True


def _in_fresh_process(settings: Settings, job: dict[str, Any]) -> str:
    """One step in a new interpreter; its output."""
    try:
        return fresh.in_fresh_process(MODULE, job)
    except fresh.FreshProcessFailed as error:
        raise (ResourcesError if isinstance(error.known, ResourcesError) else EngagementError)(
            f"{settings.private_file.name}: cannot be rewritten ({job['step']}: {error}), so nothing was replaced;"
            " make room in its folder (four times its size), then run again"
        ) from None
