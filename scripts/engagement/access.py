"""What is held on a person, in plain words: for whoever asks for it, and before it is erased."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from engagement import audit, customers, old_copies, people, warehouse
from engagement.addresses import AddressBook, SenderPatterns, has_hash_key, hasher_of, normalised
from engagement.configuration.enrichments import OfficeEnrichment, place
from engagement.configuration.settings import Settings
from engagement.errors import EngagementError
from engagement.office import mailboxes
from engagement.outcome import Outcome, counted
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection

# By raw table: why it is held, and how long.
_WHY = {
    "contacts": (
        "to know which account a mail or meeting is with",
        "until the next run after the contact left the contact file",
    ),
    "leadspace_contact_answers": (
        "to know what contacts do, from Leadspace",
        "until the next run after the contact left the contact file",
    ),
    "customer_issues": (
        "to tell what is odd in the contact file",
        "until the next run after it was corrected",
    ),
    "office_mailboxes": (
        "to know whose mailbox and calendar are read",
        "as long as listed, then for the retention",
    ),
    "office_messages": ("to count mail with accounts", "for the retention"),
    "office_meetings": ("to count meetings with accounts", "for the retention"),
    "office_addresses": (
        "to tell persons from automated senders, and to match accounts by domain",
        "as long as a message, meeting, contact or mailbox refers to it",
    ),
    "office_units": ("to know which days were read", "for the retention"),
    "refreshed_addresses": ("to build anew only what has changed", "until the next build"),
    "refreshed_mailboxes": ("to build anew only what has changed", "until the next build"),
}
# What Leadspace said of a contact, as it is told to him.
_ANSWERED = (
    "enrichment_id",
    "contact_id",
    "title",
    "department",
    "level",
    "email_verification",
    "employment_verification",
    "on",
)
_KEYS = "list_contains($keys::bigint[], {})"
_LISTED = "list_has_any($keys::bigint[], {})"
_OWN = "list_contains($mailboxes::bigint[], mailbox_id)"
_SENT_FOR = f"{_KEYS.format('sender_key')} and not {_KEYS.format('coalesce(from_key, 0)')}"
_ORGANIZED, _INVITED = _KEYS.format("organizer_key"), _LISTED.format("attendee_keys")
# By raw table what of it is held: how, which rows, and when they happened.
_ROWS: dict[str, tuple[tuple[str, str, str | None], ...]] = {
    "contacts": (("as a contact", _KEYS.format("address_key"), None),),
    "leadspace_contact_answers": (
        (
            "as a contact who was looked up",
            "list_contains($contacts::varchar[], contact_id)",
            "received_at",
        ),
    ),
    "customer_issues": (
        (
            "in findings on the contact file",
            "subject_type = 'contact' and list_contains($contacts::varchar[], subject_id)",
            None,
        ),
    ),
    "office_mailboxes": (("as a monitored person", _OWN, "monitored_from"),),
    "office_messages": (
        ("in the own mailbox", _OWN, "received_at"),
        ("as the sender", _KEYS.format("from_key"), "received_at"),
        ("as who sent for somebody else", _SENT_FOR, "received_at"),
        ("as a recipient", _LISTED.format("recipient_keys"), "received_at"),
    ),
    "office_meetings": (
        ("in the own calendar", _OWN, "start_at"),
        ("as the organiser", _ORGANIZED, "start_at"),
        ("as an attendee", _INVITED, "start_at"),
    ),
    "office_addresses": (("address keys with domain and class", _KEYS.format("address_key"), None),),
    "office_units": (("slices read of the own mailbox", _OWN, "slice_start"),),
    "refreshed_addresses": (("what the newest build saw", _KEYS.format("address_key"), None),),
    "refreshed_mailboxes": (("what the newest build saw", _OWN, None),),
}  # fmt: skip


def access(settings: Settings, address: str, *, note: bool = True) -> Outcome:
    """Everything held on the person with this address; changes nothing but the audit, which names nobody."""
    text = people.normalised_address(address)
    book = _book(settings)
    tombstones = Tombstones.load(settings, book.hasher if book is not None else None)
    facts: dict[str, Any] = {
        "erased_before": bool(tombstones) and tombstones.knows_address(text),
        "addresses": 0,
        "contacts": [],
        "contact_answers": [],
        "monitored": [],
        "address_classes": [],
        "held": {},
        "own_files": _own_files(settings, text),
        "old_copies": [path.name for path in old_copies.found(settings.private_file)],
        "raw_folders": [str(path) for path in old_copies.raw_folders(settings)],
    }
    with _opened(settings) as connection:
        if connection is not None and book is not None:
            facts |= _held(connection, people.known(connection, book, text))
    if note:
        audit.note(settings, audit.ACCESS)
    return Outcome(lines=_in_words(facts, _retention(settings)), facts=facts)


def _book(settings: Settings) -> AddressBook | None:
    """None where there is no key yet, so that nothing can be held; none is made for a question."""
    if not has_hash_key(settings):
        return None
    return AddressBook(hasher_of(settings), SenderPatterns.load(settings.sender_patterns_file))


@contextmanager
def _opened(settings: Settings) -> Iterator[Connection | None]:
    """The private file; None where there is none, or nothing was landed in it. ConfigurationError where it is of
    another version: nobody knows then what its tables say.
    """
    if not settings.private_file.is_file():
        yield None
        return
    with warehouse.connect(settings, read_only=True) as connection:
        warehouse.require_current(connection, settings)
        yield connection if _tables(connection) >= {"contacts", "office_mailboxes"} else None


def _tables(connection: Connection) -> set[str]:
    rows = connection.execute("select table_name from duckdb_tables() where schema_name = 'raw'").fetchall()
    return {table for (table,) in rows}


def _held(connection: Connection, person: people.Known) -> dict[str, Any]:
    given = {"keys": person.keys, "mailboxes": person.mailbox_ids, "contacts": person.contact_ids}

    def rows(sql: str) -> list[tuple[Any, ...]]:
        return connection.execute(
            sql, {name: value for name, value in given.items() if f"${name}" in sql}
        ).fetchall()

    held: dict[str, Any] = {}
    tables = _tables(connection)
    for table, parts in _ROWS.items():
        if table not in tables:
            continue
        counts = {}
        for how, condition, moment in parts:
            span = f"min({moment}), max({moment})" if moment else "null, null"
            [(count, first, last)] = rows(f"select count(*), {span} from raw.{table} where {condition}")
            if count:
                counts[how] = {"rows": count, "first": _day(first), "last": _day(last)}
        if counts:
            any_of = " or ".join(f"({condition})" for _, condition, _ in parts)
            [(count,)] = rows(f"select count(*) from raw.{table} where {any_of}")
            why, how_long = _WHY[table]
            held[table] = {"rows": count, "why": why, "kept": how_long, "parts": counts}
    return {
        "addresses": len(person.keys),
        "contacts": [
            {"contact_id": contact_id, "account_id": account_id}
            for contact_id, account_id in rows(
                "select distinct contact_id, account_id from raw.contacts"
                " where list_contains($keys::bigint[], address_key) order by all"
            )
        ],
        "contact_answers": [
            dict(zip(_ANSWERED, [*values, _day(received_at)], strict=True))
            for *values, received_at in rows(
                f"select {', '.join(_ANSWERED[:-1])}, received_at from raw.leadspace_contact_answers"
                " where list_contains($contacts::varchar[], contact_id) and outcome = 'result' order by all"
            )
        ]
        if "leadspace_contact_answers" in tables
        else [],
        "monitored": [
            {
                "enrichment_id": row.enrichment_id,
                "entra_id": row.entra_id,
                "state": row.state,
                "from": _day(row.monitored_from),
                "to": _day(row.monitored_to),
            }
            for row in person.monitored
        ],
        "address_classes": [
            {"domain": domain, "class": local_part_class}
            for domain, local_part_class in rows(
                "select distinct domain, local_part_class from raw.office_addresses"
                " where list_contains($keys::bigint[], address_key) order by all"
            )
        ],
        "held": held,
    }


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d}"


def _own_files(settings: Settings, text: str) -> list[str]:
    """Where in the customer's own files the address stands, by place; what cannot be read is said to be."""
    found: list[str] = []
    try:
        contacts = customers.read(settings).contacts
        count = sum(1 for row in contacts if _is(row[2], text))
        if count:
            found.append(f"customers.contacts: {counted(count, 'row')}")
    except EngagementError:
        found.append("customers: the customer files cannot be read; look there yourself")
    for position, enrichment in settings.enrichments(OfficeEnrichment):
        where = place(position, enrichment)
        try:
            found += [
                f"{where}: {listed.where}"
                for listed in mailboxes.listed_addresses(settings, position, enrichment)
                if listed.address.text == text
            ]
            if text in mailboxes.opt_out_of(settings, position, enrichment):
                found.append(f"{where}: opt_out, so the mailbox is not read for it")
        except EngagementError:
            found.append(f"{where}: a list of addresses cannot be read; look there yourself")
        if _is(enrichment.probe_forbidden, text):
            found.append(f"{where}: probe_forbidden")
    return found


def _is(raw: str | None, text: str) -> bool:
    address = normalised(raw)
    return address is not None and address.text == text


def _retention(settings: Settings) -> str:
    days = sorted({enrichment.retention for _, enrichment in settings.enrichments(OfficeEnrichment)})
    return " or ".join(f"{count} days" for count in days)


def _in_words(facts: dict[str, Any], retention: str) -> list[str]:
    lines = []
    if facts["erased_before"]:
        lines.append("erased before: a tombstone keeps this address out; it holds no address")
    held = facts["held"]
    if not held:
        lines.append("nothing is held on this address")
    else:
        lines.append(
            f"held on this person, known by {facts['addresses']} address key{'s'[: facts['addresses'] != 1]} (keyed"
            " hashes; the address itself is not kept):"
        )
    for contact in facts["contacts"]:
        lines.append(f"  contact {contact['contact_id']} of account {contact['account_id']}")
    for row in facts["contact_answers"]:
        said = ", ".join(
            f"{name.replace('_', ' ')}: {row[name]}" for name in _ANSWERED[2:-1] if row[name] is not None
        )
        lines.append(
            f"  from Leadspace on {row['on']}, of contact {row['contact_id']} ({row['enrichment_id']}):"
            f" {said or 'nothing'}"
        )
    for row in facts["monitored"]:
        until = f", until {row['to']}" if row["to"] else ""
        lines.append(
            f"  monitored in {row['enrichment_id']} since {row['from']}{until}; mailbox {row['state']},"
            f" Entra id {row['entra_id'] or 'not known'}"
        )
    for row in facts["address_classes"]:
        lines.append(f"  an address of class {row['class']} in the domain {row['domain'] or '(none)'}")
    for table, entry in held.items():
        kept = entry["kept"].replace("the retention", f"the retention ({retention})")
        lines.append(f"  raw.{table}: {counted(entry['rows'], 'row')}, {entry['why']}; kept {kept}")
        for how, part in entry["parts"].items():
            span = f", {part['first']} to {part['last']}" if part["first"] else ""
            lines.append(f"    {how}: {part['rows']:,}{span}")
    if held:
        lines.append("  no subject, text, place or attachment of any message or meeting was ever requested")
        lines.append(
            "  from these rows dbt makes the models of the private file; the published file has counts per account,"
            + (
                " and the Entra id in the tables of people (user_table)"
                if facts["monitored"]
                else " and names nobody"
            )
        )
    if facts["contact_answers"]:
        lines.append(
            "  what Leadspace said is published under the contact's id where its enrichment has publish: true, and else"
            " nowhere"
        )
    if facts["own_files"]:
        lines.append("in your own files, which this command does not change:")
        lines += [f"  {where}" for where in facts["own_files"]]
    if facts["old_copies"]:
        lines.append(
            f"not looked into: {', '.join(facts['old_copies'])}, the private file as it was; an erasure deletes them"
        )
    if facts["raw_folders"]:
        lines.append(
            f"not looked into: {', '.join(facts['raw_folders'])}, the raw tables as Parquet; an erasure deletes them,"
            " what another engine made of them it does not"
        )
    return lines
