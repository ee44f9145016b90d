"""Identifiers in the forms that Exchange Online gives them, made deterministically from seeds.

Layouts: conversation index by MS-OXOMSG 2.2.1.3, global object id (iCalUId) by MS-OXOCAL 2.2.1.27, both
checked against published answers of the service. Exchange's own base64 alphabet writes `-` for `/` and `_`
for `+`, which is *not* base64url (that has them the other way round); conversationIndex is plain base64.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from datetime import UTC, date, datetime
from functools import lru_cache
from uuid import UUID

_FILETIME_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_EXCHANGE_ALPHABET = str.maketrans("/+", "-_")
# how MS-OXOCAL marks a global object id that Exchange made
_GLOBAL_OBJECT_ID = "040000008200E00074C5B7101A82E008"
# what immutable ids of one service all begin with
_IMMUTABLE_PREFIX = "AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A"


def seeded_bytes(seed: str, size: int = 16) -> bytes:
    """Give up to 64 bytes that depend on the seed alone."""
    return hashlib.blake2b(seed.encode(), digest_size=size).digest()


def seeded_guid(seed: str) -> str:
    """Give a version 4 GUID that depends on the seed alone: an Entra id or a mailbox GUID."""
    return str(UUID(bytes=seeded_bytes(seed), version=4))


def exchange_base64(data: bytes) -> str:
    """Encode as Exchange writes its ids: `-` stands for `/` and `_` for `+`."""
    return b64encode(data).decode().translate(_EXCHANGE_ALPHABET)


def filetime(instant: datetime) -> int:
    """Give an instant as Windows counts it: 100 nanoseconds since 1601."""
    elapsed = instant - _FILETIME_EPOCH
    return (elapsed.days * 86_400 + elapsed.seconds) * 10_000_000 + elapsed.microseconds * 10


def thread_guid(seed: str) -> bytes:
    """Give the 16 bytes that a conversation has in common in all mailboxes."""
    return seeded_bytes(f"thread:{seed}")


def topic_thread(topic: str) -> bytes:
    """Give the 16 bytes of a conversation that Exchange tracks by its topic: the MD5 of MS-OXOMSG 2.2.1.2.

    Seen in meeting responses: there the conversation id's tail is not the conversation index's GUID.
    """
    return hashlib.md5(topic.upper().encode("utf-16-le"), usedforsecurity=False).digest()


def conversation_id(mailbox_guid: str, thread: bytes) -> str:
    """Give one mailbox's conversation id: 59 bytes, of which only the last 16 are common to all mailboxes."""
    owner = mailbox_guid.encode("ascii")
    if len(owner) != 36 or len(thread) != 16:
        raise ValueError("a conversation id needs a mailbox GUID of 36 characters and a thread of 16 bytes")
    return exchange_base64(b"\x00\x04\x24\x00" + owner + b"\x00\x10\x00" + thread)


def conversation_index(
    thread: bytes, started_at: datetime, depth: int = 0, *, outlook_header: bool = False
) -> bytes:
    """Give a conversation index: a header of 22 bytes and 5 more for each reply, so 22 + 5 * depth bytes.

    A reply's index begins with that of the message it answers. Two forms of header exist: Exchange writes 01
    and five bytes of the time, Outlook six bytes of the time (of which the first happens to be 01); bytes
    6..21 are the thread in both.
    """
    if len(thread) != 16:
        raise ValueError("a conversation index needs a thread of 16 bytes")
    time = filetime(started_at).to_bytes(8, "big")
    header = time[:6] if outlook_header else b"\x01" + time[:5]
    replies = b"".join(
        # a delta code of 0, 31 bits of time since the header in units of 2^18 * 100 ns, and the level
        (filetime(started_at) // 2**18 % 2**16 + 40_000 * level).to_bytes(4, "big") + bytes([level % 256])
        for level in range(1, depth + 1)
    )
    return header + thread + replies


def exchange_ical_uid(seed: str, created_at: datetime, occurrence: date | None = None) -> str:
    """Give an iCalUId of Exchange; an occurrence of a series carries its date, the series itself has zeros.

    The date is that of the organiser's own time zone.
    """
    day = (
        "00000000"
        if occurrence is None
        else (f"{occurrence.year:04X}{occurrence.month:02X}{occurrence.day:02X}")
    )
    created = filetime(created_at).to_bytes(8, "little").hex().upper()
    data = seeded_bytes(f"ical:{seed}").hex().upper()
    return f"{_GLOBAL_OBJECT_ID}{day}{created}{'00' * 8}10000000{data}"


def foreign_ical_uid(seed: str, host: str = "calendar.example") -> str:
    """Give an iCalUId as other calendars write it: free text, the same for all occurrences of a series."""
    return f"{seeded_bytes(f'foreign:{seed}', 13).hex()}@{host}"


def internet_message_id(seed: str, host: str) -> str:
    """Give an internet message id, with its angle brackets."""
    return f"<{seeded_bytes(f'message:{seed}', 14).hex().upper()}@{host}>"


def item_id(mailbox_guid: str, seed: str) -> str:
    """Give an item's immutable id in one mailbox, the form that `IdType="ImmutableId"` asks for."""
    return _IMMUTABLE_PREFIX + exchange_base64(seeded_bytes(f"item:{mailbox_guid}:{seed}", 24))


def changeable_id(immutable_id: str, folder: str) -> str:
    """Give the id that the same item has without `IdType="ImmutableId"`: another one in every folder."""
    return "AAMkA" + exchange_base64(seeded_bytes(f"{folder}:{immutable_id}", 42))


@lru_cache(maxsize=50_000)
def folder_id(mailbox_guid: str, name: str) -> str:
    """Give the id of a mail folder in one mailbox."""
    return "AQMkA" + exchange_base64(seeded_bytes(f"folder:{mailbox_guid}:{name}", 30))
