"""How the Graph emulator misbehaves: the switches of its faults, and what they make of a request or a page.

Two sorts: what a switch does to every request that it fits, and `fault_rate`, which does something to a share of
all requests. What is chosen depends on the seed, the request and how often it has come, so that it does not
depend on the order in which threads ask.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Literal, NamedTuple, get_args

from emulators.server import Fault, FaultKind

Json = dict[str, Any]
# How a 429 says when to come again; `none` says nothing.
RetryAfter = Literal["seconds", "fraction", "date", "none"]
Mishap = Literal[
    "429 seconds",
    "429 fraction",
    "429 date",
    "429 none",
    "500",
    "502",
    "503",
    "504",
    "reset",
    "cut connection",
    "truncated JSON",
    "cut gzip",
    "invalid UTF-8",
    "HTML",
    "error under 200",
    "expired token",
    "late",
    "item twice",
    "empty page",
]
# What of these is done to a page of mail, entries or folders.
_PAGE_MISHAPS: tuple[Mishap, ...] = ("item twice", "empty page")
MISHAPS: tuple[Mishap, ...] = get_args(Mishap)
_THROTTLED: dict[Mishap, RetryAfter] = {
    "429 seconds": "seconds",
    "429 fraction": "fraction",
    "429 date": "date",
    "429 none": "none",
}
_STATUSES: dict[Mishap, int] = {"500": 500, "502": 502, "503": 503, "504": 504, "error under 200": 200}
_KINDS: dict[Mishap, FaultKind] = {
    "reset": "reset",
    "cut connection": "cut_connection",
    "truncated JSON": "truncated_json",
    "cut gzip": "cut_gzip",
    "invalid UTF-8": "invalid_utf8",
    "HTML": "html",
}
# A token that `fault_rate` ends has served so many requests before: two 401 in a row are no passing fault.
_LEAST_USE_OF_A_TOKEN = 100
_ANSWERED_LATE = 0.05


@dataclass(slots=True)
class Misbehaviour:
    """The faults that a test may switch on; `emulators.graph.Switches` has the rest."""

    # -- throttling
    throttled_share: float = 0.0  # of all requests, answered 429
    throttled_mailboxes: set[str] | None = None  # ids of owners; None: all, the directory too
    throttled_for: float = math.inf  # seconds from the first request on that finds the switch set
    throttled_answer: RetryAfter = "seconds"
    throttled_seconds: float = 1.0  # what Retry-After says
    mailbox_window: int = 10_000  # requests per mailbox in a moving window, beyond which 429 is answered
    mailbox_window_seconds: float = 600.0

    # -- answers that a page is too heavy for
    largest_top: int | None = None  # a larger $top of mail or calendar is answered 504
    page_limit: int | None = None  # a page of mail or calendar holds no more, whatever $top says
    poisoned: set[str] = field(default_factory=set)  # ids of items: 500 ErrorCorruptData for their page

    # -- tokens and mailboxes that change in the midst
    token_requests: int | None = None  # a token ends after so many requests, whatever expires_in said
    secret_expired: bool = False
    # by owner's id: the number of the request to the mailbox from which on it has this `mailbox_state`
    mailbox_turns: dict[str, tuple[int, str]] = field(default_factory=dict)

    # -- paging of mail and calendar; in the mailboxes of these owners (ids), None: in all
    misbehaving: set[str] | None = None
    misbehaving_lists: tuple[str, ...] = ("/messages", "/calendarView")
    lost_sync_states: int = 0  # so many later pages are answered 410 SyncStateNotFound
    repeat_next_link: bool = False  # the known bug of endless paging: a nextLink that leads to its own page
    next_link_loop: bool = False  # every second page links back to the one before it
    next_link_origin: str | None = None  # nextLinks that lead to another origin (scheme and host)
    next_link_lost_after: int | None = (
        None  # no nextLink after so many pages, though $count says that more are
    )
    empty_pages: int = 0  # so many pages without an item, but with a nextLink, come before a list
    pages_twice: bool = False  # every page comes twice
    items_twice: bool = False  # a page names its first item again at its end
    pages_reversed: bool = False  # the last page comes first
    moves_while_paging: int = (
        0  # so often the first item of a mailbox's list moves out between pages, and back
    )

    # -- items
    appears_at: dict[str, datetime] = field(default_factory=dict)  # by item id: not shown before this `now`
    shown_names: dict[str, str] = field(default_factory=dict)  # by address: its display name in mail

    # -- schema of messages and events, in the mailboxes that misbehave
    new_properties: dict[str, Any] = field(
        default_factory=dict
    )  # that every item has beside what is selected
    missing_properties: set[str] = field(default_factory=set)
    renamed_properties: dict[str, str] = field(default_factory=dict)
    changed_properties: dict[str, Any] = field(default_factory=dict)  # by name: what stands in every item

    # -- the clock: by number of the request (the first is 1): how far `now` jumps when it comes
    clock_jumps: dict[int, timedelta] = field(default_factory=dict)

    # -- anything: of all requests under /v1.0/, so many fail in one of these ways
    fault_rate: float = 0.0
    fault_seed: int = 0
    fault_kinds: Sequence[Mishap] = MISHAPS
    fault_retry_after: float = (
        0.05  # seconds that a 429 of these asks for, rounded down where it says whole ones
    )


class Told(NamedTuple):
    """An error of the service: what `GraphError` is made of."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = {}


class Call(NamedTuple):
    """A request as faults see it; `mailbox` is the id of the owner whose mail or calendar it reads."""

    target: str  # path?query
    query: Mapping[str, str]
    mailbox: str | None
    is_list: bool  # of messages, entries or folders
    is_heavy: bool  # of messages or entries

    @property
    def is_later_page(self) -> bool:
        """Whether it follows a nextLink."""
        return self.is_heavy and ("$skiptoken" in self.query or self.query.get("$skip", "0") != "0")


class Mischief:
    """What the switches have done so far, and what they do next."""

    def __init__(self, switches: Misbehaviour) -> None:
        self.switches = switches
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.calls = 0
        self.calls_of: Counter[str] = Counter()  # by mailbox
        self._came: Counter[str] = Counter()  # by use and target
        self._recent: dict[str, deque[float]] = {}
        self._token_use: Counter[str] = Counter()
        self._throttled_from: float | None = None
        self._lost = 0
        self._moved: Counter[str] = Counter()

    # -- requests -----------------------------------------------------------------------------------

    def note(self, mailbox: str | None) -> timedelta:
        """Count a request that has come; gives how far the clock has jumped by now."""
        self.calls += 1
        if mailbox is not None:
            self.calls_of[mailbox] += 1
            recent = self._recent.setdefault(mailbox, deque())
            recent.append(time.monotonic())
        return sum((by for at, by in self.switches.clock_jumps.items() if at <= self.calls), timedelta())

    def use_of_token(self, token: str) -> int:
        """Count a use of a token; gives the number."""
        self._token_use[token] += 1
        return self._token_use[token]

    def refusal(self, call: Call, now: datetime) -> Told | None:
        """Give the error that a switch makes of a request, None where there is none."""
        if (throttled := self._over_the_window(call) or self._throttled(call, now)) is not None:
            return throttled
        if call.is_later_page and self.touches(call) and self._lost < self.switches.lost_sync_states:
            self._lost += 1
            return Told(410, "SyncStateNotFound", "The sync state generation is not found.")
        return None

    def _over_the_window(self, call: Call) -> Told | None:
        if call.mailbox is None:
            return None
        seconds, recent = self.switches.mailbox_window_seconds, self._recent[call.mailbox]
        while recent and recent[0] <= time.monotonic() - seconds:
            recent.popleft()
        if len(recent) <= self.switches.mailbox_window:
            return None
        wait = recent[len(recent) - self.switches.mailbox_window] + seconds - time.monotonic()
        return Told(
            429,
            "ApplicationThrottled",
            "Application is over its RequestRate limit.",
            {"retry-after": str(max(1, math.ceil(wait)))},
        )

    def _throttled(self, call: Call, now: datetime) -> Told | None:
        switches = self.switches
        if not switches.throttled_share:
            return None
        if switches.throttled_mailboxes is not None and call.mailbox not in switches.throttled_mailboxes:
            return None
        if self._throttled_from is None:
            self._throttled_from = time.monotonic()
        if time.monotonic() - self._throttled_from >= switches.throttled_for:
            return None
        if self._dice("throttled", call.target).random() >= switches.throttled_share:
            return None
        headers = retry_after(switches.throttled_answer, switches.throttled_seconds, now)
        return Told(429, "TooManyRequests", "Please retry again later.", headers)

    def _dice(self, use: str, target: str) -> Random:
        """Give chance as the seed, the request and the number of its coming have it."""
        name = f"{use}:{target}"
        self._came[name] += 1
        return Random(f"{self.switches.fault_seed}:{name}:{self._came[name]}")

    # -- a share of all requests --------------------------------------------------------------------

    def mishap(self, call: Call) -> Mishap | None:
        """Choose whether and how a request fails."""
        if not self.switches.fault_rate:
            return None
        dice = self._dice("fault", call.target)
        if dice.random() >= self.switches.fault_rate:
            return None
        kinds = [kind for kind in self.switches.fault_kinds if call.is_list or kind not in _PAGE_MISHAPS]
        return dice.choice(kinds) if kinds else None

    def is_worn(self, token: str) -> bool:
        """Whether `fault_rate` may end a token."""
        return self._token_use[token] >= _LEAST_USE_OF_A_TOKEN

    # -- pages --------------------------------------------------------------------------------------

    def touches(self, call: Call) -> bool:
        """Whether the switches of paging and schema are meant for a request."""
        chosen = self.switches.misbehaving
        lists = self.switches.misbehaving_lists
        return (
            call.is_heavy
            and (chosen is None or call.mailbox in chosen)
            and call.target.partition("?")[0].endswith(lists)
        )

    def cut(self, call: Call, skip: int, top: int, count: int) -> tuple[int, int]:
        """Give where the items of a page begin and end in the list."""
        if self.switches.pages_reversed and skip < count and self.touches(call):
            skip = (math.ceil(count / top) - 1 - skip // top) * top
        return min(skip, count), min(skip + top, count)

    def is_poisoned(self, ids: Sequence[str]) -> Told | None:
        """Give the error for a page that holds an item which cannot be read."""
        if self.switches.poisoned and not self.switches.poisoned.isdisjoint(ids):
            return Told(500, "ErrorCorruptData", "Data is corrupt.")
        return None

    def page(
        self, body: Json, call: Call, mishap: Mishap | None, skip: int, top: int
    ) -> dict[str, str | None] | None:
        """Change a page of a list; gives the options in which the next page's link differs from this request's, None
        where there is no such link.

        A value of None takes the option out. `@odata.nextLink` is in the body where the page has one.
        """
        touched, switches = self.touches(call), self.switches
        following: dict[str, str | None] | None = None
        if body.pop("@odata.nextLink", None) is not None:
            following = {"$skip": str(skip + top), "$skiptoken": None}
        kind, _, number = call.query.get("$skiptoken", "").partition("-")
        emptied = int(number) if kind == "empty" else 0
        if touched and emptied < switches.empty_pages and skip == 0 and kind != "again":
            body["value"] = []
            return {"$skiptoken": f"empty-{emptied + 1}"}
        if mishap == "empty page":
            body["value"] = []
            return {"$skip": str(skip), "$skiptoken": f"empty-{emptied + 1}"}
        if body["value"] and ((touched and switches.items_twice) or mishap == "item twice"):
            body["value"] = [*body["value"], body["value"][0]]
        if touched and switches.pages_twice and kind != "again":
            return {"$skip": str(skip), "$skiptoken": "again-1"}
        if following is None or not touched:
            return following
        if switches.next_link_lost_after is not None and skip // top + 1 >= switches.next_link_lost_after:
            return None
        if switches.repeat_next_link:
            return {}
        if switches.next_link_loop and (skip // top) % 2:
            following["$skip"] = str(skip - top)
        return following

    def drifted(self, row: Json) -> Json:
        """Give an item as another version of the service would."""
        switches = self.switches
        row = {
            switches.renamed_properties.get(name, name): switches.changed_properties.get(name, value)
            for name, value in row.items()
            if name not in switches.missing_properties
        }
        return row | switches.new_properties

    def drifts(self, call: Call) -> bool:
        """Whether the items of a list are shown as another version of the service would."""
        switches = self.switches
        return self.touches(call) and bool(
            switches.new_properties
            or switches.missing_properties
            or switches.renamed_properties
            or switches.changed_properties
        )

    def may_move(self, mailbox: str) -> bool:
        """Count a move between two pages of a mailbox's list; False where there are to be no more."""
        self._moved[mailbox] += 1
        return self._moved[mailbox] <= self.switches.moves_while_paging


def retry_after(form: RetryAfter, seconds: float, now: datetime) -> dict[str, str]:
    """Give the header that asks for a wait, in one of its forms; `now` is what the answer's Date says."""
    if form == "none":
        return {}
    if form == "fraction":
        return {"retry-after": f"{seconds:.3f}"}
    if form == "seconds":
        return {"retry-after": str(int(seconds))}
    moment = now.replace(microsecond=0) + timedelta(seconds=int(seconds))
    return {"retry-after": format_datetime(moment, usegmt=True)}


def fault_of(mishap: Mishap, seconds: float, now: datetime) -> Fault | None:
    """Give the fault that a mishap is to a request; None where it is one of a page or of the token."""
    if mishap in _THROTTLED:
        return Fault("", status=429, headers=retry_after(_THROTTLED[mishap], seconds, now))
    if mishap in _STATUSES:
        return Fault("", status=_STATUSES[mishap])
    if mishap in _KINDS:
        return Fault("", kind=_KINDS[mishap])
    return Fault("", delay=_ANSWERED_LATE) if mishap == "late" else None
