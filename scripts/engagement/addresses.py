"""E-mail addresses: brought to one form, classed, and replaced by keyed hashes.

Nothing but this module sees a local part for longer than one call: what is stored is a signed 64-bit BLAKE2b
hash under a secret key, the domain in ASCII, and a class of the local part.
"""

from __future__ import annotations

import contextlib
import csv
import os
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import idna

from engagement.durable import written_beside
from engagement.errors import ConfigurationError

if TYPE_CHECKING:
    from engagement.configuration.settings import Settings
    from engagement.tombstones import Tombstones

PERSON = "person"
X500 = "x500"
CLASSES = ("role", "automated")

_IN_BRACKETS = re.compile(r"<([^<>]*)>\s*$")
_X500_PREFIXES = ("/o=", "imceaex-_o=", "x500:")
# The last label has a letter, which sets a domain apart from an IPv4 address and from "3.5".
_DOMAIN = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+(?=[^.]*[a-z])[a-z0-9-]{2,63}")
_LONGEST_DOMAIN = 253
_KEY_FILE_BYTES = 32
_SHORTEST_KEY = 16
_ALL_BITS = 2**64 - 1
# Of the id of a request about a contact, so many stand for the contact alone.
DIGITS_OF_A_CONTACT = 16


class Address(NamedTuple):
    """A normalised address: the text that is hashed, and its two parts; X.500 forms have no domain."""

    text: str
    local_part: str
    domain: str | None

    @property
    def is_x500(self) -> bool:
        return self.domain is None


def normalised(raw: str | None, *, keep_tag: bool = False) -> Address | None:
    """The one form of an address, or None where there is nothing usable.

    Trimmed, angle brackets and mailto: taken off, lower-cased, the plus-tag dropped, trailing dots of the
    domain dropped, the domain in ASCII (IDNA). X.500 forms ("/o=exchangelabs/...") have no domain.

    `keep_tag` is for asking a directory, which knows anna+jobs@... and anna@... as two: never for a hash.
    """
    if raw is None:
        return None
    text = raw.strip()
    if not text:
        return None
    if bracketed := _IN_BRACKETS.search(text):
        text = bracketed.group(1)
    text = text.strip().lower().removeprefix("mailto:").removeprefix("smtp:").strip()
    if text.startswith(_X500_PREFIXES):
        return Address(text.removeprefix("x500:"), text, None)
    local_part, at, domain = text.rpartition("@")
    if not at:
        return None
    tagless = "" if keep_tag else local_part.partition("+")[0]
    # "+tag@..." has nothing before the plus sign: it is a name of its own, not a tag.
    local_part = (tagless or local_part).strip()
    ascii_domain = domain_in_ascii(domain)
    if not local_part or not ascii_domain or any(character.isspace() for character in local_part):
        return None
    return Address(f"{local_part}@{ascii_domain}", local_part, ascii_domain)


def domain_in_ascii(domain: str) -> str:
    """A domain in lower case and ASCII; empty where there is none.

    Each label goes through IDNA 2008 with the mapping of UTS 46. A label that this refuses (an underscore, a
    symbol, a label over 63 characters) is kept as it is when ASCII, and written as "xn--" and Punycode when
    not, so that two different labels never become one.
    """
    text = domain.strip().strip("[]").strip().rstrip(".").lower()
    if text.isascii():
        return text if text and not any(character.isspace() for character in text) else ""
    # UTS 46 also knows the ideographic full stops as separators of labels.
    labels = re.split("[.\u3002\uff0e\uff61]", text)
    return ".".join(_label_in_ascii(label) for label in labels if label)


def website_domain(website: str | None) -> str | None:
    """The domain of a website in the form that domains of addresses have; None where it is no website.

    Scheme, user, port, path, a trailing dot and a leading "www." are left out, and nothing else: a subdomain
    is a domain of its own. An e-mail address, an IP address and a bare word are no website.
    """
    text = (website or "").strip().lower()
    scheme, separator, _ = text.partition("://")
    if separator and scheme not in ("http", "https"):
        return None
    if not separator and not text.startswith("//"):
        text = f"//{text}"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return None
    # Without a scheme, what has an @ is an e-mail address; with one, it is a user before the host.
    if not separator and "@" in parts.netloc:
        return None
    domain = domain_in_ascii(host)
    without_www = domain.removeprefix("www.")
    if "." in without_www:
        domain = without_www
    return domain if len(domain) <= _LONGEST_DOMAIN and _DOMAIN.fullmatch(domain) else None


def _label_in_ascii(label: str) -> str:
    if label.isascii():
        return label
    try:
        return idna.encode(label, uts46=True, transitional=False).decode("ascii")
    except idna.IDNAError:
        return "xn--" + label.encode("punycode").decode("ascii").strip()


@dataclass(frozen=True)
class SenderPatterns:
    """The patterns that class a local part, in the order of the seed file; the first match wins."""

    patterns: tuple[tuple[re.Pattern[str], str], ...]
    fingerprint: str

    def class_of(self, address: Address) -> str:
        """person, role, automated or x500."""
        if address.is_x500:
            return X500
        for pattern, local_part_class in self.patterns:
            if pattern.fullmatch(address.local_part):
                return local_part_class
        return PERSON

    @classmethod
    def load(cls, path: Path) -> SenderPatterns:
        """Reads seeds/automated_sender_patterns.csv; ConfigurationError names a line that is wrong."""
        if not path.is_file():
            raise ConfigurationError(
                f"{path.name}: not found in seeds/; restore the seed file, or set"
                " ENGAGEMENT_PROJECT_DIR to the project"
            )
        content = path.read_bytes()
        patterns = []
        for number, row in enumerate(csv.DictReader(content.decode("utf-8-sig").splitlines()), start=2):
            local_part_class = row.get("local_part_class") or ""
            if local_part_class not in CLASSES:
                raise ConfigurationError(
                    f"{path.name} line {number}: local_part_class {local_part_class!r} is not one of"
                    f" {', '.join(CLASSES)}; correct the line"
                )
            try:
                pattern = re.compile(row.get("pattern") or "", re.IGNORECASE)
            except re.error as error:
                raise ConfigurationError(
                    f"{path.name} line {number}: not a regular expression ({error}); correct the pattern"
                ) from None
            patterns.append((pattern, local_part_class))
        return cls(tuple(patterns), blake2b(content, digest_size=8).hexdigest())


class Hasher:
    """Keyed hashes of 64 bits, signed, as DuckDB and Spark hold a BIGINT.

    Each kind of thing has its own personalisation, so that an address and a message id of the same text
    differ. Prepared states are copied per call: a third faster than making them anew.
    """

    def __init__(self, key: bytes) -> None:
        # Of a normalised address, an item's id, an internet message id, a meeting's iCalUId.
        self.address = self._of_text(key, b"address")
        self.item = self._of_text(key, b"item")
        self.message = self._of_text(key, b"message")
        self.ical = self._of_text(key, b"ical")
        self.thread = self._of_bytes(key, b"thread")
        self._mailbox = self._of_text(key, b"mailbox")
        self._contact = self._of_text(key, b"contact")
        self._request = self._of_text(key, b"request")
        check = self._state(key, b"check").copy()
        check.update(b"key")
        self.key_check = check.hexdigest()

    def mailbox(self, entra_id: str) -> int:
        """Hash of a directory object's id, in whatever case it is written."""
        return self._mailbox(entra_id.lower())

    def requests_of(self, contact_id: str) -> str:
        """What the ids of all requests about a contact begin with, and those of no other."""
        return f"{self._contact(contact_id) & _ALL_BITS:0{DIGITS_OF_A_CONTACT}x}"

    def request(self, contact_id: str, sent: str) -> str:
        """The id of a request about a contact: it tells neither who he is nor what is sent, and is another where
        anything of that is.
        """
        return self.requests_of(contact_id) + f"{self._request(sent) & _ALL_BITS:016x}"

    @staticmethod
    def _state(key: bytes, kind: bytes) -> blake2b:
        return blake2b(digest_size=8, key=key, person=kind)

    @classmethod
    def _of_bytes(cls, key: bytes, kind: bytes) -> Callable[[bytes], int]:
        # Closures: three of them run for every message, and a method each would cost as much as its hash.
        copy, from_bytes = cls._state(key, kind).copy, int.from_bytes

        def hashed(value: bytes) -> int:
            own = copy()
            own.update(value)
            return from_bytes(own.digest(), "big", signed=True)

        return hashed

    @classmethod
    def _of_text(cls, key: bytes, kind: bytes) -> Callable[[str], int]:
        copy, from_bytes = cls._state(key, kind).copy, int.from_bytes

        def hashed(value: str) -> int:
            own = copy()
            own.update(value.encode("utf-8", "surrogatepass"))
            return from_bytes(own.digest(), "big", signed=True)

        return hashed


AddressRow = tuple[int, str | None, str]


class _Keys(dict[str | None, int | None]):
    """Keys by address, each worked out when it is first asked for."""

    def __init__(self, new_key: Callable[[str | None], int | None]) -> None:
        super().__init__()
        self._new_key = new_key

    def __missing__(self, raw: str | None) -> int | None:
        key = self[raw] = self._new_key(raw)
        return key


class AddressBook:
    """Hashes of addresses as they come, each worked out once; collects the rows of raw.office_addresses.

    Shared by the reading threads. A new address is put on the pending list before its key can be seen by
    anyone, so a writer that drains the list before it commits never commits a key whose address row is still
    to come.
    """

    def __init__(
        self, hasher: Hasher, patterns: SenderPatterns, tombstones: Tombstones | None = None
    ) -> None:
        self.hasher = hasher
        self.tombstones = tombstones
        self._patterns = patterns
        self._pending: deque[AddressRow] = deque()
        # Key of an address as it stands in mail, calendar or customer file; None where it is not usable, or that of
        # somebody who was erased. The dictionary's own method, since it is called five times for every message.
        self.key: Callable[[str | None], int | None] = _Keys(self._new_key).__getitem__

    def _new_key(self, raw: str | None) -> int | None:
        address = normalised(raw)
        if address is None:
            return None
        key = self.hasher.address(address.text)
        if self.tombstones is not None and self.tombstones.is_kept_out(address.text, key):
            return None
        self._pending.append((key, address.domain, self._patterns.class_of(address)))
        return key

    def is_erased(self, raw: str | None) -> bool:
        """Whether an address is that of somebody who was erased."""
        if not self.tombstones:
            return False
        address = normalised(raw)
        return address is not None and self.tombstones.knows_address(address.text)

    @staticmethod
    def domain(raw: str | None) -> str | None:
        """Domain in ASCII of an address; None for X.500 forms and what is not usable."""
        address = normalised(raw)
        return None if address is None else address.domain

    def drain(self) -> list[AddressRow]:
        """Takes the rows collected so far off the list, each address once."""
        rows: dict[int, AddressRow] = {}
        while True:
            try:
                row = self._pending.popleft()
            except IndexError:
                return list(rows.values())
            rows[row[0]] = row

    def put_back(self, rows: Iterable[AddressRow]) -> None:
        """Returns drained rows that could not be written."""
        self._pending.extend(rows)


def has_hash_key(settings: Settings) -> bool:
    """Whether there is a key already: without one nothing was hashed."""
    return settings.hash_key is not None or settings.hash_key_file.exists()


def hasher_of(settings: Settings) -> Hasher:
    """The hashes of this project, by its key, which is made where there is none."""
    given = None if settings.hash_key is None else settings.hash_key.get_secret_value()
    return Hasher(load_hash_key(given, settings.hash_key_file))


def load_hash_key(given: str | None, path: Path) -> bytes:
    """The secret key of all hashes: from the environment, else from a file of mode 0600 made on the first
    run.
    """
    return load_secret_key(
        given,
        path,
        variable="ENGAGEMENT_HASH_KEY",
        noun="hash key",
        instead=", or begin anew with `engagement rotate-key`",
    )


def load_secret_key(given: str | None, path: Path, *, variable: str, noun: str, instead: str = "") -> bytes:
    """A secret key: as given in an environment variable, else from a file of mode 0600, made where it is missing.
    `instead` is what else can be done where the file is damaged and no backup is there.
    """
    if given is not None:
        if len(given) < _SHORTEST_KEY:
            raise ConfigurationError(
                f"{variable}: has {len(given)} characters, at least {_SHORTEST_KEY} are needed;"
                " use a long random text, or leave it unset to have a key file made"
            )
        return blake2b(given.encode(), digest_size=32).digest()
    if not path.exists():
        _make_key_file(path)
    if path.stat().st_mode & 0o077:
        raise ConfigurationError(f"{path.name}: others may read the {noun}; run chmod 600 on it")
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_FILE_BYTES:
        raise ConfigurationError(
            f"{path.name}: not a {noun} of {_KEY_FILE_BYTES} bytes in hexadecimal; restore it from a backup{instead}"
        )
    return key


def _make_key_file(path: Path) -> None:
    """Linked into place, so that of two first runs one wins and a killed one leaves nothing half."""
    with new_key_beside(path) as beside, contextlib.suppress(FileExistsError):
        os.link(beside, path)


@contextmanager
def new_key_beside(path: Path) -> Iterator[Path]:
    """A file with a new key beside `path`, on the disk; removed at the end unless it was moved away."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with written_beside(path, f"{secrets.token_hex(_KEY_FILE_BYTES)}\n".encode()) as beside:
        yield beside


def remove_keys_beside(path: Path) -> None:
    """New keys that killed processes left beside `path`; to be called by the owner of the lock."""
    for leftover in path.parent.glob(f".{path.name}.*"):
        leftover.unlink(missing_ok=True)
