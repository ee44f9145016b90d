"""Calendar entries of one mailbox and time range: fetched, reduced to what is stored, hashed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import NamedTuple

from engagement.addresses import AddressBook
from engagement.errors import ServiceError
from engagement.office import graph
from engagement.office.client import GraphClient
from engagement.office.rows import Read, Row, TooMany, Uneven

_READ_ATTEMPTS = 3
_NOT_KEPT = ("private", "confidential")
IN_UTC = (None, "", "UTC")


def read(
    client: GraphClient,
    book: AddressBook,
    *,
    entra_id: str,
    mailbox_id: int,
    start: datetime,
    end: datetime,
    page_size: graph.PageSize | None = None,
    most: int | None = None,
    trust_count: bool = True,
) -> Read:
    """All entries that start in [start, end). Raises MailboxUnreadable, ServiceError, AuthenticationError.

    Private and confidential entries are dropped here and any earlier row of theirs is removed; so are unsent
    drafts. Entries that began before the range merely reach into it and belong to an earlier slice. All-day
    entries come with floating midnights and are not shifted. An entry whose start or end cannot be read is kept
    without it, to be counted as such. TooMany where the service counts more than `most`, Uneven where it gives
    other entries each time, or fewer than it counts (unless its count is not to be trusted).
    """
    size = page_size or graph.PageSize()
    fetched = _fetch_settled(client, entra_id, start, end, size, most, trust_count)
    read = Read(unasked=fetched.unasked)
    rows = []
    for item in fetched.items.values():
        if not is_kept(item):
            read.dropped_keys.append(book.hasher.item(item.id))
            continue
        start_at = moment_of(item.start)
        if start_at is None or start <= start_at < end:
            rows.append(row_of(book, item, mailbox_id=mailbox_id))
    add(read, rows)
    return read


def is_kept(item: graph.Meeting) -> bool:
    """Whether anything of an entry is stored: not of private and confidential ones, drafts and series masters."""
    return not (item.sensitivity in _NOT_KEPT or item.is_draft or item.type == "seriesMaster")


def row_of(book: AddressBook, item: graph.Meeting, *, mailbox_id: int) -> Row:
    """What is stored of an entry. Raises ServiceError where its times are not in UTC."""
    keys: list[int] = []
    types: list[str] = []
    responses: list[str] = []
    for attendee in item.attendees or ():
        key = book.key(attendee.email_address.address) if attendee.email_address is not None else None
        if key is None:
            continue
        keys.append(key)
        types.append(attendee.type or "required")
        responses.append((attendee.status.response if attendee.status is not None else None) or "none")
    return (
        mailbox_id,
        book.hasher.item(item.id),
        book.hasher.ical((item.i_cal_u_id or "").strip() or item.id),
        moment_of(item.start),
        moment_of(item.end),
        bool(item.is_all_day),
        bool(item.is_cancelled),
        bool(item.is_organizer),
        (item.response_status.response if item.response_status is not None else None) or "none",
        book.key(item.organizer.address) if item.organizer is not None else None,
        keys,
        types,
        responses,
    )


def add(read: Read, rows: Sequence[Row]) -> None:
    """Adds rows of `row_of` to what was read."""
    read.rows += rows
    read.moments += [row[3] for row in rows if row[3] is not None]
    read.undated_keys += [row[1] for row in rows if row[3] is None or row[4] is None]


def moment_of(moment: graph.Moment | None) -> datetime | None:
    """A start or end as a naive UTC instant; ServiceError where it is in another time zone."""
    if moment is None:
        return None
    if moment.time_zone not in IN_UTC:
        raise ServiceError(
            "Microsoft Graph: GET /users/{id}/calendarView answered in another time zone than UTC,"
            " which was asked for;"
            " please report it with this line"
        )
    return graph.instant(moment.date_time)


class _Fetched(NamedTuple):
    """Entries by id, the service's count at the first page, and whether that page was the only one."""

    items: dict[str, graph.Meeting]
    counted: int | None
    single_page: bool
    unasked: Counter[str]


def _fetch_settled(
    client: GraphClient,
    entra_id: str,
    start: datetime,
    end: datetime,
    size: graph.PageSize,
    most: int | None,
    trust_count: bool,
) -> _Fetched:
    """Lists page by position, so an entry that is deleted meanwhile makes another slip through: read until there
    are as many as were counted at the beginning. Where nothing was counted (the count is not documented for this
    list) or the count is not to be trusted, a single page will do, or two reads that agree.
    """
    before: set[str] | None = None
    for _ in range(_READ_ATTEMPTS):
        fetched = size.largest(partial(_fetch, client, entra_id, start, end, most))
        if fetched.counted is not None and len(fetched.items) >= fetched.counted:
            return fetched
        if fetched.counted is None or not trust_count:
            if (fetched.single_page and fetched.counted is None) or fetched.items.keys() == before:
                return fetched
            before = set(fetched.items)
    raise Uneven(
        "Microsoft Graph: GET /users/{id}/calendarView gave other entries each of three times, or fewer than it"
        " counts; run again later, what was read is kept"
    )


def query(start: datetime, end: datetime, top: int) -> dict[str, str]:
    """What is asked of a calendar's entries that overlap [start, end), naive UTC; `top` items a page."""
    return {
        "startDateTime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "endDateTime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "$select": graph.MEETING_SELECT,
        "$top": str(top),
        "$count": "true",
    }


def _fetch(
    client: GraphClient, entra_id: str, start: datetime, end: datetime, most: int | None, top: int
) -> _Fetched:
    items: dict[str, graph.Meeting] = {}
    unasked: Counter[str] = Counter()
    counted: int | None = None
    page_count = 0
    for page in client.pages(
        "/users/{id}/calendarView",
        graph.decode_meetings,
        permission=graph.CALENDAR_PERMISSION,
        ids={"id": entra_id},
        params=query(start, end, top),
        mailbox=True,
        can_shrink=top > graph.SMALLEST_PAGE,
    ):
        page_count += 1
        counted = page.count if counted is None else counted
        if most is not None and (counted or 0) > most:
            raise TooMany
        unasked.update(page.unasked)
        for item in page.value:
            items[item.id] = item
    return _Fetched(items, counted, page_count == 1, unasked)
