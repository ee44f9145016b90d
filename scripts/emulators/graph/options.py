"""The query options of a request: what is asked for, page by page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, urlencode

from starlette.requests import Request

from emulators.graph.refusals import GraphError, Switches, not_implemented

OUTLOOK_PAGE = 10

OUTLOOK_MAXIMUM = 1000


@dataclass(slots=True)
class Page:
    """Where a page of a list begins and how long it is."""

    skip: int
    top: int


def options_of(request: Request, known: Sequence[str]) -> dict[str, str]:
    """Give the query options, refusing any that is not known here, and any that is given twice."""
    options: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise not_implemented(f"the query option {name} of {request.url.path}")
        if name in options:
            raise GraphError(400, "BadRequest", f"Query option '{name}' was specified more than once.")
        options[name] = value
    return options


def whole_number(options: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    text = options.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"\d+", text):
        raise GraphError(
            400,
            "BadRequest",
            f"Invalid value '{text}' for {name} query option found. "
            f"The {name} query option requires a non-negative integer value.",
        )
    if not low <= int(text) <= high:
        raise GraphError(
            400,
            "ErrorInvalidUrlQuery",
            f"The value {text} of {name} is outside of the valid range {low} to {high}.",
        )
    return int(text)


def flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false").lower()
    if text not in ("true", "false"):
        raise GraphError(400, "BadRequest", f"Invalid value '{text}' for {name}: true or false is expected.")
    return text == "true"


def outlook_page(options: Mapping[str, str], switches: Switches, *, heavy: bool = True) -> Page:
    """Give the page asked for; `heavy` ones may be too large to be made in time."""
    page = Page(
        skip=whole_number(options, "$skip", 0, 0, 2**31 - 1),
        top=whole_number(options, "$top", OUTLOOK_PAGE, 1, OUTLOOK_MAXIMUM),
    )
    if not re.fullmatch(r"((empty|again)-[1-9]\d*)?", options.get("$skiptoken", "")):
        raise GraphError(400, "ErrorInvalidUrlQuery", "The value of $skiptoken is not one that was given.")
    if heavy and switches.largest_top is not None and page.top > switches.largest_top:
        raise GraphError(504, "UnknownError", "")
    if heavy and switches.page_limit is not None:
        page.top = min(page.top, switches.page_limit)
    return page


@lru_cache(maxsize=256)
def selected_names(select: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in select.split(",") if name.strip()))


def select_of(
    options: Mapping[str, str], known: Sequence[str], type_name: str, code: str = "RequestBroker--ParseUri"
) -> tuple[str, ...] | None:
    """Give the names in $select, None where there is none; an unknown name is refused."""
    if "$select" not in options:
        return None
    names = selected_names(options["$select"])
    for name in names:
        if name not in known:
            raise GraphError(
                400, code, f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'."
            )
    return names


def parse_instant(text: str, what: str) -> datetime:
    """Read an ISO 8601 instant; an offset is honoured, none means UTC."""
    # Python 3.11's fromisoformat stops at six decimals, the service writes seven
    shortened = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        instant = datetime.fromisoformat(shortened)
    except ValueError:
        raise GraphError(400, "ErrorInvalidParameter", f"The value '{text}' of {what} is no date.") from None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


_PREFERENCE = re.compile(r'\s*([A-Za-z.\-]+)\s*(?:=\s*("[^"]*"|[^,;]*))?\s*')


def preferences(request: Request) -> dict[str, str]:
    """Give what the Prefer headers ask for, names in lower case, values without quotes."""
    found: dict[str, str] = {}
    for header in request.headers.getlist("prefer"):
        for part in re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', header):
            match = _PREFERENCE.fullmatch(part)
            if match:
                found[match[1].lower()] = (match[2] or "").strip().strip('"')
    return found


def next_link(request: Request, changed: Mapping[str, str | None], origin: str | None = None) -> str:
    """Give the address of the next page, absolute, with all options of the request but those changed."""
    options = {**request.query_params, **changed}
    query = {name: value for name, value in options.items() if value is not None}
    origin = origin or f"{request.url.scheme}://{request.url.netloc}"
    return f"{origin}{quote(request.url.path)}?{urlencode(query, quote_via=quote, safe='$,:()')}"


def unquoted(text: str) -> str:
    """Take an OData string literal apart: '' stands for one quote."""
    return text.replace("''", "'")
