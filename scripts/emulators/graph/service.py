"""What the emulated service knows, and what it checks of each request."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import format_datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from emulators.graph.refusals import GraphError, Switches, no_such_resource, raise_told
from emulators.graph.rendering import FOLDER_NAMES, OTHER_FOLDERS, Json
from emulators.identifiers import seeded_guid
from emulators.misbehaviour import Call, Mischief, fault_of
from emulators.server import Fault, Service
from emulators.tenant import Group, Message, Person, Tenant

JSON_TYPE = (
    "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
)


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
            raise no_such_resource(name)
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
        raise no_such_resource(identifier)

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
            raise_told(self.mischief.refusal(self.call(request), self.now))

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


def emulator_of(request: Request) -> Emulator:
    emulator: Emulator = request.app.state.emulator
    return emulator


def answer_of(request: Request, body: Json, applied: Sequence[str] = ()) -> Response:
    headers = {"content-type": JSON_TYPE, "cache-control": "private"}
    if applied:
        headers["preference-applied"] = ", ".join(applied)
    return Response(msgspec.json.encode(body), headers=headers)


def context_of(request: Request, what: str, select: Sequence[str] | None = None, entity: str = "") -> str:
    chosen = "" if select is None else f"({','.join(select)})"
    base = f"{request.url.scheme}://{request.url.netloc}"
    return f"{base}/v1.0/$metadata#{what}{chosen}{entity}"


def refuse(request: Request, error: Exception) -> Response:
    """Answer with an error of the service."""
    assert isinstance(error, GraphError)
    request_id, client_request_id = request.scope["emulator.request_ids"]
    body = error_body(emulator_of(request), error, request_id, client_request_id)
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
