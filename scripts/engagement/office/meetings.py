"""Calendar entries of one mailbox and time range: fetched, reduced to what is stored, hashed."""

from __future__ import annotations

from datetime import datetime

from engagement.addresses import AddressBook
from engagement.errors import ServiceError
from engagement.http import GatewayTimeout, GraphClient
from engagement.office import graph
from engagement.office.rows import Read

LARGEST_PAGE, SMALLEST_PAGE = 500, 25
_NOT_KEPT = ("private", "confidential")


def read(
    client: GraphClient,
    book: AddressBook,
    *,
    entra_id: str,
    mailbox_id: int,
    start: datetime,
    end: datetime,
    now: datetime,
) -> Read:
    """All entries that start in [start, end). Raises MailboxUnreadable, ServiceError, AuthenticationError.

    Private and confidential entries are dropped here and any earlier row of theirs is removed; so are unsent
    drafts. Entries that began before the range merely reach into it and belong to an earlier slice. All-day
    entries come with floating midnights and are not shifted.
    """
    top = LARGEST_PAGE
    while True:
        try:
            items = _fetch(client, entra_id, start, end, top)
            break
        except GatewayTimeout:
            if top <= SMALLEST_PAGE:
                raise
            top = max(top // 2, SMALLEST_PAGE)
    read = Read()
    hasher = book.hasher
    for item in items.values():
        item_key = hasher.item(item.id)
        if item.sensitivity in _NOT_KEPT or item.is_draft or item.type == "seriesMaster":
            read.dropped_keys.append(item_key)
            continue
        start_at, end_at = _moment(item.start), _moment(item.end)
        if start_at is None or end_at is None:
            read.bad_dates += 1
            continue
        if not start <= start_at < end:
            continue
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
        read.rows.append(
            (
                mailbox_id,
                item_key,
                hasher.ical(item.i_cal_u_id or item.id),
                start_at,
                end_at,
                bool(item.is_all_day),
                bool(item.is_cancelled),
                bool(item.is_organizer),
                (item.response_status.response if item.response_status is not None else None) or "none",
                book.key(item.organizer.address) if item.organizer is not None else None,
                keys,
                types,
                responses,
                now,
                None,
            )
        )
        read.moments.append(start_at)
    return read


def _moment(moment: graph.Moment | None) -> datetime | None:
    if moment is None:
        return None
    if moment.time_zone not in (None, "", "UTC"):
        raise ServiceError(
            "Microsoft Graph: GET /users/{id}/calendarView answered in another time zone than UTC,"
            " which was asked for;"
            " please report it with this line"
        )
    return graph.instant(moment.date_time)


def _fetch(
    client: GraphClient, entra_id: str, start: datetime, end: datetime, top: int
) -> dict[str, graph.Meeting]:
    items: dict[str, graph.Meeting] = {}
    for page in client.pages(
        "/users/{id}/calendarView",
        graph.decode_meetings,
        permission=graph.CALENDAR_PERMISSION,
        ids={"id": entra_id},
        params={
            "startDateTime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
            "endDateTime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
            "$select": graph.MEETING_SELECT,
            "$top": str(top),
        },
        mailbox=True,
    ):
        for item in page.value:
            items[item.id] = item
    return items
