"""What we ask of Microsoft Graph: fixed property lists, and structs that decode exactly those.

A property that is not in a struct is dropped while decoding, whatever the service sends beside what was asked
for. Names of properties are Graph's own (msgspec renames them).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from engagement.config import Settings
from engagement.errors import ConfigurationError
from engagement.http import GatewayTimeout, GraphClient, Patience, Proof, Tokens, decoder

T = TypeVar("T")

LARGEST_PAGE, SMALLEST_PAGE = 500, 25

# What an administrator grants. Roles of Exchange can be limited to some mailboxes; consents in Entra cannot, and
# there is no role for calendars without their texts (fact sheet 1.3: second-hand).
MAIL_ROLE = "Application Mail.ReadBasic"
CALENDAR_ROLE = "Application Calendars.Read"
MAIL_PERMISSION = f"the role {MAIL_ROLE} over a management scope in Exchange"
CALENDAR_PERMISSION = f"the role {CALENDAR_ROLE} over a management scope in Exchange"
USER_PERMISSION = "the permission User.Read.All with the administrator's consent in Entra"
GROUP_PERMISSION = "the permission GroupMember.Read.All with the administrator's consent in Entra"
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
# Advanced directory queries need it on every page.
EVENTUAL = {"ConsistencyLevel": "eventual"}

_FIRST_YEAR, _LAST_YEAR = 1990, 2100


class _Struct(msgspec.Struct, rename="camel", gc=False):
    pass


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


class MessagePage(_Page, kw_only=True):
    value: list[Message]


class MeetingPage(_Page, kw_only=True):
    value: list[Meeting]


decode_user = decoder(User)
decode_users = decoder(UserPage)
decode_groups = decoder(GroupPage)
decode_folders = decoder(FolderPage)
decode_messages = decoder(MessagePage)
decode_meetings = decoder(MeetingPage)


def instant(text: str | None) -> datetime | None:
    """A moment of Graph as a naive UTC instant; None where it is absent, unreadable or outside 1990 to 2100.

    Mail comes as "2026-07-01T05:30:00Z"; calendars, asked for UTC, as "2017-08-29T04:00:00.0000000" without a
    zone.
    """
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return None
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
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
        self._graph_url = settings.graph_url
        self._patience = patience or Patience(seconds=settings.retry_seconds)
        # A sign-in that does not work is more often a wrong address than a service that will be back.
        sign_in = Patience(
            seconds=min(self._patience.seconds, 30.0),
            sleep=self._patience.sleep,
            clock=self._patience.clock,
            spread=self._patience.spread,
        )
        self._tokens = Tokens(
            authority_url=settings.authority_url,
            tenant_id=settings.tenant_id,
            client_id=settings.client_id,
            prove=prove,
            patience=sign_in,
            graph_url=settings.graph_url,
        )

    def sign_in(self) -> datetime:
        """Gets a token; the instant (naive UTC) of the answer's Date header, else of the local clock."""
        self._tokens.current()
        moment = self._tokens.service_time or datetime.now(UTC)
        return moment.astimezone(UTC).replace(tzinfo=None)

    def client(self) -> GraphClient:
        """A client of its own for one thread; the token is shared."""
        return GraphClient(graph_url=self._graph_url, tokens=self._tokens, patience=self._patience)


def by_page_size(fetch: Callable[[int], T]) -> T:
    """What `fetch` gives for the largest page size that the service can make, halved after every 504."""
    top = LARGEST_PAGE
    while True:
        try:
            return fetch(top)
        except GatewayTimeout:
            top = max(top // 2, SMALLEST_PAGE)
