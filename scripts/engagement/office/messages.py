"""Messages of one mailbox and time range: fetched, reduced to what is stored, hashed."""

from __future__ import annotations

import binascii
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from engagement.addresses import AddressBook
from engagement.office import graph
from engagement.office.client import GraphClient
from engagement.office.rows import Read, Row, TooMany, Uneven

_COUNT_ATTEMPTS = 3
_CONVERSATION_ID_BYTES = 59
_SHORTEST_INDEX = 22
_MEETING_MAIL = "#microsoft.graph.eventMessage"


def search_folders(client: GraphClient, entra_id: str) -> frozenset[str]:
    """Ids of the search folders, whose messages are copies of others. Raises MailboxUnreadable."""
    found = set()
    for page in client.pages(
        "/users/{id}/mailFolders",
        graph.decode_folders,
        permission=graph.MAIL_PERMISSION,
        ids={"id": entra_id},
        params={"$select": graph.FOLDER_SELECT, "includeHiddenFolders": "true", "$top": "250"},
        mailbox=True,
    ):
        found |= {folder.id for folder in page.value if folder.is_search_folder}
    return frozenset(found)


def read(
    client: GraphClient,
    book: AddressBook,
    *,
    entra_id: str,
    mailbox_id: int,
    start: datetime,
    end: datetime,
    search_folder_ids: frozenset[str],
    page_size: graph.PageSize | None = None,
    most: int | None = None,
) -> Read:
    """All messages received in [start, end). Raises MailboxUnreadable, ServiceError, AuthenticationError.

    Lists page by position, so mail that is deleted meanwhile makes others slip through: fewer items than the
    service counted at the beginning means reading once more, and Uneven after three times. TooMany where it
    counts more than `most`. A message whose date cannot be read is kept without it, to be counted as such.
    """
    stored = RowMaker(book, mailbox_id=mailbox_id, search_folder_ids=search_folder_ids)
    size = page_size or graph.PageSize()
    for _ in range(_COUNT_ATTEMPTS):
        fetched = size.largest(partial(_fetch, client, stored, entra_id, start, end, most))
        if fetched.counted is None or len(fetched.rows) >= fetched.counted:
            read = Read(unasked=fetched.unasked)
            add(read, list(fetched.rows.values()))
            return read
    raise Uneven(
        f"Microsoft Graph: GET /users/{{id}}/messages gave {len(fetched.rows)} of {fetched.counted}"
        " messages three times;"
        " run again later, what was read is kept"
    )


def query(start: datetime, end: datetime, top: int) -> dict[str, str]:
    """What is asked of a mailbox's messages received in [start, end), naive UTC; `top` items a page."""
    return {
        "$filter": f"receivedDateTime ge {start:%Y-%m-%dT%H:%M:%SZ} and receivedDateTime lt"
        f" {end:%Y-%m-%dT%H:%M:%SZ}",
        "$orderby": "receivedDateTime",
        "$select": graph.MESSAGE_SELECT,
        "$top": str(top),
        "$count": "true",
    }


class RowMaker:
    """What is stored of the messages of one mailbox."""

    def __init__(
        self,
        book: AddressBook,
        *,
        mailbox_id: int,
        search_folder_ids: frozenset[str],
    ) -> None:
        self._book = book
        self._hasher = book.hasher
        self._mailbox_id = mailbox_id
        self._search_folder_ids = search_folder_ids
        # A conversation comes several times, and what makes a thread is the dearest part of a message.
        self._thread_keys: dict[str, int] = {}

    def __call__(self, item: graph.Message) -> Row:
        hasher, key = self._hasher, self._book.key
        message_id = (item.internet_message_id or "").strip()
        recipients: dict[int, None] = {}
        for listed in (item.to_recipients, item.cc_recipients, item.bcc_recipients):
            if listed:
                for recipient in listed:
                    email = recipient.email_address
                    if email is not None:
                        recipient_key = key(email.address)
                        if recipient_key is not None:
                            recipients[recipient_key] = None
        received, sent = item.received_date_time, item.sent_date_time
        received_at = graph.instant(received)
        return (
            self._mailbox_id,
            hasher.item(item.id),
            hasher.message(message_id or item.id),
            self._thread_key(item),
            received_at,
            received_at if sent == received else graph.instant(sent),
            key(item.from_.address) if item.from_ else None,
            key(item.sender.address) if item.sender else None,
            list(recipients),
            bool(item.is_draft),
            bool(item.odata_type) and str(item.odata_type).startswith(_MEETING_MAIL),
            item.parent_folder_id in self._search_folder_ids,
        )

    def _thread_key(self, item: graph.Message) -> int:
        conversation_id = item.conversation_id
        known = self._thread_keys.get(conversation_id) if conversation_id else None
        if known is not None:
            return known
        decoded = _decoded_conversation_id(conversation_id) if conversation_id else None
        if conversation_id is None or decoded is None:
            # Where the id says nothing, the index of each message decides.
            return self._hasher.thread(
                thread_of(conversation_id, item.conversation_index, self._mailbox_id, item.id)
            )
        key = self._thread_keys[conversation_id] = self._hasher.thread(decoded)
        return key


def add(read: Read, rows: Sequence[Row]) -> None:
    """Adds rows of `RowMaker` to what was read."""
    read.rows += rows
    read.moments += [row[4] for row in rows if row[4] is not None]
    read.undated_keys += [row[1] for row in rows if row[4] is None]


class _Fetched(NamedTuple):
    """Rows by item key, the last one seen winning, and the service's count at the first page."""

    rows: dict[int, Row]
    counted: int | None
    unasked: Counter[str]


def _fetch(
    client: GraphClient,
    stored: RowMaker,
    entra_id: str,
    start: datetime,
    end: datetime,
    most: int | None,
    top: int,
) -> _Fetched:
    rows: dict[int, Row] = {}
    unasked: Counter[str] = Counter()
    counted: int | None = None
    for page in client.pages(
        "/users/{id}/messages",
        graph.decode_messages,
        permission=graph.MAIL_PERMISSION,
        ids={"id": entra_id},
        params=query(start, end, top),
        mailbox=True,
        can_shrink=top > graph.SMALLEST_PAGE,
    ):
        counted = page.count if counted is None else counted
        if most is not None and counted is not None and counted > most:
            raise TooMany
        unasked.update(page.unasked)
        for item in page.value:
            row = stored(item)
            rows[row[1]] = row
    return _Fetched(rows, counted, unasked)


def thread_of(
    conversation_id: str | None, conversation_index: str | None, mailbox_id: int, item_id: str
) -> bytes:
    """What makes a thread: the same in every mailbox where the service lets it be.

    The last 16 bytes of a conversationId of 59 bytes (Exchange's alphabet has - for / and _ for +), else the
    GUID in bytes 6 to 21 of conversationIndex, else the mailbox with its conversationId; an item without any of
    them is a thread of its own. The bytes can be an unsalted digest of the subject, so they are never stored
    unhashed.
    """
    if conversation_id:
        decoded = _decoded_conversation_id(conversation_id)
        if decoded is not None:
            return decoded
    if conversation_index:
        decoded = _base64(conversation_index)
        if decoded is not None and len(decoded) >= _SHORTEST_INDEX:
            return decoded[6:22]
    name = f"{mailbox_id}/{conversation_id}" if conversation_id else f"{mailbox_id}//{item_id}"
    return name.encode("utf-8", "surrogatepass")


def _decoded_conversation_id(conversation_id: str) -> bytes | None:
    """The part that is common to all mailboxes, of an id that has it."""
    decoded = _base64(conversation_id.replace("-", "/").replace("_", "+"))
    return decoded[-16:] if decoded is not None and len(decoded) == _CONVERSATION_ID_BYTES else None


def _base64(text: str) -> bytes | None:
    try:
        return binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except (binascii.Error, ValueError):
        return None
