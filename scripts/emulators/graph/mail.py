"""Mail folders and messages."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from emulators.graph.options import (
    Page,
    flag,
    next_link,
    options_of,
    outlook_page,
    parse_instant,
    preferences,
    select_of,
    selected_names,
)
from emulators.graph.refusals import GraphError, not_implemented, raise_told
from emulators.graph.rendering import (
    FOLDER_NAMES,
    FOLDER_PROPERTIES,
    MESSAGE_ON_REQUEST,
    MESSAGE_PROPERTIES,
    OTHER_FOLDERS,
    Json,
    View,
    etag,
)
from emulators.graph.service import Emulator, answer_of, context_of, emulator_of
from emulators.identifiers import folder_id, seeded_bytes
from emulators.misbehaviour import Mishap
from emulators.tenant import Message, Person


def _folder(emulator: Emulator, person: Person, name: str) -> Json:
    language = emulator.switches.folder_language or ("en", "de", "fr")[seeded_bytes(person.id, 1)[0] % 3]
    shown = FOLDER_NAMES[name][language] if name in FOLDER_NAMES else OTHER_FOLDERS[name]
    count = sum(1 for m in emulator.tenant.messages.get(person.id, ()) if m.folder == name)
    folder: Json = {
        "id": folder_id(person.id, name),
        "displayName": shown,
        "parentFolderId": folder_id(person.id, "msgfolderroot"),
        "childFolderCount": 0,
        "unreadItemCount": 0,
        "totalItemCount": count,
        "sizeInBytes": 40_000 * count,
        "isHidden": name == "actions",
    }
    if name == "search":
        folder = {
            "@odata.type": "#microsoft.graph.mailSearchFolder",
            **folder,
            "parentFolderId": folder_id(person.id, "inbox"),
            "isSupported": True,
            "filterQuery": "contains(subject, 'weekly digest')",
        }
    return folder


def _folder_selected(folder: Json, select: Sequence[str] | None) -> Json:
    if select is None:
        return folder
    return {
        name: value
        for name, value in folder.items()
        if name.startswith("@odata.") or name == "id" or name in select
    }


async def mail_folders(request: Request) -> Response:
    """List the top level of a mailbox's folders: search folders too, hidden ones on request."""
    emulator = emulator_of(request)
    emulator.check_permission("mail")
    options = options_of(
        request, ("$select", "$top", "$skip", "$skiptoken", "$count", "includeHiddenFolders")
    )
    select = select_of(options, FOLDER_PROPERTIES, "mailFolder")
    page = outlook_page(options, emulator.switches, heavy=False)
    person = emulator.mailbox_for(request.path_params["user"], "mail")
    hidden = flag(options, "includeHiddenFolders")
    names = [*FOLDER_NAMES, "other", "search"] + (["actions"] if hidden else [])
    rows = [_folder_selected(_folder(emulator, person, name), select) for name in names]
    context = context_of(request, f"users('{person.id}')/mailFolders", select)
    return outlook_list(request, context, options, page, len(rows), rows[page.skip : page.skip + page.top])


async def mail_folder(request: Request) -> Response:
    """Give one folder by its well-known name or its id."""
    emulator = emulator_of(request)
    emulator.check_permission("mail")
    options = options_of(request, ("$select",))
    select = select_of(options, FOLDER_PROPERTIES, "mailFolder")
    person = emulator.mailbox_for(request.path_params["user"], "mail")
    asked = request.path_params["folder"]
    for name in (*FOLDER_NAMES, *OTHER_FOLDERS):
        if asked == folder_id(person.id, name) or (name in FOLDER_NAMES and asked.lower() == name):
            context = context_of(request, f"users('{person.id}')/mailFolders", select, "/$entity")
            return answer_of(
                request,
                {"@odata.context": context, **_folder_selected(_folder(emulator, person, name), select)},
            )
    raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def outlook_list(
    request: Request,
    context: str,
    options: Mapping[str, str],
    page: Page,
    count: int,
    rows: Sequence[Json],
    applied: Sequence[str] = (),
) -> Response:
    emulator = emulator_of(request)
    switches = emulator.switches
    body: Json = {"@odata.context": context}
    if flag(options, "$count"):
        body["@odata.count"] = count
    call = emulator.call(request)
    body["value"] = [emulator.mischief.drifted(r) for r in rows] if emulator.mischief.drifts(call) else rows
    end = page.skip + page.top
    if end < count or (switches.trailing_link and 0 < count == end):
        body["@odata.nextLink"] = ""  # that there is one; where it leads is said below
    mishap: Mishap | None = request.scope["emulator.mishap"]
    changed = emulator.mischief.page(body, call, mishap, page.skip, page.top)
    if changed is not None:
        origin = switches.next_link_origin if emulator.mischief.touches(call) else None
        body["@odata.nextLink"] = next_link(request, changed, origin)
    return answer_of(request, body, applied)


_RECEIVED_FROM = re.compile(r"receivedDateTime ge (\S+)")

_RECEIVED_BETWEEN = re.compile(r"receivedDateTime ge (\S+) and receivedDateTime lt (\S+)")

_PROPERTY_COMPARED = re.compile(r"\b([A-Za-z][A-Za-z/]*) (?:eq|ne|ge|gt|le|lt) ")


def _received_window(
    request: Request, options: Mapping[str, str]
) -> tuple[datetime | None, datetime | None, bool]:
    """Give the window of receivedDateTime [from, to) and whether the newest comes first.

    Every property of $orderby must be in $filter too, first and in the same order; else `InefficientFilter`.
    """
    ordered_by: list[tuple[str, bool]] = []
    for part in filter(None, options.get("$orderby", "").split(",")):
        name, _, direction = part.strip().partition(" ")
        if direction not in ("", "asc", "desc") or name not in MESSAGE_PROPERTIES:
            raise GraphError(400, "BadRequest", f"Invalid $orderby clause '{part.strip()}'.")
        ordered_by.append((name, direction == "desc"))
    text = options.get("$filter")
    if text is not None:
        filtered = list(dict.fromkeys(_PROPERTY_COMPARED.findall(text)))
        names = [name for name, _ in ordered_by]
        if filtered[: len(names)] != names:
            raise GraphError(
                400, "InefficientFilter", "The restriction or sort order is too complex for this operation."
            )
    if [name for name, _ in ordered_by] not in ([], ["receivedDateTime"]):
        raise not_implemented("$orderby by anything but receivedDateTime on messages")
    newest_first = ordered_by[0][1] if ordered_by else True
    if text is None:
        return None, None, newest_first
    match = _RECEIVED_BETWEEN.fullmatch(text) or _RECEIVED_FROM.fullmatch(text)
    if match is None:
        raise not_implemented(
            "a $filter on messages but 'receivedDateTime ge X', alone or with 'and receivedDateTime lt Y'"
        )
    bounds = []
    for value in match.groups():
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?", value):
            raise GraphError(
                400, "ErrorInvalidUrlQuery", f"The value '{value}' is not of type Edm.DateTimeOffset."
            )
        bounds.append(parse_instant(value, "receivedDateTime"))
    return bounds[0], bounds[1] if len(bounds) > 1 else None, newest_first


def _render_message(message: Message, names: Sequence[str], view: View) -> Json:
    row: Json = {}
    properties = MESSAGE_PROPERTIES
    if message.odata_type is not None:
        row["@odata.type"] = message.odata_type
    row["@odata.etag"] = etag(message.id)
    for name in names:
        row[name] = properties[name](message, view)
    if view.extra and hash_of(message.id) % 7 == 0:
        row["unknownFutureProperty"] = {"value": None}
    return row


def hash_of(text: str) -> int:
    """Give a number that depends on the text alone (Python's own hash differs from run to run)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def view_of(request: Request, person: Person) -> tuple[View, list[str]]:
    emulator = emulator_of(request)
    wanted = preferences(request).get("idtype")
    if wanted not in (None, "ImmutableId"):
        raise not_implemented(f"Prefer: IdType={wanted}")
    switches = emulator.switches
    view = View(person.id, wanted == "ImmutableId", switches.extra_properties, switches.shown_names)
    return view, ['IdType="ImmutableId"'] if view.immutable else []


async def messages(request: Request) -> Response:
    """List a mailbox's messages of all folders; a page begins at $skip in the set as it is now."""
    emulator = emulator_of(request)
    emulator.check_permission("mail")
    options = options_of(request, ("$select", "$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"))
    if MESSAGE_ON_REQUEST & set(selected_names(options.get("$select", ""))):
        raise not_implemented("internetMessageHeaders and uniqueBody in $select")
    select = select_of(options, tuple(MESSAGE_PROPERTIES), "message")
    page = outlook_page(options, emulator.switches)
    after, before, newest_first = _received_window(request, options)
    person = emulator.mailbox_for(request.path_params["user"], "mail")
    if page.skip == 0:
        emulator.move_back(person)
    mailbox = emulator.messages(person)
    low = 0 if after is None else bisect_left(mailbox.received, after)
    high = len(mailbox.received) if before is None else bisect_left(mailbox.received, before)
    count = max(0, high - low)
    begin, end = emulator.mischief.cut(emulator.call(request), page.skip, page.top, count)
    chosen = (
        mailbox.ordered[high - end : high - begin][::-1]
        if newest_first
        else mailbox.ordered[low + begin : low + end]
    )
    raise_told(emulator.mischief.is_poisoned([m.id for m in chosen]))
    emulator.move_back(person)
    if end < count and page.skip == 0 and emulator.switches.moves_while_paging:
        emulator.move_out(person, chosen[0])
    view, applied = view_of(request, person)
    names = tuple(MESSAGE_PROPERTIES) if select is None else tuple(dict.fromkeys(("id", *select)))
    rows = [_render_message(m, names, view) for m in chosen]
    context = context_of(request, f"users('{person.id}')/messages", select)
    return outlook_list(request, context, options, page, count, rows, applied)
