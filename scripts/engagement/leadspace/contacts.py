"""Contacts to ask about: whom, what is sent of each, and the little that is kept of an answer.

Names and addresses are read from the contact file when they are needed and go to Leadspace and nowhere else: no row, no
log line and no message holds one. A request's id is a keyed hash (engagement.addresses), so that the ledger tells
nothing of a person to whoever has not the key; all requests about one contact begin alike, so that an erasure finds
them.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from engagement.addresses import Hasher, has_hash_key, hasher_of, normalised
from engagement.configuration.enrichments import LeadspaceContactsEnrichment, place
from engagement.configuration.settings import Settings
from engagement.configuration.source import source_of
from engagement.errors import ConfigurationError
from engagement.leadspace.client import Body
from engagement.leadspace.dataset import LONGEST_TEXT, NAME_TOO_LONG, NO_NAME, cleaned
from engagement.leadspace.results import RESULT
from engagement.leadspace.subjects import Landed, Subjects
from engagement.matching.names import without_accents
from engagement.tabular import read_texts
from engagement.tombstones import Tombstones
from engagement.warehouse import Connection, append, transaction, utc_now

# Of no known account, or without an address by which he could be found again: access and erasure go by addresses.
NOT_LANDED = "not_landed"
# One of the people whose mail is counted: data of employees go to no provider.
OWN_PERSON = "own_person"

# Of a level or another word of the service, more is none; of a title, more is a text.
LONGEST_WORD, LONGEST_TITLE = 60, 200
# Shorter parts of a name are found in too many words ("Al", "de").
SHORTEST_PART = 3
_PART = re.compile(r"[^\W\d_]+")
_NOT_A_LETTER = re.compile(r"[\W_]+")
# What a title has no business with: addresses of people (also Exchange's own) and of pages, telephone numbers.
_CONTACT_DETAILS = re.compile(r"@|%40|/o=|://|\bwww\.|\blinkedin\.|(?:\d[\s()./+-]*){7}", re.IGNORECASE)


@dataclass(frozen=True)
class Contact:
    """A contact: what is sent of him under which fingerprint, or why nothing is. Never shown, never stored."""

    contact_id: str
    account_id: str | None = None
    body: Body | None = field(default=None, repr=False)
    fingerprint: str | None = None
    not_sent_reason: str | None = None


def contacts_of(
    settings: Settings, connection: Connection, position: int, enrichment: LeadspaceContactsEnrichment
) -> list[Contact]:
    """The contacts of the contact file as it is now, each once, in the order of their ids; who was erased is not
    among them.

    Raises ConfigurationError where nothing was landed, or the file cannot be used.
    """
    accounts = dict(connection.execute("select account_id, name from raw.accounts").fetchall())
    if not accounts or not has_hash_key(settings):
        raise ConfigurationError(
            "raw.accounts: no customers landed; run `engagement extract customers` first"
        )
    landed = set(
        connection.execute("select contact_id, account_id, address_key from raw.contacts").fetchall()
    )
    own_keys = {
        row[0]
        for row in connection.execute(
            "select distinct unnest(address_keys) from raw.office_mailboxes"
        ).fetchall()
    }
    hasher = hasher_of(settings)
    tombstones = Tombstones.load(settings, hasher)
    by_id: dict[str, list[_Row]] = {}
    for row in _rows(settings, position, enrichment):
        by_id.setdefault(row.contact_id, []).append(row)
    found = []
    for contact_id in sorted(by_id):
        rows = by_id[contact_id]
        # One id is one person, so one of his addresses is enough.
        if any(_is_erased(email, tombstones) for row in rows for email in (row.address, row.email)):
            continue
        known = [row for row in rows if (contact_id, row.account_id, _key(row.address, hasher)) in landed]
        if any(_key(email, hasher) in own_keys for row in rows for email in (row.address, row.email)):
            found.append(Contact(contact_id, not_sent_reason=OWN_PERSON))
            continue
        # Of several accounts one is named, the same at every extraction.
        known.sort(key=lambda row: (not row.has_name, row.account_id or ""))
        found.append(
            _contact(known[0], accounts.get(known[0].account_id), hasher)
            if known
            else Contact(contact_id, not_sent_reason=NOT_LANDED)
        )
    return found


@dataclass(frozen=True, repr=False)
class _Row:
    """A line of the contact file; `address` is by which we know him, `email` what is sent."""

    contact_id: str
    account_id: str | None
    address: str | None
    first_name: str
    last_name: str
    email: str | None

    @property
    def has_name(self) -> bool:
        return _is_name(self.first_name) and _is_name(self.last_name)


def check(settings: Settings, position: int, enrichment: LeadspaceContactsEnrichment) -> None:
    """ConfigurationError where the contact file cannot be used with this mapping."""
    _rows(settings, position, enrichment)


def _rows(settings: Settings, position: int, enrichment: LeadspaceContactsEnrichment) -> list[_Row]:
    file, mapping = settings.configuration.customers.contacts, enrichment.mapping
    where = f"enrichments[{position}].mapping"
    named = {
        "customers.contacts.id": file.id,
        "customers.contacts.account": file.account,
        "customers.contacts.email": file.email,
        f"{where}.first_name": mapping.first_name,
        f"{where}.last_name": mapping.last_name,
        f"{where}.email": mapping.email or file.email,
    }
    findings: list[str] = []
    source = source_of(settings.resolved(file.path))
    rows = read_texts(source, "customers.contacts", named, findings, "contact", unique=False)
    if findings:
        raise ConfigurationError(
            f"{place(position, enrichment)}: the contact file cannot be used; correct it or the mapping, then run"
            " again",
            findings=findings,
        )
    return [
        _Row(contact_id, account_id, address, cleaned(first or ""), cleaned(last or ""), email)
        for contact_id, account_id, address, first, last, email in rows
    ]


def _is_erased(email: str | None, tombstones: Tombstones) -> bool:
    address = normalised(email) if tombstones else None
    return address is not None and tombstones.knows_address(address.text)


def _key(email: str | None, hasher: Hasher) -> int | None:
    address = normalised(email)
    return None if address is None else hasher.address(address.text)


def _is_name(text: str) -> bool:
    """Whether a text may be a name: with a letter, and no address in the wrong column."""
    return any(char.isalpha() for char in text) and "@" not in text


def _contact(row: _Row, account_name: str | None, hasher: Hasher) -> Contact:
    if not row.has_name:
        return Contact(row.contact_id, row.account_id, not_sent_reason=NO_NAME)
    if max(len(row.first_name), len(row.last_name)) > LONGEST_TEXT:
        return Contact(row.contact_id, row.account_id, not_sent_reason=NAME_TOO_LONG)
    person = {"first_name": row.first_name, "last_name": row.last_name}
    address = normalised(row.email, keep_tag=True)
    if address is not None and not address.is_x500 and len(address.text) <= LONGEST_TEXT:
        person["email"] = address.text
    body: dict[str, Any] = {"person": person}
    company = cleaned(account_name or "")
    if any(char.isalnum() for char in company) and len(company) <= LONGEST_TEXT:
        body["company"] = {"name": company}
    elif "email" not in person:
        # The service needs one of them beside the name.
        return Contact(row.contact_id, row.account_id, not_sent_reason=NO_NAME)
    text = json.dumps([row.contact_id, body], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return Contact(row.contact_id, row.account_id, body, hasher.request(row.contact_id, text))


class Contacts(Subjects):
    """All contacts. There is one enrichment of them at most (engagement.configuration.cross_checks)."""

    record_type, noun, answers = "person", "contact", "leadspace_contact_answers"

    def __init__(self, enrichment_id: str, contacts: Sequence[Contact], max_age: int) -> None:
        super().__init__(enrichment_id, contacts)
        self._max_age = max_age
        self._by_fingerprint = {one.fingerprint: one for one in contacts if one.fingerprint is not None}

    def begin(self, connection: Connection, run_id: str) -> None:
        """What was asked under another name of the enrichment is this one's now, so that nobody pays for it twice."""
        with transaction(connection):
            for table in (self.answers, "leadspace_requests", "leadspace_batches"):
                condition = (
                    "true"
                    if table == self.answers
                    else "batch_id in (select batch_id from raw.leadspace_batches where record_type = 'person')"
                )
                connection.execute(
                    f"update raw.{table} set enrichment_id = ? where enrichment_id != ? and {condition}",
                    [self.enrichment_id, self.enrichment_id],
                )

    def store(
        self, connection: Connection, batch_id: str, landed: Landed, *, run_id: str, tombstones: Tombstones
    ) -> None:
        """Five words of each answer. Of whom the contact file no longer has, or who was erased meanwhile, nothing is
        kept, though it was paid for.
        """
        now = utc_now()
        append(
            connection,
            self.answers,
            [
                (
                    self.enrichment_id,
                    contact.contact_id,
                    contact.account_id,
                    fingerprint,
                    batch_id,
                    outcome,
                    *kept(raw if outcome == RESULT else None, contact.body or {}),
                    now,
                )
                for fingerprint, (outcome, raw) in landed.items()
                if (contact := self._by_fingerprint.get(fingerprint)) is not None
            ],
        )

    def end(self, connection: Connection) -> None:
        """What is older than `max_age` saves no credit any more: it goes where a newer answer has taken its place."""
        with transaction(connection):
            connection.execute(
                "delete from raw.leadspace_contact_answers as old where received_at <= ? and exists ("
                " select 1 from raw.leadspace_contact_answers as newer where newer.contact_id = old.contact_id"
                " and newer.received_at > old.received_at and newer.outcome = ?)",
                [utc_now() - timedelta(days=self._max_age), RESULT],
            )

    def answered(self, connection: Connection, since: datetime) -> int:
        rows = connection.execute(
            "select distinct contact_id, fingerprint from raw.leadspace_contact_answers"
            " where received_at > ? and outcome = ?",
            [since, RESULT],
        ).fetchall()
        with_fingerprint = {fingerprint for _, fingerprint in rows}
        under_another_key = {contact_id for contact_id, fingerprint in rows if fingerprint is None}
        return sum(
            1
            for fingerprint, contact in self._by_fingerprint.items()
            if fingerprint in with_fingerprint or contact.contact_id in under_another_key
        )

    def also_current(self, connection: Connection, since: datetime) -> set[str]:
        """Answers from before the hash key was changed: what exactly was sent then cannot be told any more, only that
        it was about this contact and paid for.
        """
        rows = connection.execute(
            "select contact_id from raw.leadspace_contact_answers"
            " where received_at > ? and fingerprint is null and outcome = ?",
            [since, RESULT],
        ).fetchall()
        known = {row[0] for row in rows}
        return {
            fingerprint
            for fingerprint, contact in self._by_fingerprint.items()
            if contact.contact_id in known
        }


# --- what is kept of an answer

Kept = tuple[str | None, str | None, str | None, str | None, str | None]
NOTHING: Kept = (None, None, None, None, None)


def kept(raw: bytes | None, sent: Body) -> Kept:
    """Title, department, level, e-mail verification and employment verification of an answer, each None where it says
    nothing, or holds what is not to be kept: an address, a number to call, a page, or the contact's own name.

    Nulls, empty texts, fields that are absent or of another shape are alike.
    """
    if raw is None:
        return NOTHING
    try:
        data = msgspec.json.decode(raw, type=dict[str, Any]).get("data")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return NOTHING
    if not isinstance(data, dict) or not isinstance(person := data.get("person"), dict):
        return NOTHING
    # What is said of somebody who was not found is what was sent.
    if _word(data.get("enrichment_status")) in ("not_enriched", "company_enriched"):
        return NOTHING
    names = _names(sent)
    return (
        _text(person.get("title"), names),
        _text(person.get("department"), names),
        _word(person.get("level"), names),
        _word(person.get("original_email_verification_status"), names),
        _word(person.get("verification_status"), names),
    )


def _text(value: object, names: frozenset[str] = frozenset()) -> str | None:
    if not isinstance(value, str):
        return None
    text = cleaned(unicodedata.normalize("NFKC", value))
    if not any(char.isalnum() for char in text) or len(text) > LONGEST_TITLE:
        return None
    return None if _CONTACT_DETAILS.search(text) or _names_somebody(text, names) else text


def _word(value: object, names: frozenset[str] = frozenset()) -> str | None:
    """One of the service's words, in lower case with underscores, also one that is not documented."""
    text = _text(value, names)
    if text is None or len(text) > LONGEST_WORD:
        return None
    return _NOT_A_LETTER.sub("_", text.lower()).strip("_")


def _names(sent: Body) -> frozenset[str]:
    """By what a text would name the contact: each part of his names, each name, and his names run together."""
    person: Mapping[str, str] = sent.get("person", {})
    first, last = _folded(person.get("first_name", "")), _folded(person.get("last_name", ""))
    parts = {part for part in _PART.findall(f"{first} {last}") if len(part) >= SHORTEST_PART}
    # Scripts that are written without spaces have names of two characters within a text.
    together = {_NOT_A_LETTER.sub("", text) for text in (first + last, last + first)}
    return frozenset(parts | ({first, last} - {""}) | {f"={text}" for text in together})


def _names_somebody(text: str, names: frozenset[str]) -> bool:
    folded = _folded(text)
    words = set(_PART.findall(folded))
    squeezed = _NOT_A_LETTER.sub("", folded)
    return any(
        name[1:] in squeezed if name.startswith("=") else name in words or folded == name for name in names
    )


def _folded(text: str) -> str:
    """Without case and accents."""
    return without_accents(text.casefold())
