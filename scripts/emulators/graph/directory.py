"""Users and groups."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.responses import Response

from emulators.graph.options import Page, flag, next_link, options_of, select_of, unquoted, whole_number
from emulators.graph.refusals import GraphError, not_implemented
from emulators.graph.rendering import GROUP_PROPERTIES, USER_DEFAULTS, USER_PROPERTIES, Json
from emulators.graph.service import Emulator, answer_of, context_of, emulator_of
from emulators.tenant import Person

DIRECTORY_PAGE = 100

DIRECTORY_MAXIMUM = 999


def _advanced(request: Request, options: Mapping[str, str], what: str) -> None:
    """Refuse an "advanced query" without its header (on every page) and its $count."""
    if request.headers.get("consistencylevel", "").lower() != "eventual" or not flag(options, "$count"):
        raise GraphError(
            400,
            "Request_UnsupportedQuery",
            f"{what} is only supported with the header 'ConsistencyLevel: eventual' and $count=true.",
        )


_CLAUSE = re.compile(
    r"(?:(?P<property>[A-Za-z]+) eq '(?P<value>(?:[^']|'')*)'"
    r"|(?P<collection>[A-Za-z]+)/any\((?P<v>\w+):\s*(?P=v) eq '(?P<member>(?:[^']|'')*)'\))"
)


def _clauses(text: str, path: str) -> list[tuple[str, str, bool]]:
    """Take a directory $filter apart: clauses (property, value, is a collection) joined by `or`."""
    clauses = []
    position = 0
    while True:
        match = _CLAUSE.match(text, position)
        if match is None:
            break
        if match["property"]:
            clauses.append((match["property"], unquoted(match["value"]), False))
        else:
            clauses.append((match["collection"], unquoted(match["member"]), True))
        position = match.end()
        if position == len(text):
            return clauses
        if not text.startswith(" or ", position):
            break
        position += 4
    if text.count("'") % 2:
        raise GraphError(400, "BadRequest", "Invalid filter clause: There is an unterminated string literal.")
    raise not_implemented(f"this form of $filter on {path}")


def _directory_page(
    request: Request, emulator: Emulator, options: Mapping[str, str], count: int
) -> tuple[Page, str | None]:
    """Give the page asked for and the link to the next, whose token is opaque; `$skip` is refused here."""
    top = whole_number(options, "$top", DIRECTORY_PAGE, 1, DIRECTORY_MAXIMUM)
    skip = 0
    if "$skiptoken" in options:
        try:
            skip = int(urlsafe_b64decode(options["$skiptoken"]).removeprefix(b"RFNwdAIAAQ:"))
        except ValueError:
            raise GraphError(
                400, "Directory_ExpiredPageToken", "The specified page token value has expired."
            ) from None
    link = None
    if skip + top < count or (emulator.switches.trailing_link and 0 < count == skip + top):
        marker = urlsafe_b64encode(b"RFNwdAIAAQ:%d" % (skip + top)).decode()
        changed = {} if emulator.switches.repeat_next_link else {"$skiptoken": marker}
        link = next_link(request, changed, emulator.switches.next_link_origin)
    return Page(skip, top), link


def _directory_list(
    request: Request, context: str, options: Mapping[str, str], rows: Sequence[Json]
) -> Response:
    emulator = emulator_of(request)
    page, link = _directory_page(request, emulator, options, len(rows))
    body: Json = {"@odata.context": context}
    if flag(options, "$count") and "$skiptoken" not in options:
        body["@odata.count"] = len(rows)
    if link:
        body["@odata.nextLink"] = link
    body["value"] = rows[page.skip : page.skip + page.top]
    return answer_of(request, body)


def _user(person: Person, names: Sequence[str]) -> Json:
    return {name: USER_PROPERTIES[name](person) for name in names}


def _matches(record: Json, clauses: Sequence[tuple[str, str, bool]]) -> bool:
    for name, value, is_collection in clauses:
        held = record[name] if is_collection else [record[name]]
        if any(isinstance(h, str) and h.lower() == value.lower() for h in held):
            return True
    return False


USER_FILTERS = {"id": False, "mail": False, "userPrincipalName": False, "proxyAddresses": True}

GROUP_FILTERS = {"id": False, "mail": False, "proxyAddresses": True}


def _directory_filter(
    request: Request, options: Mapping[str, str], known: Mapping[str, bool]
) -> list[tuple[str, str, bool]]:
    clauses = _clauses(options["$filter"], request.url.path)
    for name, _, is_collection in clauses:
        if known.get(name) is not is_collection:
            raise not_implemented(f"a $filter on {name} of {request.url.path}")
    if any(is_collection for _, _, is_collection in clauses):
        _advanced(request, options, "A $filter on 'proxyAddresses'")
    return clauses


async def users(request: Request) -> Response:
    """List people, all or by a filter on an address."""
    emulator = emulator_of(request)
    emulator.check_permission("user")
    options = options_of(request, ("$filter", "$select", "$top", "$count", "$skiptoken"))
    select = select_of(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    people: Sequence[Person] = emulator.tenant.people
    if "$filter" in options:
        clauses = _directory_filter(request, options, USER_FILTERS)
        people = [p for p in people if _matches(_user(p, tuple(USER_FILTERS)), clauses)]
    if "$count" in options:
        _advanced(request, options, "$count")
    rows = [_user(p, select or USER_DEFAULTS) for p in people]
    return _directory_list(request, context_of(request, "users", select), options, rows)


async def user(request: Request) -> Response:
    """Give one person by object id or user principal name."""
    emulator = emulator_of(request)
    emulator.check_permission("user")
    options = options_of(request, ("$select",))
    select = select_of(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    person = emulator.person(request.path_params["user"])
    body: Json = {"@odata.context": context_of(request, "users", select, "/$entity")}
    return answer_of(request, body | _user(person, select or USER_DEFAULTS))


async def groups(request: Request) -> Response:
    """List groups, all or by a filter on an address."""
    emulator = emulator_of(request)
    emulator.check_permission("group")
    options = options_of(request, ("$filter", "$select", "$top", "$count", "$skiptoken"))
    select = select_of(options, tuple(GROUP_PROPERTIES), "group", "Request_BadRequest")
    found = [{name: get(g) for name, get in GROUP_PROPERTIES.items()} for g in emulator.tenant.groups]
    if "$filter" in options:
        clauses = _directory_filter(request, options, GROUP_FILTERS)
        found = [g for g in found if _matches(g, clauses)]
    if "$count" in options:
        _advanced(request, options, "$count")
    rows = [{name: g[name] for name in select or GROUP_PROPERTIES} for g in found]
    return _directory_list(request, context_of(request, "groups", select), options, rows)


async def group(request: Request) -> Response:
    """Give one group by object id."""
    emulator = emulator_of(request)
    emulator.check_permission("group")
    options = options_of(request, ("$select",))
    select = select_of(options, tuple(GROUP_PROPERTIES), "group", "Request_BadRequest")
    found = emulator.group(request.path_params["group"])
    body: Json = {"@odata.context": context_of(request, "groups", select, "/$entity")}
    return answer_of(
        request, body | {name: GROUP_PROPERTIES[name](found) for name in select or GROUP_PROPERTIES}
    )


async def transitive_members(request: Request) -> Response:
    """List everything in a group and in the groups in it; people and groups mixed, without $select."""
    emulator = emulator_of(request)
    emulator.check_permission("group")
    options = options_of(request, ("$top", "$count", "$skiptoken"))
    if "$count" in options:
        _advanced(request, options, "$count")
    people, nested = emulator.transitive_members(emulator.group(request.path_params["group"]))
    rows: list[Json] = [{"@odata.type": "#microsoft.graph.user"} | _user(p, USER_DEFAULTS) for p in people]
    rows += [
        {"@odata.type": "#microsoft.graph.group"} | {name: get(g) for name, get in GROUP_PROPERTIES.items()}
        for g in nested
    ]
    return _directory_list(request, context_of(request, "directoryObjects"), options, rows)


async def transitive_users(request: Request) -> Response:
    """List the people in a group and in the groups in it, each once: an advanced query on every page."""
    emulator = emulator_of(request)
    emulator.check_permission("group")
    options = options_of(request, ("$select", "$top", "$count", "$skiptoken"))
    select = select_of(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    _advanced(request, options, "The cast to microsoft.graph.user")
    people, _ = emulator.transitive_members(emulator.group(request.path_params["group"]))
    rows = [_user(p, select or USER_DEFAULTS) for p in people]
    return _directory_list(request, context_of(request, "users", select), options, rows)
