"""An emulator of the part of Microsoft Graph v1.0 that the office extraction uses, over HTTP on loopback.

It is strict: what the service refuses is refused with the service's own status, code and body, and what this
emulator does not implement is answered with 501 `NotImplemented` naming the path or the option, never by
guessing. Its clock (`Date` header) is `tenant.now`, which stands still; only the life of tokens and the times of
a certificate's sign-in run on the real clock.

`/users/{id}` takes an object id or a user principal name, as the service does; a mere mail address needs a
`$filter` (or the switch `users_by_mail`). Mail and calendar paths take any address of the mailbox. Records
are shown whether or not they lie after `tenant.now`.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import secrets
import time
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qs, quote, urlencode

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from emulators.assertions import ASSERTION_TYPE, AssertionRefused, check_assertion
from emulators.identifiers import changeable_id, folder_id, seeded_bytes, seeded_guid
from emulators.misbehaviour import Call, Misbehaviour, Mischief, Mishap, Told, fault_of
from emulators.server import (
    Fault,
    LoggedRequest,
    Refusal,
    Service,
    add_serving_options,
    call,
    in_thread,
    overwrite,
    serve,
    set_switches,
    surround,
)
from emulators.server import Handle as ServerHandle
from emulators.tenant import Attendee, Event, Group, Message, Person, Tenant

__all__ = [
    "BODY_TEXT",
    "SUBJECT_TEXT",
    "Emulator",
    "Fault",
    "Handle",
    "LoggedRequest",
    "Switches",
    "create_app",
    "running",
]

# what stands in subjects and bodies when a client asks for them, or forgets to say what it wants
SUBJECT_TEXT = "emulated subject"
BODY_TEXT = "emulated body text"

JSON_TYPE = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)
NEVER_ANSWERED = "0001-01-01T00:00:00Z"  # the service's sentinel for a response time that does not exist

DIRECTORY_PAGE = 100
DIRECTORY_MAXIMUM = 999
OUTLOOK_PAGE = 10
OUTLOOK_MAXIMUM = 1000

Json = dict[str, Any]


@dataclass(slots=True)
class Switches(Misbehaviour):
    """What a test may change while the emulator runs: faults stand in `Misbehaviour`."""

    token_lifetime: float = 3599.0  # seconds; expires_in is its whole part
    latency: float = 0.0  # seconds every answer takes; what makes requests overlap
    mailbox_concurrency: int = 4  # requests at once per mailbox, beyond which 429 is answered
    # of mail, calendar: what a denied mailbox still shows, since access policies do not limit all permissions
    not_denied: set[str] = field(default_factory=set)
    missing_permissions: set[str] = field(default_factory=set)  # of user, group, mail, calendar: 403
    extra_properties: bool = False  # an unknown property on every seventh item
    users_by_mail: bool = False  # let /users/{mail} find a person, which the service does not
    lower_case_inner_error: bool = False  # `innererror` for `innerError`: both are seen
    trailing_link: bool = False  # a full last page links to an empty one
    folder_language: str | None = None  # en, de or fr; None: by mailbox


class GraphError(Refusal):
    """An error answer of the service."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, message, headers)
        self.code = code


def _raise(told: Told | None) -> None:
    """Raise the error that a switch makes of a request, if it makes one."""
    if told is not None:
        raise GraphError(*told)


def not_implemented(what: str) -> GraphError:
    """Refuse what this emulator does not do."""
    return GraphError(501, "NotImplemented", f"The emulator does not implement {what}.")


def _no_such_resource(name: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are not present.",
    )


# ---------------------------------------------------------------------------------------------------
# rendering


def render_instant(instant: datetime) -> datetime:
    """Give what the JSON encoder writes as Graph does in mail: UTC, whole seconds, Z."""
    return instant.replace(microsecond=0) if instant.microsecond else instant


def render_date_time(instant: datetime) -> Json:
    """Render as Graph does in calendars: seven decimals, no Z, the zone beside it."""
    return {"dateTime": instant.isoformat()[:19] + ".0000000", "timeZone": "UTC"}


@lru_cache(maxsize=500_000)
def render_recipient(address: str | None) -> msgspec.Raw:
    """Render a recipient; an address that was never resolved is left out, as the service does."""
    person = {"name": "Unresolved"} if address is None else {"name": address, "address": address}
    return msgspec.Raw(msgspec.json.encode({"emailAddress": person}))


@dataclass(frozen=True, slots=True)
class View:
    """What rendering a record needs to know beside the record."""

    person_id: str
    immutable: bool
    extra: bool
    names: Mapping[str, str] = field(default_factory=dict)  # by address: `shown_names`


def _recipient(address: str | None, view: View) -> msgspec.Raw:
    if address is not None and address in view.names:
        person = {"name": view.names[address], "address": address}
        return msgspec.Raw(msgspec.json.encode({"emailAddress": person}))
    return render_recipient(address)


def _recipient_or_null(address: str | None, view: View) -> msgspec.Raw | None:
    return None if address is None else _recipient(address, view)


def _etag(identifier: str) -> str:
    return f'W/"CQAAABYAAAB{identifier[-20:]}"'


def _message_id(message: Message, view: View) -> str:
    return message.id if view.immutable else changeable_id(message.id, message.folder)


MESSAGE_PROPERTIES: dict[str, Callable[[Message, View], Any]] = {
    "id": _message_id,
    "createdDateTime": lambda m, v: render_instant(m.received_at),
    "lastModifiedDateTime": lambda m, v: render_instant(m.received_at),
    "changeKey": lambda m, v: _etag(m.id)[3:-1],
    "categories": lambda m, v: [],
    "receivedDateTime": lambda m, v: render_instant(m.received_at),
    "sentDateTime": lambda m, v: None if m.sent_at is None else render_instant(m.sent_at),
    "hasAttachments": lambda m, v: False,
    "internetMessageId": lambda m, v: m.internet_message_id,
    "subject": lambda m, v: f"{SUBJECT_TEXT} {m.id[-8:]}",
    "bodyPreview": lambda m, v: f"{BODY_TEXT} {m.id[-8:]}",
    "importance": lambda m, v: "normal",
    "parentFolderId": lambda m, v: folder_id(v.person_id, m.folder),
    "conversationId": lambda m, v: m.conversation_id,
    "conversationIndex": lambda m, v: b64encode(m.conversation_index).decode(),
    "isDeliveryReceiptRequested": lambda m, v: None,
    "isReadReceiptRequested": lambda m, v: False,
    "isRead": lambda m, v: True,
    "isDraft": lambda m, v: m.is_draft,
    "webLink": lambda m, v: f"https://outlook.example/owa/?ItemID={quote(m.id)}&exvsurl=1",
    "inferenceClassification": lambda m, v: "focused",
    "body": lambda m, v: {"contentType": "html", "content": f"<html><body>{BODY_TEXT}</body></html>"},
    "sender": lambda m, v: _recipient_or_null(
        m.from_address if m.sender_address is None else m.sender_address, v
    ),
    "from": lambda m, v: _recipient_or_null(m.from_address, v),
    "toRecipients": lambda m, v: [_recipient(a, v) for a in m.to],
    "ccRecipients": lambda m, v: [_recipient(a, v) for a in m.cc],
    "bccRecipients": lambda m, v: [_recipient(a, v) for a in m.bcc],
    "replyTo": lambda m, v: [],
    "flag": lambda m, v: {"flagStatus": "notFlagged"},
}
# properties that are there but come only when they are asked for by name
MESSAGE_ON_REQUEST = {"internetMessageHeaders", "uniqueBody"}


def _attendee(attendee: Attendee, event: Event) -> Json:
    answered = attendee.response in ("accepted", "declined", "tentativelyAccepted")
    return {
        "type": attendee.type,
        "status": {
            "response": attendee.response,
            "time": render_instant(event.start_at - timedelta(days=2)) if answered else NEVER_ANSWERED,
        },
        "emailAddress": {"name": attendee.address or "Unresolved", "address": attendee.address},
    }


def _own_response(event: Event) -> Json:
    answered = event.own_response in ("accepted", "declined", "tentativelyAccepted")
    return {
        "response": event.own_response,
        "time": render_instant(event.start_at - timedelta(days=2)) if answered else NEVER_ANSWERED,
    }


def _event_id(event: Event, view: View) -> str:
    return event.id if view.immutable else changeable_id(event.id, "calendar")


def _series_master_id(event: Event, view: View) -> str | None:
    master = event.series_master_id
    return master if master is None or view.immutable else changeable_id(master, "calendar")


EVENT_PROPERTIES: dict[str, Callable[[Event, View], Any]] = {
    "id": _event_id,
    "createdDateTime": lambda e, v: render_instant(e.start_at - timedelta(days=7)),
    "lastModifiedDateTime": lambda e, v: render_instant(e.start_at - timedelta(days=1)),
    "changeKey": lambda e, v: _etag(e.id)[3:-1],
    "categories": lambda e, v: [],
    "transactionId": lambda e, v: None,
    "originalStartTimeZone": lambda e, v: "UTC",
    "originalEndTimeZone": lambda e, v: "UTC",
    "iCalUId": lambda e, v: e.ical_uid,
    "reminderMinutesBeforeStart": lambda e, v: 15,
    "isReminderOn": lambda e, v: True,
    "hasAttachments": lambda e, v: False,
    "subject": lambda e, v: f"{SUBJECT_TEXT} {e.id[-8:]}",
    "bodyPreview": lambda e, v: f"{BODY_TEXT} {e.id[-8:]}",
    "importance": lambda e, v: "normal",
    "sensitivity": lambda e, v: e.sensitivity,
    "isAllDay": lambda e, v: e.is_all_day,
    "isCancelled": lambda e, v: e.is_cancelled,
    "isDraft": lambda e, v: e.is_draft,
    "isOrganizer": lambda e, v: e.is_organizer,
    "responseRequested": lambda e, v: True,
    "seriesMasterId": _series_master_id,
    "showAs": lambda e, v: "free" if e.is_cancelled else "busy",
    "type": lambda e, v: e.type,
    "webLink": lambda e, v: f"https://outlook.example/owa/?itemid={quote(e.id)}&path=/calendar/item",
    "onlineMeetingUrl": lambda e, v: None,
    "isOnlineMeeting": lambda e, v: False,
    "onlineMeetingProvider": lambda e, v: "unknown",
    "onlineMeeting": lambda e, v: None,
    "allowNewTimeProposals": lambda e, v: True,
    "hideAttendees": lambda e, v: False,
    "recurrence": lambda e, v: None,
    "responseStatus": lambda e, v: _own_response(e),
    "body": lambda e, v: {"contentType": "html", "content": f"<html><body>{BODY_TEXT}</body></html>"},
    "start": lambda e, v: render_date_time(e.start_at),
    "end": lambda e, v: render_date_time(e.end_at),
    "originalStart": lambda e, v: None if e.type == "singleInstance" else render_instant(e.start_at),
    "location": lambda e, v: {"displayName": f"{BODY_TEXT} place", "locationType": "default"},
    "locations": lambda e, v: [],
    "attendees": lambda e, v: [_attendee(a, e) for a in e.attendees],
    "organizer": lambda e, v: _recipient_or_null(e.organizer, v),
}
CALENDAR_VIEW_REFUSES = {"createdDateTime", "lastModifiedDateTime"}


USER_PROPERTIES: dict[str, Callable[[Person], Any]] = {
    "businessPhones": lambda p: [],
    "displayName": lambda p: p.display_name,
    "givenName": lambda p: p.display_name.partition(" ")[0] or None,
    "jobTitle": lambda p: None,
    "mail": lambda p: p.mail or None,
    "mobilePhone": lambda p: None,
    "officeLocation": lambda p: None,
    "preferredLanguage": lambda p: None,
    "surname": lambda p: p.display_name.partition(" ")[2] or None,
    "userPrincipalName": lambda p: p.user_principal_name,
    "id": lambda p: p.id,
    "accountEnabled": lambda p: p.account_enabled,
    "department": lambda p: None,
    "otherMails": lambda p: [],
    "proxyAddresses": lambda p: list(p.proxy_addresses),
    "userType": lambda p: p.user_type,
}
USER_DEFAULTS = tuple(USER_PROPERTIES)[:11]  # what comes without $select

GROUP_PROPERTIES: dict[str, Callable[[Group], Any]] = {
    "id": lambda g: g.id,
    "deletedDateTime": lambda g: None,
    "createdDateTime": lambda g: "2020-01-06T09:00:00Z",
    "description": lambda g: None,
    "displayName": lambda g: g.display_name,
    "groupTypes": lambda g: [],
    "mail": lambda g: g.mail or None,
    "mailEnabled": lambda g: bool(g.mail),
    "mailNickname": lambda g: g.mail.partition("@")[0],
    "proxyAddresses": lambda g: [f"SMTP:{g.mail}"] if g.mail else [],
    "securityEnabled": lambda g: True,
    "visibility": lambda g: None,
}

FOLDER_NAMES = {  # well-known name: as mailboxes in three languages show it
    "archive": {"en": "Archive", "de": "Archiv", "fr": "Archive"},
    "conversationhistory": {
        "en": "Conversation History",
        "de": "Unterhaltungsverlauf",
        "fr": "Historique des conversations",
    },
    "deleteditems": {"en": "Deleted Items", "de": "Gelöschte Elemente", "fr": "Éléments supprimés"},
    "drafts": {"en": "Drafts", "de": "Entwürfe", "fr": "Brouillons"},
    "inbox": {"en": "Inbox", "de": "Posteingang", "fr": "Boîte de réception"},
    "junkemail": {"en": "Junk Email", "de": "Junk-E-Mail", "fr": "Courrier indésirable"},
    "outbox": {"en": "Outbox", "de": "Postausgang", "fr": "Boîte d'envoi"},
    "sentitems": {"en": "Sent Items", "de": "Gesendete Elemente", "fr": "Éléments envoyés"},
}
OTHER_FOLDERS = {"other": "Projects", "search": "Weekly digests", "actions": "Conversation Action Settings"}
FOLDER_PROPERTIES = (
    "id",
    "displayName",
    "parentFolderId",
    "childFolderCount",
    "unreadItemCount",
    "totalItemCount",
    "sizeInBytes",
    "isHidden",
)


# ---------------------------------------------------------------------------------------------------
# the query options of a request


@dataclass(slots=True)
class Page:
    """Where a page of a list begins and how long it is."""

    skip: int
    top: int


def _options(request: Request, known: Sequence[str]) -> dict[str, str]:
    """Give the query options, refusing any that is not known here, and any that is given twice."""
    options: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise not_implemented(f"the query option {name} of {request.url.path}")
        if name in options:
            raise GraphError(400, "BadRequest", f"Query option '{name}' was specified more than once.")
        options[name] = value
    return options


def _whole_number(options: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
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


def _flag(options: Mapping[str, str], name: str) -> bool:
    text = options.get(name, "false").lower()
    if text not in ("true", "false"):
        raise GraphError(400, "BadRequest", f"Invalid value '{text}' for {name}: true or false is expected.")
    return text == "true"


def _outlook_page(options: Mapping[str, str], switches: Switches, *, heavy: bool = True) -> Page:
    """Give the page asked for; `heavy` ones may be too large to be made in time."""
    page = Page(
        skip=_whole_number(options, "$skip", 0, 0, 2**31 - 1),
        top=_whole_number(options, "$top", OUTLOOK_PAGE, 1, OUTLOOK_MAXIMUM),
    )
    if not re.fullmatch(r"((empty|again)-[1-9]\d*)?", options.get("$skiptoken", "")):
        raise GraphError(400, "ErrorInvalidUrlQuery", "The value of $skiptoken is not one that was given.")
    if heavy and switches.largest_top is not None and page.top > switches.largest_top:
        raise GraphError(504, "UnknownError", "")
    if heavy and switches.page_limit is not None:
        page.top = min(page.top, switches.page_limit)
    return page


@lru_cache(maxsize=256)
def _selected(select: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name.strip() for name in select.split(",") if name.strip()))


def _select(
    options: Mapping[str, str], known: Sequence[str], type_name: str, code: str = "RequestBroker--ParseUri"
) -> tuple[str, ...] | None:
    """Give the names in $select, None where there is none; an unknown name is refused."""
    if "$select" not in options:
        return None
    names = _selected(options["$select"])
    for name in names:
        if name not in known:
            raise GraphError(
                400, code, f"Could not find a property named '{name}' on type 'microsoft.graph.{type_name}'."
            )
    return names


def _instant(text: str, what: str) -> datetime:
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


def _next_link(request: Request, changed: Mapping[str, str | None], origin: str | None = None) -> str:
    """Give the address of the next page, absolute, with all options of the request but those changed."""
    options = {**request.query_params, **changed}
    query = {name: value for name, value in options.items() if value is not None}
    origin = origin or f"{request.url.scheme}://{request.url.netloc}"
    return f"{origin}{quote(request.url.path)}?{urlencode(query, quote_via=quote, safe='$,:()')}"


def _quoted(text: str) -> str:
    """Take an OData string literal apart: '' stands for one quote."""
    return text.replace("''", "'")


# ---------------------------------------------------------------------------------------------------
# the emulator


@dataclass(slots=True)
class _Mailbox:
    """A mailbox's messages by time of receiving; `snapshot` tells whether the tenant's list has changed."""

    snapshot: list[Message]
    ordered: list[Message]
    received: list[datetime]


class Emulator(Service):
    """The state behind the app: tenant, tokens, log, faults. Tests reach it through `running`.

    Requests in flight are counted by the id of the mailbox's owner.
    """

    json_type = JSON_TYPE
    cut_off = b'{"@odata.context":"x","value":[{"id":"AAMkA'

    def __init__(self, tenant: Tenant, switches: Switches) -> None:
        super().__init__()
        self.tenant = tenant
        self.switches = switches
        self.now = tenant.now  # what the Date header says: the tenant's clock, with its jumps
        self._tokens: dict[str, float] = {}  # token: when it ends, monotonic seconds
        self.used_assertions: set[str] = set()  # the `jti` of every assertion that was taken
        self._mailboxes: dict[str, _Mailbox] = {}
        self._denials = 0
        self._left: dict[str, Message] = {}  # by owner: what has moved out of its folder and is not yet back
        self.mischief = Mischief(switches)
        self._directory: tuple[list[Person], dict[str, Person], dict[str, Person]] | None = None

    def forget(self) -> None:
        """Drop log, faults, tokens and what was derived from the tenant."""
        super().forget()
        self._tokens.clear()
        self.used_assertions.clear()
        self._mailboxes.clear()
        self._denials = 0
        self._left.clear()
        self.mischief.forget()
        self._directory = None

    # -- directory ----------------------------------------------------------------------------------

    def _lookups(self) -> tuple[dict[str, Person], dict[str, Person]]:
        """Give people by id or user principal name, and by any address, as the tenant is now."""
        if self._directory is None or self._directory[0] != self.tenant.people:
            by_name: dict[str, Person] = {}
            by_address: dict[str, Person] = {}
            for person in self.tenant.people:
                by_name[person.id.lower()] = person
                by_name[person.user_principal_name.lower()] = person
                for address in (person.mail, *person.proxy_addresses):
                    kind, separator, rest = address.partition(":")
                    if not separator:
                        by_address[address.lower()] = person
                    elif kind.lower() == "smtp":
                        by_address[rest.lower()] = person
            self._directory = (list(self.tenant.people), by_name, by_address)
        return self._directory[1], self._directory[2]

    def person(self, name: str) -> Person:
        """Find a directory user as `/users/{name}` does."""
        by_name, by_address = self._lookups()
        found = by_name.get(name.lower())
        if found is None and self.switches.users_by_mail:
            found = by_address.get(name.lower())
        if found is None:
            raise _no_such_resource(name)
        return found

    def find_mailbox(self, name: str) -> Person | None:
        """Find the owner of a mailbox by id, user principal name or any address; None where there is none."""
        by_name, by_address = self._lookups()
        return by_name.get(name.lower()) or by_address.get(name.lower())

    def mailbox(self, name: str) -> Person:
        """Find a mailbox that can be read, or raise what the service answers for one that cannot."""
        person = self.find_mailbox(name)
        if person is not None and person.id in self.switches.mailbox_turns:
            number, state = self.switches.mailbox_turns[person.id]
            if self.mischief.calls_of[person.id] >= number:
                person = replace(person, mailbox_state=state)
        if person is None or person.mailbox_state == "none":
            raise GraphError(404, "ErrorInvalidUser", f"The requested user '{name}' is invalid.")
        if person.mailbox_state == "denied":
            self._denials += 1
            message = (
                "Access to OData is disabled."
                if self._denials % 2
                else "Access to OData is disabled: [RAOP] : Blocked by tenant configured AppOnly "
                "AccessPolicy settings."
            )
            raise GraphError(403, "ErrorAccessDenied", message)
        if person.mailbox_state in ("on_premises", "soft_deleted"):
            raise GraphError(
                404,
                "MailboxNotEnabledForRESTAPI",
                "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
            )
        if person.mailbox_state != "readable":
            raise ValueError(f"unknown mailbox state {person.mailbox_state!r}")
        return person

    def mailbox_for(self, name: str, area: str) -> Person:
        """Find a mailbox whose mail or calendar can be read; raises as `mailbox` does."""
        person = self.find_mailbox(name)
        if person is not None and person.mailbox_state == "denied" and area in self.switches.not_denied:
            return person
        return self.mailbox(name)

    def group(self, identifier: str) -> Group:
        """Find a group by its id."""
        for group in self.tenant.groups:
            if group.id == identifier:
                return group
        raise _no_such_resource(identifier)

    def transitive_members(self, group: Group) -> tuple[list[Person], list[Group]]:
        """Give everyone in a group and in the groups in it, each once, also where groups hold each other."""
        groups = {g.id: g for g in self.tenant.groups}
        by_name, _ = self._lookups()
        people: dict[str, Person] = {}
        nested: dict[str, Group] = {}
        waiting = [group]
        while waiting:
            for member in waiting.pop(0).members:
                if member in groups:
                    if member not in nested and member != group.id:
                        nested[member] = groups[member]
                        waiting.append(groups[member])
                else:
                    people[member] = by_name[member.lower()]
        return list(people.values()), list(nested.values())

    # -- mail ---------------------------------------------------------------------------------------

    def messages(self, person: Person) -> _Mailbox:
        """Give a mailbox's messages in order, anew whenever the tenant's list has changed."""
        live = self.tenant.messages.get(person.id, [])
        if appears_at := self.switches.appears_at:
            now = self.now
            live = [m for m in live if m.id not in appears_at or appears_at[m.id] <= now]
        known = self._mailboxes.get(person.id)
        if known is None or known.snapshot != live:
            for message in live:
                if message.folder not in FOLDER_NAMES and message.folder not in OTHER_FOLDERS:
                    raise ValueError(f"unknown folder {message.folder!r} of message {message.id}")
            ordered = sorted(live, key=lambda m: (m.received_at, m.id))
            known = _Mailbox(list(live), ordered, [m.received_at for m in ordered])
            self._mailboxes[person.id] = known
        return known

    def move_back(self, person: Person) -> None:
        """Put what moved out of its folder while a list was paged into another."""
        if (message := self._left.pop(person.id, None)) is not None:
            self.tenant.messages[person.id].append(replace(message, folder="archive"))

    def move_out(self, person: Person, message: Message) -> None:
        """Let a message be in no folder until `move_back`, where the switch has moves left."""
        if person.id not in self._left and self.mischief.may_move(person.id):
            self.tenant.messages[person.id].remove(message)
            self._left[person.id] = message

    # -- tokens -------------------------------------------------------------------------------------

    def issue_token(self) -> str:
        """Make a token that lives for `switches.token_lifetime` real seconds."""
        token = "emulated." + secrets.token_urlsafe(48)
        self._tokens[token] = time.monotonic() + self.switches.token_lifetime
        return token

    def expire_tokens(self) -> None:
        """End the life of every token issued so far."""
        self._tokens.clear()

    def check_token(self, request: Request) -> None:
        """Refuse a request without a living token."""
        header = request.headers.get("authorization", "")
        scheme, _, token = header.partition(" ")
        if not header:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token is empty.")
        if scheme.lower() != "bearer" or token not in self._tokens:
            raise GraphError(401, "InvalidAuthenticationToken", "Access token validation failure.")
        uses = self.mischief.use_of_token(token)
        if self.switches.token_requests is not None and uses > self.switches.token_requests:
            self._tokens[token] = 0.0
        if request.scope["emulator.mishap"] == "expired token" and self.mischief.is_worn(token):
            self._tokens[token] = 0.0
        if self._tokens[token] <= time.monotonic():
            raise GraphError(
                401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired."
            )

    def check_permission(self, area: str) -> None:
        """Refuse what the application was not granted."""
        if area in self.switches.missing_permissions:
            raise GraphError(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )

    # -- transport ----------------------------------------------------------------------------------

    def latency(self) -> float:
        """Give the seconds that every answer takes."""
        return self.switches.latency

    def headers(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Give date and request ids; the scope keeps the ids for the body of an error."""
        request_id = seeded_guid(f"request:{len(self.requests)}")
        client_request_id = request.headers.get("client-request-id", request_id)
        self.now = self.tenant.now + self.mischief.note(self.counted_as(request))
        request.scope["emulator.mishap"] = None
        request.scope["emulator.request_ids"] = (request_id, client_request_id)
        return [
            (b"date", format_datetime(self.now.replace(microsecond=0), usegmt=True).encode()),
            (b"request-id", request_id.encode()),
            (b"client-request-id", client_request_id.encode("latin-1")),
        ]

    def counted_as(self, request: Request) -> str | None:
        """Give the id of the owner whose mailbox this request reads."""
        match = _MAILBOX_PATH.match(request.url.path)
        owner = self.find_mailbox(match[1]) if match else None
        return owner.id if owner else None

    def admit(self, request: Request, busy: int) -> None:
        """Refuse more requests at once than a mailbox takes."""
        if busy >= self.switches.mailbox_concurrency:
            raise GraphError(
                429,
                "ApplicationThrottled",
                "Application is over its MailboxConcurrency limit.",
                {"retry-after": "1"},
            )

    def call(self, request: Request) -> Call:
        """Give what faults look at."""
        path, query = request.url.path, dict(request.query_params)
        target = f"{path}?{'&'.join(f'{name}={value}' for name, value in query.items())}"
        match = _MAILBOX_PATH.match(path)
        is_list = match is not None and match.end() == len(path)
        is_heavy = is_list and not path.endswith("/mailFolders")
        return Call(target, query, self.counted_as(request), is_list, is_heavy)

    def own_fault(self, request: Request, target: str) -> Fault | None:
        """Let the share `fault_rate` of all requests fail."""
        if not self.switches.fault_rate or not request.url.path.startswith("/v1.0/"):
            return None
        mishap = self.mischief.mishap(self.call(request))
        request.scope["emulator.mishap"] = mishap
        if mishap is None:
            return None
        fault = fault_of(mishap, self.switches.fault_retry_after, self.now)
        if fault is not None and fault.status is not None:
            fault.body = self.usual_body(fault.status)
        return fault

    def check(self, request: Request) -> None:
        """Refuse a request without a living token, and what the switches want refused."""
        if request.url.path.startswith("/v1.0/"):
            self.check_token(request)
            _raise(self.mischief.refusal(self.call(request), self.now))

    def refuse(self, request: Request, error: Exception) -> Response:
        """Answer with an error of the service."""
        return refuse(request, error)

    def usual_body(self, status: int) -> bytes:
        """Give the service's usual error; 503 really comes without one."""
        if status in (503, 204):
            return b""
        error = GraphError(status, *_USUAL_ERRORS.get(status, ("UnknownError", "")))
        return error_body(self, error, seeded_guid("fault"), seeded_guid("fault"))


_MAILBOX_PATH = re.compile(r"/v1\.0/users/([^/]+)/(?:messages|mailFolders|calendarView)\b")
# what a fault of this status says where the test gives no body
_USUAL_ERRORS = {
    200: ("UnknownError", "An error under a status that says there is none."),
    400: ("BadRequest", "Bad request."),
    401: ("InvalidAuthenticationToken", "Access token validation failure."),
    403: ("ErrorAccessDenied", "Access is denied. Check credentials and try again."),
    404: ("ErrorItemNotFound", "The specified object was not found in the store."),
    429: ("TooManyRequests", "Please retry again later."),
    500: ("UnknownError", ""),
    502: ("UnknownError", "IO error during request payload read."),
    504: ("UnknownError", ""),
}


def _state(request: Request) -> Emulator:
    emulator: Emulator = request.app.state.emulator
    return emulator


def _answer(request: Request, body: Json, applied: Sequence[str] = ()) -> Response:
    headers = {"content-type": JSON_TYPE, "cache-control": "private"}
    if applied:
        headers["preference-applied"] = ", ".join(applied)
    return Response(msgspec.json.encode(body), headers=headers)


def _context(request: Request, what: str, select: Sequence[str] | None = None, entity: str = "") -> str:
    chosen = "" if select is None else f"({','.join(select)})"
    base = f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}/v1.0/$metadata#{what}{chosen}{entity}"


def refuse(request: Request, error: Exception) -> Response:
    """Answer with an error of the service."""
    assert isinstance(error, GraphError)
    request_id, client_request_id = request.scope["emulator.request_ids"]
    body = error_body(_state(request), error, request_id, client_request_id)
    return Response(body, error.status, {"content-type": "application/json", **error.headers})


def error_body(emulator: Emulator, error: GraphError, request_id: str, client_request_id: str) -> bytes:
    """Give an error answer's body in the service's shape."""
    inner = "innererror" if emulator.switches.lower_case_inner_error else "innerError"
    return msgspec.json.encode(
        {
            "error": {
                "code": error.code,
                "message": error.message,
                inner: {
                    "date": emulator.now.isoformat()[:19],
                    "request-id": request_id,
                    "client-request-id": client_request_id,
                },
            }
        }
    )


# ---------------------------------------------------------------------------------------------------
# token endpoint


def _token_error(emulator: Emulator, status: int, error: str, code: int, text: str) -> Response:
    trace, correlation = seeded_guid(f"trace:{code}"), seeded_guid(f"correlation:{code}")
    stamp = emulator.now.strftime("%Y-%m-%d %H:%M:%SZ")
    body = {
        "error": error,
        "error_description": (
            f"AADSTS{code}: {text} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}"
        ),
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
    return Response(
        msgspec.json.encode(body), status, headers={"content-type": "application/json; charset=utf-8"}
    )


async def token(request: Request) -> Response:
    """Answer the client credentials flow, with a secret or with a certificate's assertion."""
    emulator = _state(request)
    tenant = emulator.tenant
    content_type = request.headers.get("content-type", "").partition(";")[0].strip()
    if content_type != "application/x-www-form-urlencoded":
        return _token_error(
            emulator,
            400,
            "invalid_request",
            900144,
            "The request body must contain the following parameter: 'grant_type'.",
        )
    given = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
    for name in ("grant_type", "client_id", "scope"):
        if name not in given:
            return _token_error(
                emulator,
                400,
                "invalid_request",
                900144,
                f"The request body must contain the following parameter: '{name}'.",
            )
    if "client_assertion" in given and "client_secret" in given:
        raise not_implemented("client_assertion and client_secret in one request")
    if "client_assertion" in given and given.get("client_assertion_type") != ASSERTION_TYPE:
        raise not_implemented("a client_assertion_type other than jwt-bearer")
    if given["grant_type"] != "client_credentials":
        return _token_error(
            emulator,
            400,
            "unsupported_grant_type",
            70003,
            f"The app requested an unsupported grant type '{given['grant_type']}'.",
        )
    if request.path_params["tenant"].lower() != tenant.tenant_id.lower():
        return _token_error(
            emulator,
            400,
            "invalid_request",
            90002,
            f"Tenant '{request.path_params['tenant']}' not found. Check that you have the correct tenant ID.",
        )
    if given["client_id"].lower() != tenant.client_id.lower():
        return _token_error(
            emulator,
            400,
            "unauthorized_client",
            700016,
            f"Application with identifier '{given['client_id']}' was not found in the directory.",
        )
    if "client_assertion" in given:
        try:
            check_assertion(
                given["client_assertion"],
                client_id=tenant.client_id,
                audience=f"{request.url.scheme}://{request.url.netloc}{request.url.path}",
                certificates=tenant.client_certificates,
                used=emulator.used_assertions,
                now=time.time(),
            )
        except AssertionRefused as refused:
            return _token_error(emulator, refused.status, refused.error, refused.code, refused.text)
    elif "client_secret" not in given:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )
    elif given["client_secret"] != tenant.client_secret:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client "
            f"secret value, not the client secret ID, for a secret added to app '{given['client_id']}'.",
        )
    elif emulator.switches.secret_expired:
        return _token_error(
            emulator,
            401,
            "invalid_client",
            7000222,
            f"The provided client secret keys for app '{given['client_id']}' are expired.",
        )
    base = f"{request.url.scheme}://{request.url.netloc}"
    if not given["scope"].endswith("/.default"):
        return _token_error(
            emulator,
            400,
            "invalid_scope",
            1002012,
            f"The provided value for scope {given['scope']} is not valid. Client credential flows must have "
            "a scope value with /.default suffixed to the resource identifier (application ID URI).",
        )
    if given["scope"] not in ("https://graph.microsoft.com/.default", f"{base}/.default"):
        return _token_error(
            emulator,
            400,
            "invalid_scope",
            70011,
            "The provided request must include a 'scope' input parameter. The provided value "
            f"'{given['scope']}' is not valid.",
        )
    lifetime = int(emulator.switches.token_lifetime)
    body = {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": emulator.issue_token(),
    }
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store, no-cache"}
    return Response(msgspec.json.encode(body), headers=headers)


# ---------------------------------------------------------------------------------------------------
# directory


def _advanced(request: Request, options: Mapping[str, str], what: str) -> None:
    """Refuse an "advanced query" without its header (on every page) and its $count."""
    if request.headers.get("consistencylevel", "").lower() != "eventual" or not _flag(options, "$count"):
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
            clauses.append((match["property"], _quoted(match["value"]), False))
        else:
            clauses.append((match["collection"], _quoted(match["member"]), True))
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
    top = _whole_number(options, "$top", DIRECTORY_PAGE, 1, DIRECTORY_MAXIMUM)
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
        link = _next_link(request, changed, emulator.switches.next_link_origin)
    return Page(skip, top), link


def _directory_list(
    request: Request, context: str, options: Mapping[str, str], rows: Sequence[Json]
) -> Response:
    emulator = _state(request)
    page, link = _directory_page(request, emulator, options, len(rows))
    body: Json = {"@odata.context": context}
    if _flag(options, "$count") and "$skiptoken" not in options:
        body["@odata.count"] = len(rows)
    if link:
        body["@odata.nextLink"] = link
    body["value"] = rows[page.skip : page.skip + page.top]
    return _answer(request, body)


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
    emulator = _state(request)
    emulator.check_permission("user")
    options = _options(request, ("$filter", "$select", "$top", "$count", "$skiptoken"))
    select = _select(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    people: Sequence[Person] = emulator.tenant.people
    if "$filter" in options:
        clauses = _directory_filter(request, options, USER_FILTERS)
        people = [p for p in people if _matches(_user(p, tuple(USER_FILTERS)), clauses)]
    if "$count" in options:
        _advanced(request, options, "$count")
    rows = [_user(p, select or USER_DEFAULTS) for p in people]
    return _directory_list(request, _context(request, "users", select), options, rows)


async def user(request: Request) -> Response:
    """Give one person by object id or user principal name."""
    emulator = _state(request)
    emulator.check_permission("user")
    options = _options(request, ("$select",))
    select = _select(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    person = emulator.person(request.path_params["user"])
    body: Json = {"@odata.context": _context(request, "users", select, "/$entity")}
    return _answer(request, body | _user(person, select or USER_DEFAULTS))


async def groups(request: Request) -> Response:
    """List groups, all or by a filter on an address."""
    emulator = _state(request)
    emulator.check_permission("group")
    options = _options(request, ("$filter", "$select", "$top", "$count", "$skiptoken"))
    select = _select(options, tuple(GROUP_PROPERTIES), "group", "Request_BadRequest")
    found = [{name: get(g) for name, get in GROUP_PROPERTIES.items()} for g in emulator.tenant.groups]
    if "$filter" in options:
        clauses = _directory_filter(request, options, GROUP_FILTERS)
        found = [g for g in found if _matches(g, clauses)]
    if "$count" in options:
        _advanced(request, options, "$count")
    rows = [{name: g[name] for name in select or GROUP_PROPERTIES} for g in found]
    return _directory_list(request, _context(request, "groups", select), options, rows)


async def group(request: Request) -> Response:
    """Give one group by object id."""
    emulator = _state(request)
    emulator.check_permission("group")
    options = _options(request, ("$select",))
    select = _select(options, tuple(GROUP_PROPERTIES), "group", "Request_BadRequest")
    found = emulator.group(request.path_params["group"])
    body: Json = {"@odata.context": _context(request, "groups", select, "/$entity")}
    return _answer(
        request, body | {name: GROUP_PROPERTIES[name](found) for name in select or GROUP_PROPERTIES}
    )


async def transitive_members(request: Request) -> Response:
    """List everything in a group and in the groups in it; people and groups mixed, without $select."""
    emulator = _state(request)
    emulator.check_permission("group")
    options = _options(request, ("$top", "$count", "$skiptoken"))
    if "$count" in options:
        _advanced(request, options, "$count")
    people, nested = emulator.transitive_members(emulator.group(request.path_params["group"]))
    rows: list[Json] = [{"@odata.type": "#microsoft.graph.user"} | _user(p, USER_DEFAULTS) for p in people]
    rows += [
        {"@odata.type": "#microsoft.graph.group"} | {name: get(g) for name, get in GROUP_PROPERTIES.items()}
        for g in nested
    ]
    return _directory_list(request, _context(request, "directoryObjects"), options, rows)


async def transitive_users(request: Request) -> Response:
    """List the people in a group and in the groups in it, each once: an advanced query on every page."""
    emulator = _state(request)
    emulator.check_permission("group")
    options = _options(request, ("$select", "$top", "$count", "$skiptoken"))
    select = _select(options, tuple(USER_PROPERTIES), "user", "Request_BadRequest")
    _advanced(request, options, "The cast to microsoft.graph.user")
    people, _ = emulator.transitive_members(emulator.group(request.path_params["group"]))
    rows = [_user(p, select or USER_DEFAULTS) for p in people]
    return _directory_list(request, _context(request, "users", select), options, rows)


# ---------------------------------------------------------------------------------------------------
# mail


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
    emulator = _state(request)
    emulator.check_permission("mail")
    options = _options(request, ("$select", "$top", "$skip", "$skiptoken", "$count", "includeHiddenFolders"))
    select = _select(options, FOLDER_PROPERTIES, "mailFolder")
    page = _outlook_page(options, emulator.switches, heavy=False)
    person = emulator.mailbox_for(request.path_params["user"], "mail")
    hidden = _flag(options, "includeHiddenFolders")
    names = [*FOLDER_NAMES, "other", "search"] + (["actions"] if hidden else [])
    rows = [_folder_selected(_folder(emulator, person, name), select) for name in names]
    context = _context(request, f"users('{person.id}')/mailFolders", select)
    return _outlook_list(request, context, options, page, len(rows), rows[page.skip : page.skip + page.top])


async def mail_folder(request: Request) -> Response:
    """Give one folder by its well-known name or its id."""
    emulator = _state(request)
    emulator.check_permission("mail")
    options = _options(request, ("$select",))
    select = _select(options, FOLDER_PROPERTIES, "mailFolder")
    person = emulator.mailbox_for(request.path_params["user"], "mail")
    asked = request.path_params["folder"]
    for name in (*FOLDER_NAMES, *OTHER_FOLDERS):
        if asked == folder_id(person.id, name) or (name in FOLDER_NAMES and asked.lower() == name):
            context = _context(request, f"users('{person.id}')/mailFolders", select, "/$entity")
            return _answer(
                request,
                {"@odata.context": context, **_folder_selected(_folder(emulator, person, name), select)},
            )
    raise GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def _outlook_list(
    request: Request,
    context: str,
    options: Mapping[str, str],
    page: Page,
    count: int,
    rows: Sequence[Json],
    applied: Sequence[str] = (),
) -> Response:
    emulator = _state(request)
    switches = emulator.switches
    body: Json = {"@odata.context": context}
    if _flag(options, "$count"):
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
        body["@odata.nextLink"] = _next_link(request, changed, origin)
    return _answer(request, body, applied)


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
        bounds.append(_instant(value, "receivedDateTime"))
    return bounds[0], bounds[1] if len(bounds) > 1 else None, newest_first


def _render_message(message: Message, names: Sequence[str], view: View) -> Json:
    row: Json = {}
    properties = MESSAGE_PROPERTIES
    if message.odata_type is not None:
        row["@odata.type"] = message.odata_type
    row["@odata.etag"] = _etag(message.id)
    for name in names:
        row[name] = properties[name](message, view)
    if view.extra and hash_of(message.id) % 7 == 0:
        row["unknownFutureProperty"] = {"value": None}
    return row


def hash_of(text: str) -> int:
    """Give a number that depends on the text alone (Python's own hash differs from run to run)."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")


def _view(request: Request, person: Person) -> tuple[View, list[str]]:
    emulator = _state(request)
    wanted = preferences(request).get("idtype")
    if wanted not in (None, "ImmutableId"):
        raise not_implemented(f"Prefer: IdType={wanted}")
    switches = emulator.switches
    view = View(person.id, wanted == "ImmutableId", switches.extra_properties, switches.shown_names)
    return view, ['IdType="ImmutableId"'] if view.immutable else []


async def messages(request: Request) -> Response:
    """List a mailbox's messages of all folders; a page begins at $skip in the set as it is now."""
    emulator = _state(request)
    emulator.check_permission("mail")
    options = _options(request, ("$select", "$filter", "$orderby", "$top", "$skip", "$skiptoken", "$count"))
    if MESSAGE_ON_REQUEST & set(_selected(options.get("$select", ""))):
        raise not_implemented("internetMessageHeaders and uniqueBody in $select")
    select = _select(options, tuple(MESSAGE_PROPERTIES), "message")
    page = _outlook_page(options, emulator.switches)
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
    _raise(emulator.mischief.is_poisoned([m.id for m in chosen]))
    emulator.move_back(person)
    if end < count and page.skip == 0 and emulator.switches.moves_while_paging:
        emulator.move_out(person, chosen[0])
    view, applied = _view(request, person)
    names = tuple(MESSAGE_PROPERTIES) if select is None else tuple(dict.fromkeys(("id", *select)))
    rows = [_render_message(m, names, view) for m in chosen]
    context = _context(request, f"users('{person.id}')/messages", select)
    return _outlook_list(request, context, options, page, count, rows, applied)


# ---------------------------------------------------------------------------------------------------
# calendar


async def calendar_view(request: Request) -> Response:
    """List the single instances, occurrences and exceptions that overlap a window; series masters never."""
    emulator = _state(request)
    emulator.check_permission("calendar")
    known = ("startDateTime", "endDateTime", "$select", "$top", "$skip", "$skiptoken", "$count")
    options = _options(request, known)
    for name in ("startDateTime", "endDateTime"):
        if name not in options:
            raise GraphError(
                400,
                "ErrorInvalidParameter",
                "This request requires a time window specified by the query string parameters StartDateTime "
                "and EndDateTime.",
            )
    begin = _instant(options["startDateTime"], "startDateTime")
    end = _instant(options["endDateTime"], "endDateTime")
    if end < begin:
        raise GraphError(
            400, "ErrorCalendarEndDateIsEarlierThanStartDate", "The end date is earlier than the start date."
        )
    select = _select(options, tuple(EVENT_PROPERTIES), "event")
    for name in select or ():
        if name in CALENDAR_VIEW_REFUSES:
            raise GraphError(400, "ErrorInvalidProperty", f"The property '{name}' can't be selected here.")
    page = _outlook_page(options, emulator.switches)
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
    view, applied = _view(request, person)
    if zone is not None:
        applied.append('outlook.timezone="UTC"')
    names = (
        tuple(n for n in EVENT_PROPERTIES if n not in CALENDAR_VIEW_REFUSES)
        if select is None
        else tuple(dict.fromkeys(("id", *select)))
    )
    rows: list[Json] = []
    first, last = emulator.mischief.cut(emulator.call(request), page.skip, page.top, len(shown))
    _raise(emulator.mischief.is_poisoned([e.id for e in shown[first:last]]))
    for event in shown[first:last]:
        row: Json = {"@odata.etag": _etag(event.id)}
        for name in names:
            row[name] = EVENT_PROPERTIES[name](event, view)
        if view.extra and hash_of(event.id) % 7 == 0:
            row |= {"uid": None, "occurrenceId": None}
        rows.append(row)
    context = _context(request, f"users('{person.id}')/calendarView", select)
    return _outlook_list(request, context, options, page, len(shown), rows, applied)


async def unknown(request: Request) -> Response:
    """Refuse everything else."""
    raise not_implemented(f"{request.method} {request.url.path}")


# ---------------------------------------------------------------------------------------------------
# running it


def create_app(tenant: Tenant, switches: Switches | None = None, **changed: Any) -> Starlette:
    """Make the app over a tenant; keyword arguments set fields of `Switches`. State: `app.state.emulator`."""
    switches = Switches() if switches is None else switches
    set_switches(switches, changed)
    get: list[tuple[str, Callable[[Request], Awaitable[Response]]]] = [
        ("/v1.0/users", users),
        ("/v1.0/users/{user}", user),
        ("/v1.0/users/{user}/messages", messages),
        ("/v1.0/users/{user}/mailFolders", mail_folders),
        ("/v1.0/users/{user}/mailFolders/{folder}", mail_folder),
        ("/v1.0/users/{user}/calendarView", calendar_view),
        ("/v1.0/groups", groups),
        ("/v1.0/groups/{group}", group),
        ("/v1.0/groups/{group}/transitiveMembers", transitive_members),
        ("/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user", transitive_users),
    ]
    every_method = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
    app = Starlette(
        routes=[
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
            *(Route(path, endpoint, methods=["GET"]) for path, endpoint in get),
            Route("/{path:path}", unknown, methods=every_method),
        ],
        exception_handlers={GraphError: refuse},
    )
    emulator = Emulator(tenant, switches)
    app.state.emulator = emulator
    return surround(app, emulator)


class Handle(ServerHandle):
    """A running emulator, as a test sees it."""

    def __init__(self, url: str, emulator: Emulator, stop: Callable[[], None]) -> None:
        super().__init__(url, emulator, stop)
        self.emulator = emulator
        self.tenant = emulator.tenant
        self.switches = emulator.switches

    def expire_tokens(self) -> None:
        """Make every token issued so far worthless."""
        self.emulator.expire_tokens()

    def reset(self, tenant: Tenant) -> None:
        """Begin anew with another tenant's records and no switch set; cheaper than another server."""
        overwrite(self.tenant, tenant)
        overwrite(self.switches, Switches())
        self.emulator.forget()


@contextmanager
def running(tenant: Tenant, **switches: Any) -> Iterator[Handle]:
    """Run the emulator in a thread on a free loopback port; keyword arguments set fields of `Switches`."""
    app = create_app(tenant, **switches)
    with in_thread(app, "Graph") as (url, stop):
        yield Handle(url, app.state.emulator, stop)


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve a tenant until interrupted or terminated."""
    parser = argparse.ArgumentParser(prog="python -m emulators.graph", description=main.__doc__)
    parser.add_argument("--tenant", required=True, metavar="MODULE:FUNCTION", help="what builds the tenant")
    parser.add_argument(
        "--switches", default="{}", metavar="JSON", help="fields of Switches, as an object of JSON"
    )
    add_serving_options(parser)
    given = parser.parse_args(arguments)
    tenant = call(given.tenant)
    if not isinstance(tenant, Tenant):
        raise SystemExit(f"{given.tenant} gave no Tenant")
    serve(create_app(tenant, **msgspec.json.decode(given.switches)), given)


if __name__ == "__main__":
    main()
