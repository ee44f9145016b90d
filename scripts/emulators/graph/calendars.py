"""Events and calendar views."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from emulators.graph.mail import hash_of, outlook_list, view_of
from emulators.graph.options import options_of, outlook_page, parse_instant, preferences, select_of
from emulators.graph.refusals import GraphError, not_implemented, raise_told
from emulators.graph.rendering import CALENDAR_VIEW_REFUSES, EVENT_PROPERTIES, Json, etag
from emulators.graph.service import context_of, emulator_of


async def calendar_view(request: Request) -> Response:
    """List the single instances, occurrences and exceptions that overlap a window; series masters never."""
    emulator = emulator_of(request)
    emulator.check_permission("calendar")
    known = ("startDateTime", "endDateTime", "$select", "$top", "$skip", "$skiptoken", "$count")
    options = options_of(request, known)
    for name in ("startDateTime", "endDateTime"):
        if name not in options:
            raise GraphError(
                400,
                "ErrorInvalidParameter",
                "This request requires a time window specified by the query string parameters StartDateTime "
                "and EndDateTime.",
            )
    begin = parse_instant(options["startDateTime"], "startDateTime")
    end = parse_instant(options["endDateTime"], "endDateTime")
    if end < begin:
        raise GraphError(
            400, "ErrorCalendarEndDateIsEarlierThanStartDate", "The end date is earlier than the start date."
        )
    select = select_of(options, tuple(EVENT_PROPERTIES), "event")
    for name in select or ():
        if name in CALENDAR_VIEW_REFUSES:
            raise GraphError(400, "ErrorInvalidProperty", f"The property '{name}' can't be selected here.")
    page = outlook_page(options, emulator.switches)
    zone = preferences(request).get("outlook.timezone")
    if zone not in (None, "UTC"):
        raise not_implemented(f'Prefer: outlook.timezone="{zone}"')
    person = emulator.mailbox_for(request.path_params["user"], "calendar")
    shown = [
        e
        for e in emulator.tenant.events.get(person.id, ())
        if e.type != "seriesMaster"
        and e.start_at < end
        and (e.end_at > begin or (e.start_at == e.end_at and e.start_at >= begin))
    ]
    # single instances come first, so that the whole is not in the order of time
    shown.sort(key=lambda e: (e.type != "singleInstance", e.series_master_id or "", e.start_at, e.id))
    view, applied = view_of(request, person)
    if zone is not None:
        applied.append('outlook.timezone="UTC"')
    names = (
        tuple(n for n in EVENT_PROPERTIES if n not in CALENDAR_VIEW_REFUSES)
        if select is None
        else tuple(dict.fromkeys(("id", *select)))
    )
    rows: list[Json] = []
    first, last = emulator.mischief.cut(emulator.call(request), page.skip, page.top, len(shown))
    raise_told(emulator.mischief.is_poisoned([e.id for e in shown[first:last]]))
    for event in shown[first:last]:
        row: Json = {"@odata.etag": etag(event.id)}
        for name in names:
            row[name] = EVENT_PROPERTIES[name](event, view)
        if view.extra and hash_of(event.id) % 7 == 0:
            row |= {"uid": None, "occurrenceId": None}
        rows.append(row)
    context = context_of(request, f"users('{person.id}')/calendarView", select)
    return outlook_list(request, context, options, page, len(shown), rows, applied)


async def unknown(request: Request) -> Response:
    """Refuse everything else."""
    raise not_implemented(f"{request.method} {request.url.path}")
