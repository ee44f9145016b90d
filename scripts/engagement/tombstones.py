"""Who was erased and stays out: keyed marks in a file of its own, outside the database.

`tombstones.json` holds no address and no hash of the private file, only marks (BLAKE2b, 128 bits) under a second key,
each of a kind of its own:

    addresses      of each normalised address that was known as text
    address_keys   of each address key, so that a restored backup can be cleaned, which has keys alone, and so that
                   aliases that were known as keys alone stay out
    people         of the Entra id of a monitored person
    mailboxes      of his mailbox_id

Address keys and mailbox ids are hashes under the first key: after that key was changed their marks find nobody, and
the other two go on. An address that was known by its key alone gets a mark of its text when it is next seen.
Everything that stores a person asks here first.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from engagement import durable
from engagement.addresses import Hasher, has_hash_key, hasher_of, load_secret_key, normalised
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError, EngagementError

ERASED = "[erased]"
KINDS = ("addresses", "address_keys", "people", "mailboxes")
_MARK_BYTES = 16
_VERSION = 1

# What may be an address in a text: a generous local part, whose beginning may belong to something else ("mail=a@..").
_ADDRESS = re.compile(r'([^\s@<>",;()\[\]\\]{1,320}?)(?:@|%40)([\w.\-]+)', re.IGNORECASE)
_BEFORE_AN_ADDRESS = re.compile(r"[=/&?#:|'*!${}~^`]|%[0-9A-Fa-f]{2}")
_ENTRA_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
# What SQL looks for before a text is looked at here.
MAY_NAME_SOMEBODY = (
    r"@|%40|\\u0040|[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}"
)


class Tombstones:
    """The marks of who was erased. `hasher` finds people by address keys as well; threads may ask at once."""

    def __init__(self, file: Path, secret: Callable[[], bytes], hasher: Hasher | None = None) -> None:
        self.file = file
        self._secret = secret
        self._hasher = hasher
        self._lock = threading.RLock()
        self._key: bytes | None = None
        self._marks: dict[str, set[str]] = {}
        self.reload()

    @classmethod
    def load(cls, settings: Settings, hasher: Hasher | None = None) -> Tombstones:
        """Those of this project. ConfigurationError where the file cannot be read or was made with another key."""
        if hasher is None and has_hash_key(settings) and settings.tombstones_file.exists():
            hasher = hasher_of(settings)
        return cls(settings.tombstones_file, lambda: tombstone_key(settings), hasher)

    def reload(self) -> None:
        """Reads the file anew: somebody may have been erased since."""
        with self._lock:
            self._marks = {kind: set() for kind in KINDS}
            try:
                content = json.loads(self.file.read_text("utf-8"))
            except FileNotFoundError:
                return
            except (OSError, ValueError, RecursionError):
                content = None
            if not isinstance(content, dict) or content.get("version") != _VERSION:
                raise ConfigurationError(
                    f"{self.file.name}: cannot be read, so nobody knows who was erased; restore it from a backup"
                )
            if content.get("key_check") != self._mark("check", b"key"):
                raise ConfigurationError(
                    f"{self.file.name}: was made with another key; restore that key (ENGAGEMENT_TOMBSTONE_KEY or the"
                    " tombstone_key file)"
                )
            for kind in KINDS:
                self._marks[kind].update(content[kind])

    @property
    def count(self) -> int:
        """How many marks there are."""
        return sum(len(marks) for marks in self._marks.values())

    @property
    def fingerprint(self) -> str:
        """The marks as a text by which a private file says of whom it has been cleaned: their number and a digest."""
        with self._lock:
            if not self.count:
                return ""
            lines = [f"{kind} {mark}" for kind in KINDS for mark in sorted(self._marks[kind])]
            digest = blake2b("\n".join(lines).encode(), digest_size=_MARK_BYTES).hexdigest()
            return f"{self.count} {digest}"

    # --- asking

    def __bool__(self) -> bool:
        return any(self._marks.values())

    def knows_address(self, text: str) -> bool:
        """Whether a normalised address is that of somebody who was erased."""
        if self._mark_of_text(text) in self._marks["addresses"]:
            return True
        return self._hasher is not None and self.knows_key(self._hasher.address(text))

    def knows_key(self, key: int) -> bool:
        """Whether an address key is."""
        return (
            bool(self._marks["address_keys"])
            and self._mark_of_number("key", key) in self._marks["address_keys"]
        )

    def knows_person(self, entra_id: str) -> bool:
        """Whether a directory object's id is, in whatever case it is written."""
        return bool(self._marks["people"]) and self._mark_of_person(entra_id) in self._marks["people"]

    def knows_mailbox(self, mailbox_id: int) -> bool:
        """Whether a mailbox is."""
        return (
            bool(self._marks["mailboxes"])
            and self._mark_of_number("mailbox", mailbox_id) in self._marks["mailboxes"]
        )

    def is_kept_out(self, text: str, key: int) -> bool:
        """Whether an address with its key must not be stored. What was known by its key alone is known by its text
        from now on.
        """
        if not self:
            return False
        if self._mark_of_text(text) in self._marks["addresses"]:
            return True
        if not self.knows_key(key):
            return False
        self.add(addresses=[text])
        return True

    def masked(self, text: str) -> str:
        """A text without the addresses and Entra ids of who was erased, also where it is JSON."""
        if not self:
            return text
        found = _ADDRESS.sub(self._masked_address, text) if "@" in text or "%40" in text else text
        if self._marks["people"]:
            found = _ENTRA_ID.sub(
                lambda match: ERASED if self.knows_person(match.group()) else match.group(), found
            )
        if found[:1] in ("{", "[") and "\\" in found:
            # An address may be written with escapes.
            try:
                value = json.loads(found)
            except (ValueError, RecursionError):
                return found
            if (without := self.masked_value(value)) != value:
                return json.dumps(without, ensure_ascii=False)
        return found

    def masked_value(self, value: Any) -> Any:
        """The same for every text in lists and dictionaries."""
        if isinstance(value, str):
            return self.masked(value)
        if isinstance(value, list):
            return [self.masked_value(part) for part in value]
        if isinstance(value, dict):
            return {self.masked(key): self.masked_value(part) for key, part in value.items()}
        return value

    def _masked_address(self, match: re.Match[str]) -> str:
        before, given = match.group(1), match.group(2)
        domain = given.rstrip("-_.")
        starts = [0, *(found.end() for found in _BEFORE_AN_ADDRESS.finditer(before))]
        for start in starts:
            for local_part in {before[start:], unquote(before[start:])}:
                address = normalised(f"{local_part}@{domain}")
                if address is not None and self.knows_address(address.text):
                    return before[:start] + ERASED + given[len(domain) :]
        return match.group()

    # --- adding

    def add(
        self,
        *,
        addresses: Iterable[str] = (),
        keys: Iterable[int] = (),
        people: Iterable[str] = (),
        mailboxes: Iterable[int] = (),
    ) -> bool:
        """Marks somebody; the marks are on the disk when this returns. Whether any of them is new.

        To be called by the owner of the run's lock. Raises EngagementError where they cannot be written.
        """
        with self._lock:
            new = {
                "addresses": {self._mark_of_text(text) for text in addresses},
                "address_keys": {self._mark_of_number("key", key) for key in keys},
                "people": {self._mark_of_person(entra_id) for entra_id in people},
                "mailboxes": {self._mark_of_number("mailbox", mailbox_id) for mailbox_id in mailboxes},
            }
            if all(marks <= self._marks[kind] for kind, marks in new.items()):
                return False
            joined = {kind: self._marks[kind] | marks for kind, marks in new.items()}
            self._write(joined)
            self._marks = joined
            return True

    def _write(self, marks: dict[str, set[str]]) -> None:
        content = {"version": _VERSION, "key_check": self._mark("check", b"key")}
        # In the order of the marks, so that nothing tells which belong together.
        text = json.dumps(content | {kind: sorted(marks[kind]) for kind in KINDS}, indent=1) + "\n"
        try:
            durable.write(self.file, text.encode())
        except OSError as error:
            raise EngagementError(
                f"{self.file.name}: cannot be written ({error.strerror}), so nobody was erased; correct its rights or"
                " make room, then run again"
            ) from None

    # --- marks

    def _mark_of_text(self, text: str) -> str:
        return self._mark("address", text.encode("utf-8", "surrogatepass"))

    def _mark_of_number(self, kind: str, number: int) -> str:
        return self._mark(kind, number.to_bytes(8, "big", signed=True))

    def _mark_of_person(self, entra_id: str) -> str:
        return self._mark("person", entra_id.lower().encode("utf-8", "surrogatepass"))

    def _mark(self, kind: str, value: bytes) -> str:
        if self._key is None:
            self._key = self._secret()
        return blake2b(
            value, digest_size=_MARK_BYTES, key=self._key, person=b"tomb " + kind.encode()
        ).hexdigest()


def number_of_marks(content: Mapping[str, Any] | None) -> int:
    """How many marks a tombstones file holds, given what stands in it. KeyError or TypeError where it is none."""
    return 0 if content is None else sum(len(content[kind]) for kind in KINDS)


def tombstone_key(settings: Settings) -> bytes:
    """The second key: from the environment, else from a file of mode 0600 made when somebody is first erased."""
    given = None if settings.tombstone_key is None else settings.tombstone_key.get_secret_value()
    if given is None and settings.tombstones_file.exists() and not settings.tombstone_key_file.exists():
        raise ConfigurationError(
            f"{settings.tombstone_key_file.name}: is gone, and without it nobody knows who was erased; restore"
            " it from a backup, or set ENGAGEMENT_TOMBSTONE_KEY"
        )
    return load_secret_key(
        given, settings.tombstone_key_file, variable="ENGAGEMENT_TOMBSTONE_KEY", noun="tombstone key"
    )


def addresses_in(text: str) -> Iterator[str]:
    """Every normalised address that stands in a text."""
    for match in _ADDRESS.finditer(text):
        address = normalised(f"{match.group(1)}@{match.group(2).rstrip('-_.')}")
        if address is not None:
            yield address.text
