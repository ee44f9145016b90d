"""Messages of one mailbox and time range: fetched, reduced to what is stored, hashed."""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from functools import partial
from typing import Any

from engagement.addresses import AddressBook
from engagement.errors import ServiceError
from engagement.http import GraphClient
from engagement.office import graph
from engagement.office.rows import Read

_COUNT_ATTEMPTS = 3
_CONVERSATION_ID_BYTES = 59
_SHORTEST_INDEX = 22
_MEETING_MAIL = "#microsoft.graph.eventMessage"
_EXCHANGE_ALPHABET = str.maketrans("-_", "/+")


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
        found |= {
            folder.id for folder in page.value if folder.odata_type == "#microsoft.graph.mailSearchFolder"
        }
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
    now: datetime,
) -> Read:
    """All messages received in [start, end). Raises MailboxUnreadable, ServiceError, AuthenticationError.

    Lists page by position, so mail that is deleted meanwhile makes others slip through: fewer items than the
    service counted at the beginning means reading once more. A message whose date cannot be read is kept without
    it, to be counted as such.
    """
    for attempt in range(1, _COUNT_ATTEMPTS + 1):
        items, counted = graph.by_page_size(partial(_fetch, client, entra_id, start, end))
        if counted is None or len(items) >= counted:
            break
        if attempt == _COUNT_ATTEMPTS:
            raise ServiceError(
                f"Microsoft Graph: GET /users/{{id}}/messages gave {len(items)} of {counted}"
                " messages three times;"
                " run again later, what was read is kept"
            )
    read = Read()
    for item in items.values():
        row = row_of(book, item, mailbox_id=mailbox_id, search_folder_ids=search_folder_ids, now=now)
        add(read, row)
    return read


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


def row_of(
    book: AddressBook,
    item: graph.Message,
    *,
    mailbox_id: int,
    search_folder_ids: frozenset[str],
    now: datetime | None,
) -> tuple[Any, ...]:
    """What is stored of a message: the columns of raw.office_messages in their order, without the landing."""
    hasher = book.hasher
    message_id = (item.internet_message_id or "").strip()
    recipients: dict[int, None] = {}
    for listed in (item.to_recipients, item.cc_recipients, item.bcc_recipients):
        for recipient in listed or ():
            key = book.key(recipient.address)
            if key is not None:
                recipients[key] = None
    return (
        mailbox_id,
        hasher.item(item.id),
        hasher.message(message_id or item.id),
        hasher.thread(thread_of(item.conversation_id, item.conversation_index, mailbox_id, item.id)),
        graph.instant(item.received_date_time),
        graph.instant(item.sent_date_time),
        book.key(item.from_.address) if item.from_ is not None else None,
        book.key(item.sender.address) if item.sender is not None else None,
        list(recipients),
        bool(item.is_draft),
        (item.odata_type or "").startswith(_MEETING_MAIL),
        item.parent_folder_id in search_folder_ids,
        now,
        None,
    )


def add(read: Read, row: tuple[Any, ...]) -> None:
    """Adds a row of `row_of` to what was read."""
    item_key, received_at = row[1], row[4]
    read.rows.append(row)
    if received_at is None:
        read.undated_keys.append(item_key)
    else:
        read.moments.append(received_at)


def _fetch(
    client: GraphClient, entra_id: str, start: datetime, end: datetime, top: int
) -> tuple[dict[str, graph.Message], int | None]:
    """Items by id, the last one seen winning, and the service's count at the first page."""
    items: dict[str, graph.Message] = {}
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
        for item in page.value:
            items[item.id] = item
    return items, counted


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
        decoded = _base64(conversation_id.translate(_EXCHANGE_ALPHABET))
        if decoded is not None and len(decoded) == _CONVERSATION_ID_BYTES:
            return decoded[-16:]
    if conversation_index:
        decoded = _base64(conversation_index)
        if decoded is not None and len(decoded) >= _SHORTEST_INDEX:
            return decoded[6:22]
    name = f"{mailbox_id}/{conversation_id}" if conversation_id else f"{mailbox_id}//{item_id}"
    return name.encode("utf-8", "surrogatepass")


def _base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
