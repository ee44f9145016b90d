"""What we ask of Microsoft Graph: fixed property lists, and structs that decode exactly those.

A property that is not in a struct is dropped while decoding, whatever the service sends beside what was asked
for. Names of properties are Graph's own (msgspec renames them).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

import msgspec

from engagement.concurrency import Concurrency, CpuShare
from engagement.configuration.settings import Settings
from engagement.errors import ConfigurationError
from engagement.http import Patience, decoder
from engagement.office.client import MAILBOX_SHARE, Allowance, GatewayTimeout, GraphClient, SchemaDrift
from engagement.office.sign_in import Proof, Tokens

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

LARGEST_PAGE, SMALLEST_PAGE = 1000, 25

# What an administrator grants. Roles of Exchange can be limited to some mailboxes; consents in Entra cannot, and
# there is no role for calendars without their texts (fact sheet 1.3: second-hand).
MAIL_ROLE = "Application Mail.ReadBasic"
CALENDAR_ROLE = "Application Calendars.Read"
MAIL_PERMISSION = f"the role {MAIL_ROLE} over a management scope in Exchange"
CALENDAR_PERMISSION = f"the role {CALENDAR_ROLE} over a management scope in Exchange"
USER_READ, GROUP_READ = "User.Read.All", "GroupMember.Read.All"
USER_PERMISSION = f"the permission {USER_READ} with the administrator's consent in Entra"
GROUP_PERMISSION = f"the permission {GROUP_READ} with the administrator's consent in Entra"
HIDDEN_MEMBERS_PERMISSION = "Member.Read.Hidden"

USER_SELECT = "id,mail,userPrincipalName,proxyAddresses,userType"
GROUP_SELECT = "id,mail"
FOLDER_SELECT = "id"
# Never the subject, the preview or the body: the permission would give at least the first.
MESSAGE_SELECT = (
    "id,internetMessageId,conversationId,conversationIndex,parentFolderId,receivedDateTime,sentDateTime,"
    "isDraft,from,sender,toRecipients,ccRecipients,bccRecipients"
)
MEETING_SELECT = (
    "id,iCalUId,type,start,end,isAllDay,isCancelled,isOrganizer,isDraft,organizer,attendees,sensitivity,"
    "responseStatus"
)
# Without these an item would be counted wrongly in silence; the others may be left out by the service.
MESSAGE_REQUIRED = (
    "internetMessageId,conversationId,parentFolderId,receivedDateTime,isDraft,from,toRecipients,ccRecipients"
)
MEETING_REQUIRED = "iCalUId,type,start,end,isCancelled,organizer,attendees,sensitivity,responseStatus"
# Advanced directory queries need it on every page.
EVENTUAL = {"ConsistencyLevel": "eventual"}

_FIRST_YEAR, _LAST_YEAR = 1990, 2100


class _Struct(msgspec.Struct, rename="camel", gc=False):
    pass


# What the service puts on an item besides what was selected, and rightly.
_ANNOTATION = "@odata."


class EmailAddress(_Struct):
    address: str | None = None


class Recipient(_Struct):
    email_address: EmailAddress | None = None

    @property
    def address(self) -> str | None:
        return None if self.email_address is None else self.email_address.address


class User(_Struct):
    id: str
    mail: str | None = None
    user_principal_name: str | None = None
    proxy_addresses: list[str] | None = None
    user_type: str | None = None


class Group(_Struct):
    id: str


class Folder(_Struct):
    id: str
    odata_type: str | None = msgspec.field(name="@odata.type", default=None)

    @property
    def is_search_folder(self) -> bool:
        """Whether its messages are copies of others."""
        return self.odata_type == "#microsoft.graph.mailSearchFolder"


class Message(_Struct):
    id: str
    odata_type: str | None = msgspec.field(name="@odata.type", default=None)
    internet_message_id: str | None = None
    conversation_id: str | None = None
    conversation_index: str | None = None
    parent_folder_id: str | None = None
    received_date_time: str | None = None
    sent_date_time: str | None = None
    is_draft: bool | None = None
    from_: Recipient | None = msgspec.field(name="from", default=None)
    sender: Recipient | None = None
    to_recipients: list[Recipient] | None = None
    cc_recipients: list[Recipient] | None = None
    bcc_recipients: list[Recipient] | None = None


class Moment(_Struct):
    date_time: str | None = None
    time_zone: str | None = None


class ResponseStatus(_Struct):
    response: str | None = None


class Attendee(_Struct):
    type: str | None = None
    status: ResponseStatus | None = None
    email_address: EmailAddress | None = None


class Meeting(_Struct):
    id: str
    i_cal_u_id: str | None = msgspec.field(name="iCalUId", default=None)
    type: str | None = None
    start: Moment | None = None
    end: Moment | None = None
    is_all_day: bool | None = None
    is_cancelled: bool | None = None
    is_organizer: bool | None = None
    is_draft: bool | None = None
    organizer: Recipient | None = None
    attendees: list[Attendee] | None = None
    sensitivity: str | None = None
    response_status: ResponseStatus | None = None


class _Page(msgspec.Struct):
    next_link: str | None = msgspec.field(name="@odata.nextLink", default=None)
    count: int | None = msgspec.field(name="@odata.count", default=None)


class UserPage(_Page, kw_only=True):
    value: list[User]


class GroupPage(_Page, kw_only=True):
    value: list[Group]


class FolderPage(_Page, kw_only=True):
    value: list[Folder]


class _Items(_Page, Generic[S], kw_only=True):
    value: list[S]


class _Names(msgspec.Struct):
    """A page of which only the names of the items' properties are looked at."""

    value: list[dict[str, msgspec.Raw]]


@dataclass(slots=True)
class ItemPage(Generic[S]):
    """A page of messages or entries; `unasked` says of properties that came unasked on how many items."""

    value: list[S]
    next_link: str | None
    count: int | None
    unasked: Counter[str]


class ItemDecoder(Generic[S]):
    """Decodes pages of items of which certain properties were selected, and watches over what comes.

    A property that was not selected is dropped and counted. SchemaDrift where a selected property is of another
    type than documented, or a `required` one is absent from every item of a page: a null that is none would
    count as a message without a sender.
    """

    def __init__(self, kind: type[S], required: str) -> None:
        known = {field.encode_name: field.name for field in msgspec.structs.fields(kind)}
        self._required = [(name, known[name]) for name in required.split(",")]
        self._known = frozenset(known)
        # An etag comes with every item; declared, it does not make every page a strange one.
        strict = msgspec.defstruct(
            f"Strict{kind.__name__}",
            [("odata_etag", msgspec.Raw, msgspec.field(name=f"{_ANNOTATION}etag", default=msgspec.Raw()))],
            bases=(kind,),
            forbid_unknown_fields=True,
            gc=False,
        )
        decode_strict: Any = msgspec.json.Decoder(_Items[strict])  # type: ignore[valid-type]
        decode_any: Any = msgspec.json.Decoder(_Items[kind])  # type: ignore[valid-type]
        self._decode_strict: Callable[[bytes], _Items[S]] = decode_strict.decode
        self._decode_any: Callable[[bytes], _Items[S]] = decode_any.decode

    def __call__(self, content: bytes) -> ItemPage[S]:
        """A page. Raises SchemaDrift, and msgspec.MsgspecError for what is no page at all."""
        unasked: Counter[str] = Counter()
        try:
            page = self._decode_strict(content)
        except msgspec.ValidationError:
            names = msgspec.json.decode(content, type=_Names)
            try:
                page = self._decode_any(content)
            except msgspec.ValidationError as error:
                raise SchemaDrift(f"{_place_of(error)} of another form than documented") from None
            for item in names.value:
                unasked.update(
                    shown(name)
                    for name in item
                    if name not in self._known and not name.startswith(_ANNOTATION)
                )
        if page.value and any(getattr(page.value[0], field) is None for _, field in self._required):
            self._require_all(content)
        return ItemPage(page.value, page.next_link, page.count, unasked)

    def _require_all(self, content: bytes) -> None:
        items = msgspec.json.decode(content, type=_Names).value
        missing = [name for name, _ in self._required if not any(name in item for item in items)]
        if missing:
            raise SchemaDrift(f"no {', '.join(missing)} in any item, which was asked for")


def shown(name: str) -> str:
    """A property's name as it may stand in a message: the service's own, where it looks like one."""
    return name if _PROPERTY.fullmatch(name) else "(of another form)"


def _place_of(error: msgspec.ValidationError) -> str:
    """The property that an error is about, as far as it is one of ours."""
    found = _PLACE.search(str(error)) or _MISSING.search(str(error))
    return "an item" if found is None else found.group(1)


_PROPERTY = re.compile(r"[A-Za-z@][A-Za-z0-9_.@]{0,60}")
_PLACE = re.compile(r"`\$\.value\[\d+\]\.([A-Za-z.]+)")
_MISSING = re.compile(r"missing required field `([A-Za-z]+)`")

decode_user = decoder(User)
decode_users = decoder(UserPage)
decode_groups = decoder(GroupPage)
decode_folders = decoder(FolderPage)
decode_messages = ItemDecoder(Message, MESSAGE_REQUIRED)
decode_meetings = ItemDecoder(Meeting, MEETING_REQUIRED)


def instant(text: str | None) -> datetime | None:
    """A moment of Graph as a naive UTC instant; None where it is absent, unreadable or outside 1990 to 2100.

    Mail comes as "2026-07-01T05:30:00Z"; calendars, asked for UTC, as "2017-08-29T04:00:00.0000000" without a
    zone.
    """
    if not text:
        return None
    try:
        # The "Z" of mail is left out: a zone would have to be worked out.
        moment = datetime.fromisoformat(text[:-1] if text[-1] == "Z" else text)
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return None
        return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _proof(settings: Settings) -> Proof | None:
    """What a token request proves who we are with: the certificate or the secret; None where neither is set."""
    if settings.certificate is not None:
        return settings.certificate.proof
    secret = settings.client_secret
    return None if secret is None else lambda *_: {"client_secret": secret.get_secret_value()}


class Service:
    """Microsoft Graph for one run: one sign-in, a client per thread, and the service's clock."""

    def __init__(self, settings: Settings, patience: Patience | None = None) -> None:
        prove = _proof(settings)
        if settings.tenant_id is None or settings.client_id is None or prove is None:
            raise ConfigurationError(
                "environment: AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET or"
                " AZURE_CLIENT_CERTIFICATE_PATH are needed; set them"
            )
        self.patience = patience or Patience(seconds=settings.retry_seconds)
        self.concurrency = Concurrency(
            most=settings.workers,
            most_per_mailbox=min(settings.requests_per_mailbox, settings.workers),
            patience=self.patience,
            cpu_share=CpuShare(),
        )
        self._graph_url = settings.graph_url
        self._mailbox_seconds = settings.mailbox_seconds
        self._tokens = Tokens(
            authority_url=settings.authority_url,
            tenant_id=settings.tenant_id,
            client_id=settings.client_id,
            prove=prove,
            # A sign-in that does not work is more often a wrong address than a service that will be back.
            patience=self.patience.with_seconds(min(self.patience.seconds, 30.0)),
            graph_url=settings.graph_url,
        )

    def sign_in(self) -> datetime:
        """Gets a token; the instant (naive UTC) of the answer's Date header, else of the local clock."""
        self._tokens.current()
        moment = self._tokens.service_time or datetime.now(UTC)
        return moment.astimezone(UTC).replace(tzinfo=None)

    def client(self) -> GraphClient:
        """A client of its own for one thread; the token and the concurrency are shared."""
        return GraphClient(
            graph_url=self._graph_url,
            tokens=self._tokens,
            patience=self.patience,
            concurrency=self.concurrency,
        )

    def allowance(self, entra_id: str) -> Allowance:
        """What one mailbox may cost."""
        return Allowance(
            entra_id,
            waiting_seconds=self.patience.seconds * MAILBOX_SHARE,
            working_seconds=self._mailbox_seconds,
        )


class PageSize:
    """How many items a page of one mailbox may have: halved after every 504, and kept so for what follows."""

    def __init__(self) -> None:
        self._top = LARGEST_PAGE

    def largest(self, fetch: Callable[[int], T]) -> T:
        """What `fetch` gives for the largest page that the service can make."""
        while True:
            top = self._top
            try:
                return fetch(top)
            except GatewayTimeout:
                self._top = max(top // 2, SMALLEST_PAGE)
